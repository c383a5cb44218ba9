//! The article's scenario: three instances of ping and two of hello behind Traefik.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use harness::{Fleet, Instance, Loopback, http, labels};

/// Instances before the fleet: fields are dropped in this order.
struct Demo {
    pings: Vec<Instance>,
    hellos: Vec<Instance>,
    fleet: Fleet,
}

fn demo() -> Demo {
    let fleet = Fleet::start().unwrap();
    let mut pings = fleet.launch_all("ping", 3).unwrap();
    let mut hellos = fleet.launch_all("hello", 2).unwrap();
    fleet.wait_routed(pings.iter_mut().chain(&mut hellos)).unwrap();
    Demo { pings, hellos, fleet }
}

impl Demo {
    fn get(&self, path: &str) -> http::Response {
        self.request("GET", path)
    }

    fn request(&self, method: &str, path: &str) -> http::Response {
        http::request(method, &format!("{}{path}", self.fleet.traefik.url()), &[]).unwrap()
    }
}

#[test]
fn every_instance_answers_exactly_as_in_the_article() {
    let demo = demo();
    demo.fleet.wait_responses("/ping", &demo.pings).unwrap();
    demo.fleet.wait_responses("/hello/viktor", &demo.hellos).unwrap();
    for _ in 0..6 {
        let response = demo.get("/ping");
        assert_eq!(response.body, format!("Pong from {}\n", response.served_by().unwrap()));
        let response = demo.get("/hello/viktor");
        assert_eq!(response.body, format!("Hello, Viktor! (from {})\n", response.served_by().unwrap()));
    }
}

#[test]
fn hello_greets_the_name_in_the_path_or_the_world() {
    let demo = demo();
    let greeting = |path| {
        let response = demo.get(path);
        assert_eq!(response.status, 200, "{path}");
        response.body.split_once(" (from hello-").expect("the body names the host").0.to_owned()
    };
    assert_eq!(greeting("/hello/"), "Hello, World!");
    assert_eq!(greeting("/hello/%C3%A9VA"), "Hello, Éva!");
    assert_eq!(greeting("/hello/a/b/viktor"), "Hello, Viktor!");
}

#[test]
fn requests_are_spread_evenly() {
    let demo = demo();
    demo.fleet.wait_responses("/ping", &demo.pings).unwrap();
    let mut shares = BTreeMap::<String, i32>::new();
    for _ in 0..300 {
        *shares.entry(demo.get("/ping").served_by().unwrap().to_owned()).or_default() += 1;
    }
    // Round robin gives each instance 100 requests. A reload, which should not happen here, starts a new round and shifts a
    // share by one. A random choice would pass in one of twenty runs.
    assert_eq!(shares.len(), 3, "{shares:?}");
    assert!(shares.values().all(|share| (share - 100).abs() <= 2), "{shares:?}");
}

#[test]
fn head_response_has_the_headers_of_get() {
    let demo = demo();
    for path in ["/ping", "/hello/viktor"] {
        let (get, head) = (demo.get(path), demo.request("HEAD", path));
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.body, "", "{path}");
        // Names of all instances have the same length.
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

#[test]
fn unrouted_path_answers_404() {
    let demo = demo();
    for path in ["/", "/pingpong", "/hello", "/traefik"] {
        let response = demo.get(path);
        assert_eq!((response.status, response.served_by()), (404, None), "{path}");
    }
}

#[test]
fn service_gets_the_path_without_its_prefix() {
    let fleet = Fleet::start().unwrap();
    let mut instances = ["ping", "hello"].map(|service| {
        let address = serve_paths();
        let mut spec = fleet.spec(service, service).unwrap();
        spec.address = address;
        spec.probe = format!("tcp://{address}");
        spec.labels = labels::of(service, address.port()).unwrap();
        spec.command = vec!["sleep".into(), "600".into()];
        fleet.launch(spec).unwrap()
    });
    fleet.wait_routed(&mut instances).unwrap();
    let seen = |path: &str| http::get_ok(&format!("{}{path}", fleet.traefik.url())).unwrap().body;
    assert_eq!(seen("/ping"), "/");
    assert_eq!(seen("/ping/"), "/");
    assert_eq!(seen("/ping/a?b=c"), "/a?b=c");
    assert_eq!(seen("/hello/"), "/");
    assert_eq!(seen("/hello/viktor"), "/viktor");
}

/// Starts a server that responds with the path of the request.
fn serve_paths() -> SocketAddr {
    let listener = TcpListener::bind((Loopback::new().ip(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            // A probe connects and sends nothing.
            let Some(request) = lines.next() else { continue };
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let path = request.split(' ').nth(1).unwrap_or_default();
            let head =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", path.len());
            let _ = stream.write_all((head + path).as_bytes());
        }
    });
    address
}

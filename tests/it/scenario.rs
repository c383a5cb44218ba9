//! The article's scenario: three pings and two hellos behind Traefik.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use harness::{Fleet, Instance, Loopback, http, labels};

/// The instances stand first, to be ended first.
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
fn every_instance_answers_to_the_byte() {
    let demo = demo();
    demo.fleet.wait_responses("/ping", &demo.pings).unwrap();
    demo.fleet.wait_responses("/hello/viktor", &demo.hellos).unwrap();
    for _ in 0..6 {
        let answer = demo.get("/ping");
        assert_eq!(answer.body, format!("Pong from {}\n", answer.served_by().unwrap()));
        let answer = demo.get("/hello/viktor");
        assert_eq!(answer.body, format!("Hello, Viktor! (from {})\n", answer.served_by().unwrap()));
    }
}

#[test]
fn hello_greets_the_world_unless_it_is_given_a_name() {
    let demo = demo();
    let greeting = |path| {
        let answer = demo.get(path);
        assert_eq!(answer.status, 200, "{path}");
        answer.body.split_once(" (from hello-").expect("a host is named").0.to_owned()
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
    // Traefik goes round the servers, so each gets 100; a change of configuration while this runs, which none should
    // cause, begins a new round and shifts a share by one. Were servers drawn at random, however fairly, all three
    // shares would be this near in one run of twenty.
    assert_eq!(shares.len(), 3, "{shares:?}");
    assert!(shares.values().all(|share| (share - 100).abs() <= 2), "{shares:?}");
}

#[test]
fn a_head_request_gets_all_but_the_body() {
    let demo = demo();
    for path in ["/ping", "/hello/viktor"] {
        let (get, head) = (demo.get(path), demo.request("HEAD", path));
        assert_eq!(head.status, 200, "{path}");
        assert_eq!(head.body, "", "{path}");
        // All instances' names have the same length.
        assert_eq!(head.header("content-length"), Some(get.body.len().to_string().as_str()), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
}

#[test]
fn a_path_of_no_service_reaches_no_service() {
    let demo = demo();
    for path in ["/", "/pingpong", "/hello", "/traefik"] {
        let answer = demo.get(path);
        assert_eq!((answer.status, answer.served_by()), (404, None), "{path}");
    }
}

#[test]
fn a_service_sees_the_path_without_its_prefix() {
    let fleet = Fleet::start().unwrap();
    let mut instances = ["ping", "hello"].map(|service| {
        let address = answering_with_its_path();
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

/// A service that answers with the path it was asked for.
fn answering_with_its_path() -> SocketAddr {
    let listener = TcpListener::bind((Loopback::new().ip(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            // A probe connects and says nothing.
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

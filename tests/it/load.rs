//! `load` with services behind Traefik, and with nginx and Python.

use std::fs;
use std::net::{IpAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use harness::process::command;
use harness::{Binaries, Fleet, Instance, Loopback, Process, Signal, SpawnOptions, eventually, http};
use serde_json::Value;
use tempfile::TempDir;

mod tls;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running `load`, with a file for its report.
struct Load {
    process: Process,
    directory: TempDir,
}

impl Load {
    fn start(url: &str, args: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut load = command(Binaries::find().unwrap().path("load"));
        load.arg(url)
            .args(args)
            .args(["--every", "100ms", "--json"])
            .arg(directory.path().join("report.json"));
        let process = Process::spawn("load", &mut load, SpawnOptions::default()).unwrap();
        Self { process, directory }
    }

    /// Waits for more successful requests.
    fn wait_for_more(&mut self, requests: u64) {
        let log = self.process.log();
        let ok = || {
            let lines = log.lines();
            let count =
                |line: &String| line.split_once(" ok ")?.0.rsplit(' ').next()?.replace(',', "").parse().ok();
            lines.iter().rev().find_map(count).unwrap_or(0_u64)
        };
        let wanted = ok() + requests;
        eventually(PATIENCE, || ok() >= wanted).unwrap();
    }

    /// Interrupts it, as Ctrl-C does, and waits for its end.
    fn interrupt(mut self) -> (i32, Value) {
        self.process.signal(Signal::INT).unwrap();
        self.end()
    }

    /// Waits for its end, and returns its exit code and report.
    fn end(mut self) -> (i32, Value) {
        let status = self.process.wait(PATIENCE).unwrap();
        let json = fs::read(self.directory.path().join("report.json")).unwrap();
        let report =
            serde_json::from_slice(&json).unwrap_or_else(|error| panic!("{error}: {}", self.process.tail()));
        (status.code().unwrap(), report)
    }
}

fn load(url: &str, args: &[&str]) -> (i32, Value) {
    Load::start(url, args).end()
}

/// Names of instances, in the order of their first responses.
fn names(report: &Value) -> Vec<&str> {
    report["instances"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect()
}

fn ping_url(fleet: &Fleet) -> String {
    format!("{}/ping", fleet.traefik.url())
}

#[test]
fn three_instances_behind_traefik_have_even_shares() {
    let fleet = Fleet::start().unwrap();
    let _instances = fleet.start_all("ping", 3).unwrap();
    let args = ["--requests", "600", "--min-instances", "3", "--max-skew", "5%", "--max-failed", "0"];
    let (code, report) = load(&ping_url(&fleet), &args);
    assert_eq!(code, 0, "{}", report["demands"]);
    let mut names = names(&report);
    names.sort_unstable();
    assert_eq!(names, ["ping-1", "ping-2", "ping-3"]);
    let even = &report["evenness"];
    assert_eq!(even["degrees"], 2);
    assert!(even["p"].as_f64().unwrap() > 0.9, "round robin is more even than chance: {even}");
    let shares = report["instances"].as_array().unwrap().iter().map(|one| one["share"].as_f64().unwrap());
    assert!((shares.sum::<f64>() - 1.0).abs() < 1e-9);
}

#[test]
fn restart_of_the_only_instance_is_an_outage() {
    let fleet = Fleet::start().unwrap();
    let mut instances = fleet.start_all("ping", 1).unwrap();
    let instance = &mut instances[0];
    let mut load =
        Load::start(&ping_url(&fleet), &["--rate", "100", "--duration", "10m", "--max-gap", "1ms"]);
    load.wait_for_more(20);
    let begin = Instant::now();
    instance.kill().unwrap();
    let url = ping_url(&fleet);
    eventually(PATIENCE, || http::get(&url).is_ok_and(|answer| answer.status != 200)).unwrap();
    let (gone, away) = (Instant::now(), Duration::from_millis(400));
    // The length of the outage, which load has to measure.
    thread::sleep(away);
    let at_least = gone.elapsed();
    instance.restart().unwrap();
    fleet.wait_routed([instance]).unwrap();
    load.wait_for_more(20);
    let at_most = begin.elapsed();
    let (code, report) = load.interrupt();
    assert_eq!((code, &report["ended"]), (1, &"interrupted".into()));
    let gaps = &report["gaps"];
    let longest = Duration::from_secs_f64(gaps["longest"].as_f64().unwrap());
    assert!(at_least <= longest && longest <= at_most, "{at_least:?} ≤ {longest:?} ≤ {at_most:?}");
    assert!(gaps["count"].as_u64().unwrap() >= 1, "{gaps}");
    let failed = report["failed"].as_u64().unwrap();
    let [by_class, by_status] = ["by_class", "by_status"].map(|by| &report["failures"][by]);
    assert!(failed > 0 && by_class["5xx"].as_u64() == Some(failed), "{by_class} of {failed}");
    assert_eq!(
        by_status.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>(),
        failed
    );
}

#[test]
fn replacement_is_reported_as_a_handover() {
    let fleet = Fleet::start().unwrap();
    let mut old = fleet.start_all("ping", 1).unwrap();
    let args = ["--rate", "200", "--duration", "10m", "--gap", "200ms"];
    let mut load = Load::start(&ping_url(&fleet), &args);
    load.wait_for_more(100);
    let mut new = fleet.launch(fleet.spec("ping", "ping-2").unwrap()).unwrap();
    fleet.wait_routed([&mut new]).unwrap();
    load.wait_for_more(100);
    old[0].stop().unwrap();
    load.wait_for_more(100);
    let (code, report) = load.interrupt();
    assert_eq!((code, &report["failed"]), (0, &0.into()), "{}", report["failures"]);
    assert_eq!(names(&report), ["ping-1", "ping-2"]);
    let instances = &report["instances"];
    let marks = [0, 1].map(|place| (&instances[place]["joined"], &instances[place]["left"]));
    assert_eq!(marks, [(&false.into(), &true.into()), (&true.into(), &false.into())]);
    let handover = &report["handovers"][0];
    assert_eq!((&handover["left"], &handover["joined"]), (&"ping-1".into(), &"ping-2".into()));
    assert!(handover["overlap"].as_f64().unwrap() > 0.0, "{handover}");
}

/// Starts `echo`, routed at `/`.
fn echo(fleet: &Fleet, flags: &[&str]) -> Instance {
    let program = Binaries::find().unwrap().path("echo");
    let mut spec = fleet.spec_for(&program, "echo", "echo-1").unwrap();
    spec.command.extend(flags.iter().map(Into::into));
    let port = spec.address.port().to_string();
    spec.labels = [
        ("traefik.http.routers.echo.rule", "PathPrefix(`/`)"),
        ("traefik.http.services.echo.loadbalancer.server.port", port.as_str()),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let mut instance = fleet.launch(spec).unwrap();
    fleet.wait_routed([&mut instance]).unwrap();
    instance
}

#[test]
fn counts_agree_with_those_of_the_service() {
    let fleet = Fleet::start().unwrap();
    let service = echo(&fleet, &[]);
    let url = format!("{}/status/200:7,404:1,503:2", fleet.traefik.url());
    let (_, report) = load(&url, &["--requests", "2000"]);
    let metrics = http::get(&format!("{}/metrics", service.admin_url())).unwrap().body;
    for (code, counted) in [
        ("200", &report["ok"]),
        ("404", &report["failures"]["by_class"]["4xx"]),
        ("503", &report["failures"]["by_class"]["5xx"]),
    ] {
        let series = format!(
            "swarmlings_requests_total{{method=\"GET\",code=\"{code}\",route=\"/status/{{codes}}\"}} "
        );
        let answered = metrics.lines().find_map(|line| line.strip_prefix(&series));
        assert_eq!(answered.unwrap().parse::<u64>().unwrap(), counted.as_u64().unwrap(), "{code}: {metrics}");
    }
    assert_eq!(report["instances"][0]["failed"], report["failed"], "all failures come from the service");
}

#[test]
fn closed_and_late_responses_fail_and_streamed_ones_do_not() {
    let fleet = Fleet::start().unwrap();
    let _service = echo(&fleet, &[]);
    let [close, hang, stream] =
        ["close", "hang", "stream/5?every=1ms"].map(|path| format!("{}/{path}", fleet.traefik.url()));
    let (_, closed) = load(&close, &["--requests", "10"]);
    assert_eq!(
        closed["failures"]["by_class"]["5xx"], 10,
        "Traefik responds with 502: {}",
        closed["failures"]
    );
    let (_, silent) = load(&hang, &["--requests", "4", "--timeout", "300ms"]);
    assert_eq!(silent["failures"]["by_class"]["timeout"], 4, "{}", silent["failures"]);
    let (_, streamed) = load(&stream, &["--requests", "40"]);
    assert_eq!((&streamed["ok"], &streamed["failed"]), (&40.into(), &0.into()), "{}", streamed["failures"]);
    assert!(streamed["bytes"].as_u64().unwrap() > 40 * 5);
}

#[test]
fn whoami_is_identified_by_its_body() {
    let fleet = Fleet::start().unwrap();
    let _echo = echo(&fleet, &[]);
    let (_, report) =
        load(&fleet.traefik.url(), &["--requests", "20", "--instance", r"body:(?m)^Hostname: (.*)$"]);
    assert_eq!((names(&report), &report["ok"]), (vec!["echo-1"], &20.into()));
}

#[test]
fn python_server_is_identified_by_its_body() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/bench/src/services/peers/pong.py");
    let address = Loopback::new().free().unwrap();
    let mut python = Command::new("python3");
    python.arg(root).args([address.ip().to_string(), address.port().to_string()]);
    let mut python = Process::spawn("python", &mut python, SpawnOptions::default()).unwrap();
    let url = format!("http://{address}/");
    python.wait_until(PATIENCE, || http::get_ok(&url)).unwrap();
    // It serves one connection at a time, and closes it after the response.
    let (_, report) =
        load(&url, &["--requests", "30", "--connections", "2", "--instance", r"body:from (\S+)"]);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!((names(&report), &report["ok"]), (vec![host.trim()], &30.into()), "{}", report["failures"]);
}

/// nginx with the configuration of the benchmarks.
struct Nginx {
    url: String,
    process: Process,
    _directory: TempDir,
}

/// Terminates the master process, which ends its worker. If it were killed, the worker would go on.
impl Drop for Nginx {
    fn drop(&mut self) {
        if let Err(error) = self.process.terminate(PATIENCE) {
            eprintln!("ending nginx: {error:#}");
        }
    }
}

impl Nginx {
    /// Starts nginx with a changed configuration, for URLs of this scheme.
    fn start(scheme: &str, change: impl FnOnce(String, IpAddr) -> String) -> Self {
        let (address, directory) = (Loopback::new().free().unwrap(), tempfile::tempdir().unwrap());
        let conf = include_str!("../../xtask/bench/src/services/peers/nginx.conf").to_owned();
        let conf = change(conf, address.ip())
            .replace("PREFIX", directory.path().to_str().unwrap())
            .replace("ADDRESS", &address.to_string())
            .replace("HOST", "nginx-1");
        let file = directory.path().join("nginx.conf");
        fs::write(&file, conf).unwrap();
        let mut nginx = Command::new("nginx");
        nginx.arg("-p").arg(directory.path()).arg("-c").arg(&file).args(["-e", "stderr"]);
        nginx.env("PATH", "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin");
        let mut process = Process::spawn("nginx", &mut nginx, SpawnOptions::default()).unwrap();
        process.wait_until(PATIENCE, || TcpStream::connect(address)).unwrap();
        Self { url: format!("{scheme}://{address}/"), process, _directory: directory }
    }
}

#[test]
fn nginx_is_identified_by_its_server_header() {
    let nginx = Nginx::start("http", |conf, _| conf);
    let (_, report) = load(&nginx.url, &["--requests", "500", "--instance", "header:server"]);
    let by = names(&report).concat();
    assert!(by.starts_with("nginx/"), "{by}");
    assert_eq!((&report["ok"], &report["failed"]), (&500.into(), &0.into()));
    let (_, report) = load(&nginx.url, &["--requests", "20", "--instance", r"body:from ([\w-]+)"]);
    assert_eq!(names(&report), ["nginx-1"]);
}

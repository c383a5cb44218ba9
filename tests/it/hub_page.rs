//! The hub's page, behind a real Traefik, in a browser.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use harness::{Browser, Fleet, FleetOptions, Instance, InstanceSpec, Signal, SpawnOptions, eventually};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(30);

/// Environment variable with a directory for screenshots.
const PICTURES: &str = "SWARMLINGS_PICTURES";

/// A name that is HTML.
const MALICIOUS: &str = "<img src=x onerror=\"document.title = 'taken over'\">";

struct Scene {
    fleet: Fleet,
    browser: Browser,
}

impl Scene {
    fn start(hub_arguments: &[&str]) -> Self {
        let hub_arguments = hub_arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut fleet = Fleet::spawn(FleetOptions { hub_arguments, ..FleetOptions::default() }).unwrap();
        fleet.traefik.wait_ready().unwrap();
        Self { fleet, browser: Browser::start(1100, 900).unwrap() }
    }

    /// Opens the page with the token of role reader as password.
    fn open(&self, authority: &str, path: &str) {
        let token = self.fleet.hub.master().unwrap().role("reader");
        self.browser.visit(&format!("http://people:{token}@{authority}{path}")).unwrap();
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({}).innerText", json!(selector));
        self.browser.run(&script).unwrap().as_str().unwrap_or_default().to_owned()
    }

    fn wait_for(&self, selector: &str, text: &str) {
        eventually(LONG, || {
            let shown = self.text(selector);
            ensure!(shown.contains(text), "no {text:?} in {selector}: {shown}");
            Ok(())
        })
        .unwrap();
    }

    /// Registers instances of a service, as an agent.
    fn register(&self, service: &str, count: usize, labels: &Value) {
        let agent = harness::http::agent(Duration::from_secs(10), false);
        let token = self.fleet.hub.master().unwrap().role("agent");
        for number in 1..=count {
            let registration = json!({
                "service": service, "host": format!("h{number}"), "node": format!("worker-{}", number % 3 + 1),
                "address": format!("10.9.{}.{}", number / 250, number % 250 + 1), "port": 8080, "started": number,
                "health": "healthy", "labels": labels, "source": "agent",
            });
            let request = ureq::http::Request::put(format!(
                "{}/v1/instances/s{}.{number}",
                self.fleet.hub.url(),
                service.len()
            ));
            let request = request.header("authorization", format!("Bearer {token}"));
            let response = agent.run(request.body(registration.to_string()).unwrap()).unwrap();
            assert_eq!(response.status(), 200);
        }
    }

    /// Checks what holds for every page, and saves a screenshot.
    fn check(&self, name: &str, width: u32, scheme: &str) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.browser.command("Emulation.setDeviceMetricsOverride", &size).unwrap();
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.browser.command("Emulation.setEmulatedMedia", &media).unwrap();
        let beyond = self.browser.run("return document.documentElement.scrollWidth").unwrap();
        assert!(beyond.as_u64() <= Some(width.into()), "{name} is {beyond} px wide, of {width}");
        for wrong in ["NaN", "undefined", "Infinity", "[object", "null"] {
            assert!(!self.text("body").contains(wrong), "{name} has {wrong}: {}", self.text("body"));
        }
        if let Some(directory) = env::var_os(PICTURES).map(PathBuf::from) {
            fs::create_dir_all(&directory).unwrap();
            fs::write(directory.join(format!("hub-{name}.png")), self.browser.screenshot(None).unwrap())
                .unwrap();
        }
    }
}

fn launch(spec: InstanceSpec) -> Instance {
    Instance::spawn(spec, SpawnOptions::default()).unwrap()
}

#[test]
fn page_shows_the_life_of_tasks_behind_traefik() {
    let scene = Scene::start(&["--page-path", "/hub"]);
    let first = launch(scene.fleet.spec("ping", "ping-1").unwrap());
    let entry = scene.fleet.traefik.options().entry.to_string();
    let page = format!("http://{entry}/hub/");
    eventually(LONG, || {
        let status = harness::http::get(&page)?.status;
        ensure!(status == 401, "status {status}");
        Ok(())
    })
    .unwrap();
    for other in ["metrics", "v1/instances", "traefik", "healthz"] {
        assert_eq!(
            harness::http::get(&format!("{page}{other}")).unwrap().status,
            404,
            "{other} is not of the page"
        );
    }
    scene.open(&entry, "/hub/");
    scene.wait_for("#summary", "1 of 1 tasks routed");
    scene.wait_for("#routers", "up to date, API reports");
    let mut second = launch(scene.fleet.spec("ping", "ping-2").unwrap());
    scene.wait_for("#summary", "2 of 2 tasks routed");
    scene.wait_for("#events", "routed");
    scene.check("desktop", 1100, "light");

    let mut refused = scene.fleet.ping_as("wrong", "wrong-1").unwrap();
    refused.labels.push(("traefik.http.routers.wrong.rule".to_owned(), "Hots(`a`)".to_owned()));
    let refused = launch(refused);
    scene.wait_for("#problems", "wrong: refused: ");
    scene.wait_for("#problems", "Hots");
    scene.wait_for("#summary", "2 of 3 tasks routed");
    second.sidecar().signal(Signal::TERM).unwrap();
    scene.wait_for("#events", "withdrawn");
    scene.wait_for("#events", "unrouted");
    scene.wait_for("#events", "stopped");
    scene.wait_for("#summary", "1 of 2 tasks routed");
    scene.check("dark", 1100, "dark");
    scene.check("phone", 390, "light");

    scene.browser.run("document.querySelector('#tasks .task').click()").unwrap();
    scene.wait_for("#detail", "traefik.http.routers.ping.rule");
    let messages = scene.browser.console().unwrap();
    assert_eq!(messages, [""; 0], "a browser reports violations of the policy here");
    let requests = scene.browser.requests().unwrap();
    let elsewhere: Vec<_> =
        requests.iter().filter(|url| !url.contains(&format!("{entry}/hub/")) && *url != "data:,").collect();
    assert!(elsewhere.is_empty() && !requests.is_empty(), "{requests:?}");
    drop((first, refused));
}

#[test]
fn page_of_a_hub_with_a_certificate_is_served_over_https_behind_traefik() {
    let options = FleetOptions {
        hub_arguments: ["--page-path", "/hub"].map(str::to_owned).into(),
        has_tls: true,
        ..FleetOptions::default()
    };
    let mut fleet = Fleet::spawn(options).unwrap();
    fleet.traefik.wait_ready().unwrap();
    let _task = launch(fleet.spec("ping", "ping-1").unwrap());
    let url = format!("{}/hub/", fleet.traefik.url());
    let authorization = format!("Bearer {}", fleet.hub.master().unwrap().role("reader"));
    eventually(LONG, || {
        let page = harness::http::request("GET", &url, &[("authorization", &authorization)])?;
        ensure!(page.status == 200 && page.body.contains("Swarmlings"), "{}: {}", page.status, page.body);
        Ok(())
    })
    .unwrap();
}

#[test]
fn page_with_a_thousand_tasks_is_usable_and_names_are_never_html() {
    let scene = Scene::start(&["--agent-lost-after", "10m", "--ttl", "10m"]);
    scene.register(MALICIOUS, 1, &json!({"traefik.http.routers.a.rule": MALICIOUS}));
    let secret = "admin:$apr1$secretsecret";
    scene.register(
        "web",
        1000,
        &json!({
            "traefik.http.routers.web.rule": "Path(`/web`)",
            "traefik.http.middlewares.web.basicauth.users": secret,
        }),
    );
    scene.open(&scene.fleet.hub.options().address.to_string(), "/");
    scene.wait_for("#summary", "1001 tasks");
    scene.wait_for("#problems", MALICIOUS);
    assert_eq!(scene.browser.run("return document.querySelectorAll('#tasks .task').length").unwrap(), 1001);
    for (width, scheme) in [(1100, "light"), (390, "dark")] {
        scene.check(&format!("thousand-{width}"), width, scheme);
    }
    let height = scene.browser.run("return document.querySelector('#tasks').offsetHeight").unwrap();
    assert!(height.as_u64() < Some(8000), "{height} px for the tasks");
    scene.browser.run("document.querySelectorAll('#tasks .task')[5].click()").unwrap();
    scene.wait_for("#detail", "traefik.http.middlewares.web.basicauth.users");
    assert!(!scene.text("#detail").contains("secretsecret"), "{}", scene.text("#detail"));
    assert!(!scene.browser.run("return document.title").unwrap().as_str().unwrap().contains("taken over"));
    assert_eq!(scene.browser.console().unwrap(), [""; 0]);
}

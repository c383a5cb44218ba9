//! The page that load makes of its report, in a browser.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use harness::Browser;
use load::page::page;
use load::report::{Class, Gaps, Report};
use serde_json::{Value, json};
use tempfile::TempDir;

use sample::{Answering, Run, report};

mod png;
mod sample;

/// Names a directory that pages and pictures of them are left in. docs/images/load.png is one of them.
const PICTURES: &str = "SWARMLINGS_PICTURES";

/// All of the page's sections, in their order.
const SECTIONS: [&str; 9] =
    ["headline", "timeline", "latency", "failures", "instances", "evenness", "warnings", "asked", "reading"];

/// What names and messages may be, if somebody means harm.
const HOSTILE: [&str; 3] = [
    "</script><script>document.title = 'taken over'</script>",
    "<img src=http://127.0.0.1:9/x onerror=\"document.title = 'taken over'\">",
    "<!-- <script> {{style}} \u{2028}\u{1b}[31m & \"quoted\" 'name' ]]>",
];

/// Open pages, at one width after another.
struct Pages {
    browser: Browser,
    directory: TempDir,
}

impl Pages {
    fn new() -> Self {
        Self { browser: Browser::start(1100, 900).unwrap(), directory: tempfile::tempdir().unwrap() }
    }

    /// Opens the report's page, and fails if it is not as every page has to be.
    fn open(&self, name: &str, report: &Report, width: u32, scheme: &str) {
        let file = self.directory.path().join(format!("{name}.html"));
        fs::write(&file, page(report)).unwrap();
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.browser.command("Emulation.setDeviceMetricsOverride", &size).unwrap();
        // On paper it is never dark, whatever its reader prefers.
        let (media, scheme_there) = if scheme == "print" { ("print", "dark") } else { ("screen", scheme) };
        let scheme_there = json!([{"name": "prefers-color-scheme", "value": scheme_there}]);
        let media = json!({"media": media, "features": scheme_there});
        self.browser.command("Emulation.setEmulatedMedia", &media).unwrap();
        self.browser.open(&file).unwrap();
        self.keep(name, &file, width, scheme);
        assert_eq!(self.browser.console().unwrap(), [""; 0], "{name}");
        let requests = self.browser.requests().unwrap();
        let elsewhere: Vec<_> = requests
            .iter()
            .filter(|url| !url.ends_with(&format!("/{name}.html")) && *url != "data:,")
            .collect();
        assert!(elsewhere.is_empty() && !requests.is_empty(), "{name}: {requests:?}");
        let sections = "return [...document.querySelectorAll('main > *')].map((one) => one.id)";
        assert_eq!(self.asked(sections), json!(SECTIONS), "{name}");
        let beyond = self.asked("return document.documentElement.scrollWidth");
        assert!(beyond.as_u64() <= Some(width.into()), "{name} is {beyond} px wide, of {width}");
        // Some figure that could not be computed.
        let shown = self.text("main");
        for wrong in ["NaN", "undefined", "Infinity", "[object"] {
            assert!(!shown.contains(wrong), "{name} has {wrong}: {shown}");
        }
        let wrong = self.asked(
            "return [...document.querySelectorAll('svg *')].filter((one) => [...one.attributes]
                .some((it) => /NaN|undefined|Infinity/.test(it.value))).map((one) => one.outerHTML)",
        );
        assert_eq!(wrong, json!([]), "{name}");
    }

    fn asked(&self, script: &str) -> Value {
        self.browser.run(script).unwrap()
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?}).textContent");
        self.asked(&script).as_str().unwrap().to_owned()
    }

    fn number(&self, selector: &str) -> u64 {
        self.asked(&format!("return document.querySelectorAll({selector:?}).length")).as_u64().unwrap()
    }

    /// Leaves page and picture where whoever wants to see them has said.
    fn keep(&self, name: &str, file: &Path, width: u32, scheme: &str) {
        let Some(directory) = directory() else { return };
        fs::create_dir_all(&directory).unwrap();
        fs::copy(file, directory.join(format!("{name}.html"))).unwrap();
        let picture = self.browser.screenshot(None).unwrap();
        fs::write(directory.join(format!("{name}-{width}-{scheme}.png")), picture).unwrap();
    }
}

/// Where pictures are wanted, if they are.
fn directory() -> Option<PathBuf> {
    let directory = env::var_os(PICTURES).filter(|directory| !directory.is_empty())?;
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory))
}

fn named(name: &str, from: f64, to: f64, p50: f64) -> Answering {
    Answering { name: Some(name.to_owned()), from, to, p50 }
}

/// An update that starts first, a node that fails, and an instance that cannot do it any more.
fn update() -> Run {
    let end = f64::INFINITY;
    Run {
        seconds: 60,
        rate: 2000,
        instances: vec![
            named("ping.1@leader", 0.0, 18.3, 0.8),
            named("ping.2@worker-1", 0.0, 24.6, 0.9),
            named("ping.3@worker-2", 0.0, 31.2, 1.3),
            named("ping.1@worker-1", 18.0, end, 0.8),
            named("ping.2@leader", 24.2, end, 0.7),
            named("ping.3@worker-3", 30.8, end, 1.2),
        ],
        outages: vec![(42.1, 42.52, 40)],
        failures: vec![
            (18.31, Class::Reset, None, "reading the answer: connection reset by peer"),
            (31.21, Class::Closed, None, "the connection was closed before the answer was whole"),
            (31.213, Class::Closed, None, "the connection was closed before the answer was whole"),
            (51.4, Class::Status5xx, Some(503), "503 Service Unavailable"),
        ],
    }
}

#[test]
fn a_report_is_drawn_with_a_lane_for_each_instance() {
    let pages = Pages::new();
    let report = report(&update());
    for (width, scheme) in [(1100, "dark"), (720, "print"), (400, "dark"), (900, "light")] {
        pages.open("update", &report, width, scheme);
        for chart in ["#timeline-chart", "#distribution-chart"] {
            assert_eq!(pages.number(&format!("{chart} .lane")), 6, "{chart} at {width}");
        }
        let dark = pages.asked("return getComputedStyle(document.body).color") == "rgb(233, 236, 241)";
        assert_eq!(dark, scheme == "dark", "{scheme}");
        assert_eq!(pages.number("#failures-chart .class"), 3);
        assert_eq!(pages.number("#latency-chart .l"), 3);
        assert_eq!(pages.number("#timeline-chart .gap"), 1);
        assert_eq!(pages.number("#timeline-chart .hand"), 3);
        assert_eq!(pages.number("#failures tbody tr"), report.failures.listed.len() as u64);
    }
    // From its top to what latency is over time.
    let end = "return Math.round(document.querySelector('#latency h3 + .chart').getBoundingClientRect().bottom + scrollY)";
    let height = pages.asked(end).as_u64().unwrap();
    let picture = pages.browser.screenshot(Some((900, u32::try_from(height).unwrap() + 14))).unwrap();
    assert!(picture.len() > 50_000, "something is on it: {} bytes", picture.len());
    if let Some(directory) = directory() {
        fs::write(directory.join("load.png"), png::smaller(&picture)).unwrap();
    }
    assert_eq!(pages.text("h1"), load::headline::headline(&report));
    assert!(pages.text("#demands").contains("1 of 3 demands not met"), "{}", pages.text("#demands"));
}

#[test]
fn hostile_names_are_shown_as_text() {
    let pages = Pages::new();
    let mut run = update();
    run.seconds = 10;
    run.instances = HOSTILE.iter().map(|name| named(name, 0.0, f64::INFINITY, 1.0)).collect();
    run.failures = vec![(5.0, Class::Status5xx, Some(500), HOSTILE[0])];
    let mut report = report(&run);
    report.warnings = HOSTILE.map(str::to_owned).into();
    report.asked.urls[0].url = HOSTILE[1].to_owned();
    report.asked.method = HOSTILE[0].to_owned();
    report.demands[0].got = HOSTILE[1].to_owned();
    pages.open("hostile", &report, 400, "light");
    pages.asked("document.querySelectorAll('details').forEach((one) => { one.open = true })");
    assert_eq!(pages.text("title"), pages.text("h1"));
    assert_eq!(pages.number("img, main script, script"), 2, "those of the page itself");
    for (place, name) in HOSTILE.iter().enumerate() {
        assert_eq!(pages.text(&format!("#instances tbody tr:nth-child({}) th", place + 1)), *name);
        assert_eq!(pages.text(&format!("#warnings li:nth-child({})", place + 1)), *name);
    }
    assert_eq!(pages.text("#failures tbody td:nth-child(3)"), HOSTILE[0]);
    assert!(pages.text("#where").contains(HOSTILE[1]));
    assert_eq!(pages.browser.console().unwrap(), [""; 0]);
}

#[test]
fn values_are_shown_under_the_pointer_and_by_keys() {
    let pages = Pages::new();
    pages.open("update", &report(&update()), 1100, "light");
    let by_pointer = "const chart = document.querySelector('#timeline-chart svg'), box = chart.getBoundingClientRect();
        chart.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + box.width * 0.5, clientY: box.top + 60 }));
        return document.getElementById('tip').innerText";
    let shown = pages.asked(by_pointer);
    let shown = shown.as_str().unwrap();
    for part in ["all", "ping.1@worker-1", "/s"] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    let by_keys = "const key = (key) => document.querySelector('#latency-chart svg').dispatchEvent(new KeyboardEvent('keydown', { key }));
        key('ArrowRight'); key('ArrowRight'); key('ArrowLeft');
        const shown = document.getElementById('tip').innerText;
        key('Escape');
        return [shown, document.getElementById('tip').hidden]";
    let shown = pages.asked(by_keys);
    assert!(shown[0].as_str().unwrap().starts_with("0.0 s – 1.0 s"), "{shown}");
    assert_eq!(shown[1], true);
    let by_table = "const more = document.querySelector('#timeline details'); more.open = true;
        return new Promise((done) => setTimeout(() => done(more.querySelectorAll('tbody tr').length)))";
    assert_eq!(pages.asked(by_table), 60);
}

#[test]
fn what_is_missing_is_said_and_what_is_much_is_drawn() {
    let pages = Pages::new();
    let end = f64::INFINITY;
    let quiet = |seconds, rate, instances| Run {
        seconds,
        rate,
        instances,
        outages: Vec::new(),
        failures: Vec::new(),
    };

    let mut nothing = report(&quiet(5, 40, Vec::new()));
    nothing.failed = 200;
    nothing.requests = 200;
    pages.open("nothing", &nothing, 1100, "light");
    assert!(pages.text("#timeline").contains("Nobody answered"));
    assert!(pages.text("#latency").contains("no good answer"));

    let mut refused = report(&Run { outages: vec![(0.0, 5.0, 1)], ..quiet(5, 40, Vec::new()) });
    refused.timeline.failed = [(Class::Refused, vec![40; 5])].into();
    pages.open("refused", &refused, 1100, "light");

    let alone = report(&quiet(60, 100, vec![named("ping.1@leader", 0.0, end, 1.0)]));
    pages.open("alone", &alone, 1100, "light");
    assert!(pages.text("#evenness").contains("No two instances"));

    let nameless = report(&quiet(10, 100, vec![Answering { name: None, from: 0.0, to: end, p50: 1.0 }]));
    pages.open("nameless", &nameless, 400, "dark");
    assert!(pages.text("#instances").contains("(no name)"));

    let mut once = report(&quiet(1, 1, vec![named("ping.1@leader", 0.0, end, 1.0)]));
    once.gaps = Gaps { longest: 0.0007, longest_at: 0.0005, ..once.gaps };
    once.gaps.listed.clear();
    (once.seconds, once.asked.rate, once.asked.requests, once.asked.duration) = (0.0012, None, Some(1), None);
    pages.open("once", &once, 1100, "light");
    pages.open("once", &once, 400, "light");

    let place = |number: u32| named(&format!("ping.{number}@worker-{}", number % 7), 0.0, end, 1.0);
    let crowd = report(&quiet(60, 1000, (1..=100).map(place).collect()));
    pages.open("crowd", &crowd, 1100, "light");
    assert_eq!(pages.number("#timeline-chart .lane"), 100);
    pages.open("crowd", &crowd, 400, "dark");

    let long = |number: u32| {
        named(&format!("a-service-with-a-name.{number}.{}@node", "very-".repeat(40)), 0.0, end, 1.0)
    };
    let mut lengthy = quiet(600, 50, (1..=3).map(long).collect());
    lengthy.instances[0].to = 300.0;
    lengthy.instances.push(long(4));
    lengthy.instances[3].from = 299.0;
    lengthy.outages = vec![(100.0, 100.4, 20), (101.5, 101.8, 20), (400.0, 430.0, 5)];
    let lengthy = report(&lengthy);
    pages.open("lengthy", &lengthy, 1100, "light");
    pages.open("lengthy", &lengthy, 400, "light");
}

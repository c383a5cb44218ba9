//! The HTML report of load, in a browser.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use harness::{Browser, TIMEOUT, eventually};
use load::page::page;
use load::report::{ErrorClass, Outages, Report, Timeline};
use serde_json::{Value, json};
use tempfile::TempDir;

use sample::{Run, SimulatedInstance, report};

mod sample;

/// Environment variable with a directory for pages and screenshots.
const PICTURES: &str = "SWARMLINGS_PICTURES";

/// Sections of the page in their order.
const SECTIONS: [&str; 10] = [
    "headline",
    "timeline",
    "statuses",
    "latency",
    "failures",
    "instances",
    "evenness",
    "warnings",
    "settings",
    "reading",
];

/// Malicious names and messages.
const MALICIOUS: [&str; 3] = [
    "</script><script>document.title = 'taken over'</script>",
    "<img src=http://127.0.0.1:9/x onerror=\"document.title = 'taken over'\">",
    "<!-- <script> {{style}} \u{2028}\u{1b}[31m\u{202e}\u{200b} & \"quoted\" 'name' ]]>",
];

/// Text as the page shows it: without invisible and bidirectional characters.
fn shown(text: &str) -> String {
    text.replace(['\u{2028}', '\u{1b}', '\u{202e}', '\u{200b}'], "\u{fffd}")
}

/// A browser, and a directory for pages.
struct Pages {
    browser: Browser,
    directory: TempDir,
}

impl Pages {
    fn new() -> Self {
        Self { browser: Browser::start(1100, 900).unwrap(), directory: tempfile::tempdir().unwrap() }
    }

    /// Opens the page of a report, and checks what holds for every page: no console message, no network access, all sections,
    /// no horizontal overflow, no invalid number.
    fn open(&self, name: &str, report: &Report, width: u32, scheme: &str) {
        let file = self.directory.path().join(format!("{name}.html"));
        fs::write(&file, page(report)).unwrap();
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.browser.command("Emulation.setDeviceMetricsOverride", &size).unwrap();
        // Print is always light, even if the user prefers dark.
        let (media, preferred) = if scheme == "print" { ("print", "dark") } else { ("screen", scheme) };
        let preferred = json!([{"name": "prefers-color-scheme", "value": preferred}]);
        let media = json!({"media": media, "features": preferred});
        self.browser.command("Emulation.setEmulatedMedia", &media).unwrap();
        self.browser.open(&file).unwrap();
        self.save(name, &file, width, scheme);
        assert_eq!(self.browser.console().unwrap(), [""; 0], "{name}");
        let requests = self.browser.requests().unwrap();
        let elsewhere: Vec<_> = requests
            .iter()
            .filter(|url| !url.ends_with(&format!("/{name}.html")) && *url != "data:,")
            .collect();
        assert!(elsewhere.is_empty() && !requests.is_empty(), "{name}: {requests:?}");
        let sections = "return [...document.querySelectorAll('main > *')].map((one) => one.id)";
        assert_eq!(self.run(sections), json!(SECTIONS), "{name}");
        let beyond = self.run("return document.documentElement.scrollWidth");
        assert!(beyond.as_u64() <= Some(width.into()), "{name} is {beyond} px wide, of {width}");
        let shown = self.text("main");
        for wrong in ["NaN", "undefined", "Infinity", "[object"] {
            assert!(!shown.contains(wrong), "{name} has {wrong}: {shown}");
        }
        self.check(name, width);
    }

    /// Checks the charts: no invalid number, no label over another one or beyond the edge.
    fn check(&self, name: &str, width: u32) {
        let wrong = self.run(
            "return [...document.querySelectorAll('svg *')].filter((one) => [...one.attributes]
                .some((it) => /NaN|undefined|Infinity/.test(it.value))).map((one) => one.outerHTML)",
        );
        assert_eq!(wrong, json!([]), "{name}");
        let overlapping = self.run(
            "return [...document.querySelectorAll('.chart > svg')].flatMap((chart) => {
                const texts = [...chart.querySelectorAll('text')].map((one) => [one.textContent, one.getBoundingClientRect()]);
                return texts.flatMap(([words, box], index) => texts.slice(index + 1)
                    .filter(([, other]) => Math.min(box.right, other.right) - Math.max(box.left, other.left) > 1
                        && Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 3)
                    .map(([others]) => `${words} | ${others}`))
                    .concat(texts.filter(([, box]) => box.left < 0 || box.right > innerWidth).map(([words]) => `${words} | edge`));
            })",
        );
        assert_eq!(overlapping, json!([]), "{name} at {width}");
    }

    fn run(&self, script: &str) -> Value {
        self.browser.run(script).unwrap()
    }

    fn text(&self, selector: &str) -> String {
        let script = format!("return document.querySelector({selector:?}).textContent");
        self.run(&script).as_str().unwrap().to_owned()
    }

    fn count(&self, selector: &str) -> u64 {
        self.run(&format!("return document.querySelectorAll({selector:?}).length")).as_u64().unwrap()
    }

    /// Saves page and screenshot in the directory named by [`PICTURES`].
    fn save(&self, name: &str, file: &Path, width: u32, scheme: &str) {
        let Some(directory) = directory() else { return };
        fs::create_dir_all(&directory).unwrap();
        fs::copy(file, directory.join(format!("{name}.html"))).unwrap();
        let picture = self.browser.screenshot(None).unwrap();
        fs::write(directory.join(format!("{name}-{width}-{scheme}.png")), picture).unwrap();
    }
}

/// Directory for pages and screenshots, if one is set.
fn directory() -> Option<PathBuf> {
    let directory = env::var_os(PICTURES).filter(|directory| !directory.is_empty())?;
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(directory))
}

fn named(name: &str, from: f64, to: f64, p50: f64) -> SimulatedInstance {
    SimulatedInstance { name: Some(name.to_owned()), from, to, p50 }
}

/// A rolling update in the order start-first, with an outage and failures.
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
            (18.31, ErrorClass::Reset, None, "reading a response: connection reset by peer"),
            (31.21, ErrorClass::Closed, None, "the server closed the connection during a response body"),
            (31.213, ErrorClass::Closed, None, "the server closed the connection during a response body"),
            (51.4, ErrorClass::Status5xx, Some(503), "503 Service Unavailable"),
        ],
    }
}

#[test]
fn charts_have_a_lane_for_each_instance() {
    let pages = Pages::new();
    let report = report(&update());
    for (width, scheme) in [(1100, "dark"), (720, "print"), (360, "dark"), (900, "light")] {
        pages.open("update", &report, width, scheme);
        for chart in ["#timeline-chart", "#distribution-chart"] {
            assert_eq!(pages.count(&format!("{chart} .lane")), 6, "{chart} at {width}");
        }
        let dark = pages.run("return getComputedStyle(document.body).color") == "rgb(233, 236, 241)";
        assert_eq!(dark, scheme == "dark", "{scheme}");
        assert_eq!(pages.count("#failures-chart .class"), 3);
        assert_eq!(pages.count("#latency-chart .l"), 3);
        assert_eq!(pages.count("#timeline-chart .gap"), 1);
        assert_eq!(pages.count("#timeline-chart .hand"), 3);
        assert_eq!(pages.count("#failures tbody tr"), report.failures.listed.len() as u64);
    }
    assert!(pages.text("h1").starts_with("120,004 requests in "), "{}", pages.text("h1"));
    assert!(pages.text("#assertions").contains("1 of 3 assertions failed"), "{}", pages.text("#assertions"));
}

#[test]
fn malicious_names_are_shown_as_text() {
    let pages = Pages::new();
    let mut run = update();
    run.seconds = 10;
    run.instances = MALICIOUS.iter().map(|name| named(name, 0.0, f64::INFINITY, 1.0)).collect();
    run.failures = vec![(5.0, ErrorClass::Reset, None, MALICIOUS[0])];
    let mut report = report(&run);
    report.warnings = MALICIOUS.map(str::to_owned).into();
    report.settings.urls[0].url = MALICIOUS[1].to_owned();
    report.settings.method = MALICIOUS[0].to_owned();
    report.assertions[0].got = MALICIOUS[1].to_owned();
    pages.open("malicious", &report, 360, "light");
    pages.run("document.querySelectorAll('details').forEach((one) => { one.open = true })");
    assert_eq!(pages.text("title"), pages.text("h1"));
    assert_eq!(pages.count("img, main script, script"), 2, "only those of the page");
    let names: Vec<_> = report.instances.iter().map(|one| one.name.as_deref().unwrap()).collect();
    assert!(MALICIOUS.iter().all(|name| names.contains(name)), "{names:?}");
    for (place, name) in names.iter().enumerate() {
        assert_eq!(pages.text(&format!("#instances tbody tr:nth-child({}) th", place + 1)), shown(name));
    }
    for (place, name) in MALICIOUS.iter().enumerate() {
        assert_eq!(pages.text(&format!("#warnings li:nth-child({})", place + 1)), shown(name));
    }
    assert_eq!(pages.text("#failures tbody td:nth-child(3)"), MALICIOUS[0]);
    assert!(pages.text("#where").contains(MALICIOUS[1]));
    assert_eq!(pages.browser.console().unwrap(), [""; 0]);
}

#[test]
fn tooltip_follows_pointer_and_arrow_keys() {
    let pages = Pages::new();
    pages.open("update", &report(&update()), 1100, "light");
    let with_pointer = "const chart = document.querySelector('#timeline-chart svg'), box = chart.getBoundingClientRect();
        chart.dispatchEvent(new PointerEvent('pointermove', { clientX: box.left + box.width * 0.5, clientY: box.top + 60 }));
        return document.getElementById('tip').innerText";
    let shown = pages.run(with_pointer);
    let shown = shown.as_str().unwrap();
    for part in ["all", "ping.1@worker-1", "/s"] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    let with_keys = "const key = (key) => document.querySelector('#latency-chart svg').dispatchEvent(new KeyboardEvent('keydown', { key }));
        key('ArrowRight'); key('ArrowRight'); key('ArrowLeft');
        const shown = document.getElementById('tip').innerText;
        key('Escape');
        return [shown, document.getElementById('tip').hidden]";
    let shown = pages.run(with_keys);
    assert!(shown[0].as_str().unwrap().starts_with("0.0 s – 1.0 s"), "{shown}");
    assert_eq!(shown[1], true);
    let in_table = "const more = document.querySelector('#timeline details'); more.open = true;
        return new Promise((done) => setTimeout(() => done(more.querySelectorAll('tbody tr').length)))";
    assert_eq!(pages.run(in_table), 60);
}

#[test]
fn page_handles_missing_and_excessive_data() {
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
    assert!(pages.text("#timeline").contains("No response"));
    assert!(pages.text("#latency").contains("no successful response"));

    let mut refused = report(&Run { outages: vec![(0.0, 5.0, 1)], ..quiet(5, 40, Vec::new()) });
    refused.timeline.failed = [(ErrorClass::Refused, vec![40; 5])].into();
    pages.open("refused", &refused, 1100, "light");

    let alone = report(&quiet(60, 100, vec![named("ping.1@leader", 0.0, end, 1.0)]));
    pages.open("alone", &alone, 1100, "light");
    assert!(pages.text("#evenness").contains("no two instances"));

    let nameless =
        report(&quiet(10, 100, vec![SimulatedInstance { name: None, from: 0.0, to: end, p50: 1.0 }]));
    pages.open("nameless", &nameless, 360, "dark");
    assert!(pages.text("#instances").contains("(no name)"));

    let mut once = report(&quiet(1, 1, vec![named("ping.1@leader", 0.0, end, 1.0)]));
    once.outages = Outages { longest: 0.0007, longest_at: 0.0005, ..once.outages };
    once.outages.listed.clear();
    (once.seconds, once.settings.rate, once.settings.requests, once.settings.duration) =
        (0.0012, None, Some(1), None);
    pages.open("once", &once, 1100, "light");
    pages.open("once", &once, 360, "light");

    let place = |number: u32| named(&format!("ping.{number}@worker-{}", number % 7), 0.0, end, 1.0);
    let crowd = report(&quiet(60, 1000, (1..=100).map(place).collect()));
    pages.open("crowd", &crowd, 1100, "light");
    assert_eq!(pages.count("#timeline-chart .lane"), 20);
    pages.open("crowd", &crowd, 360, "dark");
    assert_eq!(pages.count(".lane"), 40, "of two charts");
    for (section, lanes) in [("timeline", 80), ("latency", 80), ("instances", 0)] {
        let summary = pages.text(&format!("#{section} .more summary"));
        assert!(summary.starts_with("80 more: 0.9 % to 1."), "{summary}");
        pages.run(&format!("document.querySelector('#{section} .more').open = true"));
        let drawn = || Ok::<_, String>(pages.count(&format!("#{section} .more .lane")) == lanes);
        eventually(TIMEOUT, drawn).unwrap();
    }
    assert_eq!(pages.count("#instances tbody tr"), 100);
    pages.check("crowd", 360);

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
    pages.open("lengthy", &lengthy, 360, "light");
}

#[test]
fn column_without_responses_has_no_peak() {
    let pages = Pages::new();
    let end = f64::INFINITY;
    let mut run = update();
    (run.seconds, run.failures) = (20, Vec::new());
    run.instances = vec![named("ping.1@leader", 0.0, end, 1.0), named("ping.2@worker-1", 0.0, end, 1.0)];
    // All requests of two seconds fail.
    run.outages = vec![(5.0, 7.0, 1)];
    let mut report = report(&run);
    pages.open("outage", &report, 1100, "light");
    let shown = pages.text("#timeline-chart");
    assert!(!shown.contains("up to"), "{shown}");
    // After another outage, all delayed responses arrive at once.
    report.timeline.ok[9] *= 12;
    pages.open("outage", &report, 1100, "light");
    let shown = pages.text("#timeline-chart");
    assert!(shown.contains("▲ up to 23,"), "{shown}");
}

#[test]
fn stragglers_after_the_end_have_a_maximum_only() {
    let pages = Pages::new();
    let mut run = update();
    (run.seconds, run.failures, run.outages) = (20, Vec::new(), Vec::new());
    let mut report = report(&run);
    let latencies = |timeline: &mut Timeline, count, time| {
        timeline.ok.push(count);
        for list in [&mut timeline.p50, &mut timeline.p99, &mut timeline.max] {
            list.push(time);
        }
    };
    latencies(&mut report.timeline, 3, 0.9);
    report.instances[0].last = 20.9;
    pages.open("stragglers", &report, 1100, "light");
    let points = |kind| {
        let script = format!(
            "return document.querySelector('#latency-chart .l{kind}').getAttribute('d').split(/[ML]/).length - 1"
        );
        pages.run(&script).as_u64().unwrap()
    };
    assert_eq!([0, 1, 2].map(points), [20, 20, 21]);
    let last = "const key = (key) => document.querySelector('#latency-chart svg').dispatchEvent(new KeyboardEvent('keydown', { key }));
        for (let step = 0; step < 30; step++) key('ArrowRight');
        return document.getElementById('tip').innerText";
    let tip = pages.run(last);
    let tip = tip.as_str().unwrap();
    assert_eq!(tip.matches("too few responses").count(), 2, "{tip}");
    assert!(tip.contains("900 ms"), "{tip}");
    // The same number is not few in a slow run.
    report.timeline.ok.iter_mut().for_each(|count| *count = 3);
    pages.open("stragglers", &report, 1100, "light");
    assert_eq!([0, 1, 2].map(points), [21, 21, 21]);
}

#[test]
fn statuses_and_phases_are_shown() {
    let pages = Pages::new();
    let mut report = report(&update());
    report.ok_by_status = [(200, 119_000), (204, 979)].into();
    report.phases.connect = report.latency.clone();
    report.phases.tls = report.latency.clone();
    pages.open("phases", &report, 360, "light");
    let statuses = pages.text("#statuses");
    for part in ["✓ 200 × 119,000", "✓ 204 × 979", "✗ 502 × ", "✗ 503 × 1"] {
        assert!(statuses.contains(part), "{part} is not in {statuses}");
    }
    let latency = pages.text("#latency");
    for part in ["TCP connection", "TLS handshake", "first byte of the response"] {
        assert!(latency.contains(part), "{part} is not in {latency}");
    }
}

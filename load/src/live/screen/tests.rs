use super::*;
use crate::printable::width;
use crate::report::{ErrorClass, FailedRequest};

fn active(name: &str, share: f64) -> InstanceState {
    InstanceState {
        name: Some(name.to_owned()),
        share,
        rate: 2000.0 * share,
        p99: 0.0031,
        ..InstanceState::default()
    }
}

fn snapshot() -> Snapshot {
    let gone = InstanceState { activity: Activity::Left(3.2), ..active("ping.1@leader", 0.0) };
    let new = InstanceState { activity: Activity::Joined(3.5), ..active("ping.1@worker-2", 0.334) };
    let failed = FailedRequest {
        at: 11.231,
        sent: 11.2,
        class: ErrorClass::Status5xx,
        status: Some(503),
        instance: Some("ping.3@worker-1".to_owned()),
        url: 0,
        text: "503 Service Unavailable".to_owned(),
    };
    Snapshot {
        elapsed: 12.4,
        duration: Some(60.0),
        target_rate: Some(2000.0),
        rates: vec![1990.0, 2000.0, 2000.0, 900.0, 1998.0],
        p99: vec![0.002, 0.003, 0.0, 0.4, 0.0032],
        p50: 812e-6,
        ok: 24_811,
        failed: 3,
        by_class: vec![(ErrorClass::Status5xx, 2), (ErrorClass::Refused, 1)],
        longest_gap: 0.42,
        instances: vec![gone, active("ping.2@worker-1", 0.331), active("ping.3@worker-1", 0.335), new],
        failures: vec![failed],
        ..Snapshot::default()
    }
}

fn many(number: u32) -> Snapshot {
    let instances = (0..number).map(|n| active(&format!("ping.{n}@worker"), 1.0 / f64::from(number)));
    Snapshot { instances: instances.collect(), ..snapshot() }
}

fn drawn(snapshot: &Snapshot, width: u16, height: u16) -> Vec<String> {
    screen(snapshot, width, height).iter().map(|line| line.text().trim_end().to_owned()).collect()
}

#[test]
fn wide_screen_shows_everything() {
    let expected = "\
12.4 s of 60 s                                               1,998/s of 2,000/s
━━━━━━━━━━━━━━━━───────────────────────────────────────────────────────────────
24,811 ok · 3 failed · 0 late                                longest gap 420 ms
rate ███▄█                                                            ≤ 2,000/s
p99  ▁▁ █▁                                              p50 812 µs · p99 3.2 ms

– ping.1@leader                                                    left 3 s ago
● ping.2@worker-1 ██████████████████████████████▋  33.1 %    662/s   p99 3.1 ms
● ping.3@worker-1 ███████████████████████████████  33.5 %    670/s   p99 3.1 ms
+ ping.1@worker-2 ████████████████ joined 4 s ago  33.4 %    668/s   p99 3.1 ms

failed  5xx 2 · refused 1
   11.231 s  503 Service Unavailable from ping.3@worker-1";
    assert_eq!(drawn(&snapshot(), 80, 24).join("\n"), expected);
}

#[test]
fn narrow_screen_shows_the_essentials() {
    let expected = "\
12.4 s of 60 s       1,998/s of 2,000/s
━━━━━━━━───────────────────────────────
24,811 ok · 3 failed · 0 late
longest gap 420 ms
rate ███▄█                    ≤ 2,000/s
p99  ▁▁ █▁                       3.2 ms

– ping.1@leader            left 3 s ago
● ping.2@…rker-1 █████████████▉  33.1 %
● ping.3@…rker-1 ██████████████  33.5 %
+ ping.1@…rker-2 ██████████████  33.4 %

failed  5xx 2 · refused 1
   11.231 s  503 Service Unavailable fr";
    assert_eq!(drawn(&snapshot(), 40, 24).join("\n"), expected);
}

#[test]
fn screen_fits_any_size() {
    for number in [0, 1, 4, 30, 256] {
        let mut snapshot = many(number);
        snapshot.outage = Some(1.3);
        for columns in (0..130).chain([500]) {
            for rows in [0, 1, 2, 5, 10, 24, 50] {
                let lines = screen(&snapshot, columns, rows);
                assert!(lines.len() <= usize::from(rows).saturating_sub(1), "{number} in {columns}×{rows}");
                for line in lines {
                    let wide = width(&line.text());
                    assert!(
                        wide <= usize::from(columns).saturating_sub(1),
                        "{wide} of {columns}: {}",
                        line.text()
                    );
                }
            }
        }
    }
}

#[test]
fn many_instances_are_shown_in_columns() {
    let wide = drawn(&many(30), 80, 24).join("\n");
    assert_eq!(wide.matches("ping.").count(), 30, "{wide}");
    assert!(wide.contains("failed  5xx 2"), "{wide}");
    let narrow = drawn(&many(30), 40, 24).join("\n");
    assert!(narrow.contains(" more: 3.3 % each"), "{narrow}");
    let high = drawn(&many(30), 40, 60).join("\n");
    assert_eq!(high.matches("● ping.").count(), 30, "{high}");
}

#[test]
fn instance_that_left_is_hidden_first() {
    let mut snapshot = many(30);
    snapshot.instances[0].activity = Activity::Left(9.0);
    let shown = drawn(&snapshot, 40, 24).join("\n");
    assert!(!shown.contains("ping.0@") && shown.contains("ping.1@"), "{shown}");
}

#[test]
fn text_from_servers_cannot_control_the_terminal() {
    let mut snapshot = snapshot();
    let hostile = "\u{1b}[2J\u{1b}]0;title\u{7}\r\n\u{9b}31m";
    snapshot.instances[1].name = Some(hostile.to_owned());
    snapshot.failures[0].text = hostile.to_owned();
    snapshot.failures[0].instance = Some(hostile.to_owned());
    for width in [40, 80, 160] {
        for line in screen(&snapshot, width, 24) {
            assert!(!line.text().contains(char::is_control), "{:?}", line.text());
        }
    }
    assert!(!status_line(&snapshot).contains(char::is_control));
}

#[test]
fn status_line_has_all_figures() {
    assert_eq!(
        status_line(&snapshot()),
        "12.4 s · 1,998/s · 24,811 ok · 3 failed · 0 late · p50 812 µs · p99 3.2 ms · longest gap 420 ms · 3 of 4 \
         instances active"
    );
}

#[test]
fn current_outage_is_shown() {
    let snapshot = Snapshot { outage: Some(1.25), ..snapshot() };
    assert!(drawn(&snapshot, 80, 24)[2].ends_with("outage for 1.25 s"));
    assert!(drawn(&snapshot, 40, 24).contains(&"outage for 1.25 s".to_owned()));
    assert!(status_line(&snapshot).contains("outage for 1.25 s"));
}

#[test]
fn coloured_text_differs_only_by_its_colours() {
    for line in screen(&snapshot(), 80, 24) {
        let mut plain = String::new();
        for (place, part) in line.coloured().split('\u{1b}').enumerate() {
            plain += if place == 0 { part } else { part.split_once('m').unwrap().1 };
        }
        assert_eq!(plain, line.text());
        assert!(!line.coloured().contains('\u{1b}') || line.coloured().contains("\u{1b}[m"));
    }
}

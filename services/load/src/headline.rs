//! The report in one sentence.

use crate::figures::count;
use crate::report::Report;

/// What there is to say first: `60 s · 120,000 requests · 0 failed · longest gap 3 ms`.
pub fn headline(report: &Report) -> String {
    let requests = if report.requests == 1 { "request" } else { "requests" };
    let failed = count(report.failed);
    // Without an answer the whole time is a gap, which says less than that there was none.
    let last = if report.ok == 0 {
        "no good answer".to_owned()
    } else {
        format!("longest gap {}", brief(report.gaps.longest))
    };
    format!("{} · {} {requests} · {failed} failed · {last}", brief(report.seconds), count(report.requests))
}

/// A length of time, given in seconds, by the digits that count and no zeros behind them: `812 µs`, `3 ms`, `10 min`.
pub fn brief(seconds: f64) -> String {
    // What is none at all is written as such too, rather than being wrong.
    if seconds.is_nan() || seconds <= 0.0 {
        "0 ms".to_owned()
    } else if seconds < 0.9995e-3 {
        format!("{} µs", digits(seconds * 1e6))
    } else if seconds < 0.9995 {
        format!("{} ms", digits(seconds * 1e3))
    } else if seconds < 119.95 {
        format!("{} s", digits(seconds))
    } else {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is at least 119")]
        let seconds = seconds.round() as u64;
        match seconds % 60 {
            0 => format!("{} min", count(seconds / 60)),
            rest => format!("{} min {rest} s", count(seconds / 60)),
        }
    }
}

fn digits(value: f64) -> String {
    let places = if value >= 99.95 {
        return format!("{value:.0}");
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let written = format!("{value:.places$}");
    written.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    #[test]
    fn a_time_has_the_unit_that_suits_it() {
        let seconds = [0.0, 7e-7, 812e-6, 0.000_999_7, 0.003, 0.0412, 0.2501, 0.9996, 41.23, 60.0, 119.96];
        let expected = [
            "0 ms", "0.7 µs", "812 µs", "1 ms", "3 ms", "41.2 ms", "250 ms", "1 s", "41.2 s", "60 s", "2 min",
        ];
        assert_eq!(seconds.map(brief), expected);
        assert_eq!([600.0, 605.4, 72_000.0].map(brief), ["10 min", "10 min 5 s", "1,200 min"]);
        assert_eq!([-1.0, f64::NAN].map(brief), ["0 ms", "0 ms"]);
    }

    #[test]
    fn without_a_good_answer_there_is_no_gap_to_speak_of() {
        let mut report = sample();
        assert_eq!(headline(&report), "10 s · 20,000 requests · 1 failed · longest gap 300 ms");
        (report.ok, report.requests) = (0, 1);
        assert_eq!(headline(&report), "10 s · 1 request · 1 failed · no good answer");
    }
}

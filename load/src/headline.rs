//! The report in one sentence.

use crate::figures::{brief, count};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    #[test]
    fn without_a_good_answer_there_is_no_gap_to_speak_of() {
        let mut report = sample();
        assert_eq!(headline(&report), "10 s · 20,000 requests · 1 failed · longest gap 300 ms");
        (report.ok, report.requests) = (0, 1);
        assert_eq!(headline(&report), "10 s · 1 request · 1 failed · no good answer");
    }
}

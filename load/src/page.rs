//! The report as a self-contained HTML page.
//!
//! A script in the page draws it from the report's JSON, which is embedded. The script inserts all strings as text nodes,
//! since some come from servers, and the content security policy forbids network access.

use crate::format::{brief, count};
use crate::report::Report;

const TEMPLATE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = concat!(
    include_str!("page/text.js"),
    include_str!("page/chart.js"),
    include_str!("page/timeline.js"),
    include_str!("page/latency.js"),
    include_str!("page/sections.js"),
);

/// Renders the page.
pub fn page(report: &Report) -> String {
    // Serializing a report cannot fail. The browser would report an empty string on its console.
    let json = serde_json::to_string(report).unwrap_or_default();
    let (title, json) = (escape_html(&title(report)), escape_script(&json));
    let mut page = String::with_capacity(TEMPLATE.len() + STYLE.len() + SCRIPT.len() + json.len());
    let mut rest = TEMPLATE;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, mark)| Some((before, mark.split_once("}}")?)))
    {
        page.push_str(before);
        page.push_str(match name {
            "style" => STYLE,
            "script" => SCRIPT,
            "report" => &json,
            _ => &title,
        });
        rest = after;
    }
    page + rest
}

/// Summarises the report: `120,000 requests in 60 s, none failed, longest gap between responses 3 ms`.
fn title(report: &Report) -> String {
    // Numbers stay in one line with their units.
    let time = |seconds| brief(seconds).replace(' ', "\u{a0}");
    let requests = if report.requests == 1 { "request" } else { "requests" };
    let failed = match report.failed {
        0 => "none failed".to_owned(),
        failed if failed == report.requests && failed > 1 => "all failed".to_owned(),
        failed => format!("{} failed", count(failed)),
    };
    let gap = match report.ok {
        0 => String::new(),
        _ => format!(", longest gap between responses {}", time(report.outages.longest)),
    };
    format!("{} {requests} in {}, {failed}{gap}", count(report.requests), time(report.seconds))
}

/// Escapes JSON so that an HTML parser finds neither the end of the script nor a comment in it. These characters occur only
/// in strings.
fn escape_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    #[test]
    fn strings_of_the_report_cannot_end_the_script() {
        let hostile = "</script><script>alert(1)</script><!-- <script> ]]> & \u{2028}{{style}}";
        let mut report = sample();
        report.settings.urls[0].url = hostile.to_owned();
        report.settings.instance = hostile.to_owned();
        report.warnings = vec![hostile.to_owned()];
        report.instances[0].name = Some(hostile.to_owned());
        report.failures.listed[0].text = hostile.to_owned();
        let page = page(&report);
        assert_eq!(page.matches("</script").count(), 2, "only those of the template");
        assert_eq!(page.matches("<!--").count(), 0);
        let (_, data) = page.split_once("id=\"data\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        assert_eq!(serde_json::from_str::<Report>(data).unwrap(), report, "the data is unchanged");
    }

    #[test]
    fn page_loads_nothing() {
        let page = page(&sample());
        let (before, after) = page.split_once("id=\"data\">").unwrap();
        let own = [before, after.split_once("</script>").unwrap().1].concat();
        for what in ["src=", "@import", "url(h", "fetch(", "<link rel=\"stylesheet", "{{"] {
            assert!(!own.contains(what), "{what}");
        }
        let addresses: Vec<_> = own.match_indices("http://").map(|(at, _)| &own[at..at + 18]).collect();
        assert!(
            addresses.iter().all(|address| *address == "http://www.w3.org/"),
            "namespaces only: {addresses:?}"
        );
        assert!(!own.contains("https://"));
    }

    #[test]
    fn title_summarises_the_run() {
        let mut report = sample();
        let shown = title(&report).replace('\u{a0}', " ");
        assert_eq!(shown, "20,000 requests in 10 s, 1 failed, longest gap between responses 300 ms");
        let page = page(&report);
        for element in ["title", "h1"] {
            assert!(page.contains(&format!("<{element}>{}</{element}>", title(&report))));
        }
        report.failed = 0;
        assert!(title(&report).contains(", none failed, "));
        (report.requests, report.ok, report.failed) = (200, 0, 200);
        assert_eq!(title(&report), "200 requests in 10\u{a0}s, all failed");
        (report.requests, report.failed) = (1, 1);
        assert_eq!(title(&report), "1 request in 10\u{a0}s, 1 failed");
    }
}

//! The report as a page for a browser: one file that needs no other.
//!
//! Its own script draws it from the report's JSON, which is in it. Whatever strings are in there, those of servers among
//! them, become text nodes; and its policy forbids the page to load or to send anything.

use crate::headline::headline;
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

/// The page.
pub fn page(report: &Report) -> String {
    // Nothing in a report is without a form in JSON; a page without it would say so in the browser's console.
    let json = serde_json::to_string(report).unwrap_or_default();
    let (headline, json) = (text(&headline(report)), within_script(&json));
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
            _ => &headline,
        });
        rest = after;
    }
    page + rest
}

/// JSON that no parser of HTML takes for an end of the script or for a comment in it: outside of strings it has none of
/// these signs.
fn within_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::sample;

    #[test]
    fn no_string_of_a_report_ends_the_script_or_begins_another() {
        let hostile = "</script><script>alert(1)</script><!-- <script> ]]> & \u{2028}{{style}}";
        let mut report = sample();
        report.asked.urls[0].url = hostile.to_owned();
        report.asked.instance = hostile.to_owned();
        report.warnings = vec![hostile.to_owned()];
        report.instances[0].name = Some(hostile.to_owned());
        report.failures.listed[0].text = hostile.to_owned();
        let page = page(&report);
        assert_eq!(page.matches("</script").count(), 2, "those of the template");
        assert_eq!(page.matches("<!--").count(), 0);
        let (_, data) = page.split_once("id=\"data\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        assert_eq!(serde_json::from_str::<Report>(data).unwrap(), report, "and it is still the same");
    }

    #[test]
    fn nothing_of_it_comes_from_elsewhere() {
        let page = page(&sample());
        let (before, after) = page.split_once("id=\"data\">").unwrap();
        let own = [before, after.split_once("</script>").unwrap().1].concat();
        for what in ["src=", "@import", "url(h", "fetch(", "<link rel=\"stylesheet", "{{"] {
            assert!(!own.contains(what), "{what}");
        }
        let addresses: Vec<_> = own.match_indices("http://").map(|(at, _)| &own[at..at + 18]).collect();
        assert!(
            addresses.iter().all(|address| *address == "http://www.w3.org/"),
            "names only: {addresses:?}"
        );
        assert!(!own.contains("https://"));
    }

    #[test]
    fn its_title_and_its_heading_say_it_in_one_sentence() {
        let page = page(&sample());
        let sentence = "10 s · 20,000 requests · 1 failed · longest gap 300 ms";
        assert!(page.contains(&format!("<title>{sentence}</title>")));
        assert!(page.contains(&format!("<h1>{sentence}</h1>")));
    }
}

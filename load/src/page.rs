//! The report as a self-contained HTML page.
//!
//! A script in the page draws it from the report's JSON, which is embedded. The script inserts all strings as text nodes,
//! since some come from servers, and the content security policy forbids network access.

use crate::report::Report;
use crate::text::headline;

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
    let (headline, json) = (escape_html(&headline(report)), escape_script(&json));
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
    fn title_and_heading_are_the_headline() {
        let page = page(&sample());
        let sentence = "10 s · 20,000 requests · 1 failed · longest gap 300 ms";
        assert!(page.contains(&format!("<title>{sentence}</title>")));
        assert!(page.contains(&format!("<h1>{sentence}</h1>")));
    }
}

//! Diagnostics of a file. Equal messages appear once, with their number.

use traefik::Diagnostic;

/// Maximum number of places that a line lists.
const MAX_PLACES: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Message>);

#[derive(Debug)]
struct Message {
    level: &'static str,
    text: String,
    count: usize,
    first_label: String,
    places: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, level: &'static str, place: &str, diagnostics: &[Diagnostic]) {
        for Diagnostic { label, message } in diagnostics {
            let known = self.0.iter_mut().find(|known| known.level == level && known.text == *message);
            if let Some(known) = known {
                known.count += 1;
                if known.places.last().is_none_or(|last| last != place) {
                    known.places.push(place.to_owned());
                }
                continue;
            }
            let (text, first_label, places) = (message.clone(), label.clone(), vec![place.to_owned()]);
            self.0.push(Message { level, text, count: 1, first_label, places });
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|message| message.level == "error")
    }

    /// Returns the lines for stderr.
    pub(crate) fn lines(&self, file: &str) -> String {
        let line = |message: &Message| {
            let Message { level, text, count, first_label, places } = message;
            let place = places.first().filter(|place| !place.is_empty());
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            let label = if first_label.is_empty() { String::new() } else { format!("{first_label}: ") };
            let others: Vec<_> = places.iter().skip(1).take(MAX_PLACES).map(String::as_str).collect();
            let more = if places.len() > MAX_PLACES + 1 { ", …" } else { "" };
            let times = match (count, others.as_slice()) {
                (1, _) => String::new(),
                (_, []) => format!(" ({count} times)"),
                (_, others) => format!(" ({count} times, also in {}{more})", others.join(", ")),
            };
            format!("{file}: {place}{level}: {label}{text}{times}\n")
        };
        self.0.iter().map(line).collect()
    }
}

//! A styled line of known width.

use unicode_width::UnicodeWidthChar;

use crate::printable::width;

/// Appearance of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Dim,
    Bold,
    Good,
    Warn,
    Bad,
    /// Colour of the instance with this index.
    Bar(usize),
}

impl Style {
    /// Parameter of the ANSI sequence SGR. The colours are those of the terminal's palette, which suit its background.
    fn code(self) -> &'static str {
        const BARS: [&str; 6] = ["34", "33", "36", "35", "94", "32"];
        match self {
            Self::Plain => "",
            Self::Dim => "2",
            Self::Bold => "1",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Bar(index) => BARS[index % BARS.len()],
        }
    }
}

/// A line of styled text. Text from servers has to be made [`printable`](crate::printable) first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Appends text.
    #[must_use]
    pub(super) fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// Appends text that is aligned with column `columns`, if there is room.
    #[must_use]
    pub(super) fn right(mut self, style: Style, text: String, columns: usize) -> Self {
        let start = columns.saturating_sub(width(&text)).max(self.width() + 1);
        self.pad(start);
        self.with(style, text)
    }

    /// Appends another line.
    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Appends spaces up to a width.
    pub(super) fn pad(&mut self, columns: usize) {
        let missing = columns.saturating_sub(self.width());
        self.0.push((Style::Plain, " ".repeat(missing)));
    }

    /// Width in columns.
    pub(super) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| width(text)).sum()
    }

    /// Truncates the line to a width.
    pub(super) fn truncate(&mut self, columns: usize) {
        let mut used = 0;
        for (_, text) in &mut self.0 {
            text.retain(|char| {
                used += char.width().unwrap_or(0);
                used <= columns
            });
        }
    }

    /// Text without styles.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Text with ANSI sequences.
    pub(super) fn coloured(&self) -> String {
        let mut coloured = String::new();
        for (style, text) in self.0.iter().filter(|(_, text)| !text.is_empty()) {
            match style.code() {
                "" => coloured.push_str(text),
                code => coloured.extend(["\x1b[", code, "m", text, "\x1b[m"]),
            }
        }
        coloured
    }
}

//! A line of text in colours, of which it is known how wide it is.

use unicode_width::UnicodeWidthChar;

use crate::printable::width;

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As all text does.
    Plain,
    /// Less than that.
    Soft,
    /// More than that.
    Bold,
    /// As what is well.
    Good,
    /// As what may be doubted.
    Warn,
    /// As what went wrong.
    Bad,
    /// As the instance of this number.
    Bar(usize),
}

impl Style {
    /// The parameter of ANSI's SGR. Colours are the terminal's own, which suit its background.
    fn code(self) -> &'static str {
        const BARS: [&str; 6] = ["34", "33", "36", "35", "94", "32"];
        match self {
            Self::Plain => "",
            Self::Soft => "2",
            Self::Bold => "1",
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31",
            Self::Bar(number) => BARS[number % BARS.len()],
        }
    }
}

/// A line. Whoever adds others' text makes it printable first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(Style, String)>);

impl Line {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// With more text at its end.
    #[must_use]
    pub fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// With text that ends in the last of so many columns, if there is room for it.
    #[must_use]
    pub fn right(mut self, style: Style, text: String, columns: usize) -> Self {
        let start = columns.saturating_sub(width(&text)).max(self.width() + 1);
        self.fill(start);
        self.with(style, text)
    }

    /// Adds another line at its end.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Adds spaces until it is so wide.
    pub fn fill(&mut self, columns: usize) {
        let missing = columns.saturating_sub(self.width());
        self.0.push((Style::Plain, " ".repeat(missing)));
    }

    /// How many columns it takes.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| width(text)).sum()
    }

    /// Cuts off what is beyond so many columns.
    pub fn cut(&mut self, columns: usize) {
        let mut used = 0;
        for (_, text) in &mut self.0 {
            text.retain(|sign| {
                used += sign.width().unwrap_or(0);
                used <= columns
            });
        }
    }

    /// Its text alone.
    pub fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// Its text in colours.
    pub fn coloured(&self) -> String {
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

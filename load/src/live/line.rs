//! A styled line of known width, and text that is safe to print.

use unicode_width::UnicodeWidthChar;

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

/// A line of styled text. Text from servers has to be made [`printable`] first.
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

/// Replaces control characters with their pictures and bidirectional controls with U+FFFD, and removes characters without
/// width, so that the text can neither control the terminal nor garble the line.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .filter_map(|char| match char {
            // The block Control Pictures.
            '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(char)),
            '\u{7f}' => Some('␡'),
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' => Some('\u{fffd}'),
            _ => char.width().filter(|width| *width > 0).map(|_| char),
        })
        .collect()
}

/// Width of printable text in columns.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|char| char.width().unwrap_or(0)).sum()
}

/// Makes text printable and exactly `columns` wide: padded, or shortened in the middle, since names differ at either end.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let text = printable(text);
    let shortened = if width(&text) <= columns { text } else { shorten(&text, columns) };
    let missing = columns.saturating_sub(width(&shortened));
    shortened + &" ".repeat(missing)
}

fn shorten(text: &str, columns: usize) -> String {
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let take = |chars: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        let fits = |char: &char| {
            used += char.width().unwrap_or(0);
            used <= room
        };
        chars.take_while(fits).collect::<Vec<_>>()
    };
    let start = take(&mut text.chars(), room.div_ceil(2));
    let end = take(&mut text.chars().rev(), room / 2);
    start.into_iter().chain(['…']).chain(end.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_cannot_control_the_terminal() {
        assert_eq!(printable("\u{1b}[2Ja\r\nb\u{7f}"), "␛[2Ja␍␊b␡");
        assert_eq!(printable("\u{9b}31m\u{202e}evil\u{2066}"), "\u{fffd}31m\u{fffd}evil\u{fffd}");
        assert_eq!(printable("a\u{200b}\u{301}b"), "ab", "characters without width are removed");
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        assert!(!printable(&all).chars().any(char::is_control));
    }

    #[test]
    fn fitted_name_has_exactly_the_given_width() {
        for name in ["", "ping", "ping.1@worker-2", "名前の長いサービス", "é😀\u{1b}", "日"] {
            for columns in 0..30 {
                assert_eq!(width(&fit(name, columns)), columns, "{name} in {columns}");
            }
        }
        assert_eq!(fit("ping.1@worker-2", 9), "ping…er-2");
        assert_eq!(fit("ping", 6), "ping  ");
        assert_eq!(fit("名前の長い", 5), "名…い");
    }
}

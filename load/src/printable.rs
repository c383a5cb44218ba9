//! Text that is safe to print, and its width on a terminal.

use unicode_width::UnicodeWidthChar;

/// Replaces control characters with their pictures, and characters that are invisible or change the direction of text with
/// U+FFFD. The text can then neither control the terminal nor look like another one.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|char| match char {
            // The block Control Pictures.
            '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(char)).unwrap_or('\u{fffd}'),
            '\u{7f}' => '␡',
            // Soft hyphen, line and paragraph separator, bidirectional controls. Some have a width.
            '\u{ad}' | '\u{61c}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            _ if char.width().unwrap_or(0) == 0 => '\u{fffd}',
            _ => char,
        })
        .collect()
}

/// Width of printable text in columns.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|char| char.width().unwrap_or(0)).sum()
}

/// Makes text printable and exactly `columns` wide: padded, or shortened.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let shortened = shorten(text, columns);
    let missing = columns.saturating_sub(width(&shortened));
    shortened + &" ".repeat(missing)
}

/// Makes text printable and at most `columns` wide. It is shortened in the middle, since names differ at either end.
pub(crate) fn shorten(text: &str, columns: usize) -> String {
    let text = printable(text);
    if width(&text) <= columns {
        return text;
    }
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
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        assert!(!printable(&all).chars().any(char::is_control));
    }

    #[test]
    fn invisible_characters_are_replaced() {
        // Zero width: space, non-joiner, joiner, word joiner, byte order mark; a combining accent, a variation selector, a tag.
        for invisible in
            "\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}\u{301}\u{fe0f}\u{e0041}\u{ad}\u{3164}".chars()
        {
            assert_eq!(
                printable(&format!("pi{invisible}ng")),
                "pi\u{fffd}ng",
                "{}",
                invisible.escape_unicode()
            );
        }
        assert_eq!(printable("名前 é 😀"), "名前 é 😀");
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

//! Others' text on a terminal: what it may hold, and how wide it is.

use unicode_width::UnicodeWidthChar;

/// The text without what a terminal would obey or what would mix up a line: control characters are replaced by their
/// pictures, those that change the direction of writing by a mark, and what has no width is left out.
pub fn printable(text: &str) -> String {
    text.chars().filter_map(shown).collect()
}

/// How many columns it takes, printable as it is.
pub fn width(text: &str) -> usize {
    text.chars().map(|sign| sign.width().unwrap_or(0)).sum()
}

/// The text in exactly so many columns: filled up by spaces, or cut in its middle, since names differ at either end.
pub fn fitted(text: &str, columns: usize) -> String {
    let text = printable(text);
    let cut = if width(&text) <= columns { text } else { shortened(&text, columns) };
    let fill = columns.saturating_sub(width(&cut));
    cut + &" ".repeat(fill)
}

/// So much of its beginning and end as there is room for, around a sign for what is left out.
fn shortened(text: &str, columns: usize) -> String {
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let taken = |signs: &mut dyn Iterator<Item = char>, room: usize| {
        let mut used = 0;
        let fits = |sign: &char| {
            used += sign.width().unwrap_or(0);
            used <= room
        };
        signs.take_while(fits).collect::<Vec<_>>()
    };
    let begin = taken(&mut text.chars(), room.div_ceil(2));
    let end = taken(&mut text.chars().rev(), room / 2);
    begin.into_iter().chain(['…']).chain(end.into_iter().rev()).collect()
}

fn shown(sign: char) -> Option<char> {
    match sign {
        // Unicode has a picture of each.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(sign)),
        '\u{7f}' => Some('␡'),
        // The other controls, and what turns the direction of writing or ends a line.
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => Some('\u{fffd}'),
        _ => sign.width().filter(|width| *width > 0).map(|_| sign),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(printable("\u{1b}[2Ja\r\nb\u{7f}"), "␛[2Ja␍␊b␡");
        assert_eq!(printable("\u{9b}31m\u{202e}evil\u{2066}"), "\u{fffd}31m\u{fffd}evil\u{fffd}");
        assert_eq!(printable("a\u{200b}\u{301}b"), "ab", "what has no width could pile up");
        let all: String = (0..=0x2fff).filter_map(char::from_u32).collect();
        assert!(!printable(&all).chars().any(char::is_control));
    }

    #[test]
    fn a_name_has_exactly_the_columns_that_it_is_given() {
        for name in ["", "ping", "ping.1@worker-2", "名前の長いサービス", "é😀\u{1b}", "日"] {
            for columns in 0..30 {
                assert_eq!(width(&fitted(name, columns)), columns, "{name} in {columns}");
            }
        }
        assert_eq!(fitted("ping.1@worker-2", 9), "ping…er-2");
        assert_eq!(fitted("ping", 6), "ping  ");
        assert_eq!(fitted("名前の長い", 5), "名…い");
    }
}

//! Tables of text. Pure.

/// Minimum width of a column that is shortened.
const MIN_WIDTH: usize = 8;
const GAP: &str = "  ";

/// Aligns `rows`, the first of which has the titles. If they are wider than `columns`, the widest cells are shortened.
pub(crate) fn align(rows: &[Vec<String>], columns: Option<usize>) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let mut widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or(0)).collect();
    let gaps = GAP.len() * count.saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > columns.unwrap_or(usize::MAX)
        && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > MIN_WIDTH)
    {
        *widest -= 1;
    }
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", shorten(cell, *width)));
        text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
        text.push('\n');
    }
    text
}

/// Replaces control characters, which would control the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// Formats a time in milliseconds with one unit: `850ms`, `12s`, `5m`, `3h`, `4d`.
pub(crate) fn age(millis: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let unit = units.into_iter().find(|(length, _)| millis >= *length);
    unit.map_or_else(|| format!("{millis}ms"), |(length, name)| format!("{}{name}", millis / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect()
    }

    #[test]
    fn columns_are_aligned() {
        let table = align(&rows(&[&["A", "LONG", "C"], &["long", "b", ""]]), None);
        assert_eq!(table, "A     LONG  C\nlong  b\n");
    }

    #[test]
    fn widest_column_is_shortened_to_the_terminal() {
        let name = "a_very_long_name_of_a_service";
        let table = rows(&[&["SERVICE", "STATE"], &[name, "routed"]]);
        assert_eq!(align(&table, Some(20)), "SERVICE       STATE\na_very_long…  routed\n");
        assert!(align(&table, None).contains(name));
        let narrow = align(&table, Some(3));
        assert_eq!(narrow, "SERVICE   STATE\na_very_…  routed\n", "but not to nothing");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(align(&rows(&[&["a\x1b[2J\n", "b"]]), None), "a\u{fffd}[2J\u{fffd}  b\n");
    }

    #[test]
    fn age_has_one_unit() {
        let ages = [999, 1000, 59_999, 60_000, 7_200_000, 200_000_000].map(age);
        assert_eq!(ages, ["999ms", "1s", "59s", "1m", "2h", "2d"]);
    }
}

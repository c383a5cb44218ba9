//! Unified diffs of edits.

use std::fmt::Write;

use super::edit::{Edit, apply};

/// Number of unchanged lines around a change.
const CONTEXT: usize = 3;

/// Lines of the old text, from `start` on, and the lines that replace them.
struct Change<'a> {
    start: usize,
    old: &'a [&'a str],
    new: String,
}

/// Returns the difference that sorted `edits` make to `text`, as `diff -u` shows it.
pub(crate) fn unified(name: &str, text: &str, edits: &[Edit]) -> String {
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    let mut starts = vec![0];
    starts.extend(lines.iter().scan(0, |at, line| {
        *at += line.len();
        Some(*at)
    }));
    let line_at = |at: usize| starts.partition_point(|start| *start <= at).clamp(1, lines.len().max(1)) - 1;
    let mut changes: Vec<Change<'_>> = Vec::new();
    let mut rest = edits;
    while let Some((range, _)) = rest.first() {
        let first = line_at(range.start);
        let mut last = line_at(range.end.max(range.start + 1) - 1).max(first);
        let mut count = 1;
        while let Some((range, _)) = rest.get(count).filter(|(range, _)| line_at(range.start) <= last) {
            last = last.max(line_at(range.end.max(range.start + 1) - 1));
            count += 1;
        }
        let end = starts[last + 1];
        let new = apply(&text[starts[first]..end], starts[first], &rest[..count]);
        rest = &rest[count..];
        // Lines after which others are added stay.
        let is_same = |(old, new): &(&&str, &str)| **old == *new;
        let same = lines[first..=last].iter().zip(new.split_inclusive('\n')).take_while(is_same).count();
        let new = new.split_inclusive('\n').skip(same).collect();
        changes.push(Change { start: first + same, old: &lines[first + same..=last], new });
    }
    changes.retain(|change| change.old.concat() != change.new);
    let mut output = String::new();
    let mut added = 0_isize;
    let mut rest = changes.as_slice();
    while let Some(first) = rest.first() {
        let end_of = |change: &Change<'_>| change.start + change.old.len();
        let near = rest.windows(2).take_while(|pair| pair[1].start - end_of(&pair[0]) <= 2 * CONTEXT).count();
        let (hunk, others) = rest.split_at(near + 1);
        rest = others;
        let start = first.start.saturating_sub(CONTEXT);
        let end = hunk.last().map_or(start, end_of).saturating_add(CONTEXT).min(lines.len());
        let (mut body, mut at, grown) = (String::new(), start, added);
        for change in hunk {
            lines[at..change.start].iter().for_each(|line| push(&mut body, ' ', line));
            change.old.iter().for_each(|line| push(&mut body, '-', line));
            change.new.split_inclusive('\n').for_each(|line| push(&mut body, '+', line));
            added += change.new.split_inclusive('\n').count().cast_signed() - change.old.len().cast_signed();
            at = end_of(change);
        }
        lines[at..end].iter().for_each(|line| push(&mut body, ' ', line));
        let new_start = start.saturating_add_signed(grown);
        let new_length = (end - start).saturating_add_signed(added - grown);
        if output.is_empty() {
            output = format!("--- {name}\n+++ {name}\n");
        }
        // Writing to a string cannot fail.
        let _ =
            write!(output, "@@ -{},{} +{},{new_length} @@\n{body}", start + 1, end - start, new_start + 1);
    }
    output
}

fn push(body: &mut String, sign: char, line: &str) {
    body.push(sign);
    body.push_str(line);
    if !line.ends_with('\n') {
        body.push_str("\n\\ No newline at end of file\n");
    }
}

//! Changes of labels, as edits of a file's text. Everything else in the file stays as it is.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::ScalarStyle;

use super::yaml::{Kind, Node, NodeId, Tree};

/// Keys and values, as the file will have them.
pub(crate) type Pairs = Vec<(String, String)>;

/// An edit replaces a range of the text.
pub(crate) type Edit = (Range<usize>, String);

/// Labels to change.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Labels in place of an item of a list, or of a key with its value.
    pub(crate) replaced: BTreeMap<NodeId, Pairs>,
    /// Labels at the end of a list or map.
    pub(crate) added: BTreeMap<NodeId, Pairs>,
}

/// Why labels cannot be changed: the list or map, the label in it, and a message.
pub(crate) type Obstacle = (NodeId, NodeId, String);

/// Returns the edits in the order of the text.
pub(crate) fn edits(text: &str, tree: &Tree, changes: &Changes) -> Result<Vec<Edit>, Obstacle> {
    let mut editor = Editor { text, tree, edits: Vec::new() };
    for (id, node) in tree.nodes.iter().enumerate() {
        let (is_flow, children): (_, Vec<_>) = match &node.kind {
            Kind::List { is_flow, items } => (*is_flow, items.iter().map(|item| (*item, None)).collect()),
            Kind::Map { is_flow, pairs } => {
                (*is_flow, pairs.iter().map(|(key, value)| (*key, Some(*value))).collect())
            }
            Kind::Scalar(..) | Kind::Alias(_) => continue,
        };
        let added = changes.added.get(&id);
        if added.is_none() && !children.iter().any(|(key, _)| changes.replaced.contains_key(key)) {
            continue;
        }
        let entry = |(key, value): (NodeId, Option<NodeId>)| {
            Entry::new(text, tree, key, value, changes.replaced.get(&key).cloned())
        };
        let mut entries: Vec<_> = children.into_iter().map(entry).collect();
        if let Some(last) = entries.last_mut() {
            last.pairs.extend(added.into_iter().flatten().cloned());
        }
        let edit = if is_flow { Editor::flow } else { Editor::block };
        edit(&mut editor, &entries).map_err(|(label, message)| (id, label, message))?;
    }
    editor.edits.sort_by_key(|(range, _)| (range.start, range.end));
    Ok(editor.edits)
}

/// Applies edits to the part of the text that begins at `start`.
pub(crate) fn apply<'a>(text: &str, start: usize, edits: impl IntoIterator<Item = &'a Edit>) -> String {
    let (mut result, mut at) = (String::with_capacity(text.len()), 0);
    for (range, new) in edits {
        result.push_str(&text[at..range.start - start]);
        result.push_str(new);
        at = range.end - start;
    }
    result + &text[at..]
}

/// An item of a list, or a key with its value.
struct Entry<'a> {
    id: NodeId,
    key: &'a Node,
    value: Option<&'a Node>,
    range: Range<usize>,
    /// Whether the label itself stays, before `pairs`.
    is_kept: bool,
    pairs: Pairs,
}

impl<'a> Entry<'a> {
    fn new(text: &str, tree: &'a Tree, key: NodeId, value: Option<NodeId>, pairs: Option<Pairs>) -> Self {
        let id = key;
        let (key, value) = (tree.node(key), value.map(|value| tree.node(value)));
        let start = content(text, key, 0).start;
        let end = match value {
            None => content(text, key, 0).end,
            Some(value) if value.range.is_empty() => {
                key.range.end + text[key.range.end..].find(':').map_or(0, |colon| colon + 1)
            }
            Some(value) => content(text, value, key.range.end).end,
        };
        Self { id, key, value, range: start..end, is_kept: pairs.is_none(), pairs: pairs.unwrap_or_default() }
    }

    fn is_removed(&self) -> bool {
        !self.is_kept && self.pairs.is_empty()
    }

    /// Returns the node whose quotes new values get. In JSON a value without quotes is no string.
    fn style_of_value(&self, value: &'a Node) -> &'a Node {
        match self.key.kind {
            Kind::Scalar(_, ScalarStyle::DoubleQuoted) => self.key,
            _ => value,
        }
    }

    fn has_anchor(&self) -> bool {
        self.key.has_anchor || self.value.is_some_and(|value| value.has_anchor)
    }
}

/// Range of a node in the text, with the header of a block scalar, which comes after `from`.
fn content(text: &str, node: &Node, from: usize) -> Range<usize> {
    let mut range = node.range.clone();
    if let Kind::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded) = node.kind {
        let before = &text[from..range.start];
        // The header of an item is on the last line before its text. A comment may follow it.
        let line = before.trim_end().rfind('\n').map_or(0, |at| at + 1);
        let line_end = before[line..].find(" #").map_or(before.len(), |at| line + at);
        let header = if from == 0 { before[..line_end].rfind(['|', '>']) } else { before.find(['|', '>']) };
        range.start = from + header.unwrap_or(before.len());
        range.end = range.start + text[range.clone()].trim_end().len();
    }
    range
}

struct Editor<'a> {
    text: &'a str,
    tree: &'a Tree,
    edits: Vec<Edit>,
}

impl Editor<'_> {
    /// Edits a list or map with an entry per line.
    fn block(&mut self, entries: &[Entry<'_>]) -> Result<(), (NodeId, String)> {
        let is_empty = entries.iter().all(Entry::is_removed);
        for (number, entry) in entries.iter().enumerate() {
            if entry.is_kept && entry.pairs.is_empty() {
                continue;
            }
            let mark = self.text.len() - self.text.trim_start_matches('\u{feff}').len();
            let line = self.text[..entry.range.start].rfind('\n').map_or(mark, |at| at + 1);
            let before = &self.text[line..entry.range.start];
            let indent = &before[..before.len() - before.trim_start().len()];
            let dash = before[indent.len()..].strip_prefix('-');
            let dash = dash.map(|rest| &before[..indent.len() + 1 + rest.len() - rest.trim_start().len()]);
            let prefix = match (entry.value, dash) {
                (None, Some(dash)) => dash,
                (None, None) if self.tree.is_lines => indent,
                (Some(_), None) if before.trim_start().is_empty() => indent,
                _ => {
                    let message = "a label shares its line with something else; give it a line of its own";
                    return Err((entry.id, message.to_owned()));
                }
            };
            if number == 0 && is_empty {
                let empty = if entry.value.is_some() { "{}" } else { "[]" };
                self.edits.push((line + indent.len()..entry.range.end, empty.to_owned()));
                continue;
            }
            if entry.is_removed() {
                self.remove_lines(entry, line, indent)?;
                continue;
            }
            let more = self.replace(entry, false)?;
            let rest = &self.text[entry.range.end..];
            let end = entry.range.end + rest.find('\n').map_or(rest.len(), |at| at);
            let end = end - usize::from(self.text[..end].ends_with('\r'));
            let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
            let lines =
                more.iter().map(|pair| format!("{newline}{prefix}{}", self.write(entry, pair, false)));
            let lines = lines.collect::<String>();
            self.edits.push((end..end, lines));
        }
        Ok(())
    }

    /// Removes the lines of an entry, except for a comment.
    fn remove_lines(&mut self, entry: &Entry<'_>, line: usize, indent: &str) -> Result<(), (NodeId, String)> {
        if entry.has_anchor() {
            return Err(anchored(entry));
        }
        let rest = &self.text[entry.range.end..];
        let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
        let comment = rest[..length].trim_start_matches([' ', '\t']);
        let kept = if comment.starts_with('#') { format!("{indent}{comment}") } else { String::new() };
        self.edits.push((line..entry.range.end + length, kept));
        Ok(())
    }

    /// Edits a list or map in brackets.
    fn flow(&mut self, entries: &[Entry<'_>]) -> Result<(), (NodeId, String)> {
        let text = self.text;
        let between = |next: usize| &text[entries[next - 1].range.end..entries[next].range.start];
        // End of the comma that follows an entry.
        let comma = |entry: &Entry<'_>| {
            let rest = text[entry.range.end..].trim_start().strip_prefix(',')?;
            Some(text.len() - rest.len())
        };
        // The entries at the end that go, with the comma before them, unless there are comments.
        let tail = entries.iter().rposition(|entry| !entry.is_removed()).map_or(0, |kept| kept + 1);
        let is_bare_tail = (tail.max(1)..entries.len()).all(|number| between(number).trim() == ",");
        for (number, entry) in entries.iter().enumerate() {
            let next = entries.get(number + 1);
            if entry.is_removed() {
                if entry.has_anchor() {
                    return Err(anchored(entry));
                }
                if number >= tail && is_bare_tail {
                    continue;
                }
                let end = match next {
                    Some(next) if between(number + 1).trim() == "," => Some(next.range.start),
                    Some(_) => comma(entry),
                    None => Some(comma(entry).unwrap_or(entry.range.end)),
                };
                let message = "a comment stands between a label to remove and its comma; move the comment";
                let end = end.ok_or_else(|| (entry.id, message.to_owned()))?;
                self.edits.push((entry.range.start..end, String::new()));
                continue;
            }
            let more = self.replace(entry, true)?;
            let separator = next.map_or("", |_| between(number + 1));
            let is_separator = !separator.contains('#') && separator.trim() == ",";
            let separator = if is_separator { separator } else { ", " };
            let added = more.iter().map(|pair| format!("{separator}{}", self.write(entry, pair, true)));
            let added = added.collect::<String>();
            self.edits.push((entry.range.end..entry.range.end, added));
        }
        if let Some(last) = entries[tail..].last().filter(|_| is_bare_tail) {
            let range = match tail.checked_sub(1) {
                Some(kept) => entries[kept].range.end..last.range.end,
                None => entries[0].range.start..comma(last).unwrap_or(last.range.end),
            };
            self.edits.push((range, String::new()));
        }
        Ok(())
    }

    /// Replaces an entry with the first of its pairs, unless it stays. Returns the pairs to add after it.
    fn replace<'a>(
        &mut self,
        entry: &'a Entry<'_>,
        is_flow: bool,
    ) -> Result<&'a [(String, String)], (NodeId, String)> {
        let Some((first, rest)) = entry.pairs.split_first().filter(|_| !entry.is_kept) else {
            return Ok(&entry.pairs);
        };
        let is_same = |node: &Node, text: &str| matches!(&node.kind, Kind::Scalar(old, _) if old == text);
        let Some(value) = entry.value else {
            if entry.has_anchor() {
                return Err(anchored(entry));
            }
            self.edits.push((entry.range.clone(), self.write(entry, first, is_flow)));
            return Ok(rest);
        };
        if !is_same(entry.key, &first.0) {
            let key = self.quote(&first.0, entry.key, is_flow);
            self.edits.push((entry.key.range.clone(), key));
        }
        let old = self.tree.scalar_of(value);
        if old != Ok(first.1.as_str()) {
            if value.has_anchor {
                return Err(anchored(entry));
            }
            let new = self.quote(&first.1, entry.style_of_value(value), is_flow);
            if value.range.is_empty() {
                self.edits.push((entry.range.end..entry.range.end, format!(" {new}")));
            } else {
                let start = content(self.text, value, entry.key.range.end).start;
                self.edits.push((start..entry.range.end, new));
            }
        }
        Ok(rest)
    }

    /// Writes a label in the form and with the quotes of an entry.
    fn write(&self, entry: &Entry<'_>, (key, value): &(String, String), is_flow: bool) -> String {
        match entry.value {
            None => self.quote(&format!("{key}={value}"), entry.key, is_flow),
            Some(old) => {
                let value = self.quote(value, entry.style_of_value(old), is_flow);
                format!("{}: {value}", self.quote(key, entry.key, is_flow))
            }
        }
    }

    fn quote(&self, text: &str, like: &Node, is_flow: bool) -> String {
        let style = match &like.kind {
            Kind::Scalar(_, style) => *style,
            _ => ScalarStyle::Plain,
        };
        if self.tree.is_lines { text.to_owned() } else { quote(text, style, is_flow) }
    }
}

fn anchored(entry: &Entry<'_>) -> (NodeId, String) {
    let message = "a label to change has an anchor, which other parts of the file may use; remove the anchor";
    (entry.id, message.to_owned())
}

/// Writes text as a scalar of this style, or of the closest one in which YAML reads it as this string.
fn quote(text: &str, style: ScalarStyle, is_flow: bool) -> String {
    let is_quoted = matches!(style, ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted);
    if !is_quoted && is_plain(text, is_flow) {
        return text.to_owned();
    }
    if style != ScalarStyle::DoubleQuoted && !text.contains(needs_escape) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        c if needs_escape(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Whether the text needs no quotes in any version of YAML: it begins like a word or a path, and is no boolean.
fn is_plain(text: &str, is_flow: bool) -> bool {
    let reserved = ["true", "false", "yes", "no", "on", "off", "y", "n", "null"];
    let is_special = text.ends_with([' ', ':'])
        || text.contains(needs_escape)
        || [": ", " #"].iter().any(|special| text.contains(special))
        || (is_flow && text.contains(['[', ']', '{', '}', ',']))
        || reserved.iter().any(|word| text.eq_ignore_ascii_case(word));
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && !is_special
}

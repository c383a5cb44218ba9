//! YAML as a tree whose nodes know their byte ranges in the text.

use std::collections::BTreeMap;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};

pub(crate) type NodeId = usize;

#[derive(Debug)]
pub(crate) struct Node {
    /// Content, without anchor and tag.
    pub(crate) range: Range<usize>,
    pub(crate) kind: Kind,
    pub(crate) has_anchor: bool,
    pub(crate) tag: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar(String, ScalarStyle),
    List { is_flow: bool, items: Vec<NodeId> },
    Map { is_flow: bool, pairs: Vec<(NodeId, NodeId)> },
    Alias(NodeId),
}

/// All documents of a file.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) roots: Vec<NodeId>,
    /// Whether the text is no YAML, but lines of `KEY=VALUE`.
    pub(crate) is_lines: bool,
}

impl Tree {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut tree = Self::default();
        let mut anchors = BTreeMap::new();
        // Open collections with their children.
        let mut open: Vec<(NodeId, Vec<NodeId>)> = Vec::new();
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| format!("not valid YAML: {error}"))?;
            let range = span.byte_range().unwrap_or_default();
            let (kind, anchor, tag) = match event {
                Event::Scalar(value, style, anchor, tag) => {
                    (Kind::Scalar(value.into_owned(), style), anchor, tag)
                }
                Event::SequenceStart(style, anchor, tag) => {
                    (Kind::List { is_flow: style == StructureStyle::Flow, items: Vec::new() }, anchor, tag)
                }
                Event::MappingStart(style, anchor, tag) => {
                    (Kind::Map { is_flow: style == StructureStyle::Flow, pairs: Vec::new() }, anchor, tag)
                }
                Event::Alias(anchor) => {
                    (Kind::Alias(anchors.get(&anchor).copied().ok_or("unknown alias")?), 0, None)
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    if let Some((id, children)) = open.pop() {
                        tree.close(id, children, range.end);
                    }
                    continue;
                }
                _ => continue,
            };
            let id = tree.nodes.len();
            if anchor != 0 {
                anchors.insert(anchor, id);
            }
            match open.last_mut() {
                Some((_, children)) => children.push(id),
                None => tree.roots.push(id),
            }
            if matches!(kind, Kind::List { .. } | Kind::Map { .. }) {
                open.push((id, Vec::new()));
            }
            let tag = tag.map(|tag| tag.original());
            tree.nodes.push(Node { range, kind, has_anchor: anchor != 0, tag });
        }
        Ok(tree)
    }

    fn close(&mut self, id: NodeId, children: Vec<NodeId>, end: usize) {
        let end_of_last = children.last().map(|child| self.nodes[*child].range.end);
        let node = &mut self.nodes[id];
        if let Kind::List { is_flow, .. } | Kind::Map { is_flow, .. } = node.kind {
            // The event for the end of a block comes with the next token.
            node.range.end = if is_flow { end } else { end_of_last.unwrap_or(node.range.start) };
        }
        match &mut node.kind {
            Kind::List { items, .. } => *items = children,
            Kind::Map { pairs, .. } => {
                *pairs = children.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            }
            Kind::Scalar(..) | Kind::Alias(_) => {}
        }
    }

    /// Reads lines of `KEY=VALUE` as a list. Returns `None` if the text is something else. Skips empty lines and `#` comments.
    pub(crate) fn parse_lines(text: &str) -> Option<Self> {
        let is_key = |key: &str| {
            let is_plain = |c: char| !c.is_whitespace() && !"'\"{},".contains(c);
            !key.is_empty()
                && !key.starts_with(['-', '['])
                && key.chars().all(is_plain)
                && !key.contains(": ")
        };
        let mut tree = Self::default();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let item = line.trim_start_matches('\u{feff}').trim();
            let at = start + line.find(item).unwrap_or_default();
            start += line.len();
            if item.is_empty() || item.starts_with('#') {
                continue;
            }
            item.split_once('=').filter(|(key, _)| is_key(key))?;
            let kind = Kind::Scalar(item.to_owned(), ScalarStyle::Plain);
            tree.nodes.push(Node { range: at..at + item.len(), kind, has_anchor: false, tag: None });
        }
        let items: Vec<_> = (0..tree.nodes.len()).collect();
        tree.roots.push(items.len());
        let kind = Kind::List { is_flow: false, items };
        tree.nodes.push(Node { range: 0..text.len(), kind, has_anchor: false, tag: None });
        tree.is_lines = true;
        (tree.nodes.len() > 1).then_some(tree)
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id]
    }

    /// Follows aliases.
    pub(crate) fn resolve(&self, mut id: NodeId) -> NodeId {
        // An alias refers to an earlier node, so this ends.
        while let Kind::Alias(target) = self.nodes[id].kind {
            id = target;
        }
        id
    }

    /// Returns the text of a scalar; of null, an empty one.
    pub(crate) fn scalar(&self, id: NodeId) -> Result<&str, String> {
        self.scalar_of(&self.nodes[id])
    }

    pub(crate) fn scalar_of<'a>(&'a self, node: &'a Node) -> Result<&'a str, String> {
        match &node.kind {
            Kind::Alias(target) => self.scalar_of(&self.nodes[*target]),
            Kind::Scalar(text, ScalarStyle::Plain)
                if matches!(text.as_str(), "~" | "null" | "Null" | "NULL") =>
            {
                Ok("")
            }
            Kind::Scalar(text, _) => Ok(text),
            _ => Err("expected a string, got a map or a list".to_owned()),
        }
    }

    /// Returns the pairs of a map with those that `<<` merges in. The map's own pairs override merged ones, and earlier
    /// merged maps override later ones. Returns `None` if the node is no map.
    pub(crate) fn pairs(&self, id: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
        let mut all: Vec<(NodeId, NodeId)> = Vec::new();
        matches!(self.nodes[self.resolve(id)].kind, Kind::Map { .. }).then_some(())?;
        for map in self.sources(id) {
            let known = all.len();
            for pair in self.own_pairs(map) {
                if !all[..known].iter().any(|known| self.scalar(known.0) == self.scalar(pair.0)) {
                    all.push(pair);
                }
            }
        }
        Some(all)
    }

    /// Returns the pairs of a map without merged ones.
    pub(crate) fn own_pairs(&self, id: NodeId) -> impl Iterator<Item = (NodeId, NodeId)> {
        let pairs = match &self.nodes[id].kind {
            Kind::Map { pairs, .. } => pairs.as_slice(),
            _ => &[],
        };
        pairs.iter().copied().filter(|(key, _)| self.scalar(*key) != Ok("<<"))
    }

    /// Returns the node that `id` stands for, and all maps and lists that `<<` merges into it, in the order in which they
    /// override each other.
    pub(crate) fn sources(&self, id: NodeId) -> Vec<NodeId> {
        let (mut sources, mut open) = (Vec::new(), vec![id]);
        while let Some(id) = open.pop() {
            let id = self.resolve(id);
            if sources.contains(&id) {
                continue;
            }
            match &self.nodes[id].kind {
                // The list of several maps that `<<` merges.
                Kind::List { items, .. } if !sources.is_empty() => open.extend(items.iter().rev()),
                Kind::Map { pairs, .. } => {
                    let merged = pairs.iter().rev().filter(|(key, _)| self.scalar(*key) == Ok("<<"));
                    open.extend(merged.map(|(_, value)| value));
                }
                _ => {}
            }
            sources.push(id);
        }
        sources
    }

    /// Returns the value of `key` in a map.
    pub(crate) fn get(&self, map: NodeId, key: &str) -> Option<NodeId> {
        self.pairs(map)?.into_iter().find(|(name, _)| self.scalar(*name) == Ok(key)).map(|(_, value)| value)
    }

    /// Whether `map` itself contains the value of `key`: no alias or merge leads to it.
    pub(crate) fn contains(&self, map: NodeId, key: &str) -> bool {
        matches!(&self.nodes[map].kind, Kind::Map { pairs, .. } if pairs.iter().any(|(name, value)| {
            self.scalar(*name) == Ok(key) && !matches!(self.nodes[*value].kind, Kind::Alias(_))
        }))
    }
}

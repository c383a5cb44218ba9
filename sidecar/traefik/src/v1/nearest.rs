//! What was meant by a word that is nearly right.

/// The nearest of `candidates` to `word`, if it is near: case does not count, and one edit of three letters is too many.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let most = (word.chars().count() / 4).clamp(1, 3);
    // Most need no closer look.
    let candidates =
        candidates.into_iter().filter(|candidate| candidate.len().abs_diff(word.len()) <= 4 * most);
    let near = candidates.filter_map(|candidate| {
        let edits = edits(&word, &candidate.to_ascii_lowercase());
        (edits <= most && edits < candidate.len()).then_some((edits, candidate))
    });
    near.min_by_key(|(edits, _)| *edits).map(|(_, candidate)| candidate)
}

/// How many letters have to be added, left out, changed, or swapped with their neighbour.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // Three rows of the table are enough: a swap looks two back.
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let change = above[column] + usize::from(letter != other);
            let mut fewest = change.min(above[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && *letter == to[column - 1] && from[row - 1] == *other {
                fewest = fewest.min(before[column - 1] + 1);
            }
            next.push(fewest);
        }
        before = std::mem::replace(&mut above, next);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, expected) in
            [("", "", 0), ("port", "prot", 1), ("rule", "rules", 1), ("a", "", 1), ("abc", "cba", 2)]
        {
            assert_eq!(edits(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn only_what_is_near_is_meant() {
        let meant = |word| nearest(word, ["port", "protocol", "frontend"]);
        assert_eq!(meant("prot"), Some("port"));
        assert_eq!(meant("Fronted"), Some("frontend"));
        assert_eq!(meant("http"), None);
        assert_eq!(meant(""), None);
    }
}

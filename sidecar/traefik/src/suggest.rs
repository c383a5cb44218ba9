//! Suggestions for misspelt words.

/// Returns the word most similar to `wrong`, ignoring case, or `None` if none is similar.
pub fn suggest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase();
    let length = wrong.chars().count();
    // One edit in a short word, three in a long one, and fewer than either word has letters.
    let max_edits = (length / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (distance(&wrong, &word.to_ascii_lowercase()), word))
        .filter(|(distance, word)| *distance <= max_edits && *distance < length.min(word.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Number of insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`. `usize::MAX` if the
/// lengths differ by more than 3.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = last;
        last = row;
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapping_two_letters_is_one_edit() {
        assert_eq!(distance("htpp", "http"), 1);
        assert_eq!(distance("tpc", "tcp"), 1);
        assert_eq!(distance("strippprefix", "stripprefix"), 1);
        assert_eq!(distance("middelware", "middlewares"), 2);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn dissimilar_words_are_not_suggested() {
        let words = ["http", "tcp", "udp", "tls", "enable", "db"];
        for (wrong, expected) in
            [("tdp", Some("tcp")), ("ENABEL", Some("enable")), ("d", None), ("port", None), ("", None)]
        {
            assert_eq!(suggest(wrong, words), expected, "{wrong}");
        }
    }
}

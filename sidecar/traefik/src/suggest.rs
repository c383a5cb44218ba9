//! What somebody meant who misspelt a word.

/// The one of `words` that is most like `wrong`, whatever the case, if it is like it at all.
pub fn suggest<'a>(wrong: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase();
    let length = wrong.chars().count();
    // One slip in a short word, three in a long one; and never as many as either has letters.
    let slips = (length / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (distance(&wrong, &word.to_ascii_lowercase()), word))
        .filter(|(distance, word)| *distance <= slips && *distance < length.min(word.len()))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// How many letters have to be put in, left out, changed, or swapped with the next, to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > 3 {
        // Further than anybody looks; what is longer still would only take time.
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
    fn two_letters_that_are_swapped_are_one_slip() {
        assert_eq!(distance("htpp", "http"), 1);
        assert_eq!(distance("tpc", "tcp"), 1);
        assert_eq!(distance("strippprefix", "stripprefix"), 1);
        assert_eq!(distance("middelware", "middlewares"), 2);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn what_is_not_alike_is_not_suggested() {
        let words = ["http", "tcp", "udp", "tls", "enable", "db"];
        for (wrong, near) in
            [("tdp", Some("tcp")), ("ENABEL", Some("enable")), ("d", None), ("port", None), ("", None)]
        {
            assert_eq!(suggest(wrong, words), near, "{wrong}");
        }
    }
}

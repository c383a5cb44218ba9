//! Commands in a document, and their output as the document shows it.
//!
//! A fence ` ```console ` has commands behind a prompt that names the host, such as `leader$ docker node ls`. Lines that begin with
//! `> ` continue a command. Other lines are its output. The commands of a fence ` ```console eventually ` are repeated until their
//! output is as shown.

use anyhow::{Context, Result, bail, ensure};

/// End of a shown line, or a whole line, that stands for any output.
const ANY: &str = "…";

/// Units of values that differ from run to run.
const UNITS: [&str; 12] = ["ns", "µs", "ms", "s", "m", "min", "h", "%", "/s", "B", "kB", "MB"];

/// Words around a number in durations such as `About a minute ago`.
const AGES: [&str; 10] =
    ["a", "an", "ago", "than", "second", "seconds", "minute", "minutes", "hour", "hours"];

/// A command of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// Number of its first line in the document.
    pub(crate) line: usize,
    /// Name in its prompt.
    pub(crate) host: String,
    /// Script for the shell, one or more lines.
    pub(crate) text: String,
    /// Lines of output; empty if the document shows none.
    pub(crate) output: Vec<String>,
    /// Whether to repeat it until its output is as shown.
    pub(crate) is_repeated: bool,
}

/// Returns the commands of a document in Markdown, in order.
pub(crate) fn commands(document: &str) -> Result<Vec<Command>> {
    let mut commands: Vec<Command> = Vec::new();
    // The words after the fence, while inside of one.
    let mut fence: Option<&str> = None;
    for (index, line) in document.lines().enumerate() {
        let number = index + 1;
        if let Some(words) = line.strip_prefix("```") {
            fence = if fence.is_none() { Some(words) } else { None };
            continue;
        }
        let is_repeated = match fence {
            Some("console") => false,
            Some("console eventually") => true,
            _ => continue,
        };
        if let Some((host, text)) = prompt(line) {
            let (host, text) = (host.to_owned(), text.to_owned());
            commands.push(Command { line: number, host, text, output: Vec::new(), is_repeated });
            continue;
        }
        let last =
            commands.last_mut().with_context(|| format!("line {number}: output before any command"))?;
        match line.strip_prefix("> ") {
            Some(more) if last.output.is_empty() => last.text = format!("{}\n{more}", last.text),
            _ => last.output.push(line.to_owned()),
        }
    }
    ensure!(fence.is_none(), "the last fence is not closed");
    ensure!(!commands.is_empty(), "no commands");
    Ok(commands)
}

/// Splits `HOST$ COMMAND`.
fn prompt(line: &str) -> Option<(&str, &str)> {
    let (host, command) = line.split_once("$ ")?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (!host.is_empty() && host.bytes().all(is_name)).then_some((host, command))
}

/// Fails unless each of the `shown` lines is in the output, in any order, and no other.
pub(crate) fn compare(shown: &[String], output: &str) -> Result<()> {
    let mut left: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = shown.iter().filter(|line| !line.trim().is_empty());
    let (open, lines): (Vec<_>, Vec<_>) = shown.partition(|line| line.trim() == ANY);
    for line in lines {
        let found = left.iter().position(|actual| is_same(line, actual));
        let Some(found) = found else { bail!("no line like {line:?} in the output:\n{output}") };
        left.remove(found);
    }
    ensure!(!open.is_empty() || left.is_empty(), "not in the text: {left:?}, of the output:\n{output}");
    Ok(())
}

/// Whether a line of output is as shown, apart from values that differ from run to run.
fn is_same(shown: &str, actual: &str) -> bool {
    match shown.trim_end().strip_suffix(ANY) {
        Some(start) => {
            let (start, actual) = (classes(start), classes(actual));
            // The last word may be cut.
            let (cut, whole) =
                start.split_last().map_or(("", &[][..]), |(last, whole)| (last.as_str(), whole));
            actual.starts_with(whole)
                && actual.get(whole.len()).map_or(cut.is_empty(), |word| word.starts_with(cut))
        }
        None => classes(shown) == classes(actual),
    }
}

/// The words of a line, each value that differs from run to run replaced by the name of its class.
fn classes(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut classes: Vec<String> = Vec::new();
    let mut index = 0;
    while index < words.len() {
        let word = words[index];
        let next = words.get(index + 1).copied().unwrap_or_default();
        let has_unit = is_number(word.trim_start_matches('('))
            && UNITS.contains(&next.trim_end_matches([',', ')', ';']));
        if has_unit || is_age(word, next) {
            index += 1;
            while words.get(index).is_some_and(|word| AGES.contains(word)) {
                index += 1;
            }
            index += usize::from(has_unit);
            if classes.last().is_none_or(|last| last != "TIME") {
                classes.push("TIME".to_owned());
            }
            continue;
        }
        classes.push(class(word));
        index += 1;
    }
    classes
}

/// Whether a duration in words begins here: `3 minutes`, `About a minute`, `Less than a second`.
fn is_age(word: &str, next: &str) -> bool {
    let begins = ["About", "Less", "about", "less"].contains(&word) || is_number(word);
    begins && AGES.contains(&next)
}

fn is_number(word: &str) -> bool {
    let digits = |byte: u8| byte.is_ascii_digit() || byte == b'.' || byte == b',';
    word.starts_with(|first: char| first.is_ascii_digit()) && word.bytes().all(digits)
}

/// A word, with IDs, join tokens, addresses of containers and values with a unit replaced.
fn class(word: &str) -> String {
    let is_end = |last: char| !last.is_ascii_alphanumeric() && last != '%';
    let value = word.trim_end_matches(is_end);
    let unit = value.trim_start_matches(|digit: char| digit.is_ascii_digit() || ".,".contains(digit));
    if unit.len() < value.len() && UNITS.contains(&unit) {
        return format!("VALUE{}", &word[value.len()..]);
    }
    let parts = word.split_inclusive(|next: char| !next.is_ascii_alphanumeric() && !"-.".contains(next));
    let parts = parts.map(|part| {
        let name = part.trim_end_matches(is_end);
        let class = match name.rsplit_once('.') {
            _ if name.starts_with("SWMTKN-") => "TOKEN".to_owned(),
            _ if name.starts_with("10.") && name.split('.').count() == 4 => "ADDRESS".to_owned(),
            _ if is_id(name) => "ID".to_owned(),
            // A task of a global service.
            Some((service, node)) if is_id(node) => format!("{service}.ID"),
            _ => name.to_owned(),
        };
        class + &part[name.len()..]
    });
    parts.collect()
}

/// Whether a word is an ID of Docker, or the host name of a container.
fn is_id(word: &str) -> bool {
    let is_lower = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    is_lower && has_digit && matches!(word.len(), 12 | 25 | 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn commands_have_hosts_continuations_and_output() {
        let document = "Text.\n```console\nleader$ cat <<END\n> a\n> b\n> END\na\nb\nworker-1$ true\n```\n```sh\nx$ y\n```\n\
                        ```console eventually\nleader$ docker node ls\n…\n```\n";
        let found = commands(document).unwrap();
        let short: Vec<_> = found
            .iter()
            .map(|found| (found.line, &*found.host, &*found.text, found.output.len(), found.is_repeated))
            .collect();
        assert_eq!(
            short,
            [
                (3, "leader", "cat <<END\na\nb\nEND", 2, false),
                (9, "worker-1", "true", 0, false),
                (15, "leader", "docker node ls", 1, true)
            ]
        );
        assert!(commands("```console\nx\n```").unwrap_err().to_string().contains("line 2"));
        assert!(commands("```console\na$ b\n").unwrap_err().to_string().contains("not closed"));
    }

    #[test]
    fn output_is_compared_by_lines_in_any_order() {
        let shown = lines("Pong from 17ddc60169df\nPong from f2980ab861d8");
        compare(&shown, "Pong from 0123456789ab\nPong from ab0123456789\n").unwrap();
        assert!(compare(&shown, "Pong from 0123456789ab\n").is_err());
        assert!(compare(&shown, "Pong from 0123456789ab\nPong from 0123456789ab\nPong\n").is_err());
        compare(&lines("b\n…\na"), "a\nc\nb\n").unwrap();
        assert!(compare(&lines("b\n…"), "a\nc\n").is_err());
    }

    #[test]
    fn values_that_differ_from_run_to_run_are_equal() {
        for (shown, actual) in [
            ("node (jbrvijh5o4ae9gss5u3st2p45) is", "node (bo71rkc8vqfuuiigm99wpuc64)  is"),
            (
                "demo_ping.ffkef7x4l1njjxeinxqy6zwwd  Running 2 minutes ago",
                "demo_ping.abkef7x4l1njjxeinxqy6zw0d Running About a minute ago",
            ),
            ("a 8 seconds ago", "a less than a second ago"),
            ("0 failed · longest gap 3.1 ms · 200/s", "0 failed · longest gap 12 ms · 199.9/s"),
            ("--max-gap ≤ 10.0 s: met (3.2 s)", "--max-gap ≤ 10.0 s: met (953 ms)"),
            ("join --token SWMTKN-1-a-b 192.168.2.1:2377", "join --token SWMTKN-1-c-d 192.168.2.1:2377"),
            ("10.0.1.21:8080  14m current", "10.0.1.3:8080 3s current"),
            ("Hello, Viktor! (from 407237d6b729)", "Hello, Viktor! (from abe7c17b92bc)"),
            ("a b…", "a bcd e"),
            ("a …", "a b c"),
        ] {
            assert!(is_same(shown, actual), "{:?} {:?}", classes(shown), classes(actual));
        }
    }

    #[test]
    fn other_values_are_compared() {
        for (shown, actual) in [
            ("demo_ping 3/3", "demo_ping 2/3"),
            ("120 requests · 0 failed", "120 requests · 1 failed"),
            ("Hello, Viktor! (from 407237d6b729)", "Hello, World! (from 407237d6b729)"),
            ("worker-1 Ready", "worker-2 Ready"),
            ("a bc…", "a bd"),
            ("a b …", "a"),
        ] {
            assert!(!is_same(shown, actual), "{:?} {:?}", classes(shown), classes(actual));
        }
    }
}

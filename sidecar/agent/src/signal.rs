//! Signals by name and number, as Docker writes them on Linux.

/// SIGTERM, the default stop signal of a container.
pub(crate) const TERM: u8 = 15;

/// INT, QUIT, KILL and TERM: a process that does not handle them ends, whatever its container's stop signal is.
pub(crate) const FATAL: [u8; 4] = [2, 3, 9, TERM];

/// The first and the last real-time signal.
const REAL_TIME: (u8, u8) = (34, 64);

/// Names of the signals 1 to 31.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Parses a signal such as `SIGQUIT`, `quit`, `3` or `SIGRTMIN+3`.
pub(crate) fn parse(text: &str) -> Option<u8> {
    if let Ok(number) = text.parse() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = match upper.strip_prefix("SIG").unwrap_or(&upper) {
        "IOT" => "ABRT",
        "POLL" => "IO",
        name => name,
    };
    if let Some((_, number)) = NAMES.iter().zip(1..).find(|(known, _)| **known == name) {
        return Some(number);
    }
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => REAL_TIME.0,
        (Some(offset), _) => REAL_TIME.0.checked_add(offset.strip_prefix('+')?.parse().ok()?)?,
        (_, Some("")) => REAL_TIME.1,
        (_, Some(offset)) => REAL_TIME.1.checked_sub(offset.strip_prefix('-')?.parse().ok()?)?,
        (None, None) => return None,
    };
    (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_parsed_by_name_and_number() {
        for (text, expected) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("3", Some(3)),
            ("SIGWINCH", Some(28)),
            ("SIGSYS", Some(31)),
            ("SIGIOT", Some(6)),
            ("poll", Some(29)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("SIGRTMIN", Some(34)),
            ("SIGRTMIN+40", None),
            ("SIGRTMAX-255", None),
            ("SIGRTMIN3", None),
            ("0", None),
            ("65", None),
            ("", None),
            ("SIGNOPE", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}

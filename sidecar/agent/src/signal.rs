//! Signals by name and number, as Docker has them for Linux.

/// SIGTERM: what stops a container that names no other signal.
pub(crate) const TERM: u8 = 15;

/// Signals that end what does not handle them otherwise, whatever a container's own stop signal is: INT, QUIT, KILL
/// and TERM.
pub(crate) const ENDING: [u8; 4] = [2, 3, 9, TERM];

/// The first and the last real-time signal.
const REAL_TIME: (u8, u8) = (34, 64);

const NAMES: [(&str, u8); 33] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", TERM),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// The number of a signal that is given as `SIGQUIT`, `quit`, `3` or `SIGRTMIN+3`.
pub(crate) fn number(text: &str) -> Option<u8> {
    if let Ok(number) = text.parse() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some((_, number)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(*number);
    }
    let number = match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => REAL_TIME.0,
        (Some(more), _) => REAL_TIME.0.checked_add(more.strip_prefix('+')?.parse().ok()?)?,
        (_, Some("")) => REAL_TIME.1,
        (_, Some(less)) => REAL_TIME.1.checked_sub(less.strip_prefix('-')?.parse().ok()?)?,
        (None, None) => return None,
    };
    (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_name_and_by_number() {
        for (text, expected) in [
            ("SIGTERM", Some(15)),
            ("term", Some(15)),
            ("3", Some(3)),
            ("SIGWINCH", Some(28)),
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
            assert_eq!(number(text), expected, "{text:?}");
        }
    }
}

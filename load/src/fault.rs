//! Why a request failed, before it is counted.

use std::fmt;
use std::io::{self, ErrorKind};

use cli::reason;

use crate::report::Class;

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its kind.
    pub class: Class,
    /// What went wrong, for people.
    pub text: String,
}

impl Fault {
    /// A fault that is said in these words.
    pub fn new(class: Class, text: impl fmt::Display) -> Self {
        Self { class, text: text.to_string() }
    }

    /// Something that was no HTTP, or not what had been agreed upon.
    pub fn protocol(text: impl fmt::Display) -> Self {
        Self::new(Class::Protocol, text)
    }

    /// What the system says, `while` doing something: `connecting to 127.0.0.1:80: connection refused`.
    pub fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(class(error), format_args!("{doing}: {}", reason(error)))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// Errors of Linux that the standard library has no stable kind for: too many open files, in the process and in all, and
/// no buffer.
const EXHAUSTED: [i32; 3] = [24, 23, 105];

fn class(error: &io::Error) -> Class {
    if error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code)) {
        return Class::Local;
    }
    // rustls hides its own behind one of the system's.
    if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) {
        return Class::Tls;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Class::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Class::Reset,
        ErrorKind::TimedOut => Class::Timeout,
        ErrorKind::UnexpectedEof => Class::Closed,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Class::Unreachable
        }
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse | ErrorKind::OutOfMemory => Class::Local,
        _ => Class::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_errors_are_classes() {
        let class = |code| class(&io::Error::from_raw_os_error(code));
        assert_eq!(
            [111, 104, 32, 110].map(class),
            [Class::Refused, Class::Reset, Class::Reset, Class::Timeout]
        );
        assert_eq!(
            [113, 101, 99, 24, 23, 105].map(class),
            [Class::Unreachable, Class::Unreachable, Class::Local, Class::Local, Class::Local, Class::Local]
        );
    }

    #[test]
    fn what_rustls_says_is_about_tls() {
        let error = io::Error::new(ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert_eq!(Fault::io("shaking hands", &error).class, Class::Tls);
    }
}

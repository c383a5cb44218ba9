//! Errors of requests.

use std::fmt;
use std::io::{self, ErrorKind};

use cli::reason;

use crate::report::ErrorClass;

/// A failed request, or a failure to start sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    /// Error class under which the request is counted.
    pub class: ErrorClass,
    /// Action and cause, for example `connecting to 127.0.0.1:80: connection refused`.
    pub text: String,
}

impl RequestError {
    /// Creates an error of this class.
    pub fn new(class: ErrorClass, text: impl fmt::Display) -> Self {
        Self { class, text: text.to_string() }
    }

    /// Creates an error of class [`ErrorClass::Protocol`].
    pub fn protocol(text: impl fmt::Display) -> Self {
        Self::new(ErrorClass::Protocol, text)
    }

    /// Classifies an I/O error that occurred during `action`.
    pub fn io(action: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(class(error), format_args!("{action}: {}", reason(error)))
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for RequestError {}

/// EMFILE, ENFILE and ENOBUFS, for which the standard library has no stable [`ErrorKind`].
const EXHAUSTED: [i32; 3] = [24, 23, 105];

fn class(error: &io::Error) -> ErrorClass {
    if error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code)) {
        return ErrorClass::Local;
    }
    // The TLS connector wraps errors of rustls in I/O errors.
    if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) {
        return ErrorClass::Tls;
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => ErrorClass::Refused,
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
            ErrorClass::Reset
        }
        ErrorKind::TimedOut => ErrorClass::Timeout,
        ErrorKind::UnexpectedEof => ErrorClass::Closed,
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            ErrorClass::Unreachable
        }
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse | ErrorKind::OutOfMemory => ErrorClass::Local,
        _ => ErrorClass::Protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ErrorClass::{Local, Refused, Reset, Timeout, Unreachable};

    #[test]
    fn system_errors_have_a_class() {
        let class = |code| class(&io::Error::from_raw_os_error(code));
        assert_eq!([111, 104, 32, 110].map(class), [Refused, Reset, Reset, Timeout]);
        assert_eq!(
            [113, 101, 99, 24, 23, 105].map(class),
            [Unreachable, Unreachable, Local, Local, Local, Local]
        );
    }

    #[test]
    fn rustls_errors_are_tls_errors() {
        let error = io::Error::new(ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert_eq!(RequestError::io("TLS handshake", &error).class, ErrorClass::Tls);
    }
}

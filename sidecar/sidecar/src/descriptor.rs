//! Descriptors by which the kernel tells that something has happened.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A descriptor that does not block, and gives messages of a fixed size.
pub(crate) struct Descriptor(AsyncFd<File>);

impl Descriptor {
    #[allow(unsafe_code)]
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        // SAFETY: the file is open, and `read` neither closes nor replaces it.
        let file = unsafe { AsyncFd::register_with_interest(File::from(fd), Interest::READABLE) }?;
        Ok(Self(file))
    }

    /// The next message. None is lost when the caller stops waiting.
    pub(crate) async fn read<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let read = |file: &mut File| {
            let mut message = [0; N];
            file.read_exact(&mut message)?;
            Ok(message)
        };
        self.0.async_io_mut(Interest::READABLE, read).await
    }
}

//! A stream of which some has been read in advance.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use runtime::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// How much is read at once.
const CHUNK: usize = 1024;

/// A stream of which some has been read in advance, which is read again first.
#[derive(Debug)]
pub(crate) struct Rewound {
    stream: Stream,
    early: Vec<u8>,
    consumed: usize,
}

impl Rewound {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, early: Vec::new(), consumed: 0 }
    }

    /// What has been read in advance.
    pub(crate) fn early(&self) -> &[u8] {
        &self.early[self.consumed..]
    }

    /// Reads more in advance, and returns how much: nothing at the end.
    pub(crate) async fn more(&mut self) -> io::Result<usize> {
        let mut chunk = [0; CHUNK];
        let count = self.stream.read(&mut chunk).await?;
        self.early.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// Takes away the first bytes of what has been read in advance.
    pub(crate) fn consume(&mut self, count: usize) {
        self.consumed = (self.consumed + count).min(self.early.len());
    }
}

impl From<Rewound> for Stream {
    fn from(rewound: Rewound) -> Self {
        if rewound.early().is_empty() { rewound.stream } else { Self::layered(rewound) }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let early = self.early();
        if early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = early.len().min(buffer.remaining());
        buffer.put_slice(&early[..count]);
        self.consume(count);
        if self.early().is_empty() {
            (self.early, self.consumed) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

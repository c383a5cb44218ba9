//! A stream with a buffer of bytes that were read ahead.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use runtime::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Size of a read in bytes.
const CHUNK: usize = 1024;

/// A stream that first returns the bytes that were read ahead.
#[derive(Debug)]
pub(crate) struct PrefixedStream {
    stream: Stream,
    prefix: Vec<u8>,
    consumed: usize,
}

impl PrefixedStream {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, prefix: Vec::new(), consumed: 0 }
    }

    /// Returns the bytes that were read ahead.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix[self.consumed..]
    }

    /// Reads ahead and returns the number of bytes, 0 at the end of the stream.
    pub(crate) async fn read_more(&mut self) -> io::Result<usize> {
        let mut chunk = [0; CHUNK];
        let count = self.stream.read(&mut chunk).await?;
        self.prefix.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    /// Removes the first bytes of the prefix.
    pub(crate) fn consume(&mut self, count: usize) {
        self.consumed = (self.consumed + count).min(self.prefix.len());
    }
}

impl From<PrefixedStream> for Stream {
    fn from(prefixed_stream: PrefixedStream) -> Self {
        if prefixed_stream.prefix().is_empty() {
            prefixed_stream.stream
        } else {
            Self::layered(prefixed_stream)
        }
    }
}

impl AsyncRead for PrefixedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let prefix = self.prefix();
        if prefix.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let count = prefix.len().min(buffer.remaining());
        buffer.put_slice(&prefix[..count]);
        self.consume(count);
        if self.prefix().is_empty() {
            (self.prefix, self.consumed) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PrefixedStream {
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

//! A connection's socket, as hyper sees it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::Stream;
use crate::progress::Progress;

/// The header that names the host which answered.
pub(crate) static SERVED_BY: HeaderName = HeaderName::from_static("x-served-by");

/// A socket that keeps its connection's [`Progress`] up to date.
///
/// It also signs what hyper answers by itself to a client that it does not understand: bytes that are written while
/// there is no request are such an answer.
#[derive(Debug)]
pub(crate) struct Io {
    stream: Stream,
    progress: Arc<Progress>,
    served_by: HeaderValue,
    /// Whether what is written is HTTP/1.
    signs: bool,
    signed: Option<Signed>,
    /// What has been read already, and is to be read again.
    early: Bytes,
}

/// An answer of hyper's own with this host's name in it, and how much of it is written.
#[derive(Debug)]
struct Signed {
    answer: Vec<u8>,
    written: usize,
}

impl Io {
    pub(crate) fn new(stream: Stream, progress: Arc<Progress>, served_by: HeaderValue) -> Self {
        Self { stream, progress, served_by, signs: true, signed: None, early: Bytes::new() }
    }

    /// The same with `bytes` to be read first, which came from it.
    pub(crate) fn with_early(self, bytes: Bytes) -> Self {
        Self { early: bytes, ..self }
    }

    /// Ready when there is something to read, be it the end or an error.
    pub(crate) fn poll_spoken(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.early.is_empty() { self.stream.poll_read_ready(cx) } else { Poll::Ready(()) }
    }

    /// The same for HTTP/2.
    pub(crate) fn multiplexed(self) -> Self {
        self.progress.multiplex();
        self.without_signing()
    }

    /// The same for another protocol than HTTP/1.
    pub(crate) fn without_signing(self) -> Self {
        Self { signs: false, ..self }
    }

    /// Says to the client that nothing more comes.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    /// Adds this host's name below the status line: `HTTP/1.1 431 Request Header Fields Too Large`.
    fn sign(&mut self, head: &[u8]) {
        let code = head.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
        self.progress.rejected(code.unwrap_or(StatusCode::BAD_REQUEST));
        let line = head.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let name = SERVED_BY.as_str().as_bytes();
        let answer = [&head[..line], name, b": ", self.served_by.as_bytes(), b"\r\n", &head[line..]].concat();
        self.signed = Some(Signed { answer, written: 0 });
    }

    fn poll_signed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(signed) = &mut self.signed else { return Poll::Ready(Ok(())) };
        while signed.written < signed.answer.len() {
            let written = Pin::new(&mut self.stream).poll_write(cx, &signed.answer[signed.written..]);
            self.progress.wrote(written.is_ready());
            signed.written += ready!(written)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.progress.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.signs && !self.progress.is_busy() && self.signed.is_none() {
            self.sign(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress.wrote(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_signed(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_signed(cx))?;
        // Only a socket that is read from for a while after this one needs to be told; any other is closed anyway, unless a
        // protocol of its own has something to say.
        if self.progress.is_unread() || self.stream.is_layered() {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

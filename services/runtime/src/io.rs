//! A connection's socket, as hyper sees it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{HeaderName, HeaderValue, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::listener::Stream;
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
    /// The signed answer, and how much of it is written.
    refusal: Option<Refusal>,
}

#[derive(Debug)]
struct Refusal {
    answer: Vec<u8>,
    written: usize,
}

impl Io {
    pub(crate) fn new(stream: Stream, progress: Arc<Progress>, served_by: HeaderValue) -> Self {
        Self { stream, progress, served_by, refusal: None }
    }

    fn sign(&mut self, head: &[u8]) {
        let code = head.get(9..12).and_then(|code| StatusCode::from_bytes(code).ok());
        self.progress.rejected(code.unwrap_or(StatusCode::BAD_REQUEST));
        let line = head.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        let name = SERVED_BY.as_str().as_bytes();
        let answer = [&head[..line], name, b": ", self.served_by.as_bytes(), b"\r\n", &head[line..]].concat();
        self.refusal = Some(Refusal { answer, written: 0 });
    }

    fn poll_refusal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(refusal) = &mut self.refusal else { return Poll::Ready(Ok(())) };
        while let rest = &refusal.answer[refusal.written..]
            && !rest.is_empty()
        {
            let written = Pin::new(&mut self.stream).poll_write(cx, rest);
            self.progress.wrote(written.is_ready());
            refusal.written += ready!(written)?;
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
        if !self.progress.is_busy() && self.refusal.is_none() {
            self.sign(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress.wrote(written.is_ready());
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

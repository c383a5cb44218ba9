//! What follows HTTP/1 on a connection whose client asked for another protocol.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::io::Io;

/// What an answer of 101 has go on in place of HTTP.
pub(crate) struct Upgrade(Box<dyn FnOnce(Upgraded) -> GoingOn + Send>);

type GoingOn = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Upgrade {
    pub(crate) fn new<F>(goes_on: impl FnOnce(Upgraded) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(|upgraded| Box::pin(goes_on(upgraded))))
    }

    pub(crate) async fn go_on(self, upgraded: Upgraded) {
        (self.0)(upgraded).await;
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upgrade")
    }
}

/// A client's bytes, both ways, after HTTP.
///
/// None of the server's limits watches them any more; the drain does, and cuts them off at its end.
#[derive(Debug)]
pub struct Upgraded {
    io: Io,
    closing: watch::Receiver<bool>,
}

impl Upgraded {
    pub(crate) fn new(io: Io, closing: watch::Receiver<bool>) -> Self {
        Self { io, closing }
    }

    /// Resolves when the server closes its connections, so that the client can be told.
    pub fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.closing.clone();
        async move { drop(closing.wait_for(|&closing| closing).await) }
    }
}

impl AsyncRead for Upgraded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Upgraded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_end(cx)
    }
}

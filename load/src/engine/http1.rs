//! An HTTP/1.1 connection.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};

use http::Method;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::codec::{self, Body, Head};
use super::connect::Stream;
use super::progress::{Phase, Progress};
use crate::error::RequestError;
use crate::instance::{InstanceKey, SEARCHED_BYTES};
use crate::plan::Plan;
use crate::recorder::{Response, Seen};
use crate::report::ErrorClass;

/// Size of the read buffer of each connection, in bytes.
const BUFFER: usize = 8 * 1024;

/// An HTTP/1.1 connection.
pub(super) struct Http1 {
    stream: Stream,
    /// Bytes of responses.
    buffer: Vec<u8>,
    /// First bytes of the body, if it names the instance.
    content: Vec<u8>,
    /// Instances that have responded.
    pub(super) seen: Rc<Cell<Seen>>,
}

impl Http1 {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::with_capacity(BUFFER), content: Vec::new(), seen: Rc::default() }
    }

    /// Whether the idle connection cannot be used: the server closed it, or sent data without a request.
    pub(super) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut self.stream.io).poll_read(context, &mut buffer).is_ready())
        })
        .await
    }

    /// Sends a request and reads the whole response. Puts the name of the instance into `name`, and returns the response
    /// and whether the connection is reusable.
    pub(super) async fn send(
        &mut self,
        request: &[u8],
        plan: &Plan,
        name: &mut Vec<u8>,
        progress: &Progress,
    ) -> Result<(Response, bool), RequestError> {
        let key = &plan.instance;
        progress.at(Phase::Sending, &self.stream.address);
        self.buffer.clear();
        let sent = self.write(request).await;
        progress.enter(Phase::Waiting);
        let head = match (self.read_head(plan.method == Method::HEAD, key, name).await, &sent) {
            // A server that reads no more may have responded before.
            (Err(_), Err(error)) => return Err(RequestError::io("sending a request", error)),
            (head, _) => head?,
        };
        progress.enter(Phase::Reading);
        let first_byte = progress.elapsed();
        let is_sent = sent.is_ok_and(|sent| sent);
        let mut body = Body::new(head.framing);
        let is_searched = matches!(key, InstanceKey::Body(_));
        self.content.clear();
        let mut start = head.length;
        loop {
            let content = &mut self.content;
            let taken = body.take(&self.buffer[start..], |bytes| {
                if is_searched {
                    let room = SEARCHED_BYTES - content.len();
                    content.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
            })?;
            if body.is_complete() {
                if is_searched {
                    key.find_in_body(&self.content, name);
                }
                let nothing_left = start + taken == self.buffer.len();
                let is_ok = plan.expect.contains(head.status);
                let response = Response { status: head.status, is_ok, bytes: body.length(), first_byte };
                return Ok((response, head.keep_alive && nothing_left && is_sent));
            }
            self.buffer.clear();
            start = 0;
            if self.read("a response body").await? == 0 && !body.close() {
                return Err(RequestError::new(
                    ErrorClass::Closed,
                    "the server closed the connection during a response body",
                ));
            }
        }
    }

    /// Writes a request. Returns false if the final response begins before its end.
    async fn write(&mut self, request: &[u8]) -> io::Result<bool> {
        let Self { stream, buffer, .. } = self;
        let mut written = 0;
        poll_fn(|context| {
            loop {
                let io = Pin::new(&mut stream.io);
                let blocked = if written < request.len() {
                    match io.poll_write(context, &request[written..])? {
                        Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        Poll::Ready(length) => {
                            written += length;
                            false
                        }
                        Poll::Pending => true,
                    }
                } else {
                    match io.poll_flush(context)? {
                        Poll::Ready(()) => return Poll::Ready(Ok(true)),
                        Poll::Pending => true,
                    }
                };
                if blocked {
                    let mut bytes = [0; 1024];
                    let mut bytes = ReadBuf::new(&mut bytes);
                    ready!(Pin::new(&mut stream.io).poll_read(context, &mut bytes))?;
                    buffer.extend_from_slice(bytes.filled());
                    if bytes.filled().is_empty() || has_final_head(buffer) {
                        return Poll::Ready(Ok(false));
                    }
                }
            }
        })
        .await
    }

    /// Reads the head of the final response, which stays at the start of the buffer.
    async fn read_head(
        &mut self,
        is_head: bool,
        key: &InstanceKey,
        name: &mut Vec<u8>,
    ) -> Result<Head, RequestError> {
        loop {
            if !self.buffer.is_empty()
                && let Some(head) = codec::head(&self.buffer, is_head, key.headers(), name)?
            {
                if head.status >= 200 {
                    return Ok(head);
                }
                if head.status == 101 {
                    return Err(RequestError::protocol("unexpected status 101 (switching protocols)"));
                }
                self.buffer.drain(..head.length);
                continue;
            }
            if self.read("a response").await? == 0 {
                let when = if self.buffer.is_empty() { "before" } else { "during" };
                return Err(RequestError::new(
                    ErrorClass::Closed,
                    format_args!("the server closed the connection {when} a response"),
                ));
            }
        }
    }

    async fn read(&mut self, what: &str) -> Result<usize, RequestError> {
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve(BUFFER);
        }
        let read = self.stream.io.read_buf(&mut self.buffer).await;
        read.map_err(|error| RequestError::io(format_args!("reading {what}"), &error))
    }
}

/// Removes interim responses from the buffer. Returns whether the head of the final response is in it, or something invalid.
fn has_final_head(buffer: &mut Vec<u8>) -> bool {
    loop {
        match codec::head(buffer, false, &[], &mut Vec::new()) {
            Ok(None) => return false,
            Ok(Some(head)) if head.status < 200 && head.status != 101 => drop(buffer.drain(..head.length)),
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

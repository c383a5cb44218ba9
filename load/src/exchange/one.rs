//! HTTP/1.1 on a connection.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

use super::stream::Stream;
use crate::fault::Fault;
use crate::http1::{self, Body, Head};
use crate::instance::{Key, LOOKED_AT};
use crate::recorder::Answer;
use crate::report::Class;

/// Read at once at most, and what each connection holds.
const BUFFER: usize = 8 * 1024;

/// A connection that speaks HTTP/1.1.
pub(crate) struct One {
    stream: Stream,
    buffer: Vec<u8>,
    /// A body's beginning, where the instance's name is in it.
    content: Vec<u8>,
}

impl One {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::with_capacity(BUFFER), content: Vec::new() }
    }

    /// Whether the server has closed it while it was idle, or has said what nobody asked for.
    pub(crate) async fn is_over(&mut self) -> bool {
        let mut byte = [0];
        poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut self.stream).poll_read(context, &mut buffer).is_ready())
        })
        .await
    }

    /// Sends a request, and reads the answer to its end. The instance's name is put into `name`. It says, too, whether
    /// another request may follow.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
        to_head: bool,
        key: &Key,
        name: &mut Vec<u8>,
    ) -> Result<(Answer, bool), Fault> {
        let sent = async {
            self.stream.write_all(request).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| Fault::io("sending a request", &error))?;
        self.buffer.clear();
        let head = self.head(to_head, key, name).await?;
        let mut body = Body::new(head.framing);
        let in_body = matches!(key, Key::Body(_));
        self.content.clear();
        let mut at = head.length;
        loop {
            let content = &mut self.content;
            let taken = body.take(&self.buffer[at..], |bytes| {
                if in_body {
                    let room = LOOKED_AT - content.len();
                    content.extend_from_slice(&bytes[..bytes.len().min(room)]);
                }
            })?;
            if body.is_whole() {
                if in_body {
                    key.find(&self.content, name);
                }
                let nothing_more = at + taken == self.buffer.len();
                let answer = Answer { status: head.status, bytes: body.length() };
                return Ok((answer, head.keep_alive && nothing_more));
            }
            self.buffer.clear();
            at = 0;
            if self.more("an answer's body").await? == 0 && !body.end() {
                return Err(Fault::new(Class::Closed, "the connection was closed within an answer's body"));
            }
        }
    }

    /// The head of the answer that is no interim one. It is at the beginning of the buffer.
    async fn head(&mut self, to_head: bool, key: &Key, name: &mut Vec<u8>) -> Result<Head, Fault> {
        loop {
            if !self.buffer.is_empty()
                && let Some(head) = http1::head(&self.buffer, to_head, key.header(), name)?
            {
                if head.status >= 200 {
                    return Ok(head);
                }
                if head.status == 101 {
                    return Err(Fault::protocol("an answer switches to a protocol that was not asked for"));
                }
                self.buffer.drain(..head.length);
                continue;
            }
            if self.more("an answer").await? == 0 {
                let when = if self.buffer.is_empty() { "before" } else { "within" };
                return Err(Fault::new(
                    Class::Closed,
                    format_args!("the connection was closed {when} an answer"),
                ));
            }
        }
    }

    async fn more(&mut self, what: &str) -> Result<usize, Fault> {
        if self.buffer.len() == self.buffer.capacity() {
            self.buffer.reserve(BUFFER);
        }
        let read = self.stream.read_buf(&mut self.buffer).await;
        read.map_err(|error| Fault::io(format_args!("reading {what}"), &error))
    }
}

//! Response bodies that are generated while they are sent.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Frame, SizeHint};
use runtime::{Body, Bytes};
use tokio::time::{Instant, Sleep, sleep_until};

/// The next step of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send these bytes.
    Bytes(Bytes),
    /// Wait until this much time has passed since the first step.
    Wait(Duration),
    /// End the body.
    End,
}

/// Generates a body. It is polled only when the connection can take bytes, so at most one step's bytes are in memory.
pub(crate) trait Source: Send + Unpin + 'static {
    /// Returns the next step; `elapsed` is the time since the first one.
    fn step(&mut self, elapsed: Duration) -> Step;

    /// Returns the number of remaining bytes, if known.
    fn left(&self) -> Option<u64> {
        None
    }
}

/// A future that ends a body early.
pub(crate) type Shutdown = Pin<Box<dyn Future<Output = ()> + Send>>;

struct BodyStream<S> {
    source: S,
    end: Option<Shutdown>,
    start: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Returns a body that `source` generates, until `end` resolves.
pub(crate) fn stream_body(source: impl Source, end: Option<Shutdown>) -> Body {
    Body::stream(BodyStream { source, end, start: None, timer: None })
}

impl<S: Source> hyper::body::Body for BodyStream<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { source, end, start, timer } = &mut *self;
        if let Some(end) = end
            && end.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        loop {
            let now = Instant::now();
            let start = *start.get_or_insert(now);
            match source.step(now - start) {
                Step::Bytes(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Step::End => return Poll::Ready(None),
                Step::Wait(time) => {
                    let deadline = start + time;
                    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                    if timer.deadline() != deadline {
                        timer.as_mut().reset(deadline);
                    }
                    ready!(timer.as_mut().poll(cx));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.source.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.source.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Numbered lines at an interval.
pub(crate) struct Lines<F> {
    pub(crate) next: u64,
    pub(crate) left: u64,
    /// Interval between two lines.
    pub(crate) every: Duration,
    /// Time after which no more lines follow.
    pub(crate) until: Duration,
    /// Formats the line with this number.
    pub(crate) line: F,
    /// Time at which the next line is due.
    pub(crate) due: Duration,
}

impl<F: Fn(u64) -> String + Send + Unpin + 'static> Source for Lines<F> {
    fn step(&mut self, elapsed: Duration) -> Step {
        if self.left == 0 || self.due > self.until {
            return Step::End;
        }
        if elapsed < self.due {
            return Step::Wait(self.due);
        }
        let line = (self.line)(self.next);
        self.next = self.next.wrapping_add(1);
        self.left -= 1;
        self.due = self.due.saturating_add(self.every);
        Step::Bytes(line.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(left: u64, every: u64) -> Lines<impl Fn(u64) -> String> {
        let [every, until] = [every, 10].map(Duration::from_secs);
        Lines { next: 7, left, every, until, line: |number| format!("{number}\n"), due: Duration::ZERO }
    }

    #[test]
    fn lines_are_sent_at_the_interval() {
        let mut lines = lines(2, 4);
        let second = Duration::from_secs(1);
        assert_eq!(lines.step(Duration::ZERO), Step::Bytes("7\n".into()));
        assert_eq!(lines.step(3 * second), Step::Wait(4 * second));
        assert_eq!(lines.step(5 * second), Step::Bytes("8\n".into()));
        assert_eq!(lines.step(5 * second), Step::End);
    }

    #[test]
    fn lines_end_at_the_time_limit() {
        let mut lines = lines(100, 4);
        let hour = Duration::from_hours(1);
        let count = std::iter::from_fn(|| (lines.step(hour) != Step::End).then_some(())).count();
        assert_eq!(count, 3);
    }
}

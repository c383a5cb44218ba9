//! Bodies that are made while they are sent.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Frame, SizeHint};
use runtime::{Body, Bytes};
use tokio::time::{Instant, Sleep, sleep_until};

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// These bytes, now.
    Bytes(Bytes),
    /// Nothing before so much time has passed since the first step.
    Wait(Duration),
    /// No more.
    End,
}

/// What makes a body. It is asked only when its bytes can be taken, so no more than a step's are ever in memory.
pub(crate) trait Source: Send + Unpin + 'static {
    /// What comes next, so long after the first step.
    fn step(&mut self, elapsed: Duration) -> Step;

    /// How many bytes are still to come, if that is known.
    fn left(&self) -> Option<u64> {
        None
    }
}

/// Something that ends a body early.
pub(crate) type End = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Flow<S> {
    source: S,
    end: Option<End>,
    start: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A body that `source` makes.
pub(crate) fn flow(source: impl Source) -> Body {
    Body::stream(Flow { source, end: None, start: None, timer: None })
}

/// The same until `end`.
pub(crate) fn flow_until(end: End, source: impl Source) -> Body {
    Body::stream(Flow { source, end: Some(end), start: None, timer: None })
}

impl<S: Source> hyper::body::Body for Flow<S> {
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

/// One line after the other.
pub(crate) struct Lines<F> {
    pub(crate) next: u64,
    pub(crate) left: u64,
    /// From one to the next.
    pub(crate) every: Duration,
    /// When there are no more, however many are left.
    pub(crate) until: Duration,
    /// Makes one.
    pub(crate) line: F,
    /// When the next is due.
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
    fn each_line_waits_for_its_time() {
        let mut lines = lines(2, 4);
        let second = Duration::from_secs(1);
        assert_eq!(lines.step(Duration::ZERO), Step::Bytes("7\n".into()));
        assert_eq!(lines.step(3 * second), Step::Wait(4 * second));
        assert_eq!(lines.step(5 * second), Step::Bytes("8\n".into()));
        assert_eq!(lines.step(5 * second), Step::End);
    }

    #[test]
    fn lines_end_with_their_time_too() {
        let mut lines = lines(100, 4);
        let hour = Duration::from_hours(1);
        let count = std::iter::from_fn(|| (lines.step(hour) != Step::End).then_some(())).count();
        assert_eq!(count, 3);
    }
}

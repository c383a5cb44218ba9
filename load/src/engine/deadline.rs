//! A time within which something has to be done, again and again.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Ends what takes too long.
///
/// A timer is set when it has run out, not for each of the things that are done: as long as all is well it costs nothing.
pub(super) struct Deadline {
    timeout: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl Deadline {
    /// Each thing may take that long.
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, sleep: Box::pin(sleep_until(Instant::now() + timeout)) }
    }

    /// What comes of `future`; nothing, if that takes too long since `began`.
    pub(super) async fn within<T>(&mut self, began: Instant, future: impl Future<Output = T>) -> Option<T> {
        let end = began + self.timeout;
        let mut future = pin!(future);
        poll_fn(|context| {
            if let Poll::Ready(done) = future.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            while self.sleep.as_mut().poll(context).is_ready() {
                if Instant::now() >= end {
                    return Poll::Ready(None);
                }
                self.sleep.as_mut().reset(end);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By a clock that jumps when all wait for it.
    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(test);
    }

    #[test]
    fn each_thing_has_the_whole_time() {
        const TIMEOUT: Duration = Duration::from_secs(10);
        run(async {
            let mut deadline = Deadline::new(TIMEOUT);
            for seconds in [9, 9, 0, 9] {
                let work = async {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    seconds
                };
                assert_eq!(deadline.within(Instant::now(), work).await, Some(seconds));
            }
            let began = Instant::now();
            assert_eq!(deadline.within(began, std::future::pending::<()>()).await, None);
            let took = began.elapsed();
            assert!(took >= TIMEOUT && took < TIMEOUT + Duration::from_millis(10), "{took:?}");
        });
    }
}

//! What a process writes, kept in memory.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How many lines are kept; of a chattier process the oldest are forgotten.
const KEPT: usize = 20_000;

/// The lines of one process, filled by a thread that reads them as they come.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    ended: bool,
}

impl Log {
    /// Reads `source` to its end; `prefix` asks for a copy of each line on stderr.
    pub(crate) fn read(source: impl Read + Send + 'static, prefix: Option<String>) -> Self {
        let log = Self(Arc::new(Shared { state: Mutex::default(), grown: Condvar::new() }));
        let reader = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                if let Some(prefix) = &prefix {
                    eprintln!("{prefix} | {line}");
                }
                let mut state = reader.state();
                if state.lines.len() == KEPT {
                    state.lines.pop_front();
                }
                state.lines.push_back(line);
                drop(state);
                reader.0.grown.notify_all();
            }
            reader.state().ended = true;
            reader.0.grown.notify_all();
        });
        log
    }

    /// All that was written so far.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.iter().cloned().collect()
    }

    /// The last `count` lines, joined.
    pub fn tail(&self, count: usize) -> String {
        let state = self.state();
        let skipped = state.lines.len().saturating_sub(count);
        state.lines.iter().skip(skipped).flat_map(|line| [line, "\n"]).collect()
    }

    /// How many lines hold `text`.
    pub fn count(&self, text: &str) -> usize {
        self.state().lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits for a line that holds `text`, and returns the first such.
    pub fn wait_for(&self, text: &str, timeout: Duration) -> Result<String> {
        let end = Instant::now() + timeout;
        let mut state = self.state();
        loop {
            if let Some(line) = state.lines.iter().find(|line| line.contains(text)) {
                return Ok(line.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let why = if state.ended { "the output has ended" } else { "the time is over" };
                bail!("no line with {text:?} in the log: {why}");
            }
            state = self.0.grown.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until every holder of the output has closed it, so that nothing is still on its way.
    pub fn wait_for_end(&self, timeout: Duration) -> Result<()> {
        let waiting = |state: &mut State| !state.ended;
        let (state, _) = self
            .0
            .grown
            .wait_timeout_while(self.state(), timeout, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        if !state.ended {
            bail!("the log has not ended after {timeout:?}: a process still holds the output open");
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_never_comes_is_not_waited_for_once_the_output_ends() {
        let log = Log::read(&b"one\ntwo\n"[..], None);
        assert_eq!(log.wait_for("tw", Duration::from_mins(1)).unwrap(), "two");
        let error = log.wait_for("three", Duration::from_mins(1)).unwrap_err();
        assert_eq!(error.to_string(), "no line with \"three\" in the log: the output has ended");
        assert_eq!(log.tail(1), "two\n");
    }
}

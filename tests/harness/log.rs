//! Output of a process, kept in memory.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

/// Maximum number of lines kept. The oldest are dropped.
const MAX_LINES: usize = 20_000;

/// Lines of one process, appended by a thread as they arrive.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<String>,
    ended: bool,
}

impl Log {
    /// Reads `source` to its end. With `prefix` each line is copied to stderr.
    pub(crate) fn read(source: impl Read + Send + 'static, prefix: Option<String>) -> Self {
        let log = Self(Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() }));
        let reader = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).split(b'\n') {
                let Ok(line) = line else { break };
                // A terminal ends lines with CR LF.
                let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
                if let Some(prefix) = &prefix {
                    eprintln!("{prefix} | {line}");
                }
                let mut state = reader.state();
                if state.lines.len() == MAX_LINES {
                    state.lines.pop_front();
                }
                state.lines.push_back(line);
                drop(state);
                reader.0.changed.notify_all();
            }
            reader.state().ended = true;
            reader.0.changed.notify_all();
        });
        log
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.state().lines.iter().cloned().collect()
    }

    /// All lines so far that contain `text`.
    pub fn matching(&self, text: &str) -> Vec<String> {
        self.state().lines.iter().filter(|line| line.contains(text)).cloned().collect()
    }

    /// Number of lines so far that contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.matching(text).len()
    }

    /// The last `count` lines, each with its newline.
    pub fn tail(&self, count: usize) -> String {
        let state = self.state();
        let skipped = state.lines.len().saturating_sub(count);
        state.lines.iter().skip(skipped).flat_map(|line| [line, "\n"]).collect()
    }

    /// Waits for a line that contains `text`, and returns the first such line. Fails when the output ends without one.
    pub fn wait_for(&self, text: &str, timeout: Duration) -> Result<String> {
        let find = |state: &State| state.lines.iter().find(|line| line.contains(text)).cloned();
        let state = self.wait(timeout, |state| state.ended || find(state).is_some());
        match find(&state) {
            Some(line) => Ok(line),
            None if state.ended => bail!("no line with {text:?} in the log: the output has ended"),
            None => bail!("no line with {text:?} in the log after {timeout:?}"),
        }
    }

    /// Waits until every process that inherited the output has closed it. No line can arrive after that.
    pub fn wait_for_end(&self, timeout: Duration) -> Result<()> {
        if !self.wait(timeout, |state| state.ended).ended {
            bail!("the log has not ended after {timeout:?}: a process still holds the output open");
        }
        Ok(())
    }

    fn wait(&self, timeout: Duration, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.0.changed.wait_timeout_while(self.state(), timeout, |state| !condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually::TIMEOUT;

    #[test]
    fn missing_line_is_not_awaited_after_the_output_has_ended() {
        let log = Log::read(&b"one\ntwo\n"[..], None);
        assert_eq!(log.wait_for("tw", TIMEOUT).unwrap(), "two");
        let error = log.wait_for("three", TIMEOUT).unwrap_err();
        assert_eq!(error.to_string(), "no line with \"three\" in the log: the output has ended");
        assert_eq!(log.tail(1), "two\n");
    }
}

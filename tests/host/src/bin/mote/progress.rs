//! A sign of life for what takes longer than a second.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Nobody needs to be told about less.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on standard error that comes after a second and goes with this value. Nothing where there is no terminal.
#[derive(Debug)]
pub(crate) struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Begins something.
    pub(crate) fn start(what: impl Into<String>) -> Self {
        if !stderr().is_terminal() {
            return Self(None);
        }
        let what = what.into();
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            let bar = ProgressBar::new_spinner()
                .with_elapsed(PATIENCE)
                .with_style(
                    ProgressStyle::with_template("{spinner} {msg} {elapsed}")
                        .expect("a constant template"),
                );
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_millis(100));
            // The other end says nothing; it goes.
            let _ = ended.recv();
            bar.finish_and_clear();
        });
        Self(Some((end, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((end, thread)) = self.0.take() {
            drop(end);
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

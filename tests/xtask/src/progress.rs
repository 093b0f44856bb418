//! Progress while something builds: a spinner on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often the spinner turns.
const TURN_MS: u64 = 100;
/// On anything but a terminal, at most one line in this time, so that a log stays readable.
const QUIET_MS: u64 = 5_000;

/// One line of work in progress.
pub(crate) struct Progress {
    title: String,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// Announces `title` and starts its clock.
    pub(crate) fn start(title: &str) -> Self {
        let now = Instant::now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{spinner:.cyan} {prefix} {wide_msg:.dim} {elapsed:.dim}",
            )
            .expect("the template is constant and has been tried");
            let bar = ProgressBar::new_spinner()
                .with_style(style)
                .with_prefix(title.to_owned());
            bar.enable_steady_tick(Duration::from_millis(TURN_MS));
            bar
        });
        if bar.is_none() {
            eprintln!("{title} …");
        }
        Self {
            title: title.to_owned(),
            bar,
            started: now,
            last_line: now,
        }
    }

    /// Says what is being done now.
    pub(crate) fn say(&mut self, what: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(what);
        } else if self.last_line.elapsed() >= Duration::from_millis(QUIET_MS) {
            eprintln!("  {what}");
            self.last_line = Instant::now();
        }
    }

    /// Prints a line that must stay on the screen, such as a compiler's warning.
    pub(crate) fn print(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Ends the work that succeeded. Work too short to be noticed leaves no line.
    pub(crate) fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        if self.bar.is_none() || seconds >= 1.0 {
            eprintln!("{} done in {seconds:.1} s", self.title);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

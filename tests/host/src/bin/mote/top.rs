//! `mote top`: VMs and their processes, live.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::named::place::Name;
use crate::style::{self, Stream};
use crate::{ps, stats, terminal};
use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{IsTerminal, Read, Write, stdin, stdout};

/// Time between two looks.
const INTERVAL: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// Uses the terminal's second screen and hides the cursor; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Goes to the upper left corner; clears the rest of a line; clears the rest of the screen.
const HOME: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// Show VMs and their processes, live
///
/// q ends it.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The VMs' names; without any, all of them
    names: Vec<Name>,
}

/// The second screen; dropping it gives the first one back.
struct Screen(terminal::Raw);

impl Screen {
    fn take() -> Result<Self> {
        if !stdout().is_terminal() {
            return Err(Failure::new("`mote top` needs a terminal").hint(
                "for a file or a pipe there is `mote stats --watch`, and `mote stats --json`",
            ));
        }
        let raw = terminal::Raw::take()?;
        print!("{ENTER}");
        Ok(Self(raw))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        print!("{LEAVE}");
        // A terminal that is gone needs nothing.
        let _ = stdout().flush();
    }
}

/// Shows them.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut before = stats::look(&arguments.names)?;
    let _screen = Screen::take()?;
    loop {
        let now = stats::look(&arguments.names)?;
        let size = terminal::size();
        let width = size
            .map(|size| usize::from(size.columns))
            .filter(|&width| width > 0);
        let height = size.map_or(24, |size| usize::from(size.rows.max(2)));
        let mut lines = Vec::new();
        let head = format!("mote top: {} VMs; q ends", now.len());
        lines.push(style::bold(Stream::Output, &head));
        heading(&mut lines, stats::table(&before, &now).lines(width));
        for name in now.keys() {
            // One that ended meanwhile is gone with the next look.
            let Ok(rows) = ps::rows(name) else { continue };
            let running: Vec<_> = rows
                .into_iter()
                .filter(|row| row.exit_code.is_none())
                .collect();
            if !running.is_empty() {
                lines.push(String::new());
                lines.push(style::bold(Stream::Output, &name.to_string()));
                lines.extend(ps::table(&running).lines(width));
            }
        }
        show(&lines, height)?;
        if is_over()? {
            return Ok(ExitCode(0));
        }
        before = now;
    }
}

fn heading(lines: &mut Vec<String>, table: Vec<String>) {
    for (index, line) in table.into_iter().enumerate() {
        lines.push(match index {
            0 => style::bold(Stream::Output, &line),
            _ => line,
        });
    }
}

fn show(lines: &[String], height: usize) -> Result<()> {
    let mut text = String::from(HOME);
    for (index, line) in lines.iter().take(height).enumerate() {
        if index > 0 {
            text.push_str("\r\n");
        }
        text.push_str(line);
        text.push_str(CLEAR_LINE);
    }
    text.push_str(CLEAR_BELOW);
    let mut stdout = stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| Failure::io("cannot write to the terminal", &error))
}

/// Waits until it is time to look again; returns whether the user has seen enough: `q`, `^C`, the end of input.
fn is_over() -> Result<bool> {
    const CONTROL_C: u8 = 3;
    let input = stdin();
    let mut fds = [PollFd::new(&input, PollFlags::IN)];
    match poll(&mut fds, Some(&INTERVAL)) {
        // The window's size has changed, perhaps.
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(false),
        Ok(_) => {}
        Err(error) => return Err(Failure::io("cannot wait for a key", &error.into())),
    }
    let mut key = [0];
    let count = input
        .lock()
        .read(&mut key)
        .map_err(|error| Failure::io("cannot read the terminal", &error))?;
    Ok(count == 0 || matches!(key[0], b'q' | b'Q' | CONTROL_C))
}

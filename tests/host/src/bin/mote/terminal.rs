//! The terminal this command was started from: raw while a program in a VM has it, and always given back as it was.

use crate::failure::{Failure, Result};
use crate::style::Stream;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{IsTerminal, stderr, stdin, stdout};
use std::sync::{Mutex, PoisonError};

/// The settings to give back; there is one terminal.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Columns and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

/// A terminal in raw mode; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Raw(());

impl Raw {
    /// Takes standard input's terminal: what is typed goes to the program byte by byte, `^C` included.
    pub(crate) fn take() -> Result<Self> {
        if !stdin().is_terminal() {
            return Err(
                Failure::new("cannot give the program a terminal: standard input is none")
                    .hint("leave out -t, or run mote from a terminal"),
            );
        }
        let failed =
            |error: rustix::io::Errno| Failure::io("cannot set up the terminal", &error.into());
        let before = tcgetattr(stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(stdin(), OptionalActions::Now, &raw).map_err(failed)?;
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        give_back();
    }
}

/// Gives the terminal back if it was taken; for who ends this process without a way back through the callers.
pub(crate) fn give_back() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    }
}

/// Returns the size of the terminal of standard input, if it is one.
pub(crate) fn size() -> Option<Size> {
    let size = tcgetwinsize(stdin()).ok()?;
    Some(Size {
        columns: size.ws_col,
        rows: size.ws_row,
    })
}

/// Returns how many columns a stream has, if it is a terminal that says so.
pub(crate) fn width(stream: Stream) -> Option<usize> {
    let size = match stream {
        Stream::Output => tcgetwinsize(stdout()),
        Stream::Error => tcgetwinsize(stderr()),
    };
    let columns = size.ok()?.ws_col;
    (columns > 0).then_some(columns.into())
}

//! Ctrl-C and its relatives: passed on to the program, then in earnest. And the window's size, which follows.

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::job::Job;
use crate::terminal::{self, Size};
use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGWINCH};
use signal_hook::iterator::Signals;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// What the user did: a signal's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupt(pub(crate) i32);

impl Interrupt {
    /// The user has given up on the program with the terminal's escape key.
    pub(crate) const ESCAPE: Self = Self(SIGHUP);

    /// Returns the exit code of a process that this ended.
    pub(crate) const fn exit_code(self) -> ExitCode {
        /// What shells add to the signal's number.
        const SIGNALLED: i32 = 128;
        ExitCode(SIGNALLED + self.0)
    }
}

/// Catches the signals that ask this process to end, and those of the window. Until then their default action ends it, and
/// the VM with it.
pub(crate) fn catch() -> Result<Receiver<Interrupt>> {
    let failed = |error| Failure::io("cannot catch signals", &error);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGWINCH]).map_err(failed)?;
    let (sender, receiver): (Sender<Interrupt>, _) = mpsc::channel();
    thread::Builder::new()
        .name("mote-signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if sender.send(Interrupt(signal)).is_err() {
                    return;
                }
            }
        })
        .map_err(failed)?;
    Ok(receiver)
}

/// What is to be told to the program.
enum Steer {
    Signal(i32),
    Resize(Size),
}

/// Tells the program one thing after the other, on a thread of its own: a guest that hangs answers late or never, and who
/// counts interrupts or seconds must not wait for it.
#[derive(Clone, Debug)]
pub(crate) struct Messenger(Sender<Steer>);

impl Messenger {
    /// Begins.
    pub(crate) fn start(job: Arc<dyn Job>) -> Result<Self> {
        let (sender, steers) = mpsc::channel();
        thread::Builder::new()
            .name("mote-messenger".into())
            .spawn(move || {
                for steer in steers {
                    match steer {
                        Steer::Resize(size) => job.resize(size),
                        Steer::Signal(signal) => job.signal(signal),
                    }
                }
            })
            .map_err(|error| Failure::io("cannot start a thread", &error))?;
        Ok(Self(sender))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: i32) {
        self.tell(Steer::Signal(signal));
    }

    /// Passes the size of this terminal's window on, where there is one.
    pub(crate) fn resize(&self) {
        if let Some(size) = terminal::size() {
            self.tell(Steer::Resize(size));
        }
    }

    fn tell(&self, steer: Steer) {
        // The other end is there as long as this one.
        let _ = self.0.send(steer);
    }
}

/// Passes interrupts on to a program: the first as it is, the second as SIGKILL. From the third on `give_up` is called,
/// whatever became of the first two.
pub(crate) fn forward(
    interrupts: Receiver<Interrupt>,
    messenger: Messenger,
    give_up: impl Fn(Interrupt) + Send + 'static,
) -> Result<()> {
    thread::Builder::new()
        .name("mote-interrupts".into())
        .spawn(move || {
            let mut count = 0;
            for interrupt in interrupts {
                if interrupt.0 == SIGWINCH {
                    messenger.resize();
                    continue;
                }
                match count {
                    0 => messenger.signal(interrupt.0),
                    1 => messenger.signal(SIGKILL),
                    _ => give_up(interrupt),
                }
                count += 1;
            }
        })
        .map(drop)
        .map_err(|error| Failure::io("cannot start a thread", &error))
}

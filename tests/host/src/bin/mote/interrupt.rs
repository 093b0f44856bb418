//! Ctrl-C and its relatives: passed on to the program, then in earnest. And the window's size, which follows.

use crate::failure::{Failure, Result};
use crate::job::Job;
use crate::terminal;
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

/// Passes interrupts on to a program: the first as it is, the second as SIGKILL. From the third on, or when the guest
/// refuses, `give_up` is called.
pub(crate) fn forward(
    interrupts: Receiver<Interrupt>,
    job: Arc<dyn Job>,
    give_up: impl Fn(Interrupt) + Send + 'static,
) -> Result<()> {
    thread::Builder::new()
        .name("mote-interrupts".into())
        .spawn(move || {
            let mut count = 0;
            for interrupt in interrupts {
                if interrupt.0 == SIGWINCH {
                    if let Some(size) = terminal::size() {
                        job.resize(size);
                    }
                    continue;
                }
                let passed_on = match count {
                    0 => job.signal(interrupt.0),
                    1 => job.signal(SIGKILL),
                    _ => false,
                };
                count += 1;
                if !passed_on {
                    give_up(interrupt);
                }
            }
        })
        .map(drop)
        .map_err(|error| Failure::io("cannot start a thread", &error))
}

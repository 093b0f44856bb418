//! Ctrl-C and its relatives: passed on to the program, then in earnest.

use mote_host::Process;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// What the user did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interrupt(pub(crate) i32);

/// Catches the signals that ask this process to end. Until then their default action ends it, and the VM with it.
pub(crate) fn catch() -> io::Result<Receiver<Interrupt>> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT, SIGHUP])?;
    let (sender, receiver): (Sender<Interrupt>, _) = mpsc::channel();
    thread::Builder::new()
        .name("mote-signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if sender.send(Interrupt(signal)).is_err() {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

/// Passes interrupts on to a process: the first as it is, the second as SIGKILL. From the third on, or when the guest
/// refuses, `give_up` is called.
pub(crate) fn forward(
    interrupts: Receiver<Interrupt>,
    process: Arc<Process>,
    give_up: impl Fn(Interrupt) + Send + 'static,
) -> io::Result<()> {
    thread::Builder::new()
        .name("mote-interrupts".into())
        .spawn(move || {
            for (count, interrupt) in interrupts.iter().enumerate() {
                let passed_on = match count {
                    0 => process.signal(interrupt.0).is_ok(),
                    1 => process.kill().is_ok(),
                    _ => false,
                };
                if !passed_on {
                    give_up(interrupt);
                }
            }
        })
        .map(drop)
}

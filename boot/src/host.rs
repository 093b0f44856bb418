//! The way to the host: the agent and the vsock device it speaks through, lent to the loop while it speaks.
//!
//! Whoever dies elsewhere, in a system call or in the kernel's own work, finds both free and whole, and can still tell the
//! host's log why. Whoever dies while they are lent cannot: the serial port has its words.

use crate::turn::MachineVsock;
use agent::{Agent, Buffers, Config};
use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;
use hal::clock::Clock;
use hal::logger;
use hal::vsock::Vsock;
use hal::x86::exclusive::Exclusive;
use hal::x86::last_words;
use hal::x86::tsc::Tsc;

/// How long the last words may take to reach the host. A host that takes the log has them within a millisecond.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Large, and lives as long as the machine.
static AGENT: Exclusive<Agent> = Exclusive::new(Agent::new());

static VSOCK: Exclusive<Option<(Box<MachineVsock>, Tsc)>> = Exclusive::new(None);

/// Gives the agent what it needs, and dials.
pub(crate) fn begin(config: Config, buffers: Buffers, vsock: Box<MachineVsock>, clock: Tsc) {
    // Not lent: nothing was before this.
    let _ = VSOCK.with(|place| *place = Some((vsock, clock)));
    let _ = with(|agent, vsock| {
        agent.begin(config, buffers);
        agent.dial(clock.now(), vsock);
    });
    last_words::set_witness(tell);
}

/// Lends both; `None` to somebody who has them already.
pub(crate) fn with<R>(work: impl FnOnce(&mut Agent, &mut MachineVsock) -> R) -> Option<R> {
    AGENT
        .with(|agent| VSOCK.with(|place| place.as_mut().map(|(vsock, _)| work(agent, vsock))))
        .flatten()
        .flatten()
}

/// Tells the host's log why the machine ends, and waits until it was told.
fn tell(words: fmt::Arguments<'_>) {
    let Some(clock) = VSOCK.with(|place| place.as_ref().map(|(_, clock)| *clock)) else {
        return;
    };
    let Some(clock) = clock else {
        return;
    };
    let _ = with(|agent, vsock| {
        while let Some(record) = logger::next() {
            agent.log(
                record.at,
                vsock,
                record.level,
                format_args!("{}", record.text),
            );
        }
        agent.log(clock.now(), vsock, log::Level::Error, words);
        let until = clock.now() + LAST_WORDS;
        while !agent.finish_log(vsock) && clock.now() < until {
            // What else happens has no meaning any more.
            while vsock.poll(clock.now()).is_some() {}
        }
    });
}

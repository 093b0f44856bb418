//! Reconnect storms: many containers come and go while the bridge is cut at random bytes, again and again.
//!
//! ```text
//! guest ◄── vsock ──► cut ([`cut`]) ◄──► GuestConnection ◄── workers ([`job`]), one container after the other
//!                      │ after so many bytes one way: both ends are closed
//!                      └─► the supervisor takes the guest's next dial and goes on with the session
//! ```
//!
//! The seed decides the cuts, what every container writes and how it ends. At the end the host has learnt every exit code,
//! once, and every byte of output in order; whatever is missing or wrong is a panic.

mod cut;
mod job;
mod random;

use crate::{DEADLINE, busybox_disk, config, patient};
use cut::Cut;
use job::Job;
use mote_host::{GuestConnection, Machine, Vm};
use random::Random;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often the supervisor looks whether the storm is over.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Before its first cut the bridge must be negotiated once.
const FIRST_CUT_BYTES: u64 = 4096;

/// What a storm is made of.
#[derive(Clone, Copy, Debug)]
pub struct Storm {
    /// Containers, each of which exits once.
    pub exits: u32,
    /// Where the random numbers start.
    pub seed: u64,
    /// Containers at once.
    pub workers: usize,
    /// Bytes between two cuts, on average, counted one way.
    pub bytes_between_cuts: u64,
}

/// What a storm was.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Exit codes the host has learnt.
    pub exits: u32,
    /// Bytes of output it has read.
    pub bytes: u64,
    /// Connections that were cut.
    pub cuts: u32,
    /// Calls that were interrupted and made again.
    pub interrupted: u32,
    /// How long it took.
    pub duration: Duration,
    /// The longest time from a cut to the next negotiation, and the mean.
    pub longest_gap: Duration,
    /// See `longest_gap`.
    pub mean_gap: Duration,
}

/// Runs a storm over a VM of its own.
///
/// # Panics
///
/// When anything is lost, doubled or wrong.
#[must_use]
pub fn run(storm: Storm) -> Weather {
    let vm = Vm::start(config(Machine::Microvm).disk(busybox_disk()).memory_mib(64))
        .unwrap_or_else(|error| panic!("{error}"));
    let mut random = Random::new(storm.seed);
    let stream = vm.accept_bridge(DEADLINE).expect("dialled");
    let first = Cut::after(
        FIRST_CUT_BYTES + random.below(storm.bytes_between_cuts),
        true,
    );
    let timeouts = patient();
    let guest = GuestConnection::connect(first.pass(stream), vm.ports(), timeouts)
        .unwrap_or_else(|error| panic!("{error}"));
    guest.set_migrating(true);

    let start = Instant::now();
    let next = AtomicU32::new(0);
    let interrupted = AtomicU32::new(0);
    let bytes = std::sync::atomic::AtomicU64::new(0);
    let exits = AtomicU32::new(0);
    let over = AtomicBool::new(false);
    let gaps = thread::scope(|scope| {
        let supervisor = scope.spawn(|| supervise(&vm, &guest, random, storm, &over));
        thread::scope(|workers| {
            for _ in 0..storm.workers {
                workers.spawn(|| {
                    let guard = EndOnPanic(&guest);
                    while let Some(job) = Job::next(&next, storm) {
                        bytes.fetch_add(job.run(&guest, &interrupted), Ordering::Relaxed);
                        exits.fetch_add(1, Ordering::Relaxed);
                    }
                    std::mem::forget(guard);
                });
            }
        });
        // Whatever the storm did to it, the guest still serves.
        job::assert_answers(&guest, &interrupted);
        over.store(true, Ordering::Release);
        supervisor.join().expect("the supervisor panicked")
    });
    Weather {
        exits: exits.into_inner(),
        bytes: bytes.into_inner(),
        cuts: gaps.len() as u32,
        interrupted: interrupted.into_inner(),
        duration: start.elapsed(),
        longest_gap: gaps.iter().copied().max().unwrap_or_default(),
        mean_gap: gaps.iter().sum::<Duration>() / (gaps.len() as u32).max(1),
    }
}

/// Goes on with the session whenever its connection is cut. Returns how long each gap was.
fn supervise(
    vm: &Vm,
    guest: &GuestConnection,
    mut random: Random,
    storm: Storm,
    over: &AtomicBool,
) -> Vec<Duration> {
    let mut gaps = Vec::new();
    let mut lost_at = None;
    loop {
        if guest.wait_lost(LOOK_AGAIN).is_none() {
            if over.load(Ordering::Acquire) {
                return gaps;
            }
            if let Some(reason) = guest.end_reason() {
                panic!(
                    "the session has ended: {reason}\nconsole:\n{}",
                    vm.console()
                );
            }
            continue;
        }
        let began = *lost_at.get_or_insert_with(Instant::now);
        let stream = vm.accept_bridge(DEADLINE).expect("dialled again");
        let cut = Cut::after(
            1 + random.below(2 * storm.bytes_between_cuts),
            random.below(2) == 0,
        );
        match guest.resume_on(cut.pass(stream)) {
            Ok(()) => {
                gaps.push(began.elapsed());
                lost_at = None;
            }
            // Cut again while it was negotiated.
            Err(error) if error.is_interrupted() => {}
            Err(error) => panic!("{error}\nconsole:\n{}", vm.console()),
        }
    }
}

/// Ends the session when a worker panics, so that the others do not wait for it.
struct EndOnPanic<'a>(&'a GuestConnection);

impl Drop for EndOnPanic<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

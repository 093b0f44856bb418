//! One container of a storm, from its creation to the end of its state, however often it is interrupted.

use super::Storm;
use super::random::Random;
use crate::DEADLINE;
use mote_host::{Container, ContainerConfig, Error, GuestConnection, ProcessConfig, Result};
use std::io::Read;
use std::sync::atomic::{AtomicU32, Ordering};

/// Every so many containers one writes more than a pipe and a window hold.
const LOUD: u32 = 64;

/// What that one writes.
const LOUD_BYTES: u64 = 300 * 1024;

/// What most write at most.
const QUIET_BYTES: u64 = 3000;

/// One container.
pub(crate) struct Job {
    id: String,
    /// Decides what is written.
    seed: u32,
    bytes: u64,
    exit_code: u32,
}

impl Job {
    /// Takes the next container of a storm.
    pub(crate) fn next(next: &AtomicU32, storm: Storm) -> Option<Self> {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= storm.exits {
            return None;
        }
        let mut random = Random::new(storm.seed ^ (u64::from(number) << 32));
        Some(Self {
            id: format!("storm-{number}"),
            seed: number.wrapping_mul(7919),
            bytes: if number % LOUD == LOUD - 1 {
                LOUD_BYTES
            } else {
                random.below(QUIET_BYTES)
            },
            exit_code: random.below(256) as u32,
        })
    }

    /// Carries it through; returns how many bytes it wrote.
    pub(crate) fn run(&self, guest: &GuestConnection, interrupted: &AtomicU32) -> u64 {
        let call = Call { guest, interrupted };
        let container = self.create(&call);
        // The init exists since its creation, so its id is known before anything can be lost with an answer.
        let pid = call.until_done(|_| container.process_list())[0].pid;
        let init = ProcessConfig::init().without_stdin().without_stderr();
        let pipes = container.pipes(&init).expect("bound");
        call.until_done(|again| match container.execute(&init, &pipes) {
            // Carried out before, and its answer lost.
            Err(error) if again && (error.is_invalid_state() || error.is_already_stopped()) => {
                Ok(pid)
            }
            other => other,
        });
        let process = call.until_done(|_| container.open_process_with_io(pid, &pipes));
        let mut output = Vec::new();
        let mut stdout = process.stdout().expect("asked for");
        stdout.read_to_end(&mut output).expect("read");
        self.assert_output(&output);
        let exit_code = process.wait_timeout(DEADLINE);
        let exit_code = exit_code.unwrap_or_else(|error| panic!("{}: {error}", self.id));
        assert_eq!(exit_code, self.exit_code, "{}", self.id);
        call.until_done(|again| match guest.delete_container_state(&self.id) {
            Err(error) if again && error.is_not_exist() => Ok(()),
            other => other,
        });
        self.bytes
    }

    fn create(&self, call: &Call<'_>) -> Container {
        let (seed, bytes, code) = (self.seed, self.bytes, self.exit_code);
        let program = ProcessConfig::new([
            "/programs/talk",
            &seed.to_string(),
            &bytes.to_string(),
            &code.to_string(),
        ]);
        let config = ContainerConfig::new(&program);
        call.until_done(
            |again| match call.guest.create_container(&self.id, &config) {
                Err(error) if again && error.is_already_exists() => {
                    call.guest.open_container(&self.id)
                }
                other => other,
            },
        )
    }

    /// Every byte, in order (see `tests/programs/src/bin/talk.rs`).
    fn assert_output(&self, output: &[u8]) {
        assert_eq!(output.len() as u64, self.bytes, "{}", self.id);
        for (index, byte) in (0_u32..).zip(output) {
            let expected = self.seed.wrapping_add(index).wrapping_mul(2_654_435_761) >> 24;
            assert_eq!(u32::from(*byte), expected, "{}: byte {index}", self.id);
        }
    }
}

/// Asks the guest what it is doing, however often that is interrupted.
pub(crate) fn assert_answers(guest: &GuestConnection, interrupted: &AtomicU32) {
    let call = Call { guest, interrupted };
    call.until_done(|_| guest.dump_stacks());
}

/// Calls that are made again when they were interrupted.
struct Call<'a> {
    guest: &'a GuestConnection,
    interrupted: &'a AtomicU32,
}

impl Call<'_> {
    /// Makes a call until it was not interrupted. `call` learns whether it is made again.
    fn until_done<T>(&self, mut call: impl FnMut(bool) -> Result<T, Error>) -> T {
        let mut again = false;
        loop {
            match call(again) {
                Ok(value) => return value,
                Err(error) if error.is_interrupted() => {
                    self.interrupted.fetch_add(1, Ordering::Relaxed);
                    assert!(self.guest.wait_up(DEADLINE), "the connection is back");
                    again = true;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

//! Processes of ours on the host, waited for with a deadline.

use crate::DEADLINE;
use std::io::Read;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// How often something is looked for that another process brings about.
pub const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits for a process of ours to end.
///
/// # Panics
///
/// When it does not end; it is killed then, so that who reads its output ends too.
#[track_caller]
pub fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("ours") {
            return status;
        }
        if start.elapsed() > DEADLINE {
            child.kill().expect("ours");
            panic!("mote does not end");
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// Reads what a process says on standard error, to its end.
///
/// # Panics
///
/// When its standard error is not piped, or was read before.
#[track_caller]
pub fn words(child: &mut Child) -> String {
    let mut words = String::new();
    child
        .stderr
        .take()
        .expect("piped")
        .read_to_string(&mut words)
        .expect("readable");
    words
}

//! `random-calls [--calls N] [--seed S] [--first ROUND]`: makes random system calls with random arguments, in children that
//! may break themselves in every way there is.
//!
//! ```text
//! driver ──fork──► child, round R: up to 400 calls that the seed and R decide ──► exit, death, or killed when it hangs
//!    ▲                │ may make processes, threads, files, groups
//!    └── kills and reaps whatever is left, empties the folder, next round
//! ```
//!
//! The seed is printed first, and on a finding the round: `--seed S --first R --calls 1` plays that round alone. It kills
//! every process it can see, so that it belongs into a container of its own, and it refuses to run anywhere but in mote.

mod child;
mod number;
mod pool;
mod random;
mod shape;

use hostile::sys;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where children make their files.
const FOLDER: &str = "/tmp/random-calls";

/// How long a child may make no call: its waits are interrupted all the time.
const PATIENCE: Duration = Duration::from_millis(20);

/// Bytes between the counts and the memory of others.
const APART: usize = 64 << 10;

/// How often that is looked at.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// What is counted, in memory that driver and children share: calls, values and errors of a round.
pub(crate) type Counts = [AtomicU64; 3];

fn main() -> ExitCode {
    if !is_in_mote() {
        eprintln!("random-calls: this is not mote; any other kernel's machine would suffer");
        return ExitCode::from(2);
    }
    let mut wanted = [100_000, 1, 0];
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let place = ["--calls", "--seed", "--first"]
            .iter()
            .position(|name| *name == pair[0]);
        let value = pair.get(1).and_then(|value| value.parse::<u64>().ok());
        let (Some(place), Some(value)) = (place, value) else {
            eprintln!("usage: random-calls [--calls N] [--seed S] [--first ROUND]");
            return ExitCode::from(2);
        };
        wanted[place] = value;
    }
    let [calls, seed, first] = wanted;
    println!("seed {seed}, {calls} calls, from round {first}");
    drive(calls, seed, first)
}

fn is_in_mote() -> bool {
    std::fs::read_to_string("/proc/version").is_ok_and(|version| version.contains("mote"))
}

fn drive(calls: u64, seed: u64, first: u64) -> ExitCode {
    let counts = shared();
    let known = number::known();
    println!("{} numbers have handlers", known.len());
    let (mut round, mut killed, mut hung) = (first, 0_u64, 0_u64);
    let mut total = [0_u64; 3];
    while total[0] < calls {
        prepare_folder();
        // SAFETY: this process has one thread.
        let pid = unsafe { libc::fork() };
        if pid < 0 {
            eprintln!("random-calls: round {round}: no child");
            return ExitCode::FAILURE;
        }
        if pid == 0 {
            child::run(seed, round, &known, counts);
        }
        match wait(pid, counts) {
            End::Ordered => {}
            End::Signalled => killed += 1,
            End::Hung => hung += 1,
        }
        reap();
        for (total, count) in total.iter_mut().zip(counts) {
            // A child may have written where its counts are.
            *total += count.swap(0, Ordering::Relaxed).min(2 * child::CALLS);
        }
        round += 1;
    }
    println!(
        "{} calls in {} rounds: {} values, {} errors; {killed} children broke, {hung} hung",
        total[0],
        round - first,
        total[1],
        total[2],
    );
    let _ = std::fs::remove_dir_all(FOLDER);
    ExitCode::SUCCESS
}

/// Maps the counts.
fn shared() -> &'static Counts {
    let at = sys!(
        SYS_mmap,
        0,
        APART + 4096,
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_ANONYMOUS,
        -1,
        0
    );
    let at = at.expect("memory") as usize;
    // What a call writes over the end of a child's memory does not come here: all but the last page is not accessible.
    let none = sys!(SYS_mprotect, at, APART, libc::PROT_NONE);
    none.expect("the memory is there");
    let counts = (at + APART) as *const Counts;
    // SAFETY: the page is zero-filled, long enough, and never given back by this process.
    unsafe { &*counts }
}

/// How a child ended.
enum End {
    Ordered,
    Signalled,
    Hung,
}

/// Waits for a child's end, and brings it about when it makes no more calls.
fn wait(pid: libc::pid_t, counts: &Counts) -> End {
    let mut status = 0;
    let (mut seen, mut since) = (0, Instant::now());
    let mut hung = false;
    loop {
        // SAFETY: the status has room.
        let waited = unsafe { libc::waitpid(pid, &raw mut status, libc::WNOHANG) };
        if waited != 0 {
            return match (hung, libc::WIFSIGNALED(status)) {
                (true, _) => End::Hung,
                (false, true) => End::Signalled,
                (false, false) => End::Ordered,
            };
        }
        let now = counts[0].load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            hung = true;
            // SAFETY: the child is ours.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Kills whatever the child has left behind and takes it over: this is the container's first process.
fn reap() {
    loop {
        // SAFETY: everything this process can see is its own.
        unsafe { libc::kill(-1, libc::SIGKILL) };
        // SAFETY: no status is asked for.
        if unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::__WALL) } < 0 {
            return;
        }
    }
}

/// Makes the folder anew: for anybody, so that children without rights can work in it.
fn prepare_folder() {
    let _ = std::fs::remove_dir_all(FOLDER);
    if std::fs::create_dir(FOLDER).is_ok() {
        use std::os::unix::fs::PermissionsExt;
        let _ = std::fs::set_permissions(FOLDER, std::fs::Permissions::from_mode(0o777));
    }
}

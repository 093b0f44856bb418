//! One round: a child that makes calls until they are enough or it breaks.

use crate::number::END;
use crate::pool::Pool;
use crate::random::Random;
use crate::shape::fill;
use crate::{Counts, FOLDER};
use hostile::call::call;
use hostile::sys;
use std::ffi::CString;
use std::sync::atomic::Ordering;

/// Calls of one round.
pub(crate) const CALLS: u64 = 400;

/// Calls after which the alarm is set again: calls of the round may have taken it away.
const ALARM_CALLS: u64 = 16;

/// Microseconds between two alarms, which end whatever waits.
const ALARM_MICROS: i64 = 1500;

/// Calls that end a round most of the time; they are made less often than others.
const ENDING: [i64; 3] = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_rt_sigreturn];

/// Calls that come back twice.
const DOUBLING: [i64; 4] = [
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_clone,
    libc::SYS_clone3,
];

/// Calls that name a process to send a signal to: the driver must live.
const SIGNALLING: [i64; 5] = [
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_tgkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
];

/// Makes the calls of a round and ends.
pub(crate) fn run(seed: u64, round: u64, known: &[i64], counts: &'static Counts) -> ! {
    let mut random = Random::new(seed, round);
    furnish(round);
    let pool = Pool::new();
    let known: &'static [i64] = known.to_vec().leak();
    if round % 4 == 3 {
        let stream = Random::new(!seed, round);
        // Two threads on the same memory: what one takes away, the other one has given to a call. Pointers do not pass between
        // threads as such.
        let pool = SharedPool(pool);
        std::thread::spawn(move || {
            let pool = pool;
            play(stream, &pool.0, known, counts);
        });
    }
    // Every other round has no rights.
    if round.is_multiple_of(2) {
        let _ = sys!(SYS_setresgid, 1000, 1000, 1000);
        let _ = sys!(SYS_setresuid, 1000, 1000, 1000);
    }
    random.next();
    play(random, &pool, known, counts);
    end()
}

struct SharedPool(Pool);

// SAFETY: the pool is addresses; both threads know that the other one may take the memory away.
unsafe impl Send for SharedPool {}

fn end() -> ! {
    loop {
        let _ = sys!(SYS_exit_group, 0);
    }
}

/// Goes to the folder, in a group of its own, and opens one of everything, from descriptor 0 on.
fn furnish(round: u64) {
    let folder = CString::new(FOLDER).expect("no zero");
    let _ = sys!(SYS_setpgid, 0, 0);
    let _ = sys!(SYS_chdir, folder.as_c_str());
    // With rights, what it makes stays in the folder.
    if !round.is_multiple_of(2) {
        let _ = sys!(SYS_chroot, folder.as_c_str());
    }
    let _ = sys!(SYS_mkdir, c"d", 0o777);
    let null = sys!(SYS_open, c"/dev/null", libc::O_RDWR).unwrap_or(0);
    for standard in 0..3 {
        let _ = sys!(SYS_dup2, null, standard);
    }
    let _ = sys!(SYS_open, c"a", libc::O_RDWR | libc::O_CREAT, 0o666);
    let _ = sys!(
        SYS_open,
        c"b",
        libc::O_RDWR | libc::O_CREAT | libc::O_NONBLOCK,
        0o666
    );
    let _ = sys!(SYS_open, c".", libc::O_DIRECTORY);
    let mut ends = [0_i32; 2];
    let _ = sys!(SYS_pipe2, ends.as_mut_ptr(), 0);
    let _ = sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK);
    for kind in [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET] {
        let _ = sys!(SYS_socketpair, libc::AF_UNIX, kind, 0, ends.as_mut_ptr());
    }
    let _ = sys!(SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0);
    let _ = sys!(SYS_epoll_create1, 0);
    let _ = sys!(SYS_eventfd2, 3, libc::O_NONBLOCK);
    let _ = sys!(SYS_timerfd_create, libc::CLOCK_MONOTONIC, libc::O_NONBLOCK);
    let _ = sys!(SYS_signalfd4, -1, [0x200_u64].as_ptr(), 8, libc::O_NONBLOCK);
    let _ = sys!(
        SYS_open,
        c"/dev/ptmx",
        libc::O_RDWR | libc::O_NOCTTY | libc::O_NONBLOCK
    );
    let _ = sys!(SYS_open, c"/proc/self/status", 0);
}

extern "C" fn nothing(_: i32) {}

/// Has waits interrupted.
fn set_alarm() {
    // SAFETY: all zeros is an action.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
    // SAFETY: the handler does nothing.
    unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    let mask = [1_u64 << (libc::SIGALRM - 1)];
    let _ = sys!(SYS_rt_sigprocmask, libc::SIG_UNBLOCK, mask.as_ptr(), 0, 8);
    let time = [0, ALARM_MICROS, 0, ALARM_MICROS];
    let _ = sys!(SYS_setitimer, libc::ITIMER_REAL, time.as_ptr(), 0);
}

fn play(mut random: Random, pool: &Pool, known: &[i64], counts: &Counts) {
    for nth in 0..CALLS {
        if nth % ALARM_CALLS == 0 {
            set_alarm();
        }
        pool.stir(&mut random);
        let number = number(&mut random, known);
        let mut arguments = [0; 6];
        // Three calls of four get what they expect; the others, and those nobody knows, get anything.
        if random.below(4) == 0 || !fill(&mut arguments, number, pool, &mut random) {
            anything(&mut arguments, pool, &mut random);
        }
        if SIGNALLING.contains(&number) {
            arguments[0] = random.of(&[i64::from(std::process::id()), 4_000_000]);
        }
        // SAFETY: it may do what it likes to this process, which is there for that.
        let answer = unsafe { call(number, arguments) };
        if answer == Ok(0) && DOUBLING.contains(&number) {
            // The second one that comes back. After fork(2) alone it has memory and a stack of its own, to go on with; what it
            // makes is what its parent would have made, but beside it.
            if number != libc::SYS_fork || random.below(2) == 0 {
                let _ = sys!(SYS_exit, 0);
            }
            for _ in 0..random.below(64) {
                random.next();
            }
        }
        counts[0].fetch_add(1, Ordering::Relaxed);
        counts[1 + usize::from(answer.is_err())].fetch_add(1, Ordering::Relaxed);
    }
}

/// Fills in any arguments.
fn anything(arguments: &mut [i64; 6], pool: &Pool, random: &mut Random) {
    for argument in &mut *arguments {
        *argument = pool.word(random) as i64;
    }
    // Most calls begin with a descriptor, a path, or both, and take zeros behind what they use.
    match random.below(4) {
        0 => arguments[0] = pool.descriptor(random) as i64,
        1 => {
            arguments[0] = pool.descriptor(random) as i64;
            arguments[1] = pool.path(random) as i64;
        }
        2 => arguments[0] = pool.path(random) as i64,
        _ => {}
    }
    let used = 2 + random.below(5) as usize;
    arguments[used..].fill(0);
}

fn number(random: &mut Random, known: &[i64]) -> i64 {
    let number = if random.below(32) == 0 {
        random.below(END as u64 + 100) as i64
    } else {
        random.of(known)
    };
    if ENDING.contains(&number) && random.below(16) != 0 {
        libc::SYS_getpid
    } else {
        number
    }
}

//! Programs that cannot be executed, and processes asked for what they may not be any more.

use crate::check::{check, say, sys, works};
use crate::child::{apart, child, reap, status_of};
use crate::handle::{close, opened, pipe};
use libc::{O_RDONLY, O_WRONLY};
use std::fs;
use std::os::unix::fs::PermissionsExt;

pub(super) fn run() {
    programs();
    processes();
    apart(barriers);
}

/// An ELF file of two headers, the name of what interprets it, which is no program, and a page to be mapped.
fn interpreted_by_a_text() -> Vec<u8> {
    let name = b"./interpreter\0";
    let length = name.len() as u64;
    let mut bytes = fs::read("/proc/self/exe").expect("there")[..64].to_vec();
    // ET_DYN; where it begins, where the headers begin, and how many there are.
    bytes[16] = 3;
    bytes[24..32].copy_from_slice(&256_u64.to_le_bytes());
    bytes[32..40].copy_from_slice(&64_u64.to_le_bytes());
    bytes[56..58].copy_from_slice(&2_u16.to_le_bytes());
    let at = 64 + 2 * 56;
    for header in [
        [3 | 4 << 32, at, at, at, length, length, 1],
        [1 | 5 << 32, 0, 0, 0, 4096, 4096, 4096],
    ] {
        bytes.extend(header.into_iter().flat_map(u64::to_le_bytes));
    }
    bytes.extend_from_slice(name);
    bytes.resize(4096, 0);
    bytes
}

fn programs() {
    let program = |name: &str, bytes: &[u8]| {
        fs::write(name, bytes).expect("new");
        fs::set_permissions(name, fs::Permissions::from_mode(0o755)).expect("ours");
    };
    program("interpreter", &[b'x'; 256]);
    program("interpreted", &interpreted_by_a_text());
    let list = [c"x".as_ptr() as u64, 0];
    let run = |path: &std::ffi::CStr| sys!(SYS_execve, path, list.as_ptr(), 0);
    check(
        "execve",
        "an interpreter that is no program",
        run(c"interpreted"),
    );
    let writer = opened(c"interpreted", O_WRONLY);
    check(
        "execve",
        "a program somebody writes to",
        run(c"interpreted"),
    );
    close(writer);
    let file = opened(c"interpreter", O_RDONLY);
    let at = sys!(SYS_execveat, file, c"x", list.as_ptr(), 0, 0);
    check("execveat", "below a file", at);
    close(file);
}

/// Barriers among a process's own threads have to be asked for first.
fn barriers() {
    let command =
        |case: &str, command: i32| check("membarrier", case, sys!(SYS_membarrier, command, 0, 0));
    command("among threads, not asked for", 8);
    command("asked for", 16);
    command("among threads", 8);
    apart(|| command("a child of who has asked", 8));
}

fn processes() {
    say(
        "exit",
        "its code",
        reap(child(|| sys!(SYS_exit, 7).map_or(1, |_| 2))),
    );
    say(
        "exit_group",
        "its code",
        reap(child(|| sys!(SYS_exit_group, 8).map_or(1, |_| 2))),
    );
    check(
        "wait4",
        "a number that cannot be turned",
        sys!(SYS_wait4, i32::MIN, 0, 0, 0),
    );
    // A child that has executed something is no longer its parent's to move.
    let [reader, writer] = pipe();
    sys!(SYS_fcntl, reader, libc::F_SETFL, 0).expect("a pipe");
    let own = crate::exec::own();
    let pid = child(|| {
        sys!(SYS_fcntl, writer, libc::F_SETFD, 1).expect("open");
        let list = [own.as_ptr() as u64, c"--sleep".as_ptr() as u64, 0];
        sys!(SYS_execve, own.as_c_str(), list.as_ptr(), 0).map_or(1, |_| 2)
    });
    close(writer);
    let mut byte = [0_u8];
    sys!(SYS_read, reader, byte.as_mut_ptr(), 1).expect("its end");
    check(
        "setpgid",
        "a child that has executed",
        sys!(SYS_setpgid, pid, pid),
    );
    sys!(SYS_kill, pid, libc::SIGKILL).expect("it sleeps");
    status_of(pid);
    close(reader);
    let mut ids = [9_u32; 3];
    let [a, b, c] = [0, 1, 2].map(|nth| &raw mut ids[nth]);
    check("getresgid", "three", sys!(SYS_getresgid, a, b, c));
    let mut set = [0_u64; 128];
    let at = set.as_mut_ptr();
    works(
        "sched_getaffinity",
        "its own",
        sys!(SYS_sched_getaffinity, 0, 1024, at),
    )
    .expect("told");
    let mut version = [0x1234_u32, 0];
    let at = version.as_mut_ptr();
    check(
        "capset",
        "an unknown version",
        sys!(SYS_capset, at, [0_u32; 6].as_ptr()),
    );
    check(
        "time",
        "now",
        sys!(SYS_time, 0).map(|now| i64::from(now > 1_000_000_000)),
    );
    apart(|| check("chroot", "this folder", sys!(SYS_chroot, c".")));
}

//! Memory that another thread takes away while the kernel works with it.

use crate::case::Case;
use hostile::call::Answer;
use hostile::memory::PAGE;
use hostile::sys;
use libc::{MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Pages that come and go.
const PAGES: usize = 32;
const BYTES: usize = PAGES * PAGE;

/// Calls that are made meanwhile.
const CALLS: usize = 400;

fn map(at: *mut u8, rights: i32) {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    let mapped = sys!(SYS_mmap, at, BYTES, rights, flags, -1, 0);
    assert_eq!(mapped, Ok(at as i64), "a mapping at its place");
}

/// Makes `call` over and over with memory that another thread takes away, protects and gives back. Returns `done` when every
/// call was either carried out, in whole or in part, or refused with EFAULT.
fn race(call: impl Fn(*mut u8) -> Answer) -> String {
    let at = hostile::memory::pages(PAGES);
    let is_over = AtomicBool::new(false);
    let shared = at as usize;
    let odd = thread::scope(|scope| {
        scope.spawn(|| {
            let at = shared as *mut u8;
            let mut turn = 0_usize;
            while !is_over.load(Ordering::Relaxed) {
                let page = at.wrapping_add(turn * 7 % (PAGES - 2) * PAGE);
                let _ = sys!(SYS_munmap, page, 3 * PAGE);
                thread::yield_now();
                map(at, PROT_READ);
                thread::yield_now();
                map(at, PROT_READ | PROT_WRITE);
                turn += 1;
            }
        });
        let mut odd = None;
        for _ in 0..CALLS {
            match call(at) {
                Ok(_) | Err(libc::EFAULT) => {}
                Err(errno) => odd = Some(hostile::call::name(errno)),
            }
            thread::yield_now();
        }
        is_over.store(true, Ordering::Relaxed);
        odd
    });
    odd.unwrap_or_else(|| "done".to_owned())
}

fn descriptor(path: &std::ffi::CStr) -> i32 {
    sys!(SYS_openat, libc::AT_FDCWD, path, libc::O_RDWR).expect("a device") as i32
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("memory that goes while it is read into", "done", || {
            let zero = descriptor(c"/dev/zero");
            race(|at| sys!(SYS_read, zero, at, BYTES))
        }),
        Case::new(
            "memory that goes while it is written to a pipe",
            "done",
            || {
                let mut ends = [0; 2];
                sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK).expect("a pipe");
                let sink = vec![0_u8; BYTES];
                race(|at| {
                    let written = sys!(SYS_write, ends[1], at, BYTES);
                    while sys!(SYS_read, ends[0], sink.as_ptr(), sink.len()).is_ok() {}
                    // Full when nothing could be read in between: the other end is this thread's.
                    if written == Err(libc::EAGAIN) {
                        Ok(0)
                    } else {
                        written
                    }
                })
            },
        ),
        Case::new("memory that goes while random bytes come", "done", || {
            race(|at| sys!(SYS_getrandom, at, BYTES, 0))
        }),
        Case::new("memory that goes while a folder is listed", "done", || {
            let folder =
                sys!(SYS_openat, libc::AT_FDCWD, c"/", libc::O_DIRECTORY).expect("a folder");
            race(|at| {
                sys!(SYS_lseek, folder, 0, 0)?;
                sys!(SYS_getdents64, folder, at, BYTES)
            })
        }),
        Case::new(
            "memory that goes with a list of buffers in it",
            "done",
            || {
                let zero = descriptor(c"/dev/zero");
                race(|at| {
                    let list: Vec<[usize; 2]> = (0..PAGES)
                        .map(|nth| [at.wrapping_add(nth * PAGE) as usize, PAGE])
                        .collect();
                    sys!(SYS_readv, zero, list.as_ptr(), list.len())
                })
            },
        ),
        Case::new(
            "memory that goes while a futex in it is waited for",
            "done",
            || {
                race(|at| {
                    let nothing = [0_i64, 1000];
                    let waited = sys!(SYS_futex, at.wrapping_add(9 * PAGE), 0, 0, nothing.as_ptr());
                    match waited {
                        Err(libc::ETIMEDOUT | libc::EAGAIN) => Ok(0),
                        other => other,
                    }
                })
            },
        ),
        Case::new(
            "a file cut short while it is mapped and written from",
            "done",
            || {
                let flags = libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
                let path = c"/tmp/isolation-cut";
                let file = sys!(SYS_openat, libc::AT_FDCWD, path, flags, 0o600).expect("a file");
                sys!(SYS_unlinkat, libc::AT_FDCWD, path, 0).expect("it is there");
                sys!(SYS_ftruncate, file, BYTES).expect("longer");
                let at =
                    sys!(SYS_mmap, 0, BYTES, PROT_READ, libc::MAP_SHARED, file, 0).expect("mapped");
                let null = descriptor(c"/dev/null");
                let mut ends = [0; 2];
                sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK).expect("a pipe");
                let is_over = AtomicBool::new(false);
                thread::scope(|scope| {
                    scope.spawn(|| {
                        while !is_over.load(Ordering::Relaxed) {
                            sys!(SYS_ftruncate, file, 0).expect("shorter");
                            thread::yield_now();
                            sys!(SYS_ftruncate, file, BYTES).expect("longer");
                        }
                    });
                    let mut odd = "done".to_owned();
                    for _ in 0..CALLS {
                        let written = sys!(SYS_write, ends[1], at, BYTES);
                        if !matches!(written, Ok(_) | Err(libc::EFAULT | libc::EAGAIN)) {
                            odd = format!("{written:?}");
                        }
                        let _ = sys!(SYS_splice, ends[0], 0, null, 0, BYTES, 0);
                        thread::yield_now();
                    }
                    is_over.store(true, Ordering::Relaxed);
                    odd
                })
            },
        ),
        Case::new("a stack that goes while its thread waits", "done", || {
            let mut ends = [0; 2];
            sys!(SYS_pipe2, ends.as_mut_ptr(), 0).expect("a pipe");
            let at = hostile::memory::pages(4) as usize;
            thread::scope(|scope| {
                let reader = scope.spawn(move || sys!(SYS_read, ends[0], at, 64));
                thread::yield_now();
                hostile::memory::unmap(at as *mut u8, 4);
                sys!(SYS_write, ends[1], [1_u8; 64].as_ptr(), 64).expect("room");
                match reader.join().expect("it has ended") {
                    Ok(_) | Err(libc::EFAULT) => "done".to_owned(),
                    other => format!("{other:?}"),
                }
            })
        }),
    ]
}

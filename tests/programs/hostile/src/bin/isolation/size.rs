//! System calls with counts and lengths that nobody has memory for, negative ones, and sums that wrap.

use crate::case::Case;
use hostile::call::{Answer, words};
use hostile::memory::{PAGE, pages};
use hostile::sys;
use libc::{AF_UNIX, AT_FDCWD, MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, SOCK_STREAM};

const KERNEL: u64 = 0xffff_ffff_8010_0000;
const HUGE: u64 = 1 << 62;

fn pipe() -> [i32; 2] {
    let mut ends = [0; 2];
    sys!(SYS_pipe2, ends.as_mut_ptr(), libc::O_NONBLOCK).expect("a pipe");
    ends
}

fn socket() -> i32 {
    sys!(SYS_socket, AF_UNIX, SOCK_STREAM, 0).expect("a socket") as i32
}

fn file() -> i32 {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC;
    let file = sys!(SYS_openat, AT_FDCWD, c"/tmp/isolation", flags, 0o600).expect("a file") as i32;
    sys!(SYS_unlinkat, AT_FDCWD, c"/tmp/isolation", 0).expect("it is there");
    file
}

fn map_at(address: u64, length: u64) -> Answer {
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    sys!(SYS_mmap, address, length, PROT_READ, flags, -1, 0)
}

type Try = fn() -> Answer;

const CALLS: &[(&str, &str, Try)] = &[
    ("write of more than the address space", "EFAULT", || {
        sys!(SYS_write, pipe()[1], pages(1), u64::MAX)
    }),
    ("read of more than the address space", "EFAULT", || {
        sys!(SYS_read, pipe()[0], pages(1), u64::MAX)
    }),
    ("pread from before the file", "EINVAL", || {
        sys!(SYS_pread64, file(), pages(1), 16, -1)
    }),
    ("pwrite behind every file", "EFBIG", || {
        sys!(SYS_pwrite64, file(), pages(1), 16, i64::MAX - 64)
    }),
    ("readv of 1025 buffers", "EINVAL", || {
        sys!(SYS_readv, pipe()[0], pages(8), 1025)
    }),
    ("readv of -1 buffers", "EINVAL", || {
        sys!(SYS_readv, pipe()[0], pages(8), -1)
    }),
    (
        "writev of 2^32 + 1 buffers, the upper half cut",
        "done",
        || sys!(SYS_writev, pipe()[1], pages(8), (1_u64 << 32) + 1),
    ),
    ("writev of a negative buffer", "EINVAL", || {
        let list = [pages(1) as u64, u64::MAX];
        sys!(SYS_writev, pipe()[1], list.as_ptr(), 1)
    }),
    ("sendmsg of 1025 buffers", "EMSGSIZE", || {
        let header = [0, 0, pages(8) as usize, 1025, 0, 0, 0];
        sys!(SYS_sendmsg, socket(), header.as_ptr(), 0)
    }),
    ("poll of more than there can be", "EINVAL", || {
        sys!(SYS_poll, pages(1), u32::MAX, 0)
    }),
    ("select of a negative count", "EINVAL", || {
        sys!(SYS_select, -1, 0, 0, 0, 0)
    }),
    ("epoll_wait for no event", "EINVAL", || {
        let list = sys!(SYS_epoll_create1, 0).expect("a list");
        sys!(SYS_epoll_wait, list, pages(1), 0, 0)
    }),
    ("epoll_wait for 2^31 - 1 events", "EINVAL", || {
        let list = sys!(SYS_epoll_create1, 0).expect("a list");
        sys!(SYS_epoll_wait, list, pages(1), i32::MAX, 0)
    }),
    ("bind to a name of 2^31 - 1 bytes", "EINVAL", || {
        sys!(SYS_bind, socket(), pages(1), i32::MAX)
    }),
    ("bind to a name of -1 bytes", "EINVAL", || {
        sys!(SYS_bind, socket(), pages(1), -1)
    }),
    ("setsockopt of -1 bytes", "EINVAL", || {
        sys!(
            SYS_setsockopt,
            socket(),
            libc::SOL_SOCKET,
            libc::SO_SNDBUF,
            pages(1),
            -1
        )
    }),
    ("getgroups into -1 places", "EINVAL", || {
        sys!(SYS_getgroups, -1, pages(1))
    }),
    ("setgroups of 65537", "EINVAL", || {
        // Whoever may not has another answer before.
        match sys!(SYS_setgroups, 65537, pages(65)) {
            Err(libc::EPERM) => Err(libc::EINVAL),
            other => other,
        }
    }),
    ("a mask of signals of 2^63 bytes", "EINVAL", || {
        sys!(SYS_rt_sigprocmask, 0, pages(1), 0, 1_u64 << 63)
    }),
    ("mmap of nothing", "EINVAL", || map_at(0x1000_0000, 0)),
    ("mmap of 2^62 bytes", "ENOMEM", || map_at(0x1000_0000, HUGE)),
    ("mmap of all bytes", "ENOMEM", || {
        map_at(0x1000_0000, u64::MAX - 4095)
    }),
    ("mmap in the kernel", "ENOMEM", || map_at(KERNEL, 4096)),
    ("mmap at an address that is not canonical", "ENOMEM", || {
        map_at(1 << 63, 4096)
    }),
    ("mmap over the end of the lower half", "ENOMEM", || {
        map_at(0x7fff_ffff_e000, 0x10_0000)
    }),
    ("mmap of a file behind every file", "EOVERFLOW", || {
        sys!(
            SYS_mmap,
            0,
            0x10_0000,
            PROT_READ,
            MAP_PRIVATE,
            file(),
            i64::MAX & !4095
        )
    }),
    ("munmap of the kernel", "EINVAL", || {
        sys!(SYS_munmap, KERNEL, 4096)
    }),
    ("munmap of all bytes", "EINVAL", || {
        sys!(SYS_munmap, 0x1000, u64::MAX - 0x1fff)
    }),
    ("munmap that wraps", "EINVAL", || {
        sys!(SYS_munmap, u64::MAX - 4095, 0x4000)
    }),
    ("mprotect of the kernel", "ENOMEM", || {
        sys!(SYS_mprotect, KERNEL, 4096, 7)
    }),
    ("mprotect that wraps", "ENOMEM", || {
        sys!(SYS_mprotect, pages(1), u64::MAX - 4095, 1)
    }),
    ("mincore of the kernel", "ENOMEM", || {
        sys!(SYS_mincore, KERNEL, 4096, pages(1))
    }),
    ("msync of the kernel", "ENOMEM", || {
        sys!(SYS_msync, KERNEL, 4096, libc::MS_SYNC)
    }),
    ("mremap of the kernel", "EFAULT", || {
        sys!(SYS_mremap, KERNEL, 4096, 8192, libc::MREMAP_MAYMOVE)
    }),
    ("mremap into the kernel", "EINVAL", || {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        sys!(SYS_mremap, pages(1), 4096, 4096, flags, KERNEL)
    }),
    ("ftruncate to -1", "EINVAL", || {
        sys!(SYS_ftruncate, file(), -1)
    }),
    ("ftruncate behind every file", "EFBIG", || {
        sys!(SYS_ftruncate, file(), i64::MAX)
    }),
    ("fallocate that wraps", "EFBIG", || {
        sys!(SYS_fallocate, file(), 0, i64::MAX, i64::MAX)
    }),
    ("lseek before the file", "EINVAL", || {
        sys!(SYS_lseek, file(), i64::MIN, 0)
    }),
    ("readlink into -1 bytes", "EINVAL", || {
        sys!(SYS_readlink, c"/proc/self/exe", pages(1), -1)
    }),
    ("a path of 4096 bytes", "ENAMETOOLONG", || {
        let path = pages(2);
        // SAFETY: the pages are ours, and zeros follow.
        unsafe { path.write_bytes(b'/', PAGE) };
        sys!(SYS_openat, AT_FDCWD, path, 0)
    }),
    ("a name of 256 bytes", "ENAMETOOLONG", || {
        let path = pages(1);
        // SAFETY: the page is ours, and zeros follow.
        unsafe { path.write_bytes(b'n', 256) };
        sys!(SYS_openat, AT_FDCWD, path, 0)
    }),
    ("execve with an argument of a mebibyte", "E2BIG", || {
        let argument = pages(257);
        // SAFETY: the pages are ours, and zeros follow.
        unsafe { argument.write_bytes(b'a', 256 * PAGE) };
        sys!(
            SYS_execve,
            c"/proc/self/exe",
            [argument as usize, 0].as_ptr(),
            0
        )
    }),
    ("execve with arguments without an end", "E2BIG", || {
        let text = c"argument".as_ptr() as usize;
        let list = vec![text; 4 << 20];
        sys!(SYS_execve, c"/proc/self/exe", list.as_ptr(), 0)
    }),
    ("futex across its alignment", "EINVAL", || {
        sys!(SYS_futex, pages(1).wrapping_add(1), 0, 0, 0)
    }),
    ("futex in the kernel", "EFAULT", || {
        sys!(SYS_futex, 0xffff_ffff_8010_0000_u64, 0, 0, 0)
    }),
    ("close_range of everything, backwards", "EINVAL", || {
        sys!(SYS_close_range, u32::MAX, 3, 0)
    }),
    ("a sleep of a negative time", "EINVAL", || {
        sys!(SYS_nanosleep, [-1_i64, 0].as_ptr(), 0)
    }),
    (
        "a sleep of more nanoseconds than a second has",
        "EINVAL",
        || sys!(SYS_nanosleep, [0_i64, 1_000_000_000].as_ptr(), 0),
    ),
    ("clone3 of a larger structure", "E2BIG", || {
        let arguments = pages(2);
        // SAFETY: the pages are ours.
        unsafe { arguments.write_bytes(0xff, 2 * PAGE) };
        sys!(SYS_clone3, arguments, PAGE + 1)
    }),
    ("a thread's lists in the kernel", "done", || {
        sys!(SYS_set_robust_list, KERNEL, 24)?;
        sys!(SYS_set_tid_address, KERNEL)
    }),
    ("brk into the kernel", "done", || {
        let before = sys!(SYS_brk, 0)?;
        let after = sys!(SYS_brk, KERNEL)?;
        if before == after { Ok(0) } else { Ok(-1) }
    }),
];

pub(crate) fn cases() -> Vec<Case> {
    CALLS
        .iter()
        .map(|&(name, expected, call)| Case::new(name, expected, move || words(call())))
        .collect()
}

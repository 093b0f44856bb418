//! System calls as a program makes them by itself: past the C library, which has opinions of its own.

use core::arch::asm;

/// A system call's answer: its value, or the error number.
pub type Answer = Result<i64, i32>;

/// The error numbers are the last page of values (Linux include/linux/err.h, `MAX_ERRNO`).
const LAST_ERROR: i64 = 4095;

/// Makes a system call.
///
/// # Safety
///
/// What the kernel does for it to this program's memory is nobody else's loss in this program.
pub unsafe fn call(number: i64, arguments: [i64; 6]) -> Answer {
    let [a, b, c, d, e, f] = arguments;
    let result: i64;
    // SAFETY: the caller promises it; the instruction spoils rcx and r11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    if (-LAST_ERROR..0).contains(&result) {
        Err(-result as i32)
    } else {
        Ok(result)
    }
}

/// Returns six arguments, the last ones 0.
#[must_use]
pub fn six(given: &[i64]) -> [i64; 6] {
    let mut arguments = [0; 6];
    arguments[..given.len()].copy_from_slice(given);
    arguments
}

/// Makes a system call: `sys!(SYS_close, 3)`. Arguments are numbers or pointers; those left out are 0.
#[macro_export]
macro_rules! sys {
    ($number:ident $(, $argument:expr)* $(,)?) => {
        // A match keeps what the arguments point to alive for the length of the call.
        match [$($crate::call::Argument::word(&$argument)),*] {
            // SAFETY: what is passed lives that long, or is a bad pointer on purpose.
            given => unsafe { $crate::call::call(libc::$number, $crate::call::six(&given)) },
        }
    };
}

/// What can be passed to a system call.
pub trait Argument {
    /// The register's value.
    fn word(&self) -> i64;
}

macro_rules! number_arguments {
    ($($kind:ty)*) => {$(
        impl Argument for $kind {
            fn word(&self) -> i64 {
                *self as i64
            }
        }
    )*};
}

number_arguments!(i32 u32 i64 u64 usize isize u16);

impl<T> Argument for *const T {
    fn word(&self) -> i64 {
        self.cast::<u8>() as i64
    }
}

impl<T> Argument for *mut T {
    fn word(&self) -> i64 {
        self.cast::<u8>() as i64
    }
}

impl Argument for &std::ffi::CStr {
    fn word(&self) -> i64 {
        self.as_ptr() as i64
    }
}

/// Says what a call answered: `done` or the error's name.
pub fn words(answer: Answer) -> String {
    match answer {
        Ok(_) => "done".to_owned(),
        Err(errno) => name(errno),
    }
}

/// Returns an error's name.
#[must_use]
pub fn name(errno: i32) -> String {
    const NAMES: [(i32, &str); 65] = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EINTR, "EINTR"),
        (libc::EIO, "EIO"),
        (libc::ENXIO, "ENXIO"),
        (libc::E2BIG, "E2BIG"),
        (libc::ENOEXEC, "ENOEXEC"),
        (libc::EBADF, "EBADF"),
        (libc::ECHILD, "ECHILD"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::ENOTBLK, "ENOTBLK"),
        (libc::EBUSY, "EBUSY"),
        (libc::EEXIST, "EEXIST"),
        (libc::EXDEV, "EXDEV"),
        (libc::ENODEV, "ENODEV"),
        (libc::ENOTDIR, "ENOTDIR"),
        (libc::EISDIR, "EISDIR"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENFILE, "ENFILE"),
        (libc::EMFILE, "EMFILE"),
        (libc::ENOTTY, "ENOTTY"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::EFBIG, "EFBIG"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::ESPIPE, "ESPIPE"),
        (libc::EROFS, "EROFS"),
        (libc::EMLINK, "EMLINK"),
        (libc::EPIPE, "EPIPE"),
        (libc::EDOM, "EDOM"),
        (libc::ERANGE, "ERANGE"),
        (libc::EDEADLK, "EDEADLK"),
        (libc::ENAMETOOLONG, "ENAMETOOLONG"),
        (libc::ENOLCK, "ENOLCK"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::ENOTEMPTY, "ENOTEMPTY"),
        (libc::ELOOP, "ELOOP"),
        (libc::ENODATA, "ENODATA"),
        (libc::EOVERFLOW, "EOVERFLOW"),
        (libc::ELIBBAD, "ELIBBAD"),
        (libc::EUSERS, "EUSERS"),
        (libc::ENOTSOCK, "ENOTSOCK"),
        (libc::EDESTADDRREQ, "EDESTADDRREQ"),
        (libc::EMSGSIZE, "EMSGSIZE"),
        (libc::EPROTOTYPE, "EPROTOTYPE"),
        (libc::ENOPROTOOPT, "ENOPROTOOPT"),
        (libc::EPROTONOSUPPORT, "EPROTONOSUPPORT"),
        (libc::ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT"),
        (libc::EOPNOTSUPP, "EOPNOTSUPP"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::EADDRINUSE, "EADDRINUSE"),
        (libc::EADDRNOTAVAIL, "EADDRNOTAVAIL"),
        (libc::ECONNRESET, "ECONNRESET"),
        (libc::ENETUNREACH, "ENETUNREACH"),
        (libc::ENOBUFS, "ENOBUFS"),
        (libc::EISCONN, "EISCONN"),
        (libc::ENOTCONN, "ENOTCONN"),
        (libc::ETOOMANYREFS, "ETOOMANYREFS"),
        (libc::ETIMEDOUT, "ETIMEDOUT"),
        (libc::ECONNREFUSED, "ECONNREFUSED"),
        (libc::EALREADY, "EALREADY"),
        (libc::EINPROGRESS, "EINPROGRESS"),
    ];
    NAMES
        .iter()
        .find_map(|(number, name)| (*number == errno).then(|| (*name).to_owned()))
        .unwrap_or_else(|| format!("E{errno}"))
}

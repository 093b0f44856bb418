//! How a check asks the kernel and says what it answered.

use std::ffi::CStr;
use std::fmt::Display;
use std::path::PathBuf;

/// A system call's answer: its value, or the error number.
pub(crate) type Answer = Result<i64, i32>;

/// Makes a system call, past the C library, whose wrappers have opinions of their own.
///
/// # Safety
///
/// As for the call: pointers among the arguments must be good for what it does with them, or bad in a way that the kernel
/// refuses.
pub(crate) unsafe fn call(number: libc::c_long, arguments: [i64; 6]) -> Answer {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller promises it.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result == -1 {
        Err(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
    } else {
        Ok(result)
    }
}

/// Makes a system call: `sys!(SYS_close, 3)`. Arguments are numbers or pointers; those left out are 0.
macro_rules! sys {
    ($number:ident $(, $argument:expr)* $(,)?) => {{
        let given = [$($crate::check::Argument::word(&$argument)),*];
        let mut arguments = [0_i64; 6];
        arguments[..given.len()].copy_from_slice(&given);
        // SAFETY: what is passed lives in the caller's frame for the length of the call, or is a bad pointer on purpose.
        unsafe { $crate::check::call(libc::$number, arguments) }
    }};
}
pub(crate) use sys;

/// What can be passed to a system call.
pub(crate) trait Argument {
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

impl Argument for &CStr {
    fn word(&self) -> i64 {
        self.as_ptr() as i64
    }
}

/// Prints a check whose answer is a call's value or error.
pub(crate) fn check(call: &str, case: &str, answer: Answer) {
    match answer {
        Ok(value) => say(call, case, value),
        Err(errno) => say(call, case, name(errno)),
    }
}

/// Prints a check whose answer is whether the call succeeded: its value differs from run to run.
pub(crate) fn works(call: &str, case: &str, answer: Answer) -> Answer {
    match answer {
        Ok(_) => say(call, case, "done"),
        Err(errno) => say(call, case, name(errno)),
    }
    answer
}

/// Prints a check with an answer of its own.
pub(crate) fn say(call: &str, case: &str, answer: impl Display) {
    // Written at once, past the standard library's buffer: a forked process has no copy of what was not.
    let line = format!("{call} | {case} | {answer}\n");
    // SAFETY: the bytes live until the call is over.
    let written = unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    assert_eq!(written, line.len() as isize, "a line has room");
}

/// Returns an error's name.
fn name(errno: i32) -> String {
    const NAMES: [(i32, &str); 62] = [
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

/// Runs a family in an empty working directory of its own.
pub(crate) fn in_folder(name: &str, run: fn()) {
    let folder: PathBuf =
        std::env::temp_dir().join(format!("conform-{name}-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("a folder can be made");
    std::env::set_current_dir(&folder).expect("it can be entered");
    // SAFETY: nobody else makes files at this moment.
    unsafe { libc::umask(0o022) };
    run();
    std::env::set_current_dir("/").expect("it can be left");
    std::fs::remove_dir_all(&folder).expect("it can be removed");
}

/// An address that no program has.
pub(crate) const BAD: *mut u8 = std::ptr::without_provenance_mut(1);

/// A descriptor that is not open. It is one that the smallest table of Linux has a place for (64): `select` does not look at
/// what its table has no place for.
pub(crate) const CLOSED: i64 = 58;

//! Linux error numbers (asm-generic/errno-base.h, errno.h).

use core::fmt;
use core::num::NonZeroU64;

/// A Linux error number: what a program gets, negated, when it misused a call or something ran out.
///
/// It is as large as what it is returned in place of, and never 0, so that either goes through a register and not through
/// memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(NonZeroU64);

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $(#[doc = $text] pub const $name: Self = Self::from_number($number);)*

            /// Returns the error's name, as in errno.h.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self.number() { $($number => stringify!($name),)* _ => "E?" }
            }

            /// Returns what it means, lower case, no final period.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self.number() { $($number => $text,)* _ => "unknown error" }
            }
        }
    };
}

errnos! {
    EPERM = 1, "operation not permitted";
    ENOENT = 2, "no such file or directory";
    ESRCH = 3, "no such process";
    EINTR = 4, "interrupted system call";
    EIO = 5, "input/output error";
    ENXIO = 6, "no such device or address";
    E2BIG = 7, "argument list too long";
    ENOEXEC = 8, "exec format error";
    EBADF = 9, "bad file descriptor";
    ECHILD = 10, "no child processes";
    EAGAIN = 11, "resource temporarily unavailable";
    ENOMEM = 12, "cannot allocate memory";
    EACCES = 13, "permission denied";
    EFAULT = 14, "bad address";
    ENOTBLK = 15, "block device required";
    EBUSY = 16, "device or resource busy";
    EEXIST = 17, "file exists";
    EXDEV = 18, "invalid cross-device link";
    ENODEV = 19, "no such device";
    ENOTDIR = 20, "not a directory";
    EISDIR = 21, "is a directory";
    EINVAL = 22, "invalid argument";
    ENFILE = 23, "too many open files in system";
    EMFILE = 24, "too many open files";
    ENOTTY = 25, "inappropriate ioctl for device";
    ETXTBSY = 26, "text file busy";
    EFBIG = 27, "file too large";
    ENOSPC = 28, "no space left on device";
    ESPIPE = 29, "illegal seek";
    EROFS = 30, "read-only file system";
    EMLINK = 31, "too many links";
    EPIPE = 32, "broken pipe";
    EDOM = 33, "numerical argument out of domain";
    ERANGE = 34, "numerical result out of range";
    EDEADLK = 35, "resource deadlock avoided";
    ENAMETOOLONG = 36, "file name too long";
    ENOLCK = 37, "no locks available";
    ENOSYS = 38, "function not implemented";
    ENOTEMPTY = 39, "directory not empty";
    ELOOP = 40, "too many levels of symbolic links";
    ENODATA = 61, "no data available";
    EPROTO = 71, "protocol error";
    EOVERFLOW = 75, "value too large for defined data type";
    ELIBBAD = 80, "accessing a corrupted shared library";
    ENOTSOCK = 88, "not a socket";
    EMSGSIZE = 90, "message too long";
    EPROTOTYPE = 91, "protocol wrong type for socket";
    ENOPROTOOPT = 92, "protocol not available";
    EPROTONOSUPPORT = 93, "protocol not supported";
    ESOCKTNOSUPPORT = 94, "socket type not supported";
    EOPNOTSUPP = 95, "operation not supported";
    EAFNOSUPPORT = 97, "address family not supported by protocol";
    EADDRINUSE = 98, "address already in use";
    EADDRNOTAVAIL = 99, "cannot assign requested address";
    ENETUNREACH = 101, "network is unreachable";
    ECONNRESET = 104, "connection reset by peer";
    EISCONN = 106, "already connected";
    ENOTCONN = 107, "not connected";
    ETOOMANYREFS = 109, "too many references";
    ETIMEDOUT = 110, "connection timed out";
    ECONNREFUSED = 111, "connection refused";
    EALREADY = 114, "operation already in progress";
    EINPROGRESS = 115, "operation now in progress";
}

impl Errno {
    /// Returns the number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0.get() as u16
    }

    const fn from_number(number: u64) -> Self {
        match NonZeroU64::new(number) {
            Some(number) => Self(number),
            None => panic!("0 is no error"),
        }
    }

    /// Returns the number as what it is kept as.
    pub(crate) const fn bits(self) -> NonZeroU64 {
        self.0
    }

    /// Takes [`Errno::bits`] back.
    pub(crate) const fn from_bits(bits: NonZeroU64) -> Self {
        Self(bits)
    }

    /// Returns what a system call leaves in `rax`.
    #[must_use]
    pub const fn as_return(self) -> u64 {
        (-(self.0.get() as i64)) as u64
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

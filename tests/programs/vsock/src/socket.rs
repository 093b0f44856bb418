//! The calls, with their answers as they are.

use std::fs::File;
use std::io::Error;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// A call's answer: its value, or the error number.
pub(crate) type Answer<T> = Result<T, i32>;

/// A socket of AF_VSOCK.
pub(crate) struct Socket(OwnedFd);

/// Bytes of a `sockaddr_vm`.
const ADDRESS_BYTES: libc::socklen_t = size_of::<libc::sockaddr_vm>() as libc::socklen_t;

impl Socket {
    /// Makes a stream.
    pub(crate) fn new(flags: i32) -> Answer<Self> {
        Self::of(libc::AF_VSOCK, libc::SOCK_STREAM | flags, 0)
    }

    pub(crate) fn of(family: i32, kind: i32, protocol: i32) -> Answer<Self> {
        // SAFETY: there is no memory in it.
        let fd = answer(unsafe { libc::socket(family, kind, protocol) })?;
        // SAFETY: it was made just now, for nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn into_file(self) -> File {
        self.0.into()
    }

    pub(crate) fn connect(&self, cid: u32, port: u32) -> Answer<()> {
        self.connect_to(&address(cid, port), ADDRESS_BYTES)
    }

    pub(crate) fn connect_to(&self, to: &libc::sockaddr_vm, len: libc::socklen_t) -> Answer<()> {
        let to = std::ptr::from_ref(to).cast();
        // SAFETY: the address lives for the length of the call, and is at least so long.
        answer(unsafe { libc::connect(self.0.as_raw_fd(), to, len) }).map(drop)
    }

    pub(crate) fn bind(&self, cid: u32, port: u32) -> Answer<()> {
        let to = address(cid, port);
        let to = std::ptr::from_ref(&to).cast();
        // SAFETY: the address lives for the length of the call.
        answer(unsafe { libc::bind(self.0.as_raw_fd(), to, ADDRESS_BYTES) }).map(drop)
    }

    pub(crate) fn listen(&self, backlog: i32) -> Answer<()> {
        // SAFETY: there is no memory in it.
        answer(unsafe { libc::listen(self.0.as_raw_fd(), backlog) }).map(drop)
    }

    pub(crate) fn accept(&self) -> Answer<Self> {
        let none = std::ptr::null_mut();
        // SAFETY: no address is asked for.
        let fd = answer(unsafe { libc::accept(self.0.as_raw_fd(), none, none.cast()) })?;
        // SAFETY: it was made just now, for nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn shutdown(&self, how: i32) -> Answer<()> {
        // SAFETY: there is no memory in it.
        answer(unsafe { libc::shutdown(self.0.as_raw_fd(), how) }).map(drop)
    }

    pub(crate) fn read(&self, bytes: &mut [u8]) -> Answer<usize> {
        let to = bytes.as_mut_ptr().cast();
        // SAFETY: there is room for so many bytes.
        let count = unsafe { libc::read(self.0.as_raw_fd(), to, bytes.len()) };
        answer(count as i32).map(|count| count as usize)
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Answer<usize> {
        let from = bytes.as_ptr().cast();
        // SAFETY: there are so many bytes.
        let count = unsafe { libc::write(self.0.as_raw_fd(), from, bytes.len()) };
        answer(count as i32).map(|count| count as usize)
    }

    /// Returns context id and port of this end.
    pub(crate) fn own_name(&self) -> Answer<(u32, u32)> {
        let mut at = address(0, 0);
        let mut len = ADDRESS_BYTES;
        let to = std::ptr::from_mut(&mut at).cast();
        // SAFETY: there is room for the address, and `len` says how much.
        answer(unsafe { libc::getsockname(self.0.as_raw_fd(), to, &raw mut len) })?;
        Ok(told(&at, len))
    }

    /// Returns context id and port of the other end.
    pub(crate) fn peer_name(&self) -> Answer<(u32, u32)> {
        let mut at = address(0, 0);
        let mut len = ADDRESS_BYTES;
        let to = std::ptr::from_mut(&mut at).cast();
        // SAFETY: there is room for the address, and `len` says how much.
        answer(unsafe { libc::getpeername(self.0.as_raw_fd(), to, &raw mut len) })?;
        Ok(told(&at, len))
    }

    /// Returns what went wrong, once.
    pub(crate) fn error(&self) -> Answer<i32> {
        self.option::<i32>(libc::SOL_SOCKET, libc::SO_ERROR)
    }

    pub(crate) fn option<T: Default>(&self, level: i32, option: i32) -> Answer<T> {
        let mut value = T::default();
        let mut len = size_of::<T>() as libc::socklen_t;
        let to = std::ptr::from_mut(&mut value).cast();
        // SAFETY: there is room for the value, and `len` says how much; any bits are one.
        answer(unsafe { libc::getsockopt(self.0.as_raw_fd(), level, option, to, &raw mut len) })?;
        Ok(value)
    }

    pub(crate) fn set_option<T>(&self, level: i32, option: i32, value: &T) -> Answer<()> {
        let len = size_of::<T>() as libc::socklen_t;
        let from = std::ptr::from_ref(value).cast();
        // SAFETY: the value lives for the length of the call.
        answer(unsafe { libc::setsockopt(self.0.as_raw_fd(), level, option, from, len) }).map(drop)
    }

    /// Returns how many bytes can be read.
    pub(crate) fn readable(&self) -> i32 {
        let mut count = 0;
        // SAFETY: the request writes one `int`.
        let done = unsafe { libc::ioctl(self.0.as_raw_fd(), libc::FIONREAD, &raw mut count) };
        assert_eq!(done, 0);
        count
    }

    /// Says what poll tells when it is asked about everything.
    pub(crate) fn poll(&self, timeout: i32) -> String {
        let both = libc::POLLIN | libc::POLLOUT;
        events(self.poll_for(both | libc::POLLRDHUP, timeout))
    }

    /// The same, once one of `events` is there.
    pub(crate) fn wait_for(&self, wanted: i16) -> String {
        self.poll_for(wanted, -1);
        self.poll(-1)
    }

    fn poll_for(&self, events: i16, timeout: i32) -> i16 {
        let mut one = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events,
            revents: 0,
        };
        // SAFETY: it is one, and lives for the length of the call.
        let ready = answer(unsafe { libc::poll(&raw mut one, 1, timeout) });
        ready.expect("poll works");
        one.revents
    }
}

pub(crate) fn address(cid: u32, port: u32) -> libc::sockaddr_vm {
    // SAFETY: zeroes are an address.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_cid = cid;
    address.svm_port = port;
    address
}

fn told(at: &libc::sockaddr_vm, len: libc::socklen_t) -> (u32, u32) {
    assert_eq!(len, ADDRESS_BYTES, "a whole address");
    assert_eq!(i32::from(at.svm_family), libc::AF_VSOCK);
    (at.svm_cid, at.svm_port)
}

fn answer(result: i32) -> Answer<i32> {
    if result < 0 {
        return Err(Error::last_os_error().raw_os_error().unwrap_or(0));
    }
    Ok(result)
}

fn events(bits: i16) -> String {
    const NAMES: [(i16, &str); 6] = [
        (libc::POLLIN, "IN"),
        (libc::POLLOUT, "OUT"),
        (libc::POLLERR, "ERR"),
        (libc::POLLHUP, "HUP"),
        (libc::POLLRDHUP, "RDHUP"),
        (libc::POLLNVAL, "NVAL"),
    ];
    let set = NAMES.iter().filter(|(bit, _)| bits & bit != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join(" ")
}

//! Sockets: socket, socketpair, bind, listen, accept, connect, send and receive, names, options, shutdown.

use crate::check::{Answer, check, say, sys};
use libc::{AF_UNIX, MSG_NOSIGNAL};

mod connection;
mod datagram;
mod message;
mod name;
mod option;

pub(crate) use message::header;

/// A `sockaddr_un` with this behind the family, and its length.
pub(crate) struct Address {
    bytes: Vec<u8>,
}

impl Address {
    pub(crate) fn new(path: &[u8]) -> Self {
        let mut bytes = (AF_UNIX as u16).to_le_bytes().to_vec();
        bytes.extend_from_slice(path);
        Self { bytes }
    }

    pub(crate) fn pointer(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

pub(crate) fn socket(kind: i32) -> i64 {
    sys!(SYS_socket, AF_UNIX, kind, 0).expect("a socket")
}

pub(crate) fn pair(kind: i32) -> [i32; 2] {
    let mut pair = [0; 2];
    sys!(SYS_socketpair, AF_UNIX, kind, 0, pair.as_mut_ptr()).expect("a pair");
    pair
}

pub(crate) fn bind(fd: i64, address: &Address) -> Answer {
    sys!(SYS_bind, fd, address.pointer(), address.len())
}

pub(crate) fn connect(fd: i64, address: &Address) -> Answer {
    sys!(SYS_connect, fd, address.pointer(), address.len())
}

pub(crate) fn send(fd: i64, bytes: &[u8], flags: i32) -> Answer {
    sys!(
        SYS_sendto,
        fd,
        bytes.as_ptr(),
        bytes.len(),
        flags | MSG_NOSIGNAL
    )
}

pub(crate) fn receive(fd: i64, room: usize, flags: i32) -> Result<Vec<u8>, i32> {
    let mut bytes = vec![0; room];
    let count = sys!(SYS_recvfrom, fd, bytes.as_mut_ptr(), room, flags)?;
    bytes.truncate(count as usize);
    Ok(bytes)
}

pub(crate) fn received(call: &str, case: &str, answer: Result<Vec<u8>, i32>) {
    match answer {
        Ok(bytes) => say(call, case, String::from_utf8_lossy(&bytes).escape_debug()),
        Err(errno) => check(call, case, Err(errno)),
    }
}

pub(crate) fn run() {
    connection::making();
    connection::pairs();
    connection::streams();
    datagram::datagrams();
    datagram::packets();
    name::names();
    option::options();
    message::messages();
    message::rights();
}

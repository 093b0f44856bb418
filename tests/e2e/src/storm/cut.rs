//! A connection that is cut after so many bytes.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

/// Where a connection is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    bytes: u64,
    from_guest: bool,
}

impl Cut {
    /// After `bytes` from the guest, or to it.
    pub(crate) const fn after(bytes: u64, from_guest: bool) -> Self {
        Self { bytes, from_guest }
    }

    /// Puts the cut into a connection; returns the host's end.
    pub(crate) fn pass(self, guest: UnixStream) -> UnixStream {
        let (host, ours) = UnixStream::pair().expect("a pair of sockets");
        let (bytes, endless) = (self.bytes, u64::MAX);
        let (up, down) = if self.from_guest {
            (bytes, endless)
        } else {
            (endless, bytes)
        };
        let clone = |stream: &UnixStream| stream.try_clone().expect("a descriptor");
        let (guest_again, ours_again) = (clone(&guest), clone(&ours));
        thread::spawn(move || copy(guest, ours, up));
        thread::spawn(move || copy(ours_again, guest_again, down));
        host
    }
}

/// Copies until either end closes, or so many bytes have passed; then both are closed.
fn copy(mut from: UnixStream, mut to: UnixStream, mut left: u64) {
    let mut buffer = [0; 4096];
    while left > 0 {
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        let Ok(count @ 1..) = from.read(&mut buffer[..most]) else {
            break;
        };
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
        left -= count as u64;
    }
    for stream in [from, to] {
        // The other direction may have been first.
        let _ = stream.shutdown(Shutdown::Both);
    }
}

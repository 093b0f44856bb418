//! Packets over a Unix socket: one JSON document each, and descriptors beside it.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind,
    connect, listen, recvmsg, sendmsg, socket_with, sockopt,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::path::Path;

/// Longest packet. The kernel's default send buffer is about as large; a longer one it refuses by itself.
pub(crate) const LONGEST_PACKET_BYTES: usize = 200 * 1024;

/// Descriptors beside a packet: a program's streams.
const MAX_DESCRIPTORS: usize = 3;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// Where a supervisor takes connections.
#[derive(Debug)]
pub(crate) struct Listener(OwnedFd);

impl Listener {
    /// Binds a socket.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let socket = packet_socket()?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, BACKLOG)?;
        Ok(Self(socket))
    }

    /// Takes the next connection that comes from this user.
    pub(crate) fn accept(&self) -> io::Result<Channel> {
        loop {
            let stream = retry_on_intr(|| accept_with(&self.0, SocketFlags::CLOEXEC))?;
            // The directory keeps others out; this is for the case that somebody opened it up.
            if sockopt::socket_peercred(&stream)?.uid == rustix::process::geteuid() {
                return Ok(Channel(stream));
            }
        }
    }
}

fn packet_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

impl Channel {
    /// Connects to a supervisor.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = packet_socket()?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    /// Sends a document.
    pub(crate) fn send(&self, document: &impl Serialize) -> io::Result<()> {
        self.send_with(document, &[])
    }

    /// Sends a document and descriptors.
    pub(crate) fn send_with(
        &self,
        document: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let bytes = serde_json::to_vec(document)?;
        if bytes.len() > LONGEST_PACKET_BYTES {
            return Err(io::Error::other(format!(
                "{} bytes are more than the {LONGEST_PACKET_BYTES} a supervisor takes at once",
                bytes.len()
            )));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors))
        {
            return Err(io::Error::other("too many descriptors"));
        }
        let parts = [IoSlice::new(&bytes)];
        retry_on_intr(|| sendmsg(&self.0, &parts, &mut ancillary, SendFlags::NOSIGNAL))?;
        Ok(())
    }

    /// Receives a document; `None` when the other end is gone.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        Ok(self.receive_with()?.map(|(document, _)| document))
    }

    /// Receives a document and the descriptors beside it.
    pub(crate) fn receive_with<T: DeserializeOwned>(
        &self,
    ) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; LONGEST_PACKET_BYTES + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = retry_on_intr(|| {
            recvmsg(
                &self.0,
                &mut [IoSliceMut::new(&mut bytes)],
                &mut ancillary,
                RecvFlags::CMSG_CLOEXEC,
            )
        });
        let count = match received {
            Ok(received) => received.bytes,
            Err(Errno::CONNRESET) => 0,
            Err(error) => return Err(error.into()),
        };
        if count == 0 {
            return Ok(None);
        }
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        let document = serde_json::from_slice(&bytes[..count])?;
        Ok(Some((document, descriptors)))
    }

    /// Limits how long a receiver waits.
    pub(crate) fn set_receive_limit(&self, limit: std::time::Duration) -> io::Result<()> {
        Ok(sockopt::set_socket_timeout(
            &self.0,
            sockopt::Timeout::Recv,
            Some(limit),
        )?)
    }

    /// Returns whether the other end is gone.
    pub(crate) fn is_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::RDHUP)];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    #[test]
    fn documents_and_descriptors_arrive_together_and_the_end_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let listener = Listener::bind(&path).expect("bound");
        let client = Channel::connect(&path).expect("connected");
        let server = listener.accept().expect("it is this user");
        let file = directory.path().join("f");
        std::fs::write(&file, b"content").expect("written");
        let file = File::open(&file).expect("there");
        client
            .send_with(&vec!["a", "b"], &[file.as_fd()])
            .expect("sent");
        let (words, descriptors): (Vec<String>, _) =
            server.receive_with().expect("received").expect("there");
        assert_eq!(words, ["a", "b"]);
        let mut text = String::new();
        File::from(descriptors.into_iter().next().expect("one"))
            .read_to_string(&mut text)
            .expect("readable");
        assert_eq!(text, "content");
        assert!(!server.is_hung_up());
        drop(client);
        assert!(server.is_hung_up());
        assert!(server.receive::<String>().expect("the end").is_none());
    }

    #[test]
    fn a_packet_above_the_limit_is_refused_and_one_at_it_arrives() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("s");
        let listener = Listener::bind(&path).expect("bound");
        let client = Channel::connect(&path).expect("connected");
        let server = listener.accept().expect("it is this user");
        let text = "x".repeat(LONGEST_PACKET_BYTES - 2);
        client.send(&text).expect("at the limit with its quotes");
        assert_eq!(
            server.receive::<String>().expect("ok").expect("there"),
            text
        );
        assert!(client.send(&(text + "x")).is_err());
    }
}

//! A scripted guest: the other end of the bridge, played by the test.

use mote_host::frame::{self, Frame, Header};
use mote_host::{GuestConnection, MessageType, PortSpace, Result, Timeouts};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Ends a test that would hang; nothing is decided by it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The answer most conversations begin with.
pub(crate) const NEGOTIATED: &str = r#"{"Result":0,"ActivityId":"00000000-0000-0000-0000-000000000000","Version":4,"Capabilities":{"SupportedSchemaVersions":[{"Major":2,"Minor":1}],"RuntimeOsType":"Linux","GuestDefinedCapabilities":{"SignalProcessSupported":true,"DumpStacksSupported":true,"DeleteContainerStateSupported":true}}}"#;

/// A success without further members.
pub(crate) const DONE: &str = r#"{"Result":0,"ActivityId":"00000000-0000-0000-0000-000000000000"}"#;

/// The guest's end of the bridge.
pub(crate) struct Guest {
    stream: UnixStream,
    directory: std::path::PathBuf,
}

impl Guest {
    /// Reads the next request; `None` when the host has hung up.
    pub(crate) fn next(&mut self) -> Option<Frame> {
        let mut bytes = [0; frame::HEADER_BYTES];
        self.stream.read_exact(&mut bytes).ok()?;
        let header = Header::parse(&bytes);
        let mut body = vec![0; header.size as usize - frame::HEADER_BYTES];
        self.stream.read_exact(&mut body).ok()?;
        Some(Frame {
            message_type: header.message_type,
            id: header.id,
            body,
        })
    }

    /// Reads the next request, which must be of this type.
    pub(crate) fn expect(&mut self, message_type: MessageType) -> Frame {
        let request = self
            .next()
            .unwrap_or_else(|| panic!("the host hung up instead of sending {message_type}"));
        assert_eq!(MessageType(request.message_type), message_type);
        request
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, request: &Frame, body: &str) {
        let message_type = MessageType(request.message_type).response();
        self.send(message_type.0, request.id, body.as_bytes());
    }

    /// Reads a request of this type and answers it.
    pub(crate) fn exchange(&mut self, message_type: MessageType, body: &str) -> Frame {
        let request = self.expect(message_type);
        self.answer(&request, body);
        request
    }

    /// Sends a frame.
    pub(crate) fn send(&mut self, message_type: u32, id: u64, body: &[u8]) {
        let bytes = frame::encode(message_type, id, body).expect("a body of a test is short");
        self.send_raw(&bytes);
    }

    /// Sends bytes. The host may have hung up already, which the test sees on the host's side.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Dials a port of the host.
    pub(crate) fn dial(&self, port: u32) -> UnixStream {
        let ports = PortSpace::new(self.directory.join("v"));
        UnixStream::connect(ports.socket(port).expect("hybrid"))
            .expect("the port is bound before the guest is asked to dial")
    }

    /// Returns the names of the ports that are bound.
    pub(crate) fn sockets(&self) -> Vec<String> {
        std::fs::read_dir(&self.directory)
            .expect("readable")
            .map(|entry| {
                entry
                    .expect("readable")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    }

    /// Hangs up.
    pub(crate) fn hang_up(&mut self) {
        // The host may have been first.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Stays until the host hangs up.
    pub(crate) fn stay(mut self) {
        let mut rest = Vec::new();
        // However the host ends it.
        let _ = self.stream.read_to_end(&mut rest);
    }
}

/// Time limits that make a hanging test fail instead.
pub(crate) fn patient() -> Timeouts {
    Timeouts {
        call: DEADLINE,
        abandonable_call: DEADLINE,
        dial: DEADLINE,
        power_off: DEADLINE,
    }
}

/// Runs the guest's part from its first byte on, and the host's part with the result of connecting.
pub(crate) fn play<T>(
    timeouts: Timeouts,
    guest: impl FnOnce(Guest) + Send,
    host: impl FnOnce(Result<GuestConnection>) -> T,
) -> T {
    let directory = tempfile::tempdir().expect("a directory for the sockets");
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs
        .set_read_timeout(Some(DEADLINE))
        .expect("a time limit");
    let actor = Guest {
        stream: theirs,
        directory: directory.path().to_owned(),
    };
    thread::scope(|scope| {
        scope.spawn(move || guest(actor));
        let ports = Arc::new(PortSpace::new(directory.path().join("v")));
        host(GuestConnection::connect(ours, ports, timeouts))
    })
}

/// As [`play`], after a successful negotiation.
pub(crate) fn converse<T>(
    guest: impl FnOnce(Guest) + Send,
    host: impl FnOnce(GuestConnection) -> T,
) -> T {
    play(
        patient(),
        |mut actor| {
            actor.exchange(MessageType::NEGOTIATE_PROTOCOL, NEGOTIATED);
            guest(actor);
        },
        |connection| host(connection.expect("negotiated")),
    )
}

/// A host and the guests it is dialled by one after the other, for conversations that outlive a connection.
pub(crate) struct Meeting {
    directory: tempfile::TempDir,
    next: std::cell::RefCell<Option<UnixStream>>,
}

impl Meeting {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory for the sockets"),
            next: std::cell::RefCell::new(None),
        }
    }

    /// The next guest; the other end of its stream is the next host end.
    pub(crate) fn guest(&self) -> Guest {
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        theirs
            .set_read_timeout(Some(DEADLINE))
            .expect("a time limit");
        self.next.replace(Some(ours));
        Guest {
            stream: theirs,
            directory: self.directory.path().to_owned(),
        }
    }

    /// The host's end of the newest guest's stream.
    pub(crate) fn host_end(&self) -> UnixStream {
        self.next.take().unwrap_or_else(|| {
            let (ours, _) = UnixStream::pair().expect("a pair of sockets");
            ours
        })
    }

    /// Connects to the newest guest.
    pub(crate) fn connect(&self) -> GuestConnection {
        let ports = Arc::new(PortSpace::new(self.directory.path().join("v")));
        GuestConnection::connect(self.host_end(), ports, patient()).expect("negotiated")
    }
}

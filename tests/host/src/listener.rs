//! The ports the guest dials (gcs-protocol §2, §9.1): Unix sockets of a hybrid vsock back end, or the host's own vsock.
//!
//! With a hybrid back end a guest's connection to port `P` arrives at the socket `<prefix>_<P>`. With the kernel's
//! vhost-vsock it arrives at the host's port `P`, which all VMs of the host share: each VM then has a range of its own, and the
//! guest is told on its command line. Either must be bound before the guest dials; of the session's, each listener takes one
//! connection and is gone then.
//!
//! Programs in the guest have connections of their own (vsock(7)): to ports that somebody listens on here
//! ([`PortSpace::listen`]), and from whoever dials a port they listen on ([`PortSpace::dial`]).

use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use vsock::{VMADDR_CID_ANY, VsockListener, VsockStream};

/// Where the guest reads its first random bytes from (hcsshim `vmutils.LinuxEntropyVsockPort`).
pub const ENTROPY_PORT: u32 = 1;

/// Where the guest writes its log (hcsshim `vmutils.LinuxLogVsockPort`).
pub const LOG_PORT: u32 = 109;

/// The bridge (hcsshim `prot.LinuxGcsVsockPort`).
pub const BRIDGE_PORT: u32 = 0x4000_0000;

/// The first stdio stream's port; the next ones count up, and none is used twice.
pub const FIRST_STDIO_PORT: u32 = 0x4000_0001;

/// Where ranges of ports for VMs on the host's own vsock begin, and how many ports one has.
const FIRST_RANGE: u32 = 0x5000_0000;
const RANGE_PORTS: u32 = 0x1_0000;

/// How many ranges there are: all below 2^31.
const RANGES: u32 = 0x3000;

/// The host ports of one VM.
#[derive(Debug)]
pub struct PortSpace {
    back_end: BackEnd,
    next_stdio: AtomicU32,
}

#[derive(Debug)]
enum BackEnd {
    /// Unix sockets whose names begin so.
    Hybrid(PathBuf),
    /// The host's vsock: the guest with this id, ports from this one on.
    Kernel { cid: u32, first: u32 },
}

impl PortSpace {
    /// Returns the ports whose sockets begin with `prefix`.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::{BRIDGE_PORT, PortSpace};
    /// let ports = PortSpace::new("/run/vm/vsock");
    /// assert_eq!(ports.socket(BRIDGE_PORT).unwrap().to_str(), Some("/run/vm/vsock_1073741824"));
    /// ```
    pub fn new(prefix: impl Into<PathBuf>) -> Self {
        Self {
            back_end: BackEnd::Hybrid(prefix.into()),
            next_stdio: AtomicU32::new(FIRST_STDIO_PORT),
        }
    }

    /// Returns ports of the host's own vsock, for the guest with this id. `choice` picks one of the ranges; two VMs with
    /// the same one cannot be bound at once.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::PortSpace;
    /// let ports = PortSpace::kernel(77, 0);
    /// assert_eq!(ports.kernel_cid(), Some(77));
    /// assert_eq!(ports.socket(ports.bridge_port()), None, "there are no Unix sockets");
    /// ```
    #[must_use]
    pub fn kernel(cid: u32, choice: u32) -> Self {
        let first = FIRST_RANGE + choice % RANGES * RANGE_PORTS;
        Self {
            back_end: BackEnd::Kernel { cid, first },
            // Behind the three fixed ones.
            next_stdio: AtomicU32::new(first + 3),
        }
    }

    /// Returns the guest's id on the host's own vsock, where that is the back end.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::PortSpace;
    /// assert_eq!(PortSpace::kernel(77, 0).kernel_cid(), Some(77));
    /// assert_eq!(PortSpace::new("/run/vm/vsock").kernel_cid(), None);
    /// ```
    #[must_use]
    pub const fn kernel_cid(&self) -> Option<u32> {
        match &self.back_end {
            BackEnd::Hybrid(_) => None,
            BackEnd::Kernel { cid, .. } => Some(*cid),
        }
    }

    /// Returns the port that takes the bridge.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::{BRIDGE_PORT, PortSpace};
    /// assert_eq!(PortSpace::new("/run/vm/vsock").bridge_port(), BRIDGE_PORT);
    /// assert_ne!(PortSpace::kernel(77, 0).bridge_port(), PortSpace::kernel(78, 1).bridge_port());
    /// ```
    #[must_use]
    pub const fn bridge_port(&self) -> u32 {
        match &self.back_end {
            BackEnd::Hybrid(_) => BRIDGE_PORT,
            BackEnd::Kernel { first, .. } => *first,
        }
    }

    /// Returns the port that gives random bytes.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::{ENTROPY_PORT, PortSpace};
    /// assert_eq!(PortSpace::new("/run/vm/vsock").entropy_port(), ENTROPY_PORT);
    /// ```
    #[must_use]
    pub const fn entropy_port(&self) -> u32 {
        match &self.back_end {
            BackEnd::Hybrid(_) => ENTROPY_PORT,
            BackEnd::Kernel { first, .. } => *first + 1,
        }
    }

    /// Returns the port that takes the log.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::{LOG_PORT, PortSpace};
    /// assert_eq!(PortSpace::new("/run/vm/vsock").log_port(), LOG_PORT);
    /// ```
    #[must_use]
    pub const fn log_port(&self) -> u32 {
        match &self.back_end {
            BackEnd::Hybrid(_) => LOG_PORT,
            BackEnd::Kernel { first, .. } => *first + 2,
        }
    }

    /// Returns the Unix socket of a port, where the back end is a hybrid one.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::PortSpace;
    /// let ports = PortSpace::new("/run/vm/vsock");
    /// assert_eq!(ports.socket(1).unwrap().to_str(), Some("/run/vm/vsock_1"));
    /// ```
    #[must_use]
    pub fn socket(&self, port: u32) -> Option<PathBuf> {
        match &self.back_end {
            BackEnd::Hybrid(prefix) => Some(socket(prefix, port)),
            BackEnd::Kernel { .. } => None,
        }
    }

    /// Binds a port.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the socket cannot be bound.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::{LOG_PORT, PortSpace};
    /// let directory = tempfile::tempdir()?;
    /// let ports = PortSpace::new(directory.path().join("vsock"));
    /// let listener = ports.listen(LOG_PORT)?;
    /// assert!(ports.socket(LOG_PORT).unwrap().exists());
    /// assert!(ports.listen(LOG_PORT).is_err(), "it is bound");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen(&self, port: u32) -> Result<PortListener> {
        match &self.back_end {
            BackEnd::Hybrid(prefix) => {
                let path = socket(prefix, port);
                let listener = UnixListener::bind(&path)
                    .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
                    .map_err(|error| {
                        Error::io(format!("cannot listen on {}", path.display()), error)
                    })?;
                Ok(PortListener::Hybrid { listener, path })
            }
            BackEnd::Kernel { cid, .. } => {
                let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, port)
                    .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
                    .map_err(|error| {
                        Error::io(format!("cannot listen on vsock port {port}"), error)
                    })?;
                Ok(PortListener::Kernel {
                    listener,
                    cid: *cid,
                })
            }
        }
    }

    /// Dials a port that a program in the guest listens on.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when nobody takes it; what the guest refuses is [`io::ErrorKind::ConnectionRefused`] or
    /// [`io::ErrorKind::ConnectionReset`].
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::PortSpace;
    /// use std::io::{Read, Write};
    /// use std::os::unix::net::UnixListener;
    /// let directory = tempfile::tempdir()?;
    /// let ports = PortSpace::new(directory.path().join("vsock"));
    /// // What a back end does: it reads the wish, and says which port is the host's.
    /// let back_end = UnixListener::bind(directory.path().join("vsock"))?;
    /// let serving = std::thread::spawn(move || {
    ///     let (mut guest, _) = back_end.accept()?;
    ///     let mut wish = [0; 13];
    ///     guest.read_exact(&mut wish)?;
    ///     guest.write_all(b"OK 1073741824\nhello")?;
    ///     Ok::<_, std::io::Error>(wish)
    /// });
    /// let mut stream = ports.dial(7000)?;
    /// let mut text = String::new();
    /// stream.read_to_string(&mut text)?;
    /// assert_eq!(text, "hello");
    /// assert_eq!(&serving.join().unwrap()?, b"CONNECT 7000\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn dial(&self, port: u32) -> Result<UnixStream> {
        let dialled = match &self.back_end {
            BackEnd::Hybrid(prefix) => dial_hybrid(prefix, port),
            // A vsock stream is a stream socket like any other once it is connected.
            BackEnd::Kernel { cid, .. } => VsockStream::connect_with_cid_port(*cid, port)
                .map(|stream| UnixStream::from(OwnedFd::from(stream))),
        };
        dialled.map_err(|error| Error::io(format!("cannot dial the guest's port {port}"), error))
    }

    /// Binds the next stdio port and returns it with its number.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the socket cannot be bound.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::{FIRST_STDIO_PORT, PortSpace};
    /// let directory = tempfile::tempdir()?;
    /// let ports = PortSpace::new(directory.path().join("vsock"));
    /// let (port, listener) = ports.listen_stdio()?;
    /// assert_eq!(port, FIRST_STDIO_PORT);
    /// assert_eq!(ports.listen_stdio()?.0, FIRST_STDIO_PORT + 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen_stdio(&self) -> Result<(u32, PortListener)> {
        let port = self.next_stdio.fetch_add(1, Ordering::Relaxed);
        Ok((port, self.listen(port)?))
    }
}

/// Asks a hybrid back end for a port of the guest (Firecracker docs/vsock.md, "Host-Initiated Connections").
fn dial_hybrid(prefix: &Path, port: u32) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(prefix)?;
    stream.set_read_timeout(Some(DIAL_LIMIT))?;
    stream.write_all(format!("CONNECT {port}\n").as_bytes())?;
    // One byte at a time: what is behind the line is the guest's.
    let mut line = Vec::new();
    loop {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        match byte {
            [b'\n'] => break,
            _ if line.len() == MAX_ANSWER_BYTES => {
                return Err(io::Error::other("the back end's answer is no line"));
            }
            [byte] => line.push(byte),
        }
    }
    if !line.starts_with(b"OK ") {
        let line = String::from_utf8_lossy(&line);
        return Err(io::Error::other(format!("the back end says {line:?}")));
    }
    stream.set_read_timeout(None)?;
    Ok(stream)
}

/// How long the guest may take to accept a connection.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// Longest line with which a back end answers: `OK` and a port.
const MAX_ANSWER_BYTES: usize = 32;

/// Returns the socket of a port.
fn socket(prefix: &Path, port: u32) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(format!("_{port}"));
    name.into()
}

/// A bound port; its socket is removed when it is dropped.
#[derive(Debug)]
pub enum PortListener {
    /// A Unix socket.
    Hybrid {
        /// The socket.
        listener: UnixListener,
        /// Its path.
        path: PathBuf,
    },
    /// A port of the host's vsock.
    Kernel {
        /// The socket.
        listener: VsockListener,
        /// The only guest whose connections are taken.
        cid: u32,
    },
}

impl PortListener {
    /// Waits for the guest's connection for at most `limit`; `None` when none has come by then.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Example
    ///
    /// ```
    /// use mote_host::{LOG_PORT, PortSpace};
    /// use std::os::unix::net::UnixStream;
    /// use std::time::Duration;
    /// let directory = tempfile::tempdir()?;
    /// let ports = PortSpace::new(directory.path().join("vsock"));
    /// let listener = ports.listen(LOG_PORT)?;
    /// assert!(listener.accept(Duration::ZERO)?.is_none(), "nobody has dialled");
    /// let guest = UnixStream::connect(ports.socket(LOG_PORT).unwrap())?;
    /// assert!(listener.accept(Duration::from_secs(1))?.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn accept(&self, limit: Duration) -> io::Result<Option<UnixStream>> {
        let start = Instant::now();
        loop {
            if let Some(stream) = self.try_accept()? {
                return Ok(Some(stream));
            }
            // What came may have been somebody else's.
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            wait_readable(&[self], left)?;
        }
    }

    /// Takes a connection that is there already.
    pub(crate) fn try_accept(&self) -> io::Result<Option<UnixStream>> {
        let accepted = match self {
            Self::Hybrid { listener, .. } => listener.accept().map(|(stream, _)| Some(stream)),
            // A vsock stream is a stream socket like any other once it is connected.
            Self::Kernel { listener, cid } => listener.accept().map(|(stream, peer)| {
                (peer.cid() == *cid).then(|| UnixStream::from(OwnedFd::from(stream)))
            }),
        };
        match accepted {
            Ok(Some(stream)) => stream.set_nonblocking(false).map(|()| Some(stream)),
            // Somebody else's guest: its connection is closed, ours is still to come.
            Ok(None) => Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl Drop for PortListener {
    fn drop(&mut self) {
        if let Self::Hybrid { path, .. } = self {
            // The VM's run directory may be gone already, and with it the socket.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl AsFd for PortListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Hybrid { listener, .. } => listener.as_fd(),
            Self::Kernel { listener, .. } => listener.as_fd(),
        }
    }
}

/// Waits until one of the listeners has a connection, or `limit` has passed.
pub(crate) fn wait_readable(listeners: &[&PortListener], limit: Duration) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = listeners
        .iter()
        .map(|port| PollFd::new(port, PollFlags::IN))
        .collect();
    let limit = Timespec::try_from(limit).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    });
    match poll(&mut fds, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_named_after_their_decimal_port() {
        assert_eq!(
            socket(Path::new("/run/x/vsock"), BRIDGE_PORT),
            Path::new("/run/x/vsock_1073741824")
        );
    }

    #[test]
    fn vms_on_the_hosts_vsock_have_ports_of_their_own() {
        let ports = PortSpace::kernel(77, 1);
        let other = PortSpace::kernel(78, 2);
        assert_eq!(ports.kernel_cid(), Some(77));
        assert_eq!(ports.bridge_port(), 0x5001_0000);
        assert_eq!(
            (ports.entropy_port(), ports.log_port()),
            (0x5001_0001, 0x5001_0002)
        );
        assert_eq!(other.bridge_port() - ports.bridge_port(), RANGE_PORTS);
        let last = PortSpace::kernel(3, RANGES - 1);
        assert!(last.bridge_port() + RANGE_PORTS - 1 <= i32::MAX.cast_unsigned());
    }

    /// Whether this system has sockets of the family; a sandbox may forbid them.
    fn has_vsock() -> bool {
        VsockListener::bind_with_cid_port(VMADDR_CID_ANY, u32::MAX).is_ok()
    }

    #[test]
    fn a_port_of_the_hosts_vsock_is_bound_by_one_at_a_time() {
        if !has_vsock() {
            eprintln!("not tried: this system has no vsock");
            return;
        }
        let ports = PortSpace::kernel(3, std::process::id());
        let held = ports.listen(ports.bridge_port()).expect("free");
        let error = ports.listen(ports.bridge_port()).expect_err("held");
        assert!(error.to_string().contains("vsock port"), "{error}");
        assert!(
            held.accept(Duration::ZERO).expect("ours").is_none(),
            "nobody has come"
        );
        drop(held);
        let (_, _first) = ports.listen_stdio().expect("free");
        ports.listen(ports.bridge_port()).expect("free again");
    }

    #[test]
    fn a_connection_over_the_hosts_vsock_is_taken_from_its_own_guest_only() {
        use std::io::{Read, Write};
        use vsock::{VMADDR_CID_LOCAL, VsockStream};
        if !Path::new("/sys/module/vsock_loopback").exists() {
            eprintln!("not tried: this system has no vsock_loopback");
            return;
        }
        let patient = Duration::from_secs(60);
        for (cid, is_taken, limit) in [
            (VMADDR_CID_LOCAL, true, patient),
            (77, false, Duration::ZERO),
        ] {
            let ports = PortSpace::kernel(cid, std::process::id().wrapping_add(1));
            let listener = ports.listen(ports.log_port()).expect("free");
            let mut guest = VsockStream::connect_with_cid_port(VMADDR_CID_LOCAL, ports.log_port())
                .expect("it listens");
            let taken = listener.accept(limit).expect("ours");
            assert_eq!(taken.is_some(), is_taken, "guest {cid}");
            let Some(mut taken) = taken else {
                assert_eq!(guest.read(&mut [0]).unwrap_or(0), 0, "it is hung up on");
                continue;
            };
            guest.write_all(b"up").expect("taken");
            let mut bytes = [0; 2];
            taken.read_exact(&mut bytes).expect("it comes");
            assert_eq!(&bytes, b"up");
        }
    }

    #[test]
    fn a_stdio_port_is_bound_before_it_is_known_and_never_used_twice() {
        let directory = tempfile::tempdir().expect("a directory");
        let ports = PortSpace::new(directory.path().join("v"));
        let (first, listener) = ports.listen_stdio().expect("bound");
        assert_eq!(first, 1_073_741_825);
        let path = socket(&directory.path().join("v"), first);
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists(), "the socket goes with its listener");
        assert_eq!(ports.listen_stdio().expect("bound").0, 1_073_741_826);
    }
}

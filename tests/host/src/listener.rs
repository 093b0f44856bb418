//! The ports the guest dials (gcs-protocol §2, §9.1), as Unix sockets of a hybrid vsock back end.
//!
//! A guest's connection to port `P` arrives at the socket `<prefix>_<P>`, which must be bound before the guest dials.
//! Each listener takes one connection and is gone then.

use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where the guest reads its first random bytes from (hcsshim `vmutils.LinuxEntropyVsockPort`).
pub const ENTROPY_PORT: u32 = 1;

/// Where the guest writes its log (hcsshim `vmutils.LinuxLogVsockPort`).
pub const LOG_PORT: u32 = 109;

/// The bridge (hcsshim `prot.LinuxGcsVsockPort`).
pub const BRIDGE_PORT: u32 = 0x4000_0000;

/// The first stdio stream's port; the next ones count up, and none is used twice.
pub const FIRST_STDIO_PORT: u32 = 0x4000_0001;

/// The host ports of one VM.
#[derive(Debug)]
pub struct PortSpace {
    prefix: PathBuf,
    next_stdio: AtomicU32,
}

impl PortSpace {
    /// Returns the ports whose sockets begin with `prefix`.
    pub fn new(prefix: impl Into<PathBuf>) -> Self {
        Self {
            prefix: prefix.into(),
            next_stdio: AtomicU32::new(FIRST_STDIO_PORT),
        }
    }

    /// Returns the socket of a port.
    #[must_use]
    pub fn socket(&self, port: u32) -> PathBuf {
        let mut name = self.prefix.clone().into_os_string();
        name.push(format!("_{port}"));
        name.into()
    }

    /// Binds a port.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the socket cannot be bound.
    pub fn listen(&self, port: u32) -> Result<PortListener> {
        let path = self.socket(port);
        let listener = UnixListener::bind(&path)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| Error::io(format!("cannot listen on {}", path.display()), error))?;
        Ok(PortListener { listener, path })
    }

    /// Binds the next stdio port and returns it with its number.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the socket cannot be bound.
    pub fn listen_stdio(&self) -> Result<(u32, PortListener)> {
        let port = self.next_stdio.fetch_add(1, Ordering::Relaxed);
        Ok((port, self.listen(port)?))
    }
}

/// A bound port; its socket is removed when it is dropped.
#[derive(Debug)]
pub struct PortListener {
    listener: UnixListener,
    path: PathBuf,
}

impl PortListener {
    /// Returns the socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the guest's connection for at most `limit`; `None` when none has come by then.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn accept(&self, limit: Duration) -> io::Result<Option<UnixStream>> {
        if let Some(stream) = self.try_accept()? {
            return Ok(Some(stream));
        }
        wait_readable(&[self], limit)?;
        self.try_accept()
    }

    /// Takes a connection that is there already.
    pub(crate) fn try_accept(&self) -> io::Result<Option<UnixStream>> {
        match self.listener.accept() {
            Ok((stream, _)) => stream.set_nonblocking(false).map(|()| Some(stream)),
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
        // The VM's run directory may be gone already, and with it the socket.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Waits until one of the listeners has a connection, or `limit` has passed.
pub(crate) fn wait_readable(listeners: &[&PortListener], limit: Duration) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = listeners
        .iter()
        .map(|port| PollFd::new(&port.listener, PollFlags::IN))
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
        let ports = PortSpace::new("/run/x/vsock");
        assert_eq!(
            ports.socket(BRIDGE_PORT),
            Path::new("/run/x/vsock_1073741824")
        );
    }

    #[test]
    fn a_stdio_port_is_bound_before_it_is_known_and_never_used_twice() {
        let directory = tempfile::tempdir().expect("a directory");
        let ports = PortSpace::new(directory.path().join("v"));
        let (first, listener) = ports.listen_stdio().expect("bound");
        assert_eq!(first, 1_073_741_825);
        let path = listener.path().to_owned();
        assert!(path.exists());
        drop(listener);
        assert!(!path.exists(), "the socket goes with its listener");
        assert_eq!(ports.listen_stdio().expect("bound").0, 1_073_741_826);
    }
}

//! Going on with a session over another connection (hcsshim `GuestConnection.SetMigrating`, `ResumeOnConn`; gcs-protocol
//! §2.3).
//!
//! ```text
//! set_migrating(true) ──► connection lost ──► calls fail as interrupted, waits stay
//!                              │ resume_on(next stream)
//!                              ▼
//!                   NegotiateProtocol, its id above all before ──► waits sent again ──► up
//! ```
//!
//! What a lost connection leaves open is whether a request was carried out. So a call that was outstanding fails with
//! [`Error::Interrupted`](crate::Error::Interrupted), and is asked again by whoever made it: the guest refuses what it has done already (a container
//! that exists, an init that was started, a container that is gone). A wait is never lost: it is sent again, and the guest
//! keeps exit codes until a container's state is deleted.

use crate::connection::GuestConnection;
use crate::container::Container;
use crate::error::Result;
use crate::pipes::Pipes;
use crate::process::Process;
use crate::process_config::ProcessConfig;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

impl GuestConnection {
    /// Opens or closes the time in which the loss of the connection does not end the session. Closing it while there is no
    /// connection ends the session.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// guest.set_migrating(true);
    /// assert!(guest.end_reason().is_none());
    /// guest.set_migrating(false);
    /// # Ok(()) }
    /// ```
    pub fn set_migrating(&self, migrating: bool) {
        self.bridge().set_migrating(migrating);
    }

    /// Goes on with the session over `stream`, which the guest has dialled anew. The connection before is shut down if it
    /// is still up.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`](crate::Error::Interrupted) when this connection is lost as well: the next one can be tried. [`Error::InvalidRequest`](crate::Error::InvalidRequest)
    /// when the connection is not migrating. Any other error ends the session.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use std::net::Shutdown;
    /// use std::time::Duration;
    /// let vm = Vm::start(config)?;
    /// let stream = vm.accept_bridge(Duration::from_secs(60))?;
    /// let wire = stream.try_clone().expect("a duplicate");
    /// let guest = GuestConnection::connect(stream, vm.ports(), Timeouts::default())?;
    /// let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// guest.set_migrating(true);
    /// wire.shutdown(Shutdown::Both).expect("it was up");
    /// // The guest dials again, and what waits goes on over the next connection.
    /// guest.resume_on(vm.accept_bridge(Duration::from_secs(60))?)?;
    /// guest.set_migrating(false);
    /// assert_eq!(process.output(b"through")?.stdout, b"through");
    /// # Ok(()) }
    /// ```
    pub fn resume_on(&self, stream: UnixStream) -> Result<()> {
        let bridge = self.bridge_handle();
        bridge.replace(stream)?;
        match self.renegotiate() {
            Ok(()) => {
                bridge.on_resumed();
                Ok(())
            }
            Err(error) => {
                if !error.is_interrupted() {
                    bridge.end(&error.to_string());
                }
                Err(error)
            }
        }
    }

    /// Waits for the connection to be up after it was lost. `false` when it is not by then, or the session has ended.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// assert!(guest.wait_up(Duration::ZERO), "it was never lost");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn wait_up(&self, limit: Duration) -> bool {
        self.bridge().wait_up(limit)
    }

    /// Waits for the connection to be lost and returns why; `None` when it is up by then, or the session has ended.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(config: mote_host::VmConfig) -> mote_host::Result<()> { use mote_host::*;
    /// use std::net::Shutdown;
    /// use std::time::Duration;
    /// let vm = Vm::start(config)?;
    /// let stream = vm.accept_bridge(Duration::from_secs(60))?;
    /// let wire = stream.try_clone().expect("a duplicate");
    /// let guest = GuestConnection::connect(stream, vm.ports(), Timeouts::default())?;
    /// guest.set_migrating(true);
    /// wire.shutdown(Shutdown::Both).expect("it was up");
    /// assert!(guest.wait_lost(Duration::from_secs(60)).is_some());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn wait_lost(&self, limit: Duration) -> Option<Arc<str>> {
        self.bridge().wait_lost(limit)
    }
}

impl Container {
    /// Binds the ports for a process's streams, so that it can be asked for more than once.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) when a port cannot be bound.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("pipes", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let config = ProcessConfig::new(["cat"]);
    /// let pipes = container.pipes(&config)?;
    /// // Whether the guest did it may be lost with a connection; then it is asked again, with the same streams.
    /// let pid = container.execute(&config, &pipes)?;
    /// let process = container.open_process_with_io(pid, &pipes)?;
    /// assert_eq!(process.output(b"kept")?.stdout, b"kept");
    /// # Ok(()) }
    /// ```
    pub fn pipes(&self, config: &ProcessConfig) -> Result<Pipes> {
        Pipes::bind(self.guest(), config)
    }

    /// Runs a process on streams that are bound already, and returns its id. It is not waited for.
    ///
    /// # Errors
    ///
    /// The guest's refusal, [`Error::Interrupted`](crate::Error::Interrupted), or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("execute", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let config = ProcessConfig::new(["cat"]);
    /// let pipes = container.pipes(&config)?;
    /// let pid = container.execute(&config, &pipes)?;
    /// assert!(container.process_list()?.iter().any(|process| process.pid == pid));
    /// # Ok(()) }
    /// ```
    pub fn execute(&self, config: &ProcessConfig, pipes: &Pipes) -> Result<u32> {
        pipes.execute(self.guest(), self.id(), config)
    }

    /// Takes up a process with its streams (hcsshim `OpenProcessWithIO`).
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`](crate::Error::Interrupted), or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let init = ContainerConfig::new(&ProcessConfig::new(["cat"]));
    /// # let container = guest.create_container("open-process-with-io", &init)?;
    /// # let init = container.create_process(&ProcessConfig::init())?;
    /// let config = ProcessConfig::new(["echo", "hello"]);
    /// let pipes = container.pipes(&config)?;
    /// let pid = container.execute(&config, &pipes)?;
    /// let process = container.open_process_with_io(pid, &pipes)?;
    /// assert_eq!(process.output(b"")?.stdout, b"hello\n");
    /// # Ok(()) }
    /// ```
    pub fn open_process_with_io(&self, pid: u32, pipes: &Pipes) -> Result<Process> {
        Process::watch(self.guest(), self.id(), pid, pipes.streams())
    }
}

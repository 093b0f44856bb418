//! One stdio stream of a process, seen from the host (gcs-protocol §9).

use crate::bridge::Bridge;
use crate::listener::{PortListener, wait_readable};
use crate::once::lock;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How often a reader whose connection has not come looks whether it still makes sense to wait.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A byte stream to or from a process. Clones are the same stream.
///
/// Standard output and error are read, standard input is written. Reading the end (0 bytes) closes the stream, because
/// the guest reports a process's exit only after the host has closed what it read to the end.
#[derive(Clone, Debug)]
pub struct StdioStream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    bridge: Arc<Bridge>,
}

#[derive(Debug)]
enum State {
    /// The guest has not dialled yet; it does so before it answers ExecuteProcess.
    Listening(PortListener),
    Open(Arc<UnixStream>),
    Closed,
}

impl StdioStream {
    pub(crate) fn new(listener: PortListener, bridge: Arc<Bridge>) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State::Listening(listener)),
            bridge,
        }))
    }

    /// Ends the write direction: the process reads the end of its standard input after what was written before.
    /// Closing twice, or a stream that is closed already, does nothing.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// use std::io::Write;
    /// let mut stdin = process.stdin().expect("asked for");
    /// stdin.write_all(b"all there is").expect("taken");
    /// stdin.close_write().expect("it is open");
    /// assert_eq!(process.output(b"")?.stdout, b"all there is");
    /// # Ok(()) }
    /// ```
    pub fn close_write(&self) -> io::Result<()> {
        let Some(stream) = self.connection()? else {
            return Ok(());
        };
        match stream.shutdown(Shutdown::Write) {
            // The guest was faster and the stream is gone altogether.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            result => result,
        }
    }

    /// Closes the stream, both directions. Whoever is blocked on it returns. Closing twice does nothing.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// let stdin = process.stdin().expect("asked for");
    /// stdin.close();
    /// assert_eq!(process.wait()?, 0, "cat has read the end");
    /// # Ok(()) }
    /// ```
    pub fn close(&self) {
        let state = std::mem::replace(&mut *lock(&self.0.state), State::Closed);
        if let State::Open(stream) = state {
            // A stream the guest has reset is closed as well as it can be.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Returns the connection itself and leaves a closed stream behind; `None` when it was closed before.
    pub(crate) fn detach(&self) -> io::Result<Option<UnixStream>> {
        let connection = self.connection()?;
        *lock(&self.0.state) = State::Closed;
        connection
            .map(|stream| match Arc::try_unwrap(stream) {
                Ok(stream) => Ok(stream),
                // Somebody is blocked on a clone of it.
                Err(stream) => stream.try_clone(),
            })
            .transpose()
    }

    /// Returns the connection, waiting for the guest's dial; `None` when the stream is closed.
    fn connection(&self) -> io::Result<Option<Arc<UnixStream>>> {
        loop {
            {
                let mut state = lock(&self.0.state);
                match &*state {
                    State::Open(stream) => return Ok(Some(Arc::clone(stream))),
                    State::Closed => return Ok(None),
                    State::Listening(listener) => {
                        if let Some(stream) = listener.try_accept()? {
                            let stream = Arc::new(stream);
                            *state = State::Open(Arc::clone(&stream));
                            return Ok(Some(stream));
                        }
                        if let Some(reason) = self.0.bridge.end_reason() {
                            *state = State::Closed;
                            return Err(io::Error::new(
                                io::ErrorKind::NotConnected,
                                format!("the guest never dialled this stream: {reason}"),
                            ));
                        }
                        wait_readable(&[listener], LOOK_AGAIN)?;
                    }
                }
            }
            std::thread::yield_now();
        }
    }
}

impl Read for StdioStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = self.connection()? else {
            return Ok(0);
        };
        let count = match (&*stream).read(buffer) {
            // The daemon resets instead of ending when the guest goes away; what was sent before has been read.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            result => result?,
        };
        if count == 0 && !buffer.is_empty() {
            self.close();
        }
        Ok(count)
    }
}

impl Write for StdioStream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self.connection()? {
            Some(stream) => (&*stream).write(buffer),
            None => Err(io::Error::new(
                io::ErrorKind::BrokenPipe,
                "the stream is closed",
            )),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

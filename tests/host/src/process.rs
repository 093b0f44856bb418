//! Processes in the VM, and what can be done with them (hcsshim `internal/gcs/process.go`).

use crate::Hresult;
use crate::bridge::{Patience, Reply};
use crate::connection::GuestConnection;
use crate::error::{Error, Result};
use crate::message::MessageType;
use crate::once::{Once, lock};
use crate::pipes::Pipes;
use crate::process_config::ProcessConfig;
use crate::request;
use crate::response::{Answer, Expected};
use crate::stdio::StdioStream;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// How long the end of the output may come after the exit code, at least (hcsshim `CopyAfterExitTimeout`).
const OUTPUT_AFTER_EXIT: Duration = Duration::from_secs(1);

/// A process in the VM. Dropping it closes its streams and leaves it running.
///
/// # Example
///
/// ```no_run
#[doc = include_str!("../doc/process.rs")]
/// ```
#[derive(Debug)]
pub struct Process {
    guest: GuestConnection,
    container_id: String,
    pid: u32,
    exit: Reply,
    streams: [Option<StdioStream>; 3],
    /// Standard input is closed once; later calls do nothing.
    stdin_closed: Mutex<bool>,
}

/// Everything a process wrote, and how it ended.
///
/// # Example
///
/// ```no_run
/// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
/// let process = guest.create_process(&ProcessConfig::new(["sh", "-c", "echo out; echo err >&2; exit 3"]))?;
/// let Output { exit_code, stdout, stderr } = process.output(b"")?;
/// assert_eq!(exit_code, 3);
/// assert_eq!((stdout, stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit status, or 128 + signal.
    pub exit_code: u32,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

impl Process {
    /// Runs a process: binds its ports, asks, and begins to wait for its end.
    pub(crate) fn create(
        guest: &GuestConnection,
        container_id: &str,
        config: &ProcessConfig,
    ) -> Result<Self> {
        let pipes = Pipes::bind(guest, config)?;
        let pid = pipes.execute(guest, container_id, config)?;
        Self::watch(guest, container_id, pid, pipes.streams())
    }

    /// Begins to wait for a process that runs already; it has no streams here.
    pub(crate) fn open(guest: &GuestConnection, container_id: &str, pid: u32) -> Result<Self> {
        Self::watch(guest, container_id, pid, [None, None, None])
    }

    /// Begins to wait for a process whose streams are `streams`.
    pub(crate) fn watch(
        guest: &GuestConnection,
        container_id: &str,
        pid: u32,
        streams: [Option<StdioStream>; 3],
    ) -> Result<Self> {
        let exit = guest.bridge().send(
            MessageType::WAIT_FOR_PROCESS,
            &request::wait_for_process(container_id, pid, request::INFINITE_MS),
            Expected::ExitCode,
        )?;
        Ok(Self {
            guest: guest.clone(),
            container_id: container_id.to_owned(),
            pid,
            exit,
            streams,
            stdin_closed: Mutex::new(false),
        })
    }

    /// Returns the process's id in the VM.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// assert!(process.pid() > 0);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends the process with SIGKILL. Returns whether the signal was delivered: `false` when it had ended already.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// assert!(process.kill()?, "delivered");
    /// assert_eq!(process.wait()?, 128 + 9);
    /// assert!(!process.kill()?, "it has ended already");
    /// # Ok(()) }
    /// ```
    pub fn kill(&self) -> Result<bool> {
        self.send_signal(None)
    }

    /// Sends a signal by its Linux number. Returns whether it was delivered: `false` when the process had ended already.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// assert!(process.signal(15)?, "delivered");
    /// assert_eq!(process.wait()?, 128 + 15);
    /// # Ok(()) }
    /// ```
    pub fn signal(&self, signal: i32) -> Result<bool> {
        self.send_signal(Some(signal))
    }

    fn send_signal(&self, signal: Option<i32>) -> Result<bool> {
        let result = self.guest.bridge().call(
            MessageType::SIGNAL_PROCESS,
            &request::signal_process(&self.container_id, self.pid, signal),
            Expected::Base,
            Patience::Final,
        );
        match result {
            Ok(_) => Ok(true),
            Err(error) if error.hresult() == Some(Hresult::NOT_FOUND) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets the window size of the process's terminal.
    ///
    /// # Errors
    ///
    /// The guest's refusal (it has no terminal), or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let config = ProcessConfig::new(["cat"]).terminal();
    /// let process = guest.create_process(&config)?;
    /// process.resize_console(120, 40)?;
    /// assert!(process.kill()?);
    /// # Ok(()) }
    /// ```
    pub fn resize_console(&self, width: u16, height: u16) -> Result<()> {
        self.guest
            .bridge()
            .call(
                MessageType::RESIZE_CONSOLE,
                &request::resize_console(&self.container_id, self.pid, height, width),
                Expected::Base,
                Patience::Abandonable,
            )
            .map(drop)
    }

    /// Waits for the process to end and returns its exit code: the exit status, or 128 + signal. The guest reports it
    /// after it has delivered all output, so somebody must read (or close) the output streams meanwhile.
    ///
    /// # Errors
    ///
    /// The guest's refusal, or the end of the bridge.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// process.close_stdin()?;
    /// assert_eq!(process.wait()?, 0);
    /// # Ok(()) }
    /// ```
    pub fn wait(&self) -> Result<u32> {
        exit_code(self.exit.wait())
    }

    /// Waits for the process to end, for so long.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when it runs on; else as [`Process::wait`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// use std::time::Duration;
    /// let error = process.wait_timeout(Duration::from_millis(1)).expect_err("it runs");
    /// assert!(error.is_timeout());
    /// # Ok(()) }
    /// ```
    pub fn wait_timeout(&self, limit: Duration) -> Result<u32> {
        match self.exit.wait_timeout(limit) {
            Some(answer) => exit_code(answer),
            None => Err(Error::Timeout {
                operation: "WaitForProcess",
                after: limit,
            }),
        }
    }

    /// Returns the exit code of a process that has ended.
    ///
    /// # Errors
    ///
    /// [`Error::StillRunning`]; else as [`Process::wait`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// assert!(matches!(process.exit_code(), Err(Error::StillRunning)));
    /// process.close_stdin()?;
    /// process.wait()?;
    /// assert_eq!(process.exit_code()?, 0);
    /// # Ok(()) }
    /// ```
    pub fn exit_code(&self) -> Result<u32> {
        self.exit.get().map_or(Err(Error::StillRunning), exit_code)
    }

    /// Returns standard input, output and error, where they were asked for.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// let [stdin, stdout, stderr] = process.stdio();
    /// assert!(stdin.is_some() && stdout.is_some() && stderr.is_some());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stdio(&self) -> [Option<StdioStream>; 3] {
        self.streams.clone()
    }

    /// Returns the stream that leads to standard input.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// use std::io::Write;
    /// process.stdin().expect("asked for").write_all(b"hello\n").expect("taken");
    /// process.close_stdin()?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stdin(&self) -> Option<StdioStream> {
        self.streams[0].clone()
    }

    /// Returns the stream that comes from standard output.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// use std::io::Read;
    /// let process = guest.create_process(&ProcessConfig::new(["echo", "hello"]))?;
    /// let mut text = String::new();
    /// process.stdout().expect("asked for").read_to_string(&mut text).expect("it comes");
    /// assert_eq!(text, "hello\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stdout(&self) -> Option<StdioStream> {
        self.streams[1].clone()
    }

    /// Returns the stream that comes from standard error.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// use std::io::Read;
    /// let process = guest.create_process(&ProcessConfig::new(["sh", "-c", "echo bad >&2"]))?;
    /// let mut text = String::new();
    /// process.stderr().expect("asked for").read_to_string(&mut text).expect("it comes");
    /// assert_eq!(text, "bad\n");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn stderr(&self) -> Option<StdioStream> {
        self.streams[2].clone()
    }

    /// Takes the streams out of this library's hands, for who copies them himself: connected sockets, one direction
    /// each, where they were asked for. They are [`Process::close`]d no more; standard output and error must be closed
    /// when they have been read to their ends, or the process's exit is not reported.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] when the guest did not dial a stream it said it had.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// use std::io::{Read, Write};
    /// let mut process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// let [stdin, stdout, stderr] = process.detach_stdio()?;
    /// let (mut stdin, mut stdout) = (stdin.expect("asked for"), stdout.expect("asked for"));
    /// stdin.write_all(b"copied").expect("taken");
    /// drop(stdin);
    /// let mut bytes = Vec::new();
    /// stdout.read_to_end(&mut bytes).expect("it comes");
    /// assert_eq!(bytes, b"copied");
    /// drop((stdout, stderr));
    /// assert_eq!(process.wait()?, 0);
    /// # Ok(()) }
    /// ```
    pub fn detach_stdio(&mut self) -> Result<[Option<UnixStream>; 3]> {
        let mut sockets = [None, None, None];
        for (socket, stream) in sockets.iter_mut().zip(&mut self.streams) {
            if let Some(stream) = stream.take() {
                *socket = stream
                    .detach()
                    .map_err(|error| Error::io("cannot take a stream over", error))?;
            }
        }
        Ok(sockets)
    }

    /// Ends standard input: the process reads its end after what was written before.
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
    /// process.close_stdin()?;
    /// assert_eq!(process.wait()?, 0, "cat has read the end");
    /// # Ok(()) }
    /// ```
    pub fn close_stdin(&self) -> Result<()> {
        let mut closed = lock(&self.stdin_closed);
        let Some(stdin) = &self.streams[0] else {
            return Ok(());
        };
        if !*closed {
            stdin
                .close_write()
                .map_err(|error| Error::io("cannot close standard input", error))?;
            *closed = true;
        }
        Ok(())
    }

    /// Closes standard output; the process gets EPIPE or SIGPIPE for what it still writes.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// let process = guest.create_process(&ProcessConfig::new(["sh", "-c", "while echo more; do :; done"]))?;
    /// process.close_stdout();
    /// process.close_stderr();
    /// assert_ne!(process.wait()?, 0, "it could not write any more");
    /// # Ok(()) }
    /// ```
    pub fn close_stdout(&self) {
        self.streams[1].iter().for_each(StdioStream::close);
    }

    /// Closes standard error; the process gets EPIPE or SIGPIPE for what it still writes.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// process.close_stderr();
    /// process.close_stdin()?;
    /// assert_eq!(process.wait()?, 0);
    /// # Ok(()) }
    /// ```
    pub fn close_stderr(&self) {
        self.streams[2].iter().for_each(StdioStream::close);
    }

    /// Closes all streams. The process is not signalled.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// process.close();
    /// assert_eq!(process.wait()?, 0, "cat has read the end of its input");
    /// # Ok(()) }
    /// ```
    pub fn close(&self) {
        self.streams.iter().flatten().for_each(StdioStream::close);
    }

    /// Writes `input` to the process and ends its standard input, reads all it writes, and waits for its end.
    ///
    /// # Errors
    ///
    /// As [`Process::wait`]; [`Error::Io`] when a stream fails.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// # let process = guest.create_process(&ProcessConfig::new(["cat"]))?;
    /// let output = process.output(b"through")?;
    /// assert_eq!((output.exit_code, output.stdout), (0, b"through".to_vec()));
    /// # Ok(()) }
    /// ```
    pub fn output(&self, input: &[u8]) -> Result<Output> {
        self.output_within(input, Duration::MAX)
    }

    /// As [`Process::output`], for so long. The streams are closed then; the process is not signalled.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] when the process, or its output, has not ended by then; else as [`Process::output`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// # fn example(guest: &mote_host::GuestConnection) -> mote_host::Result<()> { use mote_host::*;
    /// use std::time::Duration;
    /// let sleep = guest.create_process(&ProcessConfig::new(["sleep", "1000"]))?;
    /// let error = sleep.output_within(b"", Duration::from_millis(1)).expect_err("it sleeps");
    /// assert!(error.is_timeout());
    /// assert!(sleep.kill()?);
    /// # Ok(()) }
    /// ```
    pub fn output_within(&self, input: &[u8], limit: Duration) -> Result<Output> {
        let (stdout, stderr) = (Once::new(), Once::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                if let Some(mut stdin) = self.stdin() {
                    // A process that ends early, or never reads, takes less; that is no error of this call.
                    let _ = stdin.write_all(input);
                    let _ = stdin.close_write();
                }
            });
            scope.spawn(|| stdout.set(read_all(self.stdout(), "standard output")));
            scope.spawn(|| stderr.set(read_all(self.stderr(), "standard error")));
            let output = self.collect(&stdout, &stderr, limit);
            // Whatever still blocks one of the threads ends now.
            self.close();
            output
        })
    }

    fn collect(
        &self,
        stdout: &Once<Result<Vec<u8>>>,
        stderr: &Once<Result<Vec<u8>>>,
        limit: Duration,
    ) -> Result<Output> {
        let exit_code = self.wait_timeout(limit)?;
        // The guest ends the output before it reports the exit; what is under way needs a moment.
        let rest = limit.max(OUTPUT_AFTER_EXIT);
        let ended = |stream: &Once<Result<Vec<u8>>>, operation| {
            stream.wait_timeout(rest).unwrap_or(Err(Error::Timeout {
                operation,
                after: rest,
            }))
        };
        Ok(Output {
            exit_code,
            stdout: ended(stdout, "end of standard output")?,
            stderr: ended(stderr, "end of standard error")?,
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.close();
    }
}

fn read_all(stream: Option<StdioStream>, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream
            .read_to_end(&mut bytes)
            .map_err(|error| Error::io(format!("cannot read {name}"), error))?;
    }
    Ok(bytes)
}

/// The real host reads "unknown process" on a wait as "it has ended", with the code 0.
fn exit_code(answer: Result<Answer>) -> Result<u32> {
    match answer {
        Ok(Answer::ExitCode(code)) => Ok(code),
        Ok(other) => unreachable!("the reader decodes what the call expects, not {other:?}"),
        Err(error) if error.hresult() == Some(Hresult::NOT_FOUND) => Ok(0),
        Err(error) => Err(error),
    }
}

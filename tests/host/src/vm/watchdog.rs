//! The process between this one and the VM, which cleans up whatever happens.
//!
//! It is a small shell script because it must outlive this process, and a parent that is not this program: QEMU's and the
//! daemon's ids then stay theirs until the watchdog has waited for them, so that killing by id never hits a stranger.
//! Its leash is a pipe from here. However this process ends, the kernel closes the pipe.

use super::command_line::CommandLine;
use super::launch_error::LaunchError;
use super::tool;
use crate::once::lock;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{env, thread};

/// The daemon's vhost-user socket in the run directory; the script spells it too.
pub(super) const VHOST: &str = "vhost";

/// What the sockets of the guest's connections begin with; the script spells it too.
pub(super) const VSOCK: &str = "vsock";

/// The file in the run directory that names the VMM's process id; the script spells it too.
const VMM_PID: &str = "vmm";

/// What the script says when it has made the run directory.
const READY: &[u8] = b"ready\n";

const SCRIPT: &str = include_str!("watchdog.sh");

/// The daemon's buffer per connection, which is the window it grants the guest. Four times its default: measured four
/// times the throughput.
const TX_BUFFER_BYTES: u32 = 256 * 1024;

/// A Unix socket's path may have 107 bytes; this much is needed behind the run directory.
const LONGEST_RUN_DIRECTORY: usize = 107 - "/vsock_4294967295".len();

/// How long the daemon may take to open its socket.
const DAEMON_START: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

/// The watchdog, as its parent sees it.
#[derive(Debug)]
pub(super) struct Watchdog {
    child: Child,
    pub(super) leash: Arc<Leash>,
}

/// What the watchdog does to QEMU on request; the script spells the words too.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// Stop it as a process.
    Pause,
    /// Let it go on.
    Resume,
}

/// The pipe whose end ends everything.
#[derive(Debug)]
pub(crate) struct Leash {
    pipe: Mutex<Option<ChildStdin>>,
    run_directory: PathBuf,
}

impl Watchdog {
    /// Starts the watchdog and with it the vsock daemon, and makes the run directory.
    pub(super) fn start(
        run_directory: &Path,
        daemon: Option<&Path>,
        command_line: &CommandLine,
    ) -> Result<Self, LaunchError> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "mote-watchdog"])
            .arg(run_directory)
            .arg(daemon.unwrap_or(Path::new("")))
            .arg(TX_BUFFER_BYTES.to_string())
            .arg(tool::find_setpriv().unwrap_or_default())
            .args(&command_line.0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: Ctrl-C at the terminal is for this process alone.
            .process_group(0)
            .spawn()
            .map_err(LaunchError::Watchdog)?;
        let leash = Arc::new(Leash {
            pipe: Mutex::new(child.stdin.take()),
            run_directory: run_directory.to_owned(),
        });
        let mut watchdog = Self { child, leash };
        watchdog.read_first_line()?;
        Ok(watchdog)
    }

    /// Reads what became of the run directory. The watchdog makes it, so that whenever this process ends, who made
    /// it is there to remove it, and so that one that is somebody else's is never removed.
    fn read_first_line(&mut self) -> Result<(), LaunchError> {
        let mut line = Vec::new();
        let stdout = self.child.stdout.as_mut().expect("piped in start");
        // Byte by byte: what follows is the console's.
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            match stdout.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => line.push(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LaunchError::Watchdog(error)),
            }
        }
        if line == READY {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&line);
        Err(LaunchError::RunDirectory {
            path: self.leash.run_directory.clone(),
            words: words.trim().to_owned(),
        })
    }

    pub(super) fn take_stdout(&mut self) -> ChildStdout {
        self.child
            .stdout
            .take()
            .expect("piped in start, taken once by its caller")
    }

    pub(super) fn take_stderr(&mut self) -> ChildStderr {
        self.child
            .stderr
            .take()
            .expect("piped in start, taken once by its caller")
    }

    /// Waits for the watchdog after QEMU has ended. Returns QEMU's exit status, and whether it was this side that let
    /// go first.
    pub(super) fn finish(mut self) -> (Option<i32>, bool) {
        // If the leash is gone already, then it was this side that ended the VM.
        let by_host = self
            .leash
            .tell("ended")
            .is_err_and(|error| error.kind() == io::ErrorKind::NotConnected);
        self.leash.release();
        let status = self.child.wait().ok();
        let killed = status.is_none_or(|status| status.signal().is_some());
        (
            status.filter(|_| !killed).and_then(|status| status.code()),
            by_host,
        )
    }
}

impl Leash {
    /// Says a word to the watchdog; `NotConnected` when this side has let go.
    pub(super) fn tell(&self, word: &str) -> io::Result<()> {
        match &mut *lock(&self.pipe) {
            Some(pipe) => pipe.write_all(format!("{word}\n").as_bytes()),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Gives an order.
    pub(super) fn order(&self, order: Order) -> io::Result<()> {
        self.tell(match order {
            Order::Pause => "pause",
            Order::Resume => "resume",
        })
    }

    /// Returns the VMM's process id.
    pub(super) fn vmm_pid(&self) -> io::Result<u32> {
        let text = fs::read_to_string(self.run_directory.join(VMM_PID))?;
        // Without its line feed it is still being written.
        text.strip_suffix('\n')
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| io::Error::other(format!("{text:?} is not a process id")))
    }

    /// Lets go: everything ends.
    pub(super) fn release(&self) {
        lock(&self.pipe).take();
    }

    pub(super) fn run_directory(&self) -> &Path {
        &self.run_directory
    }
}

/// Returns a name for a run directory nobody else has, short enough for the sockets in it.
pub(super) fn run_directory_name() -> PathBuf {
    let mut random = [0; 8];
    // Without it the name is still ours alone by process id and time, and making it fails rather than being shared.
    let _ = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
    let name = format!(
        "mote-{}-{:016x}",
        std::process::id(),
        u64::from_le_bytes(random)
    );
    let roots = [
        env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from),
        Some(env::temp_dir()),
    ];
    roots
        .into_iter()
        .flatten()
        .filter(|root| root.is_dir())
        .map(|root| root.join(&name))
        .find(|path| path.as_os_str().len() <= LONGEST_RUN_DIRECTORY)
        .unwrap_or_else(|| Path::new("/tmp").join(&name))
}

/// Returns the directory if the sockets in it have names that fit.
pub(super) fn check_length(directory: &Path) -> Result<PathBuf, LaunchError> {
    if directory.as_os_str().len() <= LONGEST_RUN_DIRECTORY {
        return Ok(directory.to_owned());
    }
    Err(LaunchError::RunDirectory {
        path: directory.to_owned(),
        words: format!(
            "a path of more than {LONGEST_RUN_DIRECTORY} bytes leaves no room for its sockets' names"
        ),
    })
}

/// Waits until the daemon listens on its socket. A connection to try it out would be taken for QEMU's.
pub(super) fn wait_for_daemon(run_directory: &Path) -> Result<(), DaemonAbsent> {
    let socket = run_directory.join(VHOST);
    let deadline = Instant::now() + DAEMON_START;
    while !is_listening(&socket) {
        if Instant::now() > deadline {
            return Err(DaemonAbsent);
        }
        thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// The daemon's socket did not come.
#[derive(Debug)]
pub(super) struct DaemonAbsent;

/// Between bind and listen the socket exists and refuses; `/proc/net/unix` knows the difference.
fn is_listening(socket: &Path) -> bool {
    /// `SO_ACCEPTCON` of `struct unix_sock`, the fourth column.
    const ACCEPTS_CONNECTIONS: &str = "00010000";
    if !socket.exists() {
        return false;
    }
    let Ok(table) = fs::read_to_string("/proc/net/unix") else {
        return true;
    };
    let path = socket.to_string_lossy();
    table.lines().any(|line| {
        line.ends_with(&*path) && line.split_ascii_whitespace().nth(3) == Some(ACCEPTS_CONNECTIONS)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_socket_of_a_run_directory_fits_a_socket_address() {
        let path = run_directory_name().join(format!("{VSOCK}_{}", u32::MAX));
        assert!(path.as_os_str().len() <= 107, "{}", path.display());
    }

    #[test]
    fn knows_a_listening_socket_from_a_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("s");
        assert!(!is_listening(&socket));
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        assert!(is_listening(&socket));
        drop(listener);
        assert!(!is_listening(&socket));
    }
}

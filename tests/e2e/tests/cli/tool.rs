//! `mote` with directories of its own, and what it must not leave there.

use e2e::{DEADLINE, LOOK_AGAIN, busybox_disk, image, mote};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Instant;
use tempfile::TempDir;

/// A user's place for VMs and converted images. All VMs in it end with it.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for name in ["run", "cache"] {
            fs::create_dir(directory.path().join(name)).expect("new");
        }
        Self { directory }
    }

    /// Returns a path in a directory that goes with this.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Returns where the named VMs are.
    pub(crate) fn vms(&self) -> PathBuf {
        self.path("run/mote")
    }

    /// Returns a command with these words.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(mote());
        command
            .args(args)
            .env("MOTE_KERNEL", image())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("mote starts")
    }

    /// Runs a command to its end, with this input.
    pub(crate) fn fed(&self, args: &[&str], input: &[u8]) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .spawn()
            .expect("mote starts");
        let mut stdin = child.stdin.take().expect("piped");
        thread::scope(|scope| {
            scope.spawn(move || {
                // A program that does not read its input is no error.
                let _ = stdin.write_all(input);
            });
            child.wait_with_output().expect("ends")
        })
    }

    /// Runs a command that must succeed and returns what it prints.
    #[track_caller]
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "mote {args:?}: {output:?}");
        text(&output.stdout)
    }

    /// Runs a command that must succeed and print JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(args);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("mote {args:?}: {error}: {text}"))
    }

    /// Runs a command that must fail with this exit code and these words.
    #[track_caller]
    pub(crate) fn fails(&self, args: &[&str], code: i32, words: &[&str]) {
        fails(&self.output(args), code, words);
    }

    /// Starts a VM with busybox on its disk.
    #[track_caller]
    pub(crate) fn up(&self, name: &str, more: &[&str]) {
        let disk = busybox_disk().to_string_lossy();
        self.ok(&[&["up", name, "--disk", &disk], more].concat());
    }

    /// Checks that no VM is left: no directory, no process.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        let root = self.path("run");
        let start = Instant::now();
        loop {
            let vms = entries(&self.vms());
            let runs: Vec<_> = entries(&root)
                .into_iter()
                .filter(|name| name != "mote")
                .collect();
            let process = process_of(&[&root.to_string_lossy()]);
            if vms.is_empty() && runs.is_empty() && process.is_none() {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "left behind: {vms:?}, {runs:?}, process {process:?}"
            );
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that failed has said so; this is for the machine it runs on.
        let _ = self.output(&["down", "--all", "--force"]);
    }
}

fn entries(directory: &Path) -> Vec<String> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Returns a process whose command line contains all of these.
pub(crate) fn process_of(parts: &[&str]) -> Option<i32> {
    fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .find(|pid| {
            // A process that has just gone has no command line.
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            parts.iter().all(|part| line.contains(part))
        })
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks an exit code and the words on standard error.
#[track_caller]
pub(crate) fn fails(output: &Output, code: i32, words: &[&str]) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let error = text(&output.stderr);
    for word in words {
        assert!(error.contains(word), "{word:?} is missing in: {error}");
    }
}

/// Waits until something holds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "it never came true that {what}");
        thread::sleep(LOOK_AGAIN);
    }
}

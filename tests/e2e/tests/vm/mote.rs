//! The command `mote`, as a process of its own: exit codes, streams, signals, and nothing left behind.

use e2e::{DEADLINE, LOOK_AGAIN, busybox_disk, host_busybox, image, mote, wait, words};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A `mote run` with a directory of its own for what it makes.
struct Run {
    command: Command,
    directory: TempDir,
}

impl Run {
    fn new<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(mote());
        command
            .arg("run")
            .args(args)
            .env("MOTE_KERNEL", image())
            .env("XDG_RUNTIME_DIR", directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self { command, directory }
    }

    /// Runs to the end, with this input.
    fn output(mut self, input: &[u8]) -> Output {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .spawn()
            .expect("mote starts");
        let mut stdin = child.stdin.take().expect("piped");
        let mut stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = thread::scope(|scope| {
            scope.spawn(move || {
                // A program that does not read its input is no error.
                let _ = stdin.write_all(input);
            });
            scope.spawn(|| stdout.read_to_end(&mut out).expect("readable"));
            scope.spawn(|| stderr.read_to_end(&mut err).expect("readable"));
            wait(&mut child)
        });
        self.assert_nothing_left();
        Output {
            status,
            stdout: out,
            stderr: err,
        }
    }

    /// Checks that no process and no file of this run is left.
    fn assert_nothing_left(&self) {
        let directory = self.directory.path();
        let start = Instant::now();
        loop {
            let files = fs::read_dir(directory).expect("readable").count();
            let process = find_process(&[&directory.to_string_lossy()]);
            if files == 0 && process.is_none() {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "left behind: {files} files in {}, process {process:?}",
                directory.display()
            );
            thread::sleep(LOOK_AGAIN);
        }
    }
}

/// Returns a process whose command line contains all of these.
pub(crate) fn find_process(parts: &[&str]) -> Option<Pid> {
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
        .and_then(Pid::from_raw)
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or_else(|| panic!("{output:?}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Returns the words behind `mote run` for a program on the disk with busybox.
fn args(options: &[&str], program: &[&str]) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec!["--disk".into(), busybox_disk().into()];
    all.extend(options.iter().map(Into::into));
    all.push("--".into());
    all.extend(program.iter().map(Into::into));
    all
}

#[test]
fn exits_with_the_programs_code_and_passes_its_streams() {
    let output = Run::new(args(
        &[],
        &[
            "sh",
            "-c",
            "read line; echo $line; echo to-stderr >&2; exit 7",
        ],
    ))
    .output(b"through\n");
    assert_eq!(code(&output), 7, "{output:?}");
    assert_eq!(text(&output.stdout), "through\n");
    assert_eq!(text(&output.stderr), "to-stderr\n");
}

#[test]
fn runs_the_hosts_busybox_without_any_disk() {
    for machine in ["microvm", "q35"] {
        let output = Run::new(["--machine", machine, "--", "uname", "-s"]).output(b"");
        assert_eq!(
            (code(&output), text(&output.stdout).as_str()),
            (0, "Linux\n"),
            "{output:?}"
        );
    }
}

#[test]
fn a_user_by_name_is_looked_up_where_the_root_is_an_initrd_too() {
    for (user, ids) in [
        ("nobody", "65534 65534\n"),
        ("nobody:root", "65534 0\n"),
        ("7:nogroup", "7 65534\n"),
        ("7", "7 0\n"),
    ] {
        let script = "echo $(id -u) $(id -g)";
        let output = Run::new(["--user", user, "--", "sh", "-c", script]).output(b"");
        assert_eq!(text(&output.stdout), ids, "{user}: {output:?}");
    }
    let output = Run::new(["--user", "somebody", "--", "true"]).output(b"");
    assert_eq!(code(&output), 125, "{output:?}");
    assert!(text(&output.stderr).contains("somebody"), "{output:?}");
}

#[test]
fn environment_and_directory_are_passed_on() {
    let options = ["--env", "A=1", "--env", "B=two words", "--cwd", "/data"];
    let output = Run::new(args(&options, &["sh", "-c", "echo $A, $B, $PWD"])).output(b"");
    assert_eq!(text(&output.stdout), "1, two words, /data\n", "{output:?}");
}

#[test]
fn runs_a_program_as_a_container() {
    let output = Run::new(args(
        &["--container"],
        &["sh", "-c", "read line; echo $line; exit 3"],
    ))
    .output(b"in a container\n");
    assert_eq!(code(&output), 3, "{output:?}");
    assert_eq!(text(&output.stdout), "in a container\n");
}

#[test]
fn a_program_that_does_not_exist_is_127_and_one_that_cannot_run_126() {
    for container in [&[][..], &["--container"]] {
        let output = Run::new(args(container, &["no-such-program"])).output(b"");
        assert_eq!(code(&output), 127, "{output:?}");
        assert!(
            text(&output.stderr).contains("no-such-program"),
            "{output:?}"
        );
        let output = Run::new(args(container, &["/data/numbers"])).output(b"");
        assert_eq!(code(&output), 126, "{output:?}");
    }
}

#[test]
fn a_program_killed_by_a_signal_is_128_and_the_signal() {
    let output = Run::new(args(&[], &["/programs/fault"])).output(b"");
    let list = text(&output.stdout);
    let (name, expected) = list
        .lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let name = words.next()?.to_owned();
            Some((name, words.next()?.parse::<i32>().ok()?))
        })
        .expect("a fault");
    let output = Run::new(args(&[], &["/programs/fault", &name])).output(b"");
    assert_eq!(code(&output), expected);
}

#[test]
fn a_vm_that_cannot_be_launched_is_125_and_says_what_to_do() {
    let busybox = host_busybox().0.to_string_lossy().into_owned();
    for (options, word) in [
        (&["--kernel", "/no/such/kernel"][..], "/no/such/kernel"),
        (&["--kernel", &busybox], "PVH"),
        (&["--disk", "/no/such/disk"], "/no/such/disk"),
        (&["--initrd", "/no/such/initrd"], "/no/such/initrd"),
        (&["--memory", "0"], "--memory"),
        (&["--no-such-option"], "--no-such-option"),
        (&["--env", "=no-name"], "NAME=VALUE"),
        (&["--timeout", "soon"], "seconds"),
    ] {
        let output = Run::new(options.iter().copied().chain(["--", "true"])).output(b"");
        assert_eq!(code(&output), 125, "{options:?}: {output:?}");
        assert!(
            text(&output.stderr).contains(word),
            "{options:?}: {output:?}"
        );
    }
    let output = {
        let mut run = Run::new(["--", "true"]);
        run.command.env("MOTE_QEMU", "/no/such/qemu");
        run.output(b"")
    };
    assert_eq!(code(&output), 125);
    assert!(text(&output.stderr).contains("/no/such/qemu"), "{output:?}");
}

#[test]
fn a_program_that_outlives_its_time_is_124() {
    let output = Run::new(args(&["--timeout", "0.5"], &["sleep", "1000"])).output(b"");
    assert_eq!(code(&output), 124, "{output:?}");
    let output = Run::new(args(&["--timeout", "0.5"], &["/programs/spin"])).output(b"");
    assert_eq!(code(&output), 124, "{output:?}");
}

#[test]
fn megabytes_pass_both_ways() {
    let input: Vec<u8> = (0..4_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let output = Run::new(args(&[], &["cat"])).output(&input);
    assert_eq!(code(&output), 0);
    assert!(output.stdout == input, "{} bytes", output.stdout.len());
}

#[test]
fn output_that_nobody_reads_ends_the_program() {
    let mut run = Run::new(args(&[], &["/programs/writer", "1000"]));
    let mut child = run.command.spawn().expect("mote starts");
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 1000]).expect("it writes");
    drop(stdout);
    let status = wait(&mut child);
    assert!(!status.success(), "{status}");
    run.assert_nothing_left();
}

/// Starts a program that says when it runs, and reads that. It runs until it is ended: its input stays open.
fn running(before: &str, after: &str) -> (Run, Child, BufReader<std::process::ChildStdout>) {
    let script = format!("{before} echo running; {after}");
    let mut run = Run::new(args(&[], &["sh", "-c", &script]));
    run.command.stdin(Stdio::piped());
    let mut child = run.command.spawn().expect("mote starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("readable");
    if line != "running\n" {
        panic!("{line:?}, {}", words(&mut child));
    }
    (run, child, stdout)
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("it is ours");
}

#[test]
fn an_interrupt_is_passed_on_to_the_program() {
    for (sent, number) in [(Signal::INT, 2), (Signal::TERM, 15)] {
        let mut run = Run::new(args(&[], &["cat"]));
        run.command.stdin(Stdio::piped());
        let mut child = run.command.spawn().expect("mote starts");
        // What comes back says that it runs. A shell would not do: one that is between two commands only notes an
        // interrupt.
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(b"running\n").expect("taken");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("readable");
        assert_eq!(line, "running\n");
        signal(&child, sent);
        assert_eq!(wait(&mut child).code(), Some(128 + number));
        drop(stdin);
        run.assert_nothing_left();
    }
}

/// Interrupts until this process has ended. Two of the same kind that are both outstanding count once.
fn interrupt_until_ended(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    while child.try_wait().expect("ours").is_none() && start.elapsed() < DEADLINE {
        signal(child, Signal::INT);
        thread::sleep(LOOK_AGAIN * 10);
    }
    wait(child).code()
}

#[test]
fn a_second_interrupt_kills_a_program_that_ignores_the_first() {
    let (run, mut child, _stdout) = running("trap '' INT;", "while :; do :; done");
    // Killed by the second one; or the third one came before its end.
    assert!(matches!(interrupt_until_ended(&mut child), Some(137 | 130)));
    run.assert_nothing_left();
}

#[test]
fn a_third_interrupt_ends_a_vm_that_does_not_answer_and_counts_as_the_users() {
    for _ in 0..3 {
        let (run, mut child, _stdout) = running("", "read line");
        let directory = run.directory.path().to_string_lossy().into_owned();
        kill_process(qemu_of(&directory), Signal::STOP).expect("ours");
        assert_eq!(interrupt_until_ended(&mut child), Some(130));
        let words = words(&mut child);
        assert_eq!(words, "mote: interrupted; ending the VM\n");
        run.assert_nothing_left();
    }
}

#[test]
fn a_program_whose_time_is_over_is_ended_with_its_vm_when_that_does_not_answer() {
    let mut run = Run::new(args(
        &["--timeout", "3"],
        &["sh", "-c", "echo running; read line"],
    ));
    run.command.stdin(Stdio::piped());
    let mut child = run.command.spawn().expect("mote starts");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    stdout.read_line(&mut line).expect("readable");
    assert_eq!(line, "running\n");
    kill_process(
        qemu_of(&run.directory.path().to_string_lossy()),
        Signal::STOP,
    )
    .expect("ours");
    assert_eq!(wait(&mut child).code(), Some(124));
    run.assert_nothing_left();
}

#[test]
fn nothing_is_left_when_mote_is_killed_while_a_program_runs() {
    let (run, mut child, _stdout) = running("", "read line");
    signal(&child, Signal::KILL);
    wait(&mut child);
    run.assert_nothing_left();
}

#[test]
fn nothing_is_left_when_mote_is_killed_at_any_moment_of_its_start() {
    for moment in 0..25 {
        let mut run = Run::new(args(&[], &["sleep", "1000"]));
        let mut child = run.command.spawn().expect("mote starts");
        thread::sleep(Duration::from_millis(2 * moment));
        signal(&child, Signal::KILL);
        wait(&mut child);
        run.assert_nothing_left();
    }
}

#[test]
fn nothing_is_left_when_the_watchdog_is_killed() {
    let (run, mut child, _stdout) = running("", "read line");
    let watchdog =
        find_process(&["mote-watchdog", &run.directory.path().to_string_lossy()]).expect("it runs");
    kill_process(watchdog, Signal::KILL).expect("ours");
    assert_eq!(wait(&mut child).code(), Some(125));
    run.assert_nothing_left();
}

#[test]
fn a_vm_killed_outside_is_125_and_says_so() {
    let (run, mut child, _stdout) = running("", "read line");
    let directory = run.directory.path().to_string_lossy().into_owned();
    let vmm = qemu_of(&directory);
    kill_process(vmm, Signal::KILL).expect("ours");
    assert_eq!(wait(&mut child).code(), Some(125));
    let words = words(&mut child);
    assert!(words.contains("signal 9"), "{words}");
    run.assert_nothing_left();
}

/// Returns QEMU itself, not the watchdog that has its command line too.
pub(crate) fn qemu_of(directory: &str) -> Pid {
    fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .find(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let program = line.split('\0').next().unwrap_or("");
            Path::new(program).file_name() == Some(OsStr::new("qemu-system-x86_64"))
                && line.contains(directory)
        })
        .and_then(Pid::from_raw)
        .expect("QEMU runs")
}

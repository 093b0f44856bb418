//! `-t` and `top`: a person at a terminal, played through a pty.

use crate::tool::Place;
use e2e::{DEADLINE, LOOK_AGAIN, busybox_disk, wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A command at a terminal of its own.
struct Session {
    master: File,
    terminal: File,
    child: Child,
    /// What has come and was not yet looked for.
    screen: String,
}

impl Session {
    fn start(place: &Place, args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty");
        grantpt(&master).expect("ours");
        unlockpt(&master).expect("ours");
        let name = ptsname(&master, Vec::new()).expect("it has one");
        let terminal = OpenOptions::new()
            .read(true)
            .write(true)
            .open(OsStr::from_bytes(name.as_bytes()))
            .expect("unlocked");
        let stdio = || Stdio::from(terminal.try_clone().expect("duplicated"));
        let mote = place.command([] as [&str; 0]);
        // It makes the pty the terminal of a session of its own, as a terminal window does.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(mote.get_program());
        for (name, value) in mote.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let child = command
            .args(args)
            .env("TERM", "xterm")
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("util-linux is installed");
        let session = Self {
            master: master.into(),
            terminal,
            child,
            screen: String::new(),
        };
        session.resize(80, 24);
        session
    }

    fn resize(&self, columns: u16, rows: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.master, size).expect("a terminal");
    }

    fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("taken");
    }

    /// Reads until this has come; returns what came before it, and it.
    #[track_caller]
    fn expect(&mut self, wanted: &str) -> String {
        let start = Instant::now();
        loop {
            if let Some(at) = self.screen.find(wanted) {
                let rest = self.screen.split_off(at + wanted.len());
                return std::mem::replace(&mut self.screen, rest);
            }
            assert!(
                start.elapsed() < DEADLINE,
                "{wanted:?} did not come; there is {:?}",
                self.screen
            );
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            let limit = Timespec::try_from(LOOK_AGAIN * 10).expect("short");
            if poll(&mut fds, Some(&limit)).expect("ours") > 0 {
                let mut bytes = [0; 4096];
                let count = self
                    .master
                    .read(&mut bytes)
                    .expect("the other end is held open");
                self.screen
                    .push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        }
    }

    /// Waits for the command's end; the terminal must be as it was.
    #[track_caller]
    fn end(mut self) -> Option<i32> {
        let code = wait(&mut self.child).code();
        let modes = tcgetattr(&self.terminal).expect("a terminal").local_modes;
        assert!(
            modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG),
            "the terminal was not given back: {modes:?}"
        );
        code
    }
}

/// What busybox's shell asks with when it waits for a line: it wants to know where the cursor is.
const PROMPT: &str = "# \x1b[6n";

#[test]
fn an_interactive_shell_edits_lines_interrupts_stops_and_goes_on() {
    let place = Place::new();
    let disk = busybox_disk().to_string_lossy();
    let mut shell = Session::start(&place, &["run", "-it", "--disk", &disk, "--", "sh"]);
    shell.expect(PROMPT);
    // A typing mistake taken back, and a letter put in the middle.
    shell.type_in("echo wromg\x7f\x7fng\r");
    shell.expect("\nwrong");
    shell.expect(PROMPT);
    shell.type_in("echo mddle\x1b[D\x1b[D\x1b[D\x1b[Di\r");
    shell.expect("\nmiddle");
    shell.expect(PROMPT);
    // The shell forgets what is typed before it runs a command, and ^C is its own until a program has the terminal: what
    // comes back says so.
    shell.type_in("echo re''ady; cat\r");
    shell.expect("\nready");
    shell.type_in("to be interrupted\r");
    shell.expect("to be interrupted\r\nto be interrupted");
    shell.type_in("\x03");
    shell.expect(PROMPT);
    shell.type_in("echo re''ady; cat\r");
    shell.expect("\nready");
    shell.type_in("line to cat\r");
    shell.expect("line to cat\r\nline to cat");
    shell.type_in("\x1a");
    shell.expect("Stopped");
    shell.expect(PROMPT);
    shell.type_in("fg\r");
    shell.expect("cat\r\n");
    shell.type_in("again\r");
    shell.expect("again\r\nagain");
    shell.type_in("\x04");
    shell.expect(PROMPT);
    shell.type_in("stty size\r");
    shell.expect("24 80");
    shell.expect(PROMPT);
    shell.resize(120, 40);
    // The new size goes its way by signal and message; the shell is asked until it has come.
    let start = Instant::now();
    loop {
        shell.type_in("stty size\r");
        if shell.expect(PROMPT).contains("40 120") {
            break;
        }
        assert!(
            start.elapsed() < DEADLINE,
            "the window's size does not follow"
        );
    }
    shell.type_in("exit 3\r");
    assert_eq!(shell.end(), Some(3));
    place.assert_nothing_left();
}

#[test]
fn a_full_screen_editor_draws_redraws_and_writes() {
    let place = Place::new();
    place.up("box", &[]);
    let mut editor = Session::start(
        &place,
        &[
            "exec",
            "-it",
            "box",
            "--",
            "/bin/busybox",
            "vi",
            "/tmp/note",
        ],
    );
    // It clears the screen and marks lines that are not there.
    editor.expect("~");
    editor.type_in("ifirst line\rsecond line\x1b");
    editor.expect("second line");
    editor.type_in("1Gx");
    editor.type_in(":wq\r");
    assert_eq!(editor.end(), Some(0));
    assert_eq!(
        place.ok(&["exec", "box", "--", "cat", "/tmp/note"]),
        "irst line\nsecond line\n"
    );
}

#[test]
fn the_escape_key_gives_up_on_a_program_that_does_not_answer() {
    let place = Place::new();
    place.up("box", &[]);
    let script = "stty raw -echo; echo deaf; while :; do :; done";
    let mut deaf = Session::start(&place, &["exec", "-t", "box", "--", "sh", "-c", script]);
    deaf.expect("deaf");
    deaf.type_in("\x03\x03\x03");
    deaf.type_in("\x1d\x1d\x1d");
    deaf.expect("interrupted");
    assert_eq!(deaf.end(), Some(129));
}

#[test]
fn top_shows_vms_and_processes_on_eighty_columns_until_q() {
    let place = Place::new();
    place.up("box", &["--", "sh", "-c", "while :; do :; done"]);
    let mut top = Session::start(&place, &["top"]);
    let first = top.expect("while :; do :; done");
    assert!(
        first.contains("\x1b[?1049h"),
        "the second screen: {first:?}"
    );
    for head in ["mote top: 1 VMs", "NAME", "RESIDENT", "PID", "COMMAND"] {
        assert!(first.contains(head), "{head} is missing in {first:?}");
    }
    for line in first.split("\r\n") {
        let shown: String = strip(line);
        assert!(shown.chars().count() <= 80, "{shown:?}");
    }
    top.type_in("q");
    top.expect("\x1b[?1049l");
    assert_eq!(top.end(), Some(0));
}

/// Takes the terminal's commands out of a line.
fn strip(line: &str) -> String {
    let mut shown = String::new();
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' => {
                letters.find(|letter| letter.is_ascii_alphabetic());
            }
            letter => shown.push(letter),
        }
    }
    shown
}

#[test]
fn a_terminal_that_is_none_is_refused_with_the_next_step() {
    let place = Place::new();
    place.up("box", &[]);
    place.fails(
        &["exec", "-t", "box", "--", "sh"],
        125,
        &["standard input is none", "leave out -t"],
    );
    let disk = busybox_disk().to_string_lossy();
    place.fails(
        &["run", "-t", "--disk", &disk, "--", "sh"],
        125,
        &["leave out -t"],
    );
}

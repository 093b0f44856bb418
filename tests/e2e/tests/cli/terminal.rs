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

fn window(columns: u16, rows: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

impl Session {
    fn start(place: &Place, args: &[&str]) -> Self {
        Self::start_with(place, args, &[])
    }

    /// As [`Session::start`], with these environment variables.
    fn start_with(place: &Place, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let master = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pty"));
        // Before the program can ask for it.
        tcsetwinsize(&master, window(80, 24)).expect("a terminal");
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
            .envs(environment.iter().copied())
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("util-linux is installed");
        Self {
            master,
            terminal,
            child,
            screen: String::new(),
        }
    }

    fn resize(&self, columns: u16, rows: u16) {
        tcsetwinsize(&self.master, window(columns, rows)).expect("a terminal");
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

    /// Reads all that comes until the command's end.
    fn transcript(mut self) -> (String, Option<i32>) {
        let mut all = std::mem::take(&mut self.screen).into_bytes();
        let mut has_ended = false;
        loop {
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            let limit = Timespec::try_from(LOOK_AGAIN).expect("short");
            if poll(&mut fds, Some(&limit)).expect("ours") > 0 {
                let mut bytes = [0; 4096];
                let count = self.master.read(&mut bytes).expect("held open");
                all.extend_from_slice(&bytes[..count]);
            } else if has_ended {
                // Not piece by piece: a letter may be in two.
                return (String::from_utf8_lossy(&all).into_owned(), self.end());
            } else {
                // What it wrote is there when it has ended, and is read once more then.
                has_ended = self.child.try_wait().expect("ours").is_some();
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
    editor.expect("irst line");
    // A larger window has its last line further down, where the editor shows what it is about.
    editor.resize(100, 40);
    editor.expect("\x1b[40;1H");
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

#[test]
fn what_commands_print_fits_eighty_columns() {
    let place = Place::new();
    let program = "echo a very long line of words that nobody can read; while :; do sleep 1; done";
    place.up("box", &["--", "sh", "-c", program]);
    place.up("a-name-of-all-thirty-two-letters", &[]);
    place.ok(&[
        "exec",
        "box",
        "--",
        "sh",
        "-c",
        "echo done # and a comment that makes the line long enough",
    ]);
    let image = place.path("layer.ext4").to_string_lossy().into_owned();
    let absent = format!("/no/such/{}", "directory/".repeat(6));
    for (args, code) in [
        (&["--help"][..], 0),
        (&["run", "--help"], 0),
        (&["ls"], 0),
        (&["ps", "box"], 0),
        (&["ps", "--all", "box"], 0),
        (&["stats"], 0),
        (&["layer", "src", "-o", &image], 0),
        (&["exec", "box", "--", "no-such-program"], 127),
        (&["exec", "box", "--", "/bin"], 126),
        (&["up", "box"], 125),
        (&["wait", "nobody"], 125),
        (&["run", "--disk", &absent, "--", "true"], 125),
        (&["run", "--kernel", "/bin/busybox", "--", "true"], 125),
    ] {
        let (text, ended) = Session::start(&place, args).transcript();
        assert_eq!(ended, Some(code), "{args:?}: {text}");
        for line in text.split(['\n', '\r']) {
            let shown = strip(line);
            // What cannot be broken: a path, and the VMM's own words.
            let is_ours = !shown.contains(&absent) && !shown.starts_with("  |");
            assert!(
                !is_ours || shown.chars().count() <= 80,
                "{args:?}: {shown:?}"
            );
        }
    }
}

#[test]
fn colours_are_for_terminals_and_for_those_who_want_them() {
    let place = Place::new();
    for (environment, has_colours) in [
        (&[][..], true),
        (&[("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "")], true),
        (&[("TERM", "dumb")], false),
    ] {
        for args in [&["ls"][..], &["wait", "nobody"]] {
            let (text, _) = Session::start_with(&place, args, environment).transcript();
            assert_eq!(
                text.contains("\x1b["),
                has_colours,
                "{environment:?} {text:?}"
            );
        }
    }
}

#[test]
fn what_takes_longer_than_a_second_says_so_on_a_terminal() {
    let place = Place::new();
    // As in `fault`: a guest that never dials.
    let slow = ["run", "--memory", "2", "--boot-timeout", "3", "--", "true"];
    let (text, code) = Session::start(&place, &slow).transcript();
    assert_eq!(code, Some(125));
    assert!(text.contains("starting the VM"), "{text:?}");
    let (_, last) = text.rsplit_once("\x1b[2K").expect("the sign goes again");
    assert!(last.contains("mote:"), "{text:?}");
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

//! Terminals over vsock: what a person types, sees and resizes.

use e2e::{Bed, DEADLINE, MACHINES, busybox_disk, config, debian_disk};
use mote_host::{ContainerConfig, Hresult, Machine, Process, ProcessConfig, StdioStream};
use std::io::{Read, Write};
use std::time::Duration;

/// A person at a terminal.
pub(crate) struct Person {
    process: Process,
    keyboard: StdioStream,
    screen: StdioStream,
    seen: Vec<u8>,
}

impl Person {
    pub(crate) fn at(process: Process) -> Self {
        Self {
            keyboard: process.stdin().expect("asked for"),
            screen: process.stdout().expect("asked for"),
            process,
            seen: Vec::new(),
        }
    }

    #[track_caller]
    fn sits(bed: &Bed, args: &[&str]) -> Self {
        let config = ProcessConfig::new(args.iter().copied()).terminal();
        Self::at(bed.guest.create_process(&config).expect("runs"))
    }

    #[track_caller]
    pub(crate) fn types(&mut self, bytes: &[u8]) {
        self.keyboard.write_all(bytes).expect("taken");
    }

    /// Looks at the screen until these bytes stand at its end, and wipes it.
    #[track_caller]
    fn sees(&mut self, bytes: &[u8]) {
        self.looks(bytes, |seen| seen.ends_with(bytes).then_some(seen.len()));
    }

    /// Looks at the screen until these bytes stand somewhere on it, and wipes it up to there: what is behind them may have come
    /// with them.
    #[track_caller]
    pub(crate) fn sees_somewhere(&mut self, bytes: &[u8]) {
        self.looks(bytes, |seen| {
            let mut places = 0..=seen.len();
            let start = places.find(|&start| seen[start..].starts_with(bytes));
            start.map(|start| start + bytes.len())
        });
    }

    /// Looks at the screen until `end` tells where it is to be wiped up to.
    #[track_caller]
    fn looks(&mut self, bytes: &[u8], end: impl Fn(&[u8]) -> Option<usize>) {
        let end = loop {
            if let Some(end) = end(&self.seen) {
                break end;
            }
            let mut piece = [0; 4096];
            match self.screen.read(&mut piece) {
                Ok(count @ 1..) => self.seen.extend_from_slice(&piece[..count]),
                other => panic!(
                    "{other:?} instead of \"{}\" behind \"{}\"",
                    bytes.escape_ascii(),
                    self.seen[self.seen.len().saturating_sub(500)..].escape_ascii()
                ),
            }
        };
        self.seen.drain(..end);
    }

    /// Waits until the screen goes dark; returns the exit code.
    #[track_caller]
    pub(crate) fn leaves(mut self) -> u32 {
        self.screen.read_to_end(&mut self.seen).expect("read");
        self.process.wait_timeout(DEADLINE).expect("it ends")
    }

    /// Looks at the screen until it goes dark; returns the exit code.
    #[track_caller]
    fn sees_the_end(&mut self, bytes: &[u8]) -> u32 {
        self.screen.read_to_end(&mut self.seen).expect("read");
        assert_eq!(
            self.seen.escape_ascii().to_string(),
            bytes.escape_ascii().to_string()
        );
        self.process.wait_timeout(DEADLINE).expect("it ends")
    }
}

#[test]
fn what_is_typed_is_seen_and_read_on_every_machine() {
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(busybox_disk()));
        let mut person = Person::sits(&bed, &["/bin/busybox", "cat"]);
        person.types(b"hello\r");
        person.sees(b"hello\r\nhello\r\n");
        person.types(b"\x04");
        assert_eq!(person.sees_the_end(b""), 0);
    }
}

#[test]
fn a_line_can_be_edited_before_it_is_read() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/bin/busybox", "cat"]);
    person.types(b"ax\x7fb\r");
    person.sees(b"ax\x08 \x08b\r\nab\r\n");
    person.types(b"gone\x15kept\r");
    person.sees(b"kept\r\nkept\r\n");
    person.types(b"two words\x17one\r");
    person.sees(b"one\r\ntwo one\r\n");
    person.types(b"\x16\x03\r");
    person.sees(b"^\x08^C\r\n\x03\r\n");
}

#[test]
fn a_job_of_bash_is_stopped_by_a_key_and_brought_back_to_the_front() {
    let bed = Bed::boot(config(Machine::Microvm).disk(debian_disk()).memory_mib(128));
    let bash = ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"];
    let config = ProcessConfig::new(bash).terminal().env("PS1", "$ ");
    let mut person = Person::at(bed.guest.create_process(&config).expect("runs"));
    person.sees(b"$ ");
    person.types(b"cat\rwhat\r");
    person.sees(b"cat\r\nwhat\r\nwhat\r\n");
    person.types(b"\x1a");
    person.sees(b"^Z\r\n[1]+  Stopped                 cat\r\n$ ");
    person.types(b"sleep 1000 &\r");
    person.sees(b"\r\n$ ");
    person.types(b"jobs\r");
    person.sees(
        b"jobs\r\n[1]+  Stopped                 cat\r\n[2]-  Running                 sleep 1000 &\r\n$ ",
    );
    // In the background it may not read the terminal, and stops again.
    person.types(b"bg; until jobs -s %1 | grep -q Stopped; do :; done\r");
    person.sees(b"\r\n[1]+  Stopped                 cat\r\n$ ");
    person.types(b"fg %1\r");
    person.sees(b"fg %1\r\ncat\r\n");
    person.types(b"on\r");
    person.sees(b"on\r\non\r\n");
    person.types(b"\x03");
    person.sees(b"^C\r\n$ ");
    person.types(b"echo $?; kill %2; wait; exit 3\r");
    person.sees_somewhere(b"\r\n130\r\n");
    person.screen.read_to_end(&mut person.seen).expect("read");
    assert_eq!(person.process.wait_timeout(DEADLINE).expect("ends"), 3);
}

#[test]
fn an_interrupt_kills_what_is_in_the_foreground() {
    let bed = Bed::busybox();
    for (key, echo, signal) in [(b"\x03", &b"^C"[..], 2), (b"\x1c", b"^\\", 3)] {
        let mut person = Person::sits(&bed, &["/bin/busybox", "sleep", "1000"]);
        person.types(key);
        assert_eq!(person.sees_the_end(echo), 128 + signal);
    }
}

#[test]
fn a_spinning_program_is_interrupted() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/programs/spin"]);
    person.types(b"\x03");
    assert_eq!(person.sees_the_end(b"^C"), 128 + 2);
}

#[test]
fn a_flood_of_output_is_interrupted() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/bin/busybox", "yes"]);
    person.sees(b"y\r\ny\r\n");
    person.types(b"\x03");
    let mut rest = Vec::new();
    person.screen.read_to_end(&mut rest).expect("it ends");
    assert!(rest.ends_with(b"^C"), "the interrupt is seen");
    let code = person.process.wait_timeout(DEADLINE).expect("it ends");
    assert_eq!(code, 128 + 2);
}

#[test]
fn a_stop_key_does_nothing_to_a_program_nobody_could_let_go_on() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/bin/busybox", "cat"]);
    person.types(b"\x1aon\r");
    person.sees(b"^Zon\r\non\r\n");
}

#[test]
fn output_stops_and_goes_on() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/bin/busybox", "cat"]);
    person.types(b"\x13held\r\x11");
    person.sees(b"held\r\nheld\r\n");
}

#[test]
fn programs_know_that_they_have_a_terminal_and_which() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/bin/busybox", "tty"]);
    assert_eq!(person.sees_the_end(b"/dev/pts/0\r\n"), 0);
    let mut person = Person::sits(&bed, &["/bin/busybox", "ls", "/dev/pts"]);
    assert_eq!(person.sees_the_end(b"0\r\n"), 0);
    let mut person = Person::sits(&bed, &["/bin/busybox", "readlink", "/proc/self/fd/2"]);
    assert_eq!(person.sees_the_end(b"/dev/pts/0\r\n"), 0);
    let mut person = Person::sits(&bed, &["/bin/busybox", "cat", "/dev/tty"]);
    person.types(b"own\r\x04");
    assert_eq!(person.sees_the_end(b"own\r\nown\r\n"), 0);
    assert_eq!(bed.output(&["/bin/busybox", "tty"]).exit_code, 1);
    let none = bed.output(&["/bin/busybox", "cat", "/dev/tty"]);
    assert_eq!(none.exit_code, 1, "no terminal, no /dev/tty");
    let names = bed.output(&["/bin/busybox", "ls", "/dev/pts"]);
    assert_eq!(names.stdout, b"", "terminals go with their processes");
}

#[test]
fn the_window_has_the_size_it_was_given() {
    let bed = Bed::busybox();
    let size = ["/bin/busybox", "stty", "size"];
    let config = ProcessConfig::new(size).terminal().console_size(100, 30);
    let mut person = Person::at(bed.guest.create_process(&config).expect("runs"));
    assert_eq!(person.sees_the_end(b"30 100\r\n"), 0);
}

#[test]
fn a_shell_edits_its_lines_and_sees_the_window_change() {
    let bed = Bed::busybox();
    let config = ProcessConfig::new(["/bin/busybox", "sh", "-i"])
        .env("PS1", "ready> ")
        .env("TERM", "dumb")
        .terminal();
    let mut person = Person::at(bed.guest.create_process(&config).expect("runs"));
    // The shell asks where the cursor is, and does without an answer.
    person.sees(b"ready> \x1b[6n");
    person.types(b"echo wrong\x7f\x7f\x7f\x7f\x7fright\r");
    person.sees(b"right\r\nright\r\nready> \x1b[6n");
    // It draws its line again.
    person.process.resize_console(132, 43).expect("resized");
    person.sees(b"\rready> \x1b[J");
    person.types(b"exit 3\r");
    assert_eq!(person.sees_the_end(b"exit 3\r\n"), 3);
}

/// A shell that asks for nothing: no editing of its own, so that the terminal's is seen.
#[track_caller]
fn shell(bed: &Bed) -> Person {
    let config = ProcessConfig::new(["/bin/busybox", "sh", "-i"])
        .env("PS1", "$ ")
        .terminal();
    let mut person = Person::at(bed.guest.create_process(&config).expect("runs"));
    person.sees(b"$ \x1b[6n");
    person
}

#[test]
fn a_job_is_stopped_continued_and_interrupted_and_its_shell_goes_on() {
    let bed = Bed::busybox();
    let mut person = shell(&bed);
    // What is typed before the shell has switched its own editing off is not echoed.
    person.types(b"/bin/busybox sh -c 'echo ready; exec /bin/busybox cat'\r");
    person.sees(b"ready\r\n");
    person.types(b"one\r");
    person.sees(b"one\r\none\r\n");
    person.types(b"\x1a");
    person.sees(b"$ \x1b[6n");
    person.types(b"jobs\r");
    person.sees(b"exec /bin/busybox cat\"\r\n$ \x1b[6n");
    // It is woken by what is typed when it is in the foreground again.
    person.types(b"fg\r");
    person.sees(b"exec /bin/busybox cat\"\r\n");
    person.types(b"two\r");
    person.sees(b"two\r\ntwo\r\n");
    person.types(b"\x03");
    person.sees(b"$ \x1b[6n");
    person.types(b"echo $?\r");
    person.sees(b"130\r\n$ \x1b[6n");
    person.types(b"exit\r");
    assert_eq!(person.sees_the_end(b"exit\r\n"), 0);
}

#[test]
fn a_job_in_the_background_is_stopped_when_it_reads() {
    let bed = Bed::busybox();
    let mut person = shell(&bed);
    person.types(b"/bin/busybox cat &\r");
    person.sees(b"$ \x1b[6n");
    // It is about to read: the shell looks until it has been stopped for that.
    person.types(
        b"until /bin/busybox ps -o stat,args | /bin/busybox grep -q '^T.* cat'; do :; done; jobs\r",
    );
    person.sees(b"Stopped (tty input)        /bin/busybox cat\r\n$ \x1b[6n");
    person.types(b"fg\r");
    person.sees(b"/bin/busybox cat\r\n");
    person.types(b"mine\r\x04");
    person.sees(b"mine\r\nmine\r\n$ \x1b[6n");
}

#[test]
fn a_pipeline_is_one_job() {
    let bed = Bed::busybox();
    let mut person = shell(&bed);
    let pair = "/bin/busybox sh -c 'echo ready; exec /bin/busybox sleep 1000' | /bin/busybox cat\r";
    person.types(pair.as_bytes());
    person.sees(b"\r\nready\r\n");
    person.types(b"\x1a");
    person.sees(b"$ \x1b[6n");
    person.types(b"bg\r");
    person.sees(b"$ \x1b[6n");
    person.types(b"kill %1; wait; jobs; echo none\r");
    person.sees(b"\r\nnone\r\n$ \x1b[6n");
}

#[test]
fn settings_that_a_program_makes_are_the_terminal_s() {
    let bed = Bed::busybox();
    let mut person = shell(&bed);
    person.types(b"/bin/busybox stty size\r");
    person.process.resize_console(132, 43).expect("resized");
    person.sees(b"$ \x1b[6n");
    person.types(b"/bin/busybox stty size\r");
    person.sees(b"43 132\r\n$ \x1b[6n");
    person.types(b"/bin/busybox stty -echo; read line; echo got $line\r");
    person.sees(b"$line\r\n");
    person.types(b"quiet\r");
    person.sees(b"got quiet\r\n$ ");
}

#[test]
fn jobs_of_a_shell_that_ends_are_hung_up() {
    let bed = Bed::busybox();
    let mut person = shell(&bed);
    person.types(b"/bin/busybox sleep 1000 & /bin/busybox cat\r");
    let is_there = || {
        let list = bed.output(&["/bin/busybox", "ps", "-o", "args"]);
        String::from_utf8_lossy(&list.stdout).contains("busybox cat")
    };
    person.sees(b"cat\r\n");
    while !is_there() {}
    person.process.close_stdout();
    person
        .process
        .wait_timeout(DEADLINE)
        .expect("it is hung up");
    // Each ends in its own time; the VM does when that takes too long.
    while is_there() {}
}

#[test]
fn raw_mode_carries_every_byte_as_it_is() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/programs/raw"]);
    person.sees(b"raw\n");
    let all: Vec<u8> = (0..=255).collect();
    person.types(&all);
    person.sees(&all);
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let mut keyboard = person.keyboard.clone();
    let typed = large.clone();
    let typist = std::thread::spawn(move || keyboard.write_all(&typed));
    person.sees(&large);
    typist.join().expect("no panic").expect("taken");
}

#[test]
fn a_big_paste_arrives_line_by_line_and_nothing_is_lost() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/programs/reader"]);
    let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    let mut keyboard = person.keyboard.clone();
    let paste = lines.clone();
    let typist = std::thread::spawn(move || {
        keyboard.write_all(paste.as_bytes())?;
        keyboard.write_all(b"\x04")
    });
    let echoed = lines.replace('\n', "\r\n");
    let seen = format!("{echoed}{}\r\n", lines.len());
    let mut screen = Vec::new();
    person.screen.read_to_end(&mut screen).expect("read");
    typist.join().expect("no panic").expect("taken");
    assert!(screen == seen.as_bytes(), "{} bytes", screen.len());
    assert_eq!(person.process.wait_timeout(DEADLINE).expect("ended"), 0);
}

#[test]
fn a_host_that_never_looks_stalls_its_program_and_nobody_else() {
    let bed = Bed::busybox();
    let person = Person::sits(&bed, &["/bin/busybox", "yes"]);
    for _ in 0..10 {
        bed.assert_alive();
        bed.guest.dump_stacks().expect("answered");
    }
    assert!(person.process.exit_code().is_err(), "it waits");
    person.process.close_stdout();
    let code = person
        .process
        .wait_timeout(DEADLINE)
        .expect("it is hung up");
    assert_eq!(code, 128 + 1);
}

#[test]
fn the_end_of_the_input_hangs_nobody_up() {
    let bed = Bed::busybox();
    let mut person = Person::sits(&bed, &["/bin/busybox", "cat"]);
    person.types(b"last\r");
    person.process.close_stdin().expect("closed");
    person.sees(b"last\r\nlast\r\n");
    let waited = person.process.wait_timeout(Duration::from_millis(1));
    assert!(waited.is_err(), "no end of file is typed");
    assert!(person.process.kill().expect("delivered"));
    assert_eq!(person.sees_the_end(b""), 128 + 9);
}

#[test]
fn a_container_s_init_and_execs_have_terminals_of_their_own() {
    let bed = Bed::busybox();
    let init = ProcessConfig::new(["/bin/busybox", "cat"])
        .terminal()
        .console_size(90, 20);
    let container = bed
        .guest
        .create_container("with-terminals", &ContainerConfig::new(&init))
        .unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()));
    container.start().expect("started");
    let init = container
        .create_process(&ProcessConfig::init().without_stderr())
        .expect("runs");
    let mut first = Person::at(init);
    let exec = ProcessConfig::new(["/bin/busybox", "stty", "size"]).terminal();
    let mut second = Person::at(
        container
            .create_process(&exec.console_size(70, 10))
            .expect("runs"),
    );
    assert_eq!(second.sees_the_end(b"10 70\r\n"), 0);
    first.process.resize_console(91, 21).expect("resized");
    first.types(b"init\r");
    first.sees(b"init\r\ninit\r\n");
    // Terminals of others are not seen.
    let outside = bed.output(&["/bin/busybox", "ls", "/dev/pts"]);
    assert_eq!(outside.stdout, b"");
    first.types(b"\x04");
    assert_eq!(first.sees_the_end(b""), 0);
}

#[test]
fn a_process_without_a_terminal_has_no_window() {
    let bed = Bed::busybox();
    let process = bed
        .guest
        .create_process(&ProcessConfig::new(["/programs/spin"]).without_stdio())
        .expect("runs");
    let refused = process.resize_console(80, 24).expect_err("it has none");
    assert_eq!(refused.hresult(), Some(Hresult::FAIL));
    process.kill().expect("delivered");
}

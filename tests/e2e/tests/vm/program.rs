//! Programs start, run, break and end as on Linux.

use e2e::{Bed, DEADLINE, MACHINES, Tree, busybox_disk, config};
use mote_host::{Error, Hresult, Machine, ProcessConfig};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[test]
fn exit_codes_are_passed_on() {
    let bed = Bed::busybox();
    for code in [0, 1, 7, 127, 255] {
        let output = bed.output(&["/programs/exit", &code.to_string()]);
        assert_eq!(output.exit_code, code);
    }
}

#[test]
fn every_program_of_the_tests_says_that_all_is_well() {
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(busybox_disk()));
        for args in [
            &["/programs/true"][..],
            &["/programs/args", "one", "two words"],
            &["/programs/badcalls"],
            &["/programs/clock", "spoil"],
            &["/programs/clock"],
            &["/programs/files"],
            &["/programs/fpu"],
            &["/programs/memory", "4"],
            &["/programs/nullcall"],
            &["/programs/pie"],
            &["/programs/sleep", "20"],
            &["/programs/stack", "256"],
            &["/programs/terminal"],
            &["/programs/yardstick", "1", "100"],
        ] {
            let output = bed.output(args);
            assert_eq!(
                output.exit_code,
                0,
                "{machine:?}: {args:?}\n{}\n{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
}

#[test]
fn the_time_is_told_without_a_system_call() {
    for machine in MACHINES {
        let bed = Bed::boot(config(machine).disk(busybox_disk()));
        let clock = ProcessConfig::new(["/programs/clock", "watch"]);
        let clock = bed.guest.create_process(&clock).expect("runs");
        let mut said = String::new();
        let mut output = BufReader::new(clock.stdout().expect("asked for"));
        output.read_line(&mut said).expect("readable");
        assert_eq!(said, "read\n");
        // It has said so and waits for input, or is about to: that is all it asked the kernel for.
        let dump = bed.guest.dump_stacks().expect("answered");
        let start = format!("pid={} ", clock.pid());
        let mut lines = dump.lines().skip_while(|line| !line.starts_with(&start));
        let calls = lines.find(|line| line.trim_start().starts_with("calls:"));
        assert_eq!(calls.map(str::trim), Some("calls: write=5"), "{dump}");
        let output = clock.output_within(b"", DEADLINE).expect("ends");
        assert_eq!(output.exit_code, 0);
    }
}

/// What a program of the tests says on this host's Linux.
fn on_this_host(name: &str, input: &[u8]) -> String {
    let file = e2e::program(name.trim_start_matches("/programs/"));
    let mut child = Command::new(file)
        .arg0(name)
        .arg("argument")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs here");
    let mut to = child.stdin.take().expect("piped");
    to.write_all(input).expect("it reads");
    drop(to);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{name}: {:?}", output.status);
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn static_rust_programs_on_the_standard_library_run() {
    let bed = Bed::busybox();
    for name in ["/programs/std-hello", "/programs/std-hello-pie"] {
        let config = ProcessConfig::new([name, "argument"]).env("NAME", "value");
        let output = bed.run(&config, b"input\n");
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.exit_code, 0, "{name}: {errors}");
        assert_eq!(said, on_this_host(name, b"input\n"), "{name}: {errors}");
    }
}

/// Where QEMU's translator is not the processor it plays: a push to a non-canonical address is a general protection
/// fault instead of a stack fault, and vector instructions raise no exceptions, so that the program runs on and says so.
const TCG_DIFFERS: [(&str, u32); 2] = [("push-non-canonical", 128 + 11), ("sse-divide", 1)];

#[test]
fn a_fault_ends_its_process_alone_with_128_and_the_signal() {
    let bed = Bed::busybox();
    let list = bed.output(&["/programs/fault"]);
    let text = String::from_utf8(list.stdout).expect("text");
    let mut count = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(code)) = (words.next(), words.next()) else {
            continue;
        };
        let Ok(code) = code.parse::<u32>() else {
            continue;
        };
        let output = bed.output(&["/programs/fault", name]);
        let is_tcgs = TCG_DIFFERS.contains(&(name, output.exit_code));
        assert!(
            output.exit_code == code || is_tcgs,
            "{name}: {} instead of {code}: {}",
            output.exit_code,
            String::from_utf8_lossy(&output.stderr)
        );
        count += 1;
    }
    assert!(count >= 5, "{count} faults in:\n{text}");
    bed.assert_alive();
}

#[test]
fn a_program_that_does_not_exist_is_refused_by_name() {
    let bed = Bed::busybox();
    for name in [
        "/no/such/program",
        "no-such-program",
        "/data/numbers/below-a-file",
    ] {
        let error = bed
            .guest
            .create_process(&ProcessConfig::new([name]))
            .expect_err("absent");
        assert!(error.is_program_not_found(), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    bed.assert_alive();
}

#[test]
fn a_file_that_cannot_be_executed_is_refused_by_name() {
    let bed = Bed::busybox();
    for name in ["/data/numbers", "/bin"] {
        let error = bed
            .guest
            .create_process(&ProcessConfig::new([name]))
            .expect_err("no program");
        assert!(error.is_program_not_executable(), "{name}: {error}");
        assert!(error.to_string().contains(name), "{error}");
    }
    bed.assert_alive();
}

#[test]
fn a_program_file_broken_in_any_field_is_refused_and_the_guest_lives() {
    /// Fields of the header and of a segment: name, offset and size (ELF-64 object file format, figures 2 and 6).
    const HEADER: [(&str, usize, usize); 11] = [
        ("magic", 0, 4),
        ("class", 4, 1),
        ("data", 5, 1),
        ("ident-version", 6, 1),
        ("type", 16, 2),
        ("machine", 18, 2),
        ("version", 20, 4),
        ("entry", 24, 8),
        ("phoff", 32, 8),
        ("phentsize", 54, 2),
        ("phnum", 56, 2),
    ];
    const SEGMENT: [(&str, usize, usize); 4] = [
        ("offset", 8, 8),
        ("vaddr", 16, 8),
        ("filesz", 32, 8),
        ("memsz", 40, 8),
    ];
    const HEADER_BYTES: usize = 64;
    const SEGMENT_BYTES: usize = 56;
    let good = std::fs::read(e2e::program("true")).expect("built");
    let load = (HEADER_BYTES..good.len())
        .step_by(SEGMENT_BYTES)
        .find(|&at| good[at..at + 4] == [1, 0, 0, 0])
        .expect("a segment is loaded");
    let segment = SEGMENT.map(|(field, at, size)| (field, load + at, size));
    let tree = Tree::with_busybox();
    let names: Vec<String> = HEADER
        .into_iter()
        .chain(segment)
        .flat_map(|(field, at, size)| {
            [0xff_u8, 0x7f].map(|value| {
                let mut bytes = good.clone();
                bytes[at..at + size].fill(value);
                let name = format!("bin/{field}-{value:x}");
                let broken = tree.path("").with_file_name("broken");
                std::fs::write(&broken, bytes).expect("written");
                tree.copy(&broken, &name);
                name
            })
        })
        .collect();
    let bed = Bed::boot(config(Machine::Microvm).disk(tree.image()));
    for name in names {
        let result = bed
            .guest
            .create_process(&ProcessConfig::new([format!("/{name}")]))
            .and_then(|process| process.output_within(b"", DEADLINE));
        match result {
            Err(error) => assert!(error.hresult().is_some(), "{name}: {error}"),
            Ok(output) => panic!("{name} ran: {output:?}"),
        }
    }
    bed.assert_alive();
}

#[test]
fn a_command_of_no_words_is_refused() {
    let bed = Bed::busybox();
    let error = bed
        .guest
        .create_process(&ProcessConfig::new::<String>([]))
        .expect_err("no command");
    assert!(matches!(error, Error::Guest { .. }), "{error}");
    bed.assert_alive();
}

#[test]
fn arguments_and_environment_arrive_as_they_were_sent() {
    let bed = Bed::busybox();
    let odd = "a \"b\" \\ \n\t 😀 > & </script>";
    let output = bed.output(&["/bin/busybox", "printf", "%s", odd]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), odd);
    let config = ProcessConfig::new(["/bin/busybox", "env"])
        .without_env()
        .env("ODD", odd)
        .env("EMPTY", "");
    let output = bed.run(&config, b"");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("EMPTY=\nODD={odd}\n")
    );
}

#[test]
fn a_long_argument_list_arrives_whole() {
    let bed = Bed::busybox();
    let mut args = vec!["/bin/busybox".to_owned(), "echo".to_owned()];
    args.extend((0..2000).map(|number| format!("argument-{number}")));
    let expected = args[2..].join(" ") + "\n";
    let output = bed.run(&ProcessConfig::new(args), b"");
    assert_eq!(output.stdout.len(), expected.len());
    assert!(output.stdout == expected.as_bytes());
}

#[test]
fn a_process_is_ended_by_each_signal_that_ends_processes() {
    let bed = Bed::busybox();
    for signal in [1, 2, 3, 9, 10, 13, 14, 15] {
        let process = bed
            .guest
            .create_process(&ProcessConfig::new(["/bin/busybox", "sleep", "1000"]))
            .expect("runs");
        assert!(process.signal(signal).expect("delivered"));
        process.close_stdin().expect("open");
        let output = process.output_within(b"", DEADLINE).expect("ended");
        assert_eq!(output.exit_code, 128 + signal.cast_unsigned());
        assert!(!process.signal(signal).expect("gone"), "signal {signal}");
    }
}

#[test]
fn an_unknown_signal_is_refused() {
    let bed = Bed::busybox();
    let process = bed
        .guest
        .create_process(&ProcessConfig::new(["/bin/busybox", "sleep", "1000"]))
        .expect("runs");
    for signal in [-1, 65, i32::MAX] {
        let error = process.signal(signal).expect_err("no signal");
        assert!(
            error
                .hresult()
                .is_some_and(|code| code != Hresult::NOT_FOUND),
            "{error}"
        );
    }
    assert!(process.kill().expect("delivered"));
}

//! Unmodified busybox: what each applet says in the VM is what it says on the host, or what stands beside it where the host would
//! say something else.

mod archive;
mod command;
mod excluded;
mod keyboard;
mod machine;
mod script;

use crate::terminal::Person;
use e2e::{Bed, Tree, host_busybox};
use mote_host::{Output, ProcessConfig};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

/// Runs busybox on the host, in the tree the guest's disk was made from.
fn on_host(tree: &Tree, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(&host_busybox().0)
        .args(args)
        .current_dir(tree.path(""))
        .env_clear()
        .env("PATH", "/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("busybox runs on the host");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that does not read its input is no error.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("ended");
    writer.join().expect("no panic");
    Output {
        exit_code: code_of(output.status),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

/// Returns a program's exit code as the guest tells it.
fn code_of(status: ExitStatus) -> u32 {
    let signal = || 128 + status.signal().expect("it has ended");
    status.code().unwrap_or_else(signal).cast_unsigned()
}

/// Says how what was said differs from what was to be said; nothing when it does not.
fn difference(what: &dyn Debug, output: &Output, expected: &Output) -> String {
    if output == expected {
        return String::new();
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "\n{what:?}: exit code {} instead of {}, {} bytes instead of {}\n  stdout: {:.300}\n  instead of: {:.300}\n  stderr: {:.300}\n  instead of: {:.300}",
        output.exit_code,
        expected.exit_code,
        output.stdout.len(),
        expected.stdout.len(),
        text(&output.stdout),
        text(&expected.stdout),
        text(&output.stderr),
        text(&expected.stderr),
    )
}

fn busybox(args: &[&str]) -> ProcessConfig {
    let words = std::iter::once("/bin/busybox").chain(args.iter().copied());
    ProcessConfig::new(words).without_env().env("PATH", "/bin")
}

#[test]
fn says_in_the_vm_what_it_says_on_the_host() {
    let tree = Tree::with_busybox();
    let bed = Bed::boot(e2e::config(mote_host::Machine::Microvm).disk(tree.image()));
    let commands = command::COMMANDS.iter();
    let commands = commands.map(|(args, input)| (args.to_vec(), *input));
    let scripts = script::SCRIPTS.iter().chain(archive::SCRIPTS);
    let scripts = scripts.map(|script| (vec!["sh", "-c", script], ""));
    let mut differences = String::new();
    for (args, input) in commands.chain(scripts) {
        let mut expected = on_host(&tree, &args, input.as_bytes());
        let mut output = bed.run(&busybox(&args), input.as_bytes());
        if args[0] == "dd" {
            // It says how fast it was.
            output.stderr.clear();
            expected.stderr.clear();
        }
        differences += &difference(&args, &output, &expected);
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn looks_at_the_machine_its_users_and_processes_and_changes_them() {
    let tree = Tree::with_busybox();
    let image = tree.image();
    let mut differences = String::new();
    // Several share a machine; none needs what another one has changed.
    let bed = Bed::boot(e2e::config(mote_host::Machine::Microvm).disk(image));
    for (script, said) in machine::SCRIPTS {
        let mut output = bed.run(&busybox(&["sh", "-c", script]), b"");
        // What goes wrong on purpose is said on the standard output; the rest is for who reads a failure.
        let errors = std::mem::take(&mut output.stderr);
        let expected = Output {
            exit_code: output.exit_code,
            stdout: said.as_bytes().to_vec(),
            stderr: Vec::new(),
        };
        let found = difference(script, &output, &expected);
        if !found.is_empty() {
            differences += &format!(
                "{found}\n  it said {:.300}",
                String::from_utf8_lossy(&errors)
            );
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn talks_with_a_person_at_a_terminal() {
    let bed = Bed::busybox();
    for (script, steps) in keyboard::SCRIPTS {
        let config = busybox(&["sh", "-c", script])
            .terminal()
            .env("TERM", "vt100");
        let mut person = Person::at(bed.guest.create_process(&config).expect("runs"));
        for (seen, typed) in *steps {
            person.sees_somewhere(seen.as_bytes());
            person.types(typed.as_bytes());
        }
        assert_eq!(person.leaves(), 0, "{script}");
    }
}

#[test]
fn runs_its_table_as_the_first_process() {
    let tree = Tree::with_busybox();
    let table = "::sysinit:/bin/busybox echo from init\n::wait:/bin/sh -c 'echo child of $PPID'\n::once:/bin/busybox kill -KILL 1\n";
    tree.file("etc/inittab", table.as_bytes());
    let bed = Bed::boot(e2e::config(mote_host::Machine::Microvm).disk(tree.image()));
    let output = bed.run(&busybox(&["init"]), b"");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!((&*said, output.exit_code), ("from init\nchild of 1\n", 137));
}

/// Returns the applets a script names: those behind the word `busybox`, whatever stands around it.
fn named(script: &str) -> Vec<&str> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || "-_[./".contains(letter);
    let words: Vec<&str> = script.split(|letter| !is_word(letter)).collect();
    let pairs = words.iter().zip(&words[1..]);
    pairs
        .filter(|(word, _)| word.ends_with("busybox"))
        .map(|(_, next)| *next)
        .collect()
}

#[test]
fn every_applet_is_tried_or_there_is_a_reason_why_not() {
    let list = on_host(&Tree::with_busybox(), &["--list"], b"");
    let list = String::from_utf8(list.stdout).expect("text");
    let list: BTreeSet<&str> = list.lines().collect();
    let commands = command::COMMANDS.iter().map(|(args, _)| args[0]);
    let scripts = [script::SCRIPTS, archive::SCRIPTS].concat();
    let scripts = scripts
        .into_iter()
        .chain(machine::SCRIPTS.iter().map(|(script, _)| *script));
    let scripts = scripts.chain(keyboard::SCRIPTS.iter().map(|(script, _)| *script));
    // `busybox init` has a test of its own, and so has `pwd`.
    let own = ["init", "pwd"].into_iter();
    let tried: BTreeSet<&str> = commands.chain(scripts.flat_map(named)).chain(own).collect();
    let excluded = excluded::EXCLUDED.iter().flat_map(|(_, applets)| *applets);
    let excluded: BTreeSet<&str> = excluded.copied().collect();
    let missing: Vec<&&str> = list
        .iter()
        .filter(|it| !tried.contains(**it) && !excluded.contains(**it))
        .collect();
    assert!(
        missing.is_empty(),
        "neither tried nor excluded: {missing:?}"
    );
    let needless: Vec<&&str> = excluded
        .iter()
        .filter(|it| tried.contains(**it) || !list.contains(**it))
        .collect();
    assert!(
        needless.is_empty(),
        "tried or not there, and yet excluded: {needless:?}"
    );
}

#[test]
fn a_directory_is_listed_at_length() {
    let bed = Bed::busybox();
    let output = bed.output(&["/bin/busybox", "ls", "-l", "/bin"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.exit_code, 0, "{output:?}");
    assert!(text.contains("busybox"), "{text}");
    assert!(text.contains("awk -> busybox"), "{text}");
}

#[test]
fn pwd_says_the_directory_it_was_started_in() {
    let bed = Bed::busybox();
    for directory in ["/", "/data", "/run"] {
        let config = ProcessConfig::new(["/bin/busybox", "pwd"]).cwd(directory);
        assert_eq!(
            bed.run(&config, b"").stdout,
            format!("{directory}\n").as_bytes()
        );
    }
}

#[test]
fn date_says_the_hosts_time() {
    let seconds = || {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .expect("after 1970")
            .as_secs()
    };
    let bed = Bed::busybox();
    let before = seconds();
    let output = bed.output(&["/bin/busybox", "date", "+%s"]);
    let after = seconds();
    let said: u64 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .expect("a number");
    // The guest reads a clock of whole seconds.
    assert!(
        (before - 2..=after + 2).contains(&said),
        "{said} is not between {before} and {after}"
    );
}

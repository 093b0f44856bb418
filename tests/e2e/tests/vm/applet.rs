//! Unmodified busybox: what each applet says in the VM is what it says on the host.

use crate::applets::SAME;
use e2e::{Bed, Tree, host_busybox};
use mote_host::{Output, ProcessConfig};
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

#[test]
fn says_in_the_vm_what_it_says_on_the_host() {
    let tree = Tree::with_busybox();
    let bed = Bed::boot(e2e::config(mote_host::Machine::Microvm).disk(tree.image()));
    let mut differences = String::new();
    for (args, input) in SAME {
        let expected = on_host(&tree, args, input.as_bytes());
        let mut command = vec!["/bin/busybox"];
        command.extend(*args);
        let config = ProcessConfig::new(command)
            .without_env()
            .env("PATH", "/bin");
        let output = bed.run(&config, input.as_bytes());
        // dd says how fast it was.
        let stderr_counts = args[0] != "dd";
        if output.exit_code != expected.exit_code
            || output.stdout != expected.stdout
            || (stderr_counts && output.stderr != expected.stderr)
        {
            differences += &format!(
                "\n{args:?}: exit code {} instead of {}, {} bytes instead of {}\n  stdout: {:.200}\n  instead of: {:.200}\n  stderr: {:.200}\n  instead of: {:.200}",
                output.exit_code,
                expected.exit_code,
                output.stdout.len(),
                expected.stdout.len(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&expected.stdout),
                String::from_utf8_lossy(&output.stderr),
                String::from_utf8_lossy(&expected.stderr),
            );
        }
    }
    assert!(differences.is_empty(), "{differences}");
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

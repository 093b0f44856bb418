//! Unmodified busybox: what each applet says in the VM is what it says on the host.

use e2e::{Bed, Tree, host_busybox};
use mote_host::{Output, ProcessConfig};
use std::io::Write;
use std::process::{Command, Stdio};

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
        exit_code: output.status.code().expect("not signalled").cast_unsigned(),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

/// The applets whose words depend on nothing but their arguments, their input and the files of the disk.
const SAME: &[(&[&str], &str)] = &[
    (&["true"], ""),
    (&["false"], ""),
    (&["echo", "-n", "two words", "and\ttab"], ""),
    (&["cat", "data/numbers"], ""),
    (&["cat", "data/binary"], ""),
    (&["cat", "-", "data/empty", "data/numbers"], "first\n"),
    (&["cat", "no/such/file"], ""),
    (&["ls", "data"], ""),
    (&["ls", "-1", "bin"], ""),
    (&["ls", "no-such-directory"], ""),
    (&["stat", "-c", "%n %s %a %F %h", "data/numbers"], ""),
    (&["stat", "-c", "%n %F", "bin", "data/empty"], ""),
    (&["head", "-n", "3", "data/numbers"], ""),
    (
        &["head", "-c", "100"],
        "some input that is longer than what is asked for, by a little bit at least, and then some more of it",
    ),
    (&["wc", "data/numbers", "data/binary"], ""),
    (&["wc", "-l"], "a\nb\nc\n"),
    (&["sha256sum", "data/binary", "data/empty"], ""),
    (&["sha256sum"], "hash me\n"),
    (
        &["dd", "if=data/binary", "bs=1000", "skip=3", "count=5"],
        "",
    ),
    (&["sleep", "0"], ""),
    (
        &["date", "-u", "-d", "@1000000000", "+%Y-%m-%d %H:%M:%S"],
        "",
    ),
    (&["env", "-i", "A=1", "B=two words"], ""),
    (&["printf", "%s-%05d-%x\\n", "text", "42", "255"], ""),
    (&["uname"], ""),
    (&["uname", "-m"], ""),
    (&["seq", "1", "3", "5000"], ""),
    (&["sort", "-n", "data/numbers"], ""),
    (&["sort", "-r"], "b\na\nc\n"),
    (&["grep", "-n", "line 4[0-9]*9$", "data/numbers"], ""),
    (&["grep", "nothing like this", "data/numbers"], ""),
    (
        &["sed", "-n", "s/line \\(1.*\\)/[\\1]/p", "data/numbers"],
        "",
    ),
    (
        &["awk", "{ s += $1 } END { print NR, s }", "data/numbers"],
        "",
    ),
    (&["no-such-applet"], ""),
];

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

//! VMs with names: what each command does with one.

use crate::tool::{Place, fails, text, until};
use e2e::wait;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

#[test]
fn a_vm_stays_between_commands_and_is_gone_after_down() {
    let place = Place::new();
    place.up("box", &[]);
    place.ok(&["exec", "box", "--", "sh", "-c", "echo kept >/tmp/file"]);
    assert_eq!(
        place.ok(&["exec", "box", "--", "cat", "/tmp/file"]),
        "kept\n"
    );
    assert_eq!(place.ok(&["ls", "-q"]), "box\n");
    place.ok(&["down", "box"]);
    assert_eq!(place.ok(&["ls", "-q"]), "");
    place.assert_nothing_left();
}

#[test]
fn exec_passes_streams_environment_and_exit_code() {
    let place = Place::new();
    place.up("box", &[]);
    let script = "read line; echo $line $A $PWD; echo bad >&2; exit 7";
    let args = [
        "exec", "-e", "A=1", "-w", "/data", "box", "--", "sh", "-c", script,
    ];
    let output = place.fed(&args, b"through\n");
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(text(&output.stdout), "through 1 /data\n");
    assert_eq!(text(&output.stderr), "bad\n");
    place.fails(
        &["exec", "box", "--", "no-such-program"],
        127,
        &["no-such-program"],
    );
    place.fails(&["exec", "box", "--", "/data/numbers"], 126, &["x bit"]);
    let input: Vec<u8> = (0..3_000_000_u32)
        .map(|index| (index % 251) as u8)
        .collect();
    let output = place.fed(&["exec", "box", "--", "cat"], &input);
    assert!(output.stdout == input, "{} bytes", output.stdout.len());
}

#[test]
fn a_program_of_exec_ends_with_its_command() {
    let place = Place::new();
    place.up("box", &[]);
    let mut child = place
        .command([
            "exec",
            "box",
            "--",
            "sh",
            "-c",
            "echo running; while :; do :; done",
        ])
        .stdin(Stdio::piped())
        .spawn()
        .expect("mote starts");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("readable");
    assert_eq!(line, "running\n");
    kill_process(Pid::from_child(&child), Signal::KILL).expect("ours");
    wait(&mut child);
    until("the program has ended", || {
        place.json(&["ps", "--json", "box"]) == serde_json::json!([])
    });
}

#[test]
fn an_interrupt_of_exec_is_passed_on() {
    let place = Place::new();
    place.up("box", &[]);
    let mut child = place
        .command(["exec", "box", "--", "cat"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("mote starts");
    // What comes back says that it runs. A shell would not do: one that is between two commands only notes an interrupt.
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(b"running\n").expect("taken");
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("readable");
    assert_eq!(line, "running\n");
    kill_process(Pid::from_child(&child), Signal::INT).expect("ours");
    assert_eq!(wait(&mut child).code(), Some(130));
}

#[test]
fn a_main_program_can_be_read_waited_for_and_killed() {
    let place = Place::new();
    place.up(
        "job",
        &[
            "--",
            "sh",
            "-c",
            "echo from-main; echo to-stderr >&2; exit 5",
        ],
    );
    assert_eq!(place.output(&["wait", "job"]).status.code(), Some(5));
    let lines = place.ok(&["logs", "--source", "program", "job"]);
    assert!(
        lines.contains("from-main\n") && lines.contains("to-stderr\n"),
        "{lines}"
    );
    let all = place.ok(&["logs", "job"]);
    assert!(
        all.contains("program from-main") && all.contains("guest   info"),
        "{all}"
    );
    place.fails(&["kill", "job"], 125, &["ended already"]);

    place.up("loop", &["--", "sh", "-c", "while :; do :; done"]);
    place.ok(&["kill", "loop", "-s", "KILL"]);
    assert_eq!(place.output(&["wait", "loop"]).status.code(), Some(137));
    place.fails(&["wait", "loop", "999"], 125, &["999", "mote ps"]);
}

#[test]
fn logs_follow_until_the_vm_ends() {
    let place = Place::new();
    place.up(
        "job",
        &["--", "sh", "-c", "echo first; while :; do :; done"],
    );
    let mut child = place
        .command(["logs", "--follow", "--json", "job"])
        .spawn()
        .expect("mote starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let first = lines
        .by_ref()
        .map(|line| line.expect("readable"))
        .find(|line| line.contains("first"))
        .expect("it comes");
    let line: serde_json::Value = serde_json::from_str(&first).expect("JSON");
    assert_eq!(line["source"], "program");
    place.ok(&["down", "--force", "job"]);
    assert_eq!(lines.filter(|line| line.is_err()).count(), 0);
    assert_eq!(wait(&mut child).code(), Some(0));
}

#[test]
fn what_scripts_read_is_json() {
    let place = Place::new();
    place.up("box", &["--memory", "48"]);
    place.ok(&["exec", "box", "--", "true"]);
    let list = place.json(&["ls", "--json"]);
    assert_eq!(list[0]["name"], "box");
    assert_eq!(list[0]["state"], "running");
    assert_eq!(list[0]["memory_mib"], 48);
    let rows = place.json(&["ps", "--all", "--json", "box"]);
    assert_eq!(rows[0]["command"], serde_json::json!(["true"]));
    assert_eq!(rows[0]["exit_code"], 0);
    let statistics = place.json(&["stats", "--json", "box"]);
    assert!(
        statistics[0]["host"]["resident_bytes"].as_u64() > Some(1 << 20),
        "{statistics}"
    );
    let status = place.json(&["inspect", "--json", "box"]);
    assert_eq!(status["guest"]["os"], "linux");
    assert_eq!(status["machine"], "microvm");
    assert!(status["boot_microseconds"].as_u64() > Some(0), "{status}");
    let pruned = place.json(&["prune", "--json"]);
    assert_eq!(pruned["vms"], serde_json::json!([]));
}

#[test]
fn statistics_are_watched_until_interrupted() {
    let place = Place::new();
    place.up("box", &["--", "sh", "-c", "while :; do :; done"]);
    let mut child = place
        .command(["stats", "--watch", "--json", "box"])
        .spawn()
        .expect("mote starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let used: Vec<u64> = lines
        .take(3)
        .map(|line| {
            let look: serde_json::Value =
                serde_json::from_str(&line.expect("readable")).expect("JSON");
            look[0]["guest"]["cpu"]["usage"]["total"]
                .as_u64()
                .expect("a number")
        })
        .collect();
    assert!(used.is_sorted() && used[0] < used[2], "{used:?}");
    kill_process(Pid::from_child(&child), Signal::INT).expect("ours");
    assert!(!wait(&mut child).success());
}

#[test]
fn tables_fit_eighty_columns_and_name_their_columns() {
    let place = Place::new();
    place.up("box", &["--", "sh", "-c", "while :; do :; done"]);
    for (args, head) in [
        (&["ls"][..], "NAME"),
        (&["ps", "box"], "PID"),
        (&["stats", "box"], "NAME"),
    ] {
        let table = place.ok(args);
        assert!(
            table.starts_with(head) || table.trim_start().starts_with(head),
            "{table}"
        );
        assert!(
            table.lines().all(|line| line.chars().count() <= 80),
            "{table}"
        );
        assert!(
            !table.contains('\x1b'),
            "colours without a terminal: {table}"
        );
    }
}

#[test]
fn dump_tells_what_the_guest_is_doing() {
    let place = Place::new();
    place.up("box", &["--", "sh", "-c", "while :; do :; done"]);
    let dump = place.ok(&["dump", "box"]);
    assert!(dump.contains("kernel:"), "{dump}");
}

#[test]
fn a_disk_is_attached_to_a_vm_that_runs_where_the_machine_can() {
    let place = Place::new();
    let (_tree, image) = e2e::marker_disk(7);
    let image = image.to_string_lossy().into_owned();
    place.up("pci", &["--machine", "q35"]);
    place.ok(&["attach-disk", "pci", &image, "--mount", "/mnt/seven"]);
    assert_eq!(
        place.ok(&["exec", "pci", "--", "cat", "/mnt/seven/marker"]),
        "disk 7\n"
    );
    place.ok(&["attach-disk", "pci", &image]);
    let disks = &place.json(&["inspect", "--json", "pci"])["disks"];
    assert_eq!(disks.as_array().map(Vec::len), Some(3), "{disks}");
    place.fails(&["attach-disk", "pci", "/no/such"], 125, &["/no/such"]);
    place.up("mmio", &[]);
    place.fails(
        &["attach-disk", "mmio", &image],
        125,
        &["microvm", "--machine q35"],
    );
}

#[test]
fn a_disk_that_cannot_be_mounted_is_taken_back_and_leaves_its_place() {
    let place = Place::new();
    let (_tree, image) = e2e::marker_disk(7);
    let image = image.to_string_lossy().into_owned();
    place.up("pci", &["--machine", "q35"]);
    // More often than there are ports and numbers.
    for _ in 0..40 {
        place.fails(
            &["attach-disk", "pci", &image, "--mount", "/bin/busybox"],
            125,
            &["/bin/busybox"],
        );
    }
    place.ok(&["attach-disk", "pci", &image, "--mount", "/mnt/seven"]);
    assert_eq!(
        place.ok(&["exec", "pci", "--", "cat", "/mnt/seven/marker"]),
        "disk 7\n"
    );
}

#[test]
fn what_is_not_there_is_named_with_the_next_step() {
    let place = Place::new();
    for command in [
        "ps", "stats", "logs", "kill", "wait", "dump", "inspect", "down",
    ] {
        place.fails(&[command, "nobody"], 125, &["nobody", "mote ls"]);
    }
    place.fails(
        &["exec", "nobody", "--", "true"],
        125,
        &["no VM named nobody"],
    );
    place.fails(&["up", "a/b"], 125, &["a/b", "letters"]);
    fails(&place.output(&["top"]), 125, &["terminal", "stats --watch"]);
}

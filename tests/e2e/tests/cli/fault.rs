//! What goes wrong around a named VM: who else wants its name, who is killed, what is missing.

use crate::tool::{Place, fails, process_of, text, until};
use e2e::{busybox_disk, host_busybox, wait, words};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

fn process_id(pid: u64) -> Pid {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id")
}

fn kill(pid: u64) {
    kill_process(process_id(pid), Signal::KILL).expect("ours");
}

#[test]
fn of_two_who_want_one_name_one_gets_it() {
    let place = Place::new();
    let disk = busybox_disk().to_string_lossy();
    let args = ["up", "box", "--disk", &disk];
    let outputs: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| place.output(&args)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("ended"))
            .collect()
    });
    let winners = outputs
        .iter()
        .filter(|output| output.status.success())
        .count();
    assert_eq!(winners, 1, "{outputs:?}");
    for output in outputs.iter().filter(|output| !output.status.success()) {
        fails(
            output,
            125,
            &["a VM named box is running already", "mote down box"],
        );
    }
    assert_eq!(place.ok(&["exec", "box", "--", "echo", "well"]), "well\n");
}

#[test]
fn nothing_is_left_when_the_supervisor_is_killed() {
    let place = Place::new();
    place.up("box", &[]);
    let status = place.json(&["inspect", "--json", "box"]);
    kill(status["pid"].as_u64().expect("a number"));
    place.assert_nothing_left();
    place.up("box", &[]);
}

#[test]
fn a_vm_killed_outside_takes_its_supervisor_along_and_tells_who_waits() {
    let place = Place::new();
    place.up("box", &[]);
    let mut child = place
        .command(["exec", "box", "--", "sh", "-c", "echo running; read line"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("mote starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut line)
        .expect("readable");
    let status = place.json(&["inspect", "--json", "box"]);
    kill(status["vmm_pid"].as_u64().expect("a number"));
    assert_eq!(wait(&mut child).code(), Some(125));
    let words = words(&mut child);
    assert!(words.contains("signal 9"), "{words}");
    place.assert_nothing_left();
}

#[test]
fn what_is_left_when_everybody_was_killed_is_pruned_and_does_not_hold_the_name() {
    let place = Place::new();
    place.up("box", &[]);
    let status = place.json(&["inspect", "--json", "box"]);
    let directory = place.vms().join("box");
    let watchdog = process_of(&["mote-watchdog", &directory.to_string_lossy()]).expect("it runs");
    let watchdog = u64::try_from(watchdog).expect("positive");
    let supervisor = status["pid"].as_u64().expect("a number");
    // The supervisor is stopped first, so that it does not see the watchdog's end. It is killed last: the kernel wakes what
    // is stopped in a process group whose last link to its session has ended, and the watchdog would clean up.
    kill_process(process_id(supervisor), Signal::STOP).expect("ours");
    kill(watchdog);
    kill(supervisor);
    let path = directory.to_string_lossy().into_owned();
    until("the VM's processes and its supervisor are gone", || {
        process_of(&[&path]).is_none() && has_ended(supervisor)
    });
    let list = place.json(&["ls", "--json"]);
    assert_eq!(list[0]["state"], "dead", "{list}");
    place.fails(
        &["exec", "box", "--", "true"],
        125,
        &["supervisor", "mote prune"],
    );
    place.up("box", &[]);
    place.ok(&["down", "box"]);
    fs::create_dir(&directory).expect("made as a dead one");
    assert_eq!(
        place.json(&["prune", "--json"])["vms"],
        serde_json::json!(["box"])
    );
    place.assert_nothing_left();
}

/// Whether a process holds nothing any more: its sockets answer as long as it is on its way to its end.
fn has_ended(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, state)| state.starts_with(['Z', 'X']))
    })
}

#[test]
fn nothing_is_left_when_up_is_killed_at_any_moment() {
    let place = Place::new();
    let disk = busybox_disk().to_string_lossy();
    for moment in 0..8 {
        let mut child = place
            .command(["up", "box", "--disk", &disk])
            .spawn()
            .expect("mote starts");
        thread::sleep(std::time::Duration::from_millis(7 * moment));
        kill_process(Pid::from_child(&child), Signal::KILL).expect("ours");
        wait(&mut child);
        // It may have been done already.
        until("it is up or gone", || {
            let state = place.json(&["ls", "--json"]);
            state == serde_json::json!([]) || state[0]["guest"]["os"] == "linux"
        });
        place.output(&["down", "--all"]);
        place.assert_nothing_left();
    }
}

#[test]
fn a_runtime_directory_others_can_enter_is_refused() {
    let place = Place::new();
    place.ok(&["ls"]);
    fs::set_permissions(place.vms(), fs::Permissions::from_mode(0o755)).expect("ours");
    place.fails(&["ls"], 125, &["nobody else can enter", "XDG_RUNTIME_DIR"]);
    fs::set_permissions(place.vms(), fs::Permissions::from_mode(0o700)).expect("ours");
}

#[test]
fn a_guest_that_never_dials_is_told_with_what_is_known_of_it() {
    let place = Place::new();
    // Too little memory for the image: the machine starts, and nothing ever comes.
    let options = ["--memory", "2", "--boot-timeout", "1"];
    for command in [&["run"][..], &["up", "bad"]] {
        let output = place.output(&[command, &options, &["--", "true"]].concat());
        fails(&output, 125, &["entropy", "memory enough"]);
        place.assert_nothing_left();
    }
    for wrong in ["0", "-1", "soon"] {
        let timeout = format!("--boot-timeout={wrong}");
        place.fails(
            &["up", "bad", &timeout],
            125,
            &["--boot-timeout", "seconds"],
        );
    }
}

#[test]
fn a_vm_that_does_not_answer_is_named_with_the_next_step_and_can_be_ended() {
    let place = Place::new();
    place.up("box", &[]);
    let status = place.json(&["inspect", "--json", "box"]);
    let vmm = status["vmm_pid"].as_u64().expect("a number");
    kill_process(process_id(vmm), Signal::STOP).expect("ours");
    place.fails(
        &["ps", "box"],
        125,
        &["GetProperties", "paused", "mote logs", "mote down"],
    );
    assert_eq!(place.json(&["ls", "--json"])[0]["state"], "paused");
    place.ok(&["down", "box"]);
    place.assert_nothing_left();
}

#[test]
fn nobody_but_its_owner_can_enter_where_a_vm_is_controlled() {
    let place = Place::new();
    place.up("box", &[]);
    for path in [place.vms(), place.vms().join("box")] {
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", path.display());
    }
}

#[test]
fn what_this_user_may_not_use_is_named() {
    let place = Place::new();
    let secret = place.path("secret.ext4");
    fs::copy(busybox_disk(), &secret).expect("copied");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).expect("ours");
    let closed = place.path("closed");
    fs::create_dir(&closed).expect("new");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).expect("ours");
    let secret = secret.to_string_lossy();
    let disk = ["run", "--disk", &secret, "--", "true"];
    fails(
        &unprivileged(&place, &disk, &place.path("run")),
        125,
        &[&secret, "Permission denied"],
    );
    let output = unprivileged(&place, &["ls"], &closed);
    fails(&output, 125, &["closed", "XDG_RUNTIME_DIR"]);
}

/// Runs a command as somebody whom permissions hold, with this directory for VMs.
fn unprivileged(place: &Place, args: &[&str], runtime: &Path) -> Output {
    /// Nobody.
    const ID: u32 = 65534;
    let mote = place.command(args);
    let mut command = Command::new("setpriv");
    if rustix::process::geteuid().is_root() {
        // Everything on the way to the test's files is open to him; what is meant to be closed stays so.
        fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755)).expect("ours");
        let id = ID.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    command
        .arg("--")
        .arg(mote.get_program())
        .args(mote.get_args());
    for (name, value) in mote.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("XDG_RUNTIME_DIR", runtime);
    command.output().expect("util-linux is installed")
}

#[test]
fn a_vm_that_cannot_start_says_why_and_leaves_nothing() {
    let place = Place::new();
    let busybox = host_busybox().0.to_string_lossy().into_owned();
    let text_file = place.path("text");
    fs::write(&text_file, "no file system").expect("written");
    let text_file = text_file.to_string_lossy();
    let directory = place.path("run");
    let directory = directory.to_string_lossy();
    for (options, words) in [
        (
            &["--disk", "/no/such"][..],
            &["/no/such", "No such file"][..],
        ),
        (
            &["--disk", &text_file],
            &["no ext4 file system", "mote layer"],
        ),
        (&["--disk", &directory], &["is a directory", "mote layer"]),
        (&["--kernel", &busybox], &["PVH"]),
        (&["--cpus", "2"], &["more than one processor"]),
        (&["--vmm", "no-such"], &["no-such", "cloud-hypervisor"]),
        (&["--oci", "/no/such"], &["/no/such"]),
        (&["-t", "--", "sh"], &["no terminal", "mote exec -it bad"]),
        (&["--", "no-such-program"], &["no-such-program"]),
        (&["--user", "somebody", "--", "true"], &["somebody"]),
    ] {
        let output = place.output(&[&["up", "bad"], options].concat());
        let code = if options.contains(&"no-such-program") {
            127
        } else {
            125
        };
        fails(&output, code, words);
        place.assert_nothing_left();
    }
    let mut without_path = place.command(["up", "bad"]);
    without_path.env("PATH", "/nowhere");
    // QEMU may be where this system keeps it; then a PATH without it does not matter.
    let output = without_path.output().expect("mote starts");
    if !output.status.success() {
        fails(&output, 125, &["qemu-system-x86_64", "apt-get install"]);
    }
    let mut without_qemu = place.command(["up", "bad"]);
    without_qemu.env("MOTE_QEMU", "/no/such/qemu");
    fails(
        &without_qemu.output().expect("mote starts"),
        125,
        &["/no/such/qemu"],
    );
    let mut not_executable = place.command(["up", "bad"]);
    not_executable.env("MOTE_QEMU", &*text_file);
    let output = not_executable.output().expect("mote starts");
    assert_eq!(output.status.code(), Some(125), "{}", text(&output.stderr));
}

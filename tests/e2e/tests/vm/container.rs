//! Containers from creation to deletion, and the one notification of their end.

use e2e::{Bed, DEADLINE, config};
use mote_host::{
    Container, ContainerConfig, ContainerExit, ExitType, Hresult, Machine, ProcessConfig,
};
use serde_json::json;
use std::io::Write;
use std::time::Duration;

fn create(bed: &Bed, id: &str, args: &[&str]) -> Container {
    let init = ProcessConfig::new(args.iter().copied());
    bed.guest
        .create_container(id, &ContainerConfig::new(&init))
        .unwrap_or_else(|error| panic!("{error}\n{}", bed.vm.console()))
}

#[track_caller]
fn notified(container: &Container) -> ExitType {
    match container.wait_timeout(DEADLINE).expect("ended") {
        ContainerExit::Notified(exit_type) => exit_type,
        ContainerExit::BridgeEnded(reason) => panic!("{reason}"),
    }
}

#[test]
fn a_container_lives_from_creation_to_deletion() {
    let bed = Bed::busybox();
    let container = create(&bed, "one", &["/bin/busybox", "cat"]);
    container.start().expect("started");
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    let list = container.process_list().expect("listed");
    assert_eq!(
        list.iter().map(|process| process.pid).collect::<Vec<_>>(),
        [init.pid()]
    );

    let exec = container
        .create_process(&ProcessConfig::new(["/bin/busybox", "echo", "from exec"]))
        .expect("runs");
    assert_ne!(exec.pid(), init.pid());
    let output = exec.output_within(b"", DEADLINE).expect("ended");
    assert_eq!(
        (output.exit_code, &output.stdout[..]),
        (0, &b"from exec\n"[..])
    );

    let output = init
        .output_within(b"through init", DEADLINE)
        .expect("ended");
    assert_eq!(
        (output.exit_code, &output.stdout[..]),
        (0, &b"through init"[..])
    );
    assert_eq!(notified(&container), ExitType::Unexpected);

    let stopped = container.shutdown().expect_err("it has ended");
    assert!(stopped.is_already_stopped(), "{stopped}");
    bed.guest.delete_container_state("one").expect("deleted");
    let gone = bed.guest.delete_container_state("one").expect_err("gone");
    assert!(gone.is_not_exist(), "{gone}");
    // A second notification would have ended the bridge.
    bed.assert_alive();
}

#[test]
fn the_notification_says_how_the_container_was_ended() {
    let bed = Bed::busybox();
    for (id, end, code, exit_type) in [
        (
            "graceful",
            Container::shutdown as fn(&Container) -> mote_host::Result<()>,
            143,
            ExitType::Graceful,
        ),
        ("forced", Container::terminate, 137, ExitType::Forced),
    ] {
        let container = create(&bed, id, &["/bin/busybox", "sleep", "1000"]);
        container.start().expect("started");
        let init = container
            .create_process(&ProcessConfig::init())
            .expect("runs");
        end(&container).expect("delivered");
        assert_eq!(
            init.output_within(b"", DEADLINE).expect("ended").exit_code,
            code,
            "{id}"
        );
        assert_eq!(notified(&container), exit_type, "{id}");
        bed.guest.delete_container_state(id).expect("deleted");
    }
    bed.assert_alive();
}

#[test]
fn a_container_ends_with_its_init_process() {
    let bed = Bed::busybox();
    let container = create(&bed, "both", &["/bin/busybox", "cat"]);
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    let other = container
        .create_process(&ProcessConfig::new(["/bin/busybox", "sleep", "1000"]).without_stdio())
        .expect("runs");
    assert_eq!(
        init.output_within(b"", DEADLINE).expect("ended").exit_code,
        0
    );
    assert_eq!(other.wait_timeout(DEADLINE).expect("killed with init"), 137);
    notified(&container);
    bed.guest.delete_container_state("both").expect("deleted");
}

#[test]
fn a_created_container_has_an_init_process_that_waits() {
    let bed = Bed::busybox();
    let container = create(&bed, "waiting", &["/bin/busybox", "echo", "at last"]);
    container.start().expect("started");
    assert_eq!(container.process_list().expect("listed").len(), 1);
    assert!(
        container
            .wait_timeout(Duration::ZERO)
            .expect_err("lives")
            .is_timeout()
    );
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    assert_eq!(
        init.output_within(b"", DEADLINE).expect("ended").stdout,
        b"at last\n"
    );
    notified(&container);
}

#[test]
fn an_id_in_use_is_refused_and_the_container_untouched() {
    let bed = Bed::busybox();
    let container = create(&bed, "twice", &["/bin/busybox", "cat"]);
    // The same host object refuses by itself; a connection that does not know the id asks the guest.
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    bed.guest.close();
    let guest = bed.vm.connect().expect("dialled again");
    let error = guest
        .create_container("twice", &ContainerConfig::new(&ProcessConfig::new(["x"])))
        .expect_err("in use");
    assert_eq!(
        error.hresult(),
        Some(Hresult::SYSTEM_ALREADY_EXISTS),
        "{error}"
    );
    drop(init);
}

#[test]
fn what_does_not_exist_is_refused_as_such() {
    let bed = Bed::busybox();
    let container = bed.guest.open_container("nobody").expect("registered here");
    let not_exist = |error: mote_host::Error| assert!(error.is_not_exist(), "{error}");
    not_exist(
        container
            .create_process(&ProcessConfig::init())
            .expect_err("unknown"),
    );
    not_exist(container.process_list().expect_err("unknown"));
    not_exist(
        bed.guest
            .delete_container_state("nobody")
            .expect_err("unknown"),
    );
    container
        .shutdown()
        .expect("an unknown container counts as ended");
    let wait = container
        .open_process(1)
        .expect("sent")
        .wait_timeout(DEADLINE);
    not_exist(wait.expect_err("unknown"));
    bed.assert_alive();
}

#[test]
fn a_second_init_is_refused_and_the_first_one_untouched() {
    let bed = Bed::busybox();
    let container = create(&bed, "init", &["/bin/busybox", "cat"]);
    let init = container
        .create_process(&ProcessConfig::init())
        .expect("runs");
    let error = container
        .create_process(&ProcessConfig::init())
        .expect_err("it runs already");
    assert!(error.hresult().is_some(), "{error}");
    let mut stdin = init.stdin().expect("asked for");
    stdin.write_all(b"still here").expect("taken");
    assert_eq!(
        init.output_within(b"", DEADLINE).expect("ended").stdout,
        b"still here"
    );
    notified(&container);
}

#[test]
fn an_init_that_does_not_exist_fails_the_creation() {
    let bed = Bed::busybox();
    let config = ContainerConfig::new(&ProcessConfig::new(["/no/such/init"]));
    let error = bed
        .guest
        .create_container("absent", &config)
        .expect_err("absent");
    assert!(error.to_string().contains("/no/such/init"), "{error}");
    let gone = bed
        .guest
        .delete_container_state("absent")
        .expect_err("never made");
    assert!(gone.is_not_exist(), "{gone}");
    bed.assert_alive();
}

#[test]
fn a_container_can_be_created_again_after_its_state_was_deleted() {
    let bed = Bed::busybox();
    for round in 0..20 {
        let id = format!("round-{round}");
        let container = create(&bed, &id, &["/programs/exit", "3"]);
        let init = container
            .create_process(&ProcessConfig::init())
            .expect("runs");
        assert_eq!(
            init.output_within(b"", DEADLINE).expect("ended").exit_code,
            3
        );
        notified(&container);
        bed.guest.delete_container_state(&id).expect("deleted");
    }
    bed.assert_alive();
}

#[test]
fn a_container_with_a_root_of_its_own_sees_nothing_else() {
    let tree = e2e::Tree::with_busybox();
    std::fs::create_dir_all(tree.path("roots/a/bin")).expect("made");
    tree.copy(&e2e::host_busybox().0, "roots/a/bin/busybox");
    tree.file("roots/a/inside", b"");
    let bed = Bed::boot(e2e::config(mote_host::Machine::Microvm).disk(tree.image()));
    let init = ProcessConfig::new(["/bin/busybox", "ls", "/"]);
    let config = ContainerConfig::new(&init).root("/roots/a");
    let container = bed
        .guest
        .create_container("rooted", &config)
        .expect("created");
    let output = container
        .create_process(&ProcessConfig::init())
        .expect("runs")
        .output_within(b"", DEADLINE)
        .expect("ended");
    let names = String::from_utf8_lossy(&output.stdout);
    assert!(names.lines().any(|name| name == "inside"), "{names}");
    assert!(!names.lines().any(|name| name == "data"), "{names}");
    notified(&container);
}

/// More than one host has ever put into one VM.
const CONTAINERS: usize = 16;

#[test]
fn sixteen_containers_live_at_once_each_with_its_own_processes_streams_and_end() {
    let bed = Bed::boot(
        e2e::config(mote_host::Machine::Microvm)
            .disk(e2e::busybox_disk())
            .memory_mib(128),
    );
    let ids: Vec<String> = (0..CONTAINERS).map(|number| format!("c{number}")).collect();
    let containers: Vec<Container> = ids
        .iter()
        .map(|id| create(&bed, id, &["/bin/busybox", "cat"]))
        .collect();
    let run = |container: &Container, config: &ProcessConfig| {
        container.create_process(config).expect("runs")
    };
    let inits: Vec<_> = containers
        .iter()
        .map(|container| run(container, &ProcessConfig::init()))
        .collect();
    let execs: Vec<_> = containers
        .iter()
        .map(|container| run(container, &ProcessConfig::new(["/bin/busybox", "cat"])))
        .collect();
    // All of them live, and each lists its own two.
    for ((container, init), exec) in containers.iter().zip(&inits).zip(&execs) {
        let list = container.process_list().expect("listed");
        let mut pids: Vec<u32> = list.iter().map(|process| process.pid).collect();
        pids.sort_unstable();
        let mut own = [init.pid(), exec.pid()];
        own.sort_unstable();
        assert_eq!(pids, own);
    }
    for (id, exec) in ids.iter().zip(&execs) {
        let output = exec.output_within(id.as_bytes(), DEADLINE).expect("ended");
        assert_eq!((output.exit_code, output.stdout), (0, id.clone().into()));
    }
    // They end in three ways, and nobody hears of another's end.
    for (number, (container, init)) in containers.iter().zip(&inits).enumerate() {
        let (code, exit_type) = match number % 3 {
            0 => {
                init.close_stdin().expect("open");
                (0, ExitType::Unexpected)
            }
            1 => {
                container.shutdown().expect("delivered");
                (143, ExitType::Graceful)
            }
            _ => {
                container.terminate().expect("delivered");
                (137, ExitType::Forced)
            }
        };
        let output = init.output_within(b"", DEADLINE).expect("ended");
        assert_eq!(output.exit_code, code);
        assert_eq!(notified(container), exit_type);
        for other in &containers[number + 1..] {
            assert!(other.wait_timeout(Duration::ZERO).is_err());
        }
        bed.guest
            .delete_container_state(&ids[number])
            .expect("deleted");
    }
    bed.assert_alive();
}

#[test]
fn a_user_is_looked_up_by_name_in_the_containers_own_files() {
    let tree = e2e::Tree::with_busybox();
    tree.file(
        "etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\nalice:x:1000:100::/:/bin/sh\n",
    );
    tree.file("etc/group", b"root:x:0:\nstaff:x:50:\n");
    let image = tree.image();
    let bed = Bed::boot(config(Machine::Microvm).disk(&image));
    let specification = |user: &str| {
        ContainerConfig::from_oci(json!({
            "process": {"args": ["/bin/busybox", "id"], "cwd": "/", "user": {"username": user}},
            "root": {"path": "/"}, "linux": {},
        }))
    };
    for (id, user, ids) in [
        ("a", "alice", "uid=1000(alice) gid=100\n"),
        ("b", "1000:staff", "uid=1000(alice) gid=50(staff)\n"),
        ("c", "7", "uid=7 gid=0(root)\n"),
    ] {
        let container = bed.guest.create_container(id, &specification(user));
        let container = container.unwrap_or_else(|error| panic!("{error}"));
        let exec = container.create_process(&ProcessConfig::new(["/bin/busybox", "id"]));
        let exec = exec.and_then(|exec| exec.output_within(b"", DEADLINE));
        let init = container.create_process(&ProcessConfig::init());
        let init = init.and_then(|init| init.output_within(b"", DEADLINE));
        for output in [init, exec] {
            let output = output.expect("runs").stdout;
            assert_eq!(String::from_utf8_lossy(&output), ids, "{user}");
        }
    }
    let error = bed
        .guest
        .create_container("d", &specification("bob"))
        .expect_err("nobody");
    let words = "exec \"bob\": no user of this name in /etc/passwd";
    assert!(error.to_string().contains(words), "{error}");
    bed.assert_alive();
}

//! What the host has mounted, united, shown and taken away (gcs-protocol §11): by whole sequences, with whoever is in the way
//! named, with disks that are pulled, and with nothing left behind.

use crate::bed::Disk;
use crate::machine::{Machine, PATIENCE, Rounds, layer};
use agent::kernel::{
    Action, Change, Event, Holder, Kernel as _, LoadError, Medium, Part, Refusal, StringList, View,
    Writes,
};
use hal::clock::Clock;
use kernel::limits::{CHANGE_BYTES, MAX_CHANGES, MAX_LAYERS};

fn layers(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(layer).collect()
}

fn holder(outcome: Result<(), LoadError>) -> Option<Holder> {
    let error = outcome.expect_err("it is in use");
    assert_eq!(error.reason, "it is in use");
    error.holder
}

#[test]
fn mounting_uniting_using_and_unmounting_leave_nothing_behind() {
    let mut machine = Machine::new(2048, layers(2));
    let mut rounds = Rounds::default();
    for _ in 0..4 {
        machine.mount(0, "/run/a").unwrap();
        machine.mount(1, "/run/b").unwrap();
        machine.unite("/run/b /run/a", "/run/c/rootfs").unwrap();
        let view = machine.view("/run/c/rootfs");
        let shown = Change {
            source: "/data",
            ..Change::at(Action::Bind(view, Writes::Refused), "/data")
        };
        machine.begin(&shown);
        machine.begin(&Change::at(Action::Memory(view, 0o700), "/scratch"));
        machine.spawn(view, "/data").unwrap();
        machine.remove_view(view);
        machine.unmount("/run/c/rootfs").unwrap();
        machine.unmount("/run/a").unwrap();
        machine.unmount("/run/b").unwrap();
        rounds.end(&mut machine);
    }
}

#[test]
fn who_keeps_a_tree_is_named() {
    let mut machine = Machine::new(2048, layers(2));
    machine.mount(0, "/run/a").unwrap();
    machine.mount(1, "/run/b").unwrap();
    // A working directory, and the same seen through what is mounted on it.
    for cwd in ["/run/a", "/run/a/new/deep"] {
        let pid = machine.spawn(View::UTILITY_VM, cwd).unwrap();
        assert_eq!(
            holder(machine.unmount("/run/a")),
            Some(Holder::Process(pid))
        );
        machine.abort(pid);
    }
    // A root, and what it is made of.
    machine.unite("/run/a", "/run/root").unwrap();
    let view = machine.view("/run/root");
    let pid = machine.spawn(view, "/").unwrap();
    let busy = holder(machine.unmount("/run/root"));
    assert_eq!(busy, Some(Holder::Process(pid)));
    let path = |path: &str| Some(Holder::Tree(path.try_into().unwrap()));
    let made = holder(machine.unmount("/run/a"));
    assert_eq!(made, Some(Holder::View(view)), "it lives in that tree");
    machine.remove_view(view);
    assert_eq!(holder(machine.unmount("/run/a")), path("/run/root"));
    // A directory of it that is a root, with a tree of its own.
    let view = machine.view("/run/b/nested");
    machine.spawn(view, "/").unwrap();
    assert_eq!(holder(machine.unmount("/run/b")), Some(Holder::View(view)));
    machine.remove_view(view);
    // What is shown of it elsewhere.
    let view = machine.view("/");
    let shown = Change {
        source: "/run/b",
        ..Change::at(Action::Bind(view, Writes::Kept), "/run/shown")
    };
    machine.begin(&shown);
    machine.spawn(view, "/").unwrap();
    assert_eq!(holder(machine.unmount("/run/b")), Some(Holder::View(view)));
    machine.remove_view(view);
    // A disk, by what stands on it.
    assert_eq!(holder(machine.eject(1)), path("/run/b"));
    machine.unmount("/run/b").unwrap();
    machine.eject(1).unwrap();
    assert_eq!(holder(machine.eject(0)), path("/run/a"));
    machine.unmount("/run/root").unwrap();
    machine.unmount("/run/a").unwrap();
    machine.eject(0).unwrap();
}

/// gcs-protocol §8.2: hosts take a container's layers away before they delete its state.
#[test]
fn what_a_container_stands_on_can_go_once_its_processes_are_gone() {
    let mut machine = Machine::new(2048, layers(2));
    let mut before = None;
    for root in ["/run/c/rootfs", "/run/b", "/run/b/nested", "/"] {
        machine.mount(0, "/run/a").unwrap();
        machine.mount(1, "/run/b").unwrap();
        machine.unite("/run/b /run/a", "/run/c/rootfs").unwrap();
        let view = machine.view(root);
        let shown = Change {
            source: "/run/a/number",
            ..Change::at(Action::Bind(view, Writes::Kept), "/shown")
        };
        machine.begin(&shown);
        machine.begin(&Change::at(Action::Memory(view, 0o700), "/scratch"));
        let pid = machine.spawn(view, "/").unwrap();
        let kept = if root == "/run/c/rootfs" {
            root
        } else {
            "/run/a"
        };
        assert!(machine.unmount(kept).is_err(), "its process is there");
        machine.abort(pid);
        for path in ["/run/c/rootfs", "/run/c/rootfs", "/run/b", "/run/a"] {
            machine.unmount(path).unwrap();
        }
        for unit in [0, 1] {
            let disk = Disk::new(layer(usize::from(unit))).called(&format!("scsi-0-{unit}"));
            machine.eject(unit).unwrap();
            assert!(machine.kernel.take_ejected().is_some());
            assert!(machine.kernel.add_disk(disk).is_ok());
        }
        // What its programs saw is gone, so that no other one is started there.
        if root != "/" {
            assert_eq!(machine.spawn(view, "/").unwrap_err().errno, 2, "{root}");
        }
        machine.remove_view(view);
        let after = machine.holdings();
        if let Some(before) = before.filter(|_| root == "/run/b/nested") {
            assert_eq!(before, after);
        }
        before = Some(after);
    }
}

#[test]
fn a_process_that_has_ended_and_was_not_released_keeps_nothing() {
    let mut machine = Machine::new(2048, layers(1));
    machine.mount(0, "/run/a").unwrap();
    let view = machine.view("/run/a");
    let exit = fakes::user::Step::Call(231, [3, 0, 0, 0, 0, 0]);
    let program = machine.kernel.user_mut();
    program.program(fakes::program::CODE, vec![exit]);
    let pid = machine.spawn(view, "/").unwrap();
    assert!(machine.unmount("/run/a").is_err(), "it is yet to run");
    machine.kernel.start(pid).unwrap();
    let ended = Event::Exited(pid, agent::kernel::ExitStatus::Exited(3));
    while machine.event() != ended {}
    machine.unmount("/run/a").unwrap();
    machine.kernel.release(pid);
    machine.remove_view(view);
    machine.eject(0).unwrap();
}

#[test]
fn a_tree_that_stands_on_another_one_s_disk_is_in_nobody_s_way() {
    let mut machine = Machine::new(2048, layers(2));
    machine.mount(0, "/run/a").unwrap();
    machine.unite("/run/a", "/run/u").unwrap();
    // The same disk again, above the first one and elsewhere.
    for path in ["/run/a", "/run/b"] {
        machine.mount(0, path).unwrap();
        machine.unmount(path).unwrap();
    }
    // What is made of a tree and mounted in it goes with it; so does what is mounted in it, unless that is lent.
    machine.unite("/run/a", "/run/a/in").unwrap();
    machine.mount(1, "/run/a/disk").unwrap();
    machine.unite("/run/a/disk", "/run/v").unwrap();
    machine.unmount("/run/u").unwrap();
    let lent = Some(Holder::Tree("/run/v".try_into().unwrap()));
    assert_eq!(holder(machine.unmount("/run/a")), lent);
    machine.unmount("/run/v").unwrap();
    machine.unmount("/run/a").unwrap();
    for unit in [0, 1] {
        machine.eject(unit).unwrap();
    }
}

#[test]
fn a_tree_in_memory_goes_with_its_container_wherever_it_is_mounted() {
    let mut machine = Machine::new(2048, layers(1));
    machine.mount(0, "/run/a").unwrap();
    let mut rounds = Rounds::default();
    for _ in 0..3 {
        for root in ["/run/a", "/", "/run/a/nested"] {
            let view = machine.view(root);
            machine.begin(&Change::at(Action::Memory(view, 0o700), "/tmp/scratch"));
            machine.spawn(view, "/tmp/scratch").unwrap();
            machine.remove_view(view);
        }
        rounds.end(&mut machine);
    }
}

#[test]
fn a_tree_in_use_is_waited_for_and_given_up_at_the_deadline() {
    for leaves in [true, false] {
        let mut machine = Machine::new(2048, layers(1));
        machine.mount(0, "/run/a").unwrap();
        let pid = machine.spawn(View::UTILITY_VM, "/run/a").unwrap();
        let began = machine.clock.now();
        let path = Change::at(Action::Unmount, "/run/a");
        let id = machine.begin(&path);
        machine.settle();
        if leaves {
            machine.kernel.abort(pid);
        }
        assert_eq!(machine.end(id).is_ok(), leaves);
        let waited = machine.clock.now().since(began);
        assert_eq!(waited >= PATIENCE, !leaves, "{waited:?}");
    }
}

#[test]
fn a_disk_that_never_comes_is_given_up_and_one_that_comes_is_mounted() {
    let mut machine = Machine::new(2048, vec![]);
    let error = machine.mount(5, "/run/a").unwrap_err();
    assert_eq!(error.reason, "there is no such disk");
    assert_eq!(error.path.as_str(), "scsi-0-5 /run/a");
    let action = Action::Mount(Medium::Scsi(0, 5), Part::Whole, Writes::Kept);
    let id = machine.begin(&Change::at(action, "/run/a"));
    machine.settle();
    assert!(machine.kernel.take_disk_wish(), "it is to be looked for");
    let disk = Disk::new(layer(0)).called("scsi-0-5");
    assert!(machine.kernel.add_disk(disk).is_ok());
    machine.end(id).unwrap();
}

#[test]
fn a_pulled_disk_gives_errors_to_its_users_and_to_nobody_else() {
    let mut machine = Machine::new(2048, layers(2));
    for (unit, path) in [(0, "/run/a"), (1, "/run/b")] {
        machine.mount(unit, path).unwrap();
    }
    let mut views = ["/run/a", "/run/b"].map(|root| machine.view(root));
    // Its directory is known by now, its program is not.
    machine.pulled[0].set(true);
    let error = machine.spawn(views[0], "/").unwrap_err();
    assert_eq!(error.errno, 5, "EIO: {error:?}");
    machine.spawn(views[1], "/").unwrap();
    machine.spawn(View::UTILITY_VM, "/").unwrap();
    // Another disk takes its place; what stands on the old one does not see it.
    let next = Disk::new(layer(0)).called("scsi-0-0");
    assert!(machine.kernel.add_disk(next).is_ok());
    let error = machine.spawn(views[0], "/").unwrap_err();
    assert_eq!(error.errno, 5, "EIO: {error:?}");
    machine.mount(0, "/run/again").unwrap();
    let again = machine.view("/run/again");
    machine.spawn(again, "/").unwrap();
    // What is left of it goes as if it were there.
    for view in views.iter_mut().chain([&mut { again }]) {
        machine.remove_view(*view);
    }
    for path in ["/run/a", "/run/b", "/run/again"] {
        machine.unmount(path).unwrap();
    }
}

#[test]
fn a_disk_pulled_at_any_moment_of_a_mount_ends_it_and_leaves_nothing() {
    let mut machine = Machine::new(2048, vec![]);
    let mut rounds = Rounds::default();
    for turns in 0..40 {
        let disk = Disk::new(layer(0)).called("scsi-0-0");
        let pulled = disk.dead.clone();
        assert!(machine.kernel.add_disk(disk).is_ok());
        let action = Action::Mount(Medium::Scsi(0, 0), Part::Whole, Writes::Kept);
        let id = machine.begin(&Change::at(action, "/run/a"));
        for _ in 0..turns {
            machine.kernel.run_slice(&machine.clock);
        }
        pulled.set(true);
        // A read that was under way ends; or all was read by then.
        let outcome = machine.end(id);
        if outcome.is_ok() {
            machine.unmount("/run/a").unwrap();
        }
        rounds.end(&mut machine);
        if outcome.is_ok() {
            return;
        }
        // The next one finds the slot free.
        let gone = machine.kernel.take_ejected();
        assert!(gone.is_none());
    }
    panic!("a mount takes fewer turns");
}

#[test]
fn a_given_up_change_leaves_nothing_at_any_moment() {
    let mut machine = Machine::new(2048, layers(2));
    machine.mount(0, "/run/a").unwrap();
    let mut rounds = Rounds::default();
    for turns in 0..40 {
        let action = Action::Mount(Medium::Scsi(0, 1), Part::Whole, Writes::Kept);
        let id = machine.begin(&Change::at(action, "/run/b"));
        let mut ended = None;
        for _ in 0..turns {
            machine.kernel.run_slice(&machine.clock);
            ended = ended.or(machine.kernel.next_event());
        }
        match ended {
            Some(event) => {
                assert_eq!(event, Event::Changed(id, Ok(())));
                machine.unmount("/run/b").unwrap();
            }
            None => {
                machine.kernel.give_up(id);
                machine.settle();
                // What it has mounted by then stays.
                machine.unmount("/run/b").unwrap();
            }
        }
        // The same names are known then, whatever was looked at before.
        machine.mount(1, "/run/b").unwrap();
        machine.unmount("/run/b").unwrap();
        rounds.end(&mut machine);
    }
}

#[test]
fn limits_of_changes_are_named_below_at_and_above() {
    let mut machine = Machine::new(2048, vec![]);
    // A path and two NULs.
    for (bytes, fits) in [
        (CHANGE_BYTES - 3, true),
        (CHANGE_BYTES - 2, true),
        (CHANGE_BYTES - 1, false),
    ] {
        let path = "/".repeat(bytes);
        let change = Change::at(Action::Unmount, &path);
        let begun = machine.kernel.change(&change, machine.clock.now());
        match begun {
            Ok(id) => assert!(fits && machine.end(id).is_err(), "the root stays"),
            Err(refusal) => {
                assert_eq!(refusal, Refusal::Limit("CHANGE_BYTES", CHANGE_BYTES));
                assert!(!fits);
            }
        }
    }
    let action = Action::Mount(Medium::Scsi(3, 0), Part::Whole, Writes::Kept);
    let ids: Vec<_> = (0..MAX_CHANGES)
        .map(|_| machine.begin(&Change::at(action, "/m")))
        .collect();
    let deadline = machine.clock.now();
    let above = machine.kernel.change(&Change::at(action, "/m"), deadline);
    assert_eq!(above, Err(Refusal::Limit("MAX_CHANGES", MAX_CHANGES)));
    for id in ids {
        machine.kernel.give_up(id);
    }
    machine.settle();
}

#[test]
fn a_tree_is_made_of_as_many_layers_as_there_may_be_and_no_more() {
    let mut machine = Machine::new(4096, layers(1));
    machine.mount(0, "/run/a").unwrap();
    for (count, fits) in [
        (MAX_LAYERS - 1, true),
        (MAX_LAYERS, true),
        (MAX_LAYERS + 1, false),
    ] {
        let list = vec!["/run/a"; count].join(" ");
        let made = machine.unite(&list, "/run/u");
        assert_eq!(made.is_ok(), fits, "{count}: {made:?}");
        if fits {
            machine.unmount("/run/u").unwrap();
        } else {
            assert!(made.unwrap_err().reason.contains("MAX_LAYERS"));
        }
    }
    machine.unmount("/run/a").unwrap();
}

#[test]
fn what_cannot_be_mounted_is_refused_by_its_place_and_leaves_nothing() {
    let mut machine = Machine::new(2048, vec![layer(0), vec![0; 1 << 16], vec![]]);
    machine.mount(0, "/run/a").unwrap();
    let mut rounds = Rounds::default();
    for _ in 0..3 {
        for (unit, path, reason) in [
            (0, "/", "operation not permitted"),
            (0, "/data/note", "not a directory"),
            (0, "/data/note/below", "not a directory"),
            (1, "/run/x", "no ext4 that can be read"),
            (2, "/run/x", "input/output error"),
        ] {
            let error = machine.mount(unit, path).unwrap_err();
            assert_eq!(error.reason, reason, "{path}");
            assert_eq!(error.path.as_str(), format!("scsi-0-{unit} {path}"));
        }
        for (layers, reason) in [
            ("/run", "a directory in memory alone is no layer"),
            ("/nowhere", "no such file or directory"),
            ("/data/note", "not a directory"),
            ("/run/a /nowhere", "no such file or directory"),
        ] {
            let outcome = machine.unite(layers, "/run/u");
            if layers == "/run" && outcome.is_ok() {
                // The root's own directory is on a disk.
                machine.unmount("/run/u").unwrap();
                continue;
            }
            assert_eq!(outcome.unwrap_err().reason, reason, "{layers}");
        }
        let error = machine.unmount("/data").unwrap_err();
        assert_eq!(error.reason, "nothing is mounted there");
        machine.unmount("/nowhere").unwrap();
        rounds.end(&mut machine);
    }
}

#[test]
fn a_bind_that_cannot_be_made_is_why_its_container_is_not() {
    let mut machine = Machine::new(2048, layers(1));
    machine.mount(0, "/run/a").unwrap();
    let mut rounds = Rounds::default();
    for _ in 0..3 {
        for (source, over, reason) in [
            ("/nowhere", "/x", "no such file or directory"),
            ("/data/note", "/bin", "is a directory"),
            ("/data", "/number", "not a directory"),
            ("/data", "/", "invalid argument"),
        ] {
            let view = machine.view("/run/a");
            let shown = Change {
                source,
                ..Change::at(Action::Bind(view, Writes::Kept), over)
            };
            machine.begin(&shown);
            let error = machine.spawn(view, "/").unwrap_err();
            assert_eq!((error.path.as_str(), error.reason), (over, reason));
            machine.remove_view(view);
        }
        rounds.end(&mut machine);
    }
}

#[test]
fn a_view_that_is_gone_has_no_mounts() {
    let mut machine = Machine::new(2048, vec![]);
    let view = machine.view("/");
    machine.remove_view(view);
    for action in [Action::Bind(view, Writes::Kept), Action::Memory(view, 0)] {
        let change = Change {
            layers: StringList::default(),
            ..Change::at(action, "/x")
        };
        let begun = machine.kernel.change(&change, machine.clock.now());
        assert_eq!(begun, Err(Refusal::NoView));
    }
}

//! Programs that run as a user the host has named, found in the files of their own root.

use crate::bench::Bench;
use crate::identity::Ids;
use crate::limits::{USER_LIST_BYTES, USER_NAME_BYTES};
use crate::loading_tests::{archive, program};
use agent::kernel::{
    Credentials, Event, Kernel as _, LoadError, Pid, ProcessLimits, Program, Refusal, StringList,
    View, Writes,
};
use std::format;
use std::string::String;
use std::vec::Vec;

const DIRECTORY: u32 = 0o040_755;
const USERS: &[u8] = b"root:x:0:0::/:/bin/sh\nalice:x:1000:100::/:\nseven:x:7:70::/:\n";
const GROUPS: &[u8] = b"root:x:0:\nstaff:x:50:alice,seven\n";

/// A machine whose root has these lists.
fn bench(users: Option<&[u8]>, groups: Option<&[u8]>) -> Bench {
    let program = program();
    let mut files: Vec<(&str, u32, &[u8])> = Vec::from([
        ("bin", DIRECTORY, &[][..]),
        ("bin/test", 0o100_755, &program),
        ("etc", DIRECTORY, &[]),
    ]);
    files.extend(users.map(|list| ("etc/passwd", 0o100_600, list)));
    files.extend(groups.map(|list| ("etc/group", 0o100_600, list)));
    Bench::with_initrd(2048, archive(&files))
}

fn asked(user: &str) -> Program<'_> {
    Program {
        args: StringList::from_packed(b"/bin/test\0").expect("it ends with NUL"),
        env: StringList::default(),
        cwd: "/",
        credentials: Credentials {
            uid: 3,
            gid: 4,
            groups: heapless::Vec::from_slice(&[8, 9]).expect("there is room"),
            ..Credentials::default()
        },
        user,
        terminal: false,
        limits: ProcessLimits::default(),
    }
}

/// Loads a program in a view and tells whom it runs as.
#[expect(clippy::result_large_err, reason = "it is compared, not carried")]
fn load(bench: &mut Bench, view: View, user: &str) -> Result<(Pid, u32, u32), LoadError> {
    let pid = bench
        .kernel
        .spawn(view, &asked(user))
        .expect("there is room");
    bench.settle();
    match bench.kernel.next_event() {
        Some(Event::Loaded(loaded, result)) => {
            assert_eq!(loaded, pid);
            result?;
        }
        other => panic!("the program was not loaded: {other:?}"),
    }
    let identity = bench.kernel.system.identity(bench.id(pid));
    let identity = identity.expect("it is there").clone();
    let (uid, gid) = (identity.files.uid, identity.files.gid);
    assert_eq!(identity.user, Ids::all(uid));
    assert_eq!(identity.group, Ids::all(gid));
    let groups = identity.files.groups;
    assert_eq!(
        groups,
        [8, 9],
        "further groups are those that were asked for"
    );
    Ok((pid, uid, gid))
}

/// Loads a program of the utility VM as `user`.
#[expect(clippy::result_large_err, reason = "it is compared, not carried")]
fn ids(bench: &mut Bench, user: &str) -> Result<(u32, u32), LoadError> {
    let (pid, uid, gid) = load(bench, View::UTILITY_VM, user)?;
    bench.kernel.abort(pid);
    bench.settle();
    Ok((uid, gid))
}

#[test]
fn a_user_is_found_by_name_and_number_and_a_group_besides() {
    let mut bench = bench(Some(USERS), Some(GROUPS));
    for (user, expected) in [
        ("", (3, 4)),
        ("root", (0, 0)),
        ("alice", (1000, 100)),
        ("7", (7, 70)),
        ("8", (8, 0)),
        ("alice:staff", (1000, 50)),
        ("alice:1", (1000, 1)),
        ("8:staff", (8, 50)),
        ("4294967295:4294967294", (u32::MAX, u32::MAX - 1)),
    ] {
        assert_eq!(ids(&mut bench, user).expect(user), expected, "{user}");
    }
}

#[test]
fn whoever_is_not_there_is_named_and_nothing_is_left() {
    let mut bench = bench(Some(USERS), Some(GROUPS));
    ids(&mut bench, "alice:staff").expect("it loads");
    let free = bench.free();
    for (user, reason) in [
        ("bob", "no user of this name in /etc/passwd"),
        ("bob:staff", "no user of this name in /etc/passwd"),
        (":staff", "no user of this name in /etc/passwd"),
        ("-1", "no user of this name in /etc/passwd"),
        ("4294967296", "no user of this name in /etc/passwd"),
        ("alice:bob", "no group of this name in /etc/group"),
        ("alice:", "no group of this name in /etc/group"),
        ("7:bob", "no group of this name in /etc/group"),
        ("a:b:c", "this is neither a user nor user:group"),
    ] {
        let error = ids(&mut bench, user).expect_err(user);
        assert_eq!((error.path.as_str(), error.reason), (user, reason));
        assert_eq!(bench.free(), free, "{user}");
    }
    assert_eq!(bench.kernel.system.shown.len(), 0, "no file is kept open");
}

#[test]
fn without_lists_numbers_are_enough_and_names_are_not() {
    let mut bench = bench(None, None);
    assert_eq!(ids(&mut bench, "5").expect("a number"), (5, 0));
    assert_eq!(ids(&mut bench, "5:6").expect("numbers"), (5, 6));
    for user in ["root", "5:root"] {
        assert_eq!(ids(&mut bench, user).expect_err(user).path.as_str(), user);
    }
}

#[test]
fn a_list_of_many_windows_is_read_to_its_end_and_one_above_the_limit_is_not() {
    let mut users = String::new();
    for nth in 0..4000 {
        users.push_str(&format!("user{nth}:x:{}:{}::/:\n", nth + 1, nth + 2));
    }
    let mut large = bench(Some(users.as_bytes()), None);
    assert_eq!(ids(&mut large, "user3999").expect("the last"), (4000, 4001));
    assert!(ids(&mut large, "user4000").is_err());
    for (above, found) in [(0, true), (1, false)] {
        let mut list = std::vec![b'\n'; USER_LIST_BYTES as usize + above];
        list[..13].copy_from_slice(b"alice:x:1:2::");
        let mut bench = bench(Some(&list), None);
        let outcome = ids(&mut bench, "alice");
        assert_eq!(outcome.is_ok(), found);
    }
}

#[test]
fn a_list_that_is_a_directory_is_refused() {
    let program = program();
    let files: [(&str, u32, &[u8]); 4] = [
        ("bin", DIRECTORY, &[]),
        ("bin/test", 0o100_755, &program),
        ("etc", DIRECTORY, &[]),
        ("etc/passwd", DIRECTORY, &[]),
    ];
    let mut bench = Bench::with_initrd(1024, archive(&files));
    let error = ids(&mut bench, "alice").expect_err("a directory");
    assert!(error.reason.contains("USER_LIST_BYTES"), "{}", error.reason);
}

#[test]
fn a_name_is_taken_below_and_at_its_limit_and_refused_above() {
    let mut bench = bench(Some(USERS), None);
    for length in [USER_NAME_BYTES - 2, USER_NAME_BYTES - 1] {
        let name = "n".repeat(length);
        let error = ids(&mut bench, &name).expect_err("nobody");
        assert!(error.reason.starts_with("no user"), "{}", error.reason);
    }
    let name = "n".repeat(USER_NAME_BYTES);
    let refused = bench.kernel.spawn(View::UTILITY_VM, &asked(&name));
    let limit = Refusal::Limit("USER_NAME_BYTES", USER_NAME_BYTES - 1);
    assert_eq!(refused, Err(limit));
}

/// gcs-protocol §7.3: an exec runs as the user it names, else as the one its container named, else as its ids say.
#[test]
fn further_processes_of_a_container_run_as_its_first_one_was_named() {
    let mut bench = bench(Some(USERS), Some(GROUPS));
    for (first, second, expected) in [
        ("alice", "", (1000, 100)),
        ("alice:staff", "", (1000, 50)),
        ("alice", "seven", (7, 70)),
        ("", "", (3, 4)),
        ("", "seven", (7, 70)),
    ] {
        let view = bench.kernel.create_view("/", Writes::Kept, None);
        let view = view.expect("there is room");
        load(&mut bench, view, first).expect("it loads");
        let (_, uid, gid) = load(&mut bench, view, second).expect("it loads");
        assert_eq!((uid, gid), expected, "{first:?} then {second:?}");
        let (_, uid, _) = load(&mut bench, view, "").expect("it loads");
        assert_eq!(uid, if first.is_empty() { 3 } else { 1000 });
        bench.kernel.remove_view(view);
        bench.settle();
    }
    assert_eq!(ids(&mut bench, "").expect("it loads"), (3, 4));
}

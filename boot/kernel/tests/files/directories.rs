//! Directories of a disk in front of which much was changed: what shows, what hides, and how long one turn looks.

use crate::bed::{Bed, Disk, image};
use kernel::account::Resource;
use kernel::errno::Errno;
use kernel::fs::{Credentials, Last, OpenFlags};
use kernel::limits::{WORK_ENTRIES, WORK_NAMES};
use kernel::wait::Why;
use std::collections::BTreeSet;
use std::fs;

/// Names of the disk's large directory: more than a turn looks at.
const MANY: usize = 3 * WORK_ENTRIES;

const RW: OpenFlags = OpenFlags::RDWR;

fn bed() -> Bed {
    let disk = Disk::new(image(8, &["-b", "1024"], |root| {
        fs::create_dir_all(root.join("many")).unwrap();
        for nth in 0..MANY {
            fs::write(root.join(format!("many/{nth}")), "").unwrap();
        }
        fs::create_dir_all(root.join("few")).unwrap();
        fs::write(root.join("few/file"), "of the disk").unwrap();
        std::os::unix::fs::symlink("few", root.join("link")).unwrap();
        std::os::unix::fs::symlink("file", root.join("few/own")).unwrap();
    }));
    Bed::mounted(4096, vec![disk])
}

#[test]
fn a_file_that_is_changed_while_its_directory_is_read_is_listed_once() {
    let mut bed = bed();
    let mut names = vec![];
    bed.read_directory("/many", |bed, _, name| {
        // Some before they are listed, some behind.
        let nth = names.len();
        let target = format!("/many/{}", nth * 7 % MANY);
        match nth % 3 {
            0 => bed.chmod(&target, 0o600).unwrap(),
            1 => bed.write_all(&target, b"changed").unwrap(),
            _ => {
                bed.unlink(&target).unwrap();
                bed.write_all(&target, b"made anew").unwrap();
            }
        }
        names.push(name);
    })
    .unwrap();
    let known: BTreeSet<_> = names.iter().collect();
    assert_eq!((names.len(), known.len()), (MANY + 2, MANY + 2));
}

#[test]
fn a_changed_file_is_listed_as_what_it_is_now() {
    let mut bed = bed();
    bed.unlink("/few/file").unwrap();
    bed.make_directory("/few/file").unwrap();
    let mut found = None;
    bed.read_directory("/few", |_, listed, name| {
        if name == "file" {
            assert!(found.is_none(), "listed twice");
            found = Some((listed.kind, listed.number));
        }
    })
    .unwrap();
    let number = bed.stat("/few/file").unwrap().number;
    assert_eq!(found, Some((4, number)));
}

#[test]
fn a_turn_looks_at_some_removed_names_only_and_the_next_one_goes_on() {
    let mut bed = bed();
    for nth in 0..MANY {
        bed.unlink(&format!("/many/{nth}")).unwrap();
    }
    let fd = bed.open("/many", OpenFlags::DIRECTORY).unwrap();
    let id = bed.description(fd);
    for dots in 1..=2 {
        bed.files.skip_entry(id, dots);
    }
    let mut turns = 0;
    loop {
        match bed.once(|files, context| files.next_entry(context, id)) {
            Ok(listed) => {
                assert!(listed.is_none());
                break;
            }
            Err(stall) => assert_eq!(stall.why(), Why::Again),
        }
        turns += 1;
    }
    assert!((2..=4).contains(&turns), "{turns} turns");
    bed.close(fd);
    let before = bed.stalls;
    bed.remove_directory("/many").unwrap();
    assert!((2..=4).contains(&(bed.stalls - before)));
}

#[test]
fn a_name_that_shows_again_keeps_its_directory_wherever_the_search_has_come_to() {
    for again in ["/many/0", "/many/700"] {
        let mut bed = bed();
        for nth in 0..MANY {
            bed.unlink(&format!("/many/{nth}")).unwrap();
        }
        // The search is cut: nothing is decided yet.
        bed.at(|files, context, start| {
            let tried = files.remove_directory(context, start, b"/many");
            assert!(tried.is_err_and(|stall| !stall.is_error()));
            Ok(())
        })
        .unwrap();
        bed.write_all(again, b"").unwrap();
        assert_eq!(bed.remove_directory("/many"), Err(Errno::ENOTEMPTY));
        bed.unlink(again).unwrap();
        // A file of another name, moved onto a mark.
        bed.write_all("/few/new", b"").unwrap();
        bed.rename("/few/new", again).unwrap();
        assert_eq!(bed.remove_directory("/many"), Err(Errno::ENOTEMPTY));
        bed.unlink(again).unwrap();
        bed.remove_directory("/many").unwrap();
    }
}

#[test]
fn the_marks_of_a_removed_directory_go_over_many_turns() {
    let mut bed = bed();
    let used = |bed: &Bed| bed.accounts.get(bed.account).unwrap().used(Resource::Names);
    for nth in 0..MANY {
        bed.unlink(&format!("/many/{nth}")).unwrap();
    }
    while bed.tear_down() {}
    let before = used(&bed);
    bed.remove_directory("/many").unwrap();
    let (mut turns, mut left) = (0, used(&bed));
    while bed.tear_down() {
        let now = used(&bed);
        assert!(left - now <= WORK_NAMES as u64 + 1);
        (turns, left) = (turns + 1, now);
    }
    assert!(turns >= MANY / WORK_NAMES, "{turns} turns");
    // The mark of the directory itself stays.
    assert_eq!(left, before - MANY as u64 + 1);
}

#[test]
fn a_tree_that_is_unmounted_over_marks_under_way_leaves_nothing() {
    let mut bed = bed();
    bed.forget_clean();
    let over = bed.walk("/", Last::Follow).unwrap();
    for turns in [0, 1, 3] {
        let view = bed
            .run(|files, context| files.mount_view(context, over.by_ref()))
            .unwrap();
        let machine = bed.root.replace(view).unwrap();
        for directory in ["/many", "/few"] {
            for name in bed.list(directory).unwrap() {
                if !name.starts_with('.') {
                    bed.unlink(&format!("{directory}/{name}")).unwrap();
                }
            }
            bed.remove_directory(directory).unwrap();
        }
        for _ in 0..turns {
            bed.tear_down();
        }
        let view = bed.root.replace(machine).unwrap();
        bed.files.unmount_view(view);
        while bed.tear_down() {}
        let account = bed.accounts.get(bed.account).unwrap();
        // What the machine's own tree is furnished with.
        assert!(account.used(Resource::Names) < 32);
    }
    bed.release(over);
    assert_eq!(bed.list("/few").unwrap().len(), 4);
}

#[test]
fn what_a_removed_directory_had_on_the_disk_does_not_show_again() {
    let mut bed = bed();
    let inside = bed.walk("/few", Last::Follow).unwrap();
    bed.unlink("/few/file").unwrap();
    bed.unlink("/few/own").unwrap();
    bed.remove_directory("/few").unwrap();
    while bed.tear_down() {}
    for path in [&b"file"[..], b"own", b"never"] {
        let found = bed.run(|files, context| {
            let start = kernel::fs::Start {
                root: inside.by_ref(),
                base: inside.by_ref(),
            };
            let place = files.walk(context, start, path, Last::Keep)?;
            files.release_place(place);
            Ok(())
        });
        assert_eq!(found, Err(Errno::ENOENT), "{path:?}");
    }
    bed.release(inside);
}

#[test]
fn a_slash_behind_a_link_does_not_lead_a_removal_to_what_it_points_to() {
    let mut bed = bed();
    bed.make_directory("/empty").unwrap();
    bed.symlink("/to", "/empty").unwrap();
    bed.symlink("/nowhere", "/absent").unwrap();
    assert_eq!(bed.remove_directory("/to/"), Err(Errno::ENOTDIR));
    assert_eq!(bed.unlink("/to//"), Err(Errno::ENOTDIR));
    assert_eq!(bed.rename("/to/", "/other"), Err(Errno::ENOTDIR));
    assert_eq!(bed.make_directory("/nowhere/"), Err(Errno::EEXIST));
    assert_eq!(bed.link("/few/file", "/nowhere/"), Err(Errno::EEXIST));
    assert!(bed.stat("/empty").is_ok());
    // On the way, and for who only looks, it is followed.
    assert!(bed.stat("/link/own").is_ok());
    assert_eq!(bed.stat("/to/").unwrap(), bed.stat("/empty").unwrap());
    bed.remove_directory("/link/../empty").unwrap();
}

#[test]
fn open_makes_nothing_whose_name_ends_with_a_slash() {
    let mut bed = bed();
    for path in ["/few/file/", "/few/new/", "/few/", "/link/"] {
        let opened = bed.open(path, RW | OpenFlags::CREAT);
        assert_eq!(opened, Err(Errno::EISDIR), "{path}");
    }
    assert_eq!(bed.open("/few/file/", RW), Err(Errno::ENOTDIR));
}

#[test]
fn moving_a_directory_elsewhere_needs_the_right_to_write_to_it() {
    let mut bed = bed();
    for path in ["/here", "/there", "/here/closed", "/there/open"] {
        bed.make_directory(path).unwrap();
        bed.chmod(path, 0o777).unwrap();
    }
    bed.credentials = Credentials::of_user(1000, 1000);
    bed.make_directory("/here/own").unwrap();
    bed.chmod("/here/own", 0o555).unwrap();
    assert_eq!(bed.rename("/here/own", "/there/own"), Err(Errno::EACCES));
    // In its own directory nothing in it changes.
    bed.rename("/here/own", "/here/other").unwrap();
    bed.chmod("/here/other", 0o755).unwrap();
    bed.rename("/here/other", "/there/own").unwrap();
}

#[test]
fn a_file_does_not_act_for_a_group_its_maker_is_not_in() {
    let mut bed = bed();
    bed.make_directory("/shared").unwrap();
    bed.chmod("/shared", 0o2777).unwrap();
    bed.credentials = Credentials::of_user(1000, 1000);
    let made = |bed: &mut Bed, path: &str, mode| {
        bed.at(|files, context, start| files.make_node(context, start, path.as_bytes(), mode, 0))
            .unwrap();
        let known = bed.stat(path).unwrap();
        (known.gid, known.permissions)
    };
    assert_eq!(made(&mut bed, "/shared/a", 0o102755), (0, 0o755));
    // Without the right to execute it means nothing of the kind.
    assert_eq!(made(&mut bed, "/shared/b", 0o102745), (0, 0o2745));
    bed.credentials.groups = [0].into_iter().collect();
    assert_eq!(made(&mut bed, "/shared/c", 0o102755), (0, 0o2755));
}

#[test]
fn an_entry_tells_how_many_were_looked_at_to_find_it() {
    let mut bed = bed();
    let mut names = vec![];
    bed.read_directory("/many", |_, _, name| names.push(name))
        .unwrap();
    for (nth, name) in names[2..].iter().enumerate() {
        if nth % 64 != 63 {
            bed.unlink(&format!("/many/{name}")).unwrap();
        }
    }
    let mut looks = vec![];
    bed.read_directory("/many", |_, listed, _| looks.push(listed.looks))
        .unwrap();
    assert_eq!(looks[..2], [1, 1]);
    assert_eq!(looks[2..], [64; MANY / 64]);
}

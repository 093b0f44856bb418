//! What stands in a view: devices, `/proc`, what it has changed itself; and a view without a disk.

use crate::bed::{Bed, Disk, image, pattern};
use kernel::errno::Errno;
use kernel::fs::{Access, Kind, Last, OpenFlags};
use std::fs;

const WRITE: OpenFlags = OpenFlags::WRONLY;
const RW: OpenFlags = OpenFlags::RDWR;

fn bed() -> Bed {
    let disk = Disk::new(image(8, &["-b", "1024"], |root| {
        fs::create_dir_all(root.join("dir")).unwrap();
        fs::write(root.join("dir/other"), "other").unwrap();
    }));
    Bed::mounted(2048, vec![disk])
}

#[test]
fn devices_do_what_they_are_there_for() {
    let mut bed = bed();
    let open = |bed: &mut Bed, path| bed.open(path, RW).unwrap();
    let null = open(&mut bed, "/dev/null");
    assert_eq!(bed.read(null, None, 10).unwrap(), b"");
    assert_eq!(bed.write(null, None, b"gone").unwrap(), 4);
    let zero = open(&mut bed, "/dev/zero");
    assert_eq!(bed.read(zero, None, 3).unwrap(), [0; 3]);
    let full = open(&mut bed, "/dev/full");
    assert_eq!(bed.write(full, None, b"x"), Err(Errno::ENOSPC));
    let random = open(&mut bed, "/dev/urandom");
    assert_ne!(bed.read(random, None, 16).unwrap(), [0; 16]);
    assert_eq!(bed.open("/dev/tty", RW), Err(Errno::ENXIO));
    assert_eq!(bed.stat("/dev/null").unwrap().special, 0x103);
}

#[test]
fn proc_shows_the_process_that_asks() {
    let mut bed = bed();
    let fd = bed.open("/dir/other", OpenFlags::empty()).unwrap();
    assert_eq!(
        bed.read_all("/proc/version").unwrap(),
        b"Linux version 5.15\n"
    );
    assert_eq!(bed.read_all("/proc/self/comm").unwrap(), b"prog\n");
    assert_eq!(bed.read_all("/proc/sys/kernel/ostype").unwrap(), b"Linux\n");
    assert!(
        bed.list("/proc/sys/kernel/random")
            .unwrap()
            .contains(&"uuid".to_owned())
    );
    let tree = String::from_utf8(bed.read_all("/proc/self/mountinfo").unwrap()).unwrap();
    let root: Vec<&str> = tree.lines().next().unwrap().split(' ').collect();
    assert_eq!((root[1], root[4], root[6]), ("1", "/", "-"), "{tree}");
    // Every other tree is mounted in one of the list.
    let ids: Vec<&str> = tree
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    for line in tree.lines().skip(1) {
        let over = line.split(' ').nth(1).unwrap();
        assert!(ids.contains(&over), "{line}");
    }
    assert_eq!(bed.link_target("/proc/thread-self").unwrap(), "7/task/8");
    assert_eq!(bed.list("/proc/7/task").unwrap(), [".", "..", "7", "8"]);
    assert!(bed.list("/proc/self").unwrap().contains(&"task".to_owned()));
    assert!(
        !bed.list("/proc/7/task/8")
            .unwrap()
            .contains(&"task".to_owned())
    );
    for name in [
        "self/task/6",
        "self/task/9",
        "self/task/08",
        "self/task/8/task",
    ] {
        assert_eq!(
            bed.stat(&format!("/proc/{name}")),
            Err(Errno::ENOENT),
            "{name}"
        );
    }
    assert_ne!(
        bed.stat("/proc/7/task/8/stat").unwrap().number,
        bed.stat("/proc/7/stat").unwrap().number
    );
    // What nobody can tell is not there, instead of empty.
    for name in ["interrupts", "net", "self/smaps", "sys/kernel/net"] {
        assert_eq!(bed.stat(&format!("/proc/{name}")), Err(Errno::ENOENT));
    }
    assert_eq!(bed.link_target("/proc/self").unwrap(), "7");
    let link = format!("/proc/self/fd/{fd}");
    assert_eq!(bed.link_target(&link).unwrap(), "/dir/other");
    assert_eq!(bed.read_all(&link).unwrap(), b"other");
    assert_eq!(bed.link_target("/proc/7/cwd").unwrap(), "/");
    assert!(bed.list("/proc").unwrap().contains(&"7".to_owned()));
    assert_eq!(bed.stat("/proc/8"), Err(Errno::ENOENT));
    assert_eq!(bed.stat("/proc/07"), Err(Errno::ENOENT));
    assert_eq!(bed.write_all("/proc/new", b"x"), Err(Errno::EPERM));
    let (reader, writer) = bed.pipe();
    let through = bed.open(&format!("/dev/fd/{writer}"), WRITE).unwrap();
    bed.write(through, None, b"pipe").unwrap();
    assert_eq!(bed.read(reader, None, 10).unwrap(), b"pipe");
    let mounts = String::from_utf8(bed.read_all("/proc/mounts").unwrap()).unwrap();
    assert!(mounts.starts_with("overlay / overlay rw 0 0\n"), "{mounts}");
    let mut out = [0; 4];
    for path in ["/proc/self", &format!("/proc/self/fd/{writer}")] {
        let place = bed.walk(path, Last::Keep).unwrap();
        let target = bed.link_target(path).unwrap();
        for room in 0..=4 {
            let into = &mut out[..room];
            let length = bed.run(|files, context| files.link_target(context, place.by_ref(), into));
            let fits = target.len() <= room;
            let expected = if fits {
                Ok(target.len())
            } else {
                Err(Errno::ENAMETOOLONG)
            };
            assert_eq!(length, expected, "{path}, {room} bytes");
        }
        bed.release(place);
    }
}

#[test]
fn a_view_is_told_of_its_own_mounts_only() {
    let mut bed = bed();
    let machine = bed.read_all("/proc/mounts").unwrap();
    let over = bed.walk("/dir", Last::Follow).unwrap();
    let view = bed
        .run(|files, context| files.mount_view(context, over.by_ref()))
        .unwrap();
    bed.release(over);
    assert_eq!(bed.read_all("/proc/mounts").unwrap(), machine);
    let (a, b) = (
        bed.files.share_place(view.by_ref()),
        bed.files.share_place(view.by_ref()),
    );
    let directories = bed.files.new_directories(a, b).unwrap();
    bed.processes.directories.set(Some(directories));
    let _machine = bed.root.replace(view);
    let own = String::from_utf8(bed.read_all("/proc/mounts").unwrap()).unwrap();
    let lines: Vec<&str> = own.lines().collect();
    assert_eq!(lines.len(), 4, "{own}");
    for line in [
        "overlay / overlay rw 0 0",
        "devtmpfs /dev devtmpfs rw 0 0",
        "devpts /dev/pts devpts rw 0 0",
        "proc /proc proc rw 0 0",
    ] {
        assert!(lines.contains(&line), "{own}");
    }
}

#[test]
fn a_view_sees_the_disk_and_its_own_changes_only() {
    let mut bed = bed();
    bed.write_all("/dir/other", b"machine").unwrap();
    let free = bed.used_frames();
    let over = bed.walk("/dir", Last::Follow).unwrap();
    let view = bed
        .run(|files, context| files.mount_view(context, over.by_ref()))
        .unwrap();
    bed.release(over);
    let machine = bed.root.replace(view).unwrap();
    assert_eq!(bed.read_all("/other").unwrap(), b"other");
    assert_eq!(bed.read_all("/../../other").unwrap(), b"other");
    assert_eq!(bed.stat("/dev/null").unwrap().kind, Kind::Character);
    bed.write_all("/other", b"view").unwrap();
    bed.write_all("/only-here", &pattern(9_000)).unwrap();
    let view = bed.root.replace(machine).unwrap();
    assert_eq!(bed.read_all("/dir/other").unwrap(), b"machine");
    assert_eq!(bed.stat("/dir/only-here"), Err(Errno::ENOENT));
    bed.run_once(|files, _| files.unmount_view(view));
    assert_eq!(bed.used_frames(), free);
    assert_eq!(bed.read_all("/dir/other").unwrap(), b"machine");
}

#[test]
fn a_view_can_be_made_and_taken_away_for_ever() {
    let mut bed = bed();
    for round in 0..600 {
        let over = bed.walk("/dir", Last::Follow).unwrap();
        let view = bed.run(|files, context| files.mount_view(context, over.by_ref()));
        bed.release(over);
        let view = view.unwrap_or_else(|errno| panic!("round {round}: {errno}"));
        bed.run_once(|files, _| files.unmount_view(view));
    }
}

#[test]
fn the_initrd_is_the_root_when_there_is_no_disk() {
    let mut archive = vec![];
    for (path, mode, data) in [
        ("bin", 0o040_755, &b""[..]),
        ("bin/prog", 0o100_755, &pattern(9_000)[..]),
        ("prog", 0o120_777, b"bin/prog"),
        ("TRAILER!!!", 0, b""),
    ] {
        let header = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{:08x}",
            1,
            0,
            0,
            1,
            0,
            data.len(),
            0,
            0,
            0,
            0,
            path.len() + 1,
            0
        );
        archive.extend(header.as_bytes());
        archive.extend(path.as_bytes());
        archive.push(0);
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(data);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    let mut bed = Bed::new(256, vec![]);
    bed.files.set_initrd(archive.leak());
    bed.mount().unwrap();
    assert_eq!(bed.read_all("/prog").unwrap(), pattern(9_000));
    assert_eq!(bed.stat("/bin/prog").unwrap().permissions, 0o755);
    bed.write_all("/bin/prog", b"mine").unwrap();
    assert_eq!(bed.read_all("/prog").unwrap(), b"mine");
    assert_eq!(bed.list("/bin").unwrap(), [".", "..", "prog"]);
    let place = bed.walk("/bin/prog", Last::Follow).unwrap();
    let permit =
        bed.once(|files, context| Ok(files.permit(context, place.by_ref(), Access::READ)?));
    assert!(permit.is_ok());
    bed.release(place);
}

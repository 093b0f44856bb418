//! Changes of files and names, which land in memory in front of a disk that stays as it is.

use crate::bed::{Bed, Disk, image, pattern};
use kernel::errno::Errno;
use kernel::fs::{Credentials, Kind, Last, NewTime, OpenFlags};
use kernel::limits::{FILE_BYTES, MAX_NAMES, NAMES_SPARE};
use std::fs;
use std::time::Duration;

fn disk() -> Disk {
    Disk::new(image(8, &["-b", "1024"], |root| {
        fs::create_dir_all(root.join("dir/sub")).unwrap();
        fs::write(root.join("dir/file"), pattern(10_000)).unwrap();
        fs::write(root.join("dir/other"), "other").unwrap();
        fs::write(root.join("dir/sub/deep"), "deep").unwrap();
        fs::hard_link(root.join("dir/other"), root.join("dir/twin")).unwrap();
    }))
}

fn bed() -> Bed {
    Bed::mounted(2048, vec![disk()])
}

const WRITE: OpenFlags = OpenFlags::WRONLY;
const RW: OpenFlags = OpenFlags::RDWR;

#[test]
fn a_new_file_is_there_until_it_is_removed_and_leaves_nothing() {
    let mut bed = bed();
    bed.list("/dir").unwrap();
    bed.forget_clean();
    let free = bed.pool.available();
    bed.write_all("/dir/new", &pattern(20_000)).unwrap();
    assert_eq!(bed.read_all("/dir/new").unwrap(), pattern(20_000));
    assert_eq!(
        bed.list("/dir").unwrap(),
        [".", "..", "file", "new", "other", "sub", "twin"]
    );
    bed.unlink("/dir/new").unwrap();
    assert_eq!(bed.stat("/dir/new"), Err(Errno::ENOENT));
    assert_eq!(bed.list("/dir").unwrap().len(), 6);
    bed.forget_clean();
    assert_eq!(bed.pool.available(), free);
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn a_file_without_a_name_is_not_supported_where_none_can_be_made() {
    let mut bed = bed();
    let flags = WRITE | OpenFlags::TMPFILE | OpenFlags::DIRECTORY;
    assert_eq!(bed.open("/proc", flags), Err(Errno::EOPNOTSUPP));
    assert_eq!(bed.open("/dir/file", flags), Err(Errno::ENOTDIR));
    assert!(bed.open("/dir", flags).is_ok());
}

#[test]
fn only_its_owner_opens_a_file_without_leaving_a_trace() {
    let mut bed = bed();
    let quiet = OpenFlags::NOATIME;
    assert!(bed.open("/dir/file", quiet).is_ok());
    bed.credentials = Credentials::of_user(1000, 1000);
    assert_eq!(bed.open("/dir/file", quiet), Err(Errno::EPERM));
    assert!(bed.open("/dir/file", OpenFlags::empty()).is_ok());
}

#[test]
fn writing_into_a_files_middle_keeps_the_rest_of_it() {
    let mut bed = bed();
    let fd = bed.open("/dir/file", RW).unwrap();
    assert_eq!(bed.write(fd, Some(5_000), b"change").unwrap(), 6);
    let mut expected = pattern(10_000);
    expected[5_000..5_006].copy_from_slice(b"change");
    assert_eq!(bed.read_all("/dir/file").unwrap(), expected);
    assert_eq!(bed.used_frames(), 1);
    bed.close(fd);
    bed.forget_clean();
    assert_eq!(bed.read_all("/dir/file").unwrap(), expected);
}

#[test]
fn what_is_cut_off_never_comes_back() {
    let mut bed = bed();
    for (length, again) in [(6_000, 9_000), (4_096, 8_192), (1, 10_000), (0, 5)] {
        bed.truncate("/dir/file", length).unwrap();
        bed.truncate("/dir/file", again).unwrap();
        let content = bed.read_all("/dir/file").unwrap();
        assert_eq!(content.len() as u64, again);
        assert_eq!(content[..length as usize], pattern(length as usize));
        assert!(content[length as usize..].iter().all(|&byte| byte == 0));
    }
    let fd = bed.open("/dir/other", WRITE | OpenFlags::TRUNC).unwrap();
    bed.close(fd);
    assert_eq!(bed.read_all("/dir/other").unwrap(), b"");
}

#[test]
fn appending_goes_behind_the_end_wherever_the_offset_is() {
    let mut bed = bed();
    let fd = bed.open("/dir/other", WRITE | OpenFlags::APPEND).unwrap();
    bed.write(fd, None, b"+1").unwrap();
    bed.truncate("/dir/other", 3).unwrap();
    bed.write(fd, None, b"+2").unwrap();
    assert_eq!(bed.read_all("/dir/other").unwrap(), b"oth+2");
}

#[test]
fn removed_names_of_the_disk_stay_removed() {
    let mut bed = bed();
    bed.unlink("/dir/file").unwrap();
    assert_eq!(bed.stat("/dir/file"), Err(Errno::ENOENT));
    assert_eq!(bed.unlink("/dir/file"), Err(Errno::ENOENT));
    assert!(!bed.list("/dir").unwrap().contains(&"file".to_owned()));
    bed.write_all("/dir/file", b"new").unwrap();
    assert_eq!(bed.read_all("/dir/file").unwrap(), b"new");
    bed.unlink("/dir/file").unwrap();
    assert_eq!(bed.stat("/dir/file"), Err(Errno::ENOENT));
}

#[test]
fn a_directory_goes_only_when_it_is_empty() {
    let mut bed = bed();
    assert_eq!(bed.remove_directory("/dir/sub"), Err(Errno::ENOTEMPTY));
    assert_eq!(bed.remove_directory("/dir/file"), Err(Errno::ENOTDIR));
    assert_eq!(bed.unlink("/dir/sub"), Err(Errno::EISDIR));
    assert_eq!(bed.remove_directory("/dir/sub/."), Err(Errno::EINVAL));
    assert_eq!(bed.remove_directory("/dir/sub/.."), Err(Errno::ENOTEMPTY));
    assert_eq!(bed.remove_directory("/"), Err(Errno::EBUSY));
    assert_eq!(bed.remove_directory("/proc"), Err(Errno::EBUSY));
    bed.unlink("/dir/sub/deep").unwrap();
    bed.remove_directory("/dir/sub").unwrap();
    assert_eq!(bed.stat("/dir/sub"), Err(Errno::ENOENT));
    bed.make_directory("/dir/sub").unwrap();
    assert_eq!(bed.list("/dir/sub").unwrap(), [".", ".."]);
}

#[test]
fn an_open_file_outlives_its_name() {
    let mut bed = bed();
    let fd = bed.open("/dir/file", RW).unwrap();
    bed.unlink("/dir/file").unwrap();
    assert_eq!(bed.read(fd, Some(0), 100).unwrap(), pattern(100));
    bed.write(fd, Some(0), b"still").unwrap();
    assert_eq!(bed.read(fd, Some(0), 5).unwrap(), b"still");
    bed.close(fd);
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn renaming_moves_files_and_whole_directories() {
    let mut bed = bed();
    bed.rename("/dir/file", "/moved").unwrap();
    assert_eq!(bed.read_all("/moved").unwrap(), pattern(10_000));
    assert_eq!(bed.stat("/dir/file"), Err(Errno::ENOENT));
    bed.rename("/dir/sub", "/up").unwrap();
    assert_eq!(bed.read_all("/up/deep").unwrap(), b"deep");
    assert_eq!(bed.read_all("/up/../dir/other").unwrap(), b"other");
    assert_eq!(bed.rename("/dir", "/dir/inside"), Err(Errno::EINVAL));
    assert_eq!(bed.rename("/up", "/dir"), Err(Errno::ENOTEMPTY));
    assert_eq!(bed.rename("/moved", "/up"), Err(Errno::EISDIR));
    assert_eq!(bed.rename("/up", "/moved"), Err(Errno::ENOTDIR));
    assert_eq!(bed.rename("/moved", "/dev/moved"), Err(Errno::EXDEV));
    // Before it is asked whether the name may go: nobody may take one out of /proc.
    assert_eq!(bed.rename("/proc/version", "/moved"), Err(Errno::EXDEV));
    bed.rename("/moved", "/dir/other").unwrap();
    assert_eq!(bed.read_all("/dir/other").unwrap(), pattern(10_000));
    assert_eq!(bed.read_all("/dir/twin").unwrap(), b"other");
    bed.rename("/dir/other", "/dir/other").unwrap();
    assert_eq!(bed.list("/dir").unwrap(), [".", "..", "other", "twin"]);
}

#[test]
fn every_name_of_a_file_shows_its_changes() {
    let mut bed = bed();
    bed.write_all("/dir/other", b"changed").unwrap();
    assert_eq!(bed.read_all("/dir/twin").unwrap(), b"changed");
    bed.unlink("/dir/other").unwrap();
    assert_eq!(bed.read_all("/dir/twin").unwrap(), b"changed");
    assert_eq!(bed.stat("/dir/twin").unwrap().links, 1);
    bed.link("/dir/twin", "/third").unwrap();
    assert_eq!(bed.stat("/third").unwrap().links, 2);
    assert_eq!(bed.link("/dir", "/no"), Err(Errno::EPERM));
    assert_eq!(bed.link("/third", "/dir/twin"), Err(Errno::EEXIST));
    bed.unlink("/dir/twin").unwrap();
    bed.unlink("/third").unwrap();
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn changes_are_kept_when_the_name_cache_is_full_of_other_names() {
    let mut bed = Bed::mounted(600, vec![disk()]);
    bed.at(|files, context, start| {
        let place = files.walk(context, start, b"/dir/file", Last::Keep)?;
        let changed = files.set_permissions(context, place.by_ref(), 0o400);
        files.release_place(place);
        Ok(changed?)
    })
    .unwrap();
    for number in 0..2_000 {
        assert_eq!(bed.stat(&format!("/dir/no-{number}")), Err(Errno::ENOENT));
    }
    assert_eq!(bed.stat("/dir/file").unwrap().permissions, 0o400);
}

#[test]
fn a_path_is_walked_as_path_resolution_says() {
    let mut bed = bed();
    for path in [
        "/dir/../dir/./sub//deep",
        "/../../dir/sub/deep",
        "dir/sub/deep",
    ] {
        assert_eq!(bed.read_all(path).unwrap(), b"deep", "{path}");
    }
    assert_eq!(bed.stat(""), Err(Errno::ENOENT));
    assert_eq!(bed.stat("/dir/file/"), Err(Errno::ENOTDIR));
    assert_eq!(bed.stat("/dir/file/.."), Err(Errno::ENOTDIR));
    assert_eq!(bed.stat("/none/.."), Err(Errno::ENOENT));
    assert_eq!(bed.stat("/dir/sub/").unwrap().kind, Kind::Directory);
    let (fits, long) = ("n".repeat(255), "n".repeat(256));
    assert_eq!(bed.stat(&format!("/{fits}")), Err(Errno::ENOENT));
    assert_eq!(bed.stat(&format!("/{long}")), Err(Errno::ENAMETOOLONG));
    let deep = "/.".repeat(2047);
    assert_eq!(bed.stat(&deep).unwrap().kind, Kind::Directory);
    assert_eq!(bed.stat(&format!("{deep}//")), Err(Errno::ENAMETOOLONG));
    assert_eq!(bed.make_directory("/dir/fresh/").err(), None);
    assert_eq!(bed.make_directory("/dir/fresh"), Err(Errno::EEXIST));
    let flags = WRITE | OpenFlags::CREAT;
    assert_eq!(bed.open("/dir/slashed/", flags), Err(Errno::EISDIR));
    assert_eq!(bed.open("/dir", WRITE), Err(Errno::EISDIR));
    assert_eq!(
        bed.open("/dir/file", OpenFlags::DIRECTORY),
        Err(Errno::ENOTDIR)
    );
    let exclusive = flags | OpenFlags::EXCL;
    assert_eq!(bed.open("/dir/file", exclusive), Err(Errno::EEXIST));
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let mut bed = bed();
    bed.symlink("/link-1", "dir/other").unwrap();
    for number in 2..=41 {
        let (name, target) = (format!("/link-{number}"), format!("link-{}", number - 1));
        bed.symlink(&name, &target).unwrap();
    }
    assert_eq!(bed.read_all("/link-40").unwrap(), b"other");
    assert_eq!(bed.read_all("/link-41"), Err(Errno::ELOOP));
    assert_eq!(bed.stat("/link-41").unwrap().kind, Kind::Symlink);
    assert_eq!(bed.open("/link-1", OpenFlags::NOFOLLOW), Err(Errno::ELOOP));
    bed.symlink("/dangling", "dir/made").unwrap();
    bed.write_all("/dangling", b"through").unwrap();
    assert_eq!(bed.read_all("/dir/made").unwrap(), b"through");
    let exclusive = WRITE | OpenFlags::CREAT | OpenFlags::EXCL;
    assert_eq!(bed.open("/dangling", exclusive), Err(Errno::EEXIST));
}

#[test]
fn a_user_cannot_read_or_change_what_is_roots() {
    let mut bed = bed();
    bed.write_all("/secret", b"secret").unwrap();
    bed.chmod("/secret", 0o600).unwrap();
    bed.make_directory("/closed").unwrap();
    bed.write_all("/closed/in", b"x").unwrap();
    bed.chmod("/closed", 0o700).unwrap();
    bed.write_all("/tmp/roots", b"x").unwrap();
    bed.credentials = Credentials::of_user(1000, 1000);
    assert_eq!(bed.open("/secret", OpenFlags::empty()), Err(Errno::EACCES));
    assert_eq!(bed.stat("/closed/in"), Err(Errno::EACCES));
    assert_eq!(bed.list("/closed"), Err(Errno::EACCES));
    assert_eq!(bed.write_all("/new", b"x"), Err(Errno::EACCES));
    assert_eq!(bed.unlink("/dir/file"), Err(Errno::EACCES));
    assert_eq!(bed.chmod("/dir/file", 0o777), Err(Errno::EPERM));
    assert_eq!(bed.open("/dir/file", WRITE), Err(Errno::EACCES));
    // The sticky bit of /tmp.
    assert_eq!(bed.unlink("/tmp/roots"), Err(Errno::EPERM));
    bed.write_all("/tmp/own", b"own").unwrap();
    let own = bed.stat("/tmp/own").unwrap();
    assert_eq!((own.uid, own.gid), (1000, 1000));
    bed.chmod("/tmp/own", 0o600).unwrap();
    bed.unlink("/tmp/own").unwrap();
}

#[test]
fn memory_that_may_not_be_used_is_no_space_left() {
    let mut bed = bed();
    bed.limit_frames(3);
    let fd = bed.open("/tmp/file", RW | OpenFlags::CREAT).unwrap();
    for page in 0..3 {
        assert_eq!(bed.write(fd, Some(page * 4096), &[1; 4096]).unwrap(), 4096);
    }
    assert_eq!(bed.write(fd, Some(3 * 4096), &[1; 1]), Err(Errno::ENOSPC));
    // What crosses into a page that cannot be had ends at it.
    assert_eq!(bed.write(fd, Some(3 * 4096 - 10), &[2; 20]).unwrap(), 10);
    assert_eq!(
        bed.write(fd, Some(FILE_BYTES - 1), &[2; 20]),
        Err(Errno::ENOSPC)
    );
    assert_eq!(bed.write(fd, Some(FILE_BYTES), &[2; 1]), Err(Errno::EFBIG));
    bed.close(fd);
    bed.unlink("/tmp/file").unwrap();
    assert_eq!(bed.used_frames(), 0);
    bed.write_all("/tmp/next", &[3; 8192]).unwrap();
}

#[test]
fn a_file_is_written_up_to_its_limit_and_not_behind_it() {
    let mut bed = bed();
    bed.write_all("/tmp/large", &[1; 300]).unwrap();
    bed.largest_file = 100;
    let fd = bed.open("/tmp/file", RW | OpenFlags::CREAT).unwrap();
    assert_eq!(bed.write(fd, Some(50), &[2; 49]), Ok(49));
    assert_eq!(bed.write(fd, Some(50), &[2; 50]), Ok(50));
    assert_eq!(bed.write(fd, Some(50), &[2; 51]), Ok(50));
    assert_eq!(bed.write(fd, Some(100), &[2]), Err(Errno::EFBIG));
    for (length, result) in [(99, Ok(())), (100, Ok(())), (101, Err(Errno::EFBIG))] {
        assert_eq!(bed.truncate("/tmp/file", length), result, "{length}");
    }
    // One that is larger already can be cut, but not lengthened.
    for (length, result) in [
        (301, Err(Errno::EFBIG)),
        (300, Ok(())),
        (299, Ok(())),
        (300, Err(Errno::EFBIG)),
    ] {
        assert_eq!(bed.truncate("/tmp/large", length), result, "{length}");
    }
    let large = bed.open("/tmp/large", RW).unwrap();
    assert_eq!(bed.write(large, Some(99), &[2; 2]), Ok(1));
    assert_eq!(bed.write(large, Some(100), &[2]), Err(Errno::EFBIG));
    bed.close(large);
    bed.close(fd);
}

#[test]
fn attributes_change_and_stay() {
    let mut bed = bed();
    bed.at(|files, context, start| {
        let place = files.walk(context, start, b"/dir/file", Last::Keep)?;
        let result = files
            .set_owner(context, place.by_ref(), Some(5), None)
            .and_then(|()| {
                let time = NewTime::At(Duration::new(77, 5));
                files.set_times(context, place.by_ref(), NewTime::Keep, time)
            });
        files.release_place(place);
        Ok(result?)
    })
    .unwrap();
    let file = bed.stat("/dir/file").unwrap();
    assert_eq!((file.uid, file.gid), (5, 0));
    assert_eq!(file.modified, Duration::new(77, 5));
    assert_eq!(file.size, 10_000);
}

#[test]
fn a_listing_goes_on_where_it_was_while_names_come_and_go() {
    let mut bed = bed();
    bed.make_directory("/tmp/many").unwrap();
    for number in 0..500 {
        bed.write_all(&format!("/tmp/many/{number}"), b"").unwrap();
    }
    let mut seen = vec![];
    bed.read_directory("/tmp/many", |bed, _, name| {
        if !name.starts_with('.') {
            bed.unlink(&format!("/tmp/many/{name}")).unwrap();
        }
        seen.push(name);
    })
    .unwrap();
    assert_eq!(seen.len(), 502);
    bed.remove_directory("/tmp/many").unwrap();
}

#[test]
fn when_no_more_names_can_be_made_files_of_the_disk_are_still_found() {
    let mut bed = bed();
    let refused = (0..=MAX_NAMES).find_map(|nth| {
        bed.make_directory(&format!("/dir/{nth}"))
            .err()
            .map(|errno| (nth, errno))
    });
    let (made, errno) = refused.expect("there is a limit");
    assert_eq!(errno, Errno::ENOSPC);
    assert!(
        made > MAX_NAMES - 2 * NAMES_SPARE,
        "{made} directories were made"
    );
    bed.forget_clean();
    assert_eq!(bed.read_all("/dir/sub/deep").unwrap(), b"deep");
    for missing in 0..2 * NAMES_SPARE {
        let path = format!("/dir/sub/missing-{missing}");
        assert_eq!(bed.stat(&path), Err(Errno::ENOENT), "{path}");
    }
    assert_eq!(bed.read_all("/dir/sub/deep").unwrap(), b"deep");
}

//! Files of an ext4 disk.

use crate::bed::{Bed, Disk, image, pattern};
use hal::clock::Instant;
use hal::limits::PAGE_BYTES;
use kernel::account::Account;
use kernel::errno::Errno;
use kernel::fs::{Kind, Last, OpenFlags, Start};
use kernel::limits::WORK_PAGES;
use kernel::wait::{Stall, Why};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

fn sample(root: &std::path::Path) {
    fs::create_dir_all(root.join("bin/deep/er")).unwrap();
    fs::write(root.join("hello"), "hello\n").unwrap();
    fs::write(root.join("big"), pattern(300_001)).unwrap();
    fs::write(root.join("bin/tool"), pattern(70_000)).unwrap();
    fs::set_permissions(root.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(root.join("hello"), fs::Permissions::from_mode(0o600)).unwrap();
    symlink("bin/tool", root.join("short")).unwrap();
    symlink(format!("{}/bin/tool", "/.".repeat(60)), root.join("long")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    fs::hard_link(root.join("hello"), root.join("again")).unwrap();
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..700 {
        fs::write(
            root.join(format!("many/file-with-a-long-name-{number:04}")),
            "x",
        )
        .unwrap();
    }
    let sparse = fs::File::create(root.join("sparse")).unwrap();
    sparse.set_len(5_000_000).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"island", 3_000_000).unwrap();
}

/// The option lists that change how things lie on the disk.
const LAYOUTS: [&[&str]; 6] = [
    &["-b", "1024"],
    &["-b", "2048"],
    &["-b", "4096"],
    &["-b", "4096", "-O", "^metadata_csum,^64bit", "-I", "128"],
    &["-b", "1024", "-O", "^extent,^metadata_csum,^64bit"],
    &["-b", "4096", "-O", "^has_journal,metadata_csum_seed"],
];

#[test]
fn every_layout_reads_the_same() {
    for options in LAYOUTS {
        let mut bed = Bed::mounted(2048, vec![Disk::new(image(16, options, sample))]);
        assert_eq!(bed.read_all("/hello").unwrap(), b"hello\n", "{options:?}");
        assert_eq!(
            bed.read_all("/big").unwrap(),
            pattern(300_001),
            "{options:?}"
        );
        assert_eq!(
            bed.read_all("/short").unwrap(),
            pattern(70_000),
            "{options:?}"
        );
        assert_eq!(
            bed.read_all("/long").unwrap(),
            pattern(70_000),
            "{options:?}"
        );
        assert_eq!(bed.open("/loop", OpenFlags::empty()), Err(Errno::ELOOP));
        let sparse = bed.read_all("/sparse").unwrap();
        assert_eq!(sparse.len(), 5_000_000);
        assert_eq!(&sparse[3_000_000..3_000_006], b"island");
        assert_eq!(sparse.iter().filter(|&&byte| byte != 0).count(), 6);
        assert_eq!(bed.list("/many").unwrap().len(), 702, "{options:?}");
        let name = "/many/file-with-a-long-name-0567";
        assert_eq!(bed.read_all(name).unwrap(), b"x", "{options:?}");
        assert_eq!(bed.stat("/many/nothing"), Err(Errno::ENOENT));
        let (hello, again) = (bed.stat("/hello").unwrap(), bed.stat("/again").unwrap());
        assert_eq!(hello, again, "{options:?}");
        assert_eq!((hello.links, hello.permissions, hello.size), (2, 0o600, 6));
        assert_eq!(bed.stat("/bin").unwrap().kind, Kind::Directory);
        assert!(bed.stalls > 20, "nothing had to wait: {}", bed.stalls);
    }
}

#[test]
fn an_independent_reader_agrees() {
    for options in LAYOUTS {
        let bytes = image(16, options, sample);
        let oracle = ext4_view::Ext4::load(Box::new(bytes.clone())).unwrap();
        let mut bed = Bed::mounted(4096, vec![Disk::new(bytes)]);
        let mut directories = vec![String::new()];
        let mut files = 0;
        while let Some(directory) = directories.pop() {
            let path = if directory.is_empty() {
                "/"
            } else {
                &directory
            };
            let mut names = vec![];
            for entry in oracle.read_dir(path).unwrap() {
                let entry = entry.unwrap();
                let name = entry.file_name().as_str().unwrap().to_owned();
                let path = format!("{directory}/{name}");
                names.push(name.clone());
                if name == "." || name == ".." {
                    continue;
                }
                let wanted = oracle.symlink_metadata(path.as_str()).unwrap();
                let found = bed.stat(&path).unwrap();
                assert_eq!(found.size, wanted.len(), "{options:?} {path}");
                assert_eq!(found.permissions, wanted.mode(), "{options:?} {path}");
                assert_eq!((found.uid, found.gid), (wanted.uid(), wanted.gid()));
                match found.kind {
                    Kind::Directory => directories.push(path),
                    Kind::Symlink => {
                        let target = oracle.read_link(path.as_str()).unwrap();
                        assert_eq!(bed.link_target(&path).unwrap(), target.to_str().unwrap());
                    }
                    // The other reader does not know holes that miss a whole indirect block.
                    _ if path == "/sparse"
                        && options.contains(&"^extent,^metadata_csum,^64bit") => {}
                    _ => {
                        files += 1;
                        let content = oracle.read(path.as_str()).unwrap();
                        assert!(
                            bed.read_all(&path).unwrap() == content,
                            "{options:?} {path}"
                        );
                    }
                }
            }
            names.sort();
            // What every tree is furnished with is not on the disk.
            let found = bed.list(path).unwrap();
            let found: Vec<_> = found
                .into_iter()
                .filter(|name| path != "/" || !["dev", "proc", "tmp"].contains(&name.as_str()))
                .collect();
            assert_eq!(found, names, "{options:?} {path}");
        }
        assert!(files > 700);
    }
}

#[test]
fn four_mebibytes_are_enough_and_everything_is_given_back() {
    let disk = Disk::new(image(16, &["-b", "4096"], sample));
    let mut bed = Bed::mounted(300, vec![disk]);
    for _ in 0..3 {
        assert_eq!(bed.read_all("/big").unwrap(), pattern(300_001));
        assert_eq!(bed.read_all("/bin/tool").unwrap(), pattern(70_000));
        assert_eq!(bed.list("/many").unwrap().len(), 702);
        assert_eq!(bed.read_all("/sparse").unwrap().len(), 5_000_000);
    }
    let free = bed.pool.available();
    bed.forget_clean();
    assert!(bed.pool.available() >= free);
    // The page of the program itself, and nothing else.
    assert_eq!(bed.pool.total() - bed.pool.available(), 1);
}

#[test]
fn a_read_that_fails_costs_that_read_alone() {
    let disk = Disk::new(image(16, &["-b", "4096"], sample));
    let bad = disk.bad.clone();
    let mut bed = Bed::mounted(2048, vec![disk]);
    let fd = bed.open("/big", OpenFlags::empty()).unwrap();
    bad.set((0, u64::MAX));
    assert_eq!(bed.read(fd, Some(0), 100), Err(Errno::EIO));
    assert_eq!(bed.read(fd, Some(200_000), 100), Err(Errno::EIO));
    assert_eq!(bed.stat("/bin/tool"), Err(Errno::EIO));
    bad.set((0, 0));
    assert_eq!(bed.read(fd, Some(0), 100).unwrap(), pattern(100));
    assert_eq!(bed.read_all("/big").unwrap(), pattern(300_001));
    assert_eq!(bed.stat("/bin/tool").unwrap().size, 70_000);
}

#[test]
fn one_bad_sector_does_not_spoil_its_neighbours() {
    let bytes = image(16, &["-b", "4096"], sample);
    let whole = pattern(300_001);
    // The page of the file with this content, wherever it lies.
    let target = &whole[20 * PAGE_BYTES..21 * PAGE_BYTES];
    let at = bytes
        .chunks(PAGE_BYTES)
        .position(|page| page == target)
        .unwrap() as u64;
    let disk = Disk::new(bytes);
    disk.bad.set((at * 8, at * 8 + 1));
    let mut bed = Bed::mounted(2048, vec![disk]);
    let fd = bed.open("/big", OpenFlags::empty()).unwrap();
    for page in 0..74 {
        let position = page * PAGE_BYTES;
        let read = bed.read(fd, Some(position as u64), PAGE_BYTES);
        if page == 20 {
            assert_eq!(read, Err(Errno::EIO));
        } else {
            let end = whole.len().min(position + PAGE_BYTES);
            assert_eq!(read.unwrap(), &whole[position..end], "page {page}");
        }
    }
}

#[test]
fn a_truncated_image_is_not_mounted() {
    let mut bytes = image(16, &["-b", "4096"], sample);
    bytes.truncate(bytes.len() / 2);
    let mut bed = Bed::new(2048, vec![Disk::new(bytes)]);
    assert_eq!(bed.mount(), Err(Errno::EINVAL));
}

#[test]
fn no_byte_of_the_superblock_can_do_harm() {
    // Without checksums every change gets through to the fields.
    let options = ["-b", "1024", "-O", "^metadata_csum,^64bit"];
    let bytes = image(8, &options, |root| {
        fs::write(root.join("file"), pattern(5000)).unwrap();
    });
    for at in 0..1024 {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bytes = bytes.clone();
            if bytes[1024 + at] == value {
                continue;
            }
            bytes[1024 + at] = value;
            let mut bed = Bed::new(256, vec![Disk::new(bytes)]);
            if bed.mount().is_ok() {
                let _either = bed.read_all("/file");
                let _either = bed.list("/");
            }
        }
    }
}

#[test]
fn no_damage_to_metadata_can_do_more_than_fail() {
    let options = ["-b", "1024", "-O", "^metadata_csum"];
    let bytes = image(8, &options, |root| {
        fs::create_dir(root.join("dir")).unwrap();
        fs::write(root.join("dir/file"), pattern(50_000)).unwrap();
        for number in 0..100 {
            fs::write(root.join(format!("dir/{number}")), "x").unwrap();
        }
    });
    let mut state = 7_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize
    };
    // Metadata lies in the first half megabyte or so.
    for _ in 0..400 {
        let mut bytes = bytes.clone();
        for _ in 0..40 {
            let at = 2048 + next() % 600_000;
            bytes[at] = next() as u8;
        }
        let mut bed = Bed::new(512, vec![Disk::new(bytes)]);
        if bed.mount().is_ok() {
            let _either = bed.list("/dir");
            let _either = bed.read_all("/dir/file");
            let _either = bed.stat("/dir/57");
        }
    }
}

#[test]
fn damaged_metadata_is_noticed_by_its_checksum() {
    let mut bytes = image(8, &["-b", "1024"], |root| {
        fs::create_dir(root.join("dir")).unwrap();
        fs::write(root.join("dir/a-name-to-be-found"), "content").unwrap();
        fs::write(root.join("sound"), "sound").unwrap();
    });
    let name = b"a-name-to-be-found";
    let at = bytes
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    bytes[at] = b'b';
    let mut bed = Bed::mounted(512, vec![Disk::new(bytes)]);
    assert_eq!(bed.stat("/dir/a-name-to-be-found"), Err(Errno::EIO));
    assert_eq!(bed.list("/dir"), Err(Errno::EIO));
    assert_eq!(bed.read_all("/sound").unwrap(), b"sound");
}

#[test]
fn warm_paths_ask_neither_the_disk_nor_the_heap() {
    let disk = Disk::new(image(16, &["-b", "4096"], sample));
    let reads = disk.reads.clone();
    let mut bed = Bed::mounted(4096, vec![disk]);
    let once = |bed: &mut Bed| {
        let fd = bed
            .open("/bin/deep/../../short", OpenFlags::empty())
            .unwrap();
        let id = bed.description(fd);
        let mut position = 0;
        while position < 70_000 {
            let count = bed.count_read(id, position);
            position += count as u64;
        }
        bed.close(fd);
        assert_eq!(bed.stat("/bin/nothing"), Err(Errno::ENOENT));
    };
    once(&mut bed);
    let before = (reads.get(), fakes::alloc::calls());
    once(&mut bed);
    assert_eq!((reads.get(), fakes::alloc::calls()), before);
}

/// A directory of more pages than one turn looks at, all of them in memory, and its names in its order.
fn large_directory() -> (Bed, Vec<String>) {
    let disk = Disk::new(image(32, &["-b", "4096", "-N", "4000"], |root| {
        fs::create_dir_all(root.join("large")).unwrap();
        for nth in 0..15 * (2 * WORK_PAGES + 8) {
            fs::write(root.join(format!("large/{nth:0250}")), "").unwrap();
        }
    }));
    let mut bed = Bed::mounted(4096, vec![disk]);
    let mut names = vec![];
    bed.read_directory("/large", |_, _, name| names.push(name))
        .unwrap();
    // The rest of the way.
    assert_eq!(bed.stat("/large/absent"), Err(Errno::ENOENT));
    (bed, names)
}

/// Looks for a name for one turn; what that turn waits for of a disk it gets. Returns whether there is one, or nothing when
/// the turn was too short.
fn look(bed: &mut Bed, name: &str) -> Option<bool> {
    let root = bed.files.share_place(bed.root.as_ref().unwrap().by_ref());
    let path = format!("/large/{name}");
    let found = loop {
        let looked = bed.once(|files, context| {
            let start = Start {
                root: root.by_ref(),
                base: root.by_ref(),
            };
            let place = files.walk(context, start, path.as_bytes(), Last::Keep)?;
            files.release_place(place);
            Ok(())
        });
        match looked.map_err(Stall::why) {
            Ok(()) => break Some(true),
            Err(Why::Error(Errno::ENOENT)) => break Some(false),
            Err(Why::Again) => break None,
            Err(Why::Wait(_)) => bed.files.poll(&mut bed.pool, &mut bed.wakes, Instant::ZERO),
            Err(why) => panic!("{why:?}"),
        }
    };
    bed.release(root);
    found
}

#[test]
fn a_name_is_looked_for_in_some_pages_of_a_large_directory_a_turn() {
    let (mut bed, _) = large_directory();
    let pages = bed.stat("/large").unwrap().size as usize / PAGE_BYTES;
    assert!(pages > 2 * WORK_PAGES);
    for name in ["never", "nowhere"] {
        for _ in 0..(pages - 1) / WORK_PAGES {
            assert_eq!(look(&mut bed, name), None);
        }
        assert_eq!(look(&mut bed, name), Some(false));
        // From now on it is known.
        assert_eq!(look(&mut bed, name), Some(false));
    }
}

#[test]
fn names_are_found_at_once_in_the_order_of_their_directory() {
    let (mut bed, names) = large_directory();
    bed.stat(&format!("/large/{}", names[2])).unwrap();
    for name in &names[2..] {
        assert_eq!(look(&mut bed, name), Some(true), "{name}");
    }
}

#[test]
fn two_who_search_one_directory_by_turns_both_get_to_the_end() {
    let (mut bed, names) = large_directory();
    let mut wanted = vec!["never", "nowhere", &names[2], &names[names.len() - 1]];
    for round in 0.. {
        assert!(round < 10, "{} still search", wanted.len());
        wanted.retain(|name| look(&mut bed, name).is_none());
        if wanted.is_empty() {
            break;
        }
    }
}

#[test]
fn who_searches_what_another_account_does_begins_at_the_start() {
    let (mut bed, _) = large_directory();
    assert_eq!(look(&mut bed, "never"), None);
    bed.account = bed.accounts.insert(Account::unlimited()).unwrap();
    // Another search is under way, so that this one looks to the end at once.
    assert_eq!(look(&mut bed, "never"), Some(false));
}

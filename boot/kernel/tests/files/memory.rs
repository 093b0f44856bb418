//! Too little memory: tables and frames run out, and it is said so while others live on.

use crate::bed::{Bed, Disk, image, pattern};
use agent::kernel::{End, Pid, Stdio};
use hal::limits::PAGE_BYTES;
use kernel::errno::Errno;
use kernel::fs::OpenFlags;
use kernel::limits::{ACCOUNT_SHARE, FILE_BYTES, MAX_PIPES, WRITE_RESERVE};
use std::fs;

const FRAMES: usize = 2048;

/// Pages of the file on the disk.
const PAGES: usize = 512;

fn disk() -> Disk {
    Disk::new(image(8, &[], |root| {
        fs::write(root.join("large"), pattern(PAGES * PAGE_BYTES)).unwrap();
    }))
}

#[test]
fn a_file_of_more_pages_than_the_cache_can_name_is_read_to_its_end() {
    for named in [64, 200, PAGES - 1] {
        let mut bed = Bed::of_cache(FRAMES, named, vec![disk()]);
        bed.mount().unwrap();
        for _ in 0..2 {
            assert_eq!(
                bed.read_all("/large").unwrap(),
                pattern(PAGES * PAGE_BYTES),
                "{named} pages"
            );
        }
    }
}

#[test]
fn a_file_that_fills_the_caches_table_is_told_that_there_is_no_space() {
    let mut bed = Bed::of_cache(FRAMES, 64, vec![disk()]);
    bed.mount().unwrap();
    let written = bed.write_all("/new", &pattern(PAGES * PAGE_BYTES));
    assert_eq!(written, Err(Errno::ENOSPC));
    bed.unlink("/new").unwrap();
    assert_eq!(bed.used_frames(), 0);
    assert_eq!(bed.read_all("/large").unwrap(), pattern(PAGES * PAGE_BYTES));
}

#[test]
fn files_leave_frames_to_programs() {
    let mut bed = Bed::mounted(FRAMES, vec![disk()]);
    // What the cache has of the disk makes room for what is written.
    bed.read_all("/large").unwrap();
    let reserve = FRAMES / WRITE_RESERVE;
    let written = bed.write_all("/new", &pattern(FRAMES * PAGE_BYTES));
    assert_eq!(written, Err(Errno::ENOSPC));
    assert_eq!(bed.pool.available(), reserve);
    let pages = bed.stat("/new").unwrap().size as usize / PAGE_BYTES;
    assert!(pages > FRAMES - reserve - PAGES / 8, "{pages} pages");
    bed.unlink("/new").unwrap();
    bed.write_all("/new", &pattern(pages * PAGE_BYTES)).unwrap();
}

#[test]
fn a_file_of_the_greatest_size_is_cut_whole() {
    let mut bed = Bed::mounted(FRAMES, vec![disk()]);
    let fd = bed
        .open("/sparse", OpenFlags::RDWR | OpenFlags::CREAT)
        .unwrap();
    for length in [FILE_BYTES - 1, FILE_BYTES] {
        bed.write(fd, Some(4 * PAGE_BYTES as u64), b"x").unwrap();
        bed.truncate("/sparse", length).unwrap();
        bed.write(fd, Some(length - 1), b"x").unwrap();
        bed.truncate("/sparse", 0).unwrap();
        assert_eq!(bed.used_frames(), 0, "{length}");
        bed.truncate("/sparse", length).unwrap();
        assert_eq!(bed.read(fd, Some(length - 1), 1).unwrap(), [0], "{length}");
        bed.truncate("/sparse", 0).unwrap();
    }
    assert_eq!(
        bed.truncate("/sparse", FILE_BYTES + 1),
        Err(Errno::EFBIG),
        "one more byte"
    );
    assert_eq!(bed.write(fd, Some(FILE_BYTES + 5), b""), Ok(0));
    assert_eq!(bed.stat("/sparse").unwrap().size, 0);
}

#[test]
fn streams_that_cannot_all_be_made_are_all_given_back() {
    for other in [End::Pipe, End::Closed] {
        let mut bed = Bed::mounted(FRAMES, vec![disk()]);
        let table = bed.table;
        let tables = [(); 3].map(|()| bed.files.new_table().unwrap());
        let attach = |bed: &mut Bed, table, stdin, others| {
            let stdio = Stdio {
                stdin,
                stdout: others,
                stderr: others,
            };
            let attached =
                bed.run(|files, context| Ok(files.attach_stdio(context, table, Pid(7), stdio)?));
            attached.map(|_| ())
        };
        // The agent's end keeps the pipe when the table's is replaced.
        for _ in 0..MAX_PIPES / ACCOUNT_SHARE - 1 {
            attach(&mut bed, table, End::Pipe, End::Null).unwrap();
        }
        // The first stream takes the last pipe of the account, and the second one finds none.
        for table in tables {
            assert_eq!(
                attach(&mut bed, table, End::Pipe, other),
                Err(Errno::ENFILE)
            );
            bed.run_once(|files, context| files.release_table(context, table));
            while bed.tear_down() {}
        }
        attach(&mut bed, table, End::Pipe, End::Null).unwrap();
    }
}

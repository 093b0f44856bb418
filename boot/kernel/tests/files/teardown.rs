//! Large things that go: nobody waits for them for long, and everything comes back.

use crate::bed::{Bed, Disk, image, pattern};
use hal::limits::PAGE_BYTES;
use kernel::fs::OpenFlags;
use kernel::limits::{FILE_BYTES, WORK_FILES, WORK_LOOKS, WORK_NAMES, WORK_PAGES};
use std::fs;

const RW: OpenFlags = OpenFlags::RDWR;

/// A file of this many pages stands for one of any size.
const PAGES: usize = 20 * WORK_PAGES;

fn bed() -> Bed {
    let disk = Disk::new(image(8, &["-b", "1024"], |root| {
        fs::create_dir_all(root.join("dir")).unwrap();
    }));
    let mut bed = Bed::mounted(8192, vec![disk]);
    bed.list("/dir").unwrap();
    bed
}

fn large_file(bed: &mut Bed) {
    bed.write_all("/dir/large", &pattern(PAGES * PAGE_BYTES))
        .unwrap();
}

/// Runs `act` and then turns until nothing is left; returns how many frames came back at the most in one of them.
fn most_at_once(bed: &mut Bed, act: impl FnOnce(&mut Bed)) -> usize {
    let mut free = bed.pool.available();
    act(bed);
    let mut most = 0;
    loop {
        let now = bed.pool.available();
        most = most.max(now.saturating_sub(free));
        free = now;
        if !bed.tear_down() {
            return most;
        }
    }
}

#[test]
fn removing_a_large_file_gives_its_pages_back_over_many_turns() {
    let mut bed = bed();
    bed.forget_clean();
    let free = bed.pool.available();
    large_file(&mut bed);
    assert_eq!(bed.used_frames(), PAGES as u64);
    let most = most_at_once(&mut bed, |bed| bed.unlink("/dir/large").unwrap());
    assert!(most <= WORK_PAGES, "{most} pages in one turn");
    assert_eq!(bed.used_frames(), 0);
    bed.forget_clean();
    assert_eq!(bed.pool.available(), free);
}

#[test]
fn closing_a_large_file_without_a_name_gives_its_pages_back_over_many_turns() {
    let mut bed = bed();
    large_file(&mut bed);
    let fd = bed.open("/dir/large", RW).unwrap();
    bed.unlink("/dir/large").unwrap();
    assert_eq!(bed.used_frames(), PAGES as u64, "it is still open");
    let most = most_at_once(&mut bed, |bed| bed.close(fd));
    assert!(most <= WORK_PAGES, "{most} pages in one turn");
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn cutting_a_large_file_is_seen_at_once_and_paid_for_over_many_turns() {
    for kept in [0, 1, PAGE_BYTES, 3 * PAGE_BYTES + 5] {
        let mut bed = bed();
        large_file(&mut bed);
        let most = most_at_once(&mut bed, |bed| {
            bed.truncate("/dir/large", kept as u64).unwrap();
            assert_eq!(bed.stat("/dir/large").unwrap().size, kept as u64);
        });
        assert!(most <= WORK_PAGES, "{most} pages in one turn");
        assert_eq!(bed.used_frames(), kept.div_ceil(PAGE_BYTES) as u64);
        assert_eq!(bed.read_all("/dir/large").unwrap(), pattern(kept));
    }
}

#[test]
fn opening_to_truncate_is_seen_at_once_and_paid_for_over_many_turns() {
    let mut bed = bed();
    large_file(&mut bed);
    let most = most_at_once(&mut bed, |bed| {
        let fd = bed.open("/dir/large", RW | OpenFlags::TRUNC).unwrap();
        assert_eq!(bed.stat("/dir/large").unwrap().size, 0);
        bed.close(fd);
    });
    // Opening and closing are two entries into the kernel.
    assert!(most <= 2 * WORK_PAGES, "{most} pages in two calls");
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn what_is_written_behind_a_cut_under_way_stays_and_nothing_old_shows() {
    let mut bed = bed();
    large_file(&mut bed);
    let fd = bed.open("/dir/large", RW).unwrap();
    bed.truncate("/dir/large", 10).unwrap();
    let last = (PAGES - 1) * PAGE_BYTES;
    bed.write(fd, Some(last as u64), b"new").unwrap();
    let content = bed.read_all("/dir/large").unwrap();
    assert_eq!(content.len(), last + 3);
    assert_eq!(content[..10], pattern(10));
    assert!(content[10..last].iter().all(|&byte| byte == 0));
    assert_eq!(content[last..], *b"new");
    while bed.tear_down() {}
    assert_eq!(bed.read_all("/dir/large").unwrap(), content);
    assert_eq!(bed.used_frames(), 2);
}

#[test]
fn a_file_that_grows_during_its_cut_shows_zeroes() {
    let mut bed = bed();
    large_file(&mut bed);
    bed.truncate("/dir/large", 0).unwrap();
    bed.truncate("/dir/large", (PAGES * PAGE_BYTES) as u64)
        .unwrap();
    let content = bed.read_all("/dir/large").unwrap();
    assert_eq!(content.len(), PAGES * PAGE_BYTES);
    assert!(content.iter().all(|&byte| byte == 0));
}

#[test]
fn a_file_may_be_cut_again_and_removed_while_it_is_cut() {
    let mut bed = bed();
    large_file(&mut bed);
    bed.truncate("/dir/large", (PAGES * PAGE_BYTES / 2) as u64)
        .unwrap();
    bed.truncate("/dir/large", 100).unwrap();
    assert_eq!(bed.read_all("/dir/large").unwrap(), pattern(100));
    bed.unlink("/dir/large").unwrap();
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn a_later_shorter_cut_does_not_show_what_an_earlier_one_took() {
    let mut bed = bed();
    large_file(&mut bed);
    bed.truncate("/dir/large", 0).unwrap();
    // Grown and cut at once, before the pages of the first cut are gone.
    let size = (PAGES - 10) * PAGE_BYTES;
    bed.truncate("/dir/large", size as u64).unwrap();
    bed.truncate("/dir/large", (size - PAGE_BYTES) as u64)
        .unwrap();
    let content = bed.read_all("/dir/large").unwrap();
    assert_eq!(content.len(), size - PAGE_BYTES);
    assert!(content.iter().all(|&byte| byte == 0));
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn a_later_cut_keeps_what_was_written_behind_an_earlier_one() {
    for (left, waits) in [(PAGES, false), (PAGES + 1, true), (PAGES + 2, true)] {
        let mut bed = bed();
        large_file(&mut bed);
        let fd = bed.open("/dir/large", RW).unwrap();
        bed.truncate("/dir/large", 0).unwrap();
        // Before the pages of the cut are gone.
        let kept = (PAGES * PAGE_BYTES) as u64;
        bed.write(fd, Some(kept), b"kept").unwrap();
        bed.truncate("/dir/large", kept + 9 * PAGE_BYTES as u64)
            .unwrap();
        let before = bed.stalls;
        bed.truncate("/dir/large", (left * PAGE_BYTES) as u64)
            .unwrap();
        assert_eq!(bed.stalls > before, waits, "{left} pages");
        while bed.tear_down() {}
        let expected = if waits { &b"kept"[..] } else { b"" };
        assert_eq!(bed.read(fd, Some(kept), 4).unwrap(), expected);
        bed.close(fd);
    }
}

#[test]
fn a_file_of_a_huge_size_and_few_pages_goes_in_few_turns() {
    let mut bed = bed();
    let fd = bed.open("/dir/sparse", RW | OpenFlags::CREAT).unwrap();
    bed.write(fd, Some(FILE_BYTES - 1), b"x").unwrap();
    bed.write(fd, Some(0), b"x").unwrap();
    bed.close(fd);
    bed.unlink("/dir/sparse").unwrap();
    let mut turns = 0;
    while bed.tear_down() {
        turns += 1;
    }
    assert!(turns <= 2 + 8192 / WORK_LOOKS, "{turns} turns");
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn what_was_given_up_is_there_for_whoever_needs_it() {
    let mut bed = bed();
    bed.limit_frames(PAGES as u64 + 8);
    for _ in 0..4 {
        large_file(&mut bed);
        bed.unlink("/dir/large").unwrap();
    }
    large_file(&mut bed);
    assert_eq!(
        bed.read_all("/dir/large").unwrap(),
        pattern(PAGES * PAGE_BYTES)
    );
}

#[test]
fn a_full_table_is_closed_over_many_turns() {
    let mut bed = bed();
    let mut pairs = 0;
    while bed
        .files
        .table(bed.table)
        .unwrap()
        .next_used(1000)
        .is_none()
    {
        let (_, writer) = bed.pipe();
        for _ in 0..16 {
            bed.write(writer, None, &[1; PAGE_BYTES]).unwrap();
        }
        pairs += 1;
    }
    assert!(pairs > 400);
    let table = bed.table;
    let most = most_at_once(&mut bed, |bed| {
        bed.run_once(|files, context| files.release_table(context, table));
    });
    assert!(most <= WORK_PAGES, "{most} frames in one turn");
    assert!(bed.files.table(table).is_err());
    assert_eq!(bed.used_frames(), 0);
}

#[test]
fn a_few_files_are_closed_at_once() {
    let mut bed = bed();
    for _ in 0..WORK_FILES - 1 {
        bed.open("/dir", OpenFlags::empty()).unwrap();
    }
    let table = bed.table;
    bed.run_once(|files, context| files.release_table(context, table));
    assert!(bed.files.table(table).is_err());
}

#[test]
fn a_written_layer_goes_over_many_turns() {
    let mut bed = bed();
    let over = bed.walk("/dir", kernel::fs::Last::Follow).unwrap();
    let view = bed
        .run(|files, context| files.mount_view(context, over.by_ref()))
        .unwrap();
    bed.release(over);
    let free = bed.used_frames();
    let files_there = 10 * WORK_NAMES;
    for nth in 0..files_there {
        let name = std::format!("file{nth}");
        let start = kernel::fs::Start {
            root: view.by_ref(),
            base: view.by_ref(),
        };
        let table = bed.table;
        let fd = bed
            .run(|files, context| {
                let flags = RW | OpenFlags::CREAT;
                let id = files.open(
                    context,
                    table,
                    start,
                    name.as_bytes(),
                    (flags, 0o644),
                    kernel::fs::Rules::empty(),
                )?;
                files.finish_open(context, table, id, flags)
            })
            .unwrap();
        bed.write(fd, None, &[1; 100]).unwrap();
        bed.close(fd);
    }
    assert_eq!(bed.used_frames() - free, files_there as u64);
    let most = most_at_once(&mut bed, |bed| {
        bed.run_once(|files, _| files.unmount_view(view));
    });
    assert!(most <= WORK_PAGES, "{most} frames in one turn");
    assert_eq!(bed.used_frames(), free);
    assert!(
        bed.list("/dir").unwrap().len() < 4,
        "the view's files are its own"
    );
}

#[test]
fn the_directories_above_a_last_user_go_over_many_turns() {
    let mut bed = bed();
    let names = bed.list("/dir").unwrap().len();
    let mut place = bed.walk("/dir", kernel::fs::Last::Follow).unwrap();
    let mut above = vec![];
    for _ in 0..5 * WORK_NAMES {
        let start = kernel::fs::Start {
            root: place.by_ref(),
            base: place.by_ref(),
        };
        let next = bed
            .run(|files, context| files.make_directories(context, start, b"d", 0o755))
            .unwrap();
        above.push(core::mem::replace(&mut place, next));
    }
    while let Some(directory) = above.pop() {
        let start = kernel::fs::Start {
            root: directory.by_ref(),
            base: directory.by_ref(),
        };
        bed.run(|files, context| files.remove_directory(context, start, b"d"))
            .unwrap();
        bed.release(directory);
    }
    bed.release(place);
    let mut turns = 0;
    while bed.tear_down() {
        turns += 1;
    }
    assert!(turns >= 4, "{turns} turns");
    assert_eq!(bed.list("/dir").unwrap().len(), names);
}

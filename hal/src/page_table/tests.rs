//! Page tables as plain data over a pool in the host's memory.

use super::*;
use crate::frame::tests::pool_of;
use std::vec;
use std::vec::Vec;

const RW: Protection = Protection::READ.union(Protection::WRITE);

fn page(number: u64) -> Page {
    Page::from_number(number).expect("the test stays in the lower half")
}

fn space(pool: &mut FramePool) -> PageTable {
    PageTable::new(pool, &KernelHalf::empty()).expect("frames are left")
}

/// Maps a fresh frame and returns its address.
fn map(pool: &mut FramePool, space: &mut PageTable, number: u64) -> u64 {
    let frame = pool.take_zeroed().expect("frames are left");
    let physical = frame.physical();
    let old = space
        .map(pool, page(number), frame, RW)
        .expect("frames are left");
    assert!(old.is_none());
    physical
}

#[test]
fn the_last_page_below_the_hole_and_everything_above_is_no_page() {
    assert!(Page::from_number(Page::END.0 - 1).is_some());
    assert!(Page::from_number(Page::END.0).is_none());
    assert!(Page::containing(0x7fff_ffff_efff).is_some());
    assert!(Page::containing(0x7fff_ffff_f000).is_none());
    assert!(Page::containing(u64::MAX).is_none());
}

#[test]
fn the_upper_half_is_the_kernels() {
    let mut pool = pool_of(&[1], 1);
    let mut half = KernelHalf::empty();
    (half.0[0], half.0[255]) = (0x1003, 0x2003);
    let space = PageTable::new(&mut pool, &half).unwrap();
    assert_eq!(read(&pool, space.root(), 256), 0x1003);
    assert_eq!(read(&pool, space.root(), 511), 0x2003);
    assert!((0..256).all(|index| read(&pool, space.root(), index) == 0));
}

#[test]
fn gives_back_exactly_the_tables_that_are_empty() {
    let mut pool = pool_of(&[16], 16);
    let mut space = space(&mut pool);
    let bare = pool.available();
    for number in [0x400, 0x401, 0x600] {
        map(&mut pool, &mut space, number);
    }
    assert_eq!(space.missing_tables(&pool, page(0x402)), 0);
    assert_eq!(space.missing_tables(&pool, page(0x800)), 1);
    assert_eq!(space.missing_tables(&pool, page(1 << 30)), 3);
    let mut unmap = |space: &mut PageTable, number| {
        let frame = space.unmap(&mut pool, page(number)).expect("it is mapped");
        pool.release(frame);
        space.trim(&mut pool, page(number))
    };
    assert_eq!(unmap(&mut space, 0x400), 0, "its neighbour is left");
    assert_eq!(unmap(&mut space, 0x401), 1);
    assert_eq!(unmap(&mut space, 0x600), 3);
    assert_eq!(space.trim(&mut pool, page(0x600)), 0, "nothing is there");
    assert_eq!(pool.available(), bare);
}

#[test]
fn a_table_that_was_full_and_changed_is_known_to_be_empty_again() {
    let mut pool = pool_of(&[600], 600);
    let mut space = space(&mut pool);
    let bare = pool.available();
    for number in 0..512 {
        map(&mut pool, &mut space, number);
    }
    assert!(space.protect(&mut pool, page(0), Protection::empty()));
    let again = pool.take_zeroed().expect("frames are left");
    let old = space
        .map(&mut pool, page(0), again, RW)
        .expect("the way is there");
    pool.release(old.expect("it was mapped"));
    for number in (0..512).rev() {
        assert_eq!(space.trim(&mut pool, page(number)), 0, "{number} is left");
        let frame = space.unmap(&mut pool, page(number)).expect("it is mapped");
        pool.release(frame);
        let found = space.next_mapped(&pool, page(0), page(512));
        assert_eq!(found.is_some(), number > 0);
    }
    assert_eq!(space.trim(&mut pool, page(0)), 3);
    assert_eq!(pool.available(), bare);
}

#[test]
fn finds_what_was_mapped_with_its_protection() {
    let mut pool = pool_of(&[8], 8);
    let mut space = space(&mut pool);
    let physical = map(&mut pool, &mut space, 0x400);
    let found = space.lookup(&pool, page(0x400)).unwrap();
    assert_eq!(found.frame.physical(), physical);
    assert_eq!((found.protection, found.dirty), (RW, false));
    assert!(space.lookup(&pool, page(0x401)).is_none());
    assert!(space.lookup(&pool, page(1 << 30)).is_none());
}

#[test]
fn no_page_is_reached_by_the_kernel_bits_and_none_is_executable_unasked() {
    let mut pool = pool_of(&[8], 8);
    let mut space = space(&mut pool);
    map(&mut pool, &mut space, 1);
    let (_, entry) = space.leaf(&pool, page(1)).unwrap();
    assert_eq!(entry & (USER | NO_EXECUTE), USER | NO_EXECUTE);
    assert!(space.protect(&mut pool, page(1), Protection::READ | Protection::EXECUTE));
    let (_, entry) = space.leaf(&pool, page(1)).unwrap();
    assert_eq!(entry & (WRITABLE | NO_EXECUTE), 0);
}

#[test]
fn mapping_over_a_page_gives_the_old_frame_back_and_is_remembered_as_stale() {
    let mut pool = pool_of(&[8], 8);
    let mut space = space(&mut pool);
    let first = map(&mut pool, &mut space, 7);
    assert_eq!(
        space.take_stale(),
        Stale::Nothing,
        "an absent page is never remembered"
    );
    let frame = pool.take_zeroed().unwrap();
    let old = space.map(&mut pool, page(7), frame, RW).unwrap();
    assert_eq!(old.as_ref().map(Frame::physical), Some(first));
    assert_eq!(space.take_stale(), Stale::One(page(7)));
    assert_eq!(space.take_stale(), Stale::Nothing);
    pool.release(old.unwrap());
}

#[test]
fn one_stale_page_stays_one_and_two_are_everything() {
    let mut pool = pool_of(&[8], 8);
    let mut space = space(&mut pool);
    map(&mut pool, &mut space, 1);
    map(&mut pool, &mut space, 2);
    assert!(space.protect(&mut pool, page(1), Protection::READ));
    assert!(space.protect(&mut pool, page(1), RW));
    assert_eq!(space.take_stale(), Stale::One(page(1)));
    assert!(space.protect(&mut pool, page(1), Protection::READ));
    assert!(space.protect(&mut pool, page(2), Protection::READ));
    assert_eq!(space.take_stale(), Stale::Everything);
}

#[test]
fn a_changed_protection_keeps_the_dirty_mark() {
    let mut pool = pool_of(&[8], 8);
    let mut space = space(&mut pool);
    map(&mut pool, &mut space, 1);
    let (table, entry) = space.leaf(&pool, page(1)).unwrap();
    write(&mut pool, table, page(1).index(0), entry | DIRTY);
    assert!(space.protect(&mut pool, page(1), Protection::READ));
    let found = space.lookup(&pool, page(1)).unwrap();
    assert!(found.dirty && found.protection == Protection::READ);
    assert!(!space.protect(&mut pool, page(2), Protection::READ));
}

#[test]
fn running_out_of_frames_for_a_table_gives_the_frame_back() {
    for frames in 2..5 {
        let mut pool = pool_of(&[frames], frames);
        let mut space = space(&mut pool);
        let frame = pool.take_zeroed().unwrap();
        let frame = space.map(&mut pool, page(5), frame, RW).unwrap_err();
        assert!(space.lookup(&pool, page(5)).is_none());
        pool.release(frame);
        space.release(&mut pool);
        assert_eq!(
            pool.available(),
            frames,
            "tables on the way were given back"
        );
    }
}

#[test]
fn steps_from_one_mapped_page_to_the_next_over_any_distance() {
    let mut pool = pool_of(&[40], 40);
    let mut space = space(&mut pool);
    let numbers = [0, 1, 511, 512, (1 << 18) + 3, 1 << 27, Page::END.0 - 1];
    for number in numbers {
        map(&mut pool, &mut space, number);
    }
    let mut from = page(0);
    let mut found = std::vec::Vec::new();
    while let Some(next) = space.next_mapped(&pool, from, Page::END) {
        found.push(next.number());
        from = Page(next.number() + 1);
    }
    assert_eq!(found, numbers);
    assert_eq!(space.next_mapped(&pool, page(2), page(511)), None);
    assert_eq!(
        space.next_mapped(&pool, page(2), page(512)),
        Some(page(511))
    );
    assert_eq!(space.next_mapped(&pool, page(5), page(5)), None);
    assert_eq!(space.next_mapped(&pool, page(600), page(5)), None);
}

#[test]
fn everything_comes_back_when_pages_are_unmapped_and_the_table_is_released() {
    let mut pool = pool_of(&[40], 40);
    let mut space = space(&mut pool);
    let numbers = [0, 1, 512, 1 << 18, 1 << 27, Page::END.0 - 1];
    for number in numbers {
        map(&mut pool, &mut space, number);
    }
    for number in numbers {
        let frame = space.unmap(&mut pool, page(number)).unwrap();
        pool.release(frame);
        assert!(space.unmap(&mut pool, page(number)).is_none());
    }
    space.release(&mut pool);
    assert_eq!(pool.available(), 40);
}

#[test]
fn shares_pages_without_the_right_to_write_in_either_table() {
    let mut pool = pool_of(&[16], 16);
    let (mut parent, mut child) = (space(&mut pool), space(&mut pool));
    let physical = map(&mut pool, &mut parent, 0x405);
    map(&mut pool, &mut parent, 0x407);
    let shared = parent.share(&mut pool, &mut child, page(0x400)..page(0x600), 8);
    assert_eq!(
        shared,
        Sharing {
            next: 0x600,
            pages: 2,
            tables: 3
        }
    );
    for table in [&parent, &child] {
        let mapping = table.lookup(&pool, page(0x405)).expect("it is shared");
        assert_eq!(mapping.frame.physical(), physical);
        assert_eq!(mapping.protection, Protection::READ);
        assert_eq!(pool.tokens(mapping.frame), 2);
    }
}

#[test]
fn sharing_ends_at_its_budget_at_its_table_and_where_no_frame_is_left() {
    let mut pool = pool_of(&[16], 16);
    let (mut parent, mut child) = (space(&mut pool), space(&mut pool));
    for number in [0x400, 0x401, 0x600] {
        map(&mut pool, &mut parent, number);
    }
    let all = page(0x400)..page(0x800);
    let mut turn = |from: u64, budget, pool: &mut FramePool| {
        let shared = parent.share(pool, &mut child, page(from)..all.end, budget);
        (shared.next, shared.pages, shared.tables)
    };
    assert_eq!(turn(0x400, 1, &mut pool), (0x401, 1, 3));
    assert_eq!(turn(0x401, 9, &mut pool), (0x600, 1, 0));
    let mut taken = Vec::new();
    while let Ok(frame) = pool.take() {
        taken.push(frame);
    }
    assert_eq!(turn(0x600, 9, &mut pool), (0x600, 0, 0), "no frame");
    pool.release(taken.pop().expect("some were free"));
    assert_eq!(turn(0x600, 9, &mut pool), (0x800, 1, 1));
    assert_eq!(turn(0x601, 9, &mut pool), (0x800, 0, 0), "nothing is left");
}

#[test]
fn a_program_may_use_a_page_as_far_as_its_protection_goes() {
    let mut pool = pool_of(&[8], 8);
    let mut space = space(&mut pool);
    let physical = map(&mut pool, &mut space, 0x400);
    let (read, write, execute) = (Protection::READ, Protection::WRITE, Protection::EXECUTE);
    for (protection, allowed) in [
        (Protection::empty(), vec![]),
        (read, vec![read]),
        // On x86 what can be written or executed can be read.
        (write, vec![read, write]),
        (execute, vec![read, execute]),
        (RW, vec![read, write]),
        (read | execute, vec![read, execute]),
    ] {
        assert!(space.protect(&mut pool, page(0x400), protection));
        for wanted in [read, write, execute] {
            let frame = space.permitted(&pool, page(0x400), wanted);
            let found = frame.map(|frame| frame.physical());
            let expected = allowed.contains(&wanted).then_some(physical);
            assert_eq!(found, expected, "{wanted:?} of {protection:?}");
        }
    }
    assert!(space.permitted(&pool, page(0x401), read).is_none());
    assert!(space.permitted(&pool, page(0x800), read).is_none());
}

#[test]
fn a_table_that_was_given_back_is_not_looked_into_again() {
    let mut pool = pool_of(&[32], 32);
    let mut space = space(&mut pool);
    // More regions than are remembered, and two looks at each.
    let numbers = [0x400, 0x600, 0x800, 0xa00, 1 << 30, (1 << 30) + 512];
    let frames = numbers.map(|number| map(&mut pool, &mut space, number));
    for _ in 0..2 {
        for (number, physical) in numbers.into_iter().zip(frames) {
            let mapping = space.lookup(&pool, page(number)).expect("it is mapped");
            assert_eq!(mapping.frame.physical(), physical);
        }
    }
    for number in numbers {
        let frame = space.unmap(&mut pool, page(number)).expect("it is mapped");
        pool.release(frame);
        assert!(space.trim(&mut pool, page(number)) > 0);
        // Whoever gets the table's frame fills it with what would pass for entries.
        let mut strangers: Vec<_> = std::iter::from_fn(|| pool.take_zeroed().ok()).collect();
        for stranger in &strangers {
            pool.bytes_mut(stranger).fill(0xff);
        }
        assert!(space.lookup(&pool, page(number)).is_none());
        assert!(
            space
                .permitted(&pool, page(number), Protection::READ)
                .is_none()
        );
        assert_ne!(space.missing_tables(&pool, page(number)), 0);
        strangers.drain(..).for_each(|frame| pool.release(frame));
    }
}

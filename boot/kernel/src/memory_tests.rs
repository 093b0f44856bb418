//! Memory a program has already: what advice does to it, what forks leave out, how mappings double and move.

use crate::bench::{Bench, exit};
use crate::limits::WORK_PAGES;
use crate::loading_tests::{large_bench, program, run};
use crate::space::LOWEST_ADDRESS;
use crate::tests::{AT, PAGE, call, map, segv, steps};
use agent::kernel::ExitStatus;
use fakes::user::Step::{self, *};
use std::vec;
use std::vec::Vec;

const OPEN: u64 = 2;
const MMAP: u64 = 9;
const MPROTECT: u64 = 10;
const MUNMAP: u64 = 11;
const MREMAP: u64 = 25;
const MADVISE: u64 = 28;
const FORK: u64 = 57;
const WAIT4: u64 = 61;
const MLOCK: u64 = 149;
const MLOCKALL: u64 = 151;
const MLOCK2: u64 = 325;
const ENOMEM: i64 = -12;
const EACCES: i64 = -13;
const EINVAL: i64 = -22;
const EOPNOTSUPP: i64 = -95;

const DO_NOT_NEED: u64 = 4;
const FREE: u64 = 8;
const DO_NOT_FORK: u64 = 10;
const DO_FORK: u64 = 11;
const WIPE_ON_FORK: u64 = 18;
const KEEP_ON_FORK: u64 = 19;

/// Private, anonymous, fixed.
const PRIVATE: u64 = 0x32;
/// Shared, anonymous, fixed.
const SHARED: u64 = 0x31;

/// Plays a program that has a root, so that it can have files and shared memory.
fn ends(steps: Vec<Step>) {
    let mut bench = large_bench(&program(), 1024);
    assert_eq!(run(&mut bench, steps), ExitStatus::Exited(0));
}

fn advise(at: u64, pages: u64, advice: u64, answer: i64) -> Vec<Step> {
    vec![call(MADVISE, &[at, pages * PAGE, advice]), Expect(answer)]
}

fn map_at(at: u64, pages: u64, flags: u64) -> Vec<Step> {
    let call = call(MMAP, &[at, pages * PAGE, 3, flags, u64::MAX, 0]);
    vec![call, Expect(at as i64)]
}

/// Forks; the child plays `child`, and how it ended is expected by the parent, which goes on with `after`.
fn fork(before: Vec<Step>, child: Vec<Step>, status: u32, after: Vec<Step>) -> Vec<Step> {
    let parent = steps(vec![
        vec![
            call(WAIT4, &[u64::MAX, AT, 0, 0]),
            Load(AT, status.to_le_bytes().to_vec()),
        ],
        after,
        vec![exit(0)],
    ]);
    let start = before.len() + 2 + parent.len();
    let fork = vec![
        call(FORK, &[]),
        Branch(|registers| registers.rax == 0, start),
    ];
    steps(vec![before, fork, parent, child])
}

#[test]
fn advice_that_would_not_be_kept_is_refused_and_hints_are_taken() {
    let kept = [4, 8, 10, 11, 18, 19];
    let hints = (0..4).chain(12..18).chain(20..22);
    let good: Vec<u64> = hints.chain(kept).collect();
    let mut program = map(2, 3);
    for advice in (0..40).chain([64, 100, 1 << 31, u64::from(u32::MAX)]) {
        let is_good = good.contains(&advice);
        let answer = |mapped| if is_good { mapped } else { EINVAL };
        program.extend(advise(AT, 1, advice, answer(0)));
        program.extend(advise(AT + PAGE, 1, advice, answer(0)));
        program.extend(advise(AT, 2, advice, answer(0)));
        program.extend(advise(AT, 3, advice, answer(ENOMEM)));
        program.extend(advise(AT, 0, advice, answer(0)));
        program.extend(advise(AT + 1, 1, advice, EINVAL));
    }
    program.extend(advise(!(PAGE - 1), 2, 0, EINVAL));
    program.extend(advise(0x7fff_ffff_f000, 1, 0, ENOMEM));
    program.push(exit(0));
    ends(program);
}

#[test]
fn pages_on_both_sides_of_a_hole_are_dropped_before_the_hole_is_told() {
    for advice in [DO_NOT_NEED, FREE] {
        ends(steps(vec![
            map(3, 3),
            vec![
                Store(AT, vec![1]),
                Store(AT + 2 * PAGE, vec![2]),
                call(MUNMAP, &[AT + PAGE, PAGE]),
            ],
            advise(AT, 3, advice, ENOMEM),
            vec![Load(AT, vec![0]), Load(AT + 2 * PAGE, vec![0]), exit(0)],
        ]));
    }
}

#[test]
fn advice_for_private_memory_is_refused_where_memory_is_shared() {
    for advice in [FREE, WIPE_ON_FORK] {
        ends(steps(vec![
            map_at(AT, 1, SHARED),
            vec![Store(AT, vec![7])],
            advise(AT, 1, advice, EINVAL),
            vec![Load(AT, vec![7]), exit(0)],
        ]));
    }
}

#[test]
fn what_is_not_to_be_forked_is_missing_in_the_child_and_stays_with_its_parent() {
    let before = steps(vec![
        map(3, 3),
        vec![Store(AT + PAGE, vec![1]), Store(AT + 2 * PAGE, vec![2])],
        advise(AT + PAGE, 1, DO_NOT_FORK, 0),
    ]);
    let child = vec![Load(AT + 2 * PAGE, vec![2]), Load(AT + PAGE, vec![1])];
    let after = vec![Load(AT + PAGE, vec![1])];
    ends(fork(before, child, 11, after));
}

#[test]
fn a_place_that_was_not_forked_is_free_for_the_child() {
    let before = steps(vec![map(2, 3), advise(AT + PAGE, 1, DO_NOT_FORK, 0)]);
    let child = steps(vec![
        map_at(AT + PAGE, 1, 0x10_0022),
        vec![Load(AT + PAGE, vec![0]), exit(3)],
    ]);
    ends(fork(before, child, 3 << 8, vec![]));
}

#[test]
fn what_is_to_be_wiped_is_zero_in_the_child_and_in_the_child_s_child() {
    let before = steps(vec![
        map(3, 3),
        vec![Store(AT + PAGE, vec![1]), Store(AT + 2 * PAGE, vec![2])],
        advise(AT + PAGE, 1, WIPE_ON_FORK, 0),
    ]);
    let first = before.len() + 2 + 4;
    // The child forks, too: its own child comes to the last two steps.
    let child = vec![
        Load(AT + PAGE, vec![0]),
        Load(AT + 2 * PAGE, vec![2]),
        Store(AT + PAGE, vec![9]),
        call(FORK, &[]),
        Branch(|registers| registers.rax == 0, first + 8),
        call(WAIT4, &[u64::MAX, AT, 0, 0]),
        Load(AT, (5_u32 << 8).to_le_bytes().to_vec()),
        exit(4),
        Load(AT + PAGE, vec![0]),
        exit(5),
    ];
    let after = vec![Load(AT + PAGE, vec![1])];
    ends(fork(before, child, 4 << 8, after));
}

#[test]
fn advice_about_forks_can_be_taken_back() {
    let before = steps(vec![
        map(3, 3),
        vec![Store(AT + PAGE, vec![1]), Store(AT + 2 * PAGE, vec![2])],
        advise(AT + PAGE, 1, DO_NOT_FORK, 0),
        advise(AT + PAGE, 2, WIPE_ON_FORK, 0),
        advise(AT, 3, DO_FORK, 0),
        advise(AT + 2 * PAGE, 1, KEEP_ON_FORK, 0),
    ]);
    let child = vec![
        Load(AT + PAGE, vec![0]),
        Load(AT + 2 * PAGE, vec![2]),
        exit(6),
    ];
    ends(fork(before, child, 6 << 8, vec![]));
}

#[test]
fn advice_for_more_areas_than_one_turn_takes_reaches_them_all() {
    for areas in [WORK_PAGES - 1, WORK_PAGES, WORK_PAGES + 1, 3 * WORK_PAGES] {
        let areas = areas as u64;
        let last = AT + (areas - 1) * PAGE;
        let mut program = map(areas, 3);
        program.push(Store(last, vec![1]));
        for page in (0..areas).step_by(2) {
            program.push(call(MPROTECT, &[AT + page * PAGE, PAGE, 1]));
        }
        for advice in [FREE, DO_NOT_NEED, WIPE_ON_FORK, KEEP_ON_FORK, DO_NOT_FORK] {
            program.extend(advise(AT, areas, advice, 0));
        }
        // What fork leaves out, an area for each page, is one area less for each that joins its neighbour.
        program.extend(vec![
            call(MPROTECT, &[AT, areas * PAGE, 3]),
            call(FORK, &[]),
        ]);
        let at = program.len() + 4;
        program.extend(vec![
            Branch(|registers| registers.rax == 0, at),
            call(WAIT4, &[u64::MAX, AT, 0, 0]),
            Load(AT, 11_u32.to_le_bytes().to_vec()),
            exit(0),
            Load(last, vec![0]),
        ]);
        ends(program);
    }
}

#[test]
fn a_validated_mapping_refuses_what_it_does_not_know() {
    /// `MAP_SYNC`, `MAP_SHARED_VALIDATE`, `MAP_NORESERVE`.
    const SYNC: u64 = 0x8_0000;
    const VALIDATE: u64 = 3;
    const NO_RESERVE: u64 = 0x4000;
    let mapped = |flags| call(MMAP, &[0, PAGE, 1, flags, 3, 0]);
    let done: Step = Do(|registers| assert!((registers.rax as i64) > 0));
    ends(steps(vec![
        map(1, 3),
        vec![
            Store(AT, b"/bin/test\0".to_vec()),
            call(OPEN, &[AT, 0]),
            Expect(3),
            mapped(VALIDATE),
            done.clone(),
            mapped(VALIDATE | NO_RESERVE),
            done.clone(),
            mapped(VALIDATE | SYNC),
            Expect(EOPNOTSUPP),
            mapped(1 | SYNC),
            done,
            mapped(4),
            Expect(EINVAL),
            mapped(0),
            Expect(EINVAL),
            mapped(2 | 0x100),
            Expect(EINVAL),
            call(MMAP, &[0, PAGE, 1, VALIDATE | 0x20, u64::MAX, 0]),
            Expect(EINVAL),
            exit(0),
        ],
    ]));
}

#[test]
fn a_low_mapping_lies_below_two_gibibytes_while_there_is_room() {
    const LOW: u64 = 0x62;
    let low = |at: u64, bytes: u64| call(MMAP, &[at, bytes, 0, LOW, u64::MAX, 0]);
    ends(vec![
        low(0, PAGE),
        Do(|registers| assert!((0x4000_0000..0x8000_0000).contains(&registers.rax))),
        // A wish counts below the bound, and not above it.
        low(AT, PAGE),
        Expect(AT as i64),
        low(0x7fff_f000, PAGE),
        Do(|registers| assert!(registers.rax < 0x8000_0000)),
        low(0x8000_0000, PAGE),
        Do(|registers| assert!(registers.rax < 0x8000_0000)),
        low(0, 0x4000_0000),
        Expect(ENOMEM),
        exit(0),
    ]);
}

#[test]
fn a_mapping_that_grows_down_does_so_and_others_do_not() {
    const GROWS: u64 = 0x132;
    let low = AT + 300 * PAGE;
    ends(steps(vec![
        map_at(low, 1, GROWS),
        vec![
            Store(low - 3 * PAGE, vec![1]),
            Load(low - 2 * PAGE, vec![0]),
            call(MMAP, &[0, PAGE, 3, 0x121, u64::MAX, 0]),
            Expect(EINVAL),
            exit(0),
        ],
    ]));
    let mut bench = Bench::new(256);
    let fixed = steps(vec![map_at(low, 1, PRIVATE), vec![Store(low - 1, vec![1])]]);
    assert_eq!(bench.finish(fixed), segv());
    // Where nothing can be mapped, nothing grows.
    for (at, status) in [
        (LOWEST_ADDRESS, ExitStatus::Exited(0)),
        (LOWEST_ADDRESS - 1, segv()),
        (0, segv()),
    ] {
        let mut bench = Bench::new(256);
        let grown = vec![Store(at, vec![1]), exit(0)];
        let program = steps(vec![map_at(LOWEST_ADDRESS + PAGE, 1, GROWS), grown]);
        assert_eq!(bench.finish(program), status, "{at:#x}");
    }
}

#[test]
fn dev_zero_is_memory() {
    let open = |flags, fd| vec![call(OPEN, &[AT, flags]), Expect(fd)];
    let zero = |at, protection, flags, fd| call(MMAP, &[at, PAGE, protection, flags, fd, 0]);
    let (private, shared) = (AT + 8 * PAGE, AT + 9 * PAGE);
    ends(steps(vec![
        map(1, 3),
        vec![Store(AT, b"/dev/zero\0".to_vec())],
        open(0, 3),
        open(1, 4),
        open(2, 5),
        vec![
            zero(private, 3, 0x12, 3),
            Expect(private as i64),
            Load(private, vec![0]),
            Store(private, vec![1]),
            zero(shared, 3, 0x11, 3),
            Expect(EACCES),
            zero(shared, 1, 0x12, 4),
            Expect(EACCES),
            zero(shared, 3, 0x11, 5),
            Expect(shared as i64),
            exit(0),
        ],
    ]));
}

#[test]
fn shared_memory_is_doubled_by_moving_none_of_it() {
    const FIXED: u64 = 3;
    let (second, third) = (AT + 20 * PAGE, AT + 40 * PAGE);
    let double = |at: u64, to: u64| call(MREMAP, &[at, 0, 2 * PAGE, FIXED, to]);
    ends(steps(vec![
        map_at(AT, 2, SHARED),
        map_at(AT + 2 * PAGE, 1, PRIVATE),
        vec![
            Store(AT + PAGE, vec![1]),
            double(AT, second),
            Expect(second as i64),
            Load(second + PAGE, vec![1]),
            Store(second, vec![2]),
            Load(AT, vec![2]),
            double(AT + PAGE, third),
            Expect(third as i64),
            Load(third, vec![1]),
            call(MREMAP, &[AT, 0, PAGE, 0]),
            Expect(ENOMEM),
            double(AT + 2 * PAGE, third),
            Expect(EINVAL),
            exit(0),
        ],
    ]));
}

#[test]
fn a_mapping_that_stays_is_empty_when_its_pages_have_moved() {
    const KEEP: u64 = 5;
    let to = AT + 200 * PAGE;
    let pages = WORK_PAGES as u64 + 3;
    let keep = |old, new, flags| call(MREMAP, &[AT, old * PAGE, new * PAGE, flags, to]);
    ends(steps(vec![
        map(pages, 3),
        (0..pages)
            .map(|page| Store(AT + page * PAGE, vec![1]))
            .collect(),
        vec![
            keep(2, 3, KEEP),
            Expect(EINVAL),
            keep(2, 2, 4),
            Expect(EINVAL),
            keep(pages, pages, KEEP | 2),
            Expect(to as i64),
            Load(to + (pages - 1) * PAGE, vec![1]),
            Load(AT, vec![0]),
            Store(AT + PAGE, vec![3]),
            Load(to + PAGE, vec![1]),
            exit(0),
        ],
    ]));
}

#[test]
fn memory_is_locked_by_whole_pages_where_it_is_mapped() {
    let lock =
        |number, at, bytes, flags, answer| vec![call(number, &[at, bytes, flags]), Expect(answer)];
    ends(steps(vec![
        map(2, 3),
        lock(MLOCK, AT + 1, 2 * PAGE - 1, 0, 0),
        lock(MLOCK, AT + 1, 2 * PAGE, 0, ENOMEM),
        lock(MLOCK, AT, u64::MAX, 0, EINVAL),
        lock(MLOCK, !(PAGE - 1), 2 * PAGE, 0, EINVAL),
        lock(MLOCK2, AT, PAGE, 1, 0),
        lock(MLOCK2, AT, PAGE, 2, EINVAL),
        lock(MLOCKALL, 3, 0, 0, 0),
        lock(MLOCKALL, 5, 0, 0, 0),
        lock(MLOCKALL, 4, 0, 0, EINVAL),
        lock(MLOCKALL, 0, 0, 0, EINVAL),
        lock(MLOCKALL, 8, 0, 0, EINVAL),
        vec![exit(0)],
    ]));
}

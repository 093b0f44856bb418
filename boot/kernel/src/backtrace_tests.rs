//! What a dump shows of a program's calls, whatever the program left in its frame pointers.

use crate::bench::Bench;
use crate::limits::BACKTRACE_FRAMES;
use crate::tests::{AT, PAGE, call, map, steps};
use agent::kernel::Kernel as _;
use fakes::user::Step::{self, *};
use hal::user::Registers;
use std::string::String;
use std::vec;
use std::vec::Vec;

const PAUSE: u64 = 34;

/// Lets a program leave these words at [`AT`] and `rbp` as `set` does; returns the callers a dump shows.
fn callers(words: &[(u64, u64)], set: fn(&mut Registers)) -> Vec<String> {
    let mut bench = Bench::new(512);
    let stores: Vec<Step> = words
        .iter()
        .map(|(offset, word)| Store(AT + offset, word.to_le_bytes().to_vec()))
        .collect();
    bench.run(steps(vec![
        map(2, 3),
        stores,
        vec![Do(set), call(PAUSE, &[])],
    ]));
    bench.settle();
    let mut text = String::new();
    bench.kernel.dump(&mut text).expect("a string takes all");
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("callers:"));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    line.split_whitespace().map(String::from).collect()
}

#[test]
fn callers_are_shown_from_the_innermost_on() {
    let words = [
        (0, AT + 64),
        (8, 0x40_1111),
        (64, AT + PAGE - 8),
        (72, 0x40_2222),
        // A frame on two pages.
        (PAGE - 8, 0),
        (PAGE, 0x40_3333),
    ];
    assert_eq!(
        callers(&words, |registers| registers.rbp = AT),
        ["0x401111", "0x402222", "0x403333"]
    );
}

#[test]
fn a_chain_that_does_not_go_up_ends() {
    for above in [0, AT, AT - 8, 1, u64::MAX, AT + 65, 1 << 47] {
        let words = [(16, above), (24, 0x40_1111)];
        let shown = callers(&words, |registers| registers.rbp = AT + 16);
        assert_eq!(shown, ["0x401111"], "{above:#x}");
    }
}

#[test]
fn nothing_is_shown_for_a_register_that_holds_no_frame() {
    for set in [
        (|registers| registers.rbp = 0) as fn(&mut Registers),
        |registers| registers.rbp = AT + 1,
        |registers| registers.rbp = u64::MAX,
        |registers| registers.rbp = u64::MAX - 7,
        |registers| registers.rbp = 0xffff_8000_0000_0000,
        // Behind the last page, and in one that was never touched.
        |registers| registers.rbp = AT + 2 * PAGE,
        |registers| registers.rbp = AT + PAGE - 8,
    ] {
        assert!(callers(&[(0, 0)], set).is_empty());
    }
}

#[test]
fn a_long_chain_is_shown_to_its_limit() {
    for frames in [BACKTRACE_FRAMES - 1, BACKTRACE_FRAMES, BACKTRACE_FRAMES + 1] {
        let mut words = Vec::new();
        for nth in 0..frames as u64 {
            words.push((nth * 16, AT + (nth + 1) * 16));
            words.push((nth * 16 + 8, 0x40_0000 + nth));
        }
        words.push((frames as u64 * 16, 0));
        let shown = callers(&words, |registers| registers.rbp = AT);
        assert_eq!(shown.len(), frames.min(BACKTRACE_FRAMES));
    }
}

//! `fpu [ROUNDS [SEED]]`: keeps values in every vector register and in the control words over preemption, system calls and
//! signals whose handler has values of its own there, and checks them. Several at once with different seeds show that none
//! sees the registers of another.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use programs::instruction::{
    Interlude, VectorKind, Vectors, keep_controls, keep_vectors, leave_controls,
};
use programs::task::on_signal;
use programs::{Arguments, call, entry, expect, say};

/// Long enough for several ticks of any timer.
const LONG: u64 = 2_000_000;
/// Rounding towards zero, exceptions masked; the default is 0x1f80.
const MXCSR: u32 = 0x7f80;
/// Single precision, rounding up; the default is 0x37f.
const X87: u16 = 0x087f;
/// What both are where a program, or the handler of a signal, begins.
const FIRST: (u32, u16) = (0x1f80, 0x037f);
const SIGALRM: u8 = 14;

/// How many signals came.
static SIGNALS: AtomicU32 = AtomicU32::new(0);
/// How many handlers found other control words than those of a beginning.
static BEGUN_OTHERWISE: AtomicU32 = AtomicU32::new(0);

/// Handles a signal: leaves other values in all registers than anybody else has.
extern "C" fn spoil(_: i32) {
    let found = leave_controls(0x3f80, 0x0b7f);
    BEGUN_OTHERWISE.fetch_add(u32::from(found != FIRST), Relaxed);
    let kind = VectorKind::of_this_machine();
    let nothing = Interlude { spins: 0, calls: 0 };
    keep_vectors(kind, &Vectors([[u64::MAX; 4]; 16]), nothing);
    SIGNALS.fetch_add(1, Relaxed);
}

/// Does something until a signal has come meanwhile, longer each time; returns what it gave.
fn over_a_signal<T>(mut act: impl FnMut(Interlude) -> T) -> Result<T, call::Errno> {
    let mut spins = LONG / 16;
    loop {
        let before = SIGNALS.load(Relaxed);
        call::alarm_in(200)?;
        let found = act(Interlude { spins, calls: 0 });
        if SIGNALS.load(Relaxed) != before {
            return Ok(found);
        }
        spins *= 2;
    }
}

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let rounds = arguments.number(1).unwrap_or(20);
    let seed = arguments.number(2).unwrap_or_else(call::process_id);
    let kind = VectorKind::of_this_machine();
    let handled = on_signal(SIGALRM, spoil);
    expect!(handled.is_ok(), "sigaction: {handled:?}");
    for round in 0..rounds {
        let pattern = pattern(kind, seed, round);
        for interlude in [
            Interlude {
                spins: LONG,
                calls: 0,
            },
            Interlude {
                spins: 0,
                calls: 100,
            },
        ] {
            let found = keep_vectors(kind, &pattern, interlude);
            expect!(
                found == pattern,
                "round {round}: a vector register changed ({kind:?})"
            );
        }
        let (mxcsr, x87) = keep_controls(
            MXCSR,
            X87,
            Interlude {
                spins: LONG,
                calls: 1,
            },
        );
        expect!(
            mxcsr & 0xffc0 == MXCSR,
            "round {round}: MXCSR is {mxcsr:#x}"
        );
        expect!(
            x87 == X87,
            "round {round}: the x87 control word is {x87:#x}"
        );
        let found = over_a_signal(|interlude| keep_vectors(kind, &pattern, interlude));
        expect!(
            found == Ok(pattern),
            "round {round}: a vector register changed over a signal ({kind:?})"
        );
        let found = over_a_signal(|interlude| keep_controls(MXCSR, X87, interlude));
        let found = found.map(|(mxcsr, x87)| (mxcsr & 0xffc0, x87));
        expect!(
            found == Ok((MXCSR, X87)),
            "round {round}: the control words changed over a signal: {found:x?}"
        );
    }
    let otherwise = BEGUN_OTHERWISE.load(Relaxed);
    expect!(
        otherwise == 0,
        "{otherwise} handlers began with control words of others"
    );
    say!("fpu: {rounds} rounds, {kind:?}");
    0
}

/// Different in every register, round and program; zero where the register has no such half.
fn pattern(kind: VectorKind, seed: u64, round: u64) -> Vectors {
    let words = match kind {
        VectorKind::Sse => 2,
        VectorKind::Avx => 4,
    };
    let mut pattern = Vectors([[0; 4]; 16]);
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ round.wrapping_add(1);
    for word in pattern
        .0
        .iter_mut()
        .flat_map(|register| &mut register[..words])
    {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *word = state;
    }
    pattern
}

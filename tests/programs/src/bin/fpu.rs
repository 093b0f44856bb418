//! `fpu [ROUNDS [SEED]]`: keeps values in every vector register and in the control words over preemption and system
//! calls, and checks them. Several at once with different seeds show that none sees the registers of another.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::instruction::{Interlude, VectorKind, Vectors, keep_controls, keep_vectors};
use programs::{Arguments, call, entry, expect, say};

/// Long enough for several ticks of any timer.
const LONG: u64 = 2_000_000;
/// Rounding towards zero, exceptions masked; the default is 0x1f80.
const MXCSR: u32 = 0x7f80;
/// Single precision, rounding up; the default is 0x37f.
const X87: u16 = 0x087f;

entry!(run);

fn run(arguments: &Arguments) -> u8 {
    let rounds = arguments.number(1).unwrap_or(20);
    let seed = arguments.number(2).unwrap_or_else(call::process_id);
    let kind = VectorKind::of_this_machine();
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
    }
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

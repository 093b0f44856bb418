//! The same targets under libFuzzer: the environment variable `MOTE_FUZZ_TARGET` names the one that is fed.
#![no_main]

use fuzz::target::{self, Target};
use libfuzzer_sys::fuzz_target;
use std::sync::OnceLock;

static TARGET: OnceLock<&Target> = OnceLock::new();

fn chosen() -> &'static Target {
    let name = std::env::var("MOTE_FUZZ_TARGET").unwrap_or_default();
    target::find(&name).unwrap_or_else(|| panic!("MOTE_FUZZ_TARGET={name:?} names no target"))
}

fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(chosen);
    (target.run)(bytes);
});

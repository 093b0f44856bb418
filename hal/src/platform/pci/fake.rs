//! A configuration space in a map, for tests. Base addresses answer the sizing protocol.

use super::{ConfigurationSpace, Function};
use std::collections::BTreeMap;
use std::vec::Vec;

#[derive(Default)]
pub(crate) struct FakeSpace {
    registers: BTreeMap<((u8, u8, u8), u8), u32>,
    /// Bits of a register that cannot be written.
    fixed: BTreeMap<((u8, u8, u8), u8), u32>,
    /// Every write, in order.
    pub(crate) writes: Vec<(u8, u32)>,
}

impl FakeSpace {
    pub(crate) fn put(&mut self, at: (u8, u8, u8), offset: u8, value: u32) {
        self.registers.insert((at, offset), value);
    }

    /// Makes the bits of `mask` of a register keep their value.
    pub(crate) fn fix(&mut self, at: (u8, u8, u8), offset: u8, mask: u32) {
        self.fixed.insert((at, offset), mask);
    }
}

fn key(function: Function, offset: u8) -> ((u8, u8, u8), u8) {
    ((function.bus, function.device, function.function), offset)
}

impl ConfigurationSpace for FakeSpace {
    fn read(&mut self, function: Function, offset: u8) -> u32 {
        let exists = self.registers.contains_key(&key(function, 0));
        let default = if exists { 0 } else { u32::MAX };
        *self
            .registers
            .get(&key(function, offset))
            .unwrap_or(&default)
    }

    fn write(&mut self, function: Function, offset: u8, value: u32) {
        self.writes.push((offset, value));
        let old = self.read(function, offset);
        let fixed = self.fixed.get(&key(function, offset)).copied().unwrap_or(0);
        let new = (old & fixed) | (value & !fixed);
        self.registers.insert(key(function, offset), new);
    }
}

//! The credit pool: who may hold how much of the receive memory.
//!
//! A window is a promise to hold that many bytes until the reader comes, so every window is backed by chunks that are
//! reserved for its connection alone. The sum of all reservations never exceeds the chunks there are; a share is kept
//! for control connections (bridge, log, entropy), one for those of programs, who get no other, and another so that
//! connections yet to come find a small window even while busy streams have grown theirs.

use super::budget::Budget;
use crate::limits::{AGENT_CONNECTIONS, VSOCK_MAX_WINDOW_BYTES, VSOCK_MIN_WINDOW_BYTES};
use crate::vsock::Purpose;

/// Bytes of a chunk, the unit in which received data is stored.
pub(crate) const CHUNK_BYTES: usize = 1024;

/// Returns the chunks that can hold any `window` bytes of a stream: one more than its bytes fill, because the first
/// chunk may be read in part while the last is filled in part.
pub(crate) const fn chunks_for(window: usize) -> usize {
    window.div_ceil(CHUNK_BYTES) + 1
}

/// The accounts of the pool, in chunks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    total: usize,
    /// Reserved by control connections, out of their share first.
    control: usize,
    control_share: usize,
    control_window: usize,
    /// Reserved by programs' connections, out of their share.
    programs: usize,
    program_share: usize,
    /// Reserved by all others.
    common: usize,
    /// Connections of the agent's that hold a window.
    holders: usize,
}

impl Windows {
    pub(crate) const fn new(budget: &Budget) -> Self {
        Self {
            total: budget.chunks,
            control: 0,
            control_share: budget.control_chunks(),
            control_window: budget.control_window,
            programs: 0,
            program_share: budget.program_chunks,
            common: 0,
            holders: 0,
        }
    }

    /// Reserves the first window of a connection; `None` when not even the smallest is left.
    pub(crate) fn reserve(&mut self, purpose: Purpose) -> Option<u32> {
        let wanted = match purpose {
            Purpose::Control => self.control_window,
            Purpose::Input | Purpose::Program
                if self.spare(purpose) >= chunks_for(VSOCK_MAX_WINDOW_BYTES / 4) =>
            {
                VSOCK_MAX_WINDOW_BYTES / 4
            }
            Purpose::Input | Purpose::Output | Purpose::Program => VSOCK_MIN_WINDOW_BYTES,
        };
        [wanted, VSOCK_MIN_WINDOW_BYTES]
            .into_iter()
            .find(|&window| chunks_for(window) <= self.free(purpose))
            .map(|window| {
                *self.account(purpose) += chunks_for(window);
                self.holders += usize::from(purpose != Purpose::Program);
                window as u32
            })
    }

    /// Doubles a window, if it may grow and the chunks are to spare. Returns the new one.
    pub(crate) fn grow(&mut self, purpose: Purpose, window: u32) -> Option<u32> {
        let old = window as usize;
        let new = (old * 2).min(VSOCK_MAX_WINDOW_BYTES);
        let more = chunks_for(new) - chunks_for(old);
        if more == 0 || more > self.spare(purpose) {
            return None;
        }
        *self.account(purpose) += more;
        Some(new as u32)
    }

    /// Gives a window back.
    pub(crate) fn give_back(&mut self, purpose: Purpose, window: u32) {
        *self.account(purpose) -= chunks_for(window as usize);
        self.holders -= usize::from(purpose != Purpose::Program);
    }

    /// Returns the chunks there are.
    pub(crate) const fn total(&self) -> usize {
        self.total
    }

    /// Returns the chunks reserved by all connections together.
    pub(crate) const fn reserved(&self) -> usize {
        self.control + self.programs + self.common
    }

    const fn account(&mut self, purpose: Purpose) -> &mut usize {
        match purpose {
            Purpose::Control => &mut self.control,
            Purpose::Program => &mut self.programs,
            Purpose::Input | Purpose::Output => &mut self.common,
        }
    }

    /// Chunks that a new connection may take.
    fn free(&self, purpose: Purpose) -> usize {
        match purpose {
            Purpose::Control => self.total - self.common - self.control - self.program_share,
            Purpose::Program => self.program_share - self.programs,
            Purpose::Input | Purpose::Output => {
                let control = self.control.max(self.control_share);
                self.total - self.common - control - self.program_share
            }
        }
    }

    /// Chunks that may go into windows larger than the smallest: what is left when every further connection finds the
    /// smallest, but at most half of the pool is kept back for that; of the programs' share three quarters in any case.
    fn spare(&self, purpose: Purpose) -> usize {
        if purpose == Purpose::Program {
            return self
                .free(purpose)
                .saturating_sub(self.program_share / 4 * 3);
        }
        let others = AGENT_CONNECTIONS - self.holders;
        let kept = (others * chunks_for(VSOCK_MIN_WINDOW_BYTES)).min(self.total / 2);
        self.free(Purpose::Output).saturating_sub(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(ram_mib: u64) -> Windows {
        Windows::new(&Budget::for_ram(ram_mib << 20))
    }

    #[test]
    fn never_lends_the_control_share() {
        let mut pool = windows(4);
        while pool.reserve(Purpose::Output).is_some() {}
        let window = pool.reserve(Purpose::Control);
        assert_eq!(window, Some(pool.control_window as u32));
        assert!(pool.reserved() <= pool.total);
    }

    #[test]
    fn falls_back_to_the_smallest_window_before_it_refuses() {
        let mut pool = windows(4);
        let mut last = pool.reserve(Purpose::Output);
        while let Some(window) = pool.reserve(Purpose::Control) {
            last = Some(window);
        }
        assert_eq!(last, Some(VSOCK_MIN_WINDOW_BYTES as u32));
        let left = pool.total - pool.reserved() - pool.program_share;
        assert!(left < chunks_for(VSOCK_MIN_WINDOW_BYTES));
    }

    #[test]
    fn has_a_window_for_every_connection_of_a_64_mib_machine_even_when_one_has_grown() {
        let mut pool = windows(64);
        let mut window = pool.reserve(Purpose::Input).expect("an empty pool");
        while let Some(grown) = pool.grow(Purpose::Input, window) {
            window = grown;
        }
        assert_eq!(window as usize, VSOCK_MAX_WINDOW_BYTES);
        for _ in 1..AGENT_CONNECTIONS {
            pool.reserve(Purpose::Input).expect("kept back");
        }
        assert!(pool.reserved() <= pool.total);
    }

    #[test]
    fn gives_programs_their_share_and_nobody_elses() {
        for ram_mib in [2, 4, 64] {
            let mut pool = windows(ram_mib);
            let mut count = 0;
            while let Some(window) = pool.reserve(Purpose::Program) {
                pool.grow(Purpose::Program, window);
                count += 1;
            }
            assert!(count >= 1, "{ram_mib} MiB");
            assert!(pool.reserved() <= pool.program_share);
            let mut alone = windows(ram_mib);
            let reserve = |pool: &mut Windows| pool.reserve(Purpose::Output).is_some();
            while reserve(&mut alone) {
                assert!(reserve(&mut pool), "{ram_mib} MiB");
            }
            assert!(!reserve(&mut pool));
            assert!(pool.reserved() <= pool.total);
        }
    }

    #[test]
    fn counts_what_comes_back() {
        let mut pool = windows(64);
        let first = pool.reserve(Purpose::Input).expect("an empty pool");
        let grown = pool.grow(Purpose::Input, first).expect("an empty pool");
        assert_eq!(grown, 2 * first);
        pool.give_back(Purpose::Input, grown);
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn does_not_grow_a_window_beyond_the_largest() {
        let mut pool = windows(1024);
        pool.reserve(Purpose::Input).expect("an empty pool");
        let largest = VSOCK_MAX_WINDOW_BYTES as u32;
        assert_eq!(pool.grow(Purpose::Input, largest), None);
    }
}

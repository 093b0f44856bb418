//! One terminal on a table, and settings to be changed: what the tests of the line discipline stand on.

use super::terminal::{State, Terminal};
use super::termios::{Character, TERMIOS2_BYTES};
use crate::account::{Account, Accounts};
use crate::limits::ECHO_RESERVE;
use hal::frame::FramePool;
use std::vec::Vec;

const IFLAG: usize = 0;
const OFLAG: usize = 4;
const LFLAG: usize = 12;
const CHARACTERS: usize = 17;

/// One terminal on a table.
pub(super) struct Desk {
    pub(super) pool: FramePool,
    pub(super) terminal: Terminal,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self::with(same)
    }

    /// A terminal with changed settings.
    pub(super) fn with(change: impl FnOnce(&mut Settings) -> &mut Settings) -> Self {
        let mut pool = fakes::memory::frame_pool(2);
        let frames = (
            pool.take().expect("there are two"),
            pool.take().expect("there are two"),
        );
        let mut accounts = Accounts::new(1);
        let account = accounts.insert(Account::unlimited()).expect("it is empty");
        let terminal = Terminal::new(&mut pool, frames, account, 0);
        let mut desk = Self { pool, terminal };
        desk.set(change);
        desk
    }

    pub(super) fn set(&mut self, change: impl FnOnce(&mut Settings) -> &mut Settings) {
        let mut settings = Settings(*self.terminal.termios.bytes());
        change(&mut settings);
        self.terminal.set_termios(&mut self.pool, &settings.0);
    }

    /// Types as much as is taken; returns how much that is.
    pub(super) fn type_in(&mut self, bytes: &[u8]) -> usize {
        bytes
            .iter()
            .take_while(|&&byte| self.terminal.receive(&mut self.pool, byte))
            .count()
    }

    /// Writes as much as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        bytes
            .iter()
            .take_while(|&&byte| {
                self.terminal.held_at.is_none()
                    && self.terminal.write_byte(&mut self.pool, byte, ECHO_RESERVE)
            })
            .count()
    }

    /// Takes what is on the screen.
    pub(super) fn seen(&mut self) -> Vec<u8> {
        let mut seen = Vec::new();
        while self.terminal.sendable() > 0 {
            let (at, count) = self.terminal.oldest_output();
            seen.extend_from_slice(&self.pool.bytes(&self.terminal.output)[at..at + count]);
            self.terminal.out_tail += count as u64;
        }
        seen
    }

    /// Reads as one read(2) does; `None` when it would wait.
    pub(super) fn read(&mut self) -> Option<Vec<u8>> {
        self.terminal.state.remove(State::LINE_TAKEN);
        if self.terminal.readable() == 0 {
            return None;
        }
        Some(core::iter::from_fn(|| self.terminal.take(&mut self.pool)).collect())
    }

    /// Reads all there is, read by read.
    pub(super) fn reads(&mut self) -> Vec<Vec<u8>> {
        core::iter::from_fn(|| self.read()).collect()
    }

    pub(super) fn raised(&mut self) -> Vec<u8> {
        let mut raised = core::mem::take(&mut self.terminal.raised);
        core::iter::from_fn(|| {
            let signal = raised.first()?;
            raised.remove(signal);
            Some(signal.number())
        })
        .collect()
    }
}

/// Settings to be changed.
pub(super) struct Settings(pub(super) [u8; TERMIOS2_BYTES]);

impl Settings {
    pub(super) fn word(&mut self, at: usize, off: u32, on: u32) {
        let mut word = [0; 4];
        word.copy_from_slice(&self.0[at..at + 4]);
        let word = u32::from_le_bytes(word) & !off | on;
        self.0[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }

    pub(super) fn input(&mut self, off: u32, on: u32) -> &mut Self {
        self.word(IFLAG, off, on);
        self
    }

    pub(super) fn output(&mut self, off: u32, on: u32) -> &mut Self {
        self.word(OFLAG, off, on);
        self
    }

    pub(super) fn local(&mut self, off: u32, on: u32) -> &mut Self {
        self.word(LFLAG, off, on);
        self
    }

    pub(super) fn character(&mut self, which: Character, byte: u8) -> &mut Self {
        self.0[CHARACTERS + which as usize] = byte;
        self
    }

    /// cfmakeraw(3).
    pub(super) fn raw(&mut self) -> &mut Self {
        self.input(0o2753, 0).output(1, 0).local(0o100_113, 0)
    }
}

pub(super) const ISTRIP: u32 = 0o40;
pub(super) const INLCR: u32 = 0o100;
pub(super) const IGNCR: u32 = 0o200;
pub(super) const ICRNL: u32 = 0o400;
pub(super) const IXON: u32 = 0o2000;
pub(super) const IXANY: u32 = 0o4000;
pub(super) const IUTF8: u32 = 0o40000;
pub(super) const ISIG: u32 = 0o1;
pub(super) const ICANON: u32 = 0o2;
pub(super) const ECHO: u32 = 0o10;
pub(super) const ECHOE: u32 = 0o20;
pub(super) const ECHOK: u32 = 0o40;
pub(super) const ECHONL: u32 = 0o100;
pub(super) const NOFLSH: u32 = 0o200;
pub(super) const ECHOCTL: u32 = 0o1000;
pub(super) const ECHOKE: u32 = 0o4000;
pub(super) const IEXTEN: u32 = 0o100_000;

/// Leaves the settings as they are.
pub(super) fn same(settings: &mut Settings) -> &mut Settings {
    settings
}

//! One terminal: its settings, the two rings between master and slave, and who it belongs to.

use super::termios::{Character, InputFlags, LocalFlags, Termios};
use crate::account::AccountId;
use crate::limits::{ECHO_RESERVE, TERMINAL_OUTPUT_BYTES};
use crate::signal::SignalSet;
use agent::kernel::Pid;
use hal::frame::{Frame, FramePool};
use hal::limits::PAGE_BYTES;

bitflags::bitflags! {
    /// What is true of a terminal now.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct State: u16 {
        /// The next character is taken as it is (VLNEXT).
        const LITERAL = 0x1;
        /// The last read took a line's end.
        const LINE_TAKEN = 0x2;
        /// Output is held by tcflow(3): a character does not let it go on.
        const HELD_BY_CALL = 0x4;
        /// The slave cannot be opened (TIOCSPTLCK).
        const LOCKED = 0x8;
        /// The slave was opened once; without one that is open, the master reads the end.
        const OPENED = 0x10;
        /// Nobody takes output: it is dropped.
        const DISCARDS = 0x20;
        /// Every slave that was open is dead; whom that concerns has yet to be told.
        const HUNG_UP = 0x40;
        /// The master is closed: the terminal goes.
        const GONE = 0x80;
        /// The agent is to be told that there is output, or its end.
        const TELL_OUTPUT = 0x100;
        /// The agent is to be told that there is room for input.
        const TELL_INPUT = 0x200;
        /// The agent has taken all output and wants to hear of more.
        const AWAITS_OUTPUT = 0x400;
        /// The agent could not give all it had and wants to hear of room.
        const AWAITS_ROOM = 0x800;
        /// Only root opens the slave once more (TIOCEXCL).
        const EXCLUSIVE = 0x1000;
    }
}

/// A pseudo-terminal. Positions count bytes since it was made.
///
/// ```text
/// input:   tail ── complete lines ── ready ── line that is edited ── head
/// output:  out_tail ── what the master may take ── held_at ── (held) ── out_head
/// ```
#[derive(Debug)]
pub(crate) struct Terminal {
    pub(super) termios: Termios,
    /// `struct winsize`.
    pub(super) window: [u8; 8],
    /// A page of bytes that were received.
    pub(super) input: Frame,
    /// [`TERMINAL_OUTPUT_BYTES`] to be sent, and behind them a bit for each byte of `input` that ends a line.
    pub(super) output: Frame,
    pub(super) tail: u64,
    pub(super) ready: u64,
    pub(super) head: u64,
    pub(super) out_tail: u64,
    pub(super) out_head: u64,
    /// Where output stood when it was held; what comes behind is not sent.
    pub(super) held_at: Option<u64>,
    /// Column of the cursor, as far as can be known.
    pub(super) column: u32,
    /// Column where the line that is edited begins.
    pub(super) line_column: u32,
    pub(super) state: State,
    /// Descriptions that have the slave open.
    pub(super) slaves: u32,
    /// How often it was hung up: a slave that was opened before is dead.
    pub(super) stamp: u32,
    /// The session it controls, 0 for none.
    pub(super) session: u32,
    /// The foreground process group, 0 for none.
    pub(super) foreground: u32,
    /// Signals the foreground group is to get.
    pub(super) raised: SignalSet,
    /// The process whose standard streams the agent relays through the master.
    pub(super) agent: Option<Pid>,
    pub(super) account: AccountId,
    pub(super) uid: u32,
}

/// Where in the output's frame the bits of line ends begin.
const MARKS: usize = TERMINAL_OUTPUT_BYTES;

const _: () = assert!(MARKS + PAGE_BYTES / 8 == PAGE_BYTES);

impl Terminal {
    /// Makes a terminal of two frames.
    pub(super) fn new(
        pool: &mut FramePool,
        (input, output): (Frame, Frame),
        account: AccountId,
        uid: u32,
    ) -> Self {
        let mut terminal = Self {
            termios: Termios::default(),
            window: [0; 8],
            input,
            output,
            tail: 0,
            ready: 0,
            head: 0,
            out_tail: 0,
            out_head: 0,
            held_at: None,
            column: 0,
            line_column: 0,
            state: State::LOCKED | State::AWAITS_OUTPUT,
            slaves: 0,
            stamp: 0,
            session: 0,
            foreground: 0,
            raised: SignalSet::default(),
            agent: None,
            account,
            uid,
        };
        terminal.flush_input(pool);
        terminal
    }

    pub(super) fn has(&self, flag: LocalFlags) -> bool {
        self.termios.local().contains(flag)
    }

    /// Returns a received byte.
    pub(super) fn byte(&self, pool: &FramePool, at: u64) -> u8 {
        pool.bytes(&self.input)[at as usize % PAGE_BYTES]
    }

    /// Takes a received byte in.
    pub(super) fn push(&mut self, pool: &mut FramePool, byte: u8) {
        pool.bytes_mut(&self.input)[self.head as usize % PAGE_BYTES] = byte;
        self.head += 1;
    }

    /// Returns where the mark of a byte is: which byte of the output's frame, which bit.
    const fn mark_place(at: u64) -> (usize, u8) {
        let at = at as usize % PAGE_BYTES;
        (MARKS + at / 8, 1 << (at % 8))
    }

    pub(super) fn is_line_end(&self, pool: &FramePool, at: u64) -> bool {
        let (byte, bit) = Self::mark_place(at);
        pool.bytes(&self.output)[byte] & bit != 0
    }

    /// Makes a byte a line's end, or takes that away.
    pub(super) fn flip_line_end(&mut self, pool: &mut FramePool, at: u64) {
        let (byte, bit) = Self::mark_place(at);
        pool.bytes_mut(&self.output)[byte] ^= bit;
    }

    /// Forgets what was received.
    pub(super) fn flush_input(&mut self, pool: &mut FramePool) {
        pool.bytes_mut(&self.output)[MARKS..].fill(0);
        (self.tail, self.ready) = (self.head, self.head);
    }

    /// Forgets what was not sent.
    pub(super) fn flush_output(&mut self) {
        self.out_tail = self.out_head;
        self.held_at = self.held_at.map(|_| self.out_head);
    }

    /// Returns how many bytes can be read: of complete lines, or of all.
    pub(super) fn readable(&self) -> usize {
        let end = if self.has(LocalFlags::ICANON) {
            self.ready
        } else {
            self.head
        };
        (end - self.tail) as usize
    }

    /// Returns how many bytes the master can take.
    pub(super) fn sendable(&self) -> usize {
        (self.held_at.unwrap_or(self.out_head) - self.out_tail) as usize
    }

    /// Returns how many bytes of output there is room for.
    pub(super) fn output_room(&self) -> usize {
        if self.state.contains(State::DISCARDS) {
            return TERMINAL_OUTPUT_BYTES;
        }
        TERMINAL_OUTPUT_BYTES - (self.out_head - self.out_tail) as usize
    }

    /// Returns whether a program's write would not wait.
    pub(super) fn is_writable(&self) -> bool {
        self.held_at.is_none() && self.output_room() > ECHO_RESERVE
    }

    /// Sends bytes as they are; there must be room.
    pub(super) fn send(&mut self, pool: &mut FramePool, bytes: &[u8]) {
        if self.state.contains(State::DISCARDS) {
            return;
        }
        let ring = pool.bytes_mut(&self.output);
        for &byte in bytes {
            ring[(self.out_head % TERMINAL_OUTPUT_BYTES as u64) as usize] = byte;
            self.out_head += 1;
        }
    }

    /// Returns where the oldest output lies in its frame and how many bytes of it lie together.
    pub(super) fn oldest_output(&self) -> (usize, usize) {
        let at = (self.out_tail % TERMINAL_OUTPUT_BYTES as u64) as usize;
        (at, self.sendable().min(TERMINAL_OUTPUT_BYTES - at))
    }

    /// Holds output.
    pub(super) fn hold(&mut self) {
        self.held_at.get_or_insert(self.out_head);
    }

    /// Lets held output go on, unless a call holds it.
    pub(super) fn go_on(&mut self) {
        if !self.state.contains(State::HELD_BY_CALL) {
            self.held_at = None;
        }
    }

    /// Takes over settings.
    pub(super) fn set_termios(&mut self, pool: &mut FramePool, bytes: &[u8]) {
        let was_canonical = self.has(LocalFlags::ICANON);
        self.termios.set(bytes);
        if self.has(LocalFlags::ICANON) != was_canonical {
            pool.bytes_mut(&self.output)[MARKS..].fill(0);
            self.state.remove(State::LITERAL);
            self.ready = self.tail;
            if !was_canonical && self.head > self.tail {
                // What is there already is a line.
                self.flip_line_end(pool, self.head - 1);
                self.ready = self.head;
            }
        }
        if !self.termios.input().contains(InputFlags::IXON) {
            self.go_on();
        }
    }

    /// Returns how many bytes a read waits for, and how many tenths of a second for each or, when the first is 0, at all.
    pub(super) const fn minimum_and_time(&self) -> (u8, u8) {
        (
            self.termios.character(Character::Minimum),
            self.termios.character(Character::Time),
        )
    }

    /// Returns whether poll(2) calls the slave readable.
    pub(super) fn is_readable(&self) -> bool {
        let wanted = match self.minimum_and_time() {
            (minimum @ 1.., 0) if !self.has(LocalFlags::ICANON) => usize::from(minimum),
            _ => 1,
        };
        self.readable() >= wanted
    }

    /// Reads a byte of what was received; `None` behind a line's end and when there is nothing.
    pub(super) fn take(&mut self, pool: &mut FramePool) -> Option<u8> {
        if self.readable() == 0 || self.state.contains(State::LINE_TAKEN) {
            return None;
        }
        let byte = self.byte(pool, self.tail);
        let ends = self.has(LocalFlags::ICANON) && self.is_line_end(pool, self.tail);
        if ends {
            self.flip_line_end(pool, self.tail);
            self.state.insert(State::LINE_TAKEN);
        }
        self.tail += 1;
        self.ready = self.ready.max(self.tail);
        // VEOF ends a line and is not part of it.
        (!ends || byte != 0).then_some(byte)
    }
}

//! Terminals: pairs of a master, where a host or a program like `script` sits, and a slave, which programs take for a
//! terminal.
//!
//! ```text
//! host ─► stdin port ─► agent ─► offer ─► receive ─► lines, signals ─► read ─► program
//! host ◄─ stdout port ◄─ agent ◄─ peek ◄─────┴─ echo ─► output ◄──── write ◄─┘
//! ```
//!
//! A [`terminal::Terminal`] is two frames and some numbers. What happens to each byte is Linux's line discipline (n_tty),
//! function by function: [`receive`], [`erase`], [`output`]; [`termios`] are the settings. Here is the table of all, with
//! what both sides and the agent do; `control` is what ioctl(2) asks for. Nothing allocates once there is a terminal.
//!
//! Signals are raised here and sent by [`crate::system::System::settle_terminals`], because only the process side knows
//! who is in a group.

mod agent;
mod control;
#[cfg(test)]
mod desk;
mod erase;
mod hangup;
mod output;
mod receive;
mod session;
#[cfg(test)]
mod session_tests;
mod terminal;
mod termios;
#[cfg(test)]
mod tests;

pub(crate) use agent::TerminalNews;
pub(crate) use control::{Flow, Queue};
pub(crate) use termios::{Character, TERMIOS_BYTES, TERMIOS2_BYTES};

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::{Context, Readiness, Span};
use crate::limits::{ECHO_RESERVE, MAX_TERMINALS, TERMINAL_FRAMES};
use crate::slab::{Id, Slab};
use crate::wait::{Stall, WakeKey, WakeQueue};
use terminal::{State, Terminal};
use termios::LocalFlags;

/// Names a terminal.
pub(crate) type TerminalId = Id<Terminal>;

/// Which side of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Where a person would sit.
    Master,
    /// What programs take for a terminal.
    Slave,
}

/// An open side of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalEnd {
    /// Which terminal.
    pub(crate) id: TerminalId,
    /// Which side.
    pub(crate) side: Side,
    /// How often the terminal had been hung up when it was opened.
    stamp: u32,
}

impl TerminalEnd {
    /// Returns what to wait for until something changes for this side.
    #[must_use]
    pub const fn key(self) -> WakeKey {
        key(self.id, self.side)
    }
}

const fn key(id: TerminalId, side: Side) -> WakeKey {
    WakeKey::Terminal(2 * id.index() + side as u32)
}

/// All terminals.
#[derive(Debug)]
pub struct Terminals {
    table: Slab<Terminal>,
    /// Those the agent is to be told of, each once.
    news: heapless::Deque<TerminalId, MAX_TERMINALS>,
    /// Some terminal has raised a signal or was hung up.
    has_raised: bool,
}

impl Default for Terminals {
    fn default() -> Self {
        Self::new()
    }
}

impl Terminals {
    /// Makes an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            table: Slab::new(MAX_TERMINALS),
            news: heapless::Deque::new(),
            has_raised: false,
        }
    }

    /// Makes room for so many.
    pub(crate) fn reserve(&mut self, terminals: usize) {
        self.table.reserve(terminals);
    }

    /// Makes a terminal, and opens its master.
    ///
    /// # Errors
    ///
    /// ENOSPC at the limit, ENOMEM.
    pub(crate) fn create(&mut self, context: &mut Context<'_>) -> Result<TerminalEnd, Errno> {
        if self.table.room() == 0 {
            return Err(Errno::ENOSPC);
        }
        context.charge(Resource::Frames, TERMINAL_FRAMES as u64)?;
        let (account, uid) = (context.account, context.credentials.uid);
        let input = context.pool.take();
        let frames = match (input, context.pool.take()) {
            (Ok(input), Ok(output)) => (input, output),
            (input, output) => {
                for frame in [input, output].into_iter().flatten() {
                    context.pool.release(frame);
                }
                context.refund(account, Resource::Frames, TERMINAL_FRAMES as u64);
                return Err(Errno::ENOMEM);
            }
        };
        let terminal = Terminal::new(context.pool, frames, account, uid);
        match self.table.insert(terminal) {
            Ok(id) => Ok(TerminalEnd {
                id,
                side: Side::Master,
                stamp: 0,
            }),
            Err((terminal, full)) => {
                give_back(context, terminal);
                Err(full.errno(Errno::ENOSPC))
            }
        }
    }

    /// Opens a terminal's slave.
    ///
    /// # Errors
    ///
    /// EIO while it is locked, and when its master is closed; EBUSY when it is somebody's alone.
    pub(crate) fn open_slave(
        &mut self,
        id: TerminalId,
        is_root: bool,
    ) -> Result<TerminalEnd, Errno> {
        let terminal = self
            .table
            .get_mut(id)
            .filter(|terminal| !terminal.state.intersects(State::LOCKED | State::GONE))
            .ok_or(Errno::EIO)?;
        if terminal.state.contains(State::EXCLUSIVE) && !is_root {
            return Err(Errno::EBUSY);
        }
        terminal.slaves += 1;
        terminal.state.insert(State::OPENED);
        Ok(TerminalEnd {
            id,
            side: Side::Slave,
            stamp: terminal.stamp,
        })
    }

    /// Returns the terminal of an open side; `None` when it was hung up.
    fn at(&self, end: TerminalEnd) -> Option<&Terminal> {
        self.table
            .get(end.id)
            .filter(|terminal| end.side == Side::Master || terminal.stamp == end.stamp)
    }

    fn at_mut(&mut self, end: TerminalEnd) -> Option<&mut Terminal> {
        self.at(end)?;
        self.table.get_mut(end.id)
    }

    /// Closes a side. With the master the terminal goes, and whatever has the slave open loses it.
    pub(crate) fn close(&mut self, context: &mut Context<'_>, end: TerminalEnd) {
        match (self.at_mut(end), end.side) {
            (None, _) => {}
            (Some(terminal), Side::Slave) => {
                terminal.slaves = terminal.slaves.saturating_sub(1);
                self.changed(context.wakes, end.id);
            }
            (Some(_), Side::Master) => self.close_master(context, end.id),
        }
    }

    /// Wakes whoever may go on since something happened to a terminal, and tells the agent.
    fn changed(&mut self, wakes: &mut WakeQueue, id: TerminalId) {
        wakes.wake(key(id, Side::Master));
        wakes.wake(key(id, Side::Slave));
        if let Some(terminal) = self.table.get(id) {
            self.has_raised |= !terminal.raised.is_empty();
        }
        self.tell_agent(id);
    }

    /// Reads into one page of a program: for a slave at most one line, or what there is. Returns how many bytes; 0 is the
    /// end.
    pub(crate) fn read(
        &mut self,
        context: &mut Context<'_>,
        end: TerminalEnd,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        let Some(terminal) = self.at_mut(end) else {
            return Ok(0);
        };
        let mut done = 0;
        if end.side == Side::Master {
            while done < span.len && terminal.sendable() > 0 {
                let (offset, together) = terminal.oldest_output();
                let count = together.min(span.len - done);
                let from = terminal.output.by_ref();
                context
                    .pool
                    .copy(from, offset, span.frame, span.offset + done, count);
                terminal.out_tail += count as u64;
                done += count;
            }
            if done == 0 {
                return Err(if terminal.has_ended() {
                    Errno::EIO.into()
                } else {
                    Stall::wait(end.key())
                });
            }
        } else {
            if terminal.readable() == 0 && !terminal.state.contains(State::LINE_TAKEN) {
                return Err(Stall::wait(end.key()));
            }
            while done < span.len {
                let Some(byte) = terminal.take(context.pool) else {
                    break;
                };
                context.pool.bytes_mut(span.frame)[span.offset + done] = byte;
                done += 1;
            }
        }
        self.changed(context.wakes, end.id);
        Ok(done)
    }

    /// Begins a read(2) of a slave, which may take a line.
    pub(crate) fn begin_read(&mut self, end: TerminalEnd) {
        if let Some(terminal) = self.at_mut(end) {
            terminal.state.remove(State::LINE_TAKEN);
        }
    }

    /// Returns whether a read(2) that has got `done` bytes has what it asked for.
    pub(crate) fn has_read_enough(&self, end: TerminalEnd, done: usize) -> bool {
        let Some(terminal) = self.at(end).filter(|_| end.side == Side::Slave) else {
            return true;
        };
        let (minimum, _) = terminal.minimum_and_time();
        if terminal.has(LocalFlags::ICANON) {
            terminal.state.contains(State::LINE_TAKEN)
        } else {
            terminal.readable() == 0 && done >= usize::from(minimum)
        }
    }

    /// Ends a read(2) that filled its buffer. A VEOF right behind it has been seen (Linux `canon_skip_eof`).
    pub(crate) fn end_full_read(&mut self, context: &mut Context<'_>, end: TerminalEnd) {
        let Some(terminal) = self.at_mut(end).filter(|_| end.side == Side::Slave) else {
            return;
        };
        let at = terminal.tail;
        if terminal.has(LocalFlags::ICANON)
            && terminal.readable() > 0
            && terminal.is_line_end(context.pool, at)
            && terminal.byte(context.pool, at) == 0
        {
            let _ = terminal.take(context.pool);
        }
    }

    /// Writes from one page of a program; returns how many bytes were taken.
    pub(crate) fn write(
        &mut self,
        context: &mut Context<'_>,
        end: TerminalEnd,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        let terminal = self.at_mut(end).ok_or(Errno::EIO)?;
        let mut done = 0;
        while done < span.len {
            let byte = context.pool.bytes(span.frame)[span.offset + done];
            let taken = match end.side {
                Side::Master => terminal.receive(context.pool, byte),
                Side::Slave if terminal.held_at.is_some() => false,
                Side::Slave => terminal.write_byte(context.pool, byte, ECHO_RESERVE),
            };
            if !taken {
                break;
            }
            done += 1;
        }
        if done == 0 {
            return Err(Stall::wait(end.key()));
        }
        self.changed(context.wakes, end.id);
        Ok(done)
    }

    /// Returns what poll(2) says of an open side.
    pub(crate) fn readiness(&self, end: TerminalEnd) -> Readiness {
        let read = Readiness::READ | Readiness::READ_NORMAL;
        let write = Readiness::WRITE | Readiness::WRITE_NORMAL;
        let Some(terminal) = self.at(end) else {
            return read | write | Readiness::ERROR | Readiness::HANG_UP;
        };
        let (reads, writes, ended) = match end.side {
            Side::Master => (
                terminal.sendable() > 0,
                terminal.can_receive(),
                terminal.has_ended(),
            ),
            Side::Slave => (terminal.is_readable(), terminal.is_writable(), false),
        };
        let mut ready = Readiness::empty();
        ready.set(read, reads);
        ready.set(write, writes);
        ready.set(Readiness::HANG_UP, ended);
        ready
    }

    /// Returns the terminal of this number that belongs to an account.
    pub(crate) fn numbered(&self, number: u32, account: AccountId) -> Option<TerminalId> {
        self.owned(number, account)
            .filter(|&(known, _, _)| known == number)
            .map(|(_, id, _)| id)
    }

    /// Returns the first terminal of an account from this number on: its number, its name, its owner.
    pub(crate) fn owned(&self, from: u32, account: AccountId) -> Option<(u32, TerminalId, u32)> {
        self.table
            .iter()
            .filter(|(id, terminal)| {
                id.index() >= from
                    && terminal.account == account
                    && !terminal.state.contains(State::GONE)
            })
            .map(|(id, terminal)| (id.index(), id, terminal.uid))
            .next()
    }
}

impl Terminal {
    /// Returns whether the master has read all there will be while nobody opens the slave.
    fn has_ended(&self) -> bool {
        self.state.contains(State::OPENED) && self.slaves == 0 && self.sendable() == 0
    }
}

/// Gives back what a terminal had.
fn give_back(context: &mut Context<'_>, terminal: Terminal) {
    context.pool.release(terminal.input);
    context.pool.release(terminal.output);
    context.refund(terminal.account, Resource::Frames, TERMINAL_FRAMES as u64);
}

//! What ioctl(2) asks of terminals, by either side.

use super::terminal::{State, Terminal};
use super::termios::{Character, LocalFlags, Termios};
use super::{Side, TerminalEnd, TerminalId, Terminals};
use crate::fs::Context;
use crate::signal::{known, number};
use hal::frame::FramePool;

/// What tcflush(3) drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// TCIFLUSH: what was received and not read.
    Input,
    /// TCOFLUSH: what was written and not sent.
    Output,
    /// TCIOFLUSH.
    Both,
}

/// What tcflow(3) does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// TCOOFF: holds output.
    Hold,
    /// TCOON: lets it go on.
    GoOn,
    /// TCIOFF and TCION: sends this character of `c_cc`.
    Send(Character),
}

impl Terminals {
    /// Returns whether an open side leads nowhere any more.
    pub(crate) fn is_hung_up(&self, end: TerminalEnd) -> bool {
        self.at(end).is_none()
    }

    /// Returns the settings.
    pub(crate) fn termios(&self, id: TerminalId) -> Termios {
        self.table
            .get(id)
            .map_or_else(Termios::default, |terminal| terminal.termios)
    }

    /// Changes the settings to those of a `struct termios` or `struct termios2`.
    pub(crate) fn set_termios(&mut self, context: &mut Context<'_>, id: TerminalId, bytes: &[u8]) {
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.set_termios(context.pool, bytes);
            self.changed(context.wakes, id);
        }
    }

    /// Returns the `struct winsize`.
    pub(crate) fn window(&self, id: TerminalId) -> [u8; 8] {
        self.table
            .get(id)
            .map_or([0; 8], |terminal| terminal.window)
    }

    /// Changes the window's size; the foreground group hears of it.
    pub(crate) fn set_window(&mut self, id: TerminalId, window: [u8; 8]) {
        if let Some(terminal) = self.table.get_mut(id)
            && terminal.window != window
        {
            terminal.window = window;
            terminal.raised.insert(known(number::WINCH));
            self.has_raised = true;
        }
    }

    /// Drops what waits in one direction or both, as the slave sees it.
    pub(crate) fn flush(&mut self, context: &mut Context<'_>, id: TerminalId, queue: Queue) {
        let Some(terminal) = self.table.get_mut(id) else {
            return;
        };
        if queue != Queue::Output {
            terminal.flush_input(context.pool);
        }
        if queue != Queue::Input {
            terminal.flush_output();
        }
        self.changed(context.wakes, id);
    }

    /// Holds output, lets it go on, or asks the other side for that.
    pub(crate) fn control_flow(&mut self, context: &mut Context<'_>, id: TerminalId, flow: Flow) {
        let Some(terminal) = self.table.get_mut(id) else {
            return;
        };
        match flow {
            Flow::Hold => {
                terminal.hold();
                terminal.state.insert(State::HELD_BY_CALL);
            }
            Flow::GoOn => {
                terminal.state.remove(State::HELD_BY_CALL);
                terminal.go_on();
            }
            Flow::Send(which) => {
                let character = terminal.termios.character(which);
                if character != 0 && terminal.output_room() > 0 {
                    terminal.send(context.pool, &[character]);
                }
            }
        }
        self.changed(context.wakes, id);
    }

    /// Locks the slave (TIOCSPTLCK), or unlocks it.
    pub(crate) fn set_locked(&mut self, id: TerminalId, locked: bool) {
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.state.set(State::LOCKED, locked);
        }
    }

    /// Makes the slave somebody's alone (TIOCEXCL), or everybody's again.
    pub(crate) fn set_exclusive(&mut self, id: TerminalId, is_exclusive: bool) {
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.state.set(State::EXCLUSIVE, is_exclusive);
        }
    }

    /// Returns whether the slave is somebody's alone.
    pub(crate) fn is_exclusive(&self, id: TerminalId) -> bool {
        self.asks(id, |terminal| terminal.state.contains(State::EXCLUSIVE))
    }

    /// Returns whether the slave is locked.
    pub(crate) fn is_locked(&self, id: TerminalId) -> bool {
        self.asks(id, |terminal| terminal.state.contains(State::LOCKED))
    }

    /// Returns how many bytes can be read of an open side (FIONREAD): of lines, without the VEOFs that end some.
    pub(crate) fn readable_bytes(&self, pool: &FramePool, end: TerminalEnd) -> usize {
        let Some(terminal) = self.at(end) else {
            return 0;
        };
        if end.side == Side::Master {
            return terminal.sendable();
        }
        let count = terminal.readable();
        if !terminal.has(LocalFlags::ICANON) {
            return count;
        }
        let lines = terminal.tail..terminal.ready;
        let ends = lines
            .filter(|&at| terminal.is_line_end(pool, at) && terminal.byte(pool, at) == 0)
            .count();
        count - ends
    }

    /// Returns how many bytes wait to be sent (TIOCOUTQ).
    pub(crate) fn unsent(&self, id: TerminalId) -> usize {
        self.table.get(id).map_or(0, |terminal| {
            (terminal.out_head - terminal.out_tail) as usize
        })
    }

    /// Returns the session it controls and the foreground group; 0 for none.
    pub(crate) fn session(&self, id: TerminalId) -> (u32, u32) {
        self.table
            .get(id)
            .map_or((0, 0), |terminal| (terminal.session, terminal.foreground))
    }

    /// Makes a terminal control a session, with this group in the foreground.
    pub(crate) fn set_session(&mut self, id: TerminalId, session: u32, foreground: u32) {
        if let Some(terminal) = self.table.get_mut(id) {
            (terminal.session, terminal.foreground) = (session, foreground);
        }
    }

    /// Returns whether processes in the background must not write (TOSTOP).
    pub(crate) fn stops_background(&self, id: TerminalId) -> bool {
        self.asks(id, |terminal| terminal.has(LocalFlags::TOSTOP))
    }

    fn asks(&self, id: TerminalId, what: impl FnOnce(&Terminal) -> bool) -> bool {
        self.table.get(id).is_some_and(what)
    }

    /// Returns how long a read of the slave that has got `done` bytes waits for more: `None` for ever, else tenths of a
    /// second.
    pub(crate) fn patience(&self, end: TerminalEnd, done: usize) -> Option<u8> {
        let terminal = self.at(end)?;
        if terminal.has(LocalFlags::ICANON) {
            return None;
        }
        match terminal.minimum_and_time() {
            (0, time) => Some(time),
            (_, time @ 1..) if done > 0 => Some(time),
            _ => None,
        }
    }
}

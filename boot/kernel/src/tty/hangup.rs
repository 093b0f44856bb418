//! How terminals and sessions lose each other, and the signals terminals raise.

use super::terminal::State;
use super::{TerminalId, Terminals, give_back};
use crate::fs::Context;
use crate::signal::SignalSet;
use crate::wait::WakeQueue;

/// What the process side is to do about a terminal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Due {
    /// The foreground group, 0 for none.
    pub(crate) foreground: u32,
    /// What that gets.
    pub(crate) raised: SignalSet,
    /// The session that lost the terminal, 0 for none: its leader and the foreground group are hung up.
    pub(crate) session: u32,
}

impl Terminals {
    /// The master is closed: the slave is hung up and the terminal goes.
    pub(super) fn close_master(&mut self, context: &mut Context<'_>, id: TerminalId) {
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.state.insert(State::GONE | State::HUNG_UP);
            terminal.agent = None;
            terminal.flush_output();
            let is_free = terminal.session == 0;
            self.news.retain(|&known| known != id);
            self.cut_off(context.wakes, id);
            if is_free {
                self.remove(context, id);
            }
        }
    }

    /// Makes every slave that is open dead: reads give the end, writes EIO.
    fn cut_off(&mut self, wakes: &mut WakeQueue, id: TerminalId) {
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.stamp = terminal.stamp.wrapping_add(1);
            terminal.slaves = 0;
            terminal.go_on();
            self.has_raised = true;
        }
        self.changed(wakes, id);
    }

    /// Takes a terminal from whoever has it open, and lets its session hear of that (vhangup(2)).
    pub(crate) fn hang_up(&mut self, wakes: &mut WakeQueue, id: TerminalId) {
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.state.insert(State::HUNG_UP);
        }
        self.cut_off(wakes, id);
    }

    fn remove(&mut self, context: &mut Context<'_>, id: TerminalId) {
        if let Some(terminal) = self.table.remove(id) {
            give_back(context, terminal);
        }
    }

    /// Takes what the process side is to do next.
    pub(crate) fn next_due(&mut self, context: &mut Context<'_>) -> Option<Due> {
        if !self.has_raised {
            return None;
        }
        let found = self.table.iter_mut().find(|(_, terminal)| {
            !terminal.raised.is_empty() || terminal.state.contains(State::HUNG_UP)
        });
        let Some((id, terminal)) = found else {
            self.has_raised = false;
            return None;
        };
        let mut due = Due {
            foreground: terminal.foreground,
            raised: core::mem::take(&mut terminal.raised),
            session: 0,
        };
        if terminal.state.contains(State::HUNG_UP) {
            terminal.state.remove(State::HUNG_UP);
            due.session = core::mem::take(&mut terminal.session);
            terminal.foreground = 0;
            if terminal.state.contains(State::GONE) {
                self.remove(context, id);
            }
        }
        Some(due)
    }

    /// Returns whether [`Terminals::next_due`] may have something.
    pub(crate) const fn has_raised(&self) -> bool {
        self.has_raised
    }

    /// Takes the terminal from a session whose leader has ended, and with it from whatever has it open; returns its
    /// foreground group, 0 for none.
    pub(crate) fn leave_session(&mut self, wakes: &mut WakeQueue, session: u32) -> u32 {
        let Some(id) = self.of_session(session) else {
            return 0;
        };
        self.cut_off(wakes, id);
        self.release_session(id)
    }

    /// Takes the terminal from its session; returns its foreground group, 0 for none.
    pub(crate) fn release_session(&mut self, id: TerminalId) -> u32 {
        self.table.get_mut(id).map_or(0, |terminal| {
            terminal.session = 0;
            core::mem::take(&mut terminal.foreground)
        })
    }

    /// Returns the terminal that controls a session.
    pub(crate) fn of_session(&self, session: u32) -> Option<TerminalId> {
        self.table
            .iter()
            .find(|(_, terminal)| session != 0 && terminal.session == session)
            .map(|(id, _)| id)
    }
}

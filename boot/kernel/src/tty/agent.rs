//! The agent as the one that sits before a terminal.

use super::terminal::State;
use super::{TerminalId, Terminals};
use crate::errno::Errno;
use crate::fs::Context;
use crate::wait::WakeQueue;
use agent::kernel::{Input, Output, Pid};
use hal::frame::FramePool;

/// What the agent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TerminalNews {
    /// There is output, or its end.
    Output(Pid),
    /// There is room for input.
    Room(Pid),
}

impl Terminals {
    /// Makes a terminal whose master is the agent's, and which controls the session of `pid`.
    ///
    /// # Errors
    ///
    /// As [`Terminals::create`].
    pub(crate) fn create_for_agent(
        &mut self,
        context: &mut Context<'_>,
        pid: Pid,
    ) -> Result<TerminalId, Errno> {
        let id = self.create(context)?.id;
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.agent = Some(pid);
            terminal.state.remove(State::LOCKED);
            (terminal.session, terminal.foreground) = (pid.0, pid.0);
        }
        Ok(id)
    }

    /// Drops what is sent from now on: nobody asked for it.
    pub(crate) fn discard_output(&mut self, id: TerminalId) {
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.state.insert(State::DISCARDS);
        }
    }

    /// Takes bytes from the agent, as many as there is room for.
    pub(crate) fn offer(
        &mut self,
        context: &mut Context<'_>,
        id: TerminalId,
        bytes: &[u8],
    ) -> Input {
        let Some(terminal) = self.table.get_mut(id).filter(|known| known.agent.is_some()) else {
            return Input::Broken;
        };
        let taken = bytes
            .iter()
            .take_while(|&&byte| terminal.receive(context.pool, byte))
            .count();
        self.changed(context.wakes, id);
        if let Some(terminal) = self.table.get_mut(id) {
            terminal.state.set(State::AWAITS_ROOM, taken < bytes.len());
        }
        Input::Took(taken)
    }

    /// Lends the agent the oldest output that lies together.
    pub(crate) fn peek<'a>(&'a self, pool: &'a FramePool, id: TerminalId) -> Output<'a> {
        let Some(terminal) = self.table.get(id).filter(|known| known.agent.is_some()) else {
            return Output {
                bytes: &[],
                ended: true,
            };
        };
        let (at, count) = terminal.oldest_output();
        let is_last = count == terminal.sendable();
        Output {
            bytes: &pool.bytes(&terminal.output)[at..at + count],
            ended: is_last && terminal.state.contains(State::OPENED) && terminal.slaves == 0,
        }
    }

    /// Takes `count` bytes that [`Terminals::peek`] lent.
    pub(crate) fn consume(&mut self, wakes: &mut WakeQueue, id: TerminalId, count: usize) {
        let Some(terminal) = self.table.get_mut(id) else {
            return;
        };
        terminal.out_tail += count.min(terminal.sendable()) as u64;
        terminal
            .state
            .set(State::AWAITS_OUTPUT, terminal.sendable() == 0);
        self.changed(wakes, id);
    }

    /// Closes the agent's master.
    pub(crate) fn close_agent(&mut self, context: &mut Context<'_>, id: TerminalId) {
        let is_open = self
            .table
            .get(id)
            .is_some_and(|known| known.agent.is_some());
        if is_open {
            self.close_master(context, id);
        }
    }

    /// Queues what the agent waits for and has come.
    pub(super) fn tell_agent(&mut self, id: TerminalId) {
        let Some(terminal) = self.table.get_mut(id).filter(|known| known.agent.is_some()) else {
            return;
        };
        let mut news = State::empty();
        let has_output = terminal.sendable() > 0 || terminal.has_ended();
        if has_output && terminal.state.contains(State::AWAITS_OUTPUT) {
            news |= State::TELL_OUTPUT;
        }
        if terminal.state.contains(State::AWAITS_ROOM) && terminal.can_receive() {
            news |= State::TELL_INPUT;
        }
        let queued = terminal
            .state
            .intersects(State::TELL_OUTPUT | State::TELL_INPUT);
        terminal.state |= news;
        if !queued && !news.is_empty() {
            // There is a place for each terminal there can be.
            let _ = self.news.push_back(id);
        }
    }

    /// Returns the next thing to tell the agent.
    pub(crate) fn next_news(&mut self) -> Option<TerminalNews> {
        let id = self.news.pop_front()?;
        let terminal = self.table.get_mut(id)?;
        let pid = terminal.agent?;
        if terminal.state.contains(State::TELL_OUTPUT) {
            terminal.state.remove(State::TELL_OUTPUT);
            // Output that was taken before its turn came has to be told of again.
            let is_taken = terminal.sendable() == 0 && !terminal.has_ended();
            terminal.state.set(State::AWAITS_OUTPUT, is_taken);
            if terminal.state.contains(State::TELL_INPUT) {
                // Its place has just become free.
                let _ = self.news.push_front(id);
            }
            return Some(TerminalNews::Output(pid));
        }
        terminal
            .state
            .remove(State::TELL_INPUT | State::AWAITS_ROOM);
        Some(TerminalNews::Room(pid))
    }
}

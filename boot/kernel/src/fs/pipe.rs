//! Pipes: bytes between programs, or between a program and the agent; their ends are counted.
//!
//! An end is a program's (an open file description) or the agent's (a process's stdio). What the agent's side should
//! look at is queued here, each pipe at most once.

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::context::{Context, Span};
use crate::fs::ring::{RING_BYTES, Ring};
use crate::limits::MAX_PIPES;
use crate::slab::{Id, Slab};
use crate::wait::{Stall, WakeKey};
use agent::kernel::{Input, Output, OutputStream, Pid};
use alloc::collections::VecDeque;
use hal::frame::FramePool;

/// Names a pipe.
pub type PipeId = Id<Pipe>;

/// Most bytes that are written as one piece or not at all (POSIX `PIPE_BUF`, Linux limits.h).
const ATOMIC_BYTES: usize = 4096;

/// Bytes a pipe holds.
pub const PIPE_BYTES: usize = RING_BYTES;

/// Which of a process's streams an agent's end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentStream {
    /// The agent writes, the program reads.
    Input,
    /// The program writes, the agent reads.
    Output(OutputStream),
}

/// The agent's end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AgentEnd {
    pid: Pid,
    stream: AgentStream,
    queued: bool,
    /// The agent was told "no" and wants to hear when that changes.
    hungry: bool,
}

/// One pipe.
#[derive(Debug)]
pub struct Pipe {
    ring: Ring,
    readers: u32,
    writers: u32,
    /// It has a name: who comes to read finds what those before did not.
    is_named: bool,
    /// How often the reading end was opened, and the writing end.
    opened: [u32; 2],
    agent: Option<AgentEnd>,
    /// Pays for it and for the bytes, whoever writes them: the other end may be another account's.
    account: AccountId,
}

/// All pipes, and which of the agent's ends changed.
#[derive(Debug)]
pub struct Pipes {
    table: Slab<Pipe>,
    /// Has room for every pipe of the agent's: made when the pipe is, so that telling needs no memory.
    ready: VecDeque<PipeId>,
}

/// Which end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeEnd {
    /// Bytes come out here.
    Read,
    /// Bytes go in here.
    Write,
    /// Both: a named pipe that was opened for both.
    Both,
}

impl PipeEnd {
    /// Returns how many reading and how many writing ends it is.
    const fn counts(self) -> (u32, u32) {
        match self {
            Self::Read => (1, 0),
            Self::Write => (0, 1),
            Self::Both => (1, 1),
        }
    }
}

impl Default for Pipes {
    fn default() -> Self {
        Self::new()
    }
}

impl Pipes {
    /// Makes an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            table: Slab::new(MAX_PIPES),
            ready: VecDeque::new(),
        }
    }

    /// Makes room for `pipes` of the agent's.
    pub(super) fn reserve(&mut self, pipes: usize) {
        self.table.reserve(pipes);
        // Where memory does not suffice, the queue grows with the pipes.
        let _ = self.ready.try_reserve_exact(pipes);
    }

    /// Makes a pipe with one reader and one writer, both programs'.
    pub(crate) fn create(&mut self, context: &mut Context<'_>) -> Result<PipeId, Errno> {
        self.insert(context, 1, None)
    }

    /// Makes a pipe with no end yet. It goes with the last one that is opened.
    pub(super) fn create_closed(&mut self, context: &mut Context<'_>) -> Result<PipeId, Errno> {
        self.insert(context, 0, None)
    }

    /// Returns whether a pipe is there.
    pub(super) fn is_open(&self, id: PipeId) -> bool {
        self.table.get(id).is_some()
    }

    /// Returns how often the other side of `end` was opened.
    pub(super) fn openings(&self, id: PipeId, end: PipeEnd) -> u64 {
        let other = usize::from(end == PipeEnd::Read);
        self.table
            .get(id)
            .map_or(0, |pipe| u64::from(pipe.opened[other]))
    }

    /// Makes a pipe one end of which is the agent's.
    pub(crate) fn create_for_agent(
        &mut self,
        context: &mut Context<'_>,
        pid: Pid,
        stream: AgentStream,
    ) -> Result<PipeId, Errno> {
        self.ready
            .try_reserve((self.table.len() + 1).saturating_sub(self.ready.len()))
            .map_err(|_| Errno::ENOMEM)?;
        let agent = AgentEnd {
            pid,
            stream,
            queued: false,
            hungry: true,
        };
        self.insert(context, 1, Some(agent))
    }

    fn insert(
        &mut self,
        context: &mut Context<'_>,
        ends: u32,
        agent: Option<AgentEnd>,
    ) -> Result<PipeId, Errno> {
        let pipe = Pipe {
            ring: Ring::new(),
            readers: ends,
            writers: ends,
            is_named: ends == 0,
            opened: [ends; 2],
            agent,
            account: context.account,
        };
        context.charge(Resource::Pipes, 1)?;
        self.table.insert(pipe).map_err(|_| {
            context.refund(context.account, Resource::Pipes, 1);
            Errno::ENFILE
        })
    }

    /// Counts one more open end, and wakes whoever waits for one.
    pub(crate) fn open(&mut self, context: &mut Context<'_>, id: PipeId, end: PipeEnd) {
        let Some(pipe) = self.table.get_mut(id) else {
            return;
        };
        let (readers, writers) = end.counts();
        pipe.readers += readers;
        pipe.writers += writers;
        pipe.opened[0] = pipe.opened[0].wrapping_add(readers);
        pipe.opened[1] = pipe.opened[1].wrapping_add(writers);
        context.wakes.wake(WakeKey::PipeReadable(id.index()));
        context.wakes.wake(WakeKey::PipeWritable(id.index()));
    }

    /// Counts one open end less. The pipe goes with its last end; bytes that only the agent can still read stay.
    pub(crate) fn close(&mut self, context: &mut Context<'_>, id: PipeId, end: PipeEnd) {
        let Some(pipe) = self.table.get_mut(id) else {
            return;
        };
        let (readers, writers) = end.counts();
        pipe.readers = pipe.readers.saturating_sub(readers);
        pipe.writers = pipe.writers.saturating_sub(writers);
        if pipe.readers == 0 {
            context.wakes.wake(WakeKey::PipeWritable(id.index()));
            if !pipe.is_named || pipe.writers == 0 {
                pipe.ring.clear(context, pipe.account);
            }
        }
        if pipe.writers == 0 {
            context.wakes.wake(WakeKey::PipeReadable(id.index()));
        }
        if pipe.readers == 0 && pipe.writers == 0 {
            let account = pipe.account;
            self.table.remove(id);
            context.refund(account, Resource::Pipes, 1);
        } else {
            self.tell_agent(id);
        }
    }

    /// Puts the agent's end into the queue of what changed, once.
    fn tell_agent(&mut self, id: PipeId) {
        let Some(agent) = self.table.get_mut(id).and_then(|pipe| pipe.agent.as_mut()) else {
            return;
        };
        if agent.queued || !agent.hungry {
            return;
        }
        agent.queued = true;
        self.ready.push_back(id);
    }

    /// Returns the next of the agent's ends that has something to take, has room again, or lost its other end.
    pub fn next_ready(&mut self) -> Option<(Pid, AgentStream)> {
        while let Some(id) = self.ready.pop_front() {
            let Some(pipe) = self.table.get_mut(id) else {
                continue;
            };
            let drained = pipe.ring.len() == 0;
            let Some(agent) = pipe.agent.as_mut() else {
                continue;
            };
            agent.queued = false;
            // An output that was drained before its turn came has to be told of again.
            agent.hungry = drained && matches!(agent.stream, AgentStream::Output(_));
            return Some((agent.pid, agent.stream));
        }
        None
    }

    /// Writes bytes of one page of a program; returns how many were taken. `whole` is how many bytes the system call
    /// has left: up to [`ATOMIC_BYTES`] go in as one piece or wait.
    pub(crate) fn write(
        &mut self,
        context: &mut Context<'_>,
        id: PipeId,
        span: Span<'_>,
        whole: usize,
    ) -> Result<usize, Stall> {
        let pipe = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        if pipe.readers == 0 {
            return Err(Errno::EPIPE.into());
        }
        let full = Stall::wait(WakeKey::PipeWritable(id.index()));
        if whole <= ATOMIC_BYTES && pipe.ring.room() < whole {
            return Err(full);
        }
        let done = pipe.ring.put(context, pipe.account, span)?;
        if done == 0 {
            return Err(full);
        }
        context.wakes.wake(WakeKey::PipeReadable(id.index()));
        self.tell_agent(id);
        Ok(done)
    }

    /// Reads into one page of a program; 0 is the end.
    pub(crate) fn read(
        &mut self,
        context: &mut Context<'_>,
        id: PipeId,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        let done = self.copy_out(context, id, 0, span)?;
        self.take(context, id, done);
        Ok(done)
    }

    /// Copies bytes from `skip` on into a page; they stay. 0 is the end.
    pub(crate) fn copy_out(
        &mut self,
        context: &mut Context<'_>,
        id: PipeId,
        skip: usize,
        span: Span<'_>,
    ) -> Result<usize, Stall> {
        let pipe = self.table.get(id).ok_or(Errno::EBADF)?;
        if pipe.ring.len() <= skip {
            return if pipe.writers == 0 {
                Ok(0)
            } else {
                Err(Stall::wait(WakeKey::PipeReadable(id.index())))
            };
        }
        Ok(pipe.ring.copy_out(context.pool, skip, span))
    }

    /// Takes `count` bytes out, never more than there are.
    pub(crate) fn take(&mut self, context: &mut Context<'_>, id: PipeId, count: usize) {
        if count == 0 {
            return;
        }
        if let Some(pipe) = self.table.get_mut(id) {
            pipe.ring.take(context, pipe.account, count);
            context.wakes.wake(WakeKey::PipeWritable(id.index()));
            self.tell_agent(id);
        }
    }

    /// Returns how many bytes find room at once.
    ///
    /// # Errors
    ///
    /// EPIPE when nobody reads, or what to wait for when there is no room.
    pub(crate) fn room(&self, id: PipeId) -> Result<usize, Stall> {
        let pipe = self.table.get(id).ok_or(Errno::EBADF)?;
        match pipe.ring.room() {
            _ if pipe.readers == 0 => Err(Errno::EPIPE.into()),
            0 => Err(Stall::wait(WakeKey::PipeWritable(id.index()))),
            room => Ok(room),
        }
    }

    /// Returns how many bytes can be read now.
    pub(crate) fn readable_bytes(&self, id: PipeId) -> usize {
        self.table.get(id).map_or(0, |pipe| pipe.ring.len())
    }

    /// Returns how many bytes can be read, and whether nobody writes any more.
    pub(crate) fn reading(&self, id: PipeId) -> (usize, bool) {
        self.table
            .get(id)
            .map_or((0, true), |pipe| (pipe.ring.len(), pipe.writers == 0))
    }

    /// Returns whether a write of [`ATOMIC_BYTES`] would not wait.
    pub(crate) fn is_writable(&self, id: PipeId) -> bool {
        self.table
            .get(id)
            .is_none_or(|pipe| pipe.ring.room() >= ATOMIC_BYTES || pipe.readers == 0)
    }

    /// Returns whether the other side of `end` is gone.
    pub(crate) fn is_broken(&self, id: PipeId, end: PipeEnd) -> bool {
        self.table.get(id).is_none_or(|pipe| match end {
            PipeEnd::Read => pipe.writers == 0,
            PipeEnd::Write => pipe.readers == 0,
            PipeEnd::Both => false,
        })
    }

    /// Takes bytes from the agent, as many as there is room for.
    pub(super) fn offer(&mut self, context: &mut Context<'_>, id: PipeId, bytes: &[u8]) -> Input {
        let Some(pipe) = self.table.get_mut(id).filter(|pipe| pipe.readers > 0) else {
            return Input::Broken;
        };
        let done = pipe.ring.put_bytes(context, pipe.account, bytes);
        if done > 0 {
            context.wakes.wake(WakeKey::PipeReadable(id.index()));
        }
        self.set_hungry(id, done < bytes.len());
        Input::Took(done)
    }

    /// Lends the agent the oldest bytes of a pipe that lie together.
    #[must_use]
    pub fn peek<'a>(&'a self, pool: &'a FramePool, id: PipeId) -> Output<'a> {
        let Some(pipe) = self.table.get(id) else {
            return Output {
                bytes: &[],
                ended: true,
            };
        };
        let bytes = pipe.ring.peek(pool);
        Output {
            bytes,
            ended: pipe.writers == 0 && pipe.ring.len() == bytes.len(),
        }
    }

    /// Takes `count` bytes that [`Pipes::peek`] lent. Never more than there are.
    pub fn consume(&mut self, context: &mut Context<'_>, id: PipeId, count: usize) {
        let Some(pipe) = self.table.get_mut(id) else {
            return;
        };
        pipe.ring.take(context, pipe.account, count);
        let left = pipe.ring.len();
        let ended = pipe.writers == 0;
        context.wakes.wake(WakeKey::PipeWritable(id.index()));
        self.set_hungry(id, left == 0);
        if left == 0 && ended {
            self.tell_agent(id);
        }
    }

    /// Asks for news about the agent's end (or does not).
    fn set_hungry(&mut self, id: PipeId, hungry: bool) {
        if let Some(agent) = self.table.get_mut(id).and_then(|pipe| pipe.agent.as_mut()) {
            agent.hungry = hungry;
        }
    }

    /// Closes the agent's end.
    pub fn close_agent(&mut self, context: &mut Context<'_>, id: PipeId) {
        let Some(agent) = self.table.get_mut(id).and_then(|pipe| pipe.agent.take()) else {
            return;
        };
        if agent.queued {
            // The queue has room for the agent's ends there are, not for names of those that were.
            self.ready.retain(|&queued| queued != id);
        }
        let end = match agent.stream {
            AgentStream::Input => PipeEnd::Write,
            AgentStream::Output(_) => PipeEnd::Read,
        };
        self.close(context, id, end);
    }
}

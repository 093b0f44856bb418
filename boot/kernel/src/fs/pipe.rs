//! Pipes: bytes in frames that are taken on demand and charged; their ends are counted.
//!
//! An end is a program's (an open file description) or the agent's (a process's stdio). What the agent's side should
//! look at is queued here, each pipe at most once.

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::context::{Context, Span};
use crate::limits::{MAX_PIPES, PIPE_FRAMES};
use crate::slab::{Id, Slab};
use crate::wait::{Stall, WakeKey};
use agent::kernel::{Input, Output, OutputStream, Pid};
use alloc::collections::VecDeque;
use hal::frame::{Frame, FramePool};
use hal::limits::PAGE_BYTES;

/// Names a pipe.
pub type PipeId = Id<Pipe>;

/// Most bytes that are written as one piece or not at all (POSIX `PIPE_BUF`, Linux limits.h).
const ATOMIC_BYTES: usize = 4096;

/// Bytes a pipe holds.
pub const PIPE_BYTES: usize = PIPE_FRAMES * PAGE_BYTES;

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

/// One pipe. The ring's byte `n` (counted since the pipe was made) lies in frame `n / 4096 % PIPE_FRAMES`.
#[derive(Debug)]
pub struct Pipe {
    frames: [Option<Frame>; PIPE_FRAMES],
    taken: u64,
    put: u64,
    readers: u32,
    writers: u32,
    agent: Option<AgentEnd>,
    account: AccountId,
}

impl Pipe {
    const fn len(&self) -> usize {
        (self.put - self.taken) as usize
    }

    fn slot(position: u64) -> usize {
        (position / PAGE_BYTES as u64) as usize % PIPE_FRAMES
    }

    /// Returns how many bytes can be put. When the oldest byte shares its frame with the room left, that frame's
    /// part before it is not used, so that a frame never holds both ends of the ring.
    fn room(&self) -> usize {
        let start = self.taken - self.taken % PAGE_BYTES as u64;
        PIPE_BYTES - (self.put - start) as usize
    }
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
    pub(crate) fn create(&mut self, account: AccountId) -> Result<PipeId, Errno> {
        self.insert(account, 1, 1, None)
    }

    /// Makes a pipe one end of which is the agent's.
    pub(crate) fn create_for_agent(
        &mut self,
        account: AccountId,
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
        self.insert(account, 1, 1, Some(agent))
    }

    fn insert(
        &mut self,
        account: AccountId,
        readers: u32,
        writers: u32,
        agent: Option<AgentEnd>,
    ) -> Result<PipeId, Errno> {
        let pipe = Pipe {
            frames: [const { None }; PIPE_FRAMES],
            taken: 0,
            put: 0,
            readers,
            writers,
            agent,
            account,
        };
        self.table.insert(pipe).map_err(|_| Errno::ENFILE)
    }

    /// Counts one more open end.
    pub(crate) fn open(&mut self, id: PipeId, end: PipeEnd) {
        if let Some(pipe) = self.table.get_mut(id) {
            match end {
                PipeEnd::Read => pipe.readers += 1,
                PipeEnd::Write => pipe.writers += 1,
            }
        }
    }

    /// Counts one open end less. The pipe goes with its last end; bytes that only the agent can still read stay.
    pub(crate) fn close(&mut self, context: &mut Context<'_>, id: PipeId, end: PipeEnd) {
        let Some(pipe) = self.table.get_mut(id) else {
            return;
        };
        match end {
            PipeEnd::Read => pipe.readers = pipe.readers.saturating_sub(1),
            PipeEnd::Write => pipe.writers = pipe.writers.saturating_sub(1),
        }
        if pipe.readers == 0 {
            context.wakes.wake(WakeKey::PipeWritable(id.index()));
            self.drop_bytes(context, id);
        }
        let Some(pipe) = self.table.get(id) else {
            return;
        };
        if pipe.writers == 0 {
            context.wakes.wake(WakeKey::PipeReadable(id.index()));
        }
        if pipe.readers == 0 && pipe.writers == 0 {
            self.table.remove(id);
        } else {
            self.tell_agent(id);
        }
    }

    fn drop_bytes(&mut self, context: &mut Context<'_>, id: PipeId) {
        let Some(pipe) = self.table.get_mut(id) else {
            return;
        };
        let account = pipe.account;
        pipe.taken = pipe.put;
        let mut count = 0;
        for frame in pipe.frames.iter_mut().filter_map(Option::take) {
            context.pool.release(frame);
            count += 1;
        }
        context.refund(account, Resource::Frames, count);
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
            let drained = pipe.len() == 0;
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

    /// Makes sure that the frame for the next byte is there and returns how many bytes fit into it.
    fn make_room(&mut self, context: &mut Context<'_>, id: PipeId) -> Result<usize, Stall> {
        let pipe = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        let room = pipe.room();
        if room == 0 {
            return Err(Stall::Wait(WakeKey::PipeWritable(id.index())));
        }
        let slot = Pipe::slot(pipe.put);
        if pipe.frames[slot].is_none() {
            // The pipe's account pays, whoever writes: the other end may be another account's.
            let account = context
                .accounts
                .get_mut(pipe.account)
                .ok_or(Errno::ENOMEM)?;
            account.charge(Resource::Frames, 1)?;
            let Ok(frame) = context.pool.take() else {
                account.refund(Resource::Frames, 1);
                return Err(Errno::ENOMEM.into());
            };
            pipe.frames[slot] = Some(frame);
        }
        let in_frame = PAGE_BYTES - (pipe.put % PAGE_BYTES as u64) as usize;
        Ok(in_frame.min(room))
    }

    /// Gives back the frames that hold no byte any more.
    fn trim(&mut self, context: &mut Context<'_>, id: PipeId, before: u64) {
        let Some(pipe) = self.table.get_mut(id) else {
            return;
        };
        let page = PAGE_BYTES as u64;
        let mut count = 0;
        let mut number = before / page;
        while number < pipe.taken / page {
            if let Some(frame) = pipe.frames[number as usize % PIPE_FRAMES].take() {
                context.pool.release(frame);
                count += 1;
            }
            number += 1;
        }
        if pipe.taken == pipe.put {
            // Empty: a frame that is partly used starts anew, so that a trickle of bytes needs one frame only.
            let account = pipe.account;
            if let Some(frame) = pipe.frames[Pipe::slot(pipe.taken)].take() {
                context.pool.release(frame);
                count += 1;
            }
            pipe.taken = 0;
            pipe.put = 0;
            context.refund(account, Resource::Frames, count);
            return;
        }
        let account = pipe.account;
        context.refund(account, Resource::Frames, count);
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
        let pipe = self.table.get(id).ok_or(Errno::EBADF)?;
        if pipe.readers == 0 {
            return Err(Errno::EPIPE.into());
        }
        if whole <= ATOMIC_BYTES && pipe.room() < whole {
            return Err(Stall::Wait(WakeKey::PipeWritable(id.index())));
        }
        let mut done = 0;
        while done < span.len {
            let fits = match self.make_room(context, id) {
                Ok(fits) => fits.min(span.len - done),
                Err(stall) if done == 0 => return Err(stall),
                Err(_) => break,
            };
            let pipe = self.table.get_mut(id).ok_or(Errno::EBADF)?;
            let to = pipe.frames[Pipe::slot(pipe.put)]
                .as_ref()
                .ok_or(Errno::EIO)?;
            let offset = (pipe.put % PAGE_BYTES as u64) as usize;
            context
                .pool
                .copy(span.frame, span.offset + done, to.by_ref(), offset, fits);
            pipe.put += fits as u64;
            done += fits;
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
        let pipe = self.table.get_mut(id).ok_or(Errno::EBADF)?;
        if pipe.len() == 0 {
            return if pipe.writers == 0 {
                Ok(0)
            } else {
                Err(Stall::Wait(WakeKey::PipeReadable(id.index())))
            };
        }
        let before = pipe.taken;
        let mut done = 0;
        while done < span.len && pipe.len() > 0 {
            let offset = (pipe.taken % PAGE_BYTES as u64) as usize;
            let count = (PAGE_BYTES - offset).min(pipe.len()).min(span.len - done);
            let from = pipe.frames[Pipe::slot(pipe.taken)]
                .as_ref()
                .ok_or(Errno::EIO)?;
            context
                .pool
                .copy(from.by_ref(), offset, span.frame, span.offset + done, count);
            pipe.taken += count as u64;
            done += count;
        }
        self.trim(context, id, before);
        context.wakes.wake(WakeKey::PipeWritable(id.index()));
        self.tell_agent(id);
        Ok(done)
    }

    /// Returns how many bytes can be read now.
    pub(crate) fn readable_bytes(&self, id: PipeId) -> usize {
        self.table.get(id).map_or(0, Pipe::len)
    }

    /// Returns whether a write of [`ATOMIC_BYTES`] would not wait.
    pub(crate) fn is_writable(&self, id: PipeId) -> bool {
        self.table
            .get(id)
            .is_none_or(|pipe| pipe.room() >= ATOMIC_BYTES || pipe.readers == 0)
    }

    /// Returns whether the other side of `end` is gone.
    pub(crate) fn is_broken(&self, id: PipeId, end: PipeEnd) -> bool {
        self.table.get(id).is_none_or(|pipe| match end {
            PipeEnd::Read => pipe.writers == 0,
            PipeEnd::Write => pipe.readers == 0,
        })
    }

    /// Takes bytes from the agent, as many as there is room for.
    pub(super) fn offer(&mut self, context: &mut Context<'_>, id: PipeId, bytes: &[u8]) -> Input {
        match self.table.get(id) {
            Some(pipe) if pipe.readers > 0 => {}
            _ => return Input::Broken,
        }
        let mut done = 0;
        while done < bytes.len() {
            let Ok(fits) = self.make_room(context, id) else {
                break;
            };
            let Some(pipe) = self.table.get_mut(id) else {
                break;
            };
            let Some(frame) = pipe.frames[Pipe::slot(pipe.put)].as_ref() else {
                break;
            };
            let offset = (pipe.put % PAGE_BYTES as u64) as usize;
            let count = fits.min(bytes.len() - done);
            context.pool.bytes_mut(frame)[offset..offset + count]
                .copy_from_slice(&bytes[done..done + count]);
            pipe.put += count as u64;
            done += count;
        }
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
        let offset = (pipe.taken % PAGE_BYTES as u64) as usize;
        let count = (PAGE_BYTES - offset).min(pipe.len());
        let bytes = match &pipe.frames[Pipe::slot(pipe.taken)] {
            Some(frame) => &pool.bytes(frame)[offset..offset + count],
            None => &[],
        };
        Output {
            bytes,
            ended: pipe.writers == 0 && pipe.len() == bytes.len(),
        }
    }

    /// Takes `count` bytes that [`Pipes::peek`] lent. Never more than there are.
    pub fn consume(&mut self, context: &mut Context<'_>, id: PipeId, count: usize) {
        let Some(pipe) = self.table.get_mut(id) else {
            return;
        };
        let before = pipe.taken;
        pipe.taken += count.min(pipe.len()) as u64;
        let left = pipe.len();
        let ended = pipe.writers == 0;
        self.trim(context, id, before);
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

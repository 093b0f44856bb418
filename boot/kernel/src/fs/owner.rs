//! Who is sent a signal when an open file has something to be read (fcntl(2), F_SETOWN and O_ASYNC).
//!
//! Few files have an owner, so that owners stand in a list of their own. It is looked through when anybody is woken, which
//! bounds it ([`MAX_OWNERS`]), and costs nothing while it is empty.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::flags::OpenFlags;
use crate::fs::pipe::PipeEnd;
use crate::fs::transfer::Readiness;
use crate::fs::watch::Watch;
use crate::limits::{ACCOUNT_SHARE, MAX_OWNERS};
use crate::wait::{WakeKey, WakeQueue};
use agent::kernel::View;
use hal::block::Block;

/// What kind of owner a number names, as `struct f_owner_ex` has it (asm-generic/fcntl.h).
pub(crate) mod kind {
    /// `F_OWNER_TID`.
    pub(crate) const TASK: u32 = 0;
    /// `F_OWNER_PID`.
    pub(crate) const PROCESS: u32 = 1;
    /// `F_OWNER_PGRP`.
    pub(crate) const GROUP: u32 = 2;
}

/// Who made somebody the owner: nobody gets a signal this way that could not be sent with kill(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setter {
    /// Effective and real user.
    pub(crate) users: [u32; 2],
    /// Where its processes are.
    pub(crate) view: View,
}

/// The owner of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileOwner {
    /// What the number names ([`kind`]).
    pub(crate) kind: u32,
    /// Who it is; 0 for nobody.
    pub(crate) number: u32,
    /// Who said so.
    pub(crate) setter: Setter,
    /// The signal; 0 for SIGIO without a word.
    pub(crate) signal: u8,
    /// The descriptor it was asked for.
    pub(crate) fd: i32,
}

impl FileOwner {
    /// No owner.
    const NOBODY: Self = Self {
        kind: kind::TASK,
        number: 0,
        setter: Setter {
            users: [u32::MAX; 2],
            view: View::UTILITY_VM,
        },
        signal: 0,
        fd: 0,
    };
}

/// The owners there are.
pub(super) type Owners = alloc::vec::Vec<(DescriptionId, FileOwner)>;

impl<B: Block> Files<B> {
    /// Returns the owner of an open file.
    #[must_use]
    pub(crate) fn owner(&self, id: DescriptionId) -> FileOwner {
        let known = self.owners.iter().find(|(known, _)| *known == id);
        known.map_or(FileOwner::NOBODY, |(_, owner)| *owner)
    }

    /// Gives an open file an owner.
    ///
    /// # Errors
    ///
    /// ENOMEM, also when as many files have one as may, or as many of its account's; EBADF.
    pub(crate) fn set_owner_of(
        &mut self,
        id: DescriptionId,
        owner: FileOwner,
    ) -> Result<(), Errno> {
        if let Some((_, known)) = self.owners.iter_mut().find(|(known, _)| *known == id) {
            *known = owner;
            return Ok(());
        }
        let account = |id| Some(self.descriptions.get(id)?.account);
        let payer = account(id).ok_or(Errno::EBADF)?;
        let own = self.owners.iter();
        let own = own.filter(|(known, _)| account(*known) == Some(payer));
        if own.count() >= MAX_OWNERS / ACCOUNT_SHARE || self.owners.len() >= MAX_OWNERS {
            return Err(Errno::ENOMEM);
        }
        self.owners.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
        self.owners.push((id, owner));
        Ok(())
    }

    /// Forgets the owner of a file that is closed.
    pub(super) fn forget_owner(&mut self, id: DescriptionId) {
        self.owners.retain(|(known, _)| *known != id);
    }

    /// Returns whether an open file can tell its owner anything.
    #[must_use]
    pub(crate) fn tells_owner(&self, id: DescriptionId) -> bool {
        let file = self.descriptions.get(id);
        file.is_some_and(|file| key_of(file.target).is_some())
    }

    /// Returns how many owners there are.
    pub(crate) fn owner_count(&self) -> usize {
        self.owners.len()
    }

    /// Returns an owner who is to learn what is about to be woken, and what the file is ready for.
    pub(crate) fn told_owner(
        &self,
        nth: usize,
        wakes: &WakeQueue,
    ) -> Option<(&FileOwner, Readiness)> {
        let (id, owner) = self.owners.get(nth)?;
        let file = self.descriptions.get(*id)?;
        if !file.flags.contains(OpenFlags::ASYNC) || !wakes.wakes(key_of(file.target)?) {
            return None;
        }
        let ready = self.watch_file(*id, &mut Watch::nothing());
        let is_pipe = matches!(file.target, Target::Pipe(..));
        let is_ready = ready.intersects(Readiness::READ | Readiness::HANG_UP | Readiness::ERROR)
            || is_pipe && ready.contains(Readiness::WRITE);
        is_ready.then_some((owner, ready))
    }
}

/// Returns what is woken when a file has something to be read, or a pipe's writing end has room.
fn key_of(target: Target) -> Option<WakeKey> {
    Some(match target {
        Target::Socket(socket) => WakeKey::SocketReadable(socket.index()),
        Target::Pipe(pipe, PipeEnd::Write) => WakeKey::PipeWritable(pipe.index()),
        Target::Pipe(pipe, _) => WakeKey::PipeReadable(pipe.index()),
        Target::Terminal(end) => end.key(),
        _ => return None,
    })
}

//! epoll: a list of open files that is waited for as a whole.
//!
//! What is ready is found by looking at the files, as poll(2) does. For edges (EPOLLET) it is noted which files something
//! happened to: every wake-up that concerns a file marks its interests, once.

use crate::account::{AccountId, Resource};
use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::flags::OpenFlags;
use crate::fs::table::TableId;
use crate::fs::transfer::Readiness;
use crate::fs::watch::Watch;
use crate::limits::{EPOLL_BATCH, MAX_INTERESTS};
use crate::slab::{Id, Slab};
use crate::wait::WakeQueue;
use alloc::vec::Vec;
use hal::block::Block;

/// Names an epoll instance.
pub type EpollId = Id<Epoll>;

/// Bits of `epoll_event.events` beside those of poll(2) (asm-generic `eventpoll.h`).
const EDGE: u32 = 1 << 31;
const ONE_SHOT: u32 = 1 << 30;

/// One file of the list.
#[derive(Clone, Copy, Debug)]
struct Interest {
    fd: i32,
    description: DescriptionId,
    /// What is asked for; 0 for one that was told once and is to be asked for anew.
    events: u32,
    /// The program's own.
    data: u64,
    /// Whether something happened since it was told.
    is_fresh: bool,
}

/// An epoll instance.
#[derive(Debug)]
pub struct Epoll {
    interests: Vec<Interest>,
    /// Where the next look begins, so that every file has its turn.
    next: usize,
    /// Pays for the interests.
    account: AccountId,
}

/// What is done about a file of the list (epoll_ctl(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It is waited for as well: what for, and what is told with it.
    Add(u32, u64),
    /// It is waited for otherwise.
    Change(u32, u64),
    /// It is no longer.
    Remove,
}

/// What is told of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    place: usize,
    /// What it is ready for.
    pub events: u32,
    /// The program's own.
    pub data: u64,
}

/// What is told at once.
pub type Batch = heapless::Vec<Told, EPOLL_BATCH>;

/// All epoll instances.
#[derive(Debug)]
pub(super) struct Epolls {
    table: Slab<Epoll>,
    /// Interests of all of them.
    count: usize,
}

impl Epolls {
    pub(super) const fn new() -> Self {
        Self {
            table: Slab::new(MAX_INTERESTS),
            count: 0,
        }
    }

    /// Takes an instance out.
    pub(super) fn remove(&mut self, context: &mut Context<'_>, id: EpollId) {
        if let Some(epoll) = self.table.remove(id) {
            self.forget(context, epoll.account, epoll.interests.len());
        }
    }

    /// Counts `gone` interests less.
    fn forget(&mut self, context: &mut Context<'_>, account: AccountId, gone: usize) {
        self.count -= gone;
        context.refund(account, Resource::Interests, gone as u64);
    }
}

impl<B: Block> Files<B> {
    /// Makes an epoll instance and puts it at the lowest free descriptor.
    ///
    /// # Errors
    ///
    /// ENFILE, EMFILE, ENOMEM.
    pub fn open_epoll(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        flags: OpenFlags,
    ) -> Result<i32, Errno> {
        let epoll = self.epolls.table.insert(Epoll {
            interests: Vec::new(),
            next: 0,
            account: context.account,
        });
        let epoll = epoll.map_err(|(_, full)| full.errno(Errno::ENFILE))?;
        let id = self.describe(context, Target::Epoll(epoll), None, flags)?;
        self.install(context, table, 0, id, flags.contains(OpenFlags::CLOEXEC))
    }

    /// Returns how many events, lists and interests there are.
    #[cfg(test)]
    pub(crate) fn waiting_counts(&self) -> (usize, usize, usize) {
        (
            self.events.len(),
            self.epolls.table.len(),
            self.epolls.count,
        )
    }

    /// Returns the epoll instance behind an open file.
    ///
    /// # Errors
    ///
    /// EINVAL when it is something else.
    pub fn epoll_of(&self, id: DescriptionId) -> Result<EpollId, Errno> {
        match self.descriptions.get(id).map(|file| file.target) {
            Some(Target::Epoll(epoll)) => Ok(epoll),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Changes the list.
    ///
    /// # Errors
    ///
    /// EEXIST, ENOENT; EPERM for files that are always ready; ELOOP for another epoll instance: lists of lists there are
    /// none; ENOSPC at [`MAX_INTERESTS`] and at an account's share of them; ENOMEM.
    pub fn control_epoll(
        &mut self,
        context: &mut Context<'_>,
        id: EpollId,
        fd: i32,
        description: DescriptionId,
        control: Control,
    ) -> Result<(), Errno> {
        match self.descriptions.get(description).map(|file| file.target) {
            Some(Target::Inode(_)) => return Err(Errno::EPERM),
            Some(Target::Epoll(_)) => return Err(Errno::ELOOP),
            Some(Target::Nothing) | None => return Err(Errno::EBADF),
            Some(_) => {}
        }
        let descriptions = &self.descriptions;
        let epoll = self.epolls.table.get_mut(id).ok_or(Errno::EBADF)?;
        let account = epoll.account;
        let found = epoll
            .interests
            .iter()
            .position(|known| known.fd == fd && known.description == description);
        match (control, found) {
            (Control::Add(..), Some(_)) => Err(Errno::EEXIST),
            (Control::Change(..) | Control::Remove, None) => Err(Errno::ENOENT),
            (Control::Add(events, data), None) => {
                // Files that were closed leave the list when it grows.
                let before = epoll.interests.len();
                epoll
                    .interests
                    .retain(|known| descriptions.get(known.description).is_some());
                let gone = before - epoll.interests.len();
                let room = epoll.interests.try_reserve(1);
                self.epolls.forget(context, account, gone);
                room.map_err(|_| Errno::ENOMEM)?;
                if self.epolls.count >= MAX_INTERESTS {
                    return Err(Errno::ENOSPC);
                }
                let payer = context.accounts.get_mut(account).ok_or(Errno::ENOSPC)?;
                payer.charge(Resource::Interests, 1)?;
                self.epolls.count += 1;
                let epoll = self.epolls.table.get_mut(id).ok_or(Errno::EBADF)?;
                epoll.interests.push(Interest {
                    fd,
                    description,
                    events,
                    data,
                    is_fresh: true,
                });
                Ok(())
            }
            (Control::Change(events, data), Some(place)) => {
                let known = &mut epoll.interests[place];
                (known.events, known.data, known.is_fresh) = (events, data, true);
                Ok(())
            }
            (Control::Remove, Some(place)) => {
                epoll.interests.remove(place);
                self.epolls.forget(context, account, 1);
                Ok(())
            }
        }
    }

    /// Marks the files that something happened to. To be called before anybody is told, and before wake-ups are
    /// forgotten.
    pub fn note_edges(&mut self, wakes: &mut WakeQueue) {
        if self.epolls.count > 0 {
            for slot in 0..self.epolls.table.slots() as u32 {
                let Some((id, epoll)) = self.epolls.table.at_mut(slot) else {
                    continue;
                };
                for place in 0..epoll.interests.len() {
                    self.note_edge(id, place, wakes);
                }
            }
        }
        wakes.forget_news();
    }

    fn note_edge(&mut self, id: EpollId, place: usize, wakes: &WakeQueue) {
        // Of the others it is only asked what they are ready for.
        let Some(interest) = self.interest(id, place).filter(|it| it.events & EDGE != 0) else {
            return;
        };
        let mut watch = Watch::nothing();
        self.watch_file(interest.description, &mut watch);
        if wakes.is_news(watch.key())
            && let Some(epoll) = self.epolls.table.get_mut(id)
        {
            epoll.interests[place].is_fresh = true;
        }
    }

    fn interest(&self, id: EpollId, place: usize) -> Option<Interest> {
        self.epolls.table.get(id)?.interests.get(place).copied()
    }

    /// Finds files that are ready, at most as many as fit, and adds what changes that to `watch`.
    pub fn look_at_list(&self, id: EpollId, watch: &mut Watch, most: usize) -> Batch {
        let mut batch = Batch::new();
        let Some(epoll) = self.epolls.table.get(id) else {
            return batch;
        };
        let count = epoll.interests.len();
        for nth in 0..count {
            let place = (epoll.next + nth) % count;
            let interest = epoll.interests[place];
            let always = Readiness::ERROR | Readiness::HANG_UP;
            let wanted = Readiness::from_bits_truncate(interest.events as u16) | always;
            let state = self.watch_file(interest.description, watch);
            let found = state & wanted;
            let told = interest.events & EDGE == 0 || interest.is_fresh;
            if interest.events == 0 || state == Readiness::INVALID || !told || found.is_empty() {
                continue;
            }
            let told = Told {
                place,
                events: u32::from(found.bits()),
                data: interest.data,
            };
            if batch.len() >= most || batch.push(told).is_err() {
                break;
            }
        }
        batch
    }

    /// Notes that a batch was told.
    pub fn on_told(&mut self, id: EpollId, batch: &Batch) {
        let Some(epoll) = self.epolls.table.get_mut(id) else {
            return;
        };
        for told in batch {
            epoll.next = told.place + 1;
            let Some(interest) = epoll.interests.get_mut(told.place) else {
                continue;
            };
            interest.is_fresh = false;
            if interest.events & ONE_SHOT != 0 {
                interest.events = 0;
            }
        }
    }
}

//! Waiting without blocking: an operation that cannot be finished says what would help, its call parks, and whoever
//! makes that happen wakes exactly those that wait for it.
//!
//! A woken call is simply tried again, so a wake-up too many costs time and nothing else.

use crate::errno::Errno;
use crate::limits::PENDING_WAKES;
use core::fmt;
use core::hash::{Hash, Hasher};

/// What a parked call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WakeKey {
    /// A read of this disk to complete (any of them; the block may have been read on someone else's behalf).
    Disk(u8),
    /// A pipe to have something to read, or to lose its last writer.
    PipeReadable(u32),
    /// A pipe to have room, or to lose its last reader.
    PipeWritable(u32),
    /// A socket to have received something, or to be told that nothing more comes.
    SocketReadable(u32),
    /// A socket to have room for more that is sent to it, or to go.
    SocketWritable(u32),
    /// A side of a terminal to have something to read, room, or no other side: twice its number, and 1 for the slave.
    Terminal(u32),
    /// The random generator to be seeded.
    Seed,
    /// A child of the process with this pid to change.
    Child(u32),
    /// The process with this pid to leave the memory it borrowed (vfork).
    Memory(u32),
    /// Another task to wake this one (futex).
    Futex,
    /// An event (eventfd, timerfd) to change.
    Event(u32),
    /// An epoll list to change.
    Epoll(u32),
    /// A signal to be sent to anybody (signalfd).
    Signal,
    /// One of several things.
    Several(KeySet),
    /// Only a signal or the deadline.
    Nothing,
}

/// A set of keys, without a list of them: a bit for each, which some share. What is in the set is always found in it;
/// what is not, rarely, which costs whoever waits for the set a look in vain. It is no larger than what other keys carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeySet(u32);

impl KeySet {
    /// Adds a key.
    pub fn insert(&mut self, key: WakeKey) {
        self.0 |= Self::bit(key);
    }

    /// Returns whether a key may be in the set.
    #[must_use]
    pub fn may_contain(self, key: WakeKey) -> bool {
        self.0 & Self::bit(key) != 0
    }

    fn bit(key: WakeKey) -> u32 {
        let mut fold = Fold(FNV_BASIS);
        key.hash(&mut fold);
        // The upper bits are those that all bytes have gone into.
        1 << (fold.0 >> 59)
    }
}

/// FNV-1a (draft-eastlake-fnv), the 64-bit form.
struct Fold(u64);

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for WakeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disk(index) => return write!(f, "disk {index}"),
            Self::PipeReadable(pipe) => return write!(f, "bytes in pipe {pipe}"),
            Self::PipeWritable(pipe) => return write!(f, "room in pipe {pipe}"),
            Self::SocketReadable(socket) => return write!(f, "a message in socket {socket}"),
            Self::SocketWritable(socket) => return write!(f, "room in socket {socket}"),
            Self::Terminal(side) => return write!(f, "terminal {}", side / 2),
            Self::Seed => "a seed",
            Self::Child(_) => "a child",
            Self::Memory(pid) => return write!(f, "memory lent to pid {pid}"),
            Self::Futex => "a futex",
            Self::Event(event) => return write!(f, "event {event}"),
            Self::Epoll(list) => return write!(f, "epoll list {list}"),
            Self::Signal => "a signal to read",
            Self::Several(_) => "one of several files",
            Self::Nothing => "a signal",
        })
    }
}

/// Why an operation did not give its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// It never will.
    Error(Errno),
    /// It may, after this.
    Wait(WakeKey),
    /// It goes on at the next turn: this one did its share of work ([`crate::limits::WORK_BYTES`]).
    Again,
}

// Returned from nearly everything: in one register.
const _: () = assert!(size_of::<Stall>() == 8);

impl Stall {
    /// Returns whether a handled signal ends the wait. A disk answers soon, and a call that changes files cannot be
    /// begun a second time, so waiting for one goes on, as Linux's "uninterruptible" sleep does; so does waiting for lent
    /// memory, and work that only takes turns.
    #[must_use]
    pub const fn is_interruptible(self) -> bool {
        match self {
            Self::Wait(key) => !matches!(key, WakeKey::Disk(_) | WakeKey::Memory(_)),
            Self::Again | Self::Error(_) => false,
        }
    }
}

impl From<Errno> for Stall {
    fn from(errno: Errno) -> Self {
        Self::Error(errno)
    }
}

/// The keys that were woken and not yet looked at by the scheduler.
#[derive(Debug, Default)]
pub struct WakeQueue {
    keys: heapless::Vec<WakeKey, PENDING_WAKES>,
    everybody: bool,
    /// Those that were not noted as edges yet ([`crate::fs::Files::note_edges`]).
    news: heapless::Vec<WakeKey, PENDING_WAKES>,
    all_news: bool,
}

impl WakeQueue {
    /// Wakes whoever waits for `key`.
    pub fn wake(&mut self, key: WakeKey) {
        self.everybody |= !remember(&mut self.keys, key);
        self.all_news |= !remember(&mut self.news, key);
    }

    /// Returns whether one of a set of keys was woken since edges were noted.
    pub(crate) fn is_news(&self, key: WakeKey) -> bool {
        self.all_news || matches(&self.news, key)
    }

    /// Forgets which keys are new, after edges were noted.
    pub(crate) fn forget_news(&mut self) {
        self.news.clear();
        self.all_news = false;
    }

    /// Returns whether there is nobody to wake.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && !self.everybody
    }

    /// Returns whether a call parked on `key` should be tried again.
    #[must_use]
    pub fn wakes(&self, key: WakeKey) -> bool {
        self.everybody || matches(&self.keys, key)
    }

    /// Forgets all keys, after everybody concerned was woken.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.everybody = false;
    }
}

/// Puts a key into a list it is not in yet; `false` when there is no room.
fn remember(list: &mut heapless::Vec<WakeKey, PENDING_WAKES>, key: WakeKey) -> bool {
    list.contains(&key) || list.push(key).is_ok()
}

/// Returns whether a key, or one of a set of them, is in a list.
fn matches(list: &[WakeKey], key: WakeKey) -> bool {
    match key {
        WakeKey::Several(set) => list.iter().any(|&woken| set.may_contain(woken)),
        _ => list.contains(&key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_for_several_things_is_woken_by_each_of_them() {
        let keys = [
            WakeKey::Disk(3),
            WakeKey::PipeReadable(0),
            WakeKey::PipeReadable(1),
            WakeKey::PipeWritable(1),
            WakeKey::Seed,
        ];
        let mut set = KeySet::default();
        keys.iter().for_each(|&key| set.insert(key));
        for key in keys {
            let mut wakes = WakeQueue::default();
            wakes.wake(key);
            assert!(wakes.wakes(WakeKey::Several(set)), "{key:?}");
            assert!(!wakes.wakes(WakeKey::Several(KeySet::default())));
        }
    }

    #[test]
    fn a_set_of_a_few_keys_leaves_most_others_out() {
        let mut set = KeySet::default();
        (0..4).for_each(|pipe| set.insert(WakeKey::PipeReadable(pipe)));
        let others = (4..1004).filter(|&pipe| set.may_contain(WakeKey::PipeReadable(pipe)));
        let count = others.count();
        assert!(count < 125, "{count} of 1000");
    }

    #[test]
    fn a_full_queue_wakes_whoever_waits_for_several_things() {
        let mut wakes = WakeQueue::default();
        for pipe in 0..=PENDING_WAKES as u32 {
            wakes.wake(WakeKey::PipeReadable(pipe));
        }
        assert!(wakes.wakes(WakeKey::Several(KeySet::default())));
    }
}

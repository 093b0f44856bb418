//! Waiting without blocking: an operation that cannot be finished says what would help, its call parks, and whoever
//! makes that happen wakes exactly those that wait for it.
//!
//! A woken call is simply tried again, so a wake-up too many costs time and nothing else.

use crate::errno::Errno;
use crate::limits::PENDING_WAKES;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::num::NonZeroU64;

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
    /// A lock of the file in this slot to go.
    Lock(u32),
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
        let mut fold = Fold(0);
        key.hash(&mut fold);
        // The upper bits are those that everything has gone into.
        1 << (fold.0 >> 59)
    }
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming, vol. 3, 6.4), a word at a time.
struct Fold(u64);

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(byte.into()));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(GOLDEN);
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
            Self::Lock(file) => return write!(f, "a lock of file {file}"),
            Self::Several(_) => "one of several files",
            Self::Nothing => "a signal",
        })
    }
}

/// Why an operation did not give its result, as one number that is never 0: a [`Why`] that fits a register, so that what
/// nearly everything returns does not go through memory.
///
/// Bits 16 to 31 tell what is meant. Where they are 0 it is an error, and the whole number is that of the error; the upper
/// half is what a key names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Stall(NonZeroU64);

/// What a [`Stall`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It never will.
    Error(Errno),
    /// It may, after this.
    Wait(WakeKey),
    /// It goes on at the next turn: this one did its share of work ([`crate::limits::WORK_BYTES`]).
    Again,
}

/// Where the bits stand that tell what is meant.
const WHAT_SHIFT: u32 = 16;
/// Where the number of what a key names stands.
const NAMED_SHIFT: u32 = 32;

impl Stall {
    /// It goes on at the next turn: this one did its share of work ([`crate::limits::WORK_BYTES`]).
    pub const AGAIN: Self = Self::of(1, 0);

    /// It may go on after this.
    #[must_use]
    pub const fn wait(key: WakeKey) -> Self {
        match key {
            WakeKey::Disk(index) => Self::of(2, index as u32),
            WakeKey::PipeReadable(pipe) => Self::of(3, pipe),
            WakeKey::PipeWritable(pipe) => Self::of(4, pipe),
            WakeKey::SocketReadable(socket) => Self::of(5, socket),
            WakeKey::SocketWritable(socket) => Self::of(6, socket),
            WakeKey::Terminal(side) => Self::of(7, side),
            WakeKey::Seed => Self::of(8, 0),
            WakeKey::Child(pid) => Self::of(9, pid),
            WakeKey::Memory(pid) => Self::of(10, pid),
            WakeKey::Futex => Self::of(11, 0),
            WakeKey::Event(event) => Self::of(12, event),
            WakeKey::Epoll(list) => Self::of(13, list),
            WakeKey::Signal => Self::of(14, 0),
            WakeKey::Several(set) => Self::of(15, set.0),
            WakeKey::Nothing => Self::of(16, 0),
            WakeKey::Lock(file) => Self::of(17, file),
        }
    }

    /// It never will go on.
    #[must_use]
    pub const fn error(errno: Errno) -> Self {
        Self(errno.bits())
    }

    const fn of(what: u64, named: u32) -> Self {
        match NonZeroU64::new(what << WHAT_SHIFT | (named as u64) << NAMED_SHIFT) {
            Some(bits) => Self(bits),
            // `what` is never 0.
            None => Self(NonZeroU64::MIN),
        }
    }

    /// Returns what it says.
    #[must_use]
    pub const fn why(self) -> Why {
        let bits = self.0.get();
        let named = (bits >> NAMED_SHIFT) as u32;
        Why::Wait(match (bits >> WHAT_SHIFT) as u16 {
            0 => return Why::Error(Errno::from_bits(self.0)),
            1 => return Why::Again,
            2 => WakeKey::Disk(named as u8),
            3 => WakeKey::PipeReadable(named),
            4 => WakeKey::PipeWritable(named),
            5 => WakeKey::SocketReadable(named),
            6 => WakeKey::SocketWritable(named),
            7 => WakeKey::Terminal(named),
            8 => WakeKey::Seed,
            9 => WakeKey::Child(named),
            10 => WakeKey::Memory(named),
            11 => WakeKey::Futex,
            12 => WakeKey::Event(named),
            13 => WakeKey::Epoll(named),
            14 => WakeKey::Signal,
            15 => WakeKey::Several(KeySet(named)),
            17 => WakeKey::Lock(named),
            _ => WakeKey::Nothing,
        })
    }

    /// Returns why the operation never will go on, if that is what it says.
    #[must_use]
    pub const fn errno(self) -> Option<Errno> {
        if self.is_error() {
            return Some(Errno::from_bits(self.0));
        }
        None
    }

    /// Returns whether it says that the operation never will go on.
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0.get() >> WHAT_SHIFT == 0
    }

    /// Returns whether it waits for a disk, which answers soon.
    #[must_use]
    pub const fn is_of_disk(self) -> bool {
        matches!(self.why(), Why::Wait(WakeKey::Disk(_)))
    }

    /// Returns whether a handled signal ends the wait. A disk answers soon, and a call that changes files cannot be
    /// begun a second time, so waiting for one goes on, as Linux's "uninterruptible" sleep does; so does waiting for lent
    /// memory, and work that only takes turns.
    #[must_use]
    pub const fn is_interruptible(self) -> bool {
        match self.why() {
            Why::Wait(key) => !matches!(key, WakeKey::Disk(_) | WakeKey::Memory(_)),
            Why::Again | Why::Error(_) => false,
        }
    }
}

impl From<Errno> for Stall {
    fn from(errno: Errno) -> Self {
        Self::error(errno)
    }
}

impl From<Why> for Stall {
    fn from(why: Why) -> Self {
        match why {
            Why::Error(errno) => Self::error(errno),
            Why::Wait(key) => Self::wait(key),
            Why::Again => Self::AGAIN,
        }
    }
}

impl fmt::Debug for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why().fmt(f)
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

//! Events that are files: counters (eventfd), timers (timerfd), and signals (signalfd).

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::context::Context;
use crate::fs::description::{DescriptionId, Target};
use crate::fs::flags::OpenFlags;
use crate::fs::table::TableId;
use crate::slab::{Id, Slab};
use crate::wait::WakeKey;
use core::time::Duration;
use hal::block::Block;
use hal::clock::Instant;

/// Names an event.
pub type EventId = Id<Event>;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// eventfd(2).
    Counter {
        /// At most [`Event::MOST`].
        value: u64,
        /// EFD_SEMAPHORE: a read takes one.
        is_semaphore: bool,
    },
    /// timerfd_create(2).
    Timer {
        /// Whether absolute times are wall times.
        is_wall: bool,
        /// When it expires next; [`Instant::NEVER`] when it is not armed.
        due: Instant,
        /// How long after that again; zero: not again.
        interval: Duration,
    },
    /// signalfd(2): the bits of the signals that are read from it.
    Signals(u64),
}

impl Event {
    /// The largest value of a counter (eventfd(2)).
    pub const MOST: u64 = u64::MAX - 1;

    /// Returns whether a read would not wait, for a reader for whom the signals `pending` wait.
    pub(super) fn is_readable(self, now: Instant, pending: u64) -> bool {
        match self {
            Self::Counter { value, .. } => value > 0,
            Self::Timer { due, .. } => due <= now,
            Self::Signals(signals) => signals & pending != 0,
        }
    }

    /// Returns whether a write would not wait.
    pub(super) const fn is_writable(self) -> bool {
        matches!(self, Self::Counter { value, .. } if value < Self::MOST)
    }

    /// Returns when it becomes readable by itself.
    pub(super) const fn due(self) -> Instant {
        match self {
            Self::Timer { due, .. } => due,
            _ => Instant::NEVER,
        }
    }

    /// Takes what a counter or a timer has to tell; `None` when there is nothing.
    pub fn take(&mut self, now: Instant) -> Option<u64> {
        if !self.is_readable(now, 0) {
            return None;
        }
        match self {
            Self::Counter {
                value,
                is_semaphore,
            } => {
                let taken = if *is_semaphore { 1 } else { *value };
                *value -= taken;
                Some(taken)
            }
            Self::Timer { due, interval, .. } => {
                let (count, next) = expirations(*due, *interval, now);
                *due = next;
                Some(count)
            }
            Self::Signals(_) => None,
        }
    }

    /// Adds to a counter; `false` when it would become too large.
    pub fn add(&mut self, more: u64) -> bool {
        let Self::Counter { value, .. } = self else {
            return false;
        };
        let fits = more <= Self::MOST - *value;
        if fits {
            *value += more;
        }
        fits
    }
}

/// Returns how often a timer that was due at `due` has expired by `now`, and when it does next.
fn expirations(due: Instant, interval: Duration, now: Instant) -> (u64, Instant) {
    let interval = interval.as_nanos() as u64;
    let late = now.since(due).as_nanos() as u64;
    match late.checked_div(interval) {
        None => (1, Instant::NEVER),
        Some(more) => {
            let next = (more + 1).saturating_mul(interval);
            let next = due.as_nanos().saturating_add(next);
            (more + 1, Instant::from_nanos(next))
        }
    }
}

/// All events.
pub(super) type Events = Slab<Event>;

impl<B: Block> Files<B> {
    /// Makes an event and puts it at the lowest free descriptor.
    ///
    /// # Errors
    ///
    /// ENFILE, EMFILE, ENOMEM.
    pub fn open_event(
        &mut self,
        context: &mut Context<'_>,
        table: TableId,
        event: Event,
        flags: OpenFlags,
    ) -> Result<i32, Errno> {
        let event = self.events.insert(event);
        let event = event.map_err(|(_, full)| full.errno(Errno::ENFILE))?;
        let flags = flags | OpenFlags::RDWR;
        let id = self.describe(context, Target::Event(event), None, flags)?;
        let close_on_exec = flags.contains(OpenFlags::CLOEXEC);
        self.install(context, table, 0, id, close_on_exec)
    }

    /// Returns the event behind an open file, and its name.
    ///
    /// # Errors
    ///
    /// EINVAL when it is something else.
    pub fn event_of(&self, id: DescriptionId) -> Result<(EventId, Event), Errno> {
        let file = self.descriptions.get(id).ok_or(Errno::EBADF)?;
        let Target::Event(event) = file.target else {
            return Err(Errno::EINVAL);
        };
        let known = self.events.get(event).ok_or(Errno::EBADF)?;
        Ok((event, *known))
    }

    /// Changes an event, and wakes whoever waits for it.
    pub fn set_event(&mut self, context: &mut Context<'_>, id: EventId, event: Event) {
        if let Some(known) = self.events.get_mut(id) {
            *known = event;
        }
        context.wakes.wake(WakeKey::Event(id.index()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_timer_counts_every_expiration_it_missed() {
        let interval = Duration::from_millis(10);
        for (now, count, next) in [
            (100, 1, 110),
            (109, 1, 110),
            (110, 2, 120),
            (1000, 91, 1010),
        ] {
            assert_eq!(expirations(at(100), interval, at(now)), (count, at(next)));
        }
        let once = expirations(at(100), Duration::ZERO, at(1000));
        assert_eq!(once, (1, Instant::NEVER));
        let huge = expirations(at(1), Duration::MAX, at(2));
        assert_eq!(huge.0, 1);
    }

    #[test]
    fn a_counter_takes_up_to_its_largest_value_and_not_more() {
        let mut counter = Event::Counter {
            value: 0,
            is_semaphore: false,
        };
        assert_eq!(counter.take(at(0)), None);
        assert!(counter.add(Event::MOST - 1));
        assert!(counter.is_writable());
        assert!(!counter.add(2));
        assert!(counter.add(1));
        assert!(!counter.is_writable());
        assert_eq!(counter.take(at(0)), Some(Event::MOST));
        assert_eq!(counter.take(at(0)), None);
    }

    #[test]
    fn a_semaphore_gives_one_at_a_time() {
        let mut counter = Event::Counter {
            value: 2,
            is_semaphore: true,
        };
        assert_eq!([counter.take(at(0)), counter.take(at(0))], [Some(1); 2]);
        assert_eq!(counter.take(at(0)), None);
    }
}

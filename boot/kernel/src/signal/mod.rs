//! Signals: sets of them, what a process does about each, what one says of itself (`info`), those that wait (`queue`),
//! sending (`send`), also to the owners of files (`owner`), the one place where they take effect (`deliver`), those of
//! exceptions (`fault`), and stopping and going on (`job`).

mod deliver;
mod fault;
mod frame;
pub(crate) mod info;
mod job;
mod owner;
mod queue;
mod send;

pub(crate) use deliver::Delivery;
pub(crate) use fault::cause_of;
pub(crate) use frame::MINIMUM_STACK_BYTES;
pub(crate) use info::Info;
pub(crate) use job::{Job, News};
pub(crate) use queue::{Pending, Queue};
pub(crate) use send::Receiver;

use crate::errno::Errno;
use agent::kernel::Signal;
use hal::user::Fault;

/// SIGHUP, SIGINT … by the names of signal(7), as far as the kernel itself sends or treats them specially.
pub(crate) mod number {
    pub(crate) const HUP: u8 = 1;
    pub(crate) const INT: u8 = 2;
    pub(crate) const QUIT: u8 = 3;
    pub(crate) const ILL: u8 = 4;
    pub(crate) const TRAP: u8 = 5;
    pub(crate) const BUS: u8 = 7;
    pub(crate) const FPE: u8 = 8;
    pub(crate) const KILL: u8 = 9;
    pub(crate) const SEGV: u8 = 11;
    pub(crate) const PIPE: u8 = 13;
    pub(crate) const ALRM: u8 = 14;
    pub(crate) const CHLD: u8 = 17;
    pub(crate) const CONT: u8 = 18;
    pub(crate) const STOP: u8 = 19;
    pub(crate) const TSTP: u8 = 20;
    pub(crate) const TTIN: u8 = 21;
    pub(crate) const TTOU: u8 = 22;
    pub(crate) const URG: u8 = 23;
    pub(crate) const XCPU: u8 = 24;
    pub(crate) const XFSZ: u8 = 25;
    pub(crate) const VTALRM: u8 = 26;
    pub(crate) const PROF: u8 = 27;
    pub(crate) const WINCH: u8 = 28;
    pub(crate) const IO: u8 = 29;
}

/// Returns a signal the kernel sends itself.
pub(crate) const fn known(number: u8) -> Signal {
    match Signal::from_number(number as i32) {
        Some(signal) => signal,
        None => Signal::KILL,
    }
}

/// A set of signals; bit 0 is signal 1, as in the kernel's `sigset_t`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignalSet(u64);

impl SignalSet {
    /// KILL and STOP, which cannot be blocked or caught.
    const UNBLOCKABLE: u64 = 1 << (number::KILL - 1) | 1 << (number::STOP - 1);

    /// The signals that stop a process when it does nothing about them.
    pub(crate) const STOPS: Self = Self(
        1 << (number::STOP - 1)
            | 1 << (number::TSTP - 1)
            | 1 << (number::TTIN - 1)
            | 1 << (number::TTOU - 1),
    );

    /// Every signal.
    pub(crate) const ALL: Self = Self(u64::MAX);

    /// Those that exceptions make (Linux `SYNCHRONOUS_MASK`; 31 is SIGSYS).
    const SYNCHRONOUS: Self = Self(
        1 << (number::SEGV - 1)
            | 1 << (number::BUS - 1)
            | 1 << (number::ILL - 1)
            | 1 << (number::TRAP - 1)
            | 1 << (number::FPE - 1)
            | 1 << (31 - 1),
    );

    /// Makes a set of one signal.
    pub(crate) const fn only(signal: Signal) -> Self {
        Self(1 << (signal.number() - 1))
    }

    /// Reads a mask of a program: KILL and STOP are dropped silently, as Linux does.
    pub(crate) const fn mask(bits: u64) -> Self {
        Self(bits & !Self::UNBLOCKABLE)
    }

    /// Returns the bits as a program sees them.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Adds a signal.
    pub(crate) const fn insert(&mut self, signal: Signal) {
        self.0 |= 1 << (signal.number() - 1);
    }

    /// Takes a signal out.
    pub(crate) const fn remove(&mut self, signal: Signal) {
        self.0 &= !(1 << (signal.number() - 1));
    }

    /// Returns whether a signal is in the set.
    pub(crate) const fn contains(self, signal: Signal) -> bool {
        self.0 & 1 << (signal.number() - 1) != 0
    }

    /// Returns the signals of both.
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the signals of this set that are not in `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether no signal is in the set.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the lowest signal of those that exceptions make, else the lowest.
    pub(crate) const fn most_urgent(self) -> Option<Signal> {
        let urgent = Self(self.0 & Self::SYNCHRONOUS.0);
        if urgent.is_empty() {
            self.first()
        } else {
            urgent.first()
        }
    }

    /// Returns the lowest signal, `None` when the set is empty.
    pub(crate) const fn first(self) -> Option<Signal> {
        if self.0 == 0 {
            None
        } else {
            Signal::from_number(self.0.trailing_zeros() as i32 + 1)
        }
    }
}

bitflags::bitflags! {
    /// `sa_flags` (sigaction(2)), values of asm/signal.h.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(crate) struct ActionFlags: u64 {
        /// Children that stop do not send SIGCHLD.
        const NO_CHILD_STOP = 1;
        /// Children do not become zombies.
        const NO_CHILD_WAIT = 2;
        /// The handler takes three arguments.
        const INFO = 4;
        /// `sa_restorer` is set.
        const RESTORER = 0x0400_0000;
        /// Run on the alternate stack.
        const ON_STACK = 0x0800_0000;
        /// Interrupted calls are tried again.
        const RESTART = 0x1000_0000;
        /// The signal is not blocked while it is handled.
        const NO_DEFER = 0x4000_0000;
        /// Back to the default once it is handled.
        const RESET_HAND = 0x8000_0000;
    }
}

/// `SIG_DFL`.
pub(crate) const DEFAULT: u64 = 0;

/// `SIG_IGN`.
pub(crate) const IGNORE: u64 = 1;

/// What a process does about one signal, in the terms of `struct kernel_sigaction`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Action {
    /// [`DEFAULT`], [`IGNORE`], or the address of a function.
    pub(crate) handler: u64,
    /// How.
    pub(crate) flags: ActionFlags,
    /// Where the handler returns to.
    pub(crate) restorer: u64,
    /// What is blocked meanwhile.
    pub(crate) mask: SignalSet,
}

/// What a process does about each signal.
#[derive(Clone, Debug)]
pub(crate) struct Actions {
    actions: [Action; 64],
    /// Processes that have these.
    pub(crate) sharers: u32,
}

impl Actions {
    /// Makes a table that has the default for everything.
    pub(crate) const fn new() -> Self {
        Self {
            actions: [Action {
                handler: DEFAULT,
                flags: ActionFlags::empty(),
                restorer: 0,
                mask: SignalSet(0),
            }; 64],
            sharers: 1,
        }
    }

    /// Forgets every handler: a new program has none. What is ignored stays ignored (execve(2)).
    pub(crate) fn forget_handlers(&mut self) {
        for action in &mut self.actions {
            let handler = if action.handler == IGNORE {
                IGNORE
            } else {
                DEFAULT
            };
            *action = Action {
                handler,
                ..Action::default()
            };
        }
    }

    /// Returns what is done about `signal`.
    pub(crate) const fn get(&self, signal: Signal) -> Action {
        self.actions[signal.number() as usize - 1]
    }

    /// Sets what is done about `signal`.
    pub(crate) const fn set(&mut self, signal: Signal, action: Action) {
        self.actions[signal.number() as usize - 1] = action;
    }
}

/// What happens when a process does nothing about a signal (signal(7), "Standard signals").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unhandled {
    /// It ends.
    End,
    /// Nothing.
    Ignore,
    /// It stops.
    Stop,
    /// It goes on.
    Continue,
}

/// Returns what happens when a process does nothing about `signal`.
pub(crate) const fn default_of(signal: Signal) -> Unhandled {
    match signal.number() {
        number::CHLD | number::URG | number::WINCH => Unhandled::Ignore,
        number::STOP | number::TSTP | number::TTIN | number::TTOU => Unhandled::Stop,
        number::CONT => Unhandled::Continue,
        _ => Unhandled::End,
    }
}

/// Returns whether a signal is a real-time one: more than one can wait (signal(7)).
pub(crate) const fn is_real_time(signal: Signal) -> bool {
    signal.number() >= 32
}

/// An exception whose signal waits for the task that caused it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raised {
    /// Which signal.
    pub(crate) signal: Signal,
    /// The exception.
    pub(crate) fault: Fault,
    /// What the signal says.
    pub(crate) info: Info,
}

/// The alternate signal stack of a task (sigaltstack(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlternateStack {
    /// Lowest address.
    pub(crate) base: u64,
    /// Bytes; 0 means there is none.
    pub(crate) bytes: u64,
    /// Whether there is none while a handler runs on it (`SS_AUTODISARM`).
    pub(crate) disarms: bool,
}

impl AlternateStack {
    /// `SS_ONSTACK`, `SS_DISABLE`, `SS_AUTODISARM` (linux/signal.h).
    pub(crate) const IN_USE: u32 = 1;
    const DISABLED: u32 = 2;
    const DISARMS: u32 = 1 << 31;

    /// Reads a `stack_t`.
    ///
    /// # Errors
    ///
    /// EINVAL for flags nobody knows, ENOMEM for too small a stack.
    pub(crate) const fn new(base: u64, flags: u32, bytes: u64) -> Result<Self, Errno> {
        let disarms = flags & Self::DISARMS != 0;
        match flags & !Self::DISARMS {
            Self::DISABLED => Ok(Self {
                base: 0,
                bytes: 0,
                disarms,
            }),
            0 | Self::IN_USE if bytes < MINIMUM_STACK_BYTES => Err(Errno::ENOMEM),
            0 | Self::IN_USE => Ok(Self {
                base,
                bytes,
                disarms,
            }),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Returns the flags of its `stack_t`, but for whether it is in use.
    pub(crate) const fn flags(&self) -> u32 {
        let disarms = if self.disarms { Self::DISARMS } else { 0 };
        let disabled = if self.bytes == 0 { Self::DISABLED } else { 0 };
        disarms | disabled
    }

    /// Returns whether `address` lies on it.
    pub(crate) const fn contains(&self, address: u64) -> bool {
        address.wrapping_sub(self.base) < self.bytes
    }

    /// Returns whether a program with this stack pointer runs on it. One that disarms itself is not known to be used.
    pub(crate) const fn is_used(&self, pointer: u64) -> bool {
        !self.disarms && self.contains(pointer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(number: i32) -> Signal {
        Signal::from_number(number).expect("the number is between 1 and 64")
    }

    #[test]
    fn the_lowest_signal_comes_first_and_all_sixty_four_fit() {
        let mut set = SignalSet::default();
        assert_eq!(set.first(), None);
        for number in (1..=64).rev() {
            set.insert(signal(number));
            assert_eq!(set.first(), Some(signal(number)));
        }
        assert_eq!(set.bits(), u64::MAX);
    }

    #[test]
    fn kill_and_stop_cannot_be_blocked() {
        let mask = SignalSet::mask(u64::MAX);
        assert!(!mask.contains(Signal::KILL));
        assert!(!mask.contains(known(number::STOP)));
        assert!(mask.contains(Signal::TERM));
    }

    #[test]
    fn an_alternate_stack_of_no_bytes_contains_nothing() {
        let stack = |bytes: u64| AlternateStack {
            base: 16,
            bytes,
            disarms: false,
        };
        assert!(!stack(0).contains(16));
        let some = stack(8);
        assert!(!some.contains(15));
        assert!(some.contains(16));
        assert!(some.contains(23));
        assert!(!some.contains(24));
    }
}

//! What a signal says of itself: who sent it and why, `siginfo_t` to programs (sigaction(2)).
//!
//! It is kept as programs see it but for the number: the code, and the 32 bytes that mean something by the code.

use super::number;
use agent::kernel::{ExitStatus, Signal};

/// Bytes of `siginfo_t`, and of `struct signalfd_siginfo`.
pub(crate) const INFO_BYTES: usize = 128;

/// Bytes of `siginfo_t` that mean something (Linux `struct kernel_siginfo`).
pub(crate) const MEANT_BYTES: usize = 48;

/// Values of `si_code` (asm-generic/siginfo.h).
pub(crate) mod code {
    /// kill(2).
    pub(crate) const USER: i32 = 0;
    /// The kernel itself.
    pub(crate) const KERNEL: i32 = 0x80;
    /// timer_create(2).
    pub(crate) const TIMER: i32 = -2;
    /// tkill(2), tgkill(2).
    pub(crate) const TKILL: i32 = -6;
}

/// Who sent a signal and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// `si_errno`.
    pub(crate) errno: i32,
    /// `si_code`.
    pub(crate) code: i32,
    /// What follows, from byte 16 on.
    pub(crate) words: [u64; 4],
}

impl Info {
    /// Of a signal nothing more is known of: whoever sent it is outside, or there was no room to keep it.
    pub(crate) const UNKNOWN: Self = Self::of(code::USER, [0; 4]);

    /// Of a signal the kernel sends by itself.
    pub(crate) const KERNEL: Self = Self::of(code::KERNEL, [0; 4]);

    /// Makes one of a code and what follows it.
    pub(crate) const fn of(code: i32, words: [u64; 4]) -> Self {
        Self {
            errno: 0,
            code,
            words,
        }
    }

    /// Of a signal a process sent, with its number and its real user.
    pub(crate) const fn sent(code: i32, pid: u32, uid: u32) -> Self {
        Self::of(code, [pair(pid, uid), 0, 0, 0])
    }

    /// Of an exception at an address.
    pub(crate) const fn fault(code: i32, address: u64) -> Self {
        Self::of(code, [address, 0, 0, 0])
    }

    /// Of SIGCHLD: what the child `pid` of the real user `uid` did, and the ticks it used in user mode and in the kernel.
    pub(crate) const fn child(
        pid: u32,
        uid: u32,
        (code, status): (i32, u32),
        used: [u64; 2],
    ) -> Self {
        Self::of(code, [pair(pid, uid), status as u64, used[0], used[1]])
    }

    /// Reads the first bytes of a `siginfo_t`.
    pub(crate) fn parse(bytes: &[u8; MEANT_BYTES]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Self {
            errno: (word(0) >> 32) as i32,
            code: word(8) as i32,
            words: [word(16), word(24), word(32), word(40)],
        }
    }

    /// Writes the beginning of a `siginfo_t`; what follows is zeroes.
    pub(crate) fn encode(&self, signal: Signal) -> [u8; MEANT_BYTES] {
        let mut bytes = [0; MEANT_BYTES];
        let head = [
            pair(u32::from(signal.number()), self.errno as u32),
            pair(self.code as u32, 0),
        ];
        for (field, word) in bytes
            .chunks_exact_mut(8)
            .zip(head.into_iter().chain(self.words))
        {
            field.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Writes a `struct signalfd_siginfo` (signalfd(2)), in which each field has a place of its own.
    pub(crate) fn encode_for_reading(&self, signal: Signal) -> [u8; INFO_BYTES] {
        let mut bytes = [0; INFO_BYTES];
        let mut put = |at: usize, value: u64, len: usize| {
            bytes[at..at + len].copy_from_slice(&value.to_le_bytes()[..len]);
        };
        put(0, u64::from(signal.number()), 4);
        put(4, self.errno as u64, 4);
        put(8, self.code as u64, 4);
        let [first, second, third, fourth] = self.words;
        match self.layout(signal) {
            Layout::Fault => put(72, first, 8),
            Layout::Poll => {
                put(28, first, 4);
                put(20, second, 4);
            }
            Layout::Timer => {
                put(24, first, 4);
                put(32, first >> 32, 4);
                put(44, second, 4);
                put(48, second, 8);
            }
            Layout::Child => {
                put(12, first, 8);
                put(40, second, 4);
                put(56, third, 8);
                put(64, fourth, 8);
            }
            Layout::Sender => {
                put(12, first, 8);
                put(44, second, 4);
                put(48, second, 8);
            }
        }
        bytes
    }

    /// Returns what the words mean (Linux kernel/signal.c, `siginfo_layout`).
    fn layout(&self, signal: Signal) -> Layout {
        let codes_of_signal = 1..code::KERNEL;
        match (self.code, signal.number()) {
            (code::TIMER, _) => Layout::Timer,
            (code, number::ILL | number::FPE | number::SEGV | number::BUS | number::TRAP)
                if codes_of_signal.contains(&code) =>
            {
                Layout::Fault
            }
            (code, number::CHLD) if codes_of_signal.contains(&code) => Layout::Child,
            (code, _) if codes_of_signal.contains(&code) => Layout::Poll,
            _ => Layout::Sender,
        }
    }
}

/// What the words behind the code mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Process and user, a value.
    Sender,
    /// Timer and overrun, a value.
    Timer,
    /// Process and user, status, two times.
    Child,
    /// An address.
    Fault,
    /// Events and descriptor.
    Poll,
}

/// Returns `si_code` and `si_status` of a child that ended (`CLD_EXITED`, `CLD_KILLED`; nothing dumps its memory).
pub(crate) const fn ending(status: ExitStatus) -> (i32, u32) {
    match status {
        ExitStatus::Exited(code) => (1, code as u32),
        ExitStatus::Killed(signal) => (2, signal.number() as u32),
    }
}

/// Lays two 32-bit fields side by side, the first one in front.
pub(crate) const fn pair(first: u32, second: u32) -> u64 {
    first as u64 | (second as u64) << 32
}

#[cfg(test)]
mod tests {
    use super::super::known;
    use super::*;

    #[test]
    fn what_a_program_wrote_is_what_it_reads() {
        let mut bytes = [0; MEANT_BYTES];
        for (nth, byte) in bytes.iter_mut().enumerate() {
            *byte = nth as u8;
        }
        bytes[..4].copy_from_slice(&[40, 0, 0, 0]);
        bytes[12..16].fill(0);
        let signal = Signal::from_number(40).expect("it is one");
        assert_eq!(Info::parse(&bytes).encode(signal), bytes);
    }

    #[test]
    fn each_layout_of_a_signalfd_has_its_fields_in_their_places() {
        let words = [pair(1, 2), pair(3, 4), 5, 6];
        let field = |signal: u8, code: i32, at: usize| {
            let bytes = Info::of(code, words).encode_for_reading(known(signal));
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        // Process, user, value.
        for (at, value) in [(12, 1), (16, 2), (44, 3), (48, 3), (52, 4), (40, 0)] {
            assert_eq!(field(number::TRAP, code::TKILL, at), value, "{at}");
            assert_eq!(field(number::CHLD, code::USER, at), value, "{at}");
            assert_eq!(field(number::CHLD, code::KERNEL, at), value, "{at}");
        }
        for (at, value) in [(24, 1), (32, 2), (44, 3), (48, 3), (12, 0)] {
            assert_eq!(field(number::ALRM, code::TIMER, at), value, "{at}");
        }
        for (at, value) in [(12, 1), (16, 2), (40, 3), (56, 5), (64, 6), (44, 0)] {
            assert_eq!(field(number::CHLD, 1, at), value, "{at}");
        }
        for (at, value) in [(72, 1), (76, 2), (12, 0)] {
            assert_eq!(field(number::SEGV, 1, at), value, "{at}");
        }
        for (at, value) in [(28, 1), (20, 3), (12, 0)] {
            assert_eq!(field(number::ALRM, 1, at), value, "{at}");
        }
    }
}

//! A terminal's settings as programs see them: `struct termios2` of x86-64 Linux, kept as its bytes.
//!
//! Only flags that do something here have names. All others are remembered and shown again; on a terminal without a line
//! (parity, speed, modem control, IXOFF) Linux does nothing about them either.

bitflags::bitflags! {
    /// `c_iflag` (asm-generic/termbits.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct InputFlags: u32 {
        /// Takes the eighth bit away.
        const ISTRIP = 0o40;
        /// A received newline becomes a carriage return.
        const INLCR = 0o100;
        /// Received carriage returns are dropped.
        const IGNCR = 0o200;
        /// A received carriage return becomes a newline.
        const ICRNL = 0o400;
        /// VSTOP and VSTART hold output and let it go on.
        const IXON = 0o2000;
        /// Any character lets held output go on.
        const IXANY = 0o4000;
        /// Erasing goes by characters of UTF-8.
        const IUTF8 = 0o40000;
    }
}

bitflags::bitflags! {
    /// `c_oflag`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct OutputFlags: u32 {
        /// The other flags count.
        const OPOST = 0o1;
        /// A newline is sent as carriage return and newline.
        const ONLCR = 0o4;
        /// A carriage return is sent as newline.
        const OCRNL = 0o10;
        /// No carriage return is sent in column 0.
        const ONOCR = 0o20;
        /// A newline moves to column 0, too.
        const ONLRET = 0o40;
        /// Tabs are sent as spaces.
        const XTABS = 0o14000;
    }
}

bitflags::bitflags! {
    /// `c_lflag`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct LocalFlags: u32 {
        /// VINTR, VQUIT and VSUSP send signals.
        const ISIG = 0o1;
        /// Input comes in lines that can be edited.
        const ICANON = 0o2;
        /// What is received is sent back.
        const ECHO = 0o10;
        /// An erased character is wiped out.
        const ECHOE = 0o20;
        /// VKILL is followed by a newline.
        const ECHOK = 0o40;
        /// A newline is sent back even without ECHO.
        const ECHONL = 0o100;
        /// Signals do not flush.
        const NOFLSH = 0o200;
        /// Processes in the background that write get SIGTTOU.
        const TOSTOP = 0o400;
        /// Control characters are sent back as `^X`.
        const ECHOCTL = 0o1000;
        /// VKILL wipes the line out.
        const ECHOKE = 0o4000;
        /// VWERASE, VLNEXT, VREPRINT and VEOL2 count.
        const IEXTEN = 0o100_000;
    }
}

/// Places in `c_cc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Character {
    Interrupt,
    Quit,
    Erase,
    Kill,
    EndOfFile,
    Time,
    Minimum,
    Start = 8,
    Stop,
    Suspend,
    EndOfLine,
    Reprint,
    WordErase = 14,
    Literal,
    EndOfLine2,
}

/// Bytes of `struct termios`, the first part of [`Termios`].
pub(crate) const TERMIOS_BYTES: usize = 36;

/// Bytes of `struct termios2`.
pub(crate) const TERMIOS2_BYTES: usize = 44;

const CONTROL: usize = 8;
const LOCAL: usize = 12;
const CHARACTERS: usize = 17;

/// A terminal's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Termios([u8; TERMIOS2_BYTES]);

impl Default for Termios {
    /// Linux `tty_std_termios` as pts(4) has it.
    fn default() -> Self {
        let mut bytes = [0; TERMIOS2_BYTES];
        let words = [
            (0, InputFlags::ICRNL.bits() | InputFlags::IXON.bits()),
            (4, OutputFlags::OPOST.bits() | OutputFlags::ONLCR.bits()),
            // B38400, CS8, CREAD.
            (CONTROL, 0o17 | 0o60 | 0o200),
            // ISIG, ICANON, ECHO, ECHOE, ECHOK, ECHOCTL, ECHOKE, IEXTEN.
            (LOCAL, 0o105_073),
            (TERMIOS_BYTES, 38400),
            (TERMIOS_BYTES + 4, 38400),
        ];
        for (at, word) in words {
            bytes[at..at + 4].copy_from_slice(&u32::to_le_bytes(word));
        }
        // ^C ^\ DEL ^U ^D, time 0, minimum 1, none, ^Q ^S ^Z, none, ^R ^O ^W ^V.
        bytes[CHARACTERS..CHARACTERS + 16].copy_from_slice(&[
            3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0xf, 0x17, 0x16,
        ]);
        Self(bytes)
    }
}

impl Termios {
    fn word(&self, at: usize) -> u32 {
        let mut word = [0; 4];
        word.copy_from_slice(&self.0[at..at + 4]);
        u32::from_le_bytes(word)
    }

    pub(super) fn input(&self) -> InputFlags {
        InputFlags::from_bits_retain(self.word(0))
    }

    pub(super) fn output(&self) -> OutputFlags {
        OutputFlags::from_bits_retain(self.word(4))
    }

    pub(super) fn local(&self) -> LocalFlags {
        LocalFlags::from_bits_retain(self.word(LOCAL))
    }

    /// Returns a value of `c_cc`.
    pub(super) const fn character(&self, which: Character) -> u8 {
        self.0[CHARACTERS + which as usize]
    }

    /// Returns whether `byte` is this special character; 0 is none.
    pub(super) const fn is(&self, which: Character, byte: u8) -> bool {
        byte != 0 && self.character(which) == byte
    }

    /// Returns the bytes of `struct termios2`.
    pub(crate) const fn bytes(&self) -> &[u8; TERMIOS2_BYTES] {
        &self.0
    }

    /// Takes over a `struct termios` or `struct termios2`. Characters have eight bits here and no parity.
    pub(super) fn set(&mut self, bytes: &[u8]) {
        for (own, &new) in self.0.iter_mut().zip(bytes) {
            *own = new;
        }
        // CSIZE is CS8, CREAD is set and PARENB is not (Linux `pty_set_termios`).
        let control = self.word(CONTROL) & !0o400 | 0o60 | 0o200;
        self.0[CONTROL..LOCAL].copy_from_slice(&control.to_le_bytes());
    }
}

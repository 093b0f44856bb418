//! Editing the line that is not complete yet: erase, word erase, kill, reprint (Linux n_tty.c, `eraser`).

use super::terminal::Terminal;
use super::termios::{Character, LocalFlags};
use hal::frame::FramePool;

/// Columns a tab reaches.
const TAB: u64 = 8;

impl Terminal {
    /// VERASE.
    pub(super) fn erase_character(&mut self, pool: &mut FramePool) {
        let Some(from) = self.last_character(pool) else {
            return;
        };
        if self.has(LocalFlags::ECHO) && !self.has(LocalFlags::ECHOE) {
            self.head = from;
            let erase = self.termios.character(Character::Erase);
            self.echo(pool, erase);
        } else {
            self.wipe_out(pool, from);
        }
    }

    /// VWERASE: what is no part of a word, then the word.
    pub(super) fn erase_word(&mut self, pool: &mut FramePool) {
        let mut in_word = false;
        while let Some(from) = self.last_character(pool) {
            if is_of_word(self.byte(pool, from)) {
                in_word = true;
            } else if in_word {
                return;
            }
            self.wipe_out(pool, from);
        }
    }

    /// VKILL.
    pub(super) fn kill_line(&mut self, pool: &mut FramePool) {
        if self.head == self.ready {
            return;
        }
        if !self.has(LocalFlags::ECHO) {
            self.head = self.ready;
        } else if self.has(LocalFlags::ECHOK | LocalFlags::ECHOKE | LocalFlags::ECHOE) {
            while let Some(from) = self.last_character(pool) {
                self.wipe_out(pool, from);
            }
        } else {
            self.head = self.ready;
            let kill = self.termios.character(Character::Kill);
            self.echo(pool, kill);
            if self.has(LocalFlags::ECHOK) {
                self.echo_raw(pool, b"\n");
            }
        }
    }

    /// VREPRINT.
    pub(super) fn reprint(&mut self, pool: &mut FramePool, byte: u8) {
        self.echo(pool, byte);
        self.echo_raw(pool, b"\n");
        for at in self.ready..self.head {
            let byte = self.byte(pool, at);
            self.echo(pool, byte);
        }
    }

    /// Returns where the last character of the line begins; `None` when there is none, or only a part of one.
    fn last_character(&self, pool: &FramePool) -> Option<u64> {
        (self.ready..self.head)
            .rev()
            .find(|&at| !self.is_continuation(self.byte(pool, at)))
    }

    /// Takes the character that begins at `from` and ends the line away, from the screen too.
    fn wipe_out(&mut self, pool: &mut FramePool, from: u64) {
        let byte = self.byte(pool, from);
        self.head = from;
        if !self.has(LocalFlags::ECHO) {
            return;
        }
        let shows_control = self.has(LocalFlags::ECHOCTL);
        match byte {
            b'\t' => self.wipe_out_tab(pool),
            byte if !byte.is_ascii_control() => self.echo_raw(pool, b"\x08 \x08"),
            _ if shows_control => self.echo_raw(pool, b"\x08 \x08\x08 \x08"),
            _ => {}
        }
    }

    /// Goes back to where a tab began: behind the tab before it, or where the line begins.
    fn wipe_out_tab(&mut self, pool: &mut FramePool) {
        let mut columns = 0;
        let mut is_after_tab = false;
        for at in (self.ready..self.head).rev() {
            let byte = self.byte(pool, at);
            if byte == b'\t' {
                is_after_tab = true;
                break;
            }
            if byte.is_ascii_control() {
                columns += 2 * u64::from(self.has(LocalFlags::ECHOCTL));
            } else if !self.is_continuation(byte) {
                columns += 1;
            }
        }
        if !is_after_tab {
            columns += u64::from(self.line_column);
        }
        for _ in 0..TAB - columns % TAB {
            if self.output_room() > 0 {
                self.send(pool, b"\x08");
                self.column = self.column.saturating_sub(1);
            }
        }
    }
}

/// Returns whether a byte belongs to a word: letters and digits, those of Latin-1 too (Linux lib/ctype.c), and `_`.
const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0xc0 && byte != 0xd7 && byte != 0xf7
}

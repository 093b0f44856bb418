//! What a terminal does with each received byte: signals, flow control, translation, lines (Linux n_tty.c,
//! `n_tty_receive_char_special`).

use super::terminal::{State, Terminal};
use super::termios::{Character, InputFlags, LocalFlags};
use crate::signal::{known, number};
use hal::frame::FramePool;
use hal::limits::PAGE_BYTES;

/// Room that the echo of one character needs at most; wiping out and reprinting a line need more and are cut.
const ECHO_BYTES: usize = 8;

impl Terminal {
    /// Takes a byte from the master; returns whether there was room for it and for its echo.
    pub(super) fn receive(&mut self, pool: &mut FramePool, byte: u8) -> bool {
        let flags = self.termios.input();
        let byte = if flags.contains(InputFlags::ISTRIP) {
            byte & 0x7f
        } else {
            byte
        };
        let literal = self.state.contains(State::LITERAL);
        let controls = !literal && (self.is_flow_control(byte) || self.signal_of(byte).is_some());
        if controls {
            self.control(pool, byte);
            return true;
        }
        if !self.has_echo_room() || !self.make_room() {
            return false;
        }
        self.state.remove(State::LITERAL);
        if flags.contains(InputFlags::IXON | InputFlags::IXANY) {
            self.go_on();
        }
        if literal {
            self.accept(pool, byte);
            return true;
        }
        let translated = match byte {
            b'\r' if flags.contains(InputFlags::IGNCR) => return true,
            b'\r' if flags.contains(InputFlags::ICRNL) => b'\n',
            b'\n' if flags.contains(InputFlags::INLCR) => b'\r',
            byte => byte,
        };
        if self.has(LocalFlags::ICANON) {
            if !self.edit(pool, translated) {
                self.accept(pool, translated);
            }
        } else if byte == b'\r' && translated == b'\n' {
            if self.has(LocalFlags::ECHO) {
                self.echo_raw(pool, b"\n");
            }
            self.push(pool, translated);
        } else {
            self.accept(pool, translated);
        }
        true
    }

    /// Returns whether the next byte can be received, unless it is a control character.
    pub(super) fn can_receive(&self) -> bool {
        self.has_echo_room() && (self.has_room() || self.edits_full_line())
    }

    fn has_room(&self) -> bool {
        // One place stays for the end of the line.
        self.head - self.tail < PAGE_BYTES as u64 - 1
    }

    /// Returns whether one unfinished line takes all the room. It must be possible to end it.
    fn edits_full_line(&self) -> bool {
        self.has(LocalFlags::ICANON) && self.ready == self.tail
    }

    /// Makes sure that there is room for a byte. Of a line that is too long each new character takes the place of the
    /// last one (Linux `n_tty_receive_buf_common`, "overflow").
    fn make_room(&mut self) -> bool {
        if self.has_room() {
            return true;
        }
        if !self.edits_full_line() {
            return false;
        }
        if self.head - self.tail == PAGE_BYTES as u64 {
            self.head -= 1;
        }
        true
    }

    /// Returns whether there is room for a character's echo. Held output must not keep VSTART away, so its echo is lost
    /// when there is none.
    fn has_echo_room(&self) -> bool {
        let echoes = self
            .termios
            .local()
            .intersects(LocalFlags::ECHO | LocalFlags::ECHONL);
        !echoes || self.held_at.is_some() || self.output_room() >= ECHO_BYTES
    }

    fn is_flow_control(&self, byte: u8) -> bool {
        let termios = &self.termios;
        termios.input().contains(InputFlags::IXON)
            && (termios.is(Character::Start, byte) || termios.is(Character::Stop, byte))
    }

    fn signal_of(&self, byte: u8) -> Option<u8> {
        if !self.has(LocalFlags::ISIG) {
            return None;
        }
        let signals = [
            (Character::Interrupt, number::INT),
            (Character::Quit, number::QUIT),
            (Character::Suspend, number::TSTP),
        ];
        signals
            .into_iter()
            .find(|&(which, _)| self.termios.is(which, byte))
            .map(|(_, signal)| signal)
    }

    /// Does what a character of flow control or a signal's does.
    fn control(&mut self, pool: &mut FramePool, byte: u8) {
        if self.is_flow_control(byte) {
            if self.termios.is(Character::Start, byte) {
                self.go_on();
            } else {
                self.hold();
            }
            return;
        }
        let Some(signal) = self.signal_of(byte) else {
            return;
        };
        self.raised.insert(known(signal));
        if !self.has(LocalFlags::NOFLSH) {
            self.flush_input(pool);
            self.flush_output();
        }
        if self.termios.input().contains(InputFlags::IXON) {
            self.go_on();
        }
        if self.has(LocalFlags::ECHO) {
            self.echo(pool, byte);
        }
    }

    /// Takes a character in and sends it back.
    fn accept(&mut self, pool: &mut FramePool, byte: u8) {
        if self.has(LocalFlags::ECHO) {
            self.note_line_column();
            self.echo(pool, byte);
        }
        self.push(pool, byte);
    }

    fn note_line_column(&mut self) {
        if self.head == self.ready {
            self.line_column = self.column;
        }
    }

    fn end_line(&mut self, pool: &mut FramePool, byte: u8) {
        let at = self.head;
        self.push(pool, byte);
        self.flip_line_end(pool, at);
        self.ready = self.head;
    }

    /// Does what a character means to the line that is edited; returns whether it means anything but itself.
    fn edit(&mut self, pool: &mut FramePool, byte: u8) -> bool {
        let termios = self.termios;
        let local = termios.local();
        let (echoes, extends) = (
            local.contains(LocalFlags::ECHO),
            local.contains(LocalFlags::IEXTEN),
        );
        if termios.is(Character::Erase, byte) {
            self.erase_character(pool);
        } else if termios.is(Character::Kill, byte) {
            self.kill_line(pool);
        } else if extends && termios.is(Character::WordErase, byte) {
            self.erase_word(pool);
        } else if extends && termios.is(Character::Literal, byte) {
            self.state.insert(State::LITERAL);
            if local.contains(LocalFlags::ECHO | LocalFlags::ECHOCTL) {
                self.echo_raw(pool, b"^\x08");
            }
        } else if extends && echoes && termios.is(Character::Reprint, byte) {
            self.reprint(pool, byte);
        } else if byte == b'\n' {
            if local.intersects(LocalFlags::ECHO | LocalFlags::ECHONL) {
                self.echo_raw(pool, b"\n");
            }
            self.end_line(pool, byte);
        } else if termios.is(Character::EndOfFile, byte) {
            self.end_line(pool, 0);
        } else if termios.is(Character::EndOfLine, byte)
            || extends && termios.is(Character::EndOfLine2, byte)
        {
            if echoes {
                self.note_line_column();
                self.echo(pool, byte);
            }
            self.end_line(pool, byte);
        } else {
            return false;
        }
        true
    }
}

//! What a terminal sends: programs' output and echo, changed as `c_oflag` says (Linux n_tty.c, `do_output_char`).

use super::terminal::Terminal;
use super::termios::{InputFlags, LocalFlags, OutputFlags};
use hal::frame::FramePool;

/// Bytes a tab reaches.
const TAB: u32 = 8;

impl Terminal {
    /// Sends a byte as the settings say, if `reserve` bytes stay free behind it; returns whether it did.
    pub(super) fn write_byte(&mut self, pool: &mut FramePool, byte: u8, reserve: usize) -> bool {
        let flags = self.termios.output();
        let (mut column, mut line_column) = (self.column, self.line_column);
        let mut sent = [byte; TAB as usize];
        let mut count = 1;
        if flags.contains(OutputFlags::OPOST) {
            match byte {
                b'\n' => {
                    if flags.intersects(OutputFlags::ONLRET | OutputFlags::ONLCR) {
                        column = 0;
                    }
                    if flags.contains(OutputFlags::ONLCR) {
                        sent[0] = b'\r';
                        count = 2;
                    }
                    line_column = column;
                }
                b'\r' if flags.contains(OutputFlags::ONOCR) && column == 0 => count = 0,
                b'\r' if flags.contains(OutputFlags::OCRNL) => {
                    sent[0] = b'\n';
                    if flags.contains(OutputFlags::ONLRET) {
                        (column, line_column) = (0, 0);
                    }
                }
                b'\r' => (column, line_column) = (0, 0),
                b'\t' => {
                    let spaces = TAB - column % TAB;
                    if flags.contains(OutputFlags::XTABS) {
                        sent.fill(b' ');
                        count = spaces as usize;
                    }
                    column = column.wrapping_add(spaces);
                }
                0x08 => column = column.saturating_sub(1),
                _ if !byte.is_ascii_control() && !self.is_continuation(byte) => {
                    column = column.wrapping_add(1);
                }
                _ => {}
            }
        }
        if self.output_room() < count + reserve {
            return false;
        }
        (self.column, self.line_column) = (column, line_column);
        self.send(pool, &sent[..count]);
        true
    }

    /// Returns whether a byte goes on with a character of UTF-8.
    pub(super) fn is_continuation(&self, byte: u8) -> bool {
        self.termios.input().contains(InputFlags::IUTF8) && byte & 0xc0 == 0x80
    }

    /// Sends bytes back without making control characters visible. What finds no room is lost.
    pub(super) fn echo_raw(&mut self, pool: &mut FramePool, bytes: &[u8]) {
        for &byte in bytes {
            self.write_byte(pool, byte, 0);
        }
    }

    /// Sends a character back.
    pub(super) fn echo(&mut self, pool: &mut FramePool, byte: u8) {
        let is_shown = byte.is_ascii_control() && byte != b'\t' && self.has(LocalFlags::ECHOCTL);
        if !is_shown {
            self.echo_raw(pool, &[byte]);
        } else if self.output_room() >= 2 {
            self.send(pool, &[b'^', byte ^ 0x40]);
            self.column = self.column.wrapping_add(2);
        }
    }
}

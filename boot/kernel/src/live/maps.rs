//! `/proc/PID/maps`: the areas of an address space, a line for each.

use super::Part;
use crate::fs::escape;
use crate::space::{Area, Backing, SpaceId};
use crate::syscall::Call;
use crate::system::System;
use crate::wait::Stall;
use core::fmt::{self, Write};
use hal::block::Block;
use hal::limits::PAGE_BYTES;
use hal::page_table::Protection;

/// Column at which a line names what is there (Linux fs/proc/task_mmu.c `seq_pad`).
const NAME_COLUMN: usize = 73;
/// Lines of one turn: each may have a path to be put together.
const LINES: usize = 128;
/// Bits of a call's progress that tell how many bytes were passed; those above them tell from which page on it goes on.
const PASSED_BITS: u32 = 28;

/// Counts the bytes of a line, so that it can be filled up to a column.
struct Line<'a> {
    out: &'a mut Part,
    column: usize,
}

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.column += text.len();
        self.out.write_str(text)
    }
}

impl<B: Block> System<B> {
    /// Writes the areas, as far as there is room.
    ///
    /// # Errors
    ///
    /// [`Stall::AGAIN`] when there are many before the part that is asked for: the call knows how far this turn got.
    pub(super) fn tell_areas(
        &mut self,
        call: &mut Call,
        id: SpaceId,
        out: &mut Part,
    ) -> Result<(), Stall> {
        let mut at = call.progress >> PASSED_BITS;
        let all = out.skip;
        out.skip = all.saturating_sub(call.progress & ((1 << PASSED_BITS) - 1));
        for _ in 0..LINES {
            let Some(&area) = self.spaces.get(id).and_then(|space| space.areas.next(at)) else {
                return Ok(());
            };
            at = area.end;
            // It takes everything.
            let _ = self.tell_area(id, &area, out);
            if out.is_full() {
                return Ok(());
            }
        }
        if out.bytes.is_empty() {
            call.progress = at << PASSED_BITS | (all - out.skip);
            return Err(Stall::AGAIN);
        }
        Ok(())
    }

    fn tell_area(&mut self, id: SpaceId, area: &Area, out: &mut Part) -> fmt::Result {
        let right = |right, letter| {
            if area.protection.contains(right) {
                letter
            } else {
                '-'
            }
        };
        let (file, page) = match area.backing {
            Backing::File { file, page }
            | Backing::Shared { file, page }
            | Backing::Seen { file, page } => (Some(file), page),
            Backing::Anonymous | Backing::Stack | Backing::Clock => (None, 0),
        };
        let shown = file.and_then(|file| self.shown.get(file));
        let attributes = shown.and_then(|file| self.files.attributes(file.place.by_ref()).ok());
        let (device, number) = attributes.map_or((0, 0), |known| (known.device, known.number));
        let page_bytes = PAGE_BYTES as u64;
        let mut line = Line { out, column: 0 };
        write!(
            line,
            "{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {number} ",
            area.first * page_bytes,
            area.end * page_bytes,
            right(Protection::READ, 'r'),
            right(Protection::WRITE, 'w'),
            right(Protection::EXECUTE, 'x'),
            if area.is_shared() { 's' } else { 'p' },
            page * page_bytes,
            device >> 8 & 0xfff,
            device & 0xff,
        )?;
        let known = self.spaces.get(id);
        let heap = known.map_or(0..0, |space| space.break_start..space.break_end);
        let map_top = known.map_or(0, |space| space.map_top);
        let pad = NAME_COLUMN.saturating_sub(line.column);
        let name = match (area.backing, shown) {
            (_, Some(file)) => {
                write!(out, "{:pad$}", "")?;
                let place = file.place.by_ref();
                self.files
                    .with_path(&self.table, place, |path| escape(path, out));
                ""
            }
            (Backing::Stack, _) if area.first >= map_top => "[stack]",
            (Backing::Clock, _) => "[vdso]",
            _ if heap.contains(&(area.first * page_bytes)) => "[heap]",
            _ => "",
        };
        match name {
            "" => out.write_str("\n"),
            name => writeln!(out, "{:pad$}{name}", ""),
        }
    }
}

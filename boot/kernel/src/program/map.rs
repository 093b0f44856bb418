//! Mapping a program file: segments become areas, nothing is copied.

use super::elf::{
    HEADER_BYTES, Header, Malformed, PROGRAM_HEADER_BYTES, Placement, ProgramHeader, Segment,
};
use super::{About, Image, Load, Trouble};
use crate::errno::Errno;
use crate::limits::MAX_PROGRAM_HEADERS;
use crate::space::FileId;
use crate::space::{Area, Backing, LOWEST_ADDRESS, PROGRAM_BASE, PROGRAM_SPREAD_PAGES};
use crate::system::System;
use crate::user_memory::{Access, UserAddr};
use hal::block::Block;
use hal::limits::PAGE_BYTES;
use hal::page_table::{Page, Protection};

const PAGE: u64 = PAGE_BYTES as u64;

/// The segments of a program, in the order of their addresses.
type Segments = heapless::Vec<Segment, MAX_PROGRAM_HEADERS>;

impl From<Malformed> for Trouble {
    fn from(reason: Malformed) -> Self {
        Self::Failed(Errno::ENOEXEC, reason, About::Program)
    }
}

impl<B: Block> System<B> {
    /// Reads the headers and lays out the areas.
    pub(super) fn map_program(
        &mut self,
        load: &Load,
        file: FileId,
        bytes: u64,
    ) -> Result<Image, Trouble> {
        let (header, segments) = self.read_program(file, bytes)?;
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else {
            return Err("ELF file has no segment to load".into());
        };
        let lowest = first.address & !(PAGE - 1);
        let end = last.address + last.memory_bytes;
        let bias = match header.placement {
            Placement::Fixed => 0,
            Placement::Anywhere => self.choose_base().wrapping_sub(lowest),
        };
        if end.wrapping_add(bias) > Page::END.address()
            || lowest.wrapping_add(bias) < LOWEST_ADDRESS
        {
            return Err("ELF segment lies outside the address space of a program".into());
        }
        let runs = |segment: &&Segment| {
            segment.protection.contains(Protection::EXECUTE)
                && header.entry.wrapping_sub(segment.address) < segment.memory_bytes
        };
        if segments.iter().find(runs).is_none() {
            return Err("ELF entry point lies in no executable segment".into());
        }
        for segment in &segments {
            self.map_segment(load, file, segment, bias)?;
        }
        let headers = segments
            .iter()
            .find(|segment| header.headers_offset.wrapping_sub(segment.offset) < segment.file_bytes)
            .map_or(0, |segment| {
                // A bias that moves the program down is a large number.
                let address = segment.address + (header.headers_offset - segment.offset);
                address.wrapping_add(bias)
            });
        Ok(Image {
            bias,
            entry: header.entry.wrapping_add(bias),
            headers,
            header_count: header.headers as u64,
            end: end.wrapping_add(bias),
        })
    }

    /// Clears the rest of each segment's last page from the file, which belongs to its zeroed part.
    pub(super) fn clear_ends(
        &mut self,
        load: &Load,
        file: FileId,
        bytes: u64,
        bias: u64,
    ) -> Result<(), Trouble> {
        let (_, segments) = self.read_program(file, bytes)?;
        for segment in &segments {
            let from = segment.address.wrapping_add(bias) + segment.file_bytes;
            let rest = from.next_multiple_of(PAGE) - from;
            if segment.memory_bytes > segment.file_bytes && segment.file_bytes > 0 && rest > 0 {
                let zeroes = [0; PAGE_BYTES];
                let rest = &zeroes[..rest as usize];
                self.store(load.space, UserAddr(from), rest, Access::Load)?;
            }
        }
        Ok(())
    }

    /// Reads the file header and the segments.
    fn read_program(&mut self, file: FileId, bytes: u64) -> Result<(Header, Segments), Trouble> {
        if bytes < HEADER_BYTES as u64 {
            return Err("file is too short for a program".into());
        }
        let mut start = [0; HEADER_BYTES];
        self.read_file(file, 0, &mut start)?;
        let header = Header::parse(&start, bytes)?;
        let mut segments = Segments::new();
        let mut entry = [0; PROGRAM_HEADER_BYTES];
        for index in 0..header.headers {
            let at = header.headers_offset + (index * PROGRAM_HEADER_BYTES) as u64;
            self.read_file(file, at, &mut entry)?;
            match ProgramHeader::parse(&entry, bytes)? {
                ProgramHeader::Load(segment) => add(&mut segments, segment)?,
                ProgramHeader::Interpreter => {
                    return Err("program needs a dynamic linker (PT_INTERP); only static programs are supported".into());
                }
                ProgramHeader::Other => {}
            }
        }
        Ok((header, segments))
    }

    /// Copies bytes of a file, which lie inside it.
    fn read_file(&mut self, file: FileId, offset: u64, into: &mut [u8]) -> Result<(), Trouble> {
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let frame = self.file_page(file, at / PAGE)?;
            let start = (at % PAGE) as usize;
            let count = (PAGE_BYTES - start).min(into.len() - done);
            into[done..done + count]
                .copy_from_slice(&self.pool.bytes(&frame)[start..start + count]);
            self.pool.release(frame);
            done += count;
        }
        Ok(())
    }

    fn map_segment(
        &mut self,
        load: &Load,
        file: FileId,
        segment: &Segment,
        bias: u64,
    ) -> Result<(), Trouble> {
        let start = segment.address.wrapping_add(bias);
        let first = start / PAGE;
        let file_end = if segment.file_bytes == 0 {
            first
        } else {
            (start + segment.file_bytes).div_ceil(PAGE)
        };
        let end = (start + segment.memory_bytes).div_ceil(PAGE);
        let parts = [
            (
                first,
                file_end,
                Backing::File {
                    file,
                    page: segment.offset / PAGE,
                },
            ),
            (file_end, end, Backing::Anonymous),
        ];
        for (first, end, backing) in parts {
            if first < end {
                self.add_area(
                    load.space,
                    Area {
                        first,
                        end,
                        protection: segment.protection,
                        backing,
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Chooses where a program goes that can go anywhere.
    fn choose_base(&mut self) -> u64 {
        PROGRAM_BASE + self.random.next_u64() % PROGRAM_SPREAD_PAGES * PAGE
    }
}

/// Adds a segment, which must begin on a page behind the one before (gABI: "in ascending order").
fn add(segments: &mut Segments, segment: Segment) -> Result<(), Malformed> {
    if let Some(before) = segments.last() {
        let end = (before.address + before.memory_bytes).div_ceil(PAGE);
        if segment.address / PAGE < end {
            return Err("ELF segments overlap or are out of order");
        }
    }
    segments
        .push(segment)
        .map_err(|_| "ELF file has too many segments")
}

//! Mapping a program file and its dynamic linker: segments become areas, nothing is copied.

use super::elf::{
    HEADER_BYTES, Header, Malformed, PROGRAM_HEADER_BYTES, Placement, ProgramHeader, Segment,
};
use super::{About, Image, Load, ProgramFile, Step, Trouble};
use crate::errno::Errno;
use crate::limits::{MAX_PROGRAM_HEADERS, PATH_BYTES};
use crate::process::ProcessId;
use crate::space::{
    Area, Backing, FileId, LOWEST_ADDRESS, PROGRAM_BASE, PROGRAM_SPREAD_PAGES, SpaceId, Wish,
    Withheld,
};
use crate::system::System;
use crate::user_memory::{Access, UserAddr};
use core::ops::Range;
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

/// What the headers of a file ask for.
struct Wanted {
    header: Header,
    segments: Segments,
    /// Where the path of the dynamic linker lies in the file, and how long it is.
    linker: Option<(u64, usize)>,
}

impl<B: Block> System<B> {
    /// Reads the headers of the program, opens the dynamic linker it wants, and lays out the areas; the step after that.
    pub(super) fn map_program(
        &mut self,
        process: ProcessId,
        load: &mut Load,
    ) -> Result<Step, Trouble> {
        let file = load.file.ok_or(Errno::ENOENT)?;
        let wanted = self.read_program(file)?;
        if let Some((offset, bytes)) = wanted.linker
            && load.interpreter.is_none()
        {
            load.interpreter = Some(self.open_linker(process, file, offset, bytes)?);
        }
        let base = PROGRAM_BASE + self.random.next_u64() % PROGRAM_SPREAD_PAGES * PAGE;
        let image = self.map_file(load.space, file, &wanted, base)?;
        Ok(if load.interpreter.is_some() {
            Step::Link { image }
        } else {
            Step::Clear { image }
        })
    }

    /// Maps the dynamic linker where mmap would; returns the program's image with it.
    pub(super) fn map_linker(&mut self, load: &Load, image: Image) -> Result<Image, Trouble> {
        let file = load.interpreter.ok_or(Errno::ENOENT)?;
        let wanted = self.read_program(file).map_err(|trouble| match trouble {
            Trouble::Failed(Errno::ENOEXEC, reason, about) => {
                Trouble::Failed(Errno::ELIBBAD, reason, about)
            }
            other => other,
        })?;
        let pages = wanted.bounds()?;
        let pages = (pages.end - pages.start).div_ceil(PAGE);
        let anywhere = Wish::Near(LOWEST_ADDRESS / PAGE - 1);
        let first = self.choose_pages(load.space, pages, anywhere)?;
        let linker = self.map_file(load.space, file, &wanted, first * PAGE)?;
        Ok(Image {
            start: linker.entry,
            base: linker.bias,
            ..image
        })
    }

    /// Puts the page with which a program tells the time where mmap would; returns its address. Without one the program asks
    /// the kernel.
    pub(super) fn map_clock(&mut self, space: SpaceId) -> Option<u64> {
        self.clock_page.as_ref()?;
        let anywhere = Wish::Near(LOWEST_ADDRESS / PAGE - 1);
        let first = self.choose_pages(space, 1, anywhere).ok()?;
        let area = Area {
            first,
            end: first + 1,
            protection: Protection::READ | Protection::EXECUTE,
            backing: Backing::Clock,
            withheld: Withheld::empty(),
        };
        self.add_area(space, area).ok()?;
        Some(first * PAGE)
    }

    /// Opens the dynamic linker a program names.
    fn open_linker(
        &mut self,
        process: ProcessId,
        file: ProgramFile,
        offset: u64,
        bytes: usize,
    ) -> Result<ProgramFile, Trouble> {
        let mut path = [0; PATH_BYTES];
        let path = &mut path[..bytes];
        self.read_file(file.id, offset, path)?;
        let Some((0, path)) = path.split_last() else {
            return Err("ELF interpreter's path does not end with NUL".into());
        };
        let length = path.iter().position(|&byte| byte == 0);
        self.open_interpreter(process, &path[..length.unwrap_or(path.len())])
    }

    /// Opens what is to run a program: a dynamic linker, or a script's interpreter.
    pub(super) fn open_interpreter(
        &mut self,
        process: ProcessId,
        path: &[u8],
    ) -> Result<ProgramFile, Trouble> {
        self.open_program(process, path).map_err(|stall| {
            let reason = "the interpreter it asks for cannot be executed";
            match stall.errno() {
                Some(errno) => Trouble::Failed(errno, reason, About::Program),
                None => stall.into(),
            }
        })
    }

    /// Lays out the areas of a file; one that can be anywhere goes to `base`.
    fn map_file(
        &mut self,
        space: SpaceId,
        file: ProgramFile,
        wanted: &Wanted,
        base: u64,
    ) -> Result<Image, Trouble> {
        let (header, segments) = (&wanted.header, &wanted.segments);
        let Range { start, end } = wanted.bounds()?;
        let bias = match header.placement {
            Placement::Fixed => 0,
            Placement::Anywhere => base.wrapping_sub(start),
        };
        if end.wrapping_add(bias) > Page::END.address() || start.wrapping_add(bias) < LOWEST_ADDRESS
        {
            return Err("ELF segment lies outside the address space of a program".into());
        }
        let pages = start.wrapping_add(bias) / PAGE..end.wrapping_add(bias).div_ceil(PAGE);
        if !self.space(space)?.areas.is_free(pages) {
            return Err("ELF segment lies where something else is".into());
        }
        let runs = |segment: &&Segment| {
            segment.protection.contains(Protection::EXECUTE)
                && header.entry.wrapping_sub(segment.address) < segment.memory_bytes
        };
        if segments.iter().find(runs).is_none() {
            return Err("ELF entry point lies in no executable segment".into());
        }
        for segment in segments {
            self.map_segment(space, file.id, segment, bias)?;
        }
        let headers = segments
            .iter()
            .find(|segment| header.headers_offset.wrapping_sub(segment.offset) < segment.file_bytes)
            .map_or(0, |segment| {
                // A bias that moves the program down is a large number.
                let address = segment.address + (header.headers_offset - segment.offset);
                address.wrapping_add(bias)
            });
        let entry = header.entry.wrapping_add(bias);
        Ok(Image {
            bias,
            entry,
            start: entry,
            base: 0,
            headers,
            header_count: header.headers as u64,
            end: end.wrapping_add(bias),
        })
    }

    /// Clears the rest of each segment's last page from the file, which belongs to its zeroed part.
    pub(super) fn clear_ends(
        &mut self,
        space: SpaceId,
        file: ProgramFile,
        bias: u64,
    ) -> Result<(), Trouble> {
        for segment in &self.read_program(file)?.segments {
            let from = segment.address.wrapping_add(bias) + segment.file_bytes;
            let rest = from.next_multiple_of(PAGE) - from;
            if segment.memory_bytes > segment.file_bytes && segment.file_bytes > 0 && rest > 0 {
                let zeroes = [0; PAGE_BYTES];
                let rest = &zeroes[..rest as usize];
                self.store(space, UserAddr(from), rest, Access::Load)?;
            }
        }
        Ok(())
    }

    /// Reads the file header and the program headers.
    fn read_program(&mut self, file: ProgramFile) -> Result<Wanted, Trouble> {
        let ProgramFile { id: file, bytes } = file;
        if bytes < HEADER_BYTES as u64 {
            return Err("file is too short for a program".into());
        }
        let mut start = [0; HEADER_BYTES];
        self.read_file(file, 0, &mut start)?;
        let header = Header::parse(&start, bytes)?;
        let mut wanted = Wanted {
            header,
            segments: Segments::new(),
            linker: None,
        };
        let mut entry = [0; PROGRAM_HEADER_BYTES];
        for index in 0..wanted.header.headers {
            let at = wanted.header.headers_offset + (index * PROGRAM_HEADER_BYTES) as u64;
            self.read_file(file, at, &mut entry)?;
            match ProgramHeader::parse(&entry, bytes)? {
                ProgramHeader::Load(segment) => add(&mut wanted.segments, segment)?,
                // The first one counts (Linux fs/binfmt_elf.c).
                ProgramHeader::Interpreter { offset, bytes } if wanted.linker.is_none() => {
                    wanted.linker = Some((offset, bytes));
                }
                ProgramHeader::Interpreter { .. } | ProgramHeader::Other => {}
            }
        }
        Ok(wanted)
    }

    /// Copies bytes of a file, which lie inside it.
    pub(super) fn read_file(
        &mut self,
        file: FileId,
        offset: u64,
        into: &mut [u8],
    ) -> Result<(), Trouble> {
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
        space: SpaceId,
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
                    space,
                    Area {
                        first,
                        end,
                        protection: segment.protection,
                        backing,
                        withheld: Withheld::empty(),
                    },
                )?;
            }
        }
        Ok(())
    }
}

impl Wanted {
    /// Returns the addresses from the first page's start to the last segment's end.
    fn bounds(&self) -> Result<Range<u64>, Malformed> {
        match (self.segments.first(), self.segments.last()) {
            (Some(first), Some(last)) => {
                Ok(first.address & !(PAGE - 1)..last.address + last.memory_bytes)
            }
            _ => Err("ELF file has no segment to load"),
        }
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

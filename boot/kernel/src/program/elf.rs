//! ELF64 headers: every field is checked before it is believed (System V gABI, chapter 4 and 5).

use crate::limits::{MAX_PROGRAM_HEADERS, PATH_BYTES};
use hal::limits::PAGE_BYTES;
use hal::page_table::{Page, Protection};

/// Bytes of the file header.
pub(crate) const HEADER_BYTES: usize = 64;

/// Bytes of one program header.
pub(crate) const PROGRAM_HEADER_BYTES: usize = 56;

/// What is wrong with a file that should be a program, for the host's eyes; the number is always ENOEXEC.
pub(crate) type Malformed = &'static str;

/// Where a program wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// At the addresses it names (ET_EXEC).
    Fixed,
    /// Anywhere (ET_DYN).
    Anywhere,
}

/// The file header, as far as it means something to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Where it wants to be.
    pub(crate) placement: Placement,
    /// First instruction.
    pub(crate) entry: u64,
    /// Place of the program headers in the file.
    pub(crate) headers_offset: u64,
    /// How many there are, 1 to [`MAX_PROGRAM_HEADERS`].
    pub(crate) headers: usize,
}

impl Header {
    /// Reads the header of a file that is `file_bytes` long.
    ///
    /// # Errors
    ///
    /// Which field is wrong.
    pub(crate) fn parse(bytes: &[u8; HEADER_BYTES], file_bytes: u64) -> Result<Self, Malformed> {
        if bytes[..4] != *b"\x7fELF" {
            return Err("not an ELF file");
        }
        if bytes[4] != 2 {
            return Err("ELF class is not 64-bit");
        }
        if bytes[5] != 1 {
            return Err("ELF data encoding is not little-endian");
        }
        if bytes[6] != 1 {
            return Err("ELF identification version is not 1");
        }
        // 0 is System V, 3 is GNU/Linux; anything else asks for another system's calls.
        if !matches!(bytes[7], 0 | 3) {
            return Err("ELF OS ABI is not Linux");
        }
        let placement = match half(bytes, 16) {
            2 => Placement::Fixed,
            3 => Placement::Anywhere,
            _ => return Err("ELF type is neither executable nor shared object"),
        };
        if half(bytes, 18) != 62 {
            return Err("ELF machine is not x86-64");
        }
        if word(bytes, 20) != 1 {
            return Err("ELF version is not 1");
        }
        if usize::from(half(bytes, 52)) != HEADER_BYTES {
            return Err("ELF header size is not 64");
        }
        if usize::from(half(bytes, 54)) != PROGRAM_HEADER_BYTES {
            return Err("ELF program header size is not 56");
        }
        let headers = usize::from(half(bytes, 56));
        if headers == 0 {
            return Err("ELF file has no program headers");
        }
        if headers > MAX_PROGRAM_HEADERS {
            return Err("ELF file has more than MAX_PROGRAM_HEADERS = 64 program headers");
        }
        let headers_offset = long(bytes, 32);
        let end = headers_offset.checked_add((headers * PROGRAM_HEADER_BYTES) as u64);
        if end.is_none_or(|end| end > file_bytes) {
            return Err("ELF program headers lie behind the end of the file");
        }
        Ok(Self {
            placement,
            entry: long(bytes, 24),
            headers_offset,
            headers,
        })
    }
}

/// A part of the file that becomes memory (PT_LOAD).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Address of its first byte, before relocation.
    pub(crate) address: u64,
    /// Bytes of memory; never 0.
    pub(crate) memory_bytes: u64,
    /// Bytes that come from the file; at most `memory_bytes`.
    pub(crate) file_bytes: u64,
    /// Place in the file; the same as `address` modulo a page.
    pub(crate) offset: u64,
    /// What the program may do with it.
    pub(crate) protection: Protection,
}

/// What a program header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProgramHeader {
    /// Load this.
    Load(Segment),
    /// A dynamic linker is wanted: where its path lies in the file, with a NUL at the end.
    Interpreter { offset: u64, bytes: usize },
    /// Nothing the loader minds.
    Other,
}

impl ProgramHeader {
    /// Reads a program header of a file that is `file_bytes` long.
    ///
    /// # Errors
    ///
    /// Which field is wrong.
    pub(crate) fn parse(
        bytes: &[u8; PROGRAM_HEADER_BYTES],
        file_bytes: u64,
    ) -> Result<Self, Malformed> {
        match word(bytes, 0) {
            1 => Self::parse_load(bytes, file_bytes),
            3 => Self::parse_interpreter(bytes, file_bytes),
            _ => Ok(Self::Other),
        }
    }

    fn parse_interpreter(
        header: &[u8; PROGRAM_HEADER_BYTES],
        file_length: u64,
    ) -> Result<Self, Malformed> {
        let (offset, bytes) = (long(header, 8), long(header, 32));
        if bytes < 2 || bytes > PATH_BYTES as u64 {
            return Err("ELF interpreter's path is empty or too long");
        }
        if offset
            .checked_add(bytes)
            .is_none_or(|end| end > file_length)
        {
            return Err("ELF interpreter's path lies behind the end of the file");
        }
        let bytes = bytes as usize;
        Ok(Self::Interpreter { offset, bytes })
    }

    fn parse_load(bytes: &[u8; PROGRAM_HEADER_BYTES], file_length: u64) -> Result<Self, Malformed> {
        let (offset, address) = (long(bytes, 8), long(bytes, 16));
        let (file_bytes, memory_bytes) = (long(bytes, 32), long(bytes, 40));
        if memory_bytes == 0 {
            return if file_bytes == 0 {
                Ok(Self::Other)
            } else {
                Err("ELF segment is larger in the file than in memory")
            };
        }
        if file_bytes > memory_bytes {
            return Err("ELF segment is larger in the file than in memory");
        }
        if offset
            .checked_add(file_bytes)
            .is_none_or(|end| end > file_length)
        {
            return Err("ELF segment lies behind the end of the file");
        }
        if address
            .checked_add(memory_bytes)
            .is_none_or(|end| end > Page::END.address())
        {
            return Err("ELF segment lies outside the address space of a program");
        }
        if offset % PAGE_BYTES as u64 != address % PAGE_BYTES as u64 {
            return Err("ELF segment's address and file offset differ modulo a page");
        }
        let align = long(bytes, 48);
        if align > 1 && !align.is_power_of_two() {
            return Err("ELF segment's alignment is not a power of two");
        }
        Ok(Self::Load(Segment {
            address,
            memory_bytes,
            file_bytes,
            offset,
            protection: protection(word(bytes, 4)),
        }))
    }
}

/// Turns `p_flags` into rights.
fn protection(flags: u32) -> Protection {
    let mut protection = Protection::empty();
    protection.set(Protection::EXECUTE, flags & 1 != 0);
    protection.set(Protection::WRITE, flags & 2 != 0);
    protection.set(Protection::READ, flags & 4 != 0);
    protection
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at)) | u64::from(word(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE_BYTES: u64 = 0x3000;

    fn header() -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\x00");
        bytes[16] = 2;
        bytes[18] = 62;
        bytes[20] = 1;
        bytes[24..32].copy_from_slice(&0x40_1000_u64.to_le_bytes());
        bytes[32] = 64;
        bytes[52] = 64;
        bytes[54] = 56;
        bytes[56] = 2;
        bytes
    }

    fn load() -> [u8; PROGRAM_HEADER_BYTES] {
        let mut bytes = [0; PROGRAM_HEADER_BYTES];
        bytes[0] = 1;
        bytes[4] = 5;
        bytes[8..16].copy_from_slice(&0x1000_u64.to_le_bytes());
        bytes[16..24].copy_from_slice(&0x40_1000_u64.to_le_bytes());
        bytes[32..40].copy_from_slice(&0x1800_u64.to_le_bytes());
        bytes[40..48].copy_from_slice(&0x2000_u64.to_le_bytes());
        bytes[48..56].copy_from_slice(&0x1000_u64.to_le_bytes());
        bytes
    }

    fn with(at: usize, value: &[u8]) -> Result<Header, Malformed> {
        let mut bytes = header();
        bytes[at..at + value.len()].copy_from_slice(value);
        Header::parse(&bytes, FILE_BYTES)
    }

    fn load_with(at: usize, value: u64) -> Result<ProgramHeader, Malformed> {
        let mut bytes = load();
        bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
        ProgramHeader::parse(&bytes, FILE_BYTES)
    }

    #[test]
    fn reads_a_good_header() {
        assert_eq!(
            Header::parse(&header(), FILE_BYTES),
            Ok(Header {
                placement: Placement::Fixed,
                entry: 0x40_1000,
                headers_offset: 64,
                headers: 2,
            })
        );
        assert_eq!(
            with(16, &[3]).map(|header| header.placement),
            Ok(Placement::Anywhere)
        );
        assert!(with(7, &[3]).is_ok(), "GNU/Linux is ours too");
    }

    #[test]
    fn refuses_every_wrong_field_of_the_header_by_name() {
        let wrong: [(usize, &[u8], &str); 14] = [
            (0, b"\x7eELF", "not an ELF file"),
            (4, &[1], "class"),
            (5, &[2], "encoding"),
            (6, &[0], "identification version"),
            (7, &[9], "OS ABI"),
            (16, &[1], "type"),
            (16, &[4], "type"),
            (18, &[3], "machine"),
            (20, &[2], "version"),
            (52, &[63], "header size"),
            (54, &[55], "program header size"),
            (56, &[0, 0], "no program headers"),
            (56, &[65, 0], "MAX_PROGRAM_HEADERS"),
            (32, &[0xff; 8], "behind the end"),
        ];
        for (at, value, expected) in wrong {
            let refused = with(at, value).expect_err("the field is wrong");
            assert!(refused.contains(expected), "{at}: {refused}");
        }
    }

    #[test]
    fn accepts_program_headers_up_to_the_end_of_the_file() {
        let last = FILE_BYTES - 2 * PROGRAM_HEADER_BYTES as u64;
        assert!(with(32, &last.to_le_bytes()).is_ok());
        assert!(with(32, &(last + 1).to_le_bytes()).is_err());
        assert!(with(56, &[64, 0]).is_ok(), "the most there may be");
    }

    #[test]
    fn reads_a_good_segment() {
        assert_eq!(
            ProgramHeader::parse(&load(), FILE_BYTES),
            Ok(ProgramHeader::Load(Segment {
                address: 0x40_1000,
                memory_bytes: 0x2000,
                file_bytes: 0x1800,
                offset: 0x1000,
                protection: Protection::READ | Protection::EXECUTE,
            }))
        );
    }

    #[test]
    fn refuses_every_wrong_field_of_a_segment_by_name() {
        let wrong = [
            (8, 0x2001_u64, "behind the end"),
            (8, u64::MAX, "behind the end"),
            (16, 0x40_1001, "modulo a page"),
            (16, 0x0000_7fff_ffff_f000, "outside"),
            (16, u64::MAX - 0xfff, "outside"),
            (32, 0x2001, "larger in the file"),
            (32, u64::MAX, "larger in the file"),
            (40, u64::MAX, "outside"),
            (40, 0, "larger in the file"),
            (48, 3, "alignment"),
        ];
        for (at, value, expected) in wrong {
            let refused = load_with(at, value).expect_err("the field is wrong");
            assert!(refused.contains(expected), "{at} {value:#x}: {refused}");
        }
    }

    #[test]
    fn accepts_a_segment_up_to_the_end_of_the_file() {
        let mut bytes = load();
        bytes[32..40].copy_from_slice(&0x2000_u64.to_le_bytes());
        assert!(ProgramHeader::parse(&bytes, FILE_BYTES).is_ok());
        assert!(ProgramHeader::parse(&bytes, FILE_BYTES - 1).is_err());
    }

    #[test]
    fn passes_over_what_it_does_not_load() {
        assert_eq!(load_with(0, 4), Ok(ProgramHeader::Other), "a note");
    }

    #[test]
    fn an_interpreter_s_path_has_a_length_and_lies_inside_the_file() {
        let with = |offset: u64, length: u64| {
            let mut bytes = load();
            bytes[0] = 3;
            bytes[8..16].copy_from_slice(&offset.to_le_bytes());
            bytes[32..40].copy_from_slice(&length.to_le_bytes());
            ProgramHeader::parse(&bytes, FILE_BYTES)
        };
        let found = |offset, bytes| Ok(ProgramHeader::Interpreter { offset, bytes });
        assert_eq!(with(64, 2), found(64, 2));
        assert_eq!(with(FILE_BYTES - 2, 2), found(FILE_BYTES - 2, 2));
        assert_eq!(with(64, PATH_BYTES as u64), found(64, PATH_BYTES));
        for (offset, length) in [(64, 1), (64, PATH_BYTES as u64 + 1)] {
            assert!(with(offset, length).is_err_and(|reason| reason.contains("path is")));
        }
        for (offset, length) in [(FILE_BYTES - 1, 2), (u64::MAX, 2)] {
            assert!(with(offset, length).is_err_and(|reason| reason.contains("behind the end")));
        }
    }
}

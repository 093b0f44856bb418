//! The linked kernel: what of it is in the file, where that goes, and where it is entered.

use crate::{KERNEL_BYTES, PAGE_BYTES, PackError};
use elf::ElfBytes;
use elf::abi::{PT_LOAD, PT_NOTE};
use elf::endian::LittleEndian;
use elf::note::Note;

/// The Xen note that names the 32-bit entry (xen.git `xen/include/public/elfnote.h`).
const XEN_ELFNOTE_PHYS32_ENTRY: u64 = 18;
/// The room of the unpacked bytes is a multiple of this, up to where bss begins, which is 64 bytes aligned.
const ROOM_BYTES: usize = 16;

/// A kernel as a loader leaves it in RAM.
pub struct Kernel {
    /// Physical address of its first byte, which begins a page.
    pub start: u32,
    /// From the first to the last byte the file has, with zeros where it has none, and up to 15 of them at the end.
    pub bytes: Vec<u8>,
    /// Physical address behind its last page, bss included.
    pub end: u32,
    /// Physical address of its PVH entry.
    pub entry: u32,
}

impl Kernel {
    /// Reads an ELF that `linker.ld` has laid out.
    ///
    /// # Errors
    ///
    /// What in it differs from that.
    pub fn read(file: &[u8]) -> Result<Self, PackError> {
        let wrong = |why: String| PackError::Elf {
            what: "the kernel",
            why,
        };
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file)
            .map_err(|error| wrong(error.to_string()))?;
        let segments = elf.segments().ok_or_else(|| wrong("no segments".into()))?;
        let loads: Vec<_> = segments
            .iter()
            .filter(|segment| segment.p_type == PT_LOAD)
            .collect();
        let (Some(first), Some(last)) = (loads.first(), loads.last()) else {
            return Err(wrong("nothing to load".into()));
        };
        let start = first.p_paddr;
        let end = last
            .p_paddr
            .checked_add(last.p_memsz)
            .ok_or_else(|| wrong("its end wraps".into()))?;
        let span = end
            .checked_sub(start)
            .ok_or_else(|| wrong("its segments are out of order".into()))?;
        if span > KERNEL_BYTES.into() {
            return Err(PackError::TooLarge(span));
        }
        let mut bytes = Vec::new();
        for segment in &loads {
            let data = elf
                .segment_data(segment)
                .map_err(|error| wrong(error.to_string()))?;
            let at = segment
                .p_paddr
                .checked_sub(start)
                .and_then(|at| usize::try_from(at).ok())
                .filter(|at| (bytes.len()..=span as usize).contains(at))
                .ok_or_else(|| wrong("its segments overlap or are out of order".into()))?;
            if data.is_empty() {
                continue;
            }
            bytes.resize(at, 0);
            bytes.extend_from_slice(data);
        }
        bytes.resize(bytes.len().next_multiple_of(ROOM_BYTES), 0);
        if bytes.len() as u64 > span {
            return Err(wrong("its file is longer than what it loads".into()));
        }
        let small = |address: u64, what: &str| {
            u32::try_from(address)
                .map_err(|_| wrong(format!("{what} is above 4 GiB: {address:#x}")))
        };
        let kernel = Self {
            start: small(start, "its start")?,
            bytes,
            end: small(end, "its end")?,
            entry: small(
                entry(&elf).ok_or_else(|| wrong("no PVH note".into()))?,
                "its entry",
            )?,
        };
        if !kernel.start.is_multiple_of(PAGE_BYTES) || !kernel.end.is_multiple_of(PAGE_BYTES) {
            return Err(wrong("it does not begin and end with a page".into()));
        }
        let unpacked = kernel.start..kernel.start + kernel.bytes.len() as u32;
        if !unpacked.contains(&kernel.entry) {
            return Err(wrong(format!("its entry {:#x} is not in it", kernel.entry)));
        }
        Ok(kernel)
    }
}

fn entry(elf: &ElfBytes<'_, LittleEndian>) -> Option<u64> {
    let segments = elf.segments()?;
    let note = segments.iter().find(|segment| segment.p_type == PT_NOTE)?;
    elf.segment_data_as_notes(&note)
        .ok()?
        .find_map(|note| match note {
            Note::Unknown(note) if note.n_type == XEN_ELFNOTE_PHYS32_ENTRY => {
                Some(u64::from_le_bytes(note.desc.try_into().ok()?))
            }
            _ => None,
        })
}

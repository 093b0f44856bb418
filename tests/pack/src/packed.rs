//! The packed ELF.
//!
//! As `linker.ld` says of the kernel's: one PT_NOTE, aligned to 4, with a descriptor of 8 bytes; load addresses from 1 MiB
//! on in ascending order. The headers are loaded at the kernel's start, and the last segment ends with the kernel's last
//! page: between them is all the RAM that unpacking and the kernel take, for loaders that ask.

use crate::block::{ended, sum};
use crate::plan::ALIGN_BYTES;
use crate::stub::Table;
use crate::{Kernel, Plan, Stub};
use elf::abi::{
    ELFCLASS64, ELFDATA2LSB, ELFMAGIC, EM_X86_64, ET_EXEC, EV_CURRENT, PF_R, PF_X, PT_LOAD, PT_NOTE,
};

const FILE_HEADER_BYTES: u16 = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;
const SEGMENTS: u16 = 4;
const NOTE_AT: u32 = (FILE_HEADER_BYTES + SEGMENTS * PROGRAM_HEADER_BYTES) as u32;
const NOTE_BYTES: u32 = 24;
/// Bytes of headers and note, which the first segment has.
pub(crate) const HEADER_BYTES: u32 = (NOTE_AT + NOTE_BYTES).next_multiple_of(ALIGN_BYTES);

/// Returns the file a VMM loads: `block` and `stub` as `plan` places them, which must be one made for them.
#[must_use]
pub fn write(kernel: &Kernel, block: &[u8], stub: &Stub, plan: &Plan) -> Vec<u8> {
    let block = ended(block);
    let block_bytes = block.len() as u32;
    let table = Table {
        block_start: plan.block,
        block_end: plan.block + block_bytes,
        room_start: kernel.start,
        entry: kernel.entry,
        sum: sum(&block),
    };
    let stub_at = HEADER_BYTES + block_bytes;

    let mut file = Vec::new();
    file_header(&mut file, plan.stub);
    for segment in [
        Segment {
            kind: PT_LOAD,
            flags: PF_R,
            offset: 0,
            address: kernel.start,
            file_bytes: HEADER_BYTES,
            bytes: HEADER_BYTES,
            align: ALIGN_BYTES,
        },
        Segment {
            kind: PT_NOTE,
            flags: PF_R,
            offset: NOTE_AT,
            address: kernel.start + NOTE_AT,
            file_bytes: NOTE_BYTES,
            bytes: NOTE_BYTES,
            align: 4,
        },
        Segment {
            kind: PT_LOAD,
            flags: PF_R,
            offset: HEADER_BYTES,
            address: plan.block,
            file_bytes: block_bytes,
            bytes: block_bytes,
            align: ALIGN_BYTES,
        },
        Segment {
            kind: PT_LOAD,
            flags: PF_R | PF_X,
            offset: stub_at,
            address: plan.stub,
            file_bytes: stub.len(),
            bytes: plan.end - plan.stub,
            align: ALIGN_BYTES,
        },
    ] {
        segment.append_to(&mut file);
    }
    // Name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY.
    for word in [4, 8, 18, u32::from_le_bytes(*b"Xen\0"), plan.stub, 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.resize(HEADER_BYTES as usize, 0);
    file.extend_from_slice(&block);
    file.extend_from_slice(&stub.placed(plan.stub, &table));
    file
}

/// The ELF64 file header (System V ABI, `Elf64_Ehdr`), without sections.
fn file_header(file: &mut Vec<u8>, entry: u32) {
    file.extend_from_slice(&ELFMAGIC);
    file.extend_from_slice(&[ELFCLASS64, ELFDATA2LSB, EV_CURRENT, 0]);
    file.extend_from_slice(&[0; 8]);
    for half in [ET_EXEC, EM_X86_64] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    file.extend_from_slice(&u32::from(EV_CURRENT).to_le_bytes());
    for word in [entry.into(), u64::from(FILE_HEADER_BYTES), 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&0_u32.to_le_bytes());
    for half in [FILE_HEADER_BYTES, PROGRAM_HEADER_BYTES, SEGMENTS, 64, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
}

/// A program header (System V ABI, `Elf64_Phdr`); virtual addresses are physical ones, as paging is off.
struct Segment {
    kind: u32,
    flags: u32,
    offset: u32,
    address: u32,
    file_bytes: u32,
    bytes: u32,
    align: u32,
}

impl Segment {
    fn append_to(&self, file: &mut Vec<u8>) {
        for word in [self.kind, self.flags] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        for word in [
            self.offset,
            self.address,
            self.address,
            self.file_bytes,
            self.bytes,
            self.align,
        ] {
            file.extend_from_slice(&u64::from(word).to_le_bytes());
        }
    }
}

//! The image as loaders see it: the one that Cloud Hypervisor and Firecracker use, and the ELF itself.
//!
//! Nothing is booted here.

use elf::ElfBytes;
use elf::abi::{ET_EXEC, PF_W, PF_X, PT_LOAD, PT_NOTE};
use elf::endian::LittleEndian;
use elf::segment::ProgramHeader;
use linux_loader::loader::elf::{Elf, PvhBootCapability};
use linux_loader::loader::{KernelLoader, KernelLoaderResult};
use std::fs::File;
use std::path::PathBuf;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// What the smallest machine has.
const SMALLEST_RAM: usize = 4 << 20;

/// Both VMMs refuse an `e_entry` below.
const HIGH_MEMORY: GuestAddress = GuestAddress(1 << 20);

/// All that VMMs load: the packed kernel, the kernel itself, the floor.
const IMAGES: [&str; 3] = ["mote-guest", "mote-kernel", "mote-floor"];

fn path(image: &str) -> PathBuf {
    e2e::image().with_file_name(image)
}

fn bytes(image: &str) -> Vec<u8> {
    let path = path(image);
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask image`", path.display()))
}

fn segments(image: &str) -> Vec<ProgramHeader> {
    let bytes = bytes(image);
    let elf = ElfBytes::<LittleEndian>::minimal_parse(&bytes).expect("the image is an ELF");
    assert_eq!(elf.ehdr.e_type, ET_EXEC, "{image} is linked at its address");
    elf.segments().expect("it has segments").iter().collect()
}

fn load(image: &str) -> (GuestMemoryMmap<()>, KernelLoaderResult) {
    let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), SMALLEST_RAM)])
        .expect("host memory is left");
    let mut file = File::open(path(image)).expect("the image is built");
    let loaded = Elf::load(&memory, None, &mut file, Some(HIGH_MEMORY))
        .unwrap_or_else(|error| panic!("{image}: {error}"));
    (memory, loaded)
}

#[test]
fn linux_loader_finds_the_pvh_entry_in_code_it_has_loaded() {
    for image in IMAGES {
        let (memory, loaded) = load(image);
        let PvhBootCapability::PvhEntryPresent(entry) = loaded.pvh_boot_cap else {
            panic!("{image}: {:?}", loaded.pvh_boot_cap);
        };
        let code = segments(image)
            .into_iter()
            .find(|segment| segment.p_type == PT_LOAD && segment.p_flags & PF_X != 0)
            .expect("it has code");
        let span = code.p_paddr..code.p_paddr + code.p_filesz;
        assert!(
            span.contains(&entry.0),
            "{image}: entry {:#x} outside {span:#x?}",
            entry.0
        );
        let first: u8 = memory.read_obj(entry).expect("the entry lies in RAM");
        assert_ne!(first, 0, "{image}: nothing was loaded at the entry");
    }
}

#[test]
fn the_smallest_machine_has_room_for_the_image_and_as_much_again() {
    let (_, loaded) = load("mote-guest");
    assert!(
        loaded.kernel_end < SMALLEST_RAM as u64 / 2,
        "{:#x}",
        loaded.kernel_end
    );
}

#[test]
fn there_is_exactly_one_note_segment_as_loaders_keep_only_the_last() {
    for image in IMAGES {
        let notes: Vec<_> = segments(image)
            .into_iter()
            .filter(|segment| segment.p_type == PT_NOTE)
            .collect();
        let [note] = notes.as_slice() else {
            panic!("{image}: {} note segments", notes.len());
        };
        assert_eq!(note.p_align, 4, "{image}: QEMU pads the name to p_align");
        let at = note.p_offset as usize;
        let bytes = &bytes(image)[at..at + note.p_filesz as usize];
        let word = |at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().expect("24 bytes"));
        assert_eq!(
            (word(0), word(4), word(8)),
            (4, 8, 18),
            "name, descriptor, PHYS32_ENTRY"
        );
        assert_eq!(&bytes[12..16], b"Xen\0");
        assert!(word(16) >= 1 << 20, "{image}: the entry is in high memory");
        assert_eq!(word(20), 0, "{image}: QEMU reads eight bytes");
    }
}

#[test]
fn no_segment_is_writable_and_executable_and_all_load_from_one_mib_in_order() {
    for image in IMAGES {
        let mut end = 1 << 20;
        for segment in segments(image) {
            if segment.p_type != PT_LOAD {
                continue;
            }
            assert_ne!(segment.p_flags & (PF_W | PF_X), PF_W | PF_X, "{image}");
            assert!(segment.p_paddr >= end, "{image}: {:#x}", segment.p_paddr);
            // The stub of the packed one runs without paging.
            let linked = if image == "mote-guest" {
                0
            } else {
                0xffff_ffff_8000_0000
            };
            assert_eq!(segment.p_vaddr - segment.p_paddr, linked, "{image}");
            end = segment.p_paddr + segment.p_memsz;
        }
    }
}

#[test]
fn the_packed_image_takes_the_ram_of_the_kernel_and_no_more() {
    let span = |image: &str| {
        let loads: Vec<_> = segments(image)
            .into_iter()
            .filter(|segment| segment.p_type == PT_LOAD)
            .collect();
        let (first, last) = (&loads[0], &loads[loads.len() - 1]);
        first.p_paddr..last.p_paddr + last.p_memsz
    };
    assert_eq!(span("mote-guest"), span("mote-kernel"));
}

#[test]
fn another_decoder_unpacks_the_kernels_bytes_as_a_loader_would_leave_them() {
    let blocks: Vec<_> = segments("mote-guest")
        .into_iter()
        .filter(|segment| segment.p_type == PT_LOAD)
        .collect();
    let [_, block, _] = blocks.as_slice() else {
        panic!("headers, block and stub: {blocks:?}");
    };
    let at = block.p_offset as usize;
    let packed = &bytes("mote-guest")[at..at + block.p_filesz as usize];
    // Behind the block stand two bytes that end it for the stub, and what makes the length a multiple of 16: all zeros.
    let mut whole = (2..18).filter_map(|behind| {
        let (block, zeros) = packed.split_at(packed.len() - behind);
        let is_end = zeros.iter().all(|&byte| byte == 0);
        let unpacked = is_end.then(|| lz4_flex::block::decompress(block, SMALLEST_RAM));
        unpacked?.ok()
    });
    let unpacked = whole.next().expect("a sound block");
    assert!(whole.next().is_none(), "a block has one end");

    let (memory, _) = load("mote-kernel");
    let mut loaded = vec![0; unpacked.len()];
    memory
        .read_slice(&mut loaded, HIGH_MEMORY)
        .expect("it lies in RAM");
    assert!(unpacked == loaded, "they differ");
    // All of the file: what a loader adds behind it is bss, which is zeros.
    let end = segments("mote-kernel")
        .iter()
        .filter(|segment| segment.p_type == PT_LOAD)
        .map(|segment| segment.p_paddr + segment.p_filesz)
        .max();
    let end = (end.expect("it has segments") - HIGH_MEMORY.0) as usize;
    assert!((end..end + 16).contains(&unpacked.len()), "{end}");
}

#[test]
fn packing_the_same_kernel_again_gives_the_same_bytes() {
    let again = pack::pack(&bytes("mote-kernel"), &bytes("mote-unpack")).expect("it packs");
    assert!(again == bytes("mote-guest"));
}

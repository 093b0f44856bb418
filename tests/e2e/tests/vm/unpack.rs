//! The stub of a packed image, over blocks of every shape and over damaged ones.
//!
//! The stub is 32-bit code and runs in the machine only. What a block must unpack to is said by another decoder, on the
//! host; the small kernel in the block, which is entered then, tells the sum over all that was unpacked.

use e2e::{DEADLINE, MACHINES, config, image, kernel, stub};
use mote_host::{Machine, Vm};
use pack::{Kernel, Plan, Stub, write};
use std::fs;
use std::path::Path;
use tempfile::NamedTempFile;

/// What QEMU ends with for these values at `isa-debug-exit`: the small kernel was entered as it should be; it was not; the
/// stub has given up.
const ENTERED: i32 = 0x10 << 1 | 1;
const ENTERED_ASTRAY: i32 = 0x11 << 1 | 1;
const DAMAGED: i32 = 0x1b << 1 | 1;

const WORDS: &str = "mote: the image is damaged: the packed kernel has another sum";

/// Where the small kernel is unpacked to, as the real one is.
const START: u32 = 1 << 20;

/// Bytes behind the room of the unpacked kernel that may be written, as the kernel clears them.
const CARELESS_BYTES: u32 = 16;

/// Words behind those that have to stay zero.
const UNTOUCHED_WORDS: u32 = 8;

/// Bytes of the small kernel's code: more than the headers, which are loaded where it is unpacked to, and would be behind it.
const CODE_BYTES: usize = 400;

/// A block under construction.
#[derive(Clone, Default)]
struct Block(Vec<u8>);

impl Block {
    /// A sequence: literals, then a match `offset` bytes back.
    fn sequence(&mut self, literals: &[u8], offset: u16, length: usize) -> &mut Self {
        let more = length - 4;
        self.token(literals, more.min(15) as u8);
        self.0.extend_from_slice(&offset.to_le_bytes());
        if more >= 15 {
            self.long(more - 15);
        }
        self
    }

    /// The last sequence, which has literals only.
    fn end(&mut self, literals: &[u8]) -> &mut Self {
        self.token(literals, 0);
        self
    }

    fn token(&mut self, literals: &[u8], length_bits: u8) {
        self.0
            .push((literals.len().min(15) as u8) << 4 | length_bits);
        if literals.len() >= 15 {
            self.long(literals.len() - 15);
        }
        self.0.extend_from_slice(literals);
    }

    fn long(&mut self, mut rest: usize) {
        while rest >= 255 {
            self.0.push(255);
            rest -= 255;
        }
        self.0.push(rest as u8);
    }

    /// What another decoder makes of it.
    fn unpacked(&self) -> Vec<u8> {
        lz4_flex::block::decompress(&self.0, 4 << 20).expect("a block as the format has it")
    }
}

/// Numbers that look random, the same in every run (Marsaglia's xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}

/// Code that begins a block's bytes, for a kernel of `bytes` bytes: is `ebx` the start info, and was nothing written behind
/// the room? It tells the sum over all bytes ([`told`]), and ends QEMU with the answer.
fn small_kernel(bytes: usize) -> Vec<u8> {
    let behind = START + bytes as u32 + CARELESS_BYTES;
    // cmp dword ptr [ebx], 0x336ec578 (the magic of hvm_start_info)
    let mut code = vec![0x81, 0x3b, 0x78, 0xc5, 0x6e, 0x33];
    let mut jumps = vec![code.len()];
    code.extend([0x75, 0]); // jne
    for word in 0..UNTOUCHED_WORDS {
        code.extend([0x83, 0x3d]); // cmp dword ptr [address], 0
        code.extend((behind + 4 * word).to_le_bytes());
        code.push(0);
        jumps.push(code.len());
        code.extend([0x75, 0]); // jne
    }
    code.push(0xbe); // mov esi, START
    code.extend(START.to_le_bytes());
    code.push(0xb9); // mov ecx, the count of words
    code.extend((bytes as u32 / 4).to_le_bytes());
    code.extend([0x31, 0xdb]); // xor ebx, ebx
    code.extend([0x03, 0x1e]); // add ebx, [esi]
    code.extend([0x69, 0xdb, 0xb1, 0x79, 0x37, 0x9e]); // imul ebx, ebx, 0x9e3779b1
    code.extend([0x0f, 0xcb, 0x83, 0xc6, 4]); // bswap ebx; add esi, 4
    code.extend([0x49, 0x75, 0xf0]); // dec ecx; jnz to the addition
    code.extend([0xb9, 8, 0, 0, 0]); // mov ecx, 8
    code.extend([0xba, 0xfd, 3, 0, 0, 0xec, 0xa8, 0x20, 0x74, 0xfb]); // wait until COM1 takes a byte
    code.extend([0xba, 0xf8, 3, 0, 0, 0xc1, 0xc3, 4, 0x88, 0xd8]); // mov edx, 0x3f8; rol ebx, 4; mov al, bl
    code.extend([0x24, 15, 4, b'A', 0xee]); // and al, 15; add al, 'A'; out dx, al
    code.extend([0x49, 0x75, 0xe4]); // dec ecx; jnz to the wait
    // mov eax, 0x10; out 0xf4, eax; hlt
    code.extend([0xb8, 0x10, 0, 0, 0, 0xe7, 0xf4, 0xf4]);
    for jump in jumps {
        code[jump + 1] = (code.len() - (jump + 2)) as u8;
    }
    // mov eax, 0x11; out 0xf4, eax; hlt
    code.extend([0xb8, 0x11, 0, 0, 0, 0xe7, 0xf4, 0xf4]);
    code.resize(CODE_BYTES, 0xcc);
    code
}

/// What the small kernel says of such bytes.
fn told(bytes: &[u8]) -> String {
    let sum = pack::sum(bytes);
    let letter = |nibble: u32| char::from(b'A' + (sum >> (28 - 4 * nibble) & 15) as u8);
    (0..8).map(letter).collect()
}

/// Packs a block that unpacks to `bytes`.
fn packed(block: &[u8], bytes: Vec<u8>) -> Vec<u8> {
    let room = bytes.len() as u32;
    let stub = Stub::read(&fs::read(stub()).expect("it was built")).expect("it is ours");
    // Far behind what is unpacked: one thing at a time.
    let block_at = (START + room + (64 << 10)).next_multiple_of(16);
    let stub_at = (block_at + block.len() as u32).next_multiple_of(4096);
    let kernel = Kernel {
        start: START,
        bytes,
        end: START + room.next_multiple_of(4096),
        entry: START,
    };
    let plan = Plan {
        block: block_at,
        stub: stub_at,
        end: stub_at + stub.len().next_multiple_of(4096),
    };
    write(&kernel, block, &stub, &plan)
}

/// Boots a file and returns the VMM's exit status and the console.
fn boot(machine: Machine, file: &[u8]) -> (Option<i32>, String) {
    let image = NamedTempFile::new().expect("there is room");
    fs::write(image.path(), file).expect("there is room");
    boot_path(machine, image.path())
}

fn boot_path(machine: Machine, path: &Path) -> (Option<i32>, String) {
    let vm = Vm::start(config(machine).kernel(path)).unwrap_or_else(|error| panic!("{error}"));
    let exit = vm
        .wait(DEADLINE)
        .unwrap_or_else(|error| panic!("{error}\n{}", vm.console()));
    (exit.status, vm.console())
}

/// Completes a block whose first literals are the small kernel, so that it unpacks to whole words, and boots it.
#[track_caller]
fn assert_unpacks(what: &str, make: impl Fn(&mut Block, Vec<u8>)) {
    let mut block = Block::default();
    make(&mut block, small_kernel(0));
    let length = block.unpacked().len();
    // The same again, now that it is known where its room ends.
    let mut block = Block::default();
    make(&mut block, small_kernel(length));
    let bytes = block.unpacked();
    assert!(
        bytes.len() == length && length.is_multiple_of(4),
        "{what}: {length}"
    );
    let told = told(&bytes);
    let (status, console) = boot(Machine::Microvm, &packed(&block.0, bytes));
    assert_ne!(
        status,
        Some(ENTERED_ASTRAY),
        "{what}: entered, but not as it should be"
    );
    assert_eq!(status, Some(ENTERED), "{what}:\n{console}");
    assert!(console.contains(&told), "{what}: not {told}:\n{console}");
}

/// The literals that make `written` bytes whole words, at least `least` of them.
fn padding(written: usize, least: usize) -> Vec<u8> {
    vec![0xcc; (written + least).next_multiple_of(4) - written]
}

/// Boots what should end in the defined stop, with its words.
#[track_caller]
fn assert_damaged(machine: Machine, what: &str, file: &[u8]) {
    let (status, console) = boot(machine, file);
    assert_eq!(status, Some(DAMAGED), "{what}, {machine:?}:\n{console}");
    assert!(console.contains(WORDS), "{what}, {machine:?}:\n{console}");
}

/// Returns where the block is in a file it was packed into.
fn place_of(block: &Block, file: &[u8]) -> usize {
    let mut places = file.windows(block.0.len());
    places.position(|bytes| bytes == block.0).expect("it is in")
}

/// The small kernel and text that repeats, as a block of a few sequences: what the damaged ones are made of.
fn sound() -> (Block, Vec<u8>) {
    let length = (CODE_BYTES + 400).next_multiple_of(4);
    let mut block = Block::default();
    block.sequence(&small_kernel(length), 7, 100);
    block.sequence(b"more", 60, 30);
    let written = block.clone().end(&[]).unpacked().len();
    block.end(&vec![0x55; length - written]);
    let bytes = block.unpacked();
    (block, bytes)
}

#[test]
fn literals_of_every_length_about_the_long_ones_are_unpacked() {
    assert_unpacks("literals", |block, code| {
        let mut numbers = Numbers(1);
        let mut written = code.len() + 4;
        block.sequence(&code, 1, 4);
        for length in (0..40)
            .chain(250..290)
            .chain(500..540)
            .chain([1035, 65_550])
        {
            block.sequence(&numbers.bytes(length), 16, 4);
            written += length + 4;
        }
        block.end(&padding(written, 5));
    });
}

#[test]
fn literals_alone_are_unpacked() {
    for least in 0..20 {
        assert_unpacks("only literals", |block, mut code| {
            code.extend(padding(code.len(), least));
            block.end(&code);
        });
    }
}

#[test]
fn a_match_of_every_offset_and_length_about_the_copied_widths_is_unpacked() {
    assert_unpacks("matches", |block, code| {
        let mut numbers = Numbers(2);
        let mut written = code.len() + 4;
        block.sequence(&code, 2, 4);
        for offset in 1..=40 {
            for length in (4..=44).chain([273, 274, 275, 528, 529, 530]) {
                let literals = numbers.below(4);
                block.sequence(&numbers.bytes(literals), offset, length);
                written += literals + length;
            }
        }
        block.end(&padding(written, 5));
    });
}

#[test]
fn the_farthest_match_is_unpacked_and_one_that_reads_the_very_first_byte() {
    assert_unpacks("far", |block, code| {
        let all = 65_535 - code.len();
        let first = Numbers(3).bytes(all);
        // All literals are behind us at 65535: the first match reads from the start.
        block.sequence(&[code.as_slice(), &first].concat(), 65_535, 1000);
        block.sequence(b"", 65_535, 18);
        block.end(&padding(65_535 + 1000 + 18, 5));
    });
}

#[test]
fn a_match_that_ends_the_room_is_unpacked_and_little_is_written_behind_it() {
    for (offset, length) in [
        (1, 4),
        (3, 18),
        (8, 18),
        (9, 9),
        (16, 17),
        (30, 20),
        (40, 300),
    ] {
        assert_unpacks("at the end", |block, mut code| {
            code.extend(padding(code.len() + length, 0));
            block.sequence(&code, offset, length);
            block.end(&[]);
        });
    }
}

#[test]
fn few_last_literals_are_unpacked_and_little_is_written_behind_them() {
    for literals in 0..40 {
        assert_unpacks("last literals", |block, mut code| {
            code.extend(padding(code.len() + 8 + literals, 0));
            block.sequence(&code, 13, 8);
            block.end(&vec![0xaa; literals]);
        });
    }
}

#[test]
fn blocks_of_random_sequences_are_unpacked_on_every_machine() {
    for seed in 1..=6 {
        assert_unpacks("random", |block, code| {
            let mut numbers = Numbers(seed);
            let mut written = code.len() + 4;
            block.sequence(&code, 5, 4);
            for _ in 0..3000 {
                let literals = match numbers.below(20) {
                    0 => numbers.below(600),
                    1..5 => numbers.below(20),
                    _ => numbers.below(5),
                };
                let length = match numbers.below(20) {
                    0 => 4 + numbers.below(600),
                    1..5 => 4 + numbers.below(40),
                    _ => 4 + numbers.below(9),
                };
                let reach = (written + literals).min(65_535);
                let offset = 1 + match numbers.below(3) {
                    0 => numbers.below(reach.min(20)),
                    _ => numbers.below(reach),
                };
                block.sequence(&numbers.bytes(literals), offset as u16, length);
                written += literals + length;
            }
            block.end(&padding(written, numbers.below(12)));
        });
    }
    let (block, bytes) = sound();
    for machine in MACHINES {
        let (status, console) = boot(machine, &packed(&block.0, bytes.clone()));
        assert_eq!(status, Some(ENTERED), "{machine:?}:\n{console}");
        assert!(console.contains(&told(&bytes)), "{machine:?}:\n{console}");
    }
}

#[test]
fn a_bit_that_has_changed_anywhere_is_found_before_anything_is_unpacked() {
    let (block, bytes) = sound();
    let file = packed(&block.0, bytes);
    let at = place_of(&block, &file);
    // Tokens, literals, lengths, offsets; what stands behind the block belongs to it.
    for byte in (0..12)
        .chain([40, CODE_BYTES + 3])
        .chain(block.0.len() - 12..block.0.len() + 2)
    {
        let mut file = file.clone();
        file[at + byte] ^= 1 << (byte % 8);
        assert_damaged(Machine::Microvm, &format!("byte {byte}"), &file);
    }
}

#[test]
fn a_block_with_zeros_from_anywhere_on_is_found() {
    let (block, bytes) = sound();
    let file = packed(&block.0, bytes);
    let at = place_of(&block, &file);
    for cut in [0, 1, 7, CODE_BYTES, block.0.len() - 1] {
        let mut file = file.clone();
        file[at + cut..at + block.0.len()].fill(0);
        assert_damaged(Machine::Microvm, &format!("cut at {cut}"), &file);
    }
}

#[test]
fn the_image_with_any_byte_changed_in_its_block_ends_in_the_stubs_own_stop() {
    let file = fs::read(image()).expect("it was built");
    let block = 0x200..file.len() - 0x1000;
    let mut numbers = Numbers(7);
    for machine in MACHINES {
        for _ in 0..12 {
            let mut file = file.clone();
            let at = block.start + numbers.below(block.len());
            file[at] ^= 1 << numbers.below(8);
            assert_damaged(machine, &format!("byte {at}"), &file);
        }
    }
}

#[test]
fn the_kernel_boots_as_it_is_linked_too() {
    for path in [kernel().as_path(), image()] {
        let bed = e2e::Bed::boot(
            config(Machine::Microvm)
                .kernel(path)
                .disk(e2e::busybox_disk()),
        );
        bed.assert_alive();
    }
}

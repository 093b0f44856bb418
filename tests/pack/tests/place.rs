//! Where things are put, and that nothing is written over before it was read: unpacking played on the host, in one memory for
//! both, and as careless about what lies behind a copy as the stub is.

use pack::{Kernel, Plan, Stub, compress, write};

const START: u32 = 1 << 20;
const PAGE: u32 = 4096;
/// How far the stub writes past a copy.
const CARELESS_BYTES: usize = 16;

/// Code that begins as the stub's does, `bytes` of it.
fn stub(bytes: usize) -> Stub {
    let mut code = vec![0xbd, 0, 0, 0, 0, 0xeb, 0x21];
    code.resize(bytes, 0);
    Stub::read(&elf_of(&code)).expect("it begins as it should")
}

/// The smallest ELF64 with one executable segment.
fn elf_of(code: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [0x1000_u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]);
    let bytes = code.len() as u64;
    for word in [120, 0x1000, 0x1000, bytes, bytes, 1] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}

/// A kernel of bytes that pack to about a half, with so many pages behind them.
fn kernel(bytes: usize, pages_behind: u32) -> Kernel {
    let mut state = 1_u32;
    let bytes: Vec<u8> = (0..bytes)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if at / 40 % 2 == 0 {
                7
            } else {
                (state >> 24) as u8
            }
        })
        .collect();
    let end = (START + bytes.len() as u32).next_multiple_of(PAGE) + pages_behind * PAGE;
    Kernel {
        start: START,
        bytes,
        end,
        entry: START,
    }
}

/// Unpacks in place, from the start of the memory on.
fn unpack(memory: &mut [u8], block: usize, block_end: usize, room: usize) {
    let (mut from, mut to) = (block, 0);
    loop {
        let token = memory[from];
        from += 1;
        let literals = length(memory, &mut from, token >> 4);
        copy(memory, from, to, literals);
        (from, to) = (from + literals, to + literals);
        let offset = usize::from(u16::from_le_bytes([memory[from], memory[from + 1]]));
        if offset == 0 {
            break;
        }
        from += 2;
        let length = 4 + length(memory, &mut from, token & 15);
        copy(memory, to - offset, to, length);
        to += length;
    }
    assert_eq!((from, to), (block_end, room));
}

fn copy(memory: &mut [u8], from: usize, to: usize, count: usize) {
    for at in 0..count {
        memory[to + at] = memory[from + at];
    }
    let behind = to + count;
    let end = memory.len().min(behind + CARELESS_BYTES);
    memory[behind..end].fill(0xee);
}

fn length(memory: &[u8], from: &mut usize, bits: u8) -> usize {
    let mut length = usize::from(bits);
    if bits == 15 {
        loop {
            let more = memory[*from];
            *from += 1;
            length += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    length
}

/// Plans, unpacks as planned and returns the plan.
fn assert_unpacks(kernel: &Kernel) -> Plan {
    let stub = stub(900);
    let block = compress(&kernel.bytes).expect("it compresses");
    let plan = Plan::make(kernel, &block, &stub).expect("a sound block");
    assert!(plan.block + block.len() as u32 <= plan.stub);
    assert_eq!(plan.end, plan.stub + PAGE);
    assert!(plan.end >= kernel.end);
    let at = (plan.block - START) as usize;
    let mut memory = vec![0; (plan.end - START) as usize];
    memory[at..at + block.len()].copy_from_slice(&block);
    unpack(&mut memory, at, at + block.len(), kernel.bytes.len());
    assert!(memory[..kernel.bytes.len()] == kernel.bytes);
    plan
}

#[test]
fn a_kernel_with_much_bss_is_packed_within_its_own_pages() {
    for pages_behind in [20, 60, 200] {
        let kernel = kernel(400_000, pages_behind);
        assert_eq!(assert_unpacks(&kernel).end, kernel.end);
    }
}

#[test]
fn a_kernel_without_bss_takes_the_pages_it_needs_behind_its_end() {
    for bytes in [16, 4096, 65_552, 400_000] {
        let kernel = kernel(bytes, 0);
        let plan = assert_unpacks(&kernel);
        assert!(
            plan.end > kernel.end && plan.end <= kernel.end + 3 * PAGE,
            "{plan:x?}"
        );
    }
}

#[test]
fn what_does_not_pack_at_all_is_placed_behind_what_it_unpacks_to() {
    let mut kernel = kernel(100_000, 1);
    for (at, byte) in kernel.bytes.iter_mut().enumerate() {
        *byte = ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    }
    assert_unpacks(&kernel);
}

#[test]
fn the_packed_file_reads_as_a_kernel_of_its_own_and_a_shorter_one_does_not() {
    let kernel = kernel(50_000, 30);
    let stub = stub(900);
    let block = compress(&kernel.bytes).expect("it compresses");
    let plan = Plan::make(&kernel, &block, &stub).expect("a sound block");
    let file = write(&kernel, &block, &stub, &plan);
    let read = Kernel::read(&file).expect("an ELF with a PVH note");
    assert_eq!(
        (read.start, read.end, read.entry),
        (START, plan.end, plan.stub)
    );
    for length in (0..file.len()).step_by(7) {
        assert!(Kernel::read(&file[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_stub_that_begins_otherwise_is_refused() {
    for at in [0, 1, 4, 16, 35] {
        let mut code = vec![0xbd, 0, 0, 0, 0];
        code.resize(100, 0);
        code[at] ^= 1;
        assert!(Stub::read(&elf_of(&code)).is_err(), "byte {at}");
    }
    let mut code = vec![0xbd];
    code.resize(35, 0);
    assert!(Stub::read(&elf_of(&code)).is_err(), "a table cut short");
    code.resize(36, 0);
    assert!(Stub::read(&elf_of(&code)).is_ok());
}

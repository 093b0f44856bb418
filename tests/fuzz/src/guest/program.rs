//! Programs that do what the input says: store bytes, call the kernel with any arguments, fault.

use crate::script::Script;
use fakes::clock::HandClock;
use fakes::program::CODE;
use hal::clock::{Clock, Instant};
use hal::frame::FramePool;
use hal::limits::PAGE_BYTES;
use hal::page_table::{KernelHalf, Page, PageTable, Protection};
use hal::user::{Context, Counts, Fault, Trap, User};
use std::time::Duration;

/// What one step takes.
const STEP: Duration = Duration::from_micros(5);
const EXIT_GROUP: u64 = 231;
/// Calls that mean something. The others must be refused whatever their arguments.
const CALLS: [u16; 120] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 28, 32, 33, 34, 35, 37, 38, 39, 40, 62, 63, 72, 73, 74, 75, 76, 77, 79, 80, 81, 82, 83, 84,
    85, 86, 87, 88, 89, 90, 91, 92, 95, 96, 97, 98, 99, 100, 102, 105, 109, 115, 116, 127, 130,
    131, 133, 137, 138, 157, 158, 160, 161, 165, 186, 187, 191, 200, 201, 202, 204, 217, 218, 221,
    227, 228, 229, 230, 232, 234, 235, 257, 258, 260, 262, 263, 264, 265, 266, 267, 268, 269, 270,
    271, 273, 280, 285, 292, 293, 302, 316, 318, 332, 334,
];

const IOCTL: u64 = 16;
/// What is asked of terminals (asm-generic/ioctls.h).
const TERMINAL_REQUESTS: [u32; 24] = [
    0x5401,
    0x5402,
    0x5403,
    0x5404,
    0x5409,
    0x540a,
    0x540b,
    0x540e,
    0x540f,
    0x5410,
    0x5411,
    0x5413,
    0x5414,
    0x541b,
    0x5421,
    0x5422,
    0x5424,
    0x5429,
    0x5441,
    0x8004_5430,
    0x4004_5431,
    0x802c_542a,
    0x402c_542b,
    0x402c_542d,
];

/// A processor whose programs all play the same script, each where the one before left off.
pub(crate) struct ScriptedUser {
    clock: HandClock,
    script: Vec<u8>,
    place: usize,
    /// What calls returned last: descriptors and addresses to call with again.
    results: [u64; 4],
    /// Bytes to be stored at an address, page fault by page fault.
    storing: Option<(u64, Vec<u8>)>,
}

impl ScriptedUser {
    pub(crate) fn new(clock: HandClock, script: Vec<u8>) -> Self {
        Self {
            clock,
            script,
            place: 0,
            results: [0; 4],
            storing: None,
        }
    }

    /// A number that is likely to be taken for an address, a descriptor, a length or flags.
    fn argument(&self, script: &mut Script<'_>, stack: u64) -> u64 {
        let byte = script.byte();
        let low = u64::from(byte >> 4);
        match byte & 15 {
            0..=2 => low,
            3 => stack.wrapping_add(low * 8),
            4 => stack.wrapping_sub(low * 1024),
            5 => CODE + low * 1024,
            6 | 7 => self.results[usize::from(byte >> 6)],
            8 => low << 12,
            9 => u64::from(script.word()),
            10 => 1 << (low * 4),
            11 => (low << 12).wrapping_neg(),
            12 => low.wrapping_neg(),
            13 => (1 << 47) - low,
            14 => 0x1000_0000 + (low << 12),
            _ => u64::from(script.half()) << 6,
        }
    }
}

impl User for ScriptedUser {
    fn kernel_half(&self) -> KernelHalf {
        KernelHalf::empty()
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }

    fn run(
        &mut self,
        pool: &mut FramePool,
        space: &mut PageTable,
        context: &mut Context,
        deadline: Instant,
    ) -> Trap {
        self.results.rotate_right(1);
        self.results[0] = context.registers.rax;
        loop {
            if let Some((address, bytes)) = self.storing.take()
                && let Err((left, fault)) = store(pool, space, address, &bytes)
            {
                // The kernel brings the page in, or ends the program; a program with a handler may be asked again.
                let done = (left - address) as usize;
                self.storing =
                    Some((left, bytes[done..].to_vec())).filter(|_| self.place < self.script.len());
                self.place += 1;
                return Trap::Fault(fault);
            }
            self.clock.advance(STEP);
            if self.clock.now() >= deadline {
                return Trap::Deadline;
            }
            let input = std::mem::take(&mut self.script);
            let mut script = Script::new(input.get(self.place..).unwrap_or_default());
            let trap = self.step(&mut script, context);
            self.place = input.len() - script.left();
            self.script = input;
            if let Some(trap) = trap {
                return trap;
            }
        }
    }
}

impl ScriptedUser {
    fn step(&mut self, script: &mut Script<'_>, context: &mut Context) -> Option<Trap> {
        let registers = &mut context.registers;
        let stack = registers.rsp;
        let kind = script.byte();
        match kind % 8 {
            _ if script.is_over() => {
                registers.rax = EXIT_GROUP;
                Some(Trap::Syscall)
            }
            0 => {
                let address = self.argument(script, stack);
                let length = usize::from(script.byte());
                self.storing = Some((address, script.bytes(length).to_vec()));
                None
            }
            1 => {
                registers.rsp = self.argument(script, stack);
                None
            }
            2 if kind > 0xf0 => Some(Trap::Fault(Fault {
                vector: script.byte() % 32,
                code: script.byte().into(),
                address: self.argument(script, stack),
            })),
            3 if kind > 0xf0 => Some(Trap::Interrupt),
            4 if kind > 0xc0 => {
                let which = usize::from(script.byte()) % TERMINAL_REQUESTS.len();
                registers.rax = IOCTL;
                registers.rdi = u64::from(kind >> 4 & 3);
                registers.rsi = TERMINAL_REQUESTS[which].into();
                registers.rdx = self.argument(script, stack);
                registers.rip = CODE + 2;
                Some(Trap::Syscall)
            }
            _ => {
                let number = script.byte();
                registers.rax = match CALLS.get(usize::from(number)) {
                    Some(&call) => call.into(),
                    None => script.word().into(),
                };
                registers.rdi = self.argument(script, stack);
                registers.rsi = self.argument(script, stack);
                registers.rdx = self.argument(script, stack);
                registers.r10 = self.argument(script, stack);
                registers.r8 = self.argument(script, stack);
                registers.r9 = self.argument(script, stack);
                registers.rip = CODE + 2;
                Some(Trap::Syscall)
            }
        }
    }
}

/// Stores through the page table; at the first byte that cannot be stored, its address and the fault.
fn store(
    pool: &mut FramePool,
    space: &PageTable,
    address: u64,
    bytes: &[u8],
) -> Result<(), (u64, Fault)> {
    for (offset, &byte) in (0..).zip(bytes) {
        let at = address.wrapping_add(offset);
        let fault = |present: u32| Fault {
            vector: Fault::PAGE,
            code: 4 | 2 | present,
            address: at,
        };
        let page = Page::containing(at).ok_or((at, fault(0)))?;
        let mapping = space.lookup(pool, page).ok_or((at, fault(0)))?;
        if !mapping.protection.contains(Protection::WRITE) {
            return Err((at, fault(1)));
        }
        pool.bytes_mut(mapping.frame)[at as usize % PAGE_BYTES] = byte;
    }
    Ok(())
}

//! `mote.self_test`: tries what only a machine can show, in a few milliseconds. Every claim that fails is a panic.
//!
//! Only in an image with checks on (profile `image-debug`): the shipped one is held to its size.

use core::time::Duration;
use hal::clock::{Clock, Instant};
use hal::frame::FramePool;
use hal::page_table::{Page, PageTable, Protection};
use hal::user::{Context, Fault, Trap, User};
use hal::x86::last_words;
use hal::x86::processor::Processor;
use hal::x86::tsc::Tsc;

/// What to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SelfTest {
    /// Everything that must go well.
    Trials,
    /// The end by a panic.
    Panic,
    /// The end by a fault of the kernel.
    Fault,
    /// The end by a stack that is used up.
    Overflow,
    /// The end by a panic while programs run, once the host has negotiated.
    Late,
}

impl SelfTest {
    /// Reads the option's value. An image without checks refuses every self-test, so it need not tell them apart.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        if !cfg!(debug_assertions) {
            return Some(Self::Trials);
        }
        match name {
            "panic" => Some(Self::Panic),
            "fault" => Some(Self::Fault),
            "overflow" => Some(Self::Overflow),
            "late" => Some(Self::Late),
            _ => None,
        }
    }
}

/// Where the program's code lies.
const CODE: u64 = 0x40_0000;
/// Where its data lies: mapped, not executable.
const DATA: u64 = 0x50_0000;

/// A program in the processor's own language, and what it must end with.
struct Trial {
    name: &'static str,
    code: &'static [u8],
    ends: fn(Trap, &Context) -> bool,
    /// Whether it runs until its deadline.
    spins: bool,
}

const SHORT: Duration = Duration::from_millis(2);
const LONG: Duration = Duration::from_secs(10);

const TRIALS: &[Trial] = &[
    Trial {
        name: "a system call arrives with its registers",
        // mov eax, 95; mov edi, 7; syscall
        code: &[0xb8, 95, 0, 0, 0, 0xbf, 7, 0, 0, 0, 0x0f, 0x05],
        ends: |trap, context| {
            let registers = &context.registers;
            trap == Trap::Syscall
                && registers.rax == 95
                && registers.rdi == 7
                && registers.rip == CODE + 12
        },
        spins: false,
    },
    Trial {
        name: "a spinning program is interrupted at its deadline",
        // jmp self
        code: &[0xeb, 0xfe],
        ends: |trap, context| trap == Trap::Deadline && context.registers.rip == CODE,
        spins: true,
    },
    Trial {
        name: "a store to nowhere is a page fault with its address",
        // xor eax, eax; mov [rax + 0x1234], eax
        code: &[0x31, 0xc0, 0x89, 0x80, 0x34, 0x12, 0, 0],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == Fault::PAGE && fault.address == 0x1234 && fault.is_write()),
        spins: false,
    },
    Trial {
        name: "a store to code is a page fault",
        // mov [rip - 6], eax
        code: &[0x89, 0x05, 0xfa, 0xff, 0xff, 0xff],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == Fault::PAGE && fault.address == CODE),
        spins: false,
    },
    Trial {
        name: "a jump to data is a page fault",
        // mov eax, DATA; jmp rax
        code: &[0xb8, 0, 0, 0x50, 0, 0xff, 0xe0],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.is_fetch() && fault.address == DATA),
        spins: false,
    },
    Trial {
        name: "a read of the kernel is a page fault",
        // mov rax, 0xffffffff80100000; mov al, [rax]
        code: &[0x48, 0xc7, 0xc0, 0, 0, 0x10, 0x80, 0x8a, 0x00],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == Fault::PAGE && fault.address == 0xffff_ffff_8010_0000),
        spins: false,
    },
    Trial {
        name: "int 0x80 is a protection fault, not a way in",
        code: &[0xcd, 0x80],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == 13),
        spins: false,
    },
    Trial {
        name: "int3 is a breakpoint",
        code: &[0xcc],
        ends: |trap, context| {
            matches!(trap, Trap::Fault(fault) if fault.vector == 3)
                && context.registers.rip == CODE + 1
        },
        spins: false,
    },
    Trial {
        name: "sysenter is a fault",
        code: &[0x0f, 0x34],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == 13 || fault.vector == 6),
        spins: false,
    },
    Trial {
        name: "hlt is a protection fault",
        code: &[0xf4],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == 13),
        spins: false,
    },
    Trial {
        name: "an I/O port is a protection fault",
        code: &[0xe4, 0x60],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == 13),
        spins: false,
    },
    Trial {
        name: "a division by zero is a divide error",
        // xor ecx, ecx; div ecx
        code: &[0x31, 0xc9, 0xf7, 0xf1],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == 0),
        spins: false,
    },
    Trial {
        name: "single-stepping is the program's own affair",
        // pushf; or dword [rsp], 0x100; popf; nop; nop
        code: &[0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x90, 0x90],
        ends: |trap, _| matches!(trap, Trap::Fault(fault) if fault.vector == 1),
        spins: false,
    },
    Trial {
        name: "a system call while single-stepping arrives",
        // pushf; or dword [rsp], 0x100; popf; syscall
        code: &[0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x0f, 0x05],
        ends: |trap, _| {
            trap == Trap::Syscall || matches!(trap, Trap::Fault(fault) if fault.vector == 1)
        },
        spins: false,
    },
    Trial {
        name: "a wild stack pointer is the program's own affair",
        // mov rsp, -1 << 62; syscall
        code: &[0x48, 0xbc, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x0f, 0x05],
        ends: |trap, context| {
            trap == Trap::Syscall && context.registers.rsp == 0x4000_0000_0000_0000
        },
        spins: false,
    },
    Trial {
        name: "the direction flag and unmasked SSE exceptions stay with the program",
        // std; push 0; ldmxcsr [rsp]; syscall
        code: &[0xfd, 0x6a, 0, 0x0f, 0xae, 0x14, 0x24, 0x0f, 0x05],
        ends: |trap, context| trap == Trap::Syscall && context.registers.rflags & 0x400 != 0,
        spins: false,
    },
];

/// Runs what was asked for. Only the trials come back.
pub(crate) fn run(what: SelfTest, processor: &mut Processor, pool: &mut FramePool, clock: &Tsc) {
    match what {
        SelfTest::Trials => run_trials(processor, pool, clock),
        SelfTest::Panic | SelfTest::Late => panic!("the self-test asked for it"),
        SelfTest::Fault => last_words::fault(),
        SelfTest::Overflow => {
            let depth = descend(0);
            panic!("the stack took {depth} calls");
        }
    }
}

/// Calls itself with frames that are smaller than a guard page, far deeper than any stack of ours.
fn descend(depth: u64) -> u64 {
    const DEEP: u64 = 1 << 20;
    let frame = core::hint::black_box([depth; 64]);
    if depth == DEEP {
        return depth;
    }
    descend(depth + 1).max(core::hint::black_box(frame)[0])
}

/// Runs all trials, then measures what a system call costs.
fn run_trials(processor: &mut Processor, pool: &mut FramePool, clock: &Tsc) {
    let frames = pool.available();
    for trial in TRIALS {
        try_one(trial, processor, pool, clock);
    }
    keeps_vector_registers(processor, pool);
    refuses_a_wild_instruction_pointer(processor, pool);
    measure_calls(processor, pool, clock);
    halts_until_its_deadline(processor, clock);
    assert_eq!(pool.available(), frames, "a trial lost frames");
    log::info!("self-test passed");
}

fn try_one(trial: &Trial, processor: &mut Processor, pool: &mut FramePool, clock: &Tsc) {
    let (mut space, mut context) = program(trial.code, processor, pool);
    // Long enough for the slowest host, except where it is the deadline that is tried.
    let patience = if trial.spins { SHORT } else { LONG };
    let deadline = clock.now() + patience;
    let trap = processor.run(pool, &mut space, &mut context, deadline);
    assert!(
        (trial.ends)(trap, &context),
        "{}: {trap:?}, {:x?}",
        trial.name,
        context.registers
    );
    log::debug!("self-test: {}", trial.name);
    end(space, pool);
}

/// Two programs with different XMM registers take turns; each finds its own again.
fn keeps_vector_registers(processor: &mut Processor, pool: &mut FramePool) {
    // movq xmm7, rbx; syscall; movq rax, xmm7; syscall
    let code = &[
        0x66, 0x48, 0x0f, 0x6e, 0xfb, 0x0f, 0x05, 0x66, 0x48, 0x0f, 0x7e, 0xf8, 0x0f, 0x05,
    ];
    let (mut one_space, mut one) = program(code, processor, pool);
    let (mut two_space, mut two) = program(code, processor, pool);
    one.registers.rbx = 0x1111;
    two.registers.rbx = 0x2222;
    for _ in 0..2 {
        processor.run(pool, &mut one_space, &mut one, Instant::NEVER);
        one.extended.settle();
        processor.run(pool, &mut two_space, &mut two, Instant::NEVER);
        two.extended.settle();
    }
    assert_eq!(
        (one.registers.rax, two.registers.rax),
        (0x1111, 0x2222),
        "vector registers"
    );
    end(one_space, pool);
    end(two_space, pool);
}

fn refuses_a_wild_instruction_pointer(processor: &mut Processor, pool: &mut FramePool) {
    let (mut space, mut context) = program(&[0x90], processor, pool);
    for rip in [0x7fff_ffff_f000, 1 << 47, u64::MAX, 0xffff_ffff_8010_0000] {
        context.registers.rip = rip;
        // As after a system call, where the way out would be `sysret`.
        context.registers.rcx = rip;
        let trap = processor.run(pool, &mut space, &mut context, Instant::NEVER);
        assert!(
            matches!(trap, Trap::Fault(fault) if fault.vector == 13),
            "{rip:#x}: {trap:?}"
        );
    }
    end(space, pool);
}

fn measure_calls(processor: &mut Processor, pool: &mut FramePool, clock: &Tsc) {
    const CALLS: u128 = 2000;
    // syscall; jmp back
    let (mut space, mut context) = program(&[0x0f, 0x05, 0xeb, 0xfc], processor, pool);
    let start = clock.now();
    let deadline = start + Duration::from_secs(1);
    for _ in 0..CALLS {
        let trap = processor.run(pool, &mut space, &mut context, deadline);
        assert_eq!(trap, Trap::Syscall);
    }
    let span = clock.now().since(start);
    log::info!("a system call takes {} ns", span.as_nanos() / CALLS);
    end(space, pool);
}

fn halts_until_its_deadline(processor: &mut Processor, clock: &Tsc) {
    let start = clock.now();
    let until = start + Duration::from_millis(2);
    while clock.now() < until {
        processor.halt(clock.now(), until);
    }
    let span = clock.now().since(start);
    assert!(span.as_millis() < 1000, "a halt of 2 ms took {span:?}");
    log::info!("a halt of 2 ms took {} us", span.as_micros());
}

/// Makes a program of one page of code, one of data and one of stack.
fn program(code: &[u8], processor: &Processor, pool: &mut FramePool) -> (PageTable, Context) {
    let mut space = PageTable::new(pool, &processor.kernel_half()).expect("frames are left");
    let pages = [
        (CODE, Protection::READ | Protection::EXECUTE),
        (DATA, Protection::READ | Protection::WRITE),
    ];
    for (address, protection) in pages {
        let frame = pool.take_zeroed().expect("frames are left");
        if address == CODE {
            pool.bytes_mut(&frame)[..code.len()].copy_from_slice(code);
        }
        let page = Page::containing(address).expect("it is in the lower half");
        space
            .map(pool, page, frame, protection)
            .expect("frames are left");
    }
    let mut context = Context::default();
    context.registers.rip = CODE;
    context.registers.rsp = DATA + 0x1000;
    (space, context)
}

fn end(mut space: PageTable, pool: &mut FramePool) {
    for address in [CODE, DATA] {
        let page = Page::containing(address).expect("it is in the lower half");
        if let Some(frame) = space.unmap(pool, page) {
            pool.release(frame);
        }
    }
    space.release(pool);
}

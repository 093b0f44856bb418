//! A processor's user mode that plays programs written as lists of steps.
//!
//! A program is a list of [`Step`]s; its first step lies at the entry address the test chose, each further one two bytes
//! behind the one before (the length of a SYSCALL instruction, so that a call that is set back is made again). Memory
//! is reached through the page table with the rights it gives, so a missing page is a page fault and the step is played
//! again when the kernel has brought the page in.

use crate::clock::HandClock;
use core::time::Duration;
use hal::clock::{Clock, Instant};
use hal::frame::FramePool;
use hal::limits::PAGE_BYTES;
use hal::page_table::{KernelHalf, Page, PageTable, Protection};
use hal::user::{Context, Counts, Fault, Registers, Trap, User};
use std::collections::BTreeMap;

/// Bytes each step takes.
pub const STEP_BYTES: u64 = 2;

/// One thing a program does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Makes a system call.
    Call(u64, [u64; 6]),
    /// Fails the test unless the last call returned this.
    Expect(i64),
    /// Does something to the registers: computes, remembers, checks.
    Do(fn(&mut Registers)),
    /// Makes a system call with whatever is in the registers.
    CallRegisters,
    /// Stores bytes at an address.
    Store(u64, Vec<u8>),
    /// Fails the test unless these bytes are at an address.
    Load(u64, Vec<u8>),
    /// Fails the test unless these bytes are at the stack pointer plus an offset.
    LoadStack(u64, Vec<u8>),
    /// Fails the test unless these bytes are where the word at the stack pointer plus an offset points to.
    LoadStackPointer(u64, Vec<u8>),
    /// Executes an instruction at an address: only whether it may is tried.
    Fetch(u64),
    /// Causes an exception.
    Raise(Fault),
    /// Runs for this long.
    Spin(Duration),
    /// Goes on at step `n` for ever after.
    Jump(usize),
    /// Goes on at step `n` if the registers say so.
    Branch(fn(&Registers) -> bool, usize),
    /// Returns from a function: takes the return address from the stack.
    Return,
}

/// The fake processor.
#[derive(Debug)]
pub struct FakeUser {
    programs: BTreeMap<u64, Vec<Step>>,
    clock: HandClock,
    interrupt: bool,
    entries: u64,
    /// The machine answers some calls itself: behind which step, and with what. The kernel has to say the same.
    told: Option<(u64, u64)>,
}

impl FakeUser {
    /// Makes a processor that winds `clock` while programs run.
    #[must_use]
    pub fn new(clock: HandClock) -> Self {
        Self {
            programs: BTreeMap::new(),
            clock,
            interrupt: false,
            entries: 0,
            told: None,
        }
    }

    /// Lays a program's steps at an address.
    pub fn program(&mut self, entry: u64, steps: Vec<Step>) {
        self.programs.insert(entry, steps);
    }

    /// Lets a device want attention at the next entry.
    pub fn interrupt(&mut self) {
        self.interrupt = true;
    }

    /// Returns how often user mode was entered.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Returns where step `n` of the program at `rip` lies.
    fn place_of(&self, rip: u64, n: usize) -> u64 {
        let entry = self.programs.range(..=rip).next_back();
        entry.map_or(0, |(entry, _)| entry + n as u64 * STEP_BYTES)
    }

    fn step(&self, rip: u64) -> Option<Step> {
        let (entry, steps) = self.programs.range(..=rip).next_back()?;
        let nth = usize::try_from((rip - entry) / STEP_BYTES).ok()?;
        steps.get(nth).cloned()
    }
}

/// The error code of a page fault in user mode (Intel SDM vol. 3, 4.7).
fn page_fault(address: u64, present: bool, write: bool, fetch: bool) -> Trap {
    let code = 4 | u32::from(present) | u32::from(write) << 1 | u32::from(fetch) << 4;
    Trap::Fault(Fault {
        vector: Fault::PAGE,
        code,
        address,
    })
}

/// Returns the frame behind an address, or the fault.
fn translate(
    pool: &FramePool,
    space: &PageTable,
    address: u64,
    needs: Protection,
) -> Result<u64, Trap> {
    let (write, fetch) = (
        needs.contains(Protection::WRITE),
        needs.contains(Protection::EXECUTE),
    );
    let Some(page) = Page::containing(address) else {
        return Err(page_fault(address, false, write, fetch));
    };
    match space.lookup(pool, page) {
        None => Err(page_fault(address, false, write, fetch)),
        Some(mapping) if mapping.protection.contains(needs) => Ok(mapping.frame.physical()),
        Some(_) => Err(page_fault(address, true, write, fetch)),
    }
}

fn read(pool: &FramePool, space: &PageTable, address: u64, into: &mut [u8]) -> Result<(), Trap> {
    for (nth, byte) in into.iter_mut().enumerate() {
        let at = address + nth as u64;
        translate(pool, space, at, Protection::READ)?;
        let page = Page::containing(at).expect("it was translated");
        let mapping = space.lookup(pool, page).expect("it was translated");
        *byte = pool.bytes(mapping.frame)[at as usize % PAGE_BYTES];
    }
    Ok(())
}

fn write(pool: &mut FramePool, space: &PageTable, address: u64, from: &[u8]) -> Result<(), Trap> {
    for (nth, byte) in from.iter().enumerate() {
        let at = address + nth as u64;
        translate(pool, space, at, Protection::WRITE)?;
        let page = Page::containing(at).expect("it was translated");
        let mapping = space.lookup(pool, page).expect("it was translated");
        pool.bytes_mut(mapping.frame)[at as usize % PAGE_BYTES] = *byte;
    }
    Ok(())
}

impl User for FakeUser {
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
        self.entries += 1;
        loop {
            if core::mem::take(&mut self.interrupt) {
                return Trap::Interrupt;
            }
            if self.clock.now() >= deadline {
                return Trap::Deadline;
            }
            let rip = context.registers.rip;
            // The first bytes of the program come from its file, so that instructions are paged in too.
            if let Err(fault) = translate(pool, space, rip, Protection::EXECUTE) {
                return fault;
            }
            let step = crate::alloc::uncounted(|| self.step(rip))
                .unwrap_or_else(|| panic!("no step lies at {rip:#x}"));
            let registers = &mut context.registers;
            let mut next = rip + STEP_BYTES;
            let played = match step {
                Step::Call(number, [rdi, rsi, rdx, r10, r8, r9]) => {
                    registers.rax = number;
                    (registers.rdi, registers.rsi, registers.rdx) = (rdi, rsi, rdx);
                    (registers.r10, registers.r8, registers.r9) = (r10, r8, r9);
                    registers.rip = next;
                    self.told = context.identity.answer(number).map(|value| (next, value));
                    return Trap::Syscall;
                }
                Step::CallRegisters => {
                    registers.rip = next;
                    return Trap::Syscall;
                }
                Step::Expect(value) => {
                    assert_eq!(registers.rax as i64, value, "at {rip:#x}");
                    if let Some((at, told)) = self.told.take() {
                        assert!(at != rip || told == registers.rax, "{told} at {rip:#x}");
                    }
                    Ok(())
                }
                Step::Do(action) => {
                    action(registers);
                    Ok(())
                }
                Step::Store(address, bytes) => write(pool, space, address, &bytes),
                Step::Load(address, bytes) => check(pool, space, address, &bytes),
                Step::LoadStack(offset, bytes) => {
                    check(pool, space, registers.rsp + offset, &bytes)
                }
                Step::LoadStackPointer(offset, bytes) => {
                    let mut address = [0; 8];
                    read(pool, space, registers.rsp + offset, &mut address)
                        .and_then(|()| check(pool, space, u64::from_le_bytes(address), &bytes))
                }
                Step::Fetch(address) => {
                    translate(pool, space, address, Protection::EXECUTE).map(|_| ())
                }
                Step::Raise(fault) => return Trap::Fault(fault),
                Step::Spin(span) => {
                    self.clock.advance(span);
                    Ok(())
                }
                Step::Jump(to) => {
                    next = self.place_of(rip, to);
                    Ok(())
                }
                Step::Branch(goes, to) => {
                    if goes(registers) {
                        next = self.place_of(rip, to);
                    }
                    Ok(())
                }
                Step::Return => {
                    let mut address = [0; 8];
                    let taken = read(pool, space, registers.rsp, &mut address);
                    if taken.is_ok() {
                        next = u64::from_le_bytes(address);
                        registers.rsp += 8;
                    }
                    taken
                }
            };
            if let Err(fault) = played {
                return fault;
            }
            context.registers.rip = next;
        }
    }
}

fn check(pool: &FramePool, space: &PageTable, address: u64, expected: &[u8]) -> Result<(), Trap> {
    let mut found = vec![0; expected.len()];
    read(pool, space, address, &mut found)?;
    assert_eq!(found, expected, "at {address:#x}");
    Ok(())
}

//! The frame a handler runs on: what the program was doing, laid out as Linux does (arch/x86/include/asm/sigframe.h,
//! `struct rt_sigframe`), so that `rt_sigreturn` and unwinders find everything where they expect it.
//!
//! ```text
//! frame + 0    address of the restorer
//!       + 8    ucontext: flags, link, stack (24), mcontext (256), mask (8)
//!       + 312  siginfo (128)
//!  ...  above: extended state (832) and its end mark (4), at 64 bytes
//! ```

use super::info::MEANT_BYTES;
use super::{Action, ActionFlags, AlternateStack, SignalSet};
use crate::errno::Errno;
use hal::user::{Context, EXTENDED_STATE_BYTES, Fault, Registers};

/// Bytes of the frame without the extended state.
pub(super) const FRAME_BYTES: usize = 440;

/// Bytes of the extended state with its end mark.
pub(super) const STATE_BYTES: usize = EXTENDED_STATE_BYTES + 4;

/// Bytes a handler's stack needs: a frame, its alignment, and a little to run on (`MINSIGSTKSZ` of wider machines).
pub(crate) const MINIMUM_STACK_BYTES: u64 = 2048;

const _: () = assert!(MINIMUM_STACK_BYTES as usize > FRAME_BYTES + STATE_BYTES + 128);

/// Bytes below the stack pointer that belong to the interrupted function (System V ABI AMD64, 3.2.2).
const RED_ZONE_BYTES: u64 = 128;

const UCONTEXT: usize = 8;
const STACK: usize = UCONTEXT + 16;
const MCONTEXT: usize = UCONTEXT + 40;
const SEGMENTS: usize = MCONTEXT + 144;
const ERROR_CODE: usize = MCONTEXT + 152;
const VECTOR: usize = MCONTEXT + 160;
const FAULT_ADDRESS: usize = MCONTEXT + 176;
const STATE_POINTER: usize = MCONTEXT + 184;
const MASK: usize = UCONTEXT + 296;
const INFO: usize = UCONTEXT + 304;

/// `UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS` (asm/ucontext.h).
const UCONTEXT_FLAGS: u64 = 7;

/// Selectors of user code and data with their privilege level, as `platform` lays out the descriptor table for SYSRET.
const USER_CODE: u16 = 0x33;
const USER_DATA: u16 = 0x2b;

/// Place of `struct _fpx_sw_bytes` in the legacy area, and its marks (asm/sigcontext.h).
const SOFTWARE_BYTES: usize = 464;
const STATE_MAGIC: u32 = 0x4650_5853;
const STATE_END_MAGIC: u32 = 0x4650_5845;

/// x87, SSE and AVX (Intel SDM vol. 1, 13.1).
const STATE_FEATURES: u64 = 7;

/// Places inside the frame that the handler gets the addresses of.
pub(super) const UCONTEXT_OFFSET: u64 = UCONTEXT as u64;
pub(super) const INFO_OFFSET: u64 = INFO as u64;

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The frame; the handler's stack pointer.
    pub(super) frame: u64,
    /// The extended state.
    pub(super) state: u64,
}

impl Place {
    /// Chooses the place below the stack pointer, or at the top of the alternate stack if the action asks for it.
    pub(super) fn choose(
        registers: &Registers,
        action: &Action,
        alternate: &AlternateStack,
    ) -> Option<Self> {
        let wants_alternate = action.flags.contains(ActionFlags::ON_STACK)
            && alternate.bytes > 0
            && !alternate.is_used(registers.rsp);
        let top = if wants_alternate {
            alternate.base.checked_add(alternate.bytes)?
        } else {
            registers.rsp.checked_sub(RED_ZONE_BYTES)?
        };
        let state = top.checked_sub(STATE_BYTES as u64)? & !63;
        // At entry the stack pointer is 8 below a multiple of 16, as after a call.
        let frame = (state.checked_sub(FRAME_BYTES as u64)? & !15).checked_sub(8)?;
        // What lies below an alternate stack is not the handler's (Linux `get_sigframe`).
        let is_on = wants_alternate || alternate.is_used(registers.rsp);
        (!is_on || alternate.contains(frame)).then_some(Self { frame, state })
    }
}

/// Writes the frame without the extended state.
pub(super) fn encode(
    place: Place,
    context: &Context,
    action: &Action,
    mask: SignalSet,
    alternate: &AlternateStack,
) -> [u8; FRAME_BYTES] {
    let mut bytes = [0; FRAME_BYTES];
    let r = &context.registers;
    put(&mut bytes, 0, action.restorer);
    put(&mut bytes, UCONTEXT, UCONTEXT_FLAGS);
    put(&mut bytes, STACK, alternate.base);
    put(&mut bytes, STACK + 8, u64::from(alternate.flags()));
    put(&mut bytes, STACK + 16, alternate.bytes);
    let registers = [
        r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx, r.rdx,
        r.rax, r.rcx, r.rsp, r.rip, r.rflags,
    ];
    for (index, register) in registers.into_iter().enumerate() {
        put(&mut bytes, MCONTEXT + 8 * index, register);
    }
    bytes[SEGMENTS..SEGMENTS + 2].copy_from_slice(&USER_CODE.to_le_bytes());
    bytes[SEGMENTS + 6..SEGMENTS + 8].copy_from_slice(&USER_DATA.to_le_bytes());
    put(&mut bytes, STATE_POINTER, place.state);
    put(&mut bytes, MASK, mask.bits());
    bytes
}

/// Writes into a frame why its signal came, and the exception behind it.
pub(super) fn tell(bytes: &mut [u8; FRAME_BYTES], info: [u8; MEANT_BYTES], fault: Option<Fault>) {
    bytes[INFO..INFO + MEANT_BYTES].copy_from_slice(&info);
    if let Some(fault) = fault {
        put(bytes, ERROR_CODE, u64::from(fault.code));
        put(bytes, VECTOR, u64::from(fault.vector));
        put(bytes, FAULT_ADDRESS, fault.address);
    }
}

/// Writes the extended state with the marks that tell how much of it there is.
pub(super) fn encode_state(context: &mut Context) -> [u8; STATE_BYTES] {
    let mut bytes = [0; STATE_BYTES];
    bytes[..EXTENDED_STATE_BYTES].copy_from_slice(context.extended.as_bytes());
    let marks = &mut bytes[SOFTWARE_BYTES..SOFTWARE_BYTES + 20];
    marks[..4].copy_from_slice(&STATE_MAGIC.to_le_bytes());
    marks[4..8].copy_from_slice(&(STATE_BYTES as u32).to_le_bytes());
    marks[8..16].copy_from_slice(&STATE_FEATURES.to_le_bytes());
    marks[16..20].copy_from_slice(&(EXTENDED_STATE_BYTES as u32).to_le_bytes());
    bytes[EXTENDED_STATE_BYTES..].copy_from_slice(&STATE_END_MAGIC.to_le_bytes());
    bytes
}

/// Returns the extended state without its end mark.
pub(super) fn state_bytes(bytes: &[u8; STATE_BYTES]) -> &[u8; EXTENDED_STATE_BYTES] {
    bytes
        .first_chunk()
        .expect("the state is longer than itself without the mark")
}

/// What a frame says the program was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumption {
    /// The general registers; segment bases are as they were.
    pub(super) registers: Registers,
    /// The signals that are blocked again.
    pub(super) mask: SignalSet,
    /// The alternate stack; an error when there is nothing like it.
    pub(super) alternate: Result<AlternateStack, Errno>,
    /// Where the extended state lies; 0 when there is none.
    pub(super) state: u64,
}

/// Reads a frame back. Every value is the program's own business: it can only harm itself, because entering user mode
/// cleans flags and checks the instruction pointer (`hal::user::Context`).
pub(super) fn decode(bytes: &[u8; FRAME_BYTES], now: &Registers) -> Resumption {
    let at = |index: usize| get(bytes, MCONTEXT + 8 * index);
    let registers = Registers {
        r8: at(0),
        r9: at(1),
        r10: at(2),
        r11: at(3),
        r12: at(4),
        r13: at(5),
        r14: at(6),
        r15: at(7),
        rdi: at(8),
        rsi: at(9),
        rbp: at(10),
        rbx: at(11),
        rdx: at(12),
        rax: at(13),
        rcx: at(14),
        rsp: at(15),
        rip: at(16),
        rflags: at(17),
        ..*now
    };
    let flags = get(bytes, STACK + 8) as u32;
    let alternate = AlternateStack::new(get(bytes, STACK), flags, get(bytes, STACK + 16));
    Resumption {
        registers,
        mask: SignalSet::mask(get(bytes, MASK)),
        alternate,
        state: get(bytes, STATE_POINTER),
    }
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get(bytes: &[u8], at: usize) -> u64 {
    let mut value = [0; 8];
    value.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_reads_back_as_it_was_written() {
        let mut context = Context::default();
        context.registers.rip = 0x40_1000;
        context.registers.rsp = 0x7fff_0000_1000;
        context.registers.r15 = 15;
        context.registers.rflags = 0x246;
        context.registers.fs_base = 77;
        let action = Action::default();
        let alternate = AlternateStack {
            base: 0x1000,
            bytes: 0x2000,
            disarms: false,
        };
        let place = Place::choose(&context.registers, &action, &alternate).expect("it fits");
        let mask = SignalSet::mask(0b1010);
        let bytes = encode(place, &context, &action, mask, &alternate);
        let back = decode(&bytes, &context.registers);
        assert_eq!(back.registers, context.registers);
        assert_eq!((back.mask, back.alternate), (mask, Ok(alternate)));
        assert_eq!(back.state, place.state);
    }

    #[test]
    fn the_frame_keeps_the_red_zone_and_the_abi_s_alignment() {
        for low in 0..64 {
            let registers = Registers {
                rsp: 0x10_0000 + low,
                ..Registers::default()
            };
            let place = Place::choose(&registers, &Action::default(), &AlternateStack::default())
                .expect("it fits");
            assert_eq!(place.frame % 16, 8);
            assert_eq!(place.state % 64, 0);
            assert!(place.frame + FRAME_BYTES as u64 <= place.state);
            assert!(place.state + STATE_BYTES as u64 <= registers.rsp - RED_ZONE_BYTES);
        }
    }

    #[test]
    fn a_stack_pointer_near_zero_has_no_room() {
        let registers = Registers {
            rsp: 1000,
            ..Registers::default()
        };
        let place = Place::choose(&registers, &Action::default(), &AlternateStack::default());
        assert_eq!(place, None);
    }

    #[test]
    fn the_alternate_stack_is_used_once_and_not_from_itself() {
        let action = Action {
            flags: ActionFlags::ON_STACK,
            ..Action::default()
        };
        let alternate = AlternateStack {
            base: 0x1_0000,
            bytes: 0x4000,
            disarms: false,
        };
        let outside = Registers {
            rsp: 0x9_0000,
            ..Registers::default()
        };
        let place = Place::choose(&outside, &action, &alternate).expect("it fits");
        assert!(alternate.contains(place.frame));
        let inside = Registers {
            rsp: place.frame,
            ..Registers::default()
        };
        let nested = Place::choose(&inside, &action, &alternate).expect("it fits");
        assert!(nested.frame < place.frame);
    }

    #[test]
    fn a_frame_that_would_leave_the_alternate_stack_has_no_place() {
        let action = Action {
            flags: ActionFlags::ON_STACK,
            ..Action::default()
        };
        let alternate = AlternateStack {
            base: 0x1_0000,
            bytes: MINIMUM_STACK_BYTES,
            disarms: false,
        };
        let inside = Registers {
            rsp: 0x1_0000 + MINIMUM_STACK_BYTES / 2,
            ..Registers::default()
        };
        assert_eq!(Place::choose(&inside, &action, &alternate), None);
        // One that disarms itself is not in use then: its top is the place again.
        let disarms = AlternateStack {
            disarms: true,
            ..alternate
        };
        assert!(Place::choose(&inside, &action, &disarms).is_some());
    }
}

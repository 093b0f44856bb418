//! Code with which programs tell the time by themselves, without a system call: the vDSO (vdso(7)).
//!
//! It is one page, the same for every program, mapped readable and executable: a shared object as small as glibc, musl and
//! Go accept, its functions, and behind them how the time stamp counter becomes time. The kernel copies it once, when it
//! knows the wall time, and tells programs where it lies by `AT_SYSINFO_EHDR`.
//!
//! The functions do what the calls of the same name do, with the same arithmetic as [`super::tsc`], so that a program that
//! mixes both never sees time go back. Clocks that are not the counter's, of processes and threads, go to the call. None
//! of the numbers changes while the machine runs: nobody but the host sets the clock, before the first program.

use core::arch::global_asm;
use core::time::Duration;

global_asm!(
    r#"
.pushsection .rodata.vdso, "a"
.balign 16
mote_vdso:
    // The ELF header (System V ABI, 4.1): 64 bits, little-endian, a shared object for x86-64, two program headers.
    .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
    .short 3, 62
    .long 1
    .quad 0, mote_vdso_headers - mote_vdso, 0
    .long 0
    .short 64, 56, 2, 64, 0, 0
mote_vdso_headers:
    // PT_LOAD, readable and executable; PT_DYNAMIC, readable.
    .long 1, 5
    .quad 0, 0, 0, mote_vdso_end - mote_vdso, mote_vdso_end - mote_vdso, 0x1000
    .long 2, 4
    .quad mote_vdso_dynamic - mote_vdso, mote_vdso_dynamic - mote_vdso, 0
    .quad mote_vdso_symbols - mote_vdso_dynamic, mote_vdso_symbols - mote_vdso_dynamic, 8
mote_vdso_dynamic:
    .quad 14, mote_vdso_soname - mote_vdso_strings
    .quad 4, mote_vdso_hash - mote_vdso
    .quad 5, mote_vdso_strings - mote_vdso
    .quad 6, mote_vdso_symbols - mote_vdso
    .quad 10, mote_vdso_strings_end - mote_vdso_strings
    .quad 11, 24
    .quad 0x6ffffff0, mote_vdso_versions - mote_vdso
    .quad 0x6ffffffc, mote_vdso_definitions - mote_vdso
    .quad 0x6ffffffd, 2
    .quad 0, 0
mote_vdso_symbols:
.macro mote_vdso_symbol name, function, end
    .long \name - mote_vdso_strings
    .byte 0x12, 0                       // a global function, visible
    .short 1
    .quad \function - mote_vdso, \end - \function
.endm
    .quad 0, 0, 0
    mote_vdso_symbol mote_vdso_name1, mote_vdso_gettime, mote_vdso_getres
    mote_vdso_symbol mote_vdso_name2, mote_vdso_getres, mote_vdso_timeofday
    mote_vdso_symbol mote_vdso_name3, mote_vdso_timeofday, mote_vdso_time
    mote_vdso_symbol mote_vdso_name4, mote_vdso_time, mote_vdso_getcpu
    mote_vdso_symbol mote_vdso_name5, mote_vdso_getcpu, mote_vdso_read
mote_vdso_hash:
    .long 1, 6, 1                       // one bucket, which begins with symbol 1
    .long 0, 2, 3, 4, 5, 0              // each symbol's next
mote_vdso_definitions:
    // Version 1 is the object itself, 2 what its functions belong to. The hash is that of the name.
    .short 1, 1, 1, 1
    .long 0x0deebfa1, 20, 28
    .long mote_vdso_soname - mote_vdso_strings, 0
    .short 1, 0, 2, 1
    .long 0x03ae75f6, 20, 0
    .long mote_vdso_version - mote_vdso_strings, 0
mote_vdso_versions:
    .short 0, 2, 2, 2, 2, 2
mote_vdso_strings:
    .byte 0
mote_vdso_soname:
    .asciz "linux-vdso.so.1"
mote_vdso_version:
    .asciz "LINUX_2.6"
mote_vdso_name1:
    .asciz "__vdso_clock_gettime"
mote_vdso_name2:
    .asciz "__vdso_clock_getres"
mote_vdso_name3:
    .asciz "__vdso_gettimeofday"
mote_vdso_name4:
    .asciz "__vdso_time"
mote_vdso_name5:
    .asciz "__vdso_getcpu"
mote_vdso_strings_end:

.balign 8
mote_vdso_gettime:                      // edi = clock, rsi = struct timespec
    cmp edi, 11
    ja 3f
    mov eax, {wall}
    bt eax, edi
    jc 2f
    mov eax, {monotonic}
    bt eax, edi
    jnc 3f
    xor r8d, r8d
    jmp 4f
2:  mov r8, [rip + mote_vdso_epoch]
4:  call mote_vdso_read
    mov [rsi], rax
    mov [rsi + 8], rcx
    xor eax, eax
    ret
3:  mov eax, 228
    syscall
    ret

mote_vdso_getres:                       // edi = clock, rsi = struct timespec or null
    cmp edi, 11
    ja 3f
    mov eax, {known}
    bt eax, edi
    jnc 3f
    xor eax, eax
    test rsi, rsi
    jz 2f
    mov [rsi], rax
    mov qword ptr [rsi + 8], 1
2:  ret
3:  mov eax, 229
    syscall
    ret

mote_vdso_timeofday:                    // rdi = struct timeval or null, rsi = struct timezone or null
    test rsi, rsi
    jz 2f
    mov qword ptr [rsi], 0
2:  test rdi, rdi
    jz 3f
    mov r8, [rip + mote_vdso_epoch]
    call mote_vdso_read
    mov [rdi], rax
    mov eax, ecx
    xor edx, edx
    mov ecx, 1000
    div ecx
    mov [rdi + 8], rax
3:  xor eax, eax
    ret

mote_vdso_time:                         // rdi = time_t or null
    mov r8, [rip + mote_vdso_epoch]
    call mote_vdso_read
    test rdi, rdi
    jz 2f
    mov [rdi], rax
2:  ret

mote_vdso_getcpu:                       // rdi, rsi = unsigned or null: the only processor of the only node
    xor eax, eax
    test rdi, rdi
    jz 2f
    mov [rdi], eax
2:  test rsi, rsi
    jz 3f
    mov [rsi], eax
3:  ret

// rax = seconds, rcx = nanoseconds since r8 nanoseconds before the counter's start; changes rdx too.
mote_vdso_read:
    lfence                              // not before what comes before it in the program
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, [rip + mote_vdso_start]
    jae 2f
    xor eax, eax
2:  mul qword ptr [rip + mote_vdso_rate]
    shrd rax, rdx, 32
    add rax, r8
    mov rcx, rax
    shr rax, 9                          // 10^9 = 2^9 * 1953125, and 2^75 / 1953125 is this, rounded up
    movabs rdx, 0x44b82fa09b5a53
    mul rdx
    shr rdx, 11
    mov rax, rdx
    imul rdx, rdx, 1000000000
    sub rcx, rdx
    ret

.balign 8
mote_vdso_start:
    .quad 0
mote_vdso_rate:
    .quad 0
mote_vdso_epoch:
    .quad 0
mote_vdso_end:
.popsection
"#,
    wall = const WALL,
    monotonic = const MONOTONIC,
    known = const WALL | MONOTONIC | PROCESSOR,
);

/// Clocks that tell the time since 1970, a bit each: REALTIME, REALTIME_COARSE, REALTIME_ALARM, TAI (uapi/linux/time.h).
const WALL: u32 = 1 | 1 << 5 | 1 << 8 | 1 << 11;
/// Clocks that tell the time since the start: MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE, BOOTTIME, BOOTTIME_ALARM.
const MONOTONIC: u32 = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 9;
/// Clocks that only the kernel can read: PROCESS_CPUTIME_ID, THREAD_CPUTIME_ID.
const PROCESSOR: u32 = 1 << 2 | 1 << 3;

/// Bytes of the numbers at the end of the code: the counter's start and rate, and the wall time at the start.
const NUMBERS_BYTES: usize = 24;

unsafe extern "C" {
    static mote_vdso: u8;
    static mote_vdso_end: u8;
}

/// The code and the numbers it needs.
#[derive(Clone, Copy, Debug)]
pub struct UserClock {
    code: &'static [u8],
    start: u64,
    rate: u64,
}

impl UserClock {
    /// Code that takes the time stamp counter for time: `start` is its value at the clock's zero, `rate` the nanoseconds for
    /// each count as a fraction over 2^32.
    #[must_use]
    pub fn new(start: u64, rate: u64) -> Self {
        let (first, end) = (&raw const mote_vdso, &raw const mote_vdso_end);
        // SAFETY: both symbols stand in one read-only section, the end behind the beginning, and all between is bytes.
        let code = unsafe { core::slice::from_raw_parts(first, end.addr() - first.addr()) };
        Self { code, start, rate }
    }

    /// Writes code and numbers to the beginning of a page. `epoch` is the wall time at the clock's zero.
    pub fn write(&self, epoch: Duration, page: &mut [u8]) {
        let epoch = u64::try_from(epoch.as_nanos()).unwrap_or_default();
        let code = self.code.len() - NUMBERS_BYTES;
        page[..code].copy_from_slice(&self.code[..code]);
        for (nth, number) in [self.start, self.rate, epoch].into_iter().enumerate() {
            let at = code + 8 * nth;
            page[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
    }
}

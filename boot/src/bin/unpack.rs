//! What a packed image begins with: unpacks the kernel to where it is linked, and goes on at its entry as if the VMM had
//! loaded it there itself.
//!
//! `tests/pack` takes the code of this binary, from `mote_start` to its end, puts it behind a block in LZ4's block format
//! (lz4 `doc/lz4_Block_format.md`) and fills in the table below. The code runs wherever it is put: jumps are relative, and
//! everything else is found through `ebp`, which the first instruction loads with the code's own address.
//!
//! State at entry and at the jump to the kernel: 32-bit protected mode, paging off, flat segments, `ebx` holds the physical
//! address of `hvm_start_info`. Nothing else is written than the room of the unpacked bytes and at most 16 bytes behind it,
//! which the kernel clears, so there is no stack either: `esp` is where the start info's address waits, as no interrupt can
//! come.
//!
//! The block is a file's content and may be damaged. So the sum over it is made first, and nothing is unpacked that is not
//! what was packed: that block was walked through when it was. Otherwise the machine ends with words on the serial port and a
//! status of its own.
//!
//! A translator like QEMU's takes its time for every instruction and more for every jump. Most sequences have few literals
//! and a short match; they take a way without loops that copies eight bytes where fewer are meant. No sequence is asked
//! whether it is the last: behind that stands the offset of a match, as behind any other, but it is zero.
#![no_std]
#![no_main]

use core::arch::global_asm;

/// What `isa-debug-exit` is told when the kernel cannot be unpacked: QEMU ends with status 55 (0x1b << 1 | 1).
const DAMAGED: u8 = 0x1b;

global_asm!(
    r#"
.section .text.entry, "ax"
.code32
.global mote_start
mote_start:
    mov ebp, 0                          // the packer writes the physical address of mote_start into these four bytes
    jmp unpack_start

// The packer fills this in, 16 bytes behind mote_start: physical addresses, then the sum over what is read.
.balign 16
unpack_table:
    .skip 20
.set IN_START, unpack_table - mote_start
.set IN_END, IN_START + 4
.set OUT_START, IN_START + 8
.set ENTRY, IN_START + 12
.set SUM, IN_START + 16

unpack_words: .asciz "mote: the image is damaged: the packed kernel has another sum\r\n"
.set UNPACK_WORDS, unpack_words - mote_start

// The sum, as `tests/pack` has it, over words of four bytes. The block is a multiple of 16 bytes, zeros at its end.
.macro unpack_add at
    add eax, [esi + \at]
    imul eax, eax, {multiplier}
    bswap eax
.endm

unpack_start:
    cli
    cld
    mov esp, ebx                        // start info
    mov eax, cr0
    and eax, 0xfffffff3                 // not EM, TS
    mov cr0, eax
    mov eax, cr4
    or eax, 0x200                       // OSFXSR: copies use an SSE register
    mov cr4, eax

    mov esi, [ebp + IN_START]
    mov ecx, [ebp + IN_END]
    xor eax, eax
2:  unpack_add 0
    unpack_add 4
    unpack_add 8
    unpack_add 12
    add esi, 16
    cmp esi, ecx
    jb 2b
    cmp eax, [ebp + SUM]
    jne unpack_damaged
    mov esi, [ebp + IN_START]
    mov edi, [ebp + OUT_START]

// The next sequence: a token, literals, and a match, which is an offset back from where we write and a length.
// esi reads, edi writes; eax is the token's length of the match, 4 less than it is; ecx the literals' length.
unpack_sequence:
    movzx eax, byte ptr [esi]
    mov ecx, eax
    shr ecx, 4
    and eax, 15
    cmp ecx, 8
    ja unpack_literals
    movq xmm0, qword ptr [esi + 1]
    movq qword ptr [edi], xmm0
    lea esi, [esi + ecx + 3]            // behind the offset
    add edi, ecx

// A match after its literals: edx becomes the offset, ecx where it reads.
unpack_match:
    movzx edx, word ptr [esi - 2]
    mov ecx, edi
    sub ecx, edx
    cmp edx, 8                          // what is read is written before, eight bytes at a time
    jb unpack_any_match
    cmp eax, 4
    ja unpack_any_match
    movq xmm0, qword ptr [ecx]
    movq qword ptr [edi], xmm0
    lea edi, [edi + eax + 4]
    jmp unpack_sequence

// More than eight literals.
unpack_literals:
    inc esi
    cmp ecx, 15
    jne 3f
2:  movzx edx, byte ptr [esi]
    inc esi
    add ecx, edx
    cmp edx, 255
    je 2b
3:  lea ebx, [edi + ecx]
    lea edx, [esi + ecx + 2]
2:  movups xmm0, [esi]
    movups [edi], xmm0
    add esi, 16
    add edi, 16
    cmp edi, ebx
    jb 2b
    mov edi, ebx
    mov esi, edx
    jmp unpack_match

// A match of any length, at any offset, or none, which is the end.
unpack_any_match:
    test edx, edx
    jz unpack_done
    cmp eax, 15
    jne 3f
2:  movzx ebx, byte ptr [esi]
    inc esi
    add eax, ebx
    cmp ebx, 255
    je 2b
3:  lea ebx, [edi + eax + 4]
    cmp edx, 8
    jb 3f
2:  movq xmm0, qword ptr [ecx]
    movq qword ptr [edi], xmm0
    add ecx, 8
    add edi, 8
    cmp edi, ebx
    jb 2b
    mov edi, ebx
    jmp unpack_sequence
// It begins so few bytes back that it is read while it is written.
3:  mov dl, [ecx]
    mov [edi], dl
    inc ecx
    inc edi
    cmp edi, ebx
    jb 3b
    jmp unpack_sequence

unpack_done:
    mov ebx, esp
    jmp dword ptr [ebp + ENTRY]

// Last words.
unpack_damaged:
    lea esi, [ebp + UNPACK_WORDS]
2:  lodsb
    test al, al
    jz 4f
    mov ah, al
    mov ecx, 0x10000                    // a port that is not there may never be ready
    mov edx, 0x3fd                      // COM1's line status
3:  in al, dx
    test al, 0x20                       // room for a byte
    loopz 3b
    mov edx, 0x3f8
    mov al, ah
    out dx, al
    jmp 2b
4:  mov eax, {damaged}
    out 0xf4, eax                       // isa-debug-exit, where there is one
5:  hlt
    jmp 5b
"#,
    multiplier = const 0x9e37_79b1_u32,
    damaged = const DAMAGED,
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Named by the precompiled `core`, which was built for unwinding; never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

//! What a packed image begins with: unpacks the kernel to where it is linked, and goes on at its entry as if the VMM had
//! loaded it there itself.
//!
//! `tests/pack` takes the code of this binary, from `mote_start` to its end, puts it behind a block in LZ4's block format
//! (lz4 `doc/lz4_Block_format.md`) and fills in the table below. The code runs wherever it is put: jumps are relative, and
//! everything else is found through `ebp`, which the first instruction loads with the code's own address.
//!
//! State at entry and at the jump to the kernel: 32-bit protected mode, paging off, flat segments, `ebx` holds the physical
//! address of `hvm_start_info`. Nothing is written but the room of the unpacked bytes, so there is no stack either: `esp` is
//! where the start info's address waits, as no interrupt can come.
//!
//! The block is a file's content and may be damaged. Each read is compared with the block's end, each write with the end of
//! the room, each offset with its start, and the kernel is entered only when the sum over all that was unpacked is right.
//! Otherwise the machine ends with words on the serial port and a status of its own.
//!
//! A translator like QEMU's takes its time for every instruction, so most sequences, those with short lengths and with
//! room to spare at both ends, take a way without loops that copies eight bytes where fewer are meant.
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

// The packer fills this in, 16 bytes behind mote_start: physical addresses, then the sum.
.balign 16
unpack_table:
    .skip 24
.set IN_START, unpack_table - mote_start
.set IN_END, IN_START + 4
.set OUT_START, IN_START + 8
.set OUT_END, IN_START + 12
.set ENTRY, IN_START + 16
.set SUM, IN_START + 20

unpack_words:               .asciz "mote: the image is damaged: "
unpack_words_ends_early:    .asciz "the packed kernel ends early\r\n"
unpack_words_no_room:       .asciz "the packed kernel has too much in it\r\n"
unpack_words_bad_offset:    .asciz "the packed kernel points before its start\r\n"
unpack_words_wrong_sum:     .asciz "the unpacked kernel has another sum\r\n"
.set UNPACK_WORDS, unpack_words - mote_start
.set UNPACK_WORDS_ENDS_EARLY, unpack_words_ends_early - mote_start
.set UNPACK_WORDS_NO_ROOM, unpack_words_no_room - mote_start
.set UNPACK_WORDS_BAD_OFFSET, unpack_words_bad_offset - mote_start
.set UNPACK_WORDS_WRONG_SUM, unpack_words_wrong_sum - mote_start

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
    mov edi, [ebp + OUT_START]

// The next sequence: a token, literals, and a match, which is an offset back from where we write and a length.
// esi reads, edi writes; eax is the token, then the match's length, ecx the literals' length, then the match, edx the offset.
unpack_sequence:
    lea eax, [esi + 20]                 // token, 16 bytes for at most 14 literals, offset
    cmp eax, [ebp + IN_END]
    ja unpack_careful
    lea eax, [edi + 32]                 // at most 14 literals and 18 bytes of a match
    cmp eax, [ebp + OUT_END]
    ja unpack_careful
    movzx eax, byte ptr [esi]
    mov ecx, eax
    shr ecx, 4
    and eax, 15
    cmp ecx, 15
    je unpack_careful
    movq xmm0, qword ptr [esi + 1]
    movq qword ptr [edi], xmm0
    cmp ecx, 8
    ja unpack_more_literals
unpack_literals_end:
    lea esi, [esi + ecx + 1]
    add edi, ecx
    cmp eax, 15
    je unpack_match
    movzx edx, word ptr [esi]
    add esi, 2
    mov ecx, edi
    sub ecx, edx
    cmp ecx, [ebp + OUT_START]
    jb unpack_bad_offset
    add eax, 4
    cmp edx, 8                          // what is read is written before, eight bytes at a time
    jb unpack_near
    movq xmm0, qword ptr [ecx]
    movq qword ptr [edi], xmm0
    cmp eax, 8
    ja 2f
    add edi, eax
    jmp unpack_sequence
2:  movq xmm0, qword ptr [ecx + 8]
    movq qword ptr [edi + 8], xmm0
    movzx edx, word ptr [ecx + 16]
    mov [edi + 16], dx
    add edi, eax
    jmp unpack_sequence
unpack_more_literals:
    movq xmm0, qword ptr [esi + 9]
    movq qword ptr [edi + 8], xmm0
    jmp unpack_literals_end

// The same with any length and at either end.
unpack_careful:
    cmp esi, [ebp + IN_END]
    jae unpack_ends_early
    movzx eax, byte ptr [esi]
    inc esi
    mov ecx, eax
    shr ecx, 4
    and eax, 15
    cmp ecx, 15
    jne 3f
2:  cmp esi, [ebp + IN_END]
    jae unpack_ends_early
    movzx edx, byte ptr [esi]
    inc esi
    add ecx, edx
    cmp edx, 255
    je 2b
3:  mov edx, [ebp + IN_END]
    sub edx, esi
    cmp ecx, edx
    ja unpack_ends_early
    mov edx, [ebp + OUT_END]
    sub edx, edi
    cmp ecx, edx
    ja unpack_no_room
    jmp 3f
2:  movups xmm0, [esi]
    movups [edi], xmm0
    add esi, 16
    add edi, 16
    sub ecx, 16
3:  cmp ecx, 16
    jae 2b
    jmp 3f
2:  mov dl, [esi]
    mov [edi], dl
    inc esi
    inc edi
    dec ecx
3:  test ecx, ecx
    jnz 2b
    cmp esi, [ebp + IN_END]             // the last sequence has no match
    je unpack_done

// A match after its literals, with the token's four bits in eax.
unpack_match:
    lea ecx, [esi + 2]
    cmp ecx, [ebp + IN_END]
    ja unpack_ends_early
    movzx edx, word ptr [esi]
    mov esi, ecx
    mov ecx, edi
    sub ecx, edx
    cmp ecx, [ebp + OUT_START]
    jb unpack_bad_offset
    cmp eax, 15
    jne 3f
2:  cmp esi, [ebp + IN_END]
    jae unpack_ends_early
    movzx ebx, byte ptr [esi]
    inc esi
    add eax, ebx
    cmp ebx, 255
    je 2b
3:  add eax, 4
    mov ebx, [ebp + OUT_END]
    sub ebx, edi
    cmp eax, ebx
    ja unpack_no_room
    cmp edx, 16
    jae 3f

// A match that begins few bytes back is read while it is written: one byte at a time.
unpack_near:
    test edx, edx
    jz unpack_bad_offset
    jmp 4f

2:  movups xmm0, [ecx]
    movups [edi], xmm0
    add ecx, 16
    add edi, 16
    sub eax, 16
3:  cmp eax, 16
    jae 2b
    jmp 5f
4:  mov dl, [ecx]
    mov [edi], dl
    inc ecx
    inc edi
    dec eax
5:  test eax, eax
    jnz 4b
    jmp unpack_sequence

unpack_done:
    mov ecx, [ebp + OUT_END]
    cmp edi, ecx
    jne unpack_ends_early

// The sum, as `tests/pack` has it: of each four bytes, with a multiplication and a shift between them.
    mov edi, [ebp + OUT_START]
    xor eax, eax
2:  add eax, [edi]
    imul eax, eax, {multiplier}
    mov edx, eax
    shr edx, 15
    xor eax, edx
    add edi, 4
    cmp edi, ecx
    jb 2b
    cmp eax, [ebp + SUM]
    jne unpack_wrong_sum
    mov ebx, esp
    jmp dword ptr [ebp + ENTRY]

unpack_ends_early:
    lea ebx, [ebp + UNPACK_WORDS_ENDS_EARLY]
    jmp unpack_end
unpack_no_room:
    lea ebx, [ebp + UNPACK_WORDS_NO_ROOM]
    jmp unpack_end
unpack_bad_offset:
    lea ebx, [ebp + UNPACK_WORDS_BAD_OFFSET]
    jmp unpack_end
unpack_wrong_sum:
    lea ebx, [ebp + UNPACK_WORDS_WRONG_SUM]

// Last words: what all have in common, then those at ebx.
unpack_end:
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
4:  mov esi, ebx
    xor ebx, ebx
    test esi, esi
    jnz 2b
    mov eax, {damaged}
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

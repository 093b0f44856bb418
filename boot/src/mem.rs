//! The memory functions the compiler calls. The precompiled `compiler_builtins` of a Linux triple does not export them,
//! and a Rust body would be compiled back into a call of itself.
//!
//! `rep movsq` with a `rep movsb` tail: the fastest choice under TCG (3.5 GB/s, where `movsb` alone gives an eighth and
//! an unrolled SSE loop half) and a good one on hardware. The direction flag is clear in the kernel, always.

use core::arch::global_asm;

global_asm!(
    r#"
.section .text.memory, "ax"
.code64

.global memcpy
.balign 16
memcpy:                                 // rdi to, rsi from, rdx count -> rax to
    mov rax, rdi
    mov rcx, rdx
    shr rcx, 3
    rep movsq
    mov ecx, edx
    and ecx, 7
    rep movsb
    ret

.global memmove
.balign 16
memmove:                                // as memcpy; the ranges may overlap
    mov rax, rdi
    sub rax, rsi
    cmp rax, rdx                        // to - from < count, unsigned: a forward copy would overwrite its source
    jae memcpy
    mov rax, rdi
2:  cmp rdx, 8
    jb 4f
    sub rdx, 8
    mov rcx, [rsi + rdx]
    mov [rdi + rdx], rcx
    jmp 2b
3:  sub rdx, 1
    mov cl, [rsi + rdx]
    mov [rdi + rdx], cl
4:  test rdx, rdx
    jnz 3b
    ret

.global memset
.balign 16
memset:                                 // rdi to, esi byte, rdx count -> rax to
    mov r8, rdi
    movzx eax, sil
    movabs rcx, 0x0101010101010101
    imul rax, rcx
    mov rcx, rdx
    shr rcx, 3
    rep stosq
    mov ecx, edx
    and ecx, 7
    rep stosb
    mov rax, r8
    ret

.global memcmp
.global bcmp
.balign 16
memcmp:                                 // rdi, rsi, rdx count -> eax <0, 0, >0
bcmp:
    xor ecx, ecx
2:  lea rax, [rcx + 8]
    cmp rax, rdx
    ja 3f
    mov rax, [rdi + rcx]
    cmp rax, [rsi + rcx]
    jne 3f
    add rcx, 8
    jmp 2b
3:  cmp rcx, rdx
    jae 4f
    movzx eax, byte ptr [rdi + rcx]
    movzx r8d, byte ptr [rsi + rcx]
    add rcx, 1
    sub eax, r8d
    jz 3b
    ret
4:  xor eax, eax
    ret

.global strlen
.balign 16
strlen:                                 // rdi -> rax
    xor eax, eax
2:  cmp byte ptr [rdi + rax], 0
    je 3f
    add rax, 1
    jmp 2b
3:  ret
"#
);

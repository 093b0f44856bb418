//! The first instructions: from the VMM's PVH entry to `main` in the upper half.
//!
//! State at entry (xen.git `docs/misc/pvh.pandoc`): 32-bit protected mode, paging off, flat segments, `ebx` holds the
//! physical address of `hvm_start_info`. Nothing else may be relied on; `esp` is 0 on some VMMs.
//!
//! Until `main` builds the final page tables, one directory of 2 MiB pages is seen three times: at 0 (this code runs
//! there), at the direct map (so that Rust reads boot structures at their final addresses), and at -2 GiB (where the
//! image is linked). It covers the first GiB, which holds everything a VMM places for us.

use core::arch::global_asm;
use hal::x86::{descriptor, layout};

/// Bytes of the stack that `main` and everything below it runs on.
const STACK_BYTES: usize = 64 * 1024;

global_asm!(
    r#"
.section .stacks, "aw", @nobits
.balign 4096
.global mote_stack_guard
mote_stack_guard:
    .skip 4096
    .skip {stack}
mote_stack_top:

.section .bss.entry, "aw", @nobits
.balign 4096
mote_entry_root:        .skip 4096
mote_entry_pointers:    .skip 4096
mote_entry_directory:   .skip 4096

.section .rodata.entry, "a"
.balign 8
mote_entry_gdt:
    .quad 0
    .quad 0x00af9b000000ffff            // 0x08: 64-bit code
    .quad 0x00cf93000000ffff            // 0x10: data
mote_entry_gdt_end:
mote_entry_gdt_pointer:
    .word mote_entry_gdt_end - mote_entry_gdt - 1
    .long mote_entry_gdt + {physical}

.section .text.entry, "ax"
.code32
.global mote_start
mote_start:
    cli
    cld
    mov ebp, ebx                        // start info, kept until the call of main

    // The VMM may have entered us before (reset in place, snapshot): clear what the file leaves out.
    // By hand: a translator like QEMU's takes several times as long for each round of `rep stosd`.
    xor eax, eax
    mov edi, offset mote_bss_start + {physical}
2:  mov [edi], eax
    mov [edi + 4], eax
    mov [edi + 8], eax
    mov [edi + 12], eax
    mov [edi + 16], eax
    mov [edi + 20], eax
    mov [edi + 24], eax
    mov [edi + 28], eax
    add edi, 32
    cmp edi, offset mote_bss_end + {physical}
    jb 2b
    mov esp, offset mote_stack_top + {physical}

    // 512 entries: present, writable, 2 MiB.
    mov edi, offset mote_entry_directory + {physical}
    mov eax, 0x83
    mov ecx, 512
2:  mov [edi], eax
    add edi, 8
    add eax, 0x200000
    loop 2b
    mov eax, offset mote_entry_directory + {physical} + 3
    mov dword ptr [mote_entry_pointers + {physical}], eax
    mov dword ptr [mote_entry_pointers + {physical} + 8 * 510], eax
    mov eax, offset mote_entry_pointers + {physical} + 3
    mov dword ptr [mote_entry_root + {physical}], eax
    mov dword ptr [mote_entry_root + {physical} + 8 * {direct}], eax
    mov dword ptr [mote_entry_root + {physical} + 8 * 511], eax
    mov eax, offset mote_entry_root + {physical}
    mov cr3, eax

    mov eax, cr4
    or eax, 0x6a0                       // PAE, PGE, OSFXSR, OSXMMEXCPT: Rust uses SSE from its first instruction
    mov cr4, eax
    mov ecx, 0xc0000080                 // EFER
    rdmsr
    or eax, 0x901                       // SCE, LME, NXE
    wrmsr
    mov eax, cr0
    and eax, 0x9ffffff3                 // not CD, NW, TS, EM
    or eax, 0x80050022                  // PG, AM, WP, NE, MP
    mov cr0, eax

    lgdt [mote_entry_gdt_pointer + {physical}]
    push 0x08
    mov eax, offset mote_entry_long + {physical}
    push eax
    retf

.code64
mote_entry_long:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    movabs rax, offset mote_entry_upper
    jmp rax
mote_entry_upper:
    movabs rsp, offset mote_stack_top
    mov edi, ebp                        // also clears the upper half
    xor ebp, ebp                        // the end of the chain of frames
    call {main}
    ud2
"#,
    physical = const layout::KERNEL_BASE.wrapping_neg(), // added to an address of the image, gives the physical one
    direct = const layout::DIRECT_MAP_SLOT,
    stack = const STACK_BYTES,
    main = sym crate::main_in_upper_half,
);

unsafe extern "C" {
    static mote_image_start: u8;
    static mote_text_start: u8;
    static mote_text_end: u8;
    static mote_image_end: u8;
    static mote_stack_guard: u8;
}

/// Returns where the image lies, as the linker script laid it out.
pub(crate) fn image() -> layout::Image {
    let physical = |symbol: *const u8| (symbol.addr() as u64).wrapping_sub(layout::KERNEL_BASE);
    let guards = [(&raw const mote_stack_guard).addr() as u64]
        .into_iter()
        .chain(descriptor::guard_pages())
        .map(|page| page.wrapping_sub(layout::KERNEL_BASE));
    let mut ascending = heapless::Vec::<u64, { layout::MAX_GUARDS }>::new();
    for guard in guards {
        let place = ascending.iter().take_while(|&&known| known < guard).count();
        // There is room for all stacks.
        let _ = ascending.insert(place, guard);
    }
    layout::Image {
        start: physical(&raw const mote_image_start),
        text: physical(&raw const mote_text_start),
        data: physical(&raw const mote_text_end),
        end: physical(&raw const mote_image_end),
        guards: ascending,
    }
}

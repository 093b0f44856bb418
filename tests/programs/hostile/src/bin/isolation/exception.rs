//! Every exception a program can raise by itself (Intel SDM vol. 3, table 6-1), and every vector asked for by number.

use crate::case::Case;
use hostile::child::end_of;
use hostile::code::run;

/// What raises it, the code, and how it ends.
const RAISED: &[(&str, &str, &[u8])] = &[
    // xor edx, edx; xor ecx, ecx; div ecx
    (
        "#DE: divide by zero",
        "SIGFPE",
        &[0x31, 0xd2, 0x31, 0xc9, 0xf7, 0xf1],
    ),
    // mov eax, 1 << 31; cdq; or ecx, -1; idiv ecx
    (
        "#DE: a quotient that does not fit",
        "SIGFPE",
        &[0xb8, 0, 0, 0, 0x80, 0x99, 0x83, 0xc9, 0xff, 0xf7, 0xf9],
    ),
    // pushfq; or dword ptr [rsp], 0x100; popfq; nop
    (
        "#DB: single step",
        "SIGTRAP",
        &[0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0x90],
    ),
    ("#DB: int1", "SIGTRAP", &[0xf1]),
    ("#BP: int3", "SIGTRAP", &[0xcc]),
    ("#BP: int 3 of two bytes", "SIGTRAP", &[0xcd, 3]),
    ("#UD: into is no instruction", "SIGILL", &[0xce]),
    ("#BR: int 5", "SIGSEGV", &[0xcd, 5]),
    ("#UD: ud2", "SIGILL", &[0x0f, 0x0b]),
    ("#UD: ud1", "SIGILL", &[0x0f, 0xb9, 0xc0]),
    ("#UD: a locked nop", "SIGILL", &[0xf0, 0x90]),
    ("#UD: push es is no instruction", "SIGILL", &[0x06]),
    ("#NM: int 7", "SIGSEGV", &[0xcd, 7]),
    ("#DF: int 8", "SIGSEGV", &[0xcd, 8]),
    ("#TS: int 10", "SIGSEGV", &[0xcd, 10]),
    ("#NP: int 11", "SIGSEGV", &[0xcd, 11]),
    // or eax, -1; mov ds, eax
    (
        "#GP: a selector behind the table, to ds",
        "SIGSEGV",
        &[0x83, 0xc8, 0xff, 0x8e, 0xd8],
    ),
    (
        "#GP: a selector behind the table, to ss",
        "SIGSEGV",
        &[0x83, 0xc8, 0xff, 0x8e, 0xd0],
    ),
    // xor eax, eax; mov ss, eax
    (
        "#GP: no selector, to ss",
        "SIGSEGV",
        &[0x31, 0xc0, 0x8e, 0xd0],
    ),
    // mov eax, 8; mov ss, eax
    (
        "#GP: the kernel's code, to ss",
        "SIGSEGV",
        &[0xb8, 8, 0, 0, 0, 0x8e, 0xd0],
    ),
    ("#MC: int 18", "SIGSEGV", &[0xcd, 18]),
    // sub rsp, 8; mov word ptr [rsp], 0x37b; fldcw [rsp]; fldz; fld1; fdivrp; fwait; add rsp, 8
    (
        "#MF: divide by zero, x87",
        "SIGFPE",
        &[
            0x48, 0x83, 0xec, 8, 0x66, 0xc7, 0x04, 0x24, 0x7b, 3, 0xd9, 0x2c, 0x24, 0xd9, 0xee,
            0xd9, 0xe8, 0xde, 0xf1, 0x9b, 0x48, 0x83, 0xc4, 8,
        ],
    ),
    // pushfq; or dword ptr [rsp], 1 << 18; popfq; push rsp; mov eax, [rsp + 1]; pop rcx
    (
        "#AC: a load across its alignment",
        "SIGBUS",
        &[
            0x9c, 0x81, 0x0c, 0x24, 0, 0, 4, 0, 0x9d, 0x54, 0x8b, 0x44, 0x24, 1, 0x59,
        ],
    ),
    // sub rsp, 8; mov dword ptr [rsp], 0x1d80; ldmxcsr [rsp]; xorps xmm1, xmm1; mov eax, 1; cvtsi2ss xmm0, eax;
    // divss xmm0, xmm1; add rsp, 8
    (
        "#XM: divide by zero, SSE",
        "SIGFPE",
        &[
            0x48, 0x83, 0xec, 8, 0xc7, 0x04, 0x24, 0x80, 0x1d, 0, 0, 0x0f, 0xae, 0x14, 0x24, 0x0f,
            0x57, 0xc9, 0xb8, 1, 0, 0, 0, 0xf3, 0x0f, 0x2a, 0xc0, 0xf3, 0x0f, 0x5e, 0xc1, 0x48,
            0x83, 0xc4, 8,
        ],
    ),
    // sub rsp, 8; mov dword ptr [rsp], 1 << 31 | 0x1f80; ldmxcsr [rsp]; add rsp, 8
    (
        "#GP: reserved bits of MXCSR",
        "SIGSEGV",
        &[
            0x48, 0x83, 0xec, 8, 0xc7, 0x04, 0x24, 0x80, 0x1f, 0, 0x80, 0x0f, 0xae, 0x14, 0x24,
            0x48, 0x83, 0xc4, 8,
        ],
    ),
    // mov rax, 1 << 63; mov cl, [rax]
    (
        "#GP: a load from no canonical address",
        "SIGSEGV",
        &[0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8a, 0x08],
    ),
    // push rbp; mov rbp, 1 << 63; mov cl, [rbp]; pop rbp
    (
        "#SS: a load by rbp from no canonical address",
        "SIGBUS",
        &[
            0x55, 0x48, 0xbd, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8a, 0x4d, 0, 0x5d,
        ],
    ),
    // lea rax, [rsp + 1]; and rax, -16; movaps xmm0, [rax + 1]
    (
        "#GP: an aligned load across its alignment",
        "SIGSEGV",
        &[
            0x48, 0x8d, 0x44, 0x24, 1, 0x48, 0x83, 0xe0, 0xf0, 0x0f, 0x28, 0x40, 1,
        ],
    ),
    // A nop of more bytes than an instruction has.
    (
        "#GP: an instruction of sixteen bytes",
        "SIGSEGV",
        &[0x66; 16],
    ),
];

pub(crate) fn cases() -> Vec<Case> {
    let raised = RAISED
        .iter()
        .map(|&(name, expected, bytes)| Case::new(name, expected, move || run(bytes)));
    // The kernel's own gates; 3 has its case above, 4 below, and 0x80 is another story on Linux.
    let asked = [0..=31, 32..=95, 96..=159, 160..=223, 224..=255].map(|vectors| {
        let name = format!("int {} to {}", vectors.start(), vectors.end());
        Case::new(name, "SIGSEGV", move || {
            let mut odd = String::new();
            for vector in vectors
                .clone()
                .filter(|vector| ![3, 4, 0x80].contains(vector))
            {
                let end = end_of(|| run(&[0xcd, vector]));
                if end != "SIGSEGV" {
                    odd += &format!("{vector}: {end} ");
                }
            }
            if odd.is_empty() {
                "SIGSEGV".to_owned()
            } else {
                odd
            }
        })
    });
    // Linux leaves this gate open for programs of 32 bits.
    let overflow = Case::own("#OF: int 4", "SIGSEGV", || run(&[0xcd, 4]));
    raised.chain(asked).chain([overflow]).collect()
}

//! `/proc/cpuinfo`, as the processor tells it (Intel SDM vol. 2, "CPUID"; AMD APM vol. 3, appendix E).
//!
//! The names of features are Linux' (arch/x86/include/asm/cpufeatures.h). Those that need state which is not kept for
//! programs, such as AVX-512, are left out.

use core::arch::x86_64::{__cpuid, CpuidResult};
use core::fmt::{self, Write};

/// Names of a register's bits from bit 0 on; `-` where a bit has none, or tells of nothing a program has from it.
type Names = &'static str;

const LEAF_1_EDX: Names = "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 pn clflush - - - mmx fxsr \
                           sse sse2 ss ht";
const LEAF_1_ECX: Names = "pni pclmulqdq - - - - - - - ssse3 - - - cx16 - - - pcid - sse4_1 sse4_2 x2apic movbe popcnt \
                           tsc_deadline_timer aes xsave - - - rdrand hypervisor";
/// Of the same register, where the wide registers are kept.
const LEAF_1_ECX_AVX: Names = "- - - - - - - - - - - - fma - - - - - - - - - - - - - - - avx f16c";
const LEAF_7_EBX: Names = "fsgsbase - - bmi1 - - - smep bmi2 erms invpcid - - - - - - - rdseed adx smap - - clflushopt clwb - - - - sha_ni";
const LEAF_7_EBX_AVX: Names = "- - - - - avx2";
const EXTENDED_1_EDX: Names =
    "- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - fxsr_opt pdpe1gb rdtscp - lm";
const EXTENDED_1_ECX: Names = "lahf_lm - - - - abm sse4a misalignsse 3dnowprefetch";

/// Bit of leaf 1's ECX: programs may use XGETBV, and the wide registers are kept (`CR4.OSXSAVE`).
const OSXSAVE: u32 = 1 << 27;

/// First of the extended leaves.
const EXTENDED: u32 = 0x8000_0000;

/// Writes the text about the one processor there is.
pub(super) fn tell(out: &mut dyn Write) -> fmt::Result {
    let basic = __cpuid(0);
    let one = __cpuid(1);
    let extended = |leaf: u32| leaf_of(EXTENDED, leaf);
    let family = match one.eax >> 8 & 0xf {
        0xf => 0xf + (one.eax >> 20 & 0xff),
        family => family,
    };
    let model = one.eax >> 4 & 0xf | (one.eax >> 16 & 0xf) << 4;
    out.write_str("processor\t: 0\nvendor_id\t: ")?;
    tell_text(&[basic.ebx, basic.edx, basic.ecx], out)?;
    write!(
        out,
        "\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: "
    )?;
    for leaf in 2..=4 {
        let CpuidResult { eax, ebx, ecx, edx } = extended(leaf);
        tell_text(&[eax, ebx, ecx, edx], out)?;
    }
    write!(
        out,
        "\nstepping\t: {}\nphysical id\t: 0\nsiblings\t: 1\ncore id\t\t: 0\ncpu cores\t: 1\napicid\t\t: {}\n\
         fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes\nflags\t\t:",
        one.eax & 0xf,
        one.ebx >> 24,
        basic.eax,
    )?;
    let seven = leaf_of(0, 7);
    let first = extended(1);
    let wide = if one.ecx & OSXSAVE != 0 { u32::MAX } else { 0 };
    for (names, bits) in [
        (LEAF_1_EDX, one.edx),
        (EXTENDED_1_EDX, first.edx),
        (LEAF_1_ECX, one.ecx),
        (LEAF_1_ECX_AVX, one.ecx & wide),
        (EXTENDED_1_ECX, first.ecx),
        (LEAF_7_EBX, seven.ebx),
        (LEAF_7_EBX_AVX, seven.ebx & wide),
    ] {
        for (bit, name) in names.split_ascii_whitespace().enumerate() {
            if name != "-" && bits >> bit & 1 != 0 {
                write!(out, " {name}")?;
            }
        }
    }
    let sizes = extended(8).eax;
    writeln!(
        out,
        "\naddress sizes\t: {} bits physical, {} bits virtual\n",
        sizes & 0xff,
        sizes >> 8 & 0xff
    )
}

/// Returns a leaf, zeros when the processor has none of this number: it would answer with another one.
fn leaf_of(first: u32, leaf: u32) -> CpuidResult {
    if __cpuid(first).eax < first + leaf {
        return CpuidResult {
            eax: 0,
            ebx: 0,
            ecx: 0,
            edx: 0,
        };
    }
    __cpuid(first + leaf)
}

/// Writes the text in these registers, up to its end.
fn tell_text(registers: &[u32], out: &mut dyn Write) -> fmt::Result {
    let bytes = registers.iter().flat_map(|register| register.to_le_bytes());
    for byte in bytes.take_while(|&byte| byte != 0) {
        // What is no text would break the line.
        let letter = if byte.is_ascii_graphic() || byte == b' ' {
            char::from(byte)
        } else {
            '?'
        };
        out.write_char(letter)?;
    }
    Ok(())
}

//! Instructions of ring 0.

use crate::case::Case;
use hostile::code::run_with;

/// A number for the registers they take: a model-specific register (STAR), a port (the debug exit of test machines), a
/// value.
const STAR: u64 = 0xc000_0081;
const DEBUG_EXIT: u64 = 0xf4;

/// Name, code, what stands in rax, rcx, rdx and rsi.
const FORBIDDEN: &[(&str, &[u8], u64)] = &[
    ("cli", &[0xfa], 0),
    ("sti", &[0xfb], 0),
    ("hlt", &[0xf4], 0),
    ("in al, dx", &[0xec], DEBUG_EXIT),
    ("in eax, dx", &[0xed], DEBUG_EXIT),
    ("in al, 0x60", &[0xe4, 0x60], 0),
    ("out dx, al", &[0xee], DEBUG_EXIT),
    ("out dx, eax", &[0xef], DEBUG_EXIT),
    ("out 0xf4, al", &[0xe6, 0xf4], 0),
    ("out to the reset port", &[0xb0, 0xfe, 0xe6, 0x64], 0),
    ("outsb", &[0x6e], DEBUG_EXIT),
    ("insb", &[0x6c], DEBUG_EXIT),
    ("lgdt", &[0x0f, 0x01, 0x14, 0x24], 0),
    ("lidt", &[0x0f, 0x01, 0x1c, 0x24], 0),
    ("lldt", &[0x0f, 0x00, 0xd0], 0),
    ("ltr", &[0x0f, 0x00, 0xd8], 0x28),
    ("lmsw", &[0x0f, 0x01, 0xf0], 0),
    ("clts", &[0x0f, 0x06], 0),
    ("mov rax, cr0", &[0x0f, 0x20, 0xc0], 0),
    ("mov rax, cr2", &[0x0f, 0x20, 0xd0], 0),
    ("mov rax, cr3", &[0x0f, 0x20, 0xd8], 0),
    ("mov rax, cr4", &[0x0f, 0x20, 0xe0], 0),
    ("mov rax, cr8", &[0x44, 0x0f, 0x20, 0xc0], 0),
    ("mov cr0, rax", &[0x0f, 0x22, 0xc0], 0),
    ("mov cr3, rax", &[0x0f, 0x22, 0xd8], 0),
    ("mov cr4, rax", &[0x0f, 0x22, 0xe0], 0),
    ("mov cr8, rax", &[0x44, 0x0f, 0x22, 0xc0], 0),
    ("mov rax, dr0", &[0x0f, 0x21, 0xc0], 0),
    ("mov rax, dr7", &[0x0f, 0x21, 0xf8], 0),
    ("mov dr0, rax", &[0x0f, 0x23, 0xc0], 0),
    ("mov dr7, rax", &[0x0f, 0x23, 0xf8], 0),
    ("rdmsr", &[0x0f, 0x32], STAR),
    ("wrmsr", &[0x0f, 0x30], STAR),
    ("wrmsr to the entry of calls", &[0x0f, 0x30], STAR + 1),
    ("rdpmc", &[0x0f, 0x33], 0),
    ("invlpg", &[0x0f, 0x01, 0x3c, 0x24], 0),
    ("invd", &[0x0f, 0x08], 0),
    ("wbinvd", &[0x0f, 0x09], 0),
    ("swapgs", &[0x0f, 0x01, 0xf8], 0),
    ("sysretq", &[0x48, 0x0f, 0x07], 0),
    ("sysretl", &[0x0f, 0x07], 0),
];

/// Those that are undefined, or forbidden, as the machine has them.
const ODD: &[(&str, &[u8], u64)] = &[
    ("xsetbv", &[0x0f, 0x01, 0xd1], 0),
    ("monitor", &[0x0f, 0x01, 0xc8], 0),
    ("mwait", &[0x0f, 0x01, 0xc9], 0),
    ("vmcall", &[0x0f, 0x01, 0xc1], 0),
    ("vmmcall", &[0x0f, 0x01, 0xd9], 0),
    ("vmrun", &[0x0f, 0x01, 0xd8], 0),
    ("vmload", &[0x0f, 0x01, 0xda], 0),
    ("vmlaunch", &[0x0f, 0x01, 0xc2], 0),
    ("stgi", &[0x0f, 0x01, 0xdc], 0),
    ("clgi", &[0x0f, 0x01, 0xdd], 0),
    ("stac", &[0x0f, 0x01, 0xcb], 0),
    ("clac", &[0x0f, 0x01, 0xca], 0),
    ("invpcid", &[0x66, 0x0f, 0x38, 0x82, 0x04, 0x24], 0),
    ("getsec", &[0x0f, 0x37], 0),
    ("rsm", &[0x0f, 0xaa], 0),
    ("sysexit", &[0x0f, 0x35], 0),
    ("xsaves", &[0x0f, 0xc7, 0x2c, 0x24], 0),
    ("xrstors", &[0x0f, 0xc7, 0x1c, 0x24], 0),
];

pub(crate) fn cases() -> Vec<Case> {
    let act = |bytes: &'static [u8], value: u64| {
        move || {
            let _ = run_with(bytes, value);
            "done".to_owned()
        }
    };
    let forbidden = FORBIDDEN
        .iter()
        .map(|&(name, bytes, value)| Case::new(name, "SIGSEGV", act(bytes, value)));
    let odd = ODD
        .iter()
        .map(|&(name, bytes, value)| Case::own(name, "SIGILL or SIGSEGV", act(bytes, value)));
    forbidden.chain(odd).collect()
}

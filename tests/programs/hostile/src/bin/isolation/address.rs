//! Addresses that are not the program's.

use crate::case::Case;
use hostile::code::{call, load, page, store};
use hostile::memory::{PAGE, pages, protect, read_only};
use libc::PROT_NONE;

/// Where something of a kernel, of this machine or of nobody is.
const FOREIGN: [(&str, u64); 15] = [
    ("nothing", 0),
    ("the first page's end", 0xfff),
    ("the kernel's text", 0xffff_ffff_8010_0000),
    ("the kernel's first page", 0xffff_ffff_8000_0000),
    ("the last page of all", 0xffff_ffff_ffff_f000),
    ("the direct map", 0xffff_8880_0000_0000),
    ("the direct map of the image", 0xffff_8880_0010_0000),
    ("the window of devices", 0xffff_c000_0000_0000),
    ("the local interrupt controller", 0xfee0_0000),
    ("the interrupt controller", 0xfec0_0000),
    ("a device's registers", 0xfeb0_0000),
    ("the first page of the upper half", 0xffff_8000_0000_0000),
    ("the page behind the lower half", 0x7fff_ffff_f000),
    ("no canonical address, from below", 0x8000_0000_0000),
    ("no canonical address, from above", 0xffff_7fff_ffff_ffff),
];

fn done() -> String {
    "done".to_owned()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (place, address) in FOREIGN {
        cases.push(Case::new(format!("read {place}"), "SIGSEGV", move || {
            load(address);
            done()
        }));
        cases.push(Case::new(format!("write {place}"), "SIGSEGV", move || {
            store(address);
            done()
        }));
        cases.push(Case::new(
            format!("jump to {place}"),
            "SIGSEGV",
            move || {
                let _ = call(address, 0);
                done()
            },
        ));
    }
    cases.extend(own());
    cases
}

/// The program's own memory, used otherwise than it may be.
fn own() -> [Case; 7] {
    [
        Case::new("write the program's text", "SIGSEGV", || {
            store(own as *const () as u64);
            done()
        }),
        Case::new("write a page of code", "SIGSEGV", || {
            store(page(&[]) as u64);
            done()
        }),
        Case::new("execute the stack", "SIGSEGV", || {
            let code = std::hint::black_box([0xc3_u8; 16]);
            let _ = call(code.as_ptr() as u64, 0);
            done()
        }),
        Case::new("execute data", "SIGSEGV", || {
            let data = pages(1);
            // SAFETY: the page is ours.
            unsafe { data.write(0xc3) };
            let _ = call(data as u64, 0);
            done()
        }),
        Case::new("write memory that is read-only", "SIGSEGV", || {
            store(read_only() as u64);
            done()
        }),
        Case::new("read memory without rights", "SIGSEGV", || {
            let memory = pages(1);
            protect(memory, 1, PROT_NONE);
            load(memory as u64);
            done()
        }),
        Case::new("run over the end of code", "SIGSEGV", || {
            let at = page(&[0x90; PAGE - 1]);
            // The return stands in the last byte: the nop before it is overwritten by one more page of nothing.
            let end = at.wrapping_add(PAGE - 1);
            protect(at, 1, libc::PROT_READ | libc::PROT_WRITE);
            // SAFETY: the page is ours.
            unsafe { end.write(0x90) };
            protect(at, 1, libc::PROT_READ | libc::PROT_EXEC);
            let _ = call(at as u64, 0);
            done()
        }),
    ]
}

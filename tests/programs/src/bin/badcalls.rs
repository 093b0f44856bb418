//! Calls the kernel in every wrong way: each must be refused with the number that Linux gives, and nothing breaks.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::call::{self, Errno};
use programs::{Arguments, entry, expect, say};

const KERNEL: u64 = 0xffff_ffff_8010_0000;
const NON_CANONICAL: u64 = 0x8000_0000_0000_0000;
/// The last byte below the end of a program's half.
const LAST: u64 = (1 << 47) - 1;
/// Above any limit of descriptors.
const NO_DESCRIPTOR: u32 = 0x7fff_ffff;

entry!(run);

fn run(_: &Arguments) -> u8 {
    for number in [0, 1, 1 << 20, u32::MAX] {
        let result = call::unknown(number);
        expect!(
            result == Err(Errno::ENOSYS),
            "unknown call {number}: {result:?}"
        );
    }
    for address in [1, KERNEL, NON_CANONICAL, LAST, u64::MAX] {
        let written = call::write_from(1, address, 8);
        expect!(
            written == Err(Errno::EFAULT),
            "write from {address:#x}: {written:?}"
        );
        let opened = call::open_from(address);
        expect!(
            opened == Err(Errno::EFAULT),
            "open at {address:#x}: {opened:?}"
        );
    }
    for descriptor in [99, NO_DESCRIPTOR, u32::MAX] {
        let written = call::write(descriptor, b"x");
        expect!(
            written == Err(Errno::EBADF),
            "write to {descriptor}: {written:?}"
        );
        let closed = call::close(descriptor);
        expect!(
            closed == Err(Errno::EBADF),
            "close of {descriptor}: {closed:?}"
        );
        let read = call::read(descriptor, &mut [0]);
        expect!(read == Err(Errno::EBADF), "read of {descriptor}: {read:?}");
    }
    let opened = call::open(c"/no/such/file", call::Open::READ);
    expect!(opened == Err(Errno::ENOENT), "open of nothing: {opened:?}");
    let empty = call::map(0).map(|memory| memory.len());
    expect!(empty == Err(Errno::EINVAL), "mmap of nothing: {empty:?}");
    let huge = call::map(1 << 50).map(|memory| memory.len());
    expect!(huge == Err(Errno::ENOMEM), "mmap of 2^50 bytes: {huge:?}");

    let user = call::user_id();
    expect!(
        call::user_id_without_stack() == user,
        "a call without a stack gave another user"
    );
    let line = b"written with the direction flag set\n";
    let written = call::write_backwards(1, line);
    expect!(
        written == Ok(line.len()),
        "write with the direction flag set: {written:?}"
    );
    say!("badcalls: all refused");
    0
}

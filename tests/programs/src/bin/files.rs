//! Makes, writes, reads, cuts, lists and removes a file in a directory of its own below `/tmp`.
#![no_std]
#![no_main]
#![deny(unsafe_code)]

use programs::call::{self, Errno, Open};
use programs::{Arguments, complain, entry, say};

const FOLDER: &core::ffi::CStr = c"/tmp/files-of-a-test";
const FILE: &core::ffi::CStr = c"/tmp/files-of-a-test/notes";
/// Over several pages, and not a whole number of them.
const BYTES: usize = 3 * 4096 + 123;

/// A check that did not hold, and the error where there was one.
struct Broken(&'static str, Option<Errno>);

entry!(run);

fn run(_: &Arguments) -> u8 {
    match try_files() {
        Ok(()) => {
            say!("files: made, written, read, listed, removed");
            0
        }
        Err(Broken(what, error)) => {
            complain!("files: {what}: {error:?}");
            1
        }
    }
}

fn try_files() -> Result<(), Broken> {
    let step = |what| move |error| Broken(what, Some(error));
    call::make_directory(FOLDER).map_err(step("mkdir"))?;
    let file = call::open(FILE, Open::CREATE).map_err(step("create"))?;
    let bytes = call::map(BYTES).map_err(step("mmap"))?;
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    call::write_all(file, bytes).map_err(step("write"))?;
    call::seek(file, 0).map_err(step("lseek"))?;
    let found = call::map(2 * BYTES).map_err(step("mmap"))?;
    let count = read_all(file, found).map_err(step("read"))?;
    check(
        found[..count] == *bytes,
        "the file has other bytes than were written",
    )?;
    call::truncate(file, 10).map_err(step("ftruncate"))?;
    call::seek(file, 0).map_err(step("lseek"))?;
    check(
        read_all(file, found).map_err(step("read"))? == 10,
        "the file was not cut to 10 bytes",
    )?;
    call::close(file).map_err(step("close"))?;
    check(
        is_listed(b"notes").map_err(step("getdents64"))?,
        "the file is not listed",
    )?;
    call::unlink(FILE).map_err(step("unlink"))?;
    check(
        !is_listed(b"notes").map_err(step("getdents64"))?,
        "the removed file is listed",
    )?;
    check(
        call::open(FILE, Open::READ) == Err(Errno::ENOENT),
        "the removed file can be opened",
    )?;
    call::remove_directory(FOLDER).map_err(step("rmdir"))
}

fn check(is_good: bool, what: &'static str) -> Result<(), Broken> {
    if is_good {
        Ok(())
    } else {
        Err(Broken(what, None))
    }
}

fn read_all(file: u32, bytes: &mut [u8]) -> Result<usize, Errno> {
    let mut length = 0;
    loop {
        match call::read(file, &mut bytes[length..])? {
            0 => return Ok(length),
            count => length += count,
        }
    }
}

/// Whether the folder has an entry of this name. A record is inode 8, offset 8, length 2, type 1, then the name and a
/// zero (`include/linux/dirent.h`, `struct linux_dirent64`).
fn is_listed(name: &[u8]) -> Result<bool, Errno> {
    const NAME: usize = 19;
    let folder = call::open(FOLDER, Open::DIRECTORY)?;
    let mut records = [0; 1024];
    let mut is_found = false;
    loop {
        let length = call::list(folder, &mut records)?;
        if length == 0 {
            call::close(folder)?;
            return Ok(is_found);
        }
        let mut rest = &records[..length];
        while rest.len() > NAME {
            let bytes = usize::from(u16::from_le_bytes([rest[16], rest[17]]));
            let Some((record, behind)) = rest.split_at_checked(bytes.max(NAME)) else {
                break;
            };
            is_found |= record[NAME..].split(|&byte| byte == 0).next() == Some(name);
            rest = behind;
        }
    }
}

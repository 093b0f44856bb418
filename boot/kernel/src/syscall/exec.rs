//! execve(2), execveat(2).

use super::path::{
    AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, PathArgument, check_flags, last_of,
};
use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::{Kind, Last};
use crate::limits::PATH_BYTES;
use crate::program::Lists;
use crate::system::System;
use crate::wait::Stall;
use core::fmt::Write;
use hal::block::Block;

/// Where a call is, in its `progress`.
const BEGUN: u64 = 1;
const DONE: u64 = 2;

/// Longest `/dev/fd/N/`.
const PREFIX_BYTES: usize = 24;

/// execve(2).
pub(super) fn execve<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let lists = Lists {
        arguments: call.address(1),
        environment: call.address(2),
    };
    exec(system, call, PathArgument::plain(call, 0), 0, lists)
}

/// execveat(2).
pub(super) fn execveat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let lists = Lists {
        arguments: call.address(2),
        environment: call.address(3),
    };
    let flags = call.uint(4);
    check_flags(flags, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)?;
    exec(system, call, PathArgument::at(call, 0), flags, lists)
}

fn exec<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    path: PathArgument,
    flags: u32,
    lists: Lists,
) -> Outcome {
    if call.progress == 0 {
        if system.process(call.process)?.exec.is_some() {
            // Another task is at it; unless it fails it takes this one with it.
            return Err(Stall::AGAIN);
        }
        begin(system, call, path, flags, lists)?;
        call.progress = BEGUN;
    }
    if call.progress == BEGUN {
        system.go_on_exec(call, lists)?;
        call.progress = DONE;
    }
    if let Some(table) = system.process(call.process)?.files {
        let mut parts = system.file_parts(call.process)?;
        parts.files.close_on_exec(&mut parts.context, table)?;
    }
    // All registers are the new program's, `rax` included.
    call.sets_registers = true;
    Ok(0)
}

/// Finds the file and begins.
fn begin<B: Block>(
    system: &mut System<B>,
    call: &Call,
    argument: PathArgument,
    flags: u32,
    lists: Lists,
) -> Result<(), Stall> {
    if system.identity(call.process)?.is_crowded && system.excess_tasks(call.process)? > 0 {
        return Err(Errno::EAGAIN.into());
    }
    let (parts, place) = system.hold_place(call, argument, last_of(flags), flags)?;
    let is_link = parts
        .files
        .attributes(place.by_ref())
        .is_ok_and(|attributes| attributes.kind == Kind::Symlink);
    if is_link && last_of(flags) == Last::Keep {
        parts.files.release_place(place);
        return Err(Errno::ELOOP.into());
    }
    let file = system.show_program(call.process, place)?;
    let mut bytes = [0; PATH_BYTES];
    let begun = match system.read_path(call, argument.address, &mut bytes) {
        Ok(path) if argument.from == AT_FDCWD || path.first() == Some(&b'/') => {
            return system.begin_exec(call, file, path, lists);
        }
        Ok(path) => path.len(),
        Err(stall) => {
            system.release_file(file.id);
            return Err(stall);
        }
    };
    // By this path an interpreter finds a script that was named by a descriptor.
    let mut prefix = heapless::String::<PREFIX_BYTES>::new();
    let slash = if begun > 0 { "/" } else { "" };
    // A number has eleven characters at most.
    let _ = write!(prefix, "/dev/fd/{}{slash}", argument.from);
    if begun + prefix.len() >= PATH_BYTES {
        system.release_file(file.id);
        return Err(Errno::ENAMETOOLONG.into());
    }
    bytes.copy_within(..begun, prefix.len());
    bytes[..prefix.len()].copy_from_slice(prefix.as_bytes());
    system.begin_exec(call, file, &bytes[..begun + prefix.len()], lists)
}

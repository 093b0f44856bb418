//! Opening: open, creat, openat, openat2, memfd_create.

use super::path::PathArgument;
use super::{Call, Outcome, Restart};
use crate::errno::Errno;
use crate::fs::{DescriptionId, OpenFlags, Rules, Seals};
use crate::limits::NAME_BYTES;
use crate::system::System;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// open(2).
pub(super) fn open<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    open_path(
        system,
        call,
        PathArgument::plain(call, 0),
        call.number(1),
        2,
    )
}

/// creat(2).
pub(super) fn creat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = OpenFlags::CREAT | OpenFlags::WRONLY | OpenFlags::TRUNC;
    let path = PathArgument::plain(call, 0);
    open_path(system, call, path, u64::from(flags.bits()), 1)
}

/// openat(2).
pub(super) fn openat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    open_path(system, call, PathArgument::at(call, 0), call.number(2), 3)
}

/// openat2(2).
pub(super) fn openat2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// Bytes of `struct open_how` as it is known here, and of the longest one that is looked at.
    const HOW_BYTES: usize = 24;
    const MOST_BYTES: usize = PAGE_BYTES;
    let size = call.size(3)?;
    if size < HOW_BYTES {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = [0; MOST_BYTES];
    let how = bytes.get_mut(..size).ok_or(Errno::E2BIG)?;
    system.read_user(call.space, call.address(2), how)?;
    if how[HOW_BYTES..].iter().any(|&byte| byte != 0) {
        return Err(Errno::E2BIG.into());
    }
    let word = |nth: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[8 * nth..8 * nth + 8]);
        u64::from_le_bytes(word)
    };
    let known = u32::try_from(word(0)).ok().and_then(OpenFlags::from_bits);
    let asked = known.ok_or(Errno::EINVAL)?;
    let flags = OpenFlags::from_program(word(0))?;
    let rules = Rules::from_bits(word(2)).ok_or(Errno::EINVAL)?;
    let makes = flags.intersects(OpenFlags::CREAT | OpenFlags::TMPFILE);
    let most = if makes { 0o7777 } else { 0 };
    if asked != flags || word(1) > most || rules.contains(Rules::SCOPED) {
        return Err(Errno::EINVAL.into());
    }
    let is_cached = rules.contains(Rules::CACHED);
    if is_cached && (makes || flags.contains(OpenFlags::TRUNC)) {
        return Err(Errno::EAGAIN.into());
    }
    let permissions = word(1) as u16 & !system.directories_of(call)?.umask();
    let path = PathArgument::at(call, 0);
    match open_file(system, call, path, (flags, permissions), rules) {
        Err(stall) if is_cached && stall.is_of_disk() => Err(Errno::EAGAIN.into()),
        opened => opened,
    }
}

fn open_path<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    path: PathArgument,
    flags: u64,
    mode: usize,
) -> Outcome {
    let flags = OpenFlags::from_program(flags)?;
    let permissions = call.number(mode) as u16 & 0o7777 & !system.directories_of(call)?.umask();
    open_file(system, call, path, (flags, permissions), Rules::empty())
}

/// Opens a file at the first try, and gives it a descriptor once the other end of a named pipe is open: until then the call
/// keeps the open file.
fn open_file<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    path: PathArgument,
    (flags, permissions): (OpenFlags, u16),
    rules: Rules,
) -> Outcome {
    let table = system.table_of(call)?;
    if call.restart != Restart::Opens {
        let opened = system.with_path(call, path, &mut |files, context, start, path| {
            let how = (flags, permissions);
            let id = files.open(context, table, start, path, how, rules)?;
            Ok(id.bits())
        });
        call.progress = opened?;
        call.restart = Restart::Opens;
    }
    let id = DescriptionId::from_bits(call.progress).ok_or(Errno::EBADF)?;
    if let Some(file) = system.files.viewed(id) {
        system.refresh_seen(file)?;
    }
    let mut parts = system.file_parts(call.process)?;
    let fd = parts
        .files
        .finish_open(&mut parts.context, table, id, flags)?;
    Ok(fd as u64)
}

/// memfd_create(2).
pub(super) fn memfd_create<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const CLOEXEC: u32 = 1;
    const ALLOW_SEALING: u32 = 2;
    /// What `/proc` shows before the name, which with it is as long as a name may be.
    const PREFIX: &[u8] = b"memfd:";
    let flags = call.uint(1);
    if flags & !(CLOEXEC | ALLOW_SEALING) != 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut bytes = [0; NAME_BYTES + 1];
    let (prefix, rest) = bytes.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    let length = system
        .read_cstring(call.space, call.address(0), rest, Errno::EINVAL)?
        .len();
    let seals = if flags & ALLOW_SEALING == 0 {
        Seals::SEAL
    } else {
        Seals::empty()
    };
    let mut open = OpenFlags::RDWR | OpenFlags::LARGEFILE;
    open.set(OpenFlags::CLOEXEC, flags & CLOEXEC != 0);
    let table = system.table_of(call)?;
    let directories = system.process(call.process)?.directories;
    let directories = directories.ok_or(Errno::ENOENT)?;
    let name = &bytes[..PREFIX.len() + length];
    let mut parts = system.file_parts(call.process)?;
    let (files, context) = (&mut parts.files, &mut parts.context);
    let fd = files.open_memory(context, table, directories, name, seals, open)?;
    Ok(fd as u64)
}

//! Directories: listed, made, removed, worked in.

use super::path::{AT_EMPTY_PATH, AT_REMOVEDIR, AT_SYMLINK_FOLLOW};
use super::path::{PathArgument, check_flags};
use super::{Call, Outcome};
use crate::capability::Capabilities;
use crate::errno::Errno;
use crate::fs::{Access, Existing, Kind, Last};
use crate::limits::{NAME_BYTES, PATH_BYTES, WORK_ENTRIES};
use crate::system::System;
use crate::wait::Stall;
use hal::block::Block;

/// Bytes of `struct linux_dirent64` before the name.
const ENTRY_HEADER_BYTES: usize = 19;

/// getdents(2): its `struct linux_dirent` has an entry's kind in its last byte, not before the name.
const GETDENTS: u32 = 78;

/// getdents(2), getdents64(2).
pub(super) fn getdents64<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (id, _) = system.open_content(call, 0)?;
    let room = call.size(2)?;
    let mut looks = 0;
    while looks < WORK_ENTRIES {
        let done = call.progress as usize;
        let mut parts = system.file_parts(call.process)?;
        let listed = match parts.files.next_entry(&mut parts.context, id) {
            Ok(Some(listed)) => listed,
            Ok(None) => return Ok(done as u64),
            Err(stall) if stall.is_error() && done > 0 => return Ok(done as u64),
            Err(stall) => return Err(stall),
        };
        let length = (ENTRY_HEADER_BYTES + listed.name.len() + 1).next_multiple_of(8);
        if length > room - done {
            return if done > 0 {
                Ok(done as u64)
            } else {
                Err(Errno::EINVAL.into())
            };
        }
        let mut bytes = [0; (ENTRY_HEADER_BYTES + NAME_BYTES + 1).next_multiple_of(8)];
        bytes[..8].copy_from_slice(&listed.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&listed.next.to_le_bytes());
        bytes[16..18].copy_from_slice(&(length as u16).to_le_bytes());
        let (kind_at, name_at) = if call.number == GETDENTS {
            (length - 1, ENTRY_HEADER_BYTES - 1)
        } else {
            (ENTRY_HEADER_BYTES - 1, ENTRY_HEADER_BYTES)
        };
        bytes[name_at..name_at + listed.name.len()].copy_from_slice(&listed.name);
        bytes[kind_at] = listed.kind;
        let at = call.address(1).offset(done as u64)?;
        system.write_user(call.space, at, &bytes[..length])?;
        system.files.skip_entry(id, listed.next);
        call.progress += length as u64;
        looks += listed.looks;
    }
    Err(Stall::AGAIN)
}

/// getcwd(2): returns the length with the NUL.
pub(super) fn getcwd<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mut path = [0; PATH_BYTES];
    let state = system
        .process(call.process)?
        .directories
        .ok_or(Errno::ENOENT)?;
    let state = system.files.directories(state)?;
    // The last byte stays: it is the NUL.
    let length =
        system
            .files
            .path_of(state.root(), state.working(), &mut path[..PATH_BYTES - 1])?;
    path[length] = 0;
    if length >= call.size(1)? {
        return Err(Errno::ERANGE.into());
    }
    system.write_user(call.space, call.address(0), &path[..=length])?;
    Ok(length as u64 + 1)
}

/// chdir(2).
pub(super) fn chdir<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let state = system
        .process(call.process)?
        .directories
        .ok_or(Errno::ENOENT)?;
    let path = PathArgument::plain(call, 0);
    system.with_place(call, path, Last::Follow, 0, &mut |files, context, place| {
        files.set_working(context, state, place)?;
        Ok(0)
    })
}

/// fchdir(2).
pub(super) fn fchdir<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let state = system
        .process(call.process)?
        .directories
        .ok_or(Errno::ENOENT)?;
    system.with_open_place(call, 0, &mut |files, context, place| {
        files.set_working(context, state, place)?;
        Ok(0)
    })
}

/// mkdir(2).
pub(super) fn mkdir<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make(system, call, PathArgument::plain(call, 0), 1)
}

/// mkdirat(2).
pub(super) fn mkdirat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make(system, call, PathArgument::at(call, 0), 2)
}

fn make<B: Block>(system: &mut System<B>, call: &Call, path: PathArgument, mode: usize) -> Outcome {
    let permissions = call.number(mode) as u16 & 0o1777 & !system.directories_of(call)?.umask();
    system.with_path(call, path, &mut |files, context, start, path| {
        files.make_directory(context, start, path, permissions)?;
        Ok(0)
    })
}

/// mknod(2).
pub(super) fn mknod<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_node(system, call, PathArgument::plain(call, 0), 1)
}

/// mknodat(2).
pub(super) fn mknodat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_node(system, call, PathArgument::at(call, 0), 2)
}

fn make_node<B: Block>(
    system: &mut System<B>,
    call: &Call,
    path: PathArgument,
    mode: usize,
) -> Outcome {
    let bits = call.number(mode) as u16 & !system.directories_of(call)?.umask();
    let special = call.number(mode + 1);
    system.with_path(call, path, &mut |files, context, start, path| {
        files.make_node(context, start, path, bits, special)?;
        Ok(0)
    })
}

/// rmdir(2).
pub(super) fn rmdir<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let path = PathArgument::plain(call, 0);
    system.with_path(call, path, &mut |files, context, start, path| {
        files.remove_directory(context, start, path)?;
        Ok(0)
    })
}

/// unlink(2).
pub(super) fn unlink<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let path = PathArgument::plain(call, 0);
    system.with_path(call, path, &mut |files, context, start, path| {
        files.unlink(context, start, path)?;
        Ok(0)
    })
}

/// unlinkat(2).
pub(super) fn unlinkat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.uint(2);
    check_flags(flags, AT_REMOVEDIR)?;
    system.with_path(
        call,
        PathArgument::at(call, 0),
        &mut |files, context, start, path| {
            if flags & AT_REMOVEDIR != 0 {
                files.remove_directory(context, start, path)?;
            } else {
                files.unlink(context, start, path)?;
            }
            Ok(0)
        },
    )
}

/// symlink(2).
pub(super) fn symlink<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_symlink(system, call, PathArgument::plain(call, 1))
}

/// symlinkat(2).
pub(super) fn symlinkat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_symlink(system, call, PathArgument::at(call, 1))
}

fn make_symlink<B: Block>(system: &mut System<B>, call: &Call, path: PathArgument) -> Outcome {
    let mut bytes = [0; PATH_BYTES];
    let target = system.read_path(call, call.address(0), &mut bytes)?;
    system.with_path(call, path, &mut |files, context, start, path| {
        files.make_symlink(context, start, path, target)?;
        Ok(0)
    })
}

/// link(2).
pub(super) fn link<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (from, to) = (PathArgument::plain(call, 0), PathArgument::plain(call, 1));
    make_link(system, call, from, to, 0)
}

/// linkat(2).
pub(super) fn linkat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.uint(4);
    check_flags(flags, AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)?;
    let (from, to) = (PathArgument::at(call, 0), PathArgument::at(call, 2));
    make_link(system, call, from, to, flags)
}

fn make_link<B: Block>(
    system: &mut System<B>,
    call: &Call,
    from: PathArgument,
    to: PathArgument,
    flags: u32,
) -> Outcome {
    let last = if flags & AT_SYMLINK_FOLLOW == 0 {
        Last::Keep
    } else {
        Last::Follow
    };
    if flags & AT_EMPTY_PATH != 0
        && !system
            .identity(call.process)?
            .can(Capabilities::DAC_READ_SEARCH)
    {
        // Who may name a file by its descriptor could give others a name they may not see.
        return Err(Errno::ENOENT.into());
    }
    let (_, place) = system.hold_place(call, from, last, flags)?;
    let made = system.with_path(call, to, &mut |files, context, start, path| {
        files.make_link(context, place.by_ref(), start, path)?;
        Ok(0)
    });
    system.files.release_place(place);
    made
}

/// rename(2).
pub(super) fn rename<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (from, to) = (PathArgument::plain(call, 0), PathArgument::plain(call, 1));
    move_name(system, call, from, to, Existing::Replaced)
}

/// renameat(2).
pub(super) fn renameat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (from, to) = (PathArgument::at(call, 0), PathArgument::at(call, 2));
    move_name(system, call, from, to, Existing::Replaced)
}

/// renameat2(2), without whiteout.
pub(super) fn renameat2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const NOREPLACE: u32 = 1;
    const EXCHANGE: u32 = 2;
    let (from, to) = (PathArgument::at(call, 0), PathArgument::at(call, 2));
    let existing = match call.uint(4) {
        0 => Existing::Replaced,
        NOREPLACE => Existing::Kept,
        EXCHANGE => Existing::Exchanged,
        _ => return Err(Errno::EINVAL.into()),
    };
    move_name(system, call, from, to, existing)
}

fn move_name<B: Block>(
    system: &mut System<B>,
    call: &Call,
    from: PathArgument,
    to: PathArgument,
    existing: Existing,
) -> Outcome {
    // Two paths at once are more than a stack frame should hold: the second one lies in the first one's call.
    let mut bytes = [0; PATH_BYTES];
    let target = system.read_path(call, to.address, &mut bytes)?;
    let directory = system.with_start(call, to.from, target, |files, _, start, _| {
        Ok((files.share_place(start.root), files.share_place(start.base)))
    })?;
    let moved = system.with_path(call, from, &mut |files, context, start, path| {
        let onto = crate::fs::Start {
            root: directory.0.by_ref(),
            base: directory.1.by_ref(),
        };
        files.move_name(context, (start, path), (onto, target), existing)?;
        Ok(0)
    });
    system.files.release_place(directory.0);
    system.files.release_place(directory.1);
    moved
}

/// readlink(2).
pub(super) fn readlink<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    read_link(system, call, PathArgument::plain(call, 0), 1, 0)
}

/// readlinkat(2). An empty path means the descriptor, if it was opened on the link itself.
pub(super) fn readlinkat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let path = PathArgument::at(call, 0);
    let outcome = read_link(system, call, path, 2, AT_EMPTY_PATH);
    let is_none = outcome.is_err_and(|stall| stall.errno() == Some(Errno::EINVAL));
    if is_none && call.int(3) > 0 && system.is_empty_path(call, path)? {
        // The descriptor is not one of a link.
        return Err(Errno::ENOENT.into());
    }
    outcome
}

fn read_link<B: Block>(
    system: &mut System<B>,
    call: &Call,
    path: PathArgument,
    into: usize,
    flags: u32,
) -> Outcome {
    let room = call.size(into + 1)?;
    if call.int(into + 1) <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let mut target = [0; PATH_BYTES];
    let length = system.with_place(
        call,
        path,
        Last::Keep,
        flags,
        &mut |files, context, place| Ok(files.link_target(context, place, &mut target)? as u64),
    )?;
    let length = room.min(length as usize);
    system.write_user(call.space, call.address(into), &target[..length])?;
    Ok(length as u64)
}

/// chroot(2).
pub(super) fn chroot<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let state = system
        .process(call.process)?
        .directories
        .ok_or(Errno::ENOENT)?;
    let path = PathArgument::plain(call, 0);
    system.with_place(call, path, Last::Follow, 0, &mut |files, context, place| {
        if files.attributes(place)?.kind != Kind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        files.permit(context, place, Access::EXECUTE)?;
        if !context.can(Capabilities::SYS_CHROOT) {
            return Err(Errno::EPERM.into());
        }
        files.set_root(state, place)?;
        Ok(0)
    })
}

/// umask(2).
pub(super) fn umask<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let umask = call.number(0) as u16;
    Ok(u64::from(system.directories_of(call)?.set_umask(umask)))
}

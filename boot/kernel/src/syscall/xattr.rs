//! Extended attributes: got, listed, set, removed. Each call comes three times: for what a path leads to, for a link itself,
//! and for an open file.

use super::path::PathArgument;
use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::{Context, Files, Last, NewAttribute, PlaceRef};
use crate::limits::NAME_BYTES;
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// The number of setxattr(2), behind which the others follow, three of each.
const FIRST: u32 = 188;
const FGETXATTR: u32 = 193;
const FLISTXATTR: u32 = 196;

/// Bytes of the longest value (Linux `XATTR_SIZE_MAX`). A longer one is E2BIG.
const VALUE_BYTES: usize = 65536;

/// Lets `act` do something with the file a call of the family is about.
fn with_file<B: Block>(
    system: &mut System<B>,
    call: &Call,
    act: &mut dyn FnMut(&mut Files<B>, &mut Context<'_>, PlaceRef<'_>) -> Outcome,
) -> Outcome {
    let path = PathArgument::plain(call, 0);
    match (call.number - FIRST) % 3 {
        0 => system.with_place(call, path, Last::Follow, 0, act),
        1 => system.with_place(call, path, Last::Keep, 0, act),
        _ => {
            system.open_content(call, 0)?;
            let done = system.with_open_place(call, 0, act);
            match done {
                // What has no place in a tree has no attributes.
                Err(stall) if stall.errno() == Some(Errno::EINVAL) => match call.number {
                    FGETXATTR => Err(Errno::ENODATA.into()),
                    FLISTXATTR => Ok(0),
                    _ => Err(Errno::EPERM.into()),
                },
                done => done,
            }
        }
    }
}

/// Reads an attribute's name.
fn name<'a, B: Block>(
    system: &mut System<B>,
    call: &Call,
    bytes: &'a mut [u8; NAME_BYTES + 1],
) -> Result<&'a [u8], Stall> {
    match system.read_cstring(call.space, call.address(1), bytes, Errno::ERANGE)? {
        b"" => Err(Errno::ERANGE.into()),
        name => Ok(name),
    }
}

/// Gives a program `length` bytes, as many as it has room for; without any, only their count.
fn give<B: Block>(
    system: &mut System<B>,
    call: &Call,
    (to, room): (UserAddr, usize),
    bytes: &[u8],
    length: u64,
) -> Outcome {
    if room == 0 {
        return Ok(length);
    }
    let given = bytes
        .get(..length as usize)
        .filter(|given| given.len() <= room);
    system.write_user(call.space, to, given.ok_or(Errno::ERANGE)?)?;
    Ok(length)
}

/// getxattr(2), lgetxattr(2), fgetxattr(2).
pub(super) fn getxattr<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (mut bytes, mut value) = ([0; NAME_BYTES + 1], [0; PAGE_BYTES]);
    let name = name(system, call, &mut bytes)?;
    let length = with_file(system, call, &mut |files, context, place| {
        Ok(files.attribute(context, place, name, &mut value)? as u64)
    })?;
    let room = (call.address(2), call.size(3)?);
    give(system, call, room, &value, length)
}

/// listxattr(2), llistxattr(2), flistxattr(2).
pub(super) fn listxattr<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mut names = [0; PAGE_BYTES];
    let length = with_file(system, call, &mut |files, context, place| {
        Ok(files.list_attributes(context, place, &mut names)? as u64)
    })?;
    let room = (call.address(1), call.size(2)?);
    give(system, call, room, &names, length)
}

/// setxattr(2), lsetxattr(2), fsetxattr(2).
pub(super) fn setxattr<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let how = NewAttribute::from_bits(call.uint(4)).ok_or(Errno::EINVAL)?;
    let (mut bytes, mut value) = ([0; NAME_BYTES + 1], [0; PAGE_BYTES]);
    let name = name(system, call, &mut bytes)?;
    let length = call.size(3)?;
    if length > VALUE_BYTES {
        return Err(Errno::E2BIG.into());
    }
    let value = value.get_mut(..length).ok_or(Errno::ENOSPC)?;
    system.read_user(call.space, call.address(2), value)?;
    with_file(system, call, &mut |files, context, place| {
        files.set_attribute(context, place, name, Some(value), how)?;
        Ok(0)
    })
}

/// removexattr(2), lremovexattr(2), fremovexattr(2).
pub(super) fn removexattr<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mut bytes = [0; NAME_BYTES + 1];
    let name = name(system, call, &mut bytes)?;
    with_file(system, call, &mut |files, context, place| {
        files.set_attribute(context, place, name, None, NewAttribute::REPLACED)?;
        Ok(0)
    })
}

//! Descriptors: closed, copied, asked and told things.

use super::{Call, Outcome, lock, owner};
use crate::errno::Errno;
use crate::fs::{Access, Device, Kind, OpenFlags, PIPE_BYTES, Seals, Target};
use crate::system::{FileParts, System};
use crate::wait::Stall;
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// close(2).
pub(super) fn close<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let table = system.table_of(call)?;
    let mut parts = system.file_parts(call.process)?;
    parts.files.close(&mut parts.context, table, call.int(0))?;
    Ok(0)
}

/// close_range(2). A table that is shared stays shared: CLOSE_RANGE_UNSHARE is EINVAL.
pub(super) fn close_range<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const CLOEXEC: u64 = 4;
    if call.number(2) & !CLOEXEC != 0 || call.uint(0) > call.uint(1) {
        return Err(Errno::EINVAL.into());
    }
    let table = system.table_of(call)?;
    if call.number(2) == CLOEXEC {
        let table = system.files.table_mut(table)?;
        table.set_all_close_on_exec(call.uint(0) as usize..=call.uint(1) as usize);
        return Ok(0);
    }
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    let (first, last) = (call.uint(0) as usize, call.uint(1) as usize);
    files.close_range(&mut context, table, first, last)?;
    Ok(0)
}

/// dup(2).
pub(super) fn dup<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    duplicate(system, call, 0, false)
}

fn duplicate<B: Block>(
    system: &mut System<B>,
    call: &Call,
    minimum: usize,
    close_on_exec: bool,
) -> Outcome {
    let table = system.table_of(call)?;
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    let fd = files.duplicate(&mut context, table, call.int(0), minimum, close_on_exec)?;
    Ok(fd as u64)
}

/// dup2(2).
pub(super) fn dup2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    if call.int(0) == call.int(1) {
        system.open_file_or_path(call, 0)?;
        return Ok(u64::from(call.uint(0)));
    }
    duplicate_to(system, call, false)
}

/// dup3(2).
pub(super) fn dup3<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let cloexec = OpenFlags::CLOEXEC.bits();
    if call.int(0) == call.int(1) || call.uint(2) & !cloexec != 0 {
        return Err(Errno::EINVAL.into());
    }
    duplicate_to(system, call, call.uint(2) & cloexec != 0)
}

fn duplicate_to<B: Block>(system: &mut System<B>, call: &Call, close_on_exec: bool) -> Outcome {
    let table = system.table_of(call)?;
    let FileParts {
        files, mut context, ..
    } = system.file_parts(call.process)?;
    let (from, to) = (call.int(0), call.int(1));
    let fd = files.duplicate_to(&mut context, table, from, to, close_on_exec)?;
    Ok(fd as u64)
}

/// Reads the flags of a call that makes a descriptor; `others` are the call's own.
pub(super) fn flags_of(bits: u32, others: u32) -> Result<OpenFlags, Errno> {
    let known = OpenFlags::CLOEXEC | OpenFlags::NONBLOCK;
    let flags = OpenFlags::from_bits_truncate(bits) & known;
    if bits & !others == flags.bits() {
        Ok(flags)
    } else {
        Err(Errno::EINVAL)
    }
}

/// pipe(2).
pub(super) fn pipe<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make_pipe(system, call, OpenFlags::empty())
}

/// pipe2(2).
pub(super) fn pipe2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = flags_of(call.uint(1), 0)?;
    make_pipe(system, call, flags)
}

fn make_pipe<B: Block>(system: &mut System<B>, call: &Call, flags: OpenFlags) -> Outcome {
    let table = system.table_of(call)?;
    // The place for the numbers is tried first: with the pipe made there would be no way back.
    system.write_user(call.space, call.address(0), &[0; 8])?;
    let mut parts = system.file_parts(call.process)?;
    let (reader, writer) = parts.files.open_pipe(&mut parts.context, table, flags)?;
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&reader.to_le_bytes());
    bytes[4..].copy_from_slice(&writer.to_le_bytes());
    system.write_user(call.space, call.address(0), &bytes)?;
    Ok(0)
}

/// fcntl(2).
pub(super) fn fcntl<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const DUPFD: i32 = 0;
    const GETFD: i32 = 1;
    const SETFD: i32 = 2;
    const GETFL: i32 = 3;
    const SETFL: i32 = 4;
    const DUPFD_CLOEXEC: i32 = 1030;
    const SETPIPE_SZ: i32 = 1031;
    const GETPIPE_SZ: i32 = 1032;
    const ADD_SEALS: i32 = 1033;
    const GET_SEALS: i32 = 1034;
    const CLOSE_ON_EXEC: u64 = 1;
    let table = system.table_of(call)?;
    let fd = call.int(0);
    let (id, _) = system.open_file_or_path(call, 0)?;
    if let Some(outcome) = owner::fcntl(system, call, id) {
        return outcome;
    }
    match call.int(1) {
        command @ (DUPFD | DUPFD_CLOEXEC) => {
            let minimum = usize::try_from(call.int(2)).map_err(|_| Errno::EINVAL)?;
            if minimum >= system.files.table(table)?.limit() {
                return Err(Errno::EINVAL.into());
            }
            duplicate(system, call, minimum, command == DUPFD_CLOEXEC)
        }
        GETFD => Ok(u64::from(system.files.table(table)?.get(fd)?.close_on_exec)),
        SETFD => {
            let on = call.number(2) & CLOSE_ON_EXEC != 0;
            system.files.set_close_on_exec(table, fd, on)?;
            Ok(0)
        }
        GETFL => {
            let (_, file) = system.files.description(table, fd)?;
            Ok(u64::from(file.flags.bits()))
        }
        SETFL => {
            let flags = OpenFlags::from_bits_truncate(call.uint(2));
            owner::set_flags(system, call, id, flags)
        }
        lock::GETLK..=lock::SETLKW | lock::OFD_GETLK..=lock::OFD_SETLKW => {
            lock::range(system, call, id)
        }
        ADD_SEALS => {
            let seals = u8::try_from(call.uint(2)).ok().and_then(Seals::from_bits);
            let seals = seals.ok_or(Errno::EINVAL)?;
            match system.files.add_seals(id, seals) {
                // Mappings of ended programs may not have been taken down yet.
                Err(Errno::EBUSY) if !system.dying.is_empty() => Err(Stall::AGAIN),
                added => Ok(added.map(|()| 0)?),
            }
        }
        GET_SEALS => Ok(u64::from(system.files.seals(id)?.bits())),
        command @ (SETPIPE_SZ | GETPIPE_SZ) => {
            let Target::Pipe(..) = system.files.description(table, fd)?.1.target else {
                return Err(Errno::EBADF.into());
            };
            // The capacity is fixed. Whoever wants less gets what there is, unless more than that waits in the pipe.
            let wanted = u64::from(call.uint(2)).max(PAGE_BYTES as u64);
            match wanted.next_power_of_two() {
                _ if command == GETPIPE_SZ => Ok(PIPE_BYTES as u64),
                wanted if wanted > PIPE_BYTES as u64 => Err(Errno::EPERM.into()),
                wanted if wanted < system.files.readable_bytes(id)? => Err(Errno::EBUSY.into()),
                _ => Ok(PIPE_BYTES as u64),
            }
        }
        _ => Err(Errno::EINVAL.into()),
    }
}

/// ioctl(2): the few requests that all files know; `terminal` has the others.
pub(super) fn ioctl<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const FIONREAD: u32 = 0x541b;
    const FIONBIO: u32 = 0x5421;
    const FIONCLEX: u32 = 0x5450;
    const FIOASYNC: u32 = 0x5452;
    const FIOCLEX: u32 = 0x5451;
    /// IOCTL_VM_SOCKETS_GET_LOCAL_CID (linux/vm_sockets.h).
    const GET_LOCAL_CID: u32 = 0x7b9;
    let (id, _) = system.open_content(call, 0)?;
    let table = system.table_of(call)?;
    if let Some(outcome) = super::terminal::ioctl(system, call, id) {
        return outcome;
    }
    match call.uint(1) {
        GET_LOCAL_CID => {
            let (_, file) = system.files.description(table, call.int(0))?;
            if file.target != Target::Device(Device::Vsock) {
                return Err(Errno::ENOTTY.into());
            }
            let cid = system.files.sockets.host()?.cid;
            system.write_user(call.space, call.address(2), &cid.to_le_bytes())?;
            Ok(0)
        }
        FIONREAD => {
            let count = system.files.readable_bytes(id)?.min(i32::MAX as u64) as u32;
            system.write_user(call.space, call.address(2), &count.to_le_bytes())?;
            Ok(0)
        }
        FIONBIO => {
            let on = system.read_u32(call.space, call.address(2))? != 0;
            let mut flags = system.files.description(table, call.int(0))?.1.flags;
            flags.set(OpenFlags::NONBLOCK, on);
            system.files.set_flags(id, flags)?;
            Ok(0)
        }
        FIOASYNC => {
            let on = system.read_u32(call.space, call.address(2))? != 0;
            owner::set_telling(system, call, id, on)
        }
        request @ (FIONCLEX | FIOCLEX) => {
            let on = request == FIOCLEX;
            system.files.set_close_on_exec(table, call.int(0), on)?;
            Ok(0)
        }
        _ => Err(Errno::ENOTTY.into()),
    }
}

/// lseek(2).
pub(super) fn lseek<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let id = system.open_file(call, 0)?;
    Ok(system.files.seek(id, call.number(1) as i64, call.uint(2))?)
}

/// fsync(2), fdatasync(2), syncfs(2): what is written lies in memory, and is as safe there as it will be.
pub(super) fn fsync<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    match system.open_file_or_path(call, 0)?.1 {
        Target::Pipe(..)
        | Target::Socket(_)
        | Target::Terminal(_)
        | Target::Event(_)
        | Target::Epoll(_) => Err(Errno::EINVAL.into()),
        Target::Nothing => Err(Errno::EBADF.into()),
        Target::Inode(_) | Target::Device(_) => Ok(0),
    }
}

/// sync(2).
pub(super) fn sync<B: Block>(_: &mut System<B>, _: &mut Call) -> Outcome {
    Ok(0)
}

/// fadvise64(2): advice is taken note of and not needed.
pub(super) fn fadvise64<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// POSIX_FADV_NOREUSE, the last.
    const LAST: u32 = 5;
    match system.open_file_or_path(call, 0)?.1 {
        Target::Nothing => Err(Errno::EBADF.into()),
        Target::Pipe(..) => Err(Errno::ESPIPE.into()),
        _ if call.number(2) as i64 >= 0 && call.uint(3) <= LAST => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// readahead(2): what is read soon is looked for when it is.
pub(super) fn readahead<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (id, access) = system.open_content(call, 0)?;
    if !access.contains(Access::READ) {
        return Err(Errno::EBADF.into());
    }
    let parts = system.file_parts(call.process)?;
    match parts.files.attributes_of(&parts.context, id)?.kind {
        Kind::Regular => Ok(0),
        _ => Err(Errno::EINVAL.into()),
    }
}

/// sync_file_range(2): as fsync(2).
pub(super) fn sync_file_range<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const FLAGS: u32 = 7;
    let (_, target) = system.open_file_or_path(call, 0)?;
    let (start, bytes) = (call.number(1) as i64, call.number(2) as i64);
    let is_range = start >= 0 && bytes >= 0 && start.checked_add(bytes).is_some();
    match target {
        Target::Nothing => Err(Errno::EBADF.into()),
        _ if call.uint(3) & !FLAGS != 0 || !is_range => Err(Errno::EINVAL.into()),
        Target::Inode(_) => Ok(0),
        _ => Err(Errno::ESPIPE.into()),
    }
}

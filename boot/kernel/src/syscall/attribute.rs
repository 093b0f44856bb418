//! Attributes of files: asked for, checked, changed.

use super::path::{
    AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_STATX_SYNC_TYPE, AT_SYMLINK_NOFOLLOW,
    PathArgument, check_flags, last_of,
};
use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::{Access, Attributes, Context, Files, InodeId, Kind, Last, PlaceRef, Sort};
use crate::limits::NAME_BYTES;
use crate::system::System;
use crate::user_memory::UserAddr;
use crate::wait::{Stall, Why};
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// Bytes of `struct stat` (asm/stat.h of x86-64).
const STAT_BYTES: usize = 144;

/// Bytes of `struct statx` (linux/stat.h).
const STATX_BYTES: usize = 256;

/// Bytes of `struct statfs` (asm/statfs.h of x86-64).
const STATFS_BYTES: usize = 120;

/// Collects the fields of a structure at their offsets.
struct Fields<const N: usize>([u8; N]);

impl<const N: usize> Fields<N> {
    fn half(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn word(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn long(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
}

/// stat(2).
pub(super) fn stat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    stat_path(system, call, PathArgument::plain(call, 0), 1, 0)
}

/// lstat(2).
pub(super) fn lstat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let path = PathArgument::plain(call, 0);
    stat_path(system, call, path, 1, AT_SYMLINK_NOFOLLOW)
}

/// newfstatat(2).
pub(super) fn newfstatat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.uint(3);
    check_flags(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT)?;
    stat_path(system, call, PathArgument::at(call, 0), 2, flags)
}

/// fstat(2).
pub(super) fn fstat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let attributes = of_descriptor(system, call, call.int(0))?;
    write_stat(system, call, call.address(1), &attributes)
}

fn of_descriptor<B: Block>(
    system: &mut System<B>,
    call: &Call,
    fd: i32,
) -> Result<Attributes, Errno> {
    let table = system.table_of(call)?;
    let parts = system.file_parts(call.process)?;
    let (id, _) = parts.files.description(table, fd)?;
    parts.files.attributes_of(&parts.context, id)
}

/// Returns the attributes of what a path or, with AT_EMPTY_PATH, a descriptor means: pipes too.
fn of_path<B: Block>(
    system: &mut System<B>,
    call: &Call,
    path: PathArgument,
    flags: u32,
) -> Result<Attributes, Stall> {
    if flags & AT_EMPTY_PATH != 0
        && path.from != AT_FDCWD
        && (path.address.is_null() || system.is_empty_path(call, path)?)
    {
        return Ok(of_descriptor(system, call, path.from)?);
    }
    let last = last_of(flags);
    let (parts, place) = system.hold_place(call, path, last, flags)?;
    parts.with_held(place, |files, context, place| match last {
        Last::Follow => Ok(files.attributes_behind(context, place)?),
        Last::Keep | Last::Name => Ok(files.attributes(place)?),
    })
}

fn stat_path<B: Block>(
    system: &mut System<B>,
    call: &Call,
    path: PathArgument,
    into: usize,
    flags: u32,
) -> Outcome {
    let attributes = of_path(system, call, path, flags)?;
    write_stat(system, call, call.address(into), &attributes)
}

fn write_stat<B: Block>(
    system: &mut System<B>,
    call: &Call,
    into: UserAddr,
    attributes: &Attributes,
) -> Outcome {
    let mut fields = Fields([0; STAT_BYTES]);
    fields.long(0, attributes.device);
    fields.long(8, attributes.number);
    fields.long(16, u64::from(attributes.links));
    fields.word(24, u32::from(attributes.mode()));
    fields.word(28, attributes.uid);
    fields.word(32, attributes.gid);
    fields.long(40, attributes.special);
    fields.long(48, attributes.size);
    fields.long(56, PAGE_BYTES as u64);
    fields.long(64, attributes.blocks);
    let times = [attributes.accessed, attributes.modified, attributes.changed];
    for (at, time) in [72, 88, 104].into_iter().zip(times) {
        fields.long(at, time.as_secs());
        fields.long(at + 8, u64::from(time.subsec_nanos()));
    }
    system.write_user(call.space, into, &fields.0)?;
    Ok(0)
}

/// statx(2).
pub(super) fn statx<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// STATX_BASIC_STATS: everything stat(2) has.
    const BASIC: u32 = 0x7ff;
    const RESERVED: u32 = 0x8000_0000;
    let flags = call.uint(2);
    check_flags(
        flags,
        AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_SYNC_TYPE,
    )?;
    if call.uint(3) & RESERVED != 0 || flags & AT_STATX_SYNC_TYPE == AT_STATX_SYNC_TYPE {
        return Err(Errno::EINVAL.into());
    }
    let attributes = of_path(system, call, PathArgument::at(call, 0), flags)?;
    let (major, minor) = (
        |device: u64| device as u32 >> 8 & 0xfff,
        |device: u64| device as u32 & 0xff | (device >> 12) as u32 & 0xffff_ff00,
    );
    let mut fields = Fields([0; STATX_BYTES]);
    fields.word(0, BASIC);
    fields.word(4, PAGE_BYTES as u32);
    fields.word(16, attributes.links);
    fields.word(20, attributes.uid);
    fields.word(24, attributes.gid);
    fields.half(28, attributes.mode());
    fields.long(32, attributes.number);
    fields.long(40, attributes.size);
    fields.long(48, attributes.blocks);
    let times = [attributes.accessed, attributes.changed, attributes.modified];
    for (at, time) in [64, 96, 112].into_iter().zip(times) {
        fields.long(at, time.as_secs());
        fields.word(at + 8, time.subsec_nanos());
    }
    fields.word(128, major(attributes.special));
    fields.word(132, minor(attributes.special));
    fields.word(136, major(attributes.device));
    fields.word(140, minor(attributes.device));
    system.write_user(call.space, call.address(4), &fields.0)?;
    Ok(0)
}

/// statfs(2).
pub(super) fn statfs<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let path = PathArgument::plain(call, 0);
    let (parts, place) = system.hold_place(call, path, Last::Follow, 0)?;
    let sort = parts.with_held(place, |files, _, place| Ok(files.sort_of(place)))?;
    write_statfs(system, call, sort)
}

/// fstatfs(2).
pub(super) fn fstatfs<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mut sort = None;
    let asked = system.with_open_place(call, 0, &mut |files, _, place| {
        sort = files.sort_of(place);
        Ok(0)
    });
    // What has no name lies in memory.
    match asked {
        Err(stall) if stall.errno() != Some(Errno::EINVAL) => return Err(stall),
        _ => {}
    }
    write_statfs(system, call, sort)
}

fn write_statfs<B: Block>(system: &mut System<B>, call: &Call, sort: Option<Sort>) -> Outcome {
    /// Magic numbers of linux/magic.h.
    const OVERLAY: u64 = 0x794c_7630;
    const TMPFS: u64 = 0x0102_1994;
    const PROC: u64 = 0x9fa0;
    const DEVPTS: u64 = 0x1cd1;
    let magic = match sort {
        Some(Sort::Overlay) => OVERLAY,
        Some(Sort::Processes) => PROC,
        Some(Sort::Terminals) => DEVPTS,
        Some(Sort::Memory | Sort::Devices) | None => TMPFS,
    };
    let mut fields = Fields([0; STATFS_BYTES]);
    fields.long(0, magic);
    fields.long(8, PAGE_BYTES as u64);
    fields.long(16, system.pool.total() as u64);
    fields.long(24, system.pool.available() as u64);
    fields.long(32, system.pool.available() as u64);
    fields.long(64, NAME_BYTES as u64);
    fields.long(72, PAGE_BYTES as u64);
    system.write_user(call.space, call.address(1), &fields.0)?;
    Ok(0)
}

/// access(2).
pub(super) fn access<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    check_access(system, call, PathArgument::plain(call, 0), 1, 0)
}

/// faccessat(2): it has no flags.
pub(super) fn faccessat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    check_access(system, call, PathArgument::at(call, 0), 2, 0)
}

/// faccessat2(2).
pub(super) fn faccessat2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.uint(3);
    check_flags(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EACCESS)?;
    check_access(system, call, PathArgument::at(call, 0), 2, flags)
}

fn check_access<B: Block>(
    system: &mut System<B>,
    call: &Call,
    path: PathArgument,
    mode: usize,
    flags: u32,
) -> Outcome {
    let mode = u8::try_from(call.number(mode)).ok();
    let wanted = mode.and_then(Access::from_bits).ok_or(Errno::EINVAL)?;
    let last = last_of(flags);
    let identity = system.identity_mut(call.process)?;
    let files = &mut identity.files;
    let acted = (files.uid, files.gid, files.capabilities.effective);
    if flags & AT_EACCESS == 0 {
        // What matters is whose the process is, not on whose behalf it acts (access(2)).
        (files.uid, files.gid) = (identity.user.real, identity.group.real);
        files.capabilities.effective = files.capabilities.of_asker(files.uid);
    }
    let outcome = system.with_place(call, path, last, flags, &mut |files, context, place| {
        if !wanted.is_empty() {
            files.permit(context, place, wanted)?;
        }
        Ok(0)
    });
    let files = &mut system.identity_mut(call.process)?.files;
    (files.uid, files.gid, files.capabilities.effective) = acted;
    outcome
}

/// chmod(2).
pub(super) fn chmod<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_mode(system, call, PathArgument::plain(call, 0), 1)
}

/// fchmodat(2).
pub(super) fn fchmodat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_mode(system, call, PathArgument::at(call, 0), 2)
}

fn set_mode<B: Block>(
    system: &mut System<B>,
    call: &Call,
    path: PathArgument,
    mode: usize,
) -> Outcome {
    let mode = call.number(mode) as u16;
    system.with_place(call, path, Last::Follow, 0, &mut |files, context, place| {
        files.set_permissions(context, place, mode)?;
        Ok(0)
    })
}

/// fchmod(2).
pub(super) fn fchmod<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let mode = call.number(1) as u16;
    system.open_content(call, 0)?;
    system.with_open_place(call, 0, &mut |files, context, place| {
        files.set_permissions(context, place, mode)?;
        Ok(0)
    })
}

/// chown(2).
pub(super) fn chown<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    set_owner(system, call, PathArgument::plain(call, 0), 1, 0)
}

/// lchown(2).
pub(super) fn lchown<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let path = PathArgument::plain(call, 0);
    set_owner(system, call, path, 1, AT_SYMLINK_NOFOLLOW)
}

/// fchownat(2).
pub(super) fn fchownat<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = call.uint(4);
    check_flags(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
    set_owner(system, call, PathArgument::at(call, 0), 2, flags)
}

fn set_owner<B: Block>(
    system: &mut System<B>,
    call: &Call,
    path: PathArgument,
    nth: usize,
    flags: u32,
) -> Outcome {
    let (uid, gid) = (owner(call, nth), owner(call, nth + 1));
    let last = last_of(flags);
    system.with_place(call, path, last, flags, &mut |files, context, place| {
        files.set_owner(context, place, uid, gid)?;
        Ok(0)
    })
}

/// fchown(2).
pub(super) fn fchown<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let (uid, gid) = (owner(call, 1), owner(call, 2));
    system.open_content(call, 0)?;
    system.with_open_place(call, 0, &mut |files, context, place| {
        files.set_owner(context, place, uid, gid)?;
        Ok(0)
    })
}

/// Returns the owner in an argument; -1 means "as it is".
fn owner(call: &Call, nth: usize) -> Option<u32> {
    Some(call.uint(nth)).filter(|&id| id != u32::MAX)
}

/// truncate(2).
pub(super) fn truncate<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let length = u64::try_from(call.number(1) as i64).map_err(|_| Errno::EINVAL)?;
    if call.progress != 0 {
        return refresh(system, call);
    }
    let path = PathArgument::plain(call, 0);
    let cut = system.with_place(call, path, Last::Follow, 0, &mut |files, context, place| {
        if files.attributes(place)?.kind == Kind::Regular {
            files.permit(context, place, Access::WRITE)?;
        }
        cut(files, context, place, length)
    });
    call.progress = lengthened(system, call, cut)?;
    refresh(system, call)
}

/// Sets a file's length; returns the file's name, or 0 when nobody else has to hear of it.
fn cut<B: Block>(
    files: &mut Files<B>,
    context: &mut Context<'_>,
    place: PlaceRef<'_>,
    length: u64,
) -> Outcome {
    files.truncate(context, place, length)?;
    Ok(files.viewed_at(place).map_or(0, InodeId::bits))
}

/// Takes what is gone away from areas that show the file whose name is the call's progress.
fn refresh<B: Block>(system: &mut System<B>, call: &Call) -> Outcome {
    if let Some(file) = InodeId::from_bits(call.progress) {
        system.refresh_seen(file)?;
    }
    Ok(0)
}

/// Sends the signal that comes with a length no file of the process may have.
fn lengthened<B: Block>(system: &mut System<B>, call: &Call, outcome: Outcome) -> Outcome {
    if let Err(Why::Error(errno)) = outcome.map_err(Stall::why) {
        system.signal_unwritten(call, errno);
    }
    outcome
}

/// ftruncate(2).
pub(super) fn ftruncate<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let length = u64::try_from(call.number(1) as i64).map_err(|_| Errno::EINVAL)?;
    if call.progress != 0 {
        return refresh(system, call);
    }
    let (_, access) = system.open_content(call, 0)?;
    if !access.contains(Access::WRITE) {
        return Err(Errno::EINVAL.into());
    }
    let cut = system.with_open_place(call, 0, &mut |files, context, place| {
        cut(files, context, place, length)
    });
    call.progress = lengthened(system, call, cut)?;
    refresh(system, call)
}

/// fallocate(2). Memory is given when it is written to, as on a file system that allocates late: a file becomes as long as
/// asked for, and a later write may still find no room. Of a hole, memory is given back by pages.
pub(super) fn fallocate<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const KEEP_SIZE: i32 = 1;
    const PUNCH_HOLE: i32 = 2;
    const ZERO_RANGE: i32 = 0x10;
    let (id, access) = system.open_content(call, 0)?;
    let (start, length) = (call.number(2) as i64, call.number(3) as i64);
    if start < 0 || length <= 0 {
        return Err(Errno::EINVAL.into());
    }
    let mode = call.int(1);
    let keeps_size = mode & KEEP_SIZE != 0;
    match mode & !KEEP_SIZE {
        0 | ZERO_RANGE => {}
        PUNCH_HOLE if keeps_size => {}
        _ => return Err(Errno::EOPNOTSUPP.into()),
    }
    if !access.contains(Access::WRITE) {
        return Err(Errno::EBADF.into());
    }
    if system.files.pipe_of(id).is_some() {
        return Err(Errno::ESPIPE.into());
    }
    let end = start.checked_add(length).ok_or(Errno::EFBIG)? as u64;
    let mut zeroed = call.progress.max(start as u64)..end;
    let done = system.with_open_place(call, 0, &mut |files, context, place| {
        let attributes = files.attributes(place)?;
        if attributes.kind != Kind::Regular {
            return Err(Errno::ENODEV.into());
        }
        if mode & (PUNCH_HOLE | ZERO_RANGE) != 0 {
            files.clear_range(context, place, &mut zeroed)?;
        }
        if !keeps_size && end > attributes.size {
            files.truncate(context, place, end)?;
        }
        Ok(0)
    });
    call.progress = zeroed.start;
    lengthened(system, call, done)
}

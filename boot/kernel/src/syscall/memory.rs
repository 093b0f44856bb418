//! Memory: brk, mmap, munmap, mprotect, mremap.

use super::{Call, Outcome};
use crate::errno::Errno;
use crate::fs::{Access, Device, Target};
use crate::limits::FILE_BYTES;
use crate::process::ProcessId;
use crate::space::{Area, Backing, LOWEST_ADDRESS, Wish, Withheld};
use crate::system::System;
use crate::wait::Stall;
use core::ops::Range;
use hal::block::Block;
use hal::limits::PAGE_BYTES;
use hal::page_table::{Page, Protection};

pub(super) const PAGE: u64 = PAGE_BYTES as u64;

bitflags::bitflags! {
    /// Flags of mmap(2) (asm-generic/mman.h, mman-common.h).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct MapFlags: u32 {
        const FIXED = 0x10;
        const ANONYMOUS = 0x20;
        const LOW = 0x40;
        const GROWS_DOWN = 0x100;
        const HUGE = 0x4_0000;
        const FIXED_NOREPLACE = 0x10_0000;
        /// What was there before `MAP_SHARED_VALIDATE`, which knows nothing else (mman.h `LEGACY_MAP_MASK`): these, and
        /// those that are advice.
        const OLD = 0x7c07_f9f0;
    }
}

/// The bits of mmap's flags that tell what kind of mapping it is.
const KIND: u32 = 0xf;
/// `MAP_SHARED`, `MAP_PRIVATE`, `MAP_SHARED_VALIDATE`.
const SHARED: u32 = 1;
const PRIVATE: u32 = 2;
const VALIDATE: u32 = 3;

bitflags::bitflags! {
    /// Flags of mremap(2).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct RemapFlags: u32 {
        const MAY_MOVE = 1;
        const FIXED = 2;
        const DONT_UNMAP = 4;
    }
}

/// Reads `PROT_*` (mman(2): READ 1, WRITE 2, EXEC 4), which are our bits. Further bits ask for what x86 has not.
fn protection(bits: u64) -> Result<Protection, Errno> {
    u8::try_from(bits)
        .ok()
        .and_then(Protection::from_bits)
        .ok_or(Errno::EINVAL)
}

/// Returns how many pages `bytes` bytes are.
fn pages(bytes: u64) -> Result<u64, Errno> {
    if bytes == 0 {
        return Err(Errno::EINVAL);
    }
    let pages = bytes.div_ceil(PAGE);
    if pages > Page::END.number() {
        return Err(Errno::ENOMEM);
    }
    Ok(pages)
}

/// Returns the pages from `address` on, which must be the start of one.
pub(super) fn range(address: u64, bytes: u64) -> Result<Range<u64>, Errno> {
    if !address.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL);
    }
    let first = address / PAGE;
    let end = first + bytes.div_ceil(PAGE);
    if bytes > u64::MAX - PAGE || end > Page::END.number() {
        return Err(Errno::ENOMEM);
    }
    Ok(first..end)
}

/// brk(2): as Linux's, an end that cannot be is answered with the one there is.
pub(super) fn brk<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let space = system.space(call.space)?;
    let (start, end) = (space.break_start, space.break_end);
    let wanted = call.number(0);
    if wanted < start || wanted > Page::END.address() {
        return Ok(end);
    }
    let (old, new) = (end.div_ceil(PAGE), wanted.div_ceil(PAGE));
    if new > old {
        if !space.areas.is_free(old..new) {
            return Ok(end);
        }
        let area = Area {
            first: old,
            end: new,
            protection: Protection::READ | Protection::WRITE,
            backing: Backing::Anonymous,
            withheld: Withheld::empty(),
        };
        if system.add_area(call.space, area).is_err() {
            return Ok(end);
        }
    } else if new < old {
        system.remove_pages(call.space, new..old)?;
    }
    system.space_mut(call.space)?.break_end = wanted;
    Ok(wanted)
}

/// mmap(2).
pub(super) fn mmap<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let address = call.number(0);
    // Further bits ask for what x86 has not, and mmap has never minded them.
    let protection = Protection::from_bits_truncate(call.number(2) as u8);
    let flags = MapFlags::from_bits_retain(call.uint(3));
    let offset = call.number(5);
    if !offset.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL.into());
    }
    let is_anonymous = flags.contains(MapFlags::ANONYMOUS);
    if !is_anonymous {
        system.open_file(call, 4)?;
    }
    let pages = pages(call.number(1))?;
    let kind = flags.bits() & KIND;
    let is_shared = match kind {
        PRIVATE => false,
        SHARED => true,
        VALIDATE if !is_anonymous => true,
        _ => return Err(Errno::EINVAL.into()),
    };
    let grows = flags.contains(MapFlags::GROWS_DOWN);
    if grows && (is_shared || !is_anonymous) {
        return Err(Errno::EINVAL.into());
    }
    if kind == VALIDATE && flags.bits() & !(KIND | MapFlags::OLD.bits()) != 0 {
        return Err(Errno::EOPNOTSUPP.into());
    }
    if flags.contains(MapFlags::HUGE) {
        return Err(Errno::ENOMEM.into());
    }
    let fixed = flags.intersects(MapFlags::FIXED | MapFlags::FIXED_NOREPLACE);
    if fixed && !address.is_multiple_of(PAGE) {
        return Err(Errno::EINVAL.into());
    }
    let first = address / PAGE;
    let wish = if flags.contains(MapFlags::FIXED_NOREPLACE) {
        Wish::ExactlyFree(first)
    } else if flags.contains(MapFlags::FIXED) {
        Wish::Exactly(first)
    } else if flags.contains(MapFlags::LOW) {
        Wish::Low(address.div_ceil(PAGE))
    } else {
        Wish::Near(address.div_ceil(PAGE))
    };
    let first = system.choose_pages(call.space, pages, wish)?;
    let backing = match (is_anonymous, is_shared) {
        (true, false) if grows => Backing::Stack,
        (true, false) => Backing::Anonymous,
        (true, true) => make_shared(system, call.process, pages)?,
        (false, _) => {
            // Positions in files are signed.
            let end = offset.saturating_add(pages * PAGE);
            i64::try_from(end).map_err(|_| Errno::EOVERFLOW)?;
            open_mapped(system, call, is_shared, protection, pages)?
        }
    };
    let area = Area {
        first,
        end: first + pages,
        protection,
        backing,
        withheld: Withheld::empty(),
    };
    let added = add(system, call, area, wish);
    if let Some(file) = area.file() {
        // The area has its own count.
        system.release_file(file);
    }
    added?;
    Ok(first * PAGE)
}

/// Adds an area, in the place of what is there if that is the wish.
fn add<B: Block>(system: &mut System<B>, call: &Call, area: Area, wish: Wish) -> Result<(), Stall> {
    let range = area.first..area.end;
    let mut more = area.pages();
    if matches!(wish, Wish::Exactly(_)) {
        more -= covered_pages(system, call, &range)?;
    }
    system.permit_pages(call.space, &area, more)?;
    if matches!(wish, Wish::Exactly(_)) {
        system.remove_pages(call.space, range)?;
    }
    Ok(system.place_area(call.space, area)?)
}

/// Returns how many pages of `range` there are already.
fn covered_pages<B: Block>(
    system: &System<B>,
    call: &Call,
    range: &Range<u64>,
) -> Result<u64, Errno> {
    let areas = &system.space(call.space)?.areas;
    Ok(areas.covered_pages(range.clone()))
}

/// Makes memory that children will share: a file without a name.
fn make_shared<B: Block>(
    system: &mut System<B>,
    process: ProcessId,
    pages: u64,
) -> Result<Backing, Stall> {
    let bytes = pages * PAGE;
    if bytes > FILE_BYTES {
        return Err(Errno::ENOMEM.into());
    }
    let directories = system.process(process)?.directories.ok_or(Errno::ENOENT)?;
    let mut parts = system.file_parts(process)?;
    let place = parts
        .files
        .make_nameless(&mut parts.context, directories, bytes)
        .map_err(|_| Errno::ENOMEM)?;
    let file = system.show_file(place)?;
    Ok(Backing::Shared { file, page: 0 })
}

/// Finds the file a mapping shows. Writes to a shared mapping are the file's if that was opened for writing, too;
/// of any other file a shared mapping cannot be written to, and shows what others write.
fn open_mapped<B: Block>(
    system: &mut System<B>,
    call: &Call,
    is_shared: bool,
    protection: Protection,
    pages: u64,
) -> Result<Backing, Stall> {
    let table = system.process(call.process)?.files.ok_or(Errno::EBADF)?;
    let writes = is_shared && protection.contains(Protection::WRITE);
    let (_, file) = system.files.description(table, call.int(4))?;
    if file.target == Target::Device(Device::Zero) {
        // What /dev/zero holds is memory.
        let access = file.flags.access();
        if !access.contains(Access::READ) || writes && !access.contains(Access::WRITE) {
            return Err(Errno::EACCES.into());
        }
        return if is_shared {
            make_shared(system, call.process, pages)
        } else {
            Ok(Backing::Anonymous)
        };
    }
    let parts = system.file_parts(call.process)?;
    let (place, access) = parts.files.mapped_place(table, call.int(4))?;
    let page = call.number(5) / PAGE;
    let is_sealed = parts.files.is_write_sealed(place.by_ref());
    if is_shared && access.contains(Access::WRITE) && (writes || !is_sealed) {
        let file = system.show_writable(place)?;
        return Ok(Backing::Shared { file, page });
    }
    if writes {
        parts.files.release_place(place);
        return Err(Errno::EACCES.into());
    }
    if is_shared {
        let file = system.show_seen(place)?;
        return Ok(Backing::Seen { file, page });
    }
    let file = system.show_file(place)?;
    Ok(Backing::File { file, page })
}

/// munmap(2).
pub(super) fn munmap<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let bytes = call.number(1);
    if bytes == 0 {
        return Err(Errno::EINVAL.into());
    }
    let range = range(call.number(0), bytes).map_err(|_| Errno::EINVAL)?;
    system.remove_pages(call.space, range)?;
    Ok(0)
}

/// mprotect(2).
pub(super) fn mprotect<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    // PROT_GROWSDOWN and PROT_GROWSUP are refused with the other unknown bits.
    let protection = protection(call.number(2))?;
    let mut range = range(call.number(0), call.number(1))?;
    range.start = range.start.max(call.progress);
    if range.is_empty() {
        return Ok(0);
    }
    let done = system.protect_pages(call.space, range.clone(), protection)?;
    if done < range.end {
        call.progress = done;
        return Err(Stall::AGAIN);
    }
    Ok(0)
}

/// mremap(2), for areas of one kind.
pub(super) fn mremap<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let flags = RemapFlags::from_bits(call.uint(3)).ok_or(Errno::EINVAL)?;
    let mut old = range(call.number(0), call.number(1)).map_err(|error| match error {
        Errno::ENOMEM => Errno::EFAULT,
        error => error,
    })?;
    let new_pages = pages(call.number(2))?;
    let keeps = flags.contains(RemapFlags::DONT_UNMAP);
    if keeps && (old.end - old.start != new_pages || !flags.contains(RemapFlags::MAY_MOVE)) {
        return Err(Errno::EINVAL.into());
    }
    let to = fixed_place(call, flags, &old, new_pages)?;
    if to.is_some() {
        old.end = old.end.min(old.start + new_pages);
    }
    if call.progress != 0 {
        return finish_move(system, call, old, new_pages);
    }
    let old_pages = old.end - old.start;
    if to.is_some() {
        // What is cut off goes first, as on Linux.
        let whole = range(call.number(0), call.number(1))?;
        system.remove_pages(call.space, old.end..whole.end)?;
    }
    let area = system
        .area_at(call.space, old.start)
        .filter(|area| area.end >= old.end)
        .ok_or(Errno::EFAULT)?;
    // Of memory that is shared, no pages become a second mapping.
    if old_pages == 0 && !area.is_shared() {
        return Err(Errno::EINVAL.into());
    }
    if let Some(first) = to {
        let target = first..first + new_pages;
        let freed = covered_pages(system, call, &target)?;
        let left = if keeps { 0 } else { old_pages };
        let more = new_pages.saturating_sub(left + freed);
        system.permit_pages(call.space, &area, more)?;
        system.remove_pages(call.space, target)?;
        return begin_move(system, call, old, new_pages, first);
    }
    if new_pages <= old_pages && !keeps {
        if new_pages < old_pages {
            system.remove_pages(call.space, old.start + new_pages..old.end)?;
        }
        return Ok(old.start * PAGE);
    }
    let more = old.end..old.start + new_pages;
    let grows = !keeps
        && area.end == old.end
        && more.end <= Page::END.number()
        && system.space(call.space)?.areas.is_free(more.clone());
    if grows {
        system.add_area(call.space, area.part(more))?;
        return Ok(old.start * PAGE);
    }
    if !flags.contains(RemapFlags::MAY_MOVE) {
        return Err(Errno::ENOMEM.into());
    }
    let more = if keeps {
        new_pages
    } else {
        new_pages - old_pages
    };
    system.permit_pages(call.space, &area, more)?;
    let wish = Wish::Near(LOWEST_ADDRESS / PAGE - 1);
    let first = system.choose_pages(call.space, new_pages, wish)?;
    begin_move(system, call, old, new_pages, first)
}

/// Returns the page MREMAP_FIXED names.
fn fixed_place(
    call: &Call,
    flags: RemapFlags,
    old: &Range<u64>,
    new_pages: u64,
) -> Result<Option<u64>, Errno> {
    if !flags.contains(RemapFlags::FIXED) {
        return Ok(None);
    }
    let new = range(call.number(4), new_pages * PAGE).map_err(|_| Errno::EINVAL)?;
    let overlaps = new.start < old.end && old.start < new.end;
    if overlaps || !flags.contains(RemapFlags::MAY_MOVE) || new.start < LOWEST_ADDRESS / PAGE {
        return Err(Errno::EINVAL);
    }
    Ok(Some(new.start))
}

/// Makes the new place of a mapping, whose pages are free, and begins to move there.
fn begin_move<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    old: Range<u64>,
    new_pages: u64,
    first: u64,
) -> Outcome {
    let area = system.area_at(call.space, old.start).ok_or(Errno::EFAULT)?;
    let moved = area.part(old.start..old.start + new_pages);
    // Now, so that taking away the old place cannot fail once pages have moved.
    system.split_areas(call.space, &old)?;
    system.place_area(call.space, moved.at(first))?;
    call.progress = first;
    finish_move(system, call, old, new_pages)
}

/// Mark in `progress` of a move that goes back, because there was no memory to finish it.
const BACK: u64 = 1 << 63;

/// Moves what is left of a mapping to its new place, which `progress` names, and takes the old one away unless it is to
/// stay; or back, and takes the new one away.
fn finish_move<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    old: Range<u64>,
    new_pages: u64,
) -> Outcome {
    let first = call.progress & !BACK;
    let new = first..first + new_pages;
    if call.progress & BACK != 0 {
        if !system.move_pages(call.space, new.clone(), old.start)? {
            return Err(Stall::AGAIN);
        }
        system.remove_pages(call.space, new)?;
        return Err(Errno::ENOMEM.into());
    }
    match system.move_pages(call.space, old.clone(), first) {
        Ok(true) => {}
        Ok(false) => return Err(Stall::AGAIN),
        Err(_) => {
            call.progress |= BACK;
            return Err(Stall::AGAIN);
        }
    }
    if call.uint(3) & RemapFlags::DONT_UNMAP.bits() == 0 {
        system.remove_pages(call.space, old)?;
    }
    Ok(first * PAGE)
}

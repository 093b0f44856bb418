//! Memory a program has already: advice about it, whether it is there, and that it stays.

use super::memory::{PAGE, range};
use super::{Call, Outcome};
use crate::errno::Errno;
use crate::limits::WORK_PAGES;
use crate::space::{Area, Withheld};
use crate::system::System;
use crate::wait::Stall;
use core::ops::Range;
use hal::block::Block;
use hal::page_table::Page;

/// madvise(2) (mman-common.h), area by area: pages are dropped, and fork leaves out what it is told to. What is about
/// speed, huge and equal pages and dumps alone changes nothing here; all else is refused.
pub(super) fn madvise<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    /// NORMAL to WILLNEED, MERGEABLE to DODUMP, COLD and PAGEOUT: a bit for each.
    const HINTS: u32 = 0x33_f00f;
    const DO_NOT_NEED: u32 = 4;
    const FREE: u32 = 8;
    const DO_NOT_FORK: u32 = 10;
    const DO_FORK: u32 = 11;
    const WIPE_ON_FORK: u32 = 18;
    const KEEP_ON_FORK: u32 = 19;
    let advice = call.uint(2);
    let drops = matches!(advice, DO_NOT_NEED | FREE);
    let forks = match advice {
        DO_NOT_FORK => Some((Withheld::AREA, true)),
        DO_FORK => Some((Withheld::AREA, false)),
        WIPE_ON_FORK => Some((Withheld::CONTENT, true)),
        KEEP_ON_FORK => Some((Withheld::CONTENT, false)),
        _ if drops || HINTS.checked_shr(advice).unwrap_or(0) & 1 != 0 => None,
        _ => return Err(Errno::EINVAL.into()),
    };
    let range = unwrapped(call.number(0), call.number(1))?;
    let is_of_areas = forks.is_some() || advice == FREE;
    for _ in 0..WORK_PAGES {
        let at = range.start.max(call.progress);
        let areas = &system.space(call.space)?.areas;
        let next = areas.next(at).filter(|area| area.first < range.end);
        let Some(&area) = next.filter(|_| is_of_areas && at < range.end) else {
            if drops {
                system.drop_pages(call.space, range.clone())?;
            }
            // What is not there is told when the rest is done.
            return check_mapped(system, call, range);
        };
        if matches!(advice, FREE | WIPE_ON_FORK) && area.file().is_some() {
            return Err(Errno::EINVAL.into());
        }
        let part = at.max(area.first)..area.end.min(range.end);
        call.progress = part.end;
        if let Some((what, is_withheld)) = forks {
            system.change_area(call.space, part, &|area| {
                let mut withheld = area.withheld;
                withheld.set(what, is_withheld);
                Area { withheld, ..area }
            })?;
        }
    }
    Err(Stall::AGAIN)
}

fn check_mapped<B: Block>(system: &System<B>, call: &Call, range: Range<u64>) -> Outcome {
    if system.space(call.space)?.areas.covers(range) {
        Ok(0)
    } else {
        Err(Errno::ENOMEM.into())
    }
}

/// msync(2): shared pages are the page cache's own, so there is nothing to write back.
pub(super) fn msync<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const ASYNC: u32 = 1;
    const INVALIDATE: u32 = 2;
    const SYNC: u32 = 4;
    let flags = call.uint(2);
    if flags & !(ASYNC | INVALIDATE | SYNC) != 0 || flags & (ASYNC | SYNC) == ASYNC | SYNC {
        return Err(Errno::EINVAL.into());
    }
    check_mapped(system, call, range(call.number(0), call.number(1))?)
}

/// mlock(2), munlock(2): memory never goes to a disk here, so that it is all the same; what is not mapped is told.
pub(super) fn mlock<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let within = call.number(0) % PAGE;
    let bytes = call.number(1).checked_add(within).ok_or(Errno::EINVAL)?;
    check_mapped(system, call, unwrapped(call.number(0) - within, bytes)?)
}

/// Returns the pages from `address` on; an end before it is EINVAL.
fn unwrapped(address: u64, bytes: u64) -> Result<Range<u64>, Errno> {
    match address.checked_add(bytes) {
        Some(_) => range(address, bytes),
        None => Err(Errno::EINVAL),
    }
}

/// mlock2(2).
pub(super) fn mlock2<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    const ON_FAULT: u32 = 1;
    if call.uint(2) & !ON_FAULT != 0 {
        return Err(Errno::EINVAL.into());
    }
    mlock(system, call)
}

/// mlockall(2).
pub(super) fn mlockall<B: Block>(_: &mut System<B>, call: &mut Call) -> Outcome {
    const CURRENT: u32 = 1;
    const FUTURE: u32 = 2;
    const ON_FAULT: u32 = 4;
    let flags = call.uint(0);
    if flags & (CURRENT | FUTURE) == 0 || flags & !(CURRENT | FUTURE | ON_FAULT) != 0 {
        return Err(Errno::EINVAL.into());
    }
    Ok(0)
}

/// mincore(2): which pages are mapped, which is less than which are cached.
pub(super) fn mincore<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let range = range(call.number(0), call.number(1))?;
    for _ in 0..WORK_PAGES {
        let number = range.start + call.progress;
        if number >= range.end {
            return Ok(0);
        }
        let space = system.space(call.space)?;
        if !space.areas.covers(number..number + 1) {
            return Err(Errno::ENOMEM.into());
        }
        let page = Page::from_number(number).ok_or(Errno::ENOMEM)?;
        let is_there = space.table.lookup(&system.pool, page).is_some();
        let at = call.address(2).offset(call.progress)?;
        system.write_user(call.space, at, &[u8::from(is_there)])?;
        call.progress += 1;
    }
    Err(Stall::AGAIN)
}

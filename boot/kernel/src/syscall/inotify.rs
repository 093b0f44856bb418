//! inotify: instances, watches, and events read.

use super::descriptor::flags_of;
use super::path::PathArgument;
use super::{Call, Outcome, event};
use crate::errno::Errno;
use crate::fs::{DescriptionId, Event, EventId, LONGEST_EVENT_BYTES, Last, NotifierId, Wanted};
use crate::system::System;
use crate::user_memory::UserAddr;
use hal::block::Block;

/// inotify_init(2).
pub(super) fn inotify_init<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make(system, call, 0)
}

/// inotify_init1(2).
pub(super) fn inotify_init1<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    make(system, call, call.uint(0))
}

fn make<B: Block>(system: &mut System<B>, call: &Call, flags: u32) -> Outcome {
    let flags = flags_of(flags, 0)?;
    let table = system.table_of(call)?;
    let mut parts = system.file_parts(call.process)?;
    let context = &mut parts.context;
    Ok(parts.files.open_notifier(context, table, flags)? as u64)
}

/// Returns the instance in argument 0.
fn notifier<B: Block>(system: &System<B>, call: &Call) -> Result<NotifierId, Errno> {
    match system.files.event_of(system.open_file(call, 0)?)? {
        (_, Event::Watches(notifier, _)) => Ok(notifier),
        _ => Err(Errno::EINVAL),
    }
}

/// inotify_add_watch(2).
pub(super) fn inotify_add_watch<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let wanted = Wanted::from_bits(call.uint(2)).filter(|wanted| !wanted.is_empty());
    let wanted = wanted.ok_or(Errno::EINVAL)?;
    system.open_file(call, 0)?;
    if wanted.contains(Wanted::ADDED | Wanted::CREATED) {
        return Err(Errno::EINVAL.into());
    }
    let id = notifier(system, call)?;
    let last = if wanted.contains(Wanted::DONT_FOLLOW) {
        Last::Keep
    } else {
        Last::Follow
    };
    let path = PathArgument::plain(call, 1);
    system.with_place(call, path, last, 0, &mut |files, context, place| {
        Ok(files.add_watch(context, id, place, wanted)? as u64)
    })
}

/// inotify_rm_watch(2).
pub(super) fn inotify_rm_watch<B: Block>(system: &mut System<B>, call: &mut Call) -> Outcome {
    let id = notifier(system, call)?;
    system.files.remove_watch(id, call.int(1))?;
    Ok(0)
}

/// Reads events, as many as fit whole.
pub(super) fn read<B: Block>(
    system: &mut System<B>,
    call: &Call,
    (id, name): (DescriptionId, EventId),
    notifier: NotifierId,
    (address, len): (UserAddr, usize),
) -> Outcome {
    let mut done = 0;
    loop {
        let mut bytes = [0; LONGEST_EVENT_BYTES];
        let length = system.files.oldest_event(notifier, &mut bytes);
        if length == 0 || length > len - done {
            break match (length, done) {
                (0, 0) => Err(event::wait(system, id, name)),
                (_, 0) => Err(Errno::EINVAL.into()),
                _ => Ok(done as u64),
            };
        }
        let at = address.offset(done as u64)?;
        match system.write_user(call.space, at, &bytes[..length]) {
            Err(stall) if done == 0 => return Err(stall),
            Err(_) => return Ok(done as u64),
            Ok(()) => {}
        }
        system.files.take_event(notifier);
        done += length;
    }
}

//! The texts of `/proc` that tell what is so at the moment, and take more than one of the kernel's tables to tell.
//!
//! Nothing is kept between two reads: each makes the text anew and takes the part it was asked for, up to
//! [`LIVE_BYTES`]. What lies before that part is counted, not kept.

mod limit;
mod machine;
mod maps;
mod process;
mod processor;
mod write;

pub(crate) use process::name;
pub(crate) use write::write;

use crate::fs::{DescriptionId, Live, Owner, Sink};
use crate::limits::LIVE_BYTES;
use crate::syscall::{Call, Outcome};
use crate::system::System;
use crate::user_memory::UserAddr;
use core::fmt::{self, Write};
use hal::block::Block;
use hal::limits::PAGE_BYTES;

/// KiB of a page.
const PAGE_KIB: u64 = PAGE_BYTES as u64 / 1024;

/// Takes the part of a text that was asked for.
struct Part {
    bytes: heapless::Vec<u8, LIVE_BYTES>,
    skip: u64,
    room: usize,
}

impl Part {
    fn is_full(&self) -> bool {
        self.bytes.len() == self.room
    }
}

impl Sink for Part {
    fn put(&mut self, text: &[u8]) {
        let skipped = self.skip.min(text.len() as u64) as usize;
        self.skip -= skipped as u64;
        let rest = &text[skipped..];
        let count = rest.len().min(self.room - self.bytes.len());
        // There is room for that.
        let _ = self.bytes.extend_from_slice(&rest[..count]);
    }
}

impl Write for Part {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Returns how many hundredths of a second these are, which are ticks as well (`USER_HZ`).
const fn hundredths(nanos: u64) -> u64 {
    nanos / 10_000_000
}

/// Reads the part of a text at `position`, or else where the file is read next.
pub(crate) fn read<B: Block>(
    system: &mut System<B>,
    call: &mut Call,
    (id, (live, owner)): (DescriptionId, (Live, Owner)),
    position: Option<u64>,
    (address, len): (UserAddr, usize),
) -> Outcome {
    let mut part = Part {
        bytes: heapless::Vec::new(),
        skip: position.unwrap_or_else(|| system.files.pass(id, 0)),
        room: len.min(LIVE_BYTES),
    };
    system.table.current.set(system.process(call.process)?.pid);
    if owner.pid.0 == 0 {
        // It takes everything.
        let _ = system.tell_of_machine(live, &mut part);
    } else {
        system.tell_of_process(call, live, owner, &mut part)?;
    }
    system.write_user(call.space, address, &part.bytes)?;
    if position.is_none() {
        system.files.pass(id, part.bytes.len() as u64);
    }
    Ok(part.bytes.len() as u64)
}

//! The texts of `/proc` that tell what is so at the moment, and take more than one of the kernel's tables to tell.
//!
//! Nothing is kept between two reads: each makes the text anew and takes the part it was asked for, up to
//! [`LIVE_BYTES`]. What lies before that part is counted, not written.

use crate::errno::Errno;
use crate::fs::{DescriptionId, Live, Processes};
use crate::limits::LIVE_BYTES;
use crate::process::Process;
use crate::space::{AddressSpace, Area, Backing};
use crate::syscall::{Call, Outcome};
use crate::system::System;
use crate::task::Activity;
use crate::user_memory::UserAddr;
use crate::wait::Stall;
use agent::kernel::Pid;
use core::fmt::{self, Write};
use hal::block::Block;
use hal::clock::Instant;
use hal::limits::PAGE_BYTES;
use hal::page_table::Protection;

/// KiB of a page.
const PAGE_KIB: u64 = PAGE_BYTES as u64 / 1024;

/// Column at which `/proc/PID/maps` names what is there.
const NAME_COLUMN: usize = 73;

/// Bytes of a line before that.
const RANGE_BYTES: usize = 48;

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

/// Reads the part of a text at `position`, or else where the file is read next.
pub(crate) fn read<B: Block>(
    system: &mut System<B>,
    call: &Call,
    (id, (live, pid)): (DescriptionId, (Live, Pid)),
    position: Option<u64>,
    (address, len): (UserAddr, usize),
) -> Outcome {
    let mut part = Part {
        bytes: heapless::Vec::new(),
        skip: position.unwrap_or_else(|| system.files.pass(id, 0)),
        room: len.min(LIVE_BYTES),
    };
    system.table.current.set(system.process(call.process)?.pid);
    if pid.0 == 0 {
        // It takes everything.
        let _ = system.tell_of_machine(live, &mut part);
    } else {
        system.tell_of_process(call, live, pid, &mut part)?;
    }
    system.write_user(call.space, address, &part.bytes)?;
    if position.is_none() {
        system.files.pass(id, part.bytes.len() as u64);
    }
    Ok(part.bytes.len() as u64)
}

impl<B: Block> System<B> {
    fn tell_of_machine(&mut self, live: Live, out: &mut Part) -> fmt::Result {
        let up = self.now.since(Instant::ZERO);
        let (mut user, mut kernel) = (0, 0);
        for (_, account) in self.accounts.iter() {
            user += account.counters.user_nanos;
            kernel += account.counters.kernel_nanos;
        }
        // Hundredths of seconds, which are ticks as well (`USER_HZ`).
        let hundredths = |nanos: u64| nanos / 10_000_000;
        let idle = (up.as_nanos() as u64).saturating_sub(user + kernel);
        let tasks = || self.table.tasks.iter();
        let ready = tasks().filter(|(_, task)| task.activity == Activity::Ready);
        let ready = ready.count();
        match live {
            Live::Memory => {
                let free = self.pool.available() as u64 * PAGE_KIB;
                let cached = self.files.cached_frames() as u64 * PAGE_KIB;
                let lines = [
                    ("MemTotal", self.pool.total() as u64 * PAGE_KIB),
                    ("MemFree", free),
                    ("MemAvailable", free + cached),
                    ("Buffers", 0),
                    ("Cached", cached),
                    ("SwapCached", 0),
                    ("SwapTotal", 0),
                    ("SwapFree", 0),
                    ("Shmem", 0),
                    ("SReclaimable", 0),
                ];
                for (name, kib) in lines {
                    writeln!(out, "{name}:{kib:>16} kB")?;
                }
                Ok(())
            }
            Live::Processors => out.write_str(
                "processor\t: 0\nmodel name\t: x86-64\ncpu cores\t: 1\nflags\t\t: fpu tsc msr pae cx8 sep pge \
                 cmov pat clflush mmx fxsr sse sse2 syscall nx lm\n\n",
            ),
            Live::Uptime => {
                for nanos in [up.as_nanos() as u64, idle] {
                    let time = hundredths(nanos);
                    write!(out, "{}.{:02} ", time / 100, time % 100)?;
                }
                out.write_str("\n")
            }
            Live::Times => {
                for name in ["cpu ", "cpu0"] {
                    let times = [user, kernel, idle].map(hundredths);
                    writeln!(out, "{name} {} 0 {} {} 0 0 0 0 0 0", times[0], times[1], times[2])?;
                }
                writeln!(
                    out,
                    "intr 0\nctxt 0\nbtime {}\nprocesses {}\nprocs_running {ready}\nprocs_blocked 0",
                    self.epoch.as_secs(),
                    self.table.processes.len(),
                )
            }
            Live::Load => {
                // No average is kept: what runs now stands for all three.
                let last = tasks().map(|(_, task)| task.tid).max().unwrap_or(0);
                let all = self.table.tasks.len();
                writeln!(out, "{ready}.00 {ready}.00 {ready}.00 {ready}/{all} {last}")
            }
            _ => self.tell_id(live, out),
        }
    }

    /// Writes 16 random bytes as a UUID of version 4 (RFC 9562, 5.4).
    fn tell_id(&mut self, live: Live, out: &mut Part) -> fmt::Result {
        let mut id = [0; 16];
        self.random.fill(&mut id);
        if live == Live::BootId {
            id = *self.boot_id.get_or_insert(id);
        }
        id[6] = id[6] & 0xf | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        for (place, byte) in id.iter().enumerate() {
            let dash = if matches!(place, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(out, "{dash}{byte:02x}")?;
        }
        out.write_str("\n")
    }

    fn tell_of_process(
        &mut self,
        call: &Call,
        live: Live,
        pid: Pid,
        out: &mut Part,
    ) -> Result<(), Stall> {
        let owner = self.table.files(pid).ok_or(Errno::ESRCH)?.uid;
        let asker = self.identity(call.process)?.files.uid;
        if asker != 0 && asker != owner && matches!(live, Live::Maps | Live::Environment) {
            return Err(Errno::EACCES.into());
        }
        let id = self.table.find(pid).ok_or(Errno::ESRCH)?;
        let process: &Process = self.process(id)?;
        let space_id = process.space;
        // One that has ended has no memory.
        let Some(space) = self.spaces.get(space_id) else {
            return Ok(());
        };
        let [arguments, environment, end] = space.strings;
        match live {
            // A part takes everything.
            Live::Maps => {
                let _ = tell_areas(space, out);
            }
            Live::Pages => {
                let mut pages = 0;
                let mut at = 0;
                while let Some(area) = space.areas.next(at) {
                    pages += area.pages();
                    at = area.end;
                }
                let _ = writeln!(out, "{pages} {} 0 0 0 0 0", space.charged);
            }
            _ => {
                let (from, to) = match live {
                    Live::Arguments => (arguments, environment),
                    _ => (environment, end),
                };
                let from = from.saturating_add(out.skip);
                let count = to.saturating_sub(from).min(out.room as u64) as usize;
                out.skip = 0;
                // There is room for that.
                let _ = out.bytes.resize(count, 0);
                self.read_user(space_id, UserAddr(from), &mut out.bytes)?;
            }
        }
        Ok(())
    }
}

/// Writes a line for each area: addresses, rights, and what it is.
fn tell_areas(space: &AddressSpace, out: &mut Part) -> fmt::Result {
    let mut at = 0;
    while let Some(area) = space.areas.next(at)
        && !out.is_full()
    {
        at = area.end;
        let name = name_of(space, area);
        let length = match name {
            "" => RANGE_BYTES,
            name => NAME_COLUMN + name.len(),
        } as u64
            + 1;
        if out.skip >= length {
            out.skip -= length;
            continue;
        }
        let [start, end] = [area.first, area.end].map(|page| page * PAGE_BYTES as u64);
        let right = |right, letter| {
            if area.protection.contains(right) {
                letter
            } else {
                '-'
            }
        };
        write!(
            out,
            "{start:012x}-{end:012x} {}{}{}{} 00000000 00:00 0 ",
            right(Protection::READ, 'r'),
            right(Protection::WRITE, 'w'),
            right(Protection::EXECUTE, 'x'),
            if area.is_shared() { 's' } else { 'p' },
        )?;
        match name {
            "" => out.write_str("\n")?,
            name => writeln!(out, "{:1$}{name}", "", NAME_COLUMN - RANGE_BYTES)?,
        }
    }
    Ok(())
}

/// Returns what an area is called: the names of files are not kept.
fn name_of(space: &AddressSpace, area: &Area) -> &'static str {
    let heap = space.break_start..space.break_end;
    match area.backing {
        Backing::Stack => "[stack]",
        Backing::Anonymous if heap.contains(&(area.first * PAGE_BYTES as u64)) => "[heap]",
        _ => "",
    }
}

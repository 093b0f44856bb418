//! What `/proc` tells of the machine.

use super::{PAGE_KIB, Part, hundredths, processor};
use crate::account::Counters;
use crate::fs::Live;
use crate::limits::MAX_OPEN_FILES;
use crate::system::System;
use crate::task::Activity;
use agent::kernel::View;
use core::fmt::{self, Write};
use hal::block::Block;
use hal::clock::Instant;

impl<B: Block> System<B> {
    pub(super) fn tell_of_machine(&mut self, live: Live, out: &mut Part) -> fmt::Result {
        let up = self.now.since(Instant::ZERO).as_nanos() as u64;
        match live {
            Live::Memory => self.tell_memory(out),
            Live::Processors => processor::tell(out),
            Live::Uptime => {
                let done = self.done_so_far();
                let idle = up.saturating_sub(done.user_nanos + done.kernel_nanos);
                let [up, idle] = [up, idle].map(hundredths);
                writeln!(
                    out,
                    "{}.{:02} {}.{:02}",
                    up / 100,
                    up % 100,
                    idle / 100,
                    idle % 100
                )
            }
            Live::Times => {
                let done = self.done_so_far();
                let idle = up.saturating_sub(done.user_nanos + done.kernel_nanos);
                let [user, kernel, idle] =
                    [done.user_nanos, done.kernel_nanos, idle].map(hundredths);
                for name in ["cpu ", "cpu0"] {
                    writeln!(out, "{name} {user} 0 {kernel} {idle} 0 0 0 0 0 0")?;
                }
                writeln!(
                    out,
                    "btime {}\nprocesses {}\nprocs_running {}\nprocs_blocked 0",
                    self.epoch.as_secs(),
                    self.table.last_number(),
                    self.ready_tasks(),
                )
            }
            Live::Load => {
                // No average is kept: what runs now stands for all three.
                let ready = self.ready_tasks();
                let all = self.table.tasks.len();
                let last = self.table.last_number();
                writeln!(out, "{ready}.00 {ready}.00 {ready}.00 {ready}/{all} {last}")
            }
            Live::Paging => {
                let done = self.done_so_far();
                let read: u64 = done.disks.iter().map(|disk| disk.bytes).sum();
                writeln!(
                    out,
                    "nr_free_pages {}\nnr_file_pages {}\npgpgin {}\npgpgout 0\npswpin 0\npswpout 0\npgfault {}\n\
                     pgmajfault {}",
                    self.pool.available(),
                    self.files.cached_frames(),
                    read / 1024,
                    done.faults,
                    done.major_faults,
                )
            }
            Live::HostName => {
                let asker = self.table.find(self.table.current.get());
                let view = asker.and_then(|asker| self.view_of(asker));
                let name = self.views.host_name(view.unwrap_or(View::UTILITY_VM));
                // It came as text.
                writeln!(out, "{}", core::str::from_utf8(name).unwrap_or_default())
            }
            Live::OpenFiles => writeln!(out, "{}\t0\t{MAX_OPEN_FILES}", self.files.open_count()),
            _ => self.tell_id(live, out),
        }
    }

    /// Returns what all programs have done, those included whose account is gone.
    fn done_so_far(&self) -> Counters {
        let mut done = self.gone.clone();
        for (_, account) in self.accounts.iter() {
            done.add(&account.counters);
        }
        done
    }

    fn ready_tasks(&self) -> usize {
        let tasks = self.table.tasks.iter();
        tasks
            .filter(|(_, task)| task.activity == Activity::Ready)
            .count()
    }

    fn tell_memory(&self, out: &mut Part) -> fmt::Result {
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
            writeln!(out, "{name}:{:>1$} kB", kib, 23 - name.len())?;
        }
        Ok(())
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
}

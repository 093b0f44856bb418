//! The kernel of one machine, and its turn in the machine's loop.

use crate::account::{Account, Accounts, Counters};
use crate::change::Changes;
use crate::fs::{Credentials, Files, Host};
use crate::limits::{MAX_PROCESSES, MAX_SPACES, MAX_VIEWS};
use crate::meter::Meter;
use crate::process::ProcessTable;
use crate::random::Random;
use crate::run_queue::RunQueue;
use crate::schedule;
use crate::slab::Slab;
use crate::system::System;
use crate::view::Views;
use crate::wait::WakeQueue;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use hal::block::Block;
use hal::clock::{Clock, Instant};
use hal::frame::FramePool;
use hal::limits::MAX_DISKS;
use hal::user::User;
use hal::x86::vdso::UserClock;

/// The tiny kernel of one machine.
pub struct Kernel<U, B> {
    pub(crate) user: U,
    pub(crate) system: System<B>,
}

/// What a kernel finds on its machine, besides processor and memory.
pub struct Parts<B> {
    /// Disks, by order of discovery.
    pub disks: Vec<B>,
    /// The root when no disk holds one.
    pub initrd: Option<&'static [u8]>,
    /// Wall time at [`Instant::ZERO`], when the platform knows it.
    pub epoch: Option<Duration>,
    /// Random bytes of the processor, when it has any.
    pub seed: Option<[u8; 32]>,
    /// Code with which programs tell the time, on a machine that has it.
    pub user_clock: Option<UserClock>,
    /// The host, as programs may reach it; `None`: not at all.
    pub host: Option<Host>,
}

impl<B> fmt::Debug for Parts<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts")
            .field("disks", &self.disks.len())
            .field("initrd", &self.initrd.map(<[u8]>::len))
            .finish_non_exhaustive()
    }
}

impl<U, B> fmt::Debug for Kernel<U, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("processes", &self.system.table.processes.len())
            .finish_non_exhaustive()
    }
}

impl<U: User, B: Block> Kernel<U, B> {
    /// Makes a kernel without any program, for which `pool` is all memory for programs and files. It has no files before
    /// [`Kernel::set_up`].
    #[must_use]
    pub fn new(user: U, pool: FramePool) -> Self {
        let mut accounts: Accounts = Slab::new(MAX_VIEWS);
        let own_account = match accounts.insert(Account::on_machine(pool.total())) {
            Ok(account) => account,
            Err(_) => unreachable!("the heap is fresh and the table is empty"),
        };
        let mut ready = RunQueue::new();
        if ready.open(own_account).is_err() {
            unreachable!("the heap is fresh");
        }
        let files = Files::new(pool.total());
        let system = System {
            kernel_half: user.kernel_half(),
            pool,
            accounts,
            own_account,
            gone: Counters::default(),
            least_free: usize::MAX,
            own_credentials: Credentials::default(),
            wakes: WakeQueue::default(),
            now: Instant::ZERO,
            meter: Meter::default(),
            is_renamed: false,
            epoch: Duration::ZERO,
            has_epoch: false,
            clock_page: None,
            next_timer: Instant::NEVER,
            table: ProcessTable::new(),
            spaces: Slab::new(MAX_SPACES),
            shown: Slab::new(MAX_PROCESSES * 64),
            spare_areas: Vec::new(),
            dying: heapless::Vec::new(),
            ready,
            loading: false,
            noticed: heapless::Deque::new(),
            files,
            views: Views::new(own_account),
            changes: Changes::new(),
            ejected: Vec::new(),
            memory_kills: heapless::Deque::new(),
            random: Random::new(),
            unknown_calls: heapless::Vec::new(),
            other_unknown_calls: 0,
            futex_turn: 0,
            turns: 0,
            boot_id: None,
            power_off: false,
        };
        Self { user, system }
    }

    /// Gives the kernel the rest of the machine and makes room in its tables for as many processes and containers at once
    /// as memory carries, so that from here on only what is new in the caches calls the heap. To be called once, before
    /// the first program, where the kernel stays: it is large.
    pub fn set_up(&mut self, parts: Parts<B>) {
        let system = &mut self.system;
        for disk in parts.disks {
            if system.files.add_disk(disk).is_err() {
                log::warn!("kernel: a disk beyond the {MAX_DISKS}th was left alone");
            }
        }
        if let Some(archive) = parts.initrd {
            system.files.set_initrd(archive);
        }
        system.epoch = parts.epoch.unwrap_or_default();
        system.has_epoch = parts.epoch.is_some();
        if let Some(host) = parts.host {
            system.files.sockets.set_host(host);
        }
        if let Some(seed) = &parts.seed {
            system.random.add(seed);
        }
        if let Some(clock) = &parts.user_clock
            && let Ok(frame) = system.pool.take_zeroed()
        {
            clock.write(system.epoch, system.pool.bytes_mut(&frame));
            system.clock_page = Some(frame);
        }
        system.reserve();
    }

    /// Takes the kernel's turn: disks, wake-ups, loads, one program, and what ended ones left. Returns whether
    /// anything moved; if not, nothing will before an interrupt or [`Kernel::next_deadline`].
    pub fn run_slice(&mut self, clock: &impl Clock) -> bool {
        let system = &mut self.system;
        system.now = clock.now();
        system.turns += 1;
        system
            .files
            .poll(&mut system.pool, &mut system.wakes, system.now);
        system.settle_terminals();
        let mut moved = system.wake_tasks();
        moved |= system.advance_changes();
        moved |= system.advance_loads();
        moved |= schedule::run_next(&mut self.user, system, clock);
        moved |= system.take_down();
        system.least_free = system.least_free.min(system.pool.available());
        moved
    }

    /// Returns when [`Kernel::run_slice`] should be called even if no interrupt comes.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        let system = &self.system;
        let busy = system.loading
            || system.changes.is_ready
            || !system.wakes.is_empty()
            || !system.dying.is_empty()
            || system.files.has_remains()
            || system.files.terminals.has_raised();
        if busy {
            return Instant::ZERO;
        }
        let start = system.ready.next_start();
        start
            .min(system.next_timer)
            .min(system.files.next_deadline())
    }

    /// Returns whether a change waits for a disk that is not there, and has not been told so since: now is the time to
    /// look for one.
    #[must_use]
    pub const fn take_disk_wish(&mut self) -> bool {
        core::mem::replace(&mut self.system.changes.lacks_disk, false)
    }

    /// Takes in a disk that was found after start.
    ///
    /// # Errors
    ///
    /// The disk comes back when there are [`MAX_DISKS`].
    pub fn add_disk(&mut self, disk: B) -> Result<(), B> {
        self.system.files.add_disk(disk)?;
        self.system.changes.on_disk();
        Ok(())
    }

    /// Takes out a disk that is to be pulled.
    pub fn take_ejected(&mut self) -> Option<B> {
        self.system.ejected.pop()
    }

    /// Lends the processor, for waiting when nothing moves.
    pub const fn user_mut(&mut self) -> &mut U {
        &mut self.user
    }

    /// Whether somebody asked for the machine's end.
    #[must_use]
    pub const fn is_power_off_requested(&self) -> bool {
        self.system.power_off
    }
}

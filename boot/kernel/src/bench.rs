//! A kernel over fakes, for tests: programs are steps, without a file behind them.

use crate::fs::Host;
use crate::kernel::{Kernel, Parts};
use crate::process::{Life, ProcessId};
use crate::space::{Area, Backing, Withheld};
use crate::task::Activity;
use agent::Config;
use agent::kernel::{
    Credentials, Event, ExitStatus, Kernel as _, Pid, ProcessLimits, Program, StringList, View,
};
use fakes::clock::HandClock;
use fakes::user::{FakeUser, Step};
use hal::block::{Block, Buffer, Completion, DiskInfo, RequestId, SubmitError};
use hal::clock::{Clock, Instant};
use hal::frame::{Frame, FramePool};
use hal::limits::PAGE_BYTES;
use hal::page_table::Protection;
use hal::x86::vdso::UserClock;
use std::vec::Vec;

#[global_allocator]
static HEAP: fakes::alloc::Counting = fakes::alloc::Counting::new();

/// Where a test's program lies.
pub(crate) const CODE: u64 = 0x40_0000;

/// A disk of which there is none.
#[derive(Debug)]
pub(crate) enum NoDisk {}

impl Block for NoDisk {
    fn info(&self) -> &DiskInfo {
        match *self {}
    }

    fn is_identified(&self) -> bool {
        match *self {}
    }

    fn is_dead(&self) -> bool {
        match *self {}
    }

    fn submit_read(
        &mut self,
        _: &mut FramePool,
        _: u64,
        _: Buffer,
        _: Instant,
    ) -> Result<RequestId, (Buffer, SubmitError)> {
        match *self {}
    }

    fn poll(&mut self, _: &mut FramePool, _: Instant) -> Option<Completion> {
        match *self {}
    }

    fn next_deadline(&self) -> Instant {
        match *self {}
    }
}

/// A kernel with a clock in hand.
pub(crate) struct Bench {
    pub(crate) kernel: Kernel<FakeUser, NoDisk>,
    pub(crate) clock: HandClock,
    programs: u64,
}

impl Bench {
    /// Makes a machine of `frames` frames.
    pub(crate) fn new(frames: usize) -> Self {
        Self::make(frames, None)
    }

    /// Makes a machine of `frames` frames with a root file system.
    pub(crate) fn with_initrd(frames: usize, archive: &'static [u8]) -> Self {
        Self::make(frames, Some(archive))
    }

    fn make(frames: usize, initrd: Option<&'static [u8]>) -> Self {
        let clock = HandClock::new();
        let user = FakeUser::new(clock.clone());
        let mut kernel = Kernel::new(user, fakes::memory::frame_pool(frames));
        kernel.set_up(Parts {
            disks: Vec::new(),
            initrd,
            epoch: clock.epoch(),
            seed: Some([7; 32]),
            user_clock: Some(UserClock::new(0, 1 << 32)),
            host: Some(Host {
                cid: 3,
                reserved: Config::DEFAULT.reserved_ports(),
            }),
        });
        Self {
            kernel,
            clock,
            programs: 0,
        }
    }

    /// Makes a process of the utility VM that will play `steps` and starts it.
    pub(crate) fn run(&mut self, steps: Vec<Step>) -> Pid {
        self.run_in(View::UTILITY_VM, steps)
    }

    /// Makes a process of a view that will play `steps` and starts it.
    pub(crate) fn run_in(&mut self, view: View, steps: Vec<Step>) -> Pid {
        self.start(view, steps, 1)
    }

    /// Makes a process of the utility VM that will play more steps than one page has.
    pub(crate) fn run_long(&mut self, steps: Vec<Step>, pages: u64) -> Pid {
        self.start(View::UTILITY_VM, steps, pages)
    }

    fn start(&mut self, view: View, steps: Vec<Step>, pages: u64) -> Pid {
        let entry = CODE + self.programs * PAGE_BYTES as u64;
        self.programs += pages;
        self.kernel.user.program(entry, steps);
        let program = Program {
            args: StringList::from_packed(b"/bin/test\0one\0").expect("it ends with NUL"),
            env: StringList::from_packed(b"PATH=/bin\0").expect("it ends with NUL"),
            cwd: "",
            credentials: Credentials::default(),
            user: "",
            terminal: false,
            limits: ProcessLimits::default(),
        };
        let pid = self.kernel.spawn(view, &program).expect("there is room");
        let id = self.id(pid);
        let system = &mut self.kernel.system;
        let space = system.process(id).expect("it was spawned").space;
        let first = entry / PAGE_BYTES as u64;
        let area = Area {
            first,
            end: first + pages,
            protection: Protection::READ | Protection::EXECUTE,
            backing: Backing::Anonymous,
            withheld: Withheld::empty(),
        };
        system.add_area(space, area).expect("the pages are free");
        let start = entry + 0x10_0000;
        let known = system.space_mut(space).expect("it was made");
        (known.break_start, known.break_end) = (start, start);
        let stack = known.stack_top - 4096;
        let process = system.process_mut(id).expect("it was spawned");
        process.life = Life::Running;
        let leader = process.leader.expect("it has a task");
        let task = system.task_mut(leader).expect("it has a task");
        task.context.registers.rip = entry;
        task.context.registers.rsp = stack;
        task.activity = Activity::Ready;
        system.ready.push_woken(leader);
        pid
    }

    pub(crate) fn id(&self, pid: Pid) -> ProcessId {
        self.kernel.system.table.find(pid).expect("it exists")
    }

    /// Lets the kernel work until nothing moves.
    pub(crate) fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.kernel.run_slice(&self.clock) {
                return;
            }
        }
        panic!("the kernel never comes to rest");
    }

    /// Runs `steps` and returns how the process ended.
    pub(crate) fn finish(&mut self, steps: Vec<Step>) -> ExitStatus {
        let pid = self.run(steps);
        self.settle();
        self.status(pid)
    }

    /// Returns how a process ended.
    pub(crate) fn status(&mut self, pid: Pid) -> ExitStatus {
        let mut events = core::iter::from_fn(|| self.kernel.next_event());
        match events.find(|event| !matches!(event, Event::OutOfMemory(_))) {
            Some(Event::Exited(ended, status)) if ended == pid => {
                self.kernel.release(pid);
                self.settle();
                status
            }
            other => panic!("the process did not end: {other:?}"),
        }
    }

    /// Takes frames until only `spare` are free.
    pub(crate) fn hold_all_but(&mut self, spare: usize) -> Vec<Frame> {
        let pool = &mut self.kernel.system.pool;
        let more = pool.available().saturating_sub(spare);
        (0..more)
            .map(|_| pool.take().expect("it is there"))
            .collect()
    }

    /// Returns how many frames are free.
    pub(crate) fn free(&self) -> usize {
        self.kernel.system.pool.available()
    }
}

/// Ends the program with a status.
pub(crate) fn exit(status: u64) -> Step {
    Step::Call(231, [status, 0, 0, 0, 0, 0])
}

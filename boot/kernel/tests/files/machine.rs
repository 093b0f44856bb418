//! A whole kernel over disks made of bytes, for what the host has it change: every wait is wound through by hand.

use crate::bed::{Disk, image};
use agent::kernel::{
    Action, Change, ChangeId, Credentials, Event, Kernel as _, LoadError, Medium, Part, Pid,
    ProcessLimits, Program, StringList, View, Writes,
};
use core::time::Duration;
use fakes::clock::HandClock;
use fakes::user::FakeUser;
use hal::clock::{Clock, Instant};
use kernel::{Kernel, Parts};
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

/// How long a change waits for what is not as it should be.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// More turns than anything here takes.
const MAX_TURNS: usize = 100_000;

/// The machine. Its root is a disk of its own; others are known by their LUN.
pub(crate) struct Machine {
    pub(crate) kernel: Kernel<FakeUser, Disk>,
    pub(crate) clock: HandClock,
    /// Of each further disk, whether it was pulled.
    pub(crate) pulled: Vec<Rc<Cell<bool>>>,
}

/// What a machine holds. Nothing may be left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Holdings {
    free: usize,
    files: String,
}

/// The root: a program, a directory to show, places to mount on.
fn root() -> Vec<u8> {
    static ROOT: OnceLock<Vec<u8>> = OnceLock::new();
    let root = ROOT.get_or_init(|| {
        image(1, &["-b", "1024"], |root| {
            fill_program(root);
            for directory in ["etc", "run", "data"] {
                fs::create_dir(root.join(directory)).unwrap();
            }
            fs::write(root.join("data/note"), b"note").unwrap();
        })
    });
    root.clone()
}

/// Puts a program into a tree.
pub(crate) fn fill_program(root: &Path) {
    fs::create_dir(root.join("bin")).unwrap();
    let program = root.join("bin/true");
    fs::write(&program, fakes::program::executable()).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A layer that has the program, a file of its number, and a directory with the program that can be a root, too.
pub(crate) fn layer(number: usize) -> Vec<u8> {
    static LAYERS: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
    let layer = LAYERS[number].get_or_init(|| {
        image(1, &["-b", "1024"], |root| {
            fill_program(root);
            fs::create_dir(root.join("nested")).unwrap();
            fill_program(&root.join("nested"));
            fs::write(root.join("number"), number.to_string()).unwrap();
        })
    });
    layer.clone()
}

impl Machine {
    /// A machine with these further disks, LUN 0 first.
    pub(crate) fn new(frames: usize, disks: Vec<Vec<u8>>) -> Self {
        let clock = HandClock::new();
        let user = FakeUser::new(clock.clone());
        let mut kernel = Kernel::new(user, fakes::memory::frame_pool(frames));
        let disks: Vec<Disk> = disks
            .into_iter()
            .enumerate()
            .map(|(unit, bytes)| Disk::new(bytes).called(&format!("scsi-0-{unit}")))
            .collect();
        let pulled = disks.iter().map(|disk| disk.dead.clone()).collect();
        kernel.set_up(Parts {
            disks: disks.into_iter().chain([Disk::new(root())]).collect(),
            initrd: None,
            epoch: None,
            seed: Some([7; 32]),
            user_clock: None,
            host: None,
        });
        let mut machine = Self {
            kernel,
            clock,
            pulled,
        };
        // The root is mounted by whoever needs it first.
        let first = machine.spawn(View::UTILITY_VM, "/").unwrap();
        machine.kernel.abort(first);
        machine.settle();
        machine
    }

    /// Turns the loop until an event comes; `None` when nothing moves before the clock does.
    fn turn(&mut self) -> Option<Event> {
        for _ in 0..MAX_TURNS {
            if let Some(event) = self.kernel.next_event() {
                return Some(event);
            }
            if !self.kernel.run_slice(&self.clock) {
                return self.kernel.next_event();
            }
        }
        panic!("the kernel never comes to rest");
    }

    /// Turns the loop until an event comes, through every wait.
    pub(crate) fn event(&mut self) -> Event {
        for _ in 0..MAX_TURNS {
            if let Some(event) = self.turn() {
                return event;
            }
            let deadline = self.kernel.next_deadline();
            assert_ne!(deadline, Instant::NEVER, "the kernel waits for nothing");
            self.clock.advance(deadline.since(self.clock.now()));
        }
        panic!("no event comes");
    }

    /// Lets the kernel work until nothing moves.
    pub(crate) fn settle(&mut self) {
        if let Some(event) = self.turn() {
            panic!("an event nobody waits for: {event:?}");
        }
    }

    pub(crate) fn begin(&mut self, change: &Change<'_>) -> ChangeId {
        let deadline = self.clock.now() + PATIENCE;
        self.kernel.change(change, deadline).unwrap()
    }

    #[expect(clippy::result_large_err, reason = "it is looked at, not carried")]
    pub(crate) fn end(&mut self, id: ChangeId) -> Result<(), LoadError> {
        match self.event() {
            Event::Changed(ended, outcome) if ended == id => outcome,
            other => panic!("not the end of the change: {other:?}"),
        }
    }

    #[expect(clippy::result_large_err, reason = "it is looked at, not carried")]
    pub(crate) fn change(&mut self, change: &Change<'_>) -> Result<(), LoadError> {
        let id = self.begin(change);
        self.end(id)
    }

    #[expect(clippy::result_large_err, reason = "it is looked at, not carried")]
    pub(crate) fn mount(&mut self, unit: u8, path: &str) -> Result<(), LoadError> {
        let action = Action::Mount(Medium::Scsi(0, unit), Part::Whole, Writes::Kept);
        self.change(&Change::at(action, path))
    }

    #[expect(clippy::result_large_err, reason = "it is looked at, not carried")]
    pub(crate) fn unite(&mut self, layers: &str, path: &str) -> Result<(), LoadError> {
        let packed: String = layers.split(' ').flat_map(|layer| [layer, "\0"]).collect();
        self.change(&Change {
            layers: StringList::from_packed(packed.as_bytes()).unwrap(),
            source: "/run/scratch",
            ..Change::at(Action::Unite, path)
        })
    }

    #[expect(clippy::result_large_err, reason = "it is looked at, not carried")]
    pub(crate) fn unmount(&mut self, path: &str) -> Result<(), LoadError> {
        self.change(&Change::at(Action::Unmount, path))
    }

    #[expect(clippy::result_large_err, reason = "it is looked at, not carried")]
    pub(crate) fn eject(&mut self, unit: u8) -> Result<(), LoadError> {
        self.change(&Change::at(Action::Eject(Medium::Scsi(0, unit)), ""))
    }

    pub(crate) fn view(&mut self, root: &str) -> View {
        self.kernel.create_view(root, Writes::Kept, None).unwrap()
    }

    /// Loads the program, which then stands at its first instruction.
    #[expect(clippy::result_large_err, reason = "it is looked at, not carried")]
    pub(crate) fn spawn(&mut self, view: View, cwd: &str) -> Result<Pid, LoadError> {
        let program = Program {
            args: StringList::from_packed(b"/bin/true\0").unwrap(),
            env: StringList::default(),
            cwd,
            credentials: Credentials::default(),
            user: "",
            terminal: false,
            limits: ProcessLimits::default(),
        };
        let pid = self.kernel.spawn(view, &program).unwrap();
        match self.event() {
            Event::Loaded(loaded, outcome) if loaded == pid => outcome.map(|()| pid),
            other => panic!("the program was not loaded: {other:?}"),
        }
    }

    /// Ends a stopped process.
    pub(crate) fn abort(&mut self, pid: Pid) {
        self.kernel.abort(pid);
        self.settle();
    }

    pub(crate) fn remove_view(&mut self, view: View) {
        self.kernel.remove_view(view);
        self.settle();
    }

    /// What the machine holds, once everything is given back that nobody can reach. Pages the disks have, too, are cached
    /// and no holding; names that are known are, so what is compared must have looked at the same ones.
    pub(crate) fn holdings(&mut self) -> Holdings {
        self.settle();
        let mut report = String::new();
        self.kernel.dump(&mut report).unwrap();
        let line = report.lines().find(|line| line.starts_with("files: "));
        let (cached, files) = line.unwrap()["files: ".len()..]
            .split_once(" pages cached, ")
            .unwrap();
        let usage = self.kernel.usage(View::UTILITY_VM).unwrap();
        let used = usage.memory_bytes as usize / hal::limits::PAGE_BYTES;
        Holdings {
            free: used - cached.parse::<usize>().unwrap(),
            files: files.to_owned(),
        }
    }
}

/// What a machine holds after each round of something that leaves nothing behind: as much as after the first one.
#[derive(Default)]
pub(crate) struct Rounds {
    ended: usize,
    first: Option<Holdings>,
}

impl Rounds {
    pub(crate) fn end(&mut self, machine: &mut Machine) {
        let held = machine.holdings();
        let first = self.first.get_or_insert_with(|| held.clone());
        assert_eq!(*first, held, "after round {}", self.ended);
        self.ended += 1;
    }
}

//! Looking at open files on behalf of whoever waits for one of several: what each is ready for, and what changes that.

use crate::fs::description::{Description, DescriptionId, Target};
use crate::fs::pipe::PipeEnd;
use crate::fs::transfer::Readiness;
use crate::fs::{Files, Table};
use crate::wait::{KeySet, WakeKey};
use hal::block::Block;
use hal::clock::Instant;

/// Who looks, and what to wait for when nothing is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// What wakes it.
    keys: KeySet,
    /// When it has to look again even if nothing does.
    pub until: Instant,
    /// Whether who looks waits when nothing is found.
    waits: bool,
    /// The time of the look.
    now: Instant,
    /// The signals that wait for who looks.
    pending: u64,
}

impl Watch {
    /// Watches nothing yet, until `end`, for somebody for whom the signals `pending` wait.
    #[must_use]
    pub fn new(end: Instant, now: Instant, pending: u64) -> Self {
        Self {
            keys: KeySet::default(),
            until: end,
            waits: now < end,
            now,
            pending,
        }
    }

    /// Watches on nobody's behalf.
    pub(super) fn nothing() -> Self {
        Self::new(Instant::NEVER, Instant::ZERO, 0)
    }

    /// Adds a key, unless nobody is going to wait.
    #[inline(always)]
    pub(crate) fn add(&mut self, key: WakeKey) {
        if self.waits {
            self.keys.insert(key);
        }
    }

    /// Returns the key to park on.
    #[must_use]
    pub const fn key(self) -> WakeKey {
        WakeKey::Several(self.keys)
    }
}

impl<B: Block> Files<B> {
    /// Returns what an open file is ready for, and adds what changes that to `watch`.
    #[inline(always)]
    pub fn look(&self, id: DescriptionId, watch: &mut Watch) -> Readiness {
        let Some(file) = self.descriptions.get(id) else {
            return Readiness::INVALID;
        };
        self.look_at(file, watch)
    }

    /// Looks at the open file of a descriptor.
    #[inline(always)]
    pub(crate) fn look_at_descriptor(
        &self,
        table: &Table,
        fd: i32,
        watch: &mut Watch,
    ) -> Readiness {
        let id = table.get(fd).map(|descriptor| descriptor.description);
        id.map_or(Readiness::INVALID, |id| self.look(id, watch))
    }

    /// Looks at an open file.
    #[inline(always)]
    pub(crate) fn look_at(&self, file: &Description, watch: &mut Watch) -> Readiness {
        let Target::Epoll(list) = file.target else {
            return self.watch_open(file, watch);
        };
        let mut ready = Readiness::empty();
        ready.set(
            Readiness::READ | Readiness::READ_NORMAL,
            !self.look_at_list(list, watch, 1).is_empty(),
        );
        ready
    }

    /// Looks at a file that is no list of others.
    pub(super) fn watch_file(&self, id: DescriptionId, watch: &mut Watch) -> Readiness {
        match self.descriptions.get(id) {
            Some(file) => self.watch_open(file, watch),
            None => Readiness::INVALID,
        }
    }

    fn watch_open(&self, file: &Description, watch: &mut Watch) -> Readiness {
        match file.target {
            Target::Event(event) => {
                let Some(known) = self.events.get(event) else {
                    return Readiness::INVALID;
                };
                watch.add(WakeKey::Event(event.index()));
                if let crate::fs::Event::Signals(_) = known {
                    watch.add(WakeKey::Signal);
                }
                if !known.is_readable(watch.now, watch.pending) {
                    watch.until = watch.until.min(known.due());
                }
                let mut ready = Readiness::empty();
                ready.set(
                    Readiness::READ | Readiness::READ_NORMAL,
                    known.is_readable(watch.now, watch.pending),
                );
                ready.set(
                    Readiness::WRITE | Readiness::WRITE_NORMAL,
                    known.is_writable(),
                );
                return ready;
            }
            Target::Socket(socket) => {
                // Room is the other end's.
                let end = self.sockets.receiver(socket, None).unwrap_or(socket);
                watch.add(WakeKey::SocketWritable(end.index()));
                watch.add(WakeKey::SocketWritable(socket.index()));
                watch.add(WakeKey::SocketReadable(socket.index()));
            }
            Target::Pipe(pipe, PipeEnd::Read) => watch.add(WakeKey::PipeReadable(pipe.index())),
            Target::Pipe(pipe, PipeEnd::Write) => watch.add(WakeKey::PipeWritable(pipe.index())),
            Target::Terminal(end) => watch.add(end.key()),
            Target::Pipe(pipe, PipeEnd::Both) => {
                watch.add(WakeKey::PipeReadable(pipe.index()));
                watch.add(WakeKey::PipeWritable(pipe.index()));
            }
            _ => {}
        }
        self.readiness_of(file)
    }
}

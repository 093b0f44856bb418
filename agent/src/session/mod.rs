//! Containers and processes, and what the host is owed about them.
//!
//! The state lives here; what moves it stands in one file for each occasion: a request ([`dispatch`], which hands it to
//! [`create`], [`execute`] or [`control`]), a program that is being started ([`launch`]), bytes and ends of standard
//! streams ([`relay`]), a resource that is changed ([`modify`]), exits and what follows from them ([`settle`]), a document for
//! GetProperties ([`properties`]), a report for DumpStacks ([`report`]).

mod control;
mod create;
mod dispatch;
mod execute;
mod launch;
mod modify;
mod mount;
mod program;
mod properties;
mod relay;
mod report;
mod settle;

use crate::container::{Container, Init};
use crate::failure::{Cause, CutText, Failure};
use crate::frame::Sequence;
use crate::kernel::{ChangeId, Holder, LoadError, MemoryKill, Pid, View};
use crate::limits::{MAX_CONTAINERS, MAX_PROCESSES};
use crate::message::request::NULL_CONTAINER;
use crate::process::{Home, Process, Role, State};
use crate::record::Records;
use crate::stream::Kind;
use crate::table::{Key, Table};
use crate::waiter::Waiters;
use hal::clock::Instant;
use hal::limits::AGENT_CONNECTIONS;
use hal::vsock::ConnectionId;
use modify::Modifications;

/// Everything that outlives a bridge connection.
pub(crate) struct Session {
    containers: Table<Container, MAX_CONTAINERS>,
    processes: Table<Process, MAX_PROCESSES>,
    waiters: Waiters,
    records: Records,
    modifications: Modifications,
    /// Whose standard stream a connection is, by the connection's slot. Verified against the stream before use.
    owners: [Option<(Key<Process>, Kind)>; AGENT_CONNECTIONS],
    /// Counts the sessions that hosts have opened.
    number: u32,
    /// Counts the connections that agreed on a version: a session may live on more than one.
    connection: u32,
    /// What is to be logged of it.
    begun: Begun,
    /// The highest id of a request in this session.
    highest: Sequence,
    /// When the machine is to be powered off at the latest; `None` while it is not.
    power_off: Option<Instant>,
}

/// The session that was agreed on last, as far as the log has not been told. The layout is fixed, so that "told" is zero (see
/// [`crate::Agent`]).
#[derive(Clone, Copy)]
#[repr(u8)]
enum Begun {
    Told,
    New,
    Earlier,
}

impl Session {
    pub(crate) const fn new() -> Self {
        Self {
            containers: Table::new(),
            processes: Table::new(),
            waiters: Waiters::new(),
            records: Records::new(),
            modifications: Modifications::new(),
            owners: [None; AGENT_CONNECTIONS],
            number: 0,
            connection: 0,
            begun: Begun::Told,
            highest: Sequence(0),
            power_off: None,
        }
    }

    /// Returns until when the last answers may leave before the machine is powered off, if it is to be.
    pub(crate) const fn power_off(&self) -> Option<Instant> {
        self.power_off
    }

    /// Takes note of a request, understood or not.
    pub(crate) fn on_request(&mut self, id: Sequence) {
        self.highest.0 = self.highest.0.max(id.0);
    }

    /// Finds a container by its id.
    fn find_container(&self, id: &str) -> Result<Key<Container>, Failure> {
        self.containers
            .iter()
            .find(|(_, container)| !container.deleted && container.id == id)
            .map(|(key, _)| key)
            .ok_or_else(|| Cause::NoContainer.into())
    }

    /// Finds a container that Create has been answered for.
    fn find_created(&self, id: &str) -> Result<Key<Container>, Failure> {
        let key = self.find_container(id)?;
        match self.containers.get(key).map(|container| container.init) {
            Some(Init::Loading(_)) => Err(Cause::Creating.into()),
            _ => Ok(key),
        }
    }

    /// Finds where a process of the container `id` lives.
    fn find_home(&self, id: &str) -> Result<Home, Failure> {
        if id == NULL_CONTAINER {
            return Ok(Home::UtilityVm);
        }
        self.find_created(id).map(Home::Container)
    }

    /// Finds where a process lives that a host asks about under the id `id`: there, or beside that container.
    fn find_home_of(&self, id: &str, pid: Pid) -> Result<Home, Failure> {
        let home = self.find_home(id)?;
        let is_beside =
            |process: &Process| process.pid == pid && process.asked == home && process.home != home;
        if self.processes.iter().any(|(_, process)| is_beside(process))
            || self.records.is_beside(home, pid)
        {
            return Ok(Home::UtilityVm);
        }
        Ok(home)
    }

    /// Finds a process the host may know of, by its id. A later one hides an earlier one with the same id.
    fn find_process(&self, home: Home, pid: Pid) -> Option<Key<Process>> {
        let known = self.processes.iter().filter(|(_, process)| {
            let hidden = matches!(
                process.state,
                State::Loading | State::Loaded | State::Failed
            );
            process.home == home && process.pid == pid && !hidden
        });
        known
            .max_by_key(|(_, process)| process.is_alive())
            .map(|(key, _)| key)
    }

    /// Finds a process the kernel speaks of.
    fn process_by_pid(&self, pid: Pid) -> Option<Key<Process>> {
        self.processes
            .iter()
            .find(|(_, process)| process.pid == pid && process.state != State::Failed)
            .map(|(key, _)| key)
    }

    /// Finds the standard stream a connection is.
    fn stream_owner(&self, id: ConnectionId) -> Option<(Key<Process>, Kind)> {
        let (key, kind) = (*self.owners.get(usize::from(id.index))?)?;
        let process = self.processes.get(key)?;
        (process.streams[kind.index()].connection() == Some(id)).then_some((key, kind))
    }

    /// The kernel has ended a change.
    pub(crate) fn on_changed(&mut self, change: ChangeId, outcome: Result<(), LoadError>) {
        let outcome = outcome.map_err(|error| {
            let by = match &error.holder {
                None => CutText::of(""),
                Some(Holder::Process(pid)) => CutText::new(format_args!(" by process {}", pid.0)),
                Some(Holder::Tree(path)) => CutText::new(format_args!(" by what is at {path}")),
                Some(Holder::View(view)) => match self.container_of(*view) {
                    Some(known) => CutText::new(format_args!(" by container {}", known.id)),
                    None => CutText::of(" by a container that is deleted"),
                },
            };
            (error, by)
        });
        self.modifications.on_changed(change, outcome);
    }

    /// The kernel has killed a process, so that others have memory.
    pub(crate) fn on_out_of_memory(&self, kill: &MemoryKill) {
        let id = match self.container_of(kill.view) {
            Some(container) => &container.id,
            None => NULL_CONTAINER,
        };
        let (pid, kib) = (kill.pid.0, kill.bytes / 1024);
        match kill.over {
            None => log::warn!("cid={id} pid={pid} killed for its {kib} KiB: memory ran out"),
            Some((used, limit)) => log::warn!(
                "cid={id} pid={pid} killed for its {kib} KiB: the container has {} KiB of {}",
                used / 1024,
                limit / 1024
            ),
        }
    }

    fn container_of(&self, view: View) -> Option<&Container> {
        let mut containers = self.containers.iter();
        containers
            .find(|(_, container)| container.view == view)
            .map(|(_, container)| container)
    }

    fn view(&self, home: Home) -> View {
        match home {
            Home::UtilityVm => View::UTILITY_VM,
            Home::Container(key) => self
                .containers
                .get(key)
                .map_or(View::UTILITY_VM, |container| container.view),
        }
    }

    /// Returns the container whose init a process is.
    fn container_of_init(&mut self, key: Key<Process>) -> Option<&mut Container> {
        let process = self.processes.get(key)?;
        match (process.role, process.home) {
            (Role::Init, Home::Container(container)) => self.containers.get_mut(container),
            _ => None,
        }
    }
}

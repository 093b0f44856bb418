//! A program on its way to run: loaded, its standard streams dialled in order, started, its request answered.

use super::Session;
use crate::container::Init;
use crate::failure::{Cause, Failure};
use crate::kernel::{End, Kernel, LoadError, Pid, Stdio};
use crate::limits::STREAM_DIAL_MS;
use crate::message::response::Answer;
use crate::outgoing::{Outgoing, Tag};
use crate::process::{Home, Process, Role, State};
use crate::stream::{Kind, Phase, Stream};
use crate::table::Key;
use crate::world::{Earliest, World};
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::{ConnectError, ConnectionId, Purpose, Vsock};

impl Session {
    /// The kernel has loaded a program, or cannot.
    pub(crate) fn on_loaded<V: Vsock, K: Kernel>(
        &mut self,
        pid: Pid,
        outcome: Result<(), LoadError>,
        world: &mut World<'_, V, K>,
    ) {
        let Some(key) = self.process_by_pid(pid) else {
            return;
        };
        if let Err(error) = outcome {
            self.fail_launch(key, Cause::Load(error).into(), world);
        } else if let Some(process) = self.processes.get_mut(key) {
            process.state = match process.role {
                Role::Init => State::Loaded,
                Role::Further => State::Dialling(world.now + Duration::from_millis(STREAM_DIAL_MS)),
            };
        }
    }

    /// ExecuteProcess for a container's init: connect, then let it run.
    pub(super) fn execute_init(
        &mut self,
        tag: &Tag,
        init: Key<Process>,
        streams: [Stream; 3],
        now: Instant,
    ) {
        if let Some(process) = self.processes.get_mut(init) {
            process.request = Some(*tag);
            process.streams = streams;
            process.state = State::Dialling(now + Duration::from_millis(STREAM_DIAL_MS));
        }
    }

    /// Moves every program that is being launched as far as it goes. Returns whether any moved.
    pub(crate) fn launch<V: Vsock, K: Kernel>(
        &mut self,
        outgoing: &mut Outgoing,
        earliest: &mut Earliest,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = false;
        for index in 0..self.processes.high() {
            let Some(key) = self.processes.key_at(index) else {
                continue;
            };
            let Some(process) = self.processes.get(key) else {
                continue;
            };
            if let State::Dialling(deadline) = process.state
                && process.failure.is_none()
            {
                moved |= self.dial(key, deadline, world);
                earliest.note(deadline);
            }
            moved |= self.answer_launch(key, outgoing, world);
        }
        moved
    }

    /// Answers the request of a launch that has come to its end.
    fn answer_launch<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Process>,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) -> bool {
        if !outgoing.takes_deferred() {
            return false;
        }
        let Some(process) = self.processes.get_mut(key) else {
            return false;
        };
        let Some(tag) = process.request else {
            return false;
        };
        if let Some(failure) = process.failure.take() {
            process.request = None;
            outgoing.answer(&tag, Err(&failure));
            self.forget_failed(key, world);
            return true;
        }
        match process.state {
            State::Loaded => self.finish_create(key, &tag, outgoing),
            State::Dialling(_) if process.streams.iter().all(Stream::is_settled) => {
                self.start(key, &tag, outgoing, world);
            }
            _ => return false,
        }
        true
    }

    /// A container's init is loaded: the container is created.
    fn finish_create(&mut self, key: Key<Process>, tag: &Tag, outgoing: &mut Outgoing) {
        let Some(process) = self.processes.get_mut(key) else {
            return;
        };
        process.state = State::Created;
        process.request = None;
        let pid = process.pid;
        if let Some(container) = self.container_of_init(key) {
            container.init = Init::Present(key);
            log::info!("cid={} pid={} container created", container.id, pid.0);
        }
        outgoing.answer(tag, Ok(Answer::Created));
    }

    /// Dials what is planned, in order. A full connection table is tried again until the deadline.
    fn dial<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Process>,
        deadline: Instant,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = false;
        for kind in Kind::ALL {
            let Some(process) = self.processes.get_mut(key) else {
                return moved;
            };
            let Phase::Planned(port) = process.stream(kind).phase() else {
                continue;
            };
            let purpose = match kind {
                Kind::Stdin => Purpose::Input,
                Kind::Stdout | Kind::Stderr => Purpose::Output,
            };
            match world.vsock.connect(port, purpose, world.now, deadline) {
                Ok(id) => {
                    process.stream(kind).on_dialled(port, id);
                    if let Some(owner) = self.owners.get_mut(usize::from(id.index)) {
                        *owner = Some((key, kind));
                    }
                    moved = true;
                }
                Err(hal::vsock::Full) if world.now < deadline => return moved,
                Err(hal::vsock::Full) => {
                    self.fail_launch(key, Cause::NoConnection.into(), world);
                    return true;
                }
            }
        }
        moved
    }

    pub(crate) fn on_connected(&mut self, id: ConnectionId, now: Instant) {
        if let Some((key, kind)) = self.stream_owner(id)
            && let Some(process) = self.processes.get_mut(key)
        {
            process.stream(kind).on_connected(now);
        }
    }

    pub(crate) fn on_connect_failed<V: Vsock, K: Kernel>(
        &mut self,
        id: ConnectionId,
        error: ConnectError,
        world: &mut World<'_, V, K>,
    ) {
        let Some((key, kind)) = self.stream_owner(id) else {
            return;
        };
        let Some(process) = self.processes.get_mut(key) else {
            return;
        };
        let Phase::Dialling(port, _) = process.stream(kind).phase() else {
            return;
        };
        *process.stream(kind) = Stream::new(Phase::Absent);
        let cause = Cause::Dial {
            stream: kind.name(),
            port,
            error,
        };
        self.fail_launch(key, cause.into(), world);
    }

    /// Everything is connected: attach, run, answer.
    fn start<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Process>,
        tag: &Tag,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) {
        let Some(process) = self.processes.get_mut(key) else {
            return;
        };
        let pid = process.pid;
        // A stream that was not asked for: init sees a closed pipe, others the null device (gcs-protocol §9.2).
        let none = match process.role {
            Role::Init => End::Closed,
            Role::Further => End::Null,
        };
        let [stdin, stdout, stderr] = process
            .streams
            .map(|stream| if stream.is_absent() { none } else { End::Pipe });
        let stdio = Stdio {
            stdin,
            stdout,
            stderr,
        };
        let started = world
            .kernel
            .attach(pid, stdio)
            .and_then(|()| world.kernel.start(pid));
        if let Err(refusal) = started {
            self.fail_launch(key, refusal.into(), world);
            return;
        }
        process.state = State::Running;
        process.request = None;
        if let Some(container) = self.container_of_init(key) {
            container.executed = true;
            log::info!("cid={} container started", container.id);
        }
        outgoing.answer(tag, Ok(Answer::Started(pid)));
    }

    /// The launch has come to nothing: what it had is given back, its request will be refused. An init that was created
    /// goes back to waiting, any other process is taken back.
    fn fail_launch<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Process>,
        failure: Failure,
        world: &mut World<'_, V, K>,
    ) {
        let Some(process) = self.processes.get_mut(key) else {
            return;
        };
        for kind in Kind::ALL {
            process.stream(kind).abandon(world.vsock);
        }
        process.failure = Some(failure);
        process.state = match (process.role, process.state) {
            (Role::Init, State::Dialling(_)) => State::Created,
            _ => {
                world.kernel.abort(process.pid);
                State::Failed
            }
        };
    }

    /// A process has exited; if that was before its launch ended, its request will be refused.
    pub(super) fn on_launch_killed<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Process>,
        world: &mut World<'_, V, K>,
    ) {
        let Some(process) = self.processes.get_mut(key) else {
            return;
        };
        if process.request.is_none() {
            return;
        }
        process.failure = Some(Cause::Killed.into());
        if process.state == State::Loaded {
            process.state = State::Failed;
            world.kernel.release(process.pid);
        }
    }

    /// Removes a process whose launch failed, once that was told; with it the container whose init it was to be.
    fn forget_failed<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Process>,
        world: &mut World<'_, V, K>,
    ) {
        let Some(process) = self.processes.get(key) else {
            return;
        };
        if process.state != State::Failed {
            return;
        }
        let (role, home) = (process.role, process.home);
        self.processes.remove(key);
        if let (Role::Init, Home::Container(container)) = (role, home) {
            self.remove_container(container, world);
        }
    }

    /// Ends a launch nobody waits for any more: the host that asked for it is gone.
    pub(super) fn cancel_launch<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Process>,
        world: &mut World<'_, V, K>,
    ) {
        let Some(process) = self.processes.get_mut(key) else {
            return;
        };
        if process.request.take().is_none() {
            return;
        }
        if matches!(
            process.state,
            State::Loading | State::Loaded | State::Dialling(_)
        ) {
            self.fail_launch(key, Cause::Killed.into(), world);
        }
        if let Some(process) = self.processes.get_mut(key) {
            process.failure = None;
        }
        self.forget_failed(key, world);
    }
}

//! A request is carried out, or refused with its reason.

use super::Session;
use crate::container::{Container, Init, Notice};
use crate::failure::{Cause, Failure};
use crate::kernel::{Credentials, Kernel, Pid, Program, Signal, StringList, View};
use crate::limits::{CONTAINER_ID_BYTES, FAREWELL_MS, MAX_CONTAINERS, MAX_PROCESSES, MAX_WAITERS};
use crate::message::request::{
    Ask, Create, Execute, INFINITE_WAIT, NULL_CONTAINER, OciProcess, Request,
};
use crate::message::response::{Answer, ExitType, PROTOCOL_VERSION};
use crate::message::words;
use crate::outgoing::{Outgoing, Tag};
use crate::process::{Home, Process, Role, State};
use crate::stream::{Kind, Phase, Stream};
use crate::waiter::Waiter;
use crate::world::World;
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::{Port, Vsock};

/// When a request is answered.
enum Reply<'a> {
    /// Now.
    Now(Answer<'a>),
    /// When something has happened: whoever it waits for has the tag.
    Later,
    /// Never: the machine ends.
    Never,
}

impl Session {
    /// Carries out a request and answers it, now or later.
    pub(crate) fn dispatch<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        request: Request<'_>,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) {
        let id = request.container;
        let reply = match request.ask {
            Ask::Negotiate { minimum, maximum } => {
                self.negotiate(tag, minimum, maximum, outgoing, world)
            }
            Ask::Create(create) => self.create(tag, id, &create, world),
            Ask::Start => Ok(Reply::Now(Answer::Done)),
            Ask::ShutdownGraceful => self.shutdown(id, Signal::TERM, world),
            Ask::ShutdownForced => self.shutdown(id, Signal::KILL, world),
            Ask::ExecuteProcess(execute) => self.execute(tag, id, execute, world),
            Ask::WaitForProcess { pid, timeout_ms } => {
                self.wait(tag, id, Pid(pid), timeout_ms, world.now)
            }
            Ask::SignalProcess { pid, signal } => self.signal(id, Pid(pid), signal, world),
            Ask::ResizeConsole { pid, height, width } => {
                self.resize(id, Pid(pid), height, width, world)
            }
            Ask::GetProperties { process_list } => match self.properties_view(id) {
                Ok(view) => {
                    let properties = super::report::Properties {
                        kernel: &*world.kernel,
                        view,
                        process_list,
                    };
                    outgoing.answer(tag, Ok(Answer::Properties(&properties)));
                    return;
                }
                Err(failure) => Err(failure),
            },
            Ask::ModifySettings { resource_type, .. } => Err(refused_resource(resource_type)),
            Ask::DumpStacks => {
                let stacks = super::report::Stacks {
                    session: self,
                    kernel: &*world.kernel,
                };
                outgoing.answer(tag, Ok(Answer::Stacks(&stacks)));
                return;
            }
            Ask::DeleteContainerState => self.delete(id, world),
        };
        match reply {
            Ok(Reply::Now(answer)) => outgoing.answer(tag, Ok(answer)),
            Ok(Reply::Later | Reply::Never) => {}
            Err(failure) => outgoing.answer(tag, Err(&failure)),
        }
    }

    /// Agrees on version 4. A session begins with request 0; a host that goes on with an earlier one counts on
    /// (gcs-protocol §2.3), and what it is owed is kept.
    fn negotiate<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        minimum: u32,
        maximum: u32,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        if maximum < PROTOCOL_VERSION || minimum > PROTOCOL_VERSION {
            return Err(Cause::Versions { minimum, maximum }.into());
        }
        if tag.sequence.0 == 0 {
            self.on_new_host(world);
        }
        outgoing.on_negotiated();
        log::info!("negotiated protocol version {PROTOCOL_VERSION}");
        Ok(Reply::Now(Answer::Negotiated))
    }

    /// Forgets what an earlier host was owed. Its containers and processes live on, and their exit codes are kept.
    fn on_new_host<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) {
        self.number = self.number.wrapping_add(1);
        self.waiters.clear();
        for index in 0..self.processes.high() {
            if let Some(key) = self.processes.key_at(index) {
                self.cancel_launch(key, world);
            }
        }
    }

    fn create<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        id: &str,
        create: &Create<'_>,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        if create.schema < (2, 1) {
            return Err(Cause::Schema(create.schema.0, create.schema.1).into());
        }
        if id.is_empty() || id == NULL_CONTAINER {
            return Err(Cause::Missing("ContainerId").into());
        }
        let Ok(own_id) = heapless::String::try_from(id) else {
            return Err(Cause::Limit("CONTAINER_ID_BYTES", CONTAINER_ID_BYTES).into());
        };
        // Also one that was deleted and still ends: its notification must not be taken for the new one's.
        if self
            .containers
            .iter()
            .any(|(_, container)| container.id == id)
        {
            return Err(Cause::ContainerExists.into());
        }
        let Some(specification) = &create.specification else {
            return Err(Cause::Missing("OciSpecification").into());
        };
        let Some(process) = &specification.process else {
            return Err(Cause::Missing("OciSpecification.process").into());
        };
        if specification.root.is_empty() {
            return Err(Cause::Missing("OciSpecification.root.path").into());
        }
        let program = oci_program(process)?;
        let view = world.kernel.create_view(specification.root)?;
        let started = self.start_container(tag, own_id, view, &program, world);
        if started.is_err() {
            world.kernel.remove_view(view);
        }
        started
    }

    fn start_container<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        id: heapless::String<CONTAINER_ID_BYTES>,
        view: View,
        program: &Program<'_>,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let container = self
            .containers
            .insert(Container {
                id,
                view,
                activity: tag.activity,
                init: Init::Never,
                exit: ExitType::Unexpected,
                notice: Notice::None,
                executed: false,
                wait_answered: false,
                deleted: false,
                session: self.number,
            })
            .ok_or(Cause::Limit("MAX_CONTAINERS", MAX_CONTAINERS))?;
        let home = Home::Container(container);
        match self.spawn(
            tag,
            home,
            Role::Init,
            program,
            [Stream::new(Phase::Absent); 3],
            world,
        ) {
            Ok(init) => {
                if let Some(container) = self.containers.get_mut(container) {
                    container.init = Init::Loading(init);
                }
                Ok(Reply::Later)
            }
            Err(failure) => {
                self.containers.remove(container);
                Err(failure)
            }
        }
    }

    /// Has the kernel load a program and keeps the process.
    fn spawn<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        home: Home,
        role: Role,
        program: &Program<'_>,
        streams: [Stream; 3],
        world: &mut World<'_, V, K>,
    ) -> Result<crate::table::Key<Process>, Failure> {
        let pid = world.kernel.spawn(self.view(home), program)?;
        let mut process = Process::loading(pid, home, role, *tag);
        process.streams = streams;
        self.processes.insert(process).ok_or_else(|| {
            world.kernel.abort(pid);
            Cause::Limit("MAX_PROCESSES", MAX_PROCESSES).into()
        })
    }

    fn execute<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        id: &str,
        execute: Execute<'_>,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let external = execute.in_utility_vm || id == NULL_CONTAINER;
        if external {
            let streams = planned_streams(&execute)?;
            let program = external_program(execute)?;
            self.spawn(
                tag,
                Home::UtilityVm,
                Role::Further,
                &program,
                streams,
                world,
            )?;
            return Ok(Reply::Later);
        }
        let key = self.find_created(id)?;
        let streams = planned_streams(&execute)?;
        let init = self.containers.get(key).map(|container| container.init);
        let Some(Init::Present(init)) = init else {
            return Err(Cause::ContainerStopped.into());
        };
        let state = self.processes.get(init).map(|process| process.state);
        match (&execute.process, state) {
            (None, Some(State::Created)) => {
                self.execute_init(tag, init, streams, world.now);
                Ok(Reply::Later)
            }
            (None, Some(State::Dialling(_) | State::Running)) => Err(Cause::InitStarted.into()),
            (Some(process), Some(State::Created | State::Dialling(_) | State::Running)) => {
                let program = oci_program(process)?;
                self.spawn(
                    tag,
                    Home::Container(key),
                    Role::Further,
                    &program,
                    streams,
                    world,
                )?;
                Ok(Reply::Later)
            }
            _ => Err(Cause::ContainerStopped.into()),
        }
    }

    fn wait(
        &mut self,
        tag: &Tag,
        id: &str,
        pid: Pid,
        timeout_ms: u32,
        now: Instant,
    ) -> Result<Reply<'static>, Failure> {
        let home = self.find_home(id)?;
        let number = self.number;
        if let Home::Container(key) = home
            && let Some(container) = self.containers.get_mut(key)
        {
            // Whoever waits in a container knows it, and may be told how it ends.
            container.session = number;
            if let Init::Exited(init, code) = container.init
                && init == pid
            {
                container.wait_answered = true;
                return Ok(Reply::Now(Answer::Exited(code)));
            }
        }
        if self.find_process(home, pid).is_none() {
            return match self.records.tell(home, pid, number) {
                Some(code) => Ok(Reply::Now(Answer::Exited(code))),
                None => Err(Cause::NoProcess(pid.0).into()),
            };
        }
        let deadline = match timeout_ms {
            INFINITE_WAIT => Instant::NEVER,
            ms => now + Duration::from_millis(u64::from(ms)),
        };
        let waiter = Waiter {
            tag: *tag,
            home,
            pid,
            timeout_ms,
            deadline,
            code: None,
        };
        if !self.waiters.add(waiter) {
            return Err(Cause::Limit("MAX_WAITERS", MAX_WAITERS).into());
        }
        Ok(Reply::Later)
    }

    fn signal<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        pid: Pid,
        number: i32,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let home = self.find_home(id)?;
        let signal = match number {
            0 => Signal::KILL,
            // The list of gcs-protocol §7.5 is 1 to 31 without a gap.
            1..=31 => Signal::from_number(number).ok_or(Cause::BadSignal(number))?,
            _ => return Err(Cause::BadSignal(number).into()),
        };
        let key = self
            .find_process(home, pid)
            .ok_or(Cause::NoProcess(pid.0))?;
        let alive = self.processes.get(key).is_some_and(Process::is_alive);
        if !alive {
            return Err(Cause::NoProcess(pid.0).into());
        }
        world.kernel.signal(pid, signal)?;
        if let Some(container) = self.container_of_init(key) {
            container.on_init_signal(signal);
        }
        Ok(Reply::Now(Answer::Done))
    }

    fn resize<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        pid: Pid,
        height: u16,
        width: u16,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let home = self.find_home(id)?;
        let key = self
            .find_process(home, pid)
            .ok_or(Cause::NoProcess(pid.0))?;
        if self.processes.get(key).is_some_and(Process::is_alive) {
            world.kernel.resize(pid, height, width)?;
        }
        Ok(Reply::Now(Answer::Done))
    }

    fn shutdown<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        signal: Signal,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        if id == NULL_CONTAINER {
            log::info!("the host ends the machine");
            self.power_off = Some(world.now + Duration::from_millis(FAREWELL_MS));
            return Ok(Reply::Never);
        }
        let key = self.find_created(id)?;
        let init = self.containers.get(key).map(|container| container.init);
        let Some(Init::Present(init)) = init else {
            return Err(Cause::ContainerStopped.into());
        };
        let process = self
            .processes
            .get(init)
            .filter(|process| process.is_alive());
        let pid = process.ok_or(Cause::ContainerStopped)?.pid;
        world
            .kernel
            .signal(pid, signal)
            .or(Err(Cause::ContainerStopped))?;
        if let Some(container) = self.containers.get_mut(key) {
            container.on_init_signal(signal);
        }
        Ok(Reply::Now(Answer::Done))
    }

    /// Returns the view whose properties are asked for.
    fn properties_view(&self, id: &str) -> Result<View, Failure> {
        if id == NULL_CONTAINER {
            return Err(Cause::UtilityVm.into());
        }
        let key = self.find_created(id)?;
        Ok(self.view(Home::Container(key)))
    }

    /// Unregisters a container. What still runs in it is killed; its view goes when the last of it is gone.
    fn delete<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let key = self.find_created(id)?;
        let Some(container) = self.containers.get_mut(key) else {
            return Err(Cause::NoContainer.into());
        };
        container.deleted = true;
        let init = container.init;
        log::info!("container {id} deleted");
        let mut outcome = Ok(Reply::Now(Answer::Done));
        if let Init::Present(init) = init {
            match self.processes.get(init).map(|process| process.state) {
                Some(State::Created) => self.take_back_init(key, init, world),
                Some(State::Dialling(_) | State::Running) => {
                    outcome = Err(Cause::ContainerRuns.into());
                }
                _ => {}
            }
        }
        self.kill_all(key, world);
        outcome
    }
}

/// Makes a program of an OCI process.
fn oci_program<'a>(process: &OciProcess<'a>) -> Result<Program<'a>, Failure> {
    if process.args.is_empty() {
        return Err(Cause::Missing("process.args").into());
    }
    if process.terminal {
        return Err(Cause::Unsupported("terminal").into());
    }
    if !process.user.name.is_empty() {
        return Err(Cause::Unsupported("process.user.username").into());
    }
    Ok(Program {
        args: process.args,
        env: process.env,
        cwd: process.cwd,
        credentials: Credentials {
            uid: process.user.uid,
            gid: process.user.gid,
            groups: process.user.groups.clone(),
        },
        terminal: false,
    })
}

/// Makes a program of an external process's parameters.
fn external_program(execute: Execute<'_>) -> Result<Program<'_>, Failure> {
    if execute.terminal {
        return Err(Cause::Unsupported("terminal").into());
    }
    let mut args: StringList<'_> = execute.args;
    if args.is_empty()
        && let Some(line) = execute.line
    {
        let (bytes, length) = line.into_spacious();
        args = words::split(bytes, length).map_err(Cause::CommandLine)?;
    }
    if args.is_empty() {
        return Err(Cause::Missing("CommandLine or CommandArgs").into());
    }
    Ok(Program {
        args,
        env: execute.env,
        cwd: execute.cwd,
        credentials: Credentials::default(),
        terminal: false,
    })
}

/// Plans the connections that are asked for.
fn planned_streams(execute: &Execute<'_>) -> Result<[Stream; 3], Failure> {
    let mut streams = [Stream::new(Phase::Absent); 3];
    for kind in Kind::ALL {
        let index = kind.index();
        if !execute.pipes[index] {
            continue;
        }
        if execute.ports[index] == 0 {
            return Err(Cause::NoPort(kind.name()).into());
        }
        streams[index] = Stream::new(Phase::Planned(Port(execute.ports[index])));
    }
    Ok(streams)
}

fn refused_resource(name: &str) -> Failure {
    let name = name
        .chars()
        .take(heapless::String::<32>::new().capacity() / 4);
    Cause::Resource {
        name: name.collect(),
    }
    .into()
}

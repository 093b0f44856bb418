//! ExecuteProcess: a container's init, another process in it, or one outside of all.

use super::Session;
use super::dispatch::Reply;
use super::program::{Asked, external_program, oci_program};
use crate::container::Init;
use crate::failure::{Cause, Failure};
use crate::kernel::Kernel;
use crate::limits::MAX_PROCESSES;
use crate::message::execute::Execute;
use crate::message::request::NULL_CONTAINER;
use crate::outgoing::Tag;
use crate::process::{Home, Process, Role, State};
use crate::stream::{Kind, Phase, Stream};
use crate::table::Key;
use crate::world::World;
use hal::vsock::{Port, Vsock};

impl Session {
    /// Has the kernel load a program and keeps the process.
    pub(super) fn spawn<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        home: Home,
        role: Role,
        asked: &Asked<'_>,
        streams: [Stream; 3],
        world: &mut World<'_, V, K>,
    ) -> Result<Key<Process>, Failure> {
        let pid = world.kernel.spawn(self.view(home), &asked.program)?;
        if asked.window != [0; 2] {
            // What has no terminal has no window; that is no error here.
            let _ = world.kernel.resize(pid, asked.window[0], asked.window[1]);
        }
        let mut process = Process::loading(pid, home, role, *tag);
        process.streams = streams;
        process.has_terminal = asked.program.terminal;
        self.processes.insert(process).ok_or_else(|| {
            world.kernel.abort(pid);
            Cause::Limit("MAX_PROCESSES", MAX_PROCESSES).into()
        })
    }

    pub(super) fn execute<V: Vsock, K: Kernel>(
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
            let home = Home::UtilityVm;
            let key = self.spawn(tag, home, Role::Further, &program, streams, world)?;
            // The host waits for it under the id it has asked under (gcs-protocol §7.3).
            if let Ok(container) = self.find_created(id)
                && let Some(process) = self.processes.get_mut(key)
            {
                process.asked = Home::Container(container);
            }
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

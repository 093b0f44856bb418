//! What is asked of a process or a container that is there: wait, signal, resize, shut down, delete.

use super::Session;
use super::dispatch::Reply;
use crate::container::{Container, Init};
use crate::failure::{Cause, Failure};
use crate::kernel::{Kernel, Pid, Refusal, Signal};
use crate::limits::{FAREWELL_MS, MAX_WAITERS};
use crate::message::request::{INFINITE_WAIT, NULL_CONTAINER};
use crate::message::response::Answer;
use crate::outgoing::Tag;
use crate::process::{Home, Process, State};
use crate::table::Key;
use crate::waiter::Waiter;
use crate::world::World;
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::Vsock;

impl Session {
    pub(super) fn wait(
        &mut self,
        tag: &Tag,
        id: &str,
        pid: Pid,
        timeout_ms: u32,
        now: Instant,
    ) -> Result<Reply<'static>, Failure> {
        let home = self.find_home_of(id, pid)?;
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
            return match self.records.tell(home, pid, self.connection) {
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

    pub(super) fn signal<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        pid: Pid,
        number: i32,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let home = self.find_home_of(id, pid)?;
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

    pub(super) fn resize<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        pid: Pid,
        height: u16,
        width: u16,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let home = self.find_home_of(id, pid)?;
        let found = self.find_process(home, pid);
        let process = found.and_then(|key| self.processes.get(key));
        let has_terminal = match (process, home) {
            (Some(process), _) => process.has_terminal,
            (None, Home::Container(key)) if self.is_exited_init(key, pid) => {
                let container = self.containers.get(key);
                container.is_some_and(|container| container.has_terminal)
            }
            (None, _) => {
                let had = self.records.had_terminal(home, pid);
                had.ok_or(Cause::NoProcess(pid.0))?
            }
        };
        if !has_terminal {
            return Err(Refusal::NotATerminal.into());
        }
        // One that is closed has no window, which is no error (gcs-protocol §7.6).
        if process.is_some_and(Process::is_alive) {
            world.kernel.resize(pid, height, width)?;
        }
        Ok(Reply::Now(Answer::Done))
    }

    fn is_exited_init(&self, key: Key<Container>, pid: Pid) -> bool {
        let init = self.containers.get(key).map(|container| container.init);
        matches!(init, Some(Init::Exited(init, _)) if init == pid)
    }

    pub(super) fn shutdown<V: Vsock, K: Kernel>(
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

    /// Unregisters a container. What still runs in it is killed; its view goes when the last of it is gone.
    pub(super) fn delete<V: Vsock, K: Kernel>(
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
        log::info!("cid={id} container deleted");
        self.kill_all(key, world);
        if let Init::Present(init) = init
            && let Some(process) = self.processes.get(init)
            && matches!(process.state, State::Dialling(_) | State::Running)
        {
            return Err(Cause::ContainerRuns.into());
        }
        Ok(Reply::Now(Answer::Done))
    }
}

//! Exits, and what follows from them in this order: output carried, waits answered, container notified, state gone.

use super::Session;
use crate::container::{Container, Init, Notice};
use crate::failure::{Cause, Failure};
use crate::kernel::{ExitStatus, Kernel, Pid, Signal};
use crate::limits::{MAX_PROCESSES, WAIT_GRACE_MS};
use crate::message::response::{Answer, ExitNotification};
use crate::outgoing::Outgoing;
use crate::process::{Home, Process, Role, State};
use crate::stream::Kind;
use crate::table::Key;
use crate::world::{Earliest, World};
use core::time::Duration;
use hal::vsock::Vsock;

impl Session {
    /// A process has exited. Its output is still to be carried.
    pub(crate) fn on_exited<V: Vsock, K: Kernel>(
        &mut self,
        pid: Pid,
        status: ExitStatus,
        world: &mut World<'_, V, K>,
    ) {
        let Some(key) = self.process_by_pid(pid) else {
            world.kernel.release(pid);
            return;
        };
        self.on_launch_killed(key, world);
        let Some(process) = self.processes.get_mut(key) else {
            return;
        };
        if process.state == State::Failed {
            return;
        }
        log::debug!("pid={} exited with {}", pid.0, status.code());
        process.state = State::Draining(status);
        for kind in Kind::ALL {
            process.stream(kind).on_exited(kind, world);
        }
        if let (Role::Init, Home::Container(container)) = (process.role, process.home) {
            // Nothing of a container outlives its init (gcs-protocol §8.3).
            self.kill_all(container, world);
        }
    }

    /// Kills every process of a container.
    pub(super) fn kill_all<V: Vsock, K: Kernel>(
        &mut self,
        container: Key<Container>,
        world: &mut World<'_, V, K>,
    ) {
        let home = Home::Container(container);
        for index in 0..self.processes.high() {
            let Some(key) = self.processes.key_at(index) else {
                continue;
            };
            let Some(process) = self
                .processes
                .get(key)
                .filter(|process| process.home == home)
            else {
                continue;
            };
            if process.is_alive() {
                // Gone already is as good as killed.
                let _ = world.kernel.signal(process.pid, Signal::KILL);
            }
        }
        // Descendants that the host never heard of.
        let view = self.view(home);
        for nth in 0..MAX_PROCESSES {
            let Some(process) = world.kernel.process(view, nth) else {
                break;
            };
            let _ = world.kernel.signal(process.pid, Signal::KILL);
        }
    }

    /// Goes through everything that has ended as far as possible. Returns whether anything moved.
    pub(crate) fn settle<V: Vsock, K: Kernel>(
        &mut self,
        outgoing: &mut Outgoing,
        earliest: &mut Earliest,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = self.retire_drained(earliest, world);
        moved |= self.answer_waits(outgoing, world);
        moved |= self.modifications.answer(outgoing);
        moved |= self.notify(outgoing, earliest, world);
        self.waiters.note_deadlines(earliest);
        moved
    }

    /// Takes exited processes whose output is carried out of the table.
    fn retire_drained<V: Vsock, K: Kernel>(
        &mut self,
        earliest: &mut Earliest,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = false;
        for index in 0..self.processes.high() {
            let Some(key) = self.processes.key_at(index) else {
                continue;
            };
            let Some(process) = self.processes.get_mut(key) else {
                continue;
            };
            let State::Draining(status) = process.state else {
                continue;
            };
            let pid = process.pid;
            for kind in Kind::ALL {
                if let Some(deadline) = process.stream(kind).drain(kind, pid, world) {
                    earliest.note(deadline);
                }
            }
            if process.is_drained() && process.request.is_none() {
                self.retire(key, status, world);
                moved = true;
            }
        }
        moved
    }

    fn retire<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Process>,
        status: ExitStatus,
        world: &mut World<'_, V, K>,
    ) {
        let Some(process) = self.processes.remove(key) else {
            return;
        };
        let (pid, home, code) = (process.pid, process.home, status.code());
        world.kernel.release(pid);
        let waited = self.waiters.on_exited(home, pid, code);
        match (process.role, home) {
            (Role::Init, Home::Container(container)) => {
                self.on_container_ended(container, pid, code, waited, world);
            }
            _ => self
                .records
                .keep(&process, code, waited.then_some(self.connection)),
        }
    }

    /// A container's init is gone and everything it wrote is carried.
    ///
    /// The notification must not come before the answer to the wait that a host sends right behind ExecuteProcess, so a
    /// container that was executed and not waited for is given [`WAIT_GRACE_MS`]. One that never ran is not: no wait is
    /// coming. The reference guest sends none without a wait, which leaves such a host waiting for ever; the host takes
    /// one at any time after it sent Create (gcs-protocol §7.1).
    fn on_container_ended<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Container>,
        pid: Pid,
        code: u32,
        waited: bool,
        world: &mut World<'_, V, K>,
    ) {
        let Some(container) = self.containers.get_mut(key) else {
            return;
        };
        container.init = Init::Exited(pid, code);
        log::info!("cid={} container exited with {code}", container.id);
        container.notice = Notice::Due(
            if waited || container.wait_answered || !container.executed {
                world.now
            } else {
                world.now + Duration::from_millis(WAIT_GRACE_MS)
            },
        );
    }

    /// Answers waits whose process has exited or whose time is up.
    fn answer_waits<V: Vsock, K: Kernel>(
        &mut self,
        outgoing: &mut Outgoing,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = false;
        while outgoing.takes_deferred() {
            let Some(waiter) = self.waiters.take_answerable(world.now) else {
                break;
            };
            moved = true;
            let Some(code) = waiter.code else {
                let failure = Failure::from(Cause::TimedOut(waiter.timeout_ms));
                outgoing.answer(&waiter.tag, Err(&failure));
                continue;
            };
            outgoing.answer(&waiter.tag, Ok(Answer::Exited(code)));
            if let Home::Container(key) = waiter.home
                && let Some(container) = self.containers.get_mut(key)
                && container.init == Init::Exited(waiter.pid, code)
            {
                container.wait_answered = true;
            }
        }
        moved
    }

    /// Sends the notifications that are due, and removes deleted containers that have come to rest.
    fn notify<V: Vsock, K: Kernel>(
        &mut self,
        outgoing: &mut Outgoing,
        earliest: &mut Earliest,
        world: &mut World<'_, V, K>,
    ) -> bool {
        let mut moved = false;
        for index in 0..self.containers.high() {
            let Some(key) = self.containers.key_at(index) else {
                continue;
            };
            let home = Home::Container(key);
            let Some(container) = self.containers.get_mut(key) else {
                continue;
            };
            if let (Notice::Due(at), Init::Exited(init, _)) = (container.notice, container.init)
                && !self.waiters.has(home, init)
            {
                let now = container.deleted || container.wait_answered || world.now >= at;
                if container.session != self.number {
                    // Its host is gone, and another one would not know the container.
                    container.notice = Notice::Settled;
                    moved = true;
                } else if !now {
                    earliest.note(at);
                } else if outgoing.takes_deferred() {
                    outgoing.notify(&ExitNotification {
                        container: &container.id,
                        activity: container.activity,
                        exit: container.exit,
                    });
                    container.notice = Notice::Settled;
                    moved = true;
                }
            }
            let at_rest = container.deleted && container.notice == Notice::Settled;
            if at_rest
                && !self
                    .processes
                    .iter()
                    .any(|(_, process)| process.home == home)
            {
                self.remove_container(key, world);
                moved = true;
            }
        }
        moved
    }

    /// Removes a container without processes, with its view and its exit codes.
    pub(super) fn remove_container<V: Vsock, K: Kernel>(
        &mut self,
        key: Key<Container>,
        world: &mut World<'_, V, K>,
    ) {
        if let Some(container) = self.containers.remove(key) {
            world.kernel.remove_view(container.view);
            self.records.forget(Home::Container(key));
        }
    }
}

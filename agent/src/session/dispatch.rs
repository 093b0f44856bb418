//! A request is carried out, or refused with its reason.

use super::properties::{Properties, passed_over};
use super::{Begun, Session};
use crate::container::Notice;
use crate::failure::{Cause, Failure};
use crate::frame::Sequence;
use crate::kernel::{Kernel, Pid, Signal};
use crate::limits::WAIT_GRACE_MS;
use crate::message::request::{Ask, Request};
use crate::message::response::{Answer, PROTOCOL_VERSION};
use crate::outgoing::{Outgoing, Tag};
use crate::world::World;
use core::time::Duration;
use hal::clock::Instant;
use hal::vsock::Vsock;

/// When a request is answered.
pub(super) enum Reply<'a> {
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
            Ask::Create(mut create) => self.create(tag, id, &mut create, world),
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
            Ask::GetProperties { types } => match self.find_home(id) {
                Ok(home) => {
                    if let Some(name) = passed_over(types) {
                        log::warn!("seq={} property passed over: {name}", tag.sequence.0);
                    }
                    let properties = Properties {
                        kernel: &*world.kernel,
                        view: self.view(home),
                        types,
                    };
                    outgoing.answer(tag, Ok(Answer::Properties(&properties)));
                    return;
                }
                Err(failure) => Err(failure),
            },
            Ask::ModifySettings(modify) => self.modify(tag, id, modify, world),
            Ask::UpdateContainer(resources) => self.update(id, resources, world),
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

    /// Agrees on version 4. A host that goes on with a session counts on from the last id it used, and is owed what it was
    /// owed (gcs-protocol §2.3); any other begins a new one.
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
        let resumed = tag.sequence.0 > self.highest.0;
        if resumed {
            self.on_host_back(world.now);
        } else {
            self.on_new_host(world);
            outgoing.on_new_host();
        }
        self.connection = self.connection.wrapping_add(1);
        outgoing.on_negotiated();
        self.begun = if resumed { Begun::Earlier } else { Begun::New };
        Ok(Reply::Now(Answer::Negotiated))
    }

    /// Logs a session that was agreed on since the last call. For whoever has sent the answer: a line of the log takes longer
    /// to make than that, and at start the host waits for it.
    pub(crate) fn tell_of_negotiation(&mut self) {
        let which = match core::mem::replace(&mut self.begun, Begun::Told) {
            Begun::Told => return,
            Begun::New => "a new",
            Begun::Earlier => "an earlier",
        };
        log::info!("negotiated protocol version {PROTOCOL_VERSION}, {which} session");
    }

    /// The host's waits may have been lost with its connection: it is given time to send them again.
    fn on_host_back(&mut self, now: Instant) {
        for index in 0..self.containers.high() {
            if let Some(key) = self.containers.key_at(index)
                && let Some(container) = self.containers.get_mut(key)
                && let Notice::Due(at) = &mut container.notice
            {
                *at = now + Duration::from_millis(WAIT_GRACE_MS);
            }
        }
    }

    /// Forgets what an earlier host was owed. Its containers and processes live on, and their exit codes are kept.
    fn on_new_host<V: Vsock, K: Kernel>(&mut self, world: &mut World<'_, V, K>) {
        self.number = self.number.wrapping_add(1);
        self.highest = Sequence(0);
        self.waiters.clear();
        self.modifications.clear(world.kernel);
        for index in 0..self.processes.high() {
            if let Some(key) = self.processes.key_at(index) {
                self.cancel_launch(key, world);
            }
        }
    }
}

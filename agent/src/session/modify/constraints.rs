//! What a container may use from now on (gcs-protocol §11.8).

use crate::failure::{Cause, Failure};
use crate::json::Cursor;
use crate::kernel::Kernel;
use crate::message::MessageType;
use crate::message::modify::constraints;
use crate::message::resources::{Resources, resources};
use crate::message::response::Answer;
use crate::process::Home;
use crate::session::Session;
use crate::session::dispatch::Reply;
use crate::world::World;
use hal::vsock::Vsock;

impl Session {
    /// Reads the settings of a modification, and sets what a container may use.
    pub(super) fn constrain<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        settings: &mut Cursor<'_>,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let resources = constraints(settings)?;
        self.set_limits(id, resources, world)
    }

    /// UpdateContainer of early hosts: the same in another envelope.
    pub(in crate::session) fn update<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        document: Option<Cursor<'_>>,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        // Without constraints it means nothing, here as there.
        let unknown = Cause::NotImplemented(MessageType::UPDATE_CONTAINER);
        let resources = resources(&mut document.ok_or(unknown)?)?;
        self.set_limits(id, resources, world)
    }

    /// Sets all limits, or none when there is one that cannot be kept.
    fn set_limits<V: Vsock, K: Kernel>(
        &mut self,
        id: &str,
        resources: Resources,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        // The null id is no container's (gcs-protocol §11.8).
        let container = self.find_created(id)?;
        if let Some(name) = resources.missed {
            return Err(Cause::Unsupported(name).into());
        }
        let view = self.view(Home::Container(container));
        world.kernel.set_limits(view, resources.limits)?;
        Ok(Reply::Now(Answer::Done))
    }
}

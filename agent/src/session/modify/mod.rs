//! ModifySettings: a resource of the utility VM or of a container is added, removed or changed (gcs-protocol §11).
//!
//! What the settings of a resource come to stands in [`plan`], what a container may use in [`constraints`]. What takes time
//! is a change under way in the kernel; its request is answered when that has ended ([`pending`]).

mod constraints;
mod pending;
mod plan;

pub(super) use pending::Modifications;

use super::Session;
use super::dispatch::Reply;
use crate::failure::{Cause, CutText, Failure};
use crate::kernel::{Action, Change, Kernel};
use crate::limits::{DISK_WAIT_MS, UNMOUNT_WAIT_MS};
use crate::message::modify::{Modify, Settings};
use crate::message::request::NULL_CONTAINER;
use crate::message::response::Answer;
use crate::outgoing::Tag;
use crate::world::World;
use core::time::Duration;
use hal::vsock::Vsock;
use plan::{Kind, Step, kind_of, plan};

/// What is to be done with a resource.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Remove,
    Update,
}

impl Session {
    pub(super) fn modify<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        id: &str,
        modify: Modify<'_>,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let resource = modify.resource;
        let Some((name, kind)) = kind_of(resource) else {
            return Err(Cause::Resource(CutText::of(resource)).into());
        };
        let mut settings = modify.settings;
        if settings.is_none() && kind != Kind::PodMemoryLimit {
            return Err(Cause::NoSettings.into());
        }
        let mut read = Settings::default();
        if let Some(settings) = &mut settings {
            match kind {
                Kind::Constraints => return self.constrain(id, settings, world),
                Kind::Refused | Kind::Network | Kind::PodMemoryLimit => {}
                _ => read = Settings::parse(settings)?,
            }
        }
        if id != NULL_CONTAINER {
            self.find_created(id)?;
            return Err(Cause::Resource(CutText::of(resource)).into());
        }
        let verb = match modify.request {
            "" | "Add" => Some(Verb::Add),
            "Remove" => Some(Verb::Remove),
            "Update" => Some(Verb::Update),
            _ => None,
        };
        let step = match verb {
            Some(verb) => plan(name, kind, verb, &read)?,
            None => Step::WrongVerb,
        };
        match step {
            Step::Change(change) => self.begin_change(tag, name, &change, world),
            Step::Done => Ok(Reply::Now(Answer::Done)),
            Step::WrongVerb => {
                let request = CutText::of(modify.request);
                Err(Cause::RequestType(CutText::of(resource), request).into())
            }
        }
    }

    /// Has the kernel begin a change, and keeps who asked for it.
    fn begin_change<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        resource: &'static str,
        change: &Change<'_>,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        self.modifications.expect_room()?;
        let wait_ms = match change.action {
            Action::Unmount | Action::Eject(_) => UNMOUNT_WAIT_MS,
            _ => DISK_WAIT_MS,
        };
        let deadline = world.now + Duration::from_millis(wait_ms);
        let id = world.kernel.change(change, deadline)?;
        self.modifications.add(*tag, resource, id);
        Ok(Reply::Later)
    }
}

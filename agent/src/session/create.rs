//! Create: a container, with its init loaded and not started.

use super::Session;
use super::dispatch::Reply;
use super::mount::make_mounts;
use super::program::{Asked, oci_program};
use crate::container::{Container, Init, Notice};
use crate::failure::{Cause, CutText, Failure};
use crate::kernel::{Kernel, View, Writes};
use crate::limits::{CONTAINER_ID_BYTES, MAX_CONTAINERS};
use crate::message::request::NULL_CONTAINER;
use crate::message::response::ExitType;
use crate::message::specification::{Create, Specification};
use crate::outgoing::Tag;
use crate::process::{Home, Role};
use crate::stream::{Phase, Stream};
use crate::world::World;
use hal::vsock::Vsock;

/// Which pod a container is in.
#[derive(Clone, Copy)]
enum Pod {
    /// None: it stands alone.
    None,
    /// One that begins with it.
    Sandbox,
    /// The one whose sandbox has this view.
    Of(View),
}

impl Session {
    pub(super) fn create<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        id: &str,
        create: &mut Create<'_>,
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
        let Some(specification) = &mut create.specification else {
            return Err(Cause::Missing("OciSpecification").into());
        };
        let Some(process) = &specification.process else {
            return Err(Cause::Missing("OciSpecification.process").into());
        };
        if specification.root.is_empty() {
            return Err(Cause::Missing("OciSpecification.root.path").into());
        }
        let pod = self.pod(id, specification)?;
        let program = oci_program(process)?;
        if let Some(name) = specification.resources.missed {
            return Err(Cause::Unsupported(name).into());
        }
        let limits = specification.resources.limits;
        let writes = if specification.root_read_only {
            Writes::Refused
        } else {
            Writes::Kept
        };
        let sandbox = match pod {
            Pod::Of(sandbox) => Some(sandbox),
            Pod::None | Pod::Sandbox => None,
        };
        let view = world
            .kernel
            .create_view(specification.root, writes, sandbox)?;
        let limited = world.kernel.set_limits(view, limits);
        let limited = match specification.hostname {
            "" => limited,
            name => limited.and_then(|()| world.kernel.name_view(view, name)),
        };
        let mounted = match specification.mounts.take() {
            Some(mounts) => make_mounts(view, mounts, world.kernel),
            None => Ok(()),
        };
        let started = match limited {
            Ok(()) => {
                mounted.and_then(|()| self.start_container(tag, own_id, pod, view, &program, world))
            }
            Err(refusal) => Err(refusal.into()),
        };
        if started.is_err() {
            world.kernel.remove_view(view);
        }
        started
    }

    fn start_container<V: Vsock, K: Kernel>(
        &mut self,
        tag: &Tag,
        id: heapless::String<CONTAINER_ID_BYTES>,
        pod: Pod,
        view: View,
        program: &Asked<'_>,
        world: &mut World<'_, V, K>,
    ) -> Result<Reply<'static>, Failure> {
        let container = self
            .containers
            .insert(Container {
                id,
                is_sandbox: matches!(pod, Pod::Sandbox),
                view,
                activity: tag.activity,
                init: Init::Never,
                has_terminal: program.program.terminal,
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

    /// Returns which pod a container is to be in. One that joins a pod is refused unless its sandbox is there.
    fn pod(&self, id: &str, specification: &Specification<'_>) -> Result<Pod, Failure> {
        match specification.container_type {
            _ if specification.virtual_pod == id => Ok(Pod::Sandbox),
            "" => Ok(Pod::None),
            "sandbox" => Ok(Pod::Sandbox),
            "container" => {
                let sandbox = specification.sandbox;
                let known = self.containers.iter().find(|(_, container)| {
                    container.is_sandbox && !container.deleted && container.id == sandbox
                });
                match known {
                    Some((_, container)) => Ok(Pod::Of(container.view)),
                    None => Err(Cause::NoSandbox(CutText::of(sandbox)).into()),
                }
            }
            other => Err(Cause::ContainerType(CutText::of(other)).into()),
        }
    }
}

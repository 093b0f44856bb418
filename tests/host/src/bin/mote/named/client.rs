//! Asking a supervisor.

use super::channel::Channel;
use super::message::{Reply, Request};
use super::place::{Name, Place};
use super::supervisor::SOCKET;
use crate::failure::{Failure, Result};
use std::io;
use std::time::Duration;

/// How long a supervisor may take to answer what needs no guest.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// A connection to the supervisor of one VM, for one request.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    name: Name,
}

impl Client {
    /// Connects to a VM's supervisor.
    pub(crate) fn connect(name: &Name) -> Result<Self> {
        let path = Place::open()?.directory(name).join(SOCKET);
        match Channel::connect(&path) {
            Ok(channel) => Ok(Self {
                channel,
                name: name.clone(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Failure::new(format!("there is no VM named {name}"))
                    .hint("`mote ls` lists those there are; `mote up NAME` starts one"))
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(Failure::new(format!("the supervisor of {name} is gone"))
                    .hint("`mote prune` removes what it left"))
            }
            Err(error) => Err(Failure::io(
                format!("cannot talk to the supervisor of {name}"),
                &error,
            )),
        }
    }

    /// Asks; replies are to be [`Client::receive`]d.
    pub(crate) fn send(&self, request: &Request) -> Result<()> {
        self.channel.send(request).map_err(|error| {
            Failure::io(
                format!("cannot ask the supervisor of {}", self.name),
                &error,
            )
        })
    }

    /// Receives the next reply.
    pub(crate) fn receive(&self) -> Result<Reply> {
        match self.channel.receive::<Reply>() {
            Ok(Some(reply)) => reply.into_result(),
            Ok(None) => Err(self.gone()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Failure::new(format!(
                "the supervisor of {} does not answer within {ANSWER_LIMIT:?}",
                self.name
            ))
            .hint(format!("`mote down --force {}` ends it", self.name))),
            Err(error) => Err(Failure::io(
                format!("cannot read the answer of the supervisor of {}", self.name),
                &error,
            )),
        }
    }

    /// What there is to say when the supervisor hangs up.
    pub(crate) fn gone(&self) -> Failure {
        Failure::new(format!(
            "the VM {} has ended, or its supervisor was killed",
            self.name
        ))
        .hint("`mote ls` tells; `mote up` starts it again")
    }
}

/// Asks for one thing and returns the one reply.
pub(crate) fn ask(name: &Name, request: &Request) -> Result<Reply> {
    let client = Client::connect(name)?;
    client.send(request)?;
    client.receive()
}

/// As [`ask`], for what a healthy supervisor knows by itself.
pub(crate) fn ask_quickly(name: &Name, request: &Request) -> Result<Reply> {
    let client = Client::connect(name)?;
    client
        .channel
        .set_receive_limit(ANSWER_LIMIT)
        .map_err(|error| Failure::io("cannot limit the wait for an answer", &error))?;
    client.send(request)?;
    client.receive()
}

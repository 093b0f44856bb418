//! The bridge between two connections (see [`crate::resume`]).

use super::{Bridge, Gap, Patience, duplicate, ended, writing_end};
use crate::error::{Error, Result};
use crate::message::MessageType;
use crate::once::{Once, lock};
use crate::response::{Answer, Expected};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

impl Bridge {
    /// Opens or closes the time in which the bridge outlives its connection.
    pub(crate) fn set_migrating(&self, migrating: bool) {
        let lost = {
            let mut table = lock(&self.table);
            table.migrating = migrating;
            table.lost.clone().filter(|_| !migrating)
        };
        if let Some(reason) = lost {
            self.end(&reason);
        }
    }

    /// Puts the next connection in the place of the one before. Nothing but the negotiation is sent over it until
    /// [`Bridge::on_resumed`].
    pub(crate) fn replace(self: &Arc<Self>, stream: UnixStream) -> Result<()> {
        let reader = duplicate(&stream)?;
        let end = writing_end(&stream, self.timeouts)?;
        let connection = {
            let table = lock(&self.table);
            if let Some(reason) = &table.end {
                return Err(ended("resume", reason));
            }
            if !table.migrating {
                return Err(Error::InvalidRequest {
                    operation: "resume",
                    reason: "the connection is not migrating".into(),
                });
            }
            table.connection
        };
        // Nothing more of the connection before is believed, and whoever writes to it stops.
        self.on_lost(connection, "another connection takes its place");
        let mut writer = lock(&self.writer);
        let connection = {
            let mut table = lock(&self.table);
            table.connection += 1;
            table.stream = stream;
            table.connection
        };
        writer.stream = end;
        drop(writer);
        self.spawn_reader(reader, connection)
    }

    /// Negotiates on a connection that has taken another one's place.
    pub(crate) fn negotiate_again(&self, body: &[u8]) -> Result<Answer> {
        let operation = MessageType::NEGOTIATE_PROTOCOL;
        let reply = Once::new();
        self.send_for(operation, body, Expected::Negotiated, &reply, Gap::Pass)?;
        self.await_answer(operation, &reply, self.timeouts.call, Patience::Final)
    }

    /// The next connection is negotiated: waits that are unanswered are sent again, under new ids. An answer under the
    /// old id is as good; the first one counts.
    pub(crate) fn on_resumed(&self) {
        let unanswered = {
            let mut table = lock(&self.table);
            table.lost = None;
            let calls = table.calls.values_mut();
            let waiting = calls.filter(|call| call.reply.get().is_none());
            waiting
                .filter_map(|call| Some((call.operation, call.again.take()?, call.reply.clone())))
                .collect::<Vec<_>>()
        };
        self.up_again.notify_all();
        for (operation, body, reply) in unanswered {
            let sent = self.send_for(operation, &body, Expected::ExitCode, &reply, Gap::Pass);
            if let Err(error) = sent {
                reply.set(Err(error));
            }
        }
    }

    /// Waits for the bridge to be up; `false` when it is not by then, or has ended.
    pub(crate) fn wait_up(&self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut table = lock(&self.table);
        loop {
            if table.end.is_some() || table.lost.is_none() {
                return table.end.is_none();
            }
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            table = self
                .up_again
                .wait_timeout(table, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for the connection to be lost; `None` when it is still up after `limit`, or the bridge has ended.
    pub(crate) fn wait_lost(&self, limit: Duration) -> Option<Arc<str>> {
        let deadline = Instant::now() + limit;
        let mut table = lock(&self.table);
        loop {
            if table.end.is_some() || table.lost.is_some() {
                return table.lost.clone();
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            table = self
                .up_again
                .wait_timeout(table, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

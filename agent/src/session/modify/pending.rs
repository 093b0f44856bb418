//! Modifications whose change is under way in the kernel, and those it has ended: they wait for room on the way out.

use crate::failure::{Cause, CutText, Failure};
use crate::kernel::{ChangeId, Kernel, LoadError};
use crate::limits::{ERROR_NAME_BYTES, MAX_MODIFICATIONS};
use crate::message::response::Answer;
use crate::outgoing::{Outgoing, Tag};
use core::fmt;

/// One ModifySettings request that is not answered yet.
struct Modification {
    tag: Tag,
    resource: &'static str,
    change: ChangeId,
    /// How the change ended, once it has.
    outcome: Option<Result<(), Failure>>,
}

/// All of them, in the order they came.
pub(in crate::session) struct Modifications {
    list: heapless::Vec<Modification, MAX_MODIFICATIONS>,
}

impl Modifications {
    pub(in crate::session) const fn new() -> Self {
        Self {
            list: heapless::Vec::new(),
        }
    }

    /// Refuses when there is no room for one more.
    pub(super) fn expect_room(&self) -> Result<(), Failure> {
        if self.list.is_full() {
            return Err(Cause::Limit("MAX_MODIFICATIONS", MAX_MODIFICATIONS).into());
        }
        Ok(())
    }

    pub(super) fn add(&mut self, tag: Tag, resource: &'static str, change: ChangeId) {
        // Room was asked for before.
        let _ = self.list.push(Modification {
            tag,
            resource,
            change,
            outcome: None,
        });
    }

    /// The kernel has ended a change.
    pub(in crate::session) fn on_changed(
        &mut self,
        change: ChangeId,
        outcome: Result<(), (LoadError, CutText<ERROR_NAME_BYTES>)>,
    ) {
        let known = self
            .list
            .iter_mut()
            .find(|known| known.change == change && known.outcome.is_none());
        if let Some(known) = known {
            let failed = |(error, by)| Cause::Change(known.resource, error, by).into();
            known.outcome = Some(outcome.map_err(failed));
        }
    }

    /// Answers those whose change has ended. Returns whether there were any.
    pub(in crate::session) fn answer(&mut self, outgoing: &mut Outgoing) -> bool {
        let mut moved = false;
        while outgoing.takes_deferred() {
            let Some(ended) = self.list.iter().position(|known| known.outcome.is_some()) else {
                break;
            };
            moved = true;
            let known = self.list.remove(ended);
            match known.outcome {
                Some(Err(failure)) => outgoing.answer(&known.tag, Err(&failure)),
                _ => outgoing.answer(&known.tag, Ok(Answer::Done)),
            }
        }
        moved
    }

    /// Forgets all: their host is gone. What has not happened by now does not happen any more.
    pub(in crate::session) fn clear(&mut self, kernel: &mut impl Kernel) {
        for known in &self.list {
            if known.outcome.is_none() {
                kernel.give_up(known.change);
            }
        }
        self.list.clear();
    }

    pub(in crate::session) fn describe(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        for known in &self.list {
            let sequence = known.tag.sequence.0;
            writeln!(out, "seq={sequence} changes {}", known.resource)?;
        }
        Ok(())
    }
}

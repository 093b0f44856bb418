//! Two names of which each gets the other's file (renameat2(2), RENAME_EXCHANGE).

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Kind;
use crate::fs::context::Context;
use crate::fs::rename::permit_move;
use crate::fs::walk::Resolved;
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Exchanges two names of one tree; the caller's rights to remove the first and to change both directories are checked.
    pub(super) fn exchange(
        &mut self,
        context: &mut Context<'_>,
        from: &Resolved,
        to: &Resolved,
    ) -> Result<(), Errno> {
        let ends = [(from, to), (to, from)];
        let (one, other) = (from.entry.0, to.entry.0);
        let moved = self.permit_removal(context, to)?;
        permit_move(context, (to, from), &moved)?;
        let kinds = [self.attributes_at(one)?.kind, moved.kind];
        for ((end, target), kind) in ends.iter().zip(kinds) {
            let is_directory = kind == Kind::Directory;
            if end.is_slashed && !is_directory {
                return Err(Errno::ENOTDIR);
            }
            if is_directory && self.is_below(target.directory.0, end.entry.0) {
                return Err(Errno::EINVAL);
            }
        }
        if one == other {
            return Ok(());
        }
        for (end, _) in ends {
            // What only repeats a source is the truth from now on.
            self.own(end.entry.by_ref())?;
        }
        for (end, _) in ends {
            self.unpin_entry(end.entry.0)?;
            self.dentries.unlink(end.entry.0);
        }
        self.dentries.exchange(one, other);
        let step = |kind| i32::from(kind == Kind::Directory);
        let links = step(kinds[1]) - step(kinds[0]);
        for ((end, _), links) in ends.into_iter().zip([links, -links]) {
            self.dentries.link(end.entry.0);
            self.pin_entry(end.entry.0)?;
            let wall = context.wall;
            self.own(end.entry.by_ref())?.attributes.changed = wall;
            self.directory_changed(context, end.directory.0, links);
        }
        Ok(())
    }
}

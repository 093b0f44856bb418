//! Files that get another name (rename(2)), in memory as all changes of names.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::{Access, Attributes, Kind};
use crate::fs::context::Context;
use crate::fs::dentry::{DentryId, State};
use crate::fs::text::Text;
use crate::fs::walk::{LastName, Resolved};
use crate::wait::Stall;
use hal::block::Block;

/// What becomes of a file whose name another one is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// It loses the name.
    Replaced,
    /// It keeps the name, and the call is refused.
    Kept,
    /// It gets the other one's name.
    Exchanged,
}

impl<B: Block> Files<B> {
    /// Moves a file to another name, over what may stand there.
    pub(super) fn rename(
        &mut self,
        context: &mut Context<'_>,
        from: &Resolved,
        to: &Resolved,
        existing: Existing,
    ) -> Result<(), Stall> {
        let (LastName::Name(_), LastName::Name(name)) = (&from.last, &to.last) else {
            return Err(Errno::EBUSY.into());
        };
        let (source, target) = (from.entry.0, to.entry.0);
        let [left, entered] = [from, to].map(|path| self.dentries.get(path.directory.0));
        if left?.mount != entered?.mount {
            return Err(Errno::EXDEV.into());
        }
        let moved = self.permit_removal(context, from)?;
        permit_move(context, (from, to), &moved)?;
        self.permit_change(context, to.directory.0)?;
        if existing == Existing::Exchanged {
            return Ok(self.exchange(context, from, to)?);
        }
        let is_directory = moved.kind == Kind::Directory;
        if !is_directory && (from.is_slashed || to.is_slashed) {
            return Err(Errno::ENOTDIR.into());
        }
        if is_directory && self.is_below(to.directory.0, source) {
            return Err(Errno::EINVAL.into());
        }
        let replaced = self.dentries.get(target)?.inode;
        if let Some(replaced) = replaced {
            if existing == Existing::Kept {
                return Err(Errno::EEXIST.into());
            }
            if Some(replaced) == self.dentries.get(source)?.inode {
                // Two names of one file: nothing happens (rename(2)).
                return Ok(());
            }
            let kind = self.permit_removal(context, to)?.kind;
            match (is_directory, kind == Kind::Directory) {
                (true, false) => return Err(Errno::ENOTDIR.into()),
                (false, true) => return Err(Errno::EISDIR.into()),
                (true, true) if self.is_below(from.directory.0, target) => {
                    return Err(Errno::ENOTEMPTY.into());
                }
                (true, true) if !self.is_empty(context, target)? => {
                    return Err(Errno::ENOTEMPTY.into());
                }
                _ => {}
            }
        }
        // From here on only memory can run out, and that is found out before anything changes.
        let copy = Text::copy_of(name)?;
        self.leave_mark(source)?;
        let shadows = self.dentries.get(target)?.shadows;
        if replaced.is_some() {
            self.dentries.get_mut(target)?.shadows = false;
            self.take_name(context, target)?;
        } else {
            // A negative entry or a mark: the moved entry takes its place.
            self.unpin_entry(target)?;
            self.dentries.unlink(target);
            self.dentries.get_mut(target)?.state = State::Detached;
        }
        self.unpin_entry(source)?;
        self.dentries.unlink(source);
        let entry = self.dentries.get_mut(source)?;
        entry.name = copy;
        entry.shadows = shadows;
        let parent = entry.parent.replace(to.directory.0);
        self.dentries.hold_parent(to.directory.0);
        self.dentries.link(source);
        self.pin_entry(source)?;
        if let Some(parent) = parent
            && self.dentries.let_go_parent(parent)
        {
            self.drop_entry(parent);
        }
        let wall = context.wall;
        self.own(from.entry.by_ref())?.attributes.changed = wall;
        let step = i32::from(is_directory);
        self.directory_changed(context, from.directory.0, -step);
        let replaced_directory = i32::from(is_directory && replaced.is_some());
        self.directory_changed(context, to.directory.0, step - replaced_directory);
        Ok(())
    }

    /// Returns whether `entry` is `directory` or lies below it.
    pub(super) fn is_below(&self, mut entry: DentryId, directory: DentryId) -> bool {
        loop {
            if entry == directory {
                return true;
            }
            match self.dentries.get(entry).ok().and_then(|known| known.parent) {
                Some(parent) => entry = parent,
                None => return false,
            }
        }
    }
}

/// Checks that a file may be moved from where it is to another directory, which changes what `..` is in it (Linux
/// `vfs_rename`).
pub(super) fn permit_move(
    context: &Context<'_>,
    (from, to): (&Resolved, &Resolved),
    moved: &Attributes,
) -> Result<(), Errno> {
    if moved.kind == Kind::Directory && from.directory != to.directory {
        moved.permit(context.credentials, Access::WRITE)?;
    }
    Ok(())
}

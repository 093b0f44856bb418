//! Text that is busy: a file that is executed is not written to, and one that is written to is not executed.
//!
//! Counted are open files and processes. A mapping alone through which a file may be written to is not.

use crate::errno::Errno;
use crate::fs::Files;
use crate::fs::attributes::Access;
use crate::fs::description::Target;
use crate::fs::flags::OpenFlags;
use crate::fs::inode::InodeId;
use crate::fs::place::{Place, PlaceRef};
use hal::block::Block;

impl<B: Block> Files<B> {
    /// Makes a second token of a program's place, and keeps the program from being written to until
    /// [`Files::release_program`].
    pub fn share_program(&mut self, place: PlaceRef<'_>) -> Place {
        self.count_program(place, 1);
        self.share_place(place)
    }

    /// Gives the place of a program back that [`Files::share_program`] made.
    pub fn release_program(&mut self, place: Place) {
        self.count_program(place.by_ref(), -1);
        self.release_place(place);
    }

    fn count_program(&mut self, place: PlaceRef<'_>, step: i16) {
        if let Ok(union) = self.inode_at(place.0).and_then(|id| self.union_mut(id)) {
            union.executed = union.executed.saturating_add_signed(step);
        }
    }

    /// Checks that nobody executes a file that is to be written to.
    ///
    /// # Errors
    ///
    /// ETXTBSY.
    pub(super) fn permit_writer(&mut self, id: InodeId) -> Result<(), Errno> {
        match self.union_mut(id) {
            Ok(union) if union.executed > 0 => Err(Errno::ETXTBSY),
            _ => Ok(()),
        }
    }

    /// Checks that nobody has a file open for writing that is to be executed.
    ///
    /// # Errors
    ///
    /// ETXTBSY.
    pub fn permit_program(&mut self, place: PlaceRef<'_>) -> Result<(), Errno> {
        let id = self.inode_at(place.0)?;
        match self.union_mut(id) {
            Ok(union) if union.writers > 0 => Err(Errno::ETXTBSY),
            _ => Ok(()),
        }
    }

    /// Counts open files through which a regular file may be written to.
    pub(super) fn count_writer(&mut self, target: Target, flags: OpenFlags, step: i16) {
        let writes = flags.access().contains(Access::WRITE);
        if let Target::Inode(id) = target
            && writes
            && let Ok(union) = self.union_mut(id)
        {
            let is_first = step > 0 && union.writers == 0 && union.mapped == 0;
            if is_first && union.seen > 0 {
                union.next_viewer = 0;
            }
            union.writers = union.writers.saturating_add_signed(step);
        }
    }
}

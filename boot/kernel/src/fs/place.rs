//! Where a file stands: the right to one directory entry, kept in memory for as long as the token lives.

use crate::fs::dentry::DentryId;
use core::marker::PhantomData;

/// The right to one place of the directory tree. Give it back with [`crate::fs::Files::release_place`].
#[must_use = "a place that is dropped stays in memory; give it back with `Files::release_place`"]
#[derive(Debug, PartialEq, Eq)]
pub struct Place(pub(super) DentryId);

impl Place {
    /// Returns a borrowed name for this place.
    #[must_use]
    pub const fn by_ref(&self) -> PlaceRef<'_> {
        PlaceRef(self.0, PhantomData)
    }
}

/// A borrowed [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceRef<'a>(pub(super) DentryId, pub(super) PhantomData<&'a Place>);

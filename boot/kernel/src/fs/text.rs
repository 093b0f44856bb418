//! Names and targets of links: short ones lie in the entry itself, so that making an entry asks the heap for nothing.

use crate::errno::Errno;
use crate::limits::SHORT_NAME_BYTES;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Deref;

/// Bytes that do not change.
#[derive(Debug)]
pub(super) enum Text {
    /// So many bytes at the start of the array.
    Short(u8, [u8; SHORT_NAME_BYTES]),
    /// More than fit there.
    Long(Box<[u8]>),
}

const _: () = assert!(SHORT_NAME_BYTES <= u8::MAX as usize);

impl Text {
    /// No bytes.
    pub(super) const EMPTY: Self = Self::Short(0, [0; SHORT_NAME_BYTES]);

    /// Makes a copy.
    ///
    /// # Errors
    ///
    /// ENOMEM, for long ones only.
    pub(super) fn copy_of(bytes: &[u8]) -> Result<Self, Errno> {
        if bytes.len() <= SHORT_NAME_BYTES {
            let mut short = [0; SHORT_NAME_BYTES];
            short[..bytes.len()].copy_from_slice(bytes);
            return Ok(Self::Short(bytes.len() as u8, short));
        }
        let mut long = Vec::new();
        long.try_reserve_exact(bytes.len())
            .map_err(|_| Errno::ENOMEM)?;
        long.extend_from_slice(bytes);
        Ok(Self::Long(long.into_boxed_slice()))
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_copy_is_equal_and_only_a_long_one_asks_the_heap() {
        for length in [0, 1, SHORT_NAME_BYTES, SHORT_NAME_BYTES + 1, 255] {
            let bytes = vec![b'n'; length];
            let before = fakes::alloc::calls();
            let copy = Text::copy_of(&bytes).expect("there is memory");
            let calls = fakes::alloc::calls() - before;
            assert_eq!(*copy, *bytes);
            assert_eq!(calls > 0, length > SHORT_NAME_BYTES, "{length}");
        }
    }
}

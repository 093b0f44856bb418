//! One bit for each connection: who needs attention, in turn.

use crate::limits::MAX_CONNECTIONS;

const WORD_BITS: usize = 64;

/// A set of connections that is emptied round-robin, so that none is served twice before another is served once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    words: [u64; MAX_CONNECTIONS / WORD_BITS],
    /// Where the next search starts.
    cursor: usize,
}

impl Marks {
    pub(crate) fn set(&mut self, index: usize) {
        self.words[index / WORD_BITS] |= 1 << (index % WORD_BITS);
    }

    pub(crate) fn clear(&mut self, index: usize) {
        self.words[index / WORD_BITS] &= !(1 << (index % WORD_BITS));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words == [0; MAX_CONNECTIONS / WORD_BITS]
    }

    /// Adds all members of `other`.
    pub(crate) fn join(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(other.words) {
            *word |= more;
        }
    }

    /// Removes the next connection behind the one removed last.
    pub(crate) fn take(&mut self) -> Option<usize> {
        let index = self
            .first_from(self.cursor)
            .or_else(|| self.first_from(0))?;
        self.clear(index);
        self.cursor = (index + 1) % MAX_CONNECTIONS;
        Some(index)
    }

    fn first_from(&self, from: usize) -> Option<usize> {
        let first_word = from / WORD_BITS;
        for (number, &word) in self.words.iter().enumerate().skip(first_word) {
            let mask = if number == first_word {
                u64::MAX << (from % WORD_BITS)
            } else {
                u64::MAX
            };
            let left = word & mask;
            if left != 0 {
                return Some(number * WORD_BITS + left.trailing_zeros() as usize);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_everybody_once_before_anybody_twice() {
        let mut marks = Marks::default();
        for index in [0, 63, 64, 255] {
            marks.set(index);
        }
        assert_eq!(marks.take(), Some(0));
        marks.set(0);
        assert_eq!(marks.take(), Some(63));
        assert_eq!(marks.take(), Some(64));
        assert_eq!(marks.take(), Some(255));
        assert_eq!(marks.take(), Some(0));
        assert_eq!(marks.take(), None);
        assert!(marks.is_empty());
    }
}

//! Bytes read as decisions: what a peer does next, how much, to whom.
//!
//! A script never ends early: when its bytes are used up every decision is 0, so targets must bound their own steps.

/// A cursor over the input.
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all bytes are used up.
    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns how many bytes are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Returns the next byte.
    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    /// Returns the next two bytes as a number.
    pub fn half(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Returns the next four bytes as a number.
    pub fn word(&mut self) -> u32 {
        u32::from(self.half()) | u32::from(self.half()) << 16
    }

    /// Returns up to `count` of the next bytes.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Returns all that is left.
    pub fn all(&mut self) -> &'a [u8] {
        self.bytes(self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_used_up_script_decides_zero() {
        let mut script = Script::new(&[1, 2, 3]);
        assert_eq!(
            (script.half(), script.byte(), script.word()),
            (0x0201, 3, 0)
        );
        assert!(script.is_over() && script.bytes(5).is_empty());
    }
}

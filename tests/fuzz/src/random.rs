//! Random numbers that are the same for the same seed, on every machine and for ever.

/// A SplitMix64 generator (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): one word of
/// state, every seed is good, and the numbers will not change with a crate's version.
#[derive(Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Starts at `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next 64 bits.
    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Returns a number below `bound`; 0 when the bound is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        if bound == 0 {
            return 0;
        }
        // The bias is below bound / 2^64: nothing to a fuzzer.
        (self.word() % bound as u64) as usize
    }

    /// Returns one of `choices`, or `None` when there are none.
    pub fn choose<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }

    /// Is true once in `times`.
    pub fn is_once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_published_numbers_for_seed_zero() {
        let mut random = Random::new(0);
        let expected = [
            0xe220_a839_7b1d_cdaf,
            0x6e78_9e6a_a1b9_65f4,
            0x06c4_5d18_8009_454f,
        ];
        assert_eq!([random.word(), random.word(), random.word()], expected);
    }

    #[test]
    fn numbers_below_a_bound_stay_below_it() {
        let mut random = Random::new(1);
        for bound in [1, 2, 3, 1000] {
            assert!((0..1000).all(|_| random.below(bound) < bound));
        }
        assert_eq!(random.below(0), 0);
    }
}

//! Cheap chance for one worker: fuzz bits, leaked replies, kisses.

/// A xorshift generator with a multiplied output (xorshift64*): 2^64 - 1 long, and no secret hangs on it.
///
/// What it decides (bits below the clock's precision, which of the limited requests gets an answer) is
/// no use to a stranger; keys and client nonces come from the kernel instead.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// From a seed out of the kernel's randomness; zero is replaced.
    pub const fn new(seed: u64) -> Self {
        Self(if seed == 0 {
            0x9e37_79b9_7f4a_7c15
        } else {
            seed
        })
    }

    /// The next 32 bits.
    #[inline]
    pub const fn bits(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32
    }

    /// True once in 2^`log2` on average; `log2` is at most 32.
    #[inline]
    pub const fn one_in(&mut self, log2: u8) -> bool {
        log2 == 0 || self.bits() >> (32 - log2 as u32) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_four_is_about_a_quarter() {
        let mut chance = Chance::new(0);
        assert!(chance.one_in(0));
        let hits = (0..40_000).filter(|_| chance.one_in(2)).count();
        assert!((9_500..10_500).contains(&hits), "{hits}");
    }
}

//! What is drawn, from one number.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What somebody draws: the same from the same seed, whatever others draw.
#[derive(Debug, Clone)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64, whose: u64) -> Self {
        // Seeds that are near each other begin far apart (splitmix64).
        let mut mixed = seed.wrapping_add(whose.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Self((mixed ^ (mixed >> 31)) | 1)
    }

    /// Less than `most`.
    pub(super) fn below(&mut self, most: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % u64::from(most);
        u32::try_from(drawn).expect("it is less than most")
    }

    /// A place among so many.
    pub(super) fn index(&mut self, of: usize) -> usize {
        self.below(of.try_into().expect("these are not many")) as usize
    }

    pub(super) fn millis(&mut self, below: u32) -> Duration {
        Duration::from_millis(self.below(below).into())
    }

    /// All of these, in any order.
    pub(super) fn shuffled<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        let mut all = all.to_vec();
        for last in (1..all.len()).rev() {
            all.swap(last, self.index(last + 1));
        }
        all
    }
}

/// The one that was asked for, or a new one.
pub(super) fn seed(variable: &str) -> u64 {
    match std::env::var(variable) {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{variable} is a number")),
        Err(_) => u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()),
    }
}

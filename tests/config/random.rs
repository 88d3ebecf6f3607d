//! Numbers that look random and come from a seed (SplitMix64), so that every failure can be repeated.

use crate::scale::Scale;

const SEED: &str = "RUSTLE_TEST_SEED";

/// A source of numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The one of this number among those of a seed: each is its own, whatever was drawn from the others.
    pub(crate) fn stream(seed: u64, number: usize) -> Self {
        let mut mixer = Self(seed ^ (number as u64).wrapping_mul(0xd134_2543_de82_ef95));
        Self(mixer.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to but not `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    /// True in `times` of a hundred.
    pub(crate) fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    pub(crate) fn pick<'l, T>(&mut self, from: &'l [T]) -> &'l T {
        &from[self.below(from.len())]
    }
}

/// The seed of the environment; else a new one where all is run, and always the same for a part.
pub(crate) fn seed() -> u64 {
    match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap_or_else(|_| panic!("{SEED} is a number")),
        Err(_) if Scale::now() == Scale::Part => 1,
        Err(_) => getrandom::u64().unwrap(),
    }
}

#[test]
fn a_seed_gives_the_same_numbers_and_another_stream_others() {
    let draw = |mut random: Random| (0..8).map(|_| random.below(1000)).collect::<Vec<_>>();
    assert_eq!(draw(Random::stream(7, 1)), draw(Random::stream(7, 1)));
    assert_ne!(draw(Random::stream(7, 1)), draw(Random::stream(7, 2)));
    assert_ne!(draw(Random::stream(7, 1)), draw(Random::stream(8, 1)));
}

//! Which bytes of a file are done, when its parts complete in any order.
//!
//! A transfer that resumes compares what [`samples`] chooses before it believes that a part is there.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of bytes of a file, kept as ranges that neither touch nor overlap.
///
/// It takes memory for each gap, not for each byte or block: with a window of requests in flight there are at most as
/// many gaps as requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    // From the start of a range to its end.
    ranges: BTreeMap<u64, u64>,
}

impl Marks {
    /// Nothing is done.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// These bytes are done; those that were already, stay so. An empty range changes nothing.
    pub(crate) fn mark(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        // The one range that begins before, if it reaches this one.
        if let Some((&earlier, &its_end)) = self.ranges.range(..=start).next_back()
            && its_end >= start
        {
            start = earlier;
            end = end.max(its_end);
        }
        // Those that begin inside, or where this one ends.
        while let Some((&later, &its_end)) = self.ranges.range(start..=end).next() {
            self.ranges.remove(&later);
            end = end.max(its_end);
        }
        self.ranges.insert(start, end);
    }

    /// How many bytes are done from the beginning of the file without a gap.
    pub(crate) fn prefix(&self) -> u64 {
        self.ranges.get(&0).copied().unwrap_or(0)
    }

    /// What is done, in order, never touching.
    pub(crate) fn done(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }
}

/// Blocks of a file's first `length` bytes to be compared on both sides before a transfer goes on behind them: the
/// first, the last, and `count` more, one at a random place of each of `count` equal parts of what is between. In
/// order, never overlapping; all of it where there is little more.
///
/// It says little about the bytes between the blocks, and whoever relies on it has to say so. What it finds are the
/// usual ways for a part to be wrong: another file, an older version, an end that was never written, a tail of zeros.
///
/// The same `seed` chooses the same blocks; it has to come from outside and be unknown to whoever wrote the file.
pub(crate) fn samples(length: u64, block: u64, count: u32, seed: u64) -> Vec<Range<u64>> {
    let block = block.max(1);
    let needed = block.saturating_mul(u64::from(count).saturating_add(2));
    if length <= needed {
        return std::iter::once(0..length).filter(|whole| !whole.is_empty()).collect();
    }
    let mut chosen = Marks::new();
    chosen.mark(0..block);
    chosen.mark(length - block..length);
    // Since `length` is more than `needed`, each part is at least a block.
    let part = (length - 2 * block) / u64::from(count.max(1));
    let mut state = seed;
    for index in 0..u64::from(count) {
        let start = block + index * part + below(&mut state, part - block + 1);
        chosen.mark(start..start + block);
    }
    chosen.done().collect()
}

/// A number below `bound`, by SplitMix64: places are chosen, nothing is kept secret.
fn below(state: &mut u64, bound: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // The product's upper half, which is evenly spread enough: the bound is far below 2⁶⁴.
    let product = u128::from(mixed) * u128::from(bound.max(1));
    u64::try_from(product >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn marked(ranges: &[Range<u64>]) -> Marks {
        let mut marks = Marks::new();
        ranges.iter().cloned().for_each(|range| marks.mark(range));
        marks
    }

    #[test]
    fn parts_in_any_order_become_one() {
        let marks = marked(&[20..30, 0..10, 10..20, 40..50]);
        assert_eq!((marks.done().collect::<Vec<_>>(), marks.prefix()), (vec![0..30, 40..50], 30));
        assert_eq!(marked(&[10..20, 30..40]).prefix(), 0);
    }

    #[test]
    fn the_ends_of_the_number_space_are_no_exception() {
        let mut marks = marked(&[u64::MAX - 1..u64::MAX, 0..1]);
        marks.mark(0..u64::MAX);
        assert_eq!((marks.prefix(), marks.done().count()), (u64::MAX, 1));
    }

    #[test]
    fn samples_hold_the_head_and_the_tail_and_are_the_same_for_a_seed() {
        let chosen = samples(10_000_000, 4096, 8, 7);
        assert_eq!(chosen, samples(10_000_000, 4096, 8, 7));
        assert_ne!(chosen, samples(10_000_000, 4096, 8, 8));
        assert_eq!(chosen.first().map(|first| first.start), Some(0));
        assert_eq!(chosen.last().map(|last| last.end), Some(10_000_000));
        assert_eq!(chosen.iter().map(|range| range.end - range.start).sum::<u64>(), 10 * 4096);
    }

    #[test]
    fn a_small_file_is_compared_as_a_whole() {
        assert_eq!(samples(0, 4096, 8, 1), vec![]);
        assert!(samples(1, 4096, 8, 1).into_iter().eq(Some(0..1)));
        assert!(samples(10 * 4096, 4096, 8, 1).into_iter().eq(Some(0..10 * 4096)));
    }

    proptest! {
        /// Against a set of single bytes.
        #[test]
        fn ranges_are_what_a_set_of_bytes_would_be(
            steps in proptest::collection::vec((0u64..60, 0u64..20), 0..40),
        ) {
            let (mut marks, mut model) = (Marks::new(), std::collections::BTreeSet::new());
            for (start, length) in steps {
                marks.mark(start..start + length);
                model.extend(start..start + length);
                let done: Vec<_> = marks.done().collect();
                prop_assert!(done.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
            prop_assert_eq!(marks.done().flatten().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            let gap = (0..).find(|byte| !model.contains(byte));
            prop_assert_eq!(Some(marks.prefix()), gap);
        }

        #[test]
        fn samples_never_overlap_nor_leave_the_file(
            length in prop_oneof![0u64..2000, any::<u64>()], block in 0u64..300, count in 0u32..20, seed in any::<u64>(),
        ) {
            let chosen = samples(length, block, count, seed);
            prop_assert!(chosen.windows(2).all(|pair| pair[0].end < pair[1].start));
            prop_assert!(chosen.iter().all(|range| range.start < range.end && range.end <= length));
            let most = block.max(1).saturating_mul(u64::from(count) + 2);
            prop_assert!(chosen.iter().map(|range| range.end - range.start).sum::<u64>() <= most);
            prop_assert_eq!(chosen.is_empty(), length == 0);
        }
    }
}

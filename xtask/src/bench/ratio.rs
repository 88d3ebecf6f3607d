//! The arithmetic: medians, and ratios with their spread.

use std::fmt;

/// Ours over the peer's, each pair's for itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratio {
    pub(super) median: f64,
    least: f64,
    most: f64,
}

impl Ratio {
    /// Of pairs of ours and the peer's. None without pairs, and where a peer took no time at all.
    pub(super) fn of(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Self> {
        let mut ratios: Vec<f64> = pairs.into_iter().map(|(ours, peer)| ours / peer).collect();
        if ratios.iter().any(|ratio| !ratio.is_finite()) {
            return None;
        }
        ratios.sort_by(f64::total_cmp);
        Some(Self { median: middle(&ratios)?, least: *ratios.first()?, most: *ratios.last()? })
    }

    /// Whether the median keeps to a goal. Both count as they are shown, to two digits: no run tells more.
    pub(super) fn is_within(self, goal: f64) -> bool {
        hundredths(self.median) <= hundredths(goal)
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }
}

/// The value in the middle, or the mean of the two there; 0 of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    middle(&values).unwrap_or_default()
}

fn hundredths(ratio: f64) -> f64 {
    (ratio * 100.0).round()
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(*sorted.get(sorted.len() / 2 - 1)?, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_judged_by_the_digits_shown() {
        for (ours, is_within) in [(0.9, true), (1.004, true), (1.006, false)] {
            let ratio = Ratio::of([(ours, 1.0)]).unwrap();
            assert_eq!(ratio.is_within(1.0), is_within, "{ratio}");
        }
    }

    #[test]
    fn the_median_is_the_middle_of_the_sorted_values() {
        assert_eq!(median([3.0, 1.0, 9.0]), 3.0);
        assert_eq!(median([4.0, 1.0, 9.0, 2.0]), 3.0);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn a_ratio_is_the_median_of_the_pairs_and_not_the_ratio_of_medians() {
        // Medians 2 and 2 would give 1; the pairs' own ratios are 0.5, 2, 0.25.
        let ratio = Ratio::of([(1.0, 2.0), (4.0, 2.0), (2.0, 8.0)]).unwrap();
        assert_eq!(ratio, Ratio { median: 0.5, least: 0.25, most: 2.0 });
        assert_eq!(ratio.to_string(), "0.50 (0.25–2.00)");
    }

    #[test]
    fn nothing_over_nothing_is_no_ratio() {
        assert_eq!(Ratio::of([]), None);
        assert_eq!(Ratio::of([(1.0, 1.0), (0.0, 0.0)]), None);
        assert_eq!(Ratio::of([(1.0, 0.0)]), None);
    }
}

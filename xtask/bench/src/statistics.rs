//! Figures of several rounds, as one.

/// The middle of some figures, and how far they spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) greatest: f64,
}

impl Spread {
    /// Of nothing there is none.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, greatest) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Self { median, least, greatest })
    }

    /// Of one figure divided by the other, round by round: what slows a round down slows both.
    pub(super) fn of_ratios(ours: &[f64], theirs: &[f64]) -> Option<Self> {
        Self::of(
            ours.iter().zip(theirs).filter(|(_, theirs)| **theirs > 0.0).map(|(ours, theirs)| ours / theirs),
        )
    }
}

/// A count to compute with: none here comes near to where that is inexact.
#[expect(clippy::cast_precision_loss)]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64, least: f64, greatest: f64) -> Spread {
        Spread { median, least, greatest }
    }

    #[test]
    fn the_median_is_the_middle_whatever_the_order() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(spread(2.0, 1.0, 3.0)));
        assert_eq!(Spread::of([100.0, 1.0, 3.0, 2.0]), Some(spread(2.5, 1.0, 100.0)));
        assert_eq!(Spread::of([7.0]), Some(spread(7.0, 7.0, 7.0)));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_of_figures_of_the_same_round() {
        assert_eq!(Spread::of_ratios(&[10.0, 30.0, 6.0], &[10.0, 20.0, 3.0]), Some(spread(1.5, 1.0, 2.0)));
        assert_eq!(
            Spread::of_ratios(&[1.0, 2.0], &[0.0, 1.0]),
            Some(spread(2.0, 2.0, 2.0)),
            "by nothing is none"
        );
        assert_eq!(Spread::of_ratios(&[1.0], &[]), None);
    }
}

//! Median and range of the figures of several rounds.

/// Median, minimum and maximum of some figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
}

impl Spread {
    /// `None` without figures.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Some(Self { median, min, max })
    }

    /// Spread of `ours / theirs`, round by round: a disturbance in one round affects both figures of that round.
    pub(super) fn of_ratios<T>(ours: &[T], theirs: &[T], figure: impl Fn(&T) -> f64) -> Option<Self> {
        let pairs = ours.iter().zip(theirs).map(|(ours, theirs)| (figure(ours), figure(theirs)));
        Self::of(pairs.filter(|(_, theirs)| *theirs > 0.0).map(|(ours, theirs)| ours / theirs))
    }
}

/// Converts a count for computation; counts here are far below 2^53.
#[expect(clippy::cast_precision_loss)]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(median: f64, min: f64, max: f64) -> Spread {
        Spread { median, min, max }
    }

    #[test]
    fn median_does_not_depend_on_the_order() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Some(spread(2.0, 1.0, 3.0)));
        assert_eq!(Spread::of([100.0, 1.0, 3.0, 2.0]), Some(spread(2.5, 1.0, 100.0)));
        assert_eq!(Spread::of([7.0]), Some(spread(7.0, 7.0, 7.0)));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_pair_figures_of_the_same_round() {
        let ratios = |ours: &[f64], theirs: &[f64]| Spread::of_ratios(ours, theirs, |figure| *figure);
        assert_eq!(ratios(&[10.0, 30.0, 6.0], &[10.0, 20.0, 3.0]), Some(spread(1.5, 1.0, 2.0)));
        assert_eq!(
            ratios(&[1.0, 2.0], &[0.0, 1.0]),
            Some(spread(2.0, 2.0, 2.0)),
            "division by zero is left out"
        );
        assert_eq!(ratios(&[1.0], &[]), None);
    }
}

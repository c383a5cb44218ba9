//! Pearson's χ² test.

/// Computes χ² of counts against equal shares; 0 if all counts are 0.
pub fn chi_squared(counts: &[u64]) -> f64 {
    let expected = mean(counts);
    if expected <= 0.0 {
        return 0.0;
    }
    counts.iter().map(|count| (float(*count) - expected).powi(2) / expected).sum()
}

/// Computes the mean of counts; 0 without counts.
pub fn mean(counts: &[u64]) -> f64 {
    if counts.is_empty() { 0.0 } else { float(counts.iter().sum()) / float(counts.len() as u64) }
}

/// Computes the p-value: the probability that equal shares yield a χ² of at least this value. It is the upper tail of the χ²
/// distribution, the regularised incomplete gamma function Q(degrees/2, χ²/2).
pub fn p_value(chi_squared: f64, degrees: u32) -> f64 {
    if degrees == 0 || chi_squared <= 0.0 {
        return 1.0;
    }
    let (a, x) = (f64::from(degrees) / 2.0, chi_squared / 2.0);
    // Both converge everywhere, but each is fast only on one side.
    let q = if x < a + 1.0 { 1.0 - lower_series(a, x, degrees) } else { upper_fraction(a, x, degrees) };
    q.clamp(0.0, 1.0)
}

/// Maximum number of steps; the precision of an f64 is reached earlier.
const MAX_STEPS: u32 = 10_000;

/// P(a, x) = xᵃ e⁻ˣ Σ xⁿ / (a (a+1) … (a+n)) / Γ(a), DLMF 8.7.1.
fn lower_series(a: f64, x: f64, degrees: u32) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for n in 1..MAX_STEPS {
        term *= x / (a + f64::from(n));
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum * factor(a, x, degrees)
}

/// Q(a, x) as a continued fraction: the even part of DLMF 8.9.2, by Lentz's algorithm.
fn upper_fraction(a: f64, x: f64, degrees: u32) -> f64 {
    const TINY: f64 = 1e-300;
    let not_zero = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut denominator = x + 1.0 - a;
    let mut above = 1.0 / TINY;
    let mut below = 1.0 / not_zero(denominator);
    let mut fraction = below;
    for step in 1..MAX_STEPS {
        let step = f64::from(step);
        let numerator = -step * (step - a);
        denominator += 2.0;
        below = 1.0 / not_zero(numerator * below + denominator);
        above = not_zero(denominator + numerator / above);
        let change = above * below;
        fraction *= change;
        if (change - 1.0).abs() < f64::EPSILON {
            break;
        }
    }
    fraction * factor(a, x, degrees)
}

/// xᵃ e⁻ˣ / Γ(a).
fn factor(a: f64, x: f64, degrees: u32) -> f64 {
    (a * x.ln() - x - ln_gamma_of_half(degrees)).exp()
}

/// ln Γ(n/2), from Γ(a+1) = a Γ(a), Γ(1) = 1 and Γ(1/2) = √π.
fn ln_gamma_of_half(n: u32) -> f64 {
    let is_even = n.is_multiple_of(2);
    let (least, first) = if is_even { (2, 0.0) } else { (1, std::f64::consts::PI.sqrt().ln()) };
    (least..n).step_by(2).fold(first, |sum, step| sum + (f64::from(step) / 2.0).ln())
}

/// Converts a count. Counts here are far below 2⁵³, so the result is exact.
#[expect(clippy::cast_precision_loss)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Critical values of χ² as printed in the NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4: degrees of
    /// freedom, then the values that are exceeded with probability 0.10, 0.05, 0.025, 0.01 and 0.001.
    const TABLE: [(u32, [f64; 5]); 10] = [
        (1, [2.706, 3.841, 5.024, 6.635, 10.828]),
        (2, [4.605, 5.991, 7.378, 9.210, 13.816]),
        (3, [6.251, 7.815, 9.348, 11.345, 16.266]),
        (4, [7.779, 9.488, 11.143, 13.277, 18.467]),
        (5, [9.236, 11.070, 12.833, 15.086, 20.515]),
        (9, [14.684, 16.919, 19.023, 21.666, 27.877]),
        (10, [15.987, 18.307, 20.483, 23.209, 29.588]),
        (30, [40.256, 43.773, 46.979, 50.892, 59.703]),
        (50, [63.167, 67.505, 71.420, 76.154, 86.661]),
        (100, [118.498, 124.342, 129.561, 135.807, 149.449]),
    ];

    #[test]
    fn p_value_matches_published_tables() {
        for (degrees, values) in TABLE {
            for (chi_squared, p) in values.into_iter().zip([0.10, 0.05, 0.025, 0.01, 0.001]) {
                let got = p_value(chi_squared, degrees);
                // The table has three decimals.
                assert!((got - p).abs() < p * 1e-3, "{degrees} degrees, {chi_squared}: {got}, not {p}");
            }
        }
    }

    #[test]
    fn p_value_with_two_degrees_is_an_exponential() {
        for tenth in 1..600 {
            let x = f64::from(tenth) / 10.0;
            let (got, exact) = (p_value(x, 2), (-x / 2.0).exp());
            assert!((got - exact).abs() <= exact * 1e-12, "{x}: {got}, not {exact}");
        }
    }

    #[test]
    fn p_value_of_extremes() {
        assert_eq!((p_value(0.0, 5), p_value(3.0, 0)), (1.0, 1.0));
        assert!(p_value(1e6, 3) < 1e-300);
        assert!(p_value(1e-9, 200) > 1.0 - 1e-12);
        assert!((p_value(999.334, 1000) - 0.5).abs() < 1e-4, "the median is about degrees - 2/3");
    }

    #[test]
    fn chi_squared_of_textbook_die() {
        // 60 throws: (5-10)², (8-10)², (9-10)², (8-10)², (10-10)², (20-10)², by 10.
        let die = chi_squared(&[5, 8, 9, 8, 10, 20]);
        assert!((die - 13.4).abs() < 1e-12, "{die}");
        assert!((p_value(die, 5) - 0.0199).abs() < 5e-5);
        assert_eq!((chi_squared(&[7, 7, 7]), chi_squared(&[]), chi_squared(&[0, 0])), (0.0, 0.0, 0.0));
    }
}

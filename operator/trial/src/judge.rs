//! Whether a count fits a split: exact binomial tests.
//!
//! Traffic splits are random per request, so a count is judged by how unlikely
//! it is, never by a tolerance in percentage points.

/// Below this probability a count is held to be wrong: one false alarm in a
/// million judgements.
pub const SIGNIFICANCE: f64 = 1e-6;

/// Two-sided exact binomial test: the probability, under a share of `percent`,
/// of a count as unlikely as `hits` of `total` or more unlikely.
///
/// A share of 0 or 100 percent is exact: 1 where the count is exact, else 0.
#[must_use]
pub fn binomial_p(hits: u64, total: u64, percent: f64) -> f64 {
    let share = percent / 100.0;
    if hits > total {
        return 0.0;
    }
    if share <= 0.0 {
        return if hits == 0 { 1.0 } else { 0.0 };
    }
    if share >= 1.0 {
        return if hits == total { 1.0 } else { 0.0 };
    }
    let factorial = |n: u64| ln_gamma(n as f64 + 1.0);
    let constant = factorial(total);
    let ln_pmf = |k: u64| {
        constant - factorial(k) - factorial(total - k)
            + k as f64 * share.ln()
            + (total - k) as f64 * (1.0 - share).ln()
    };
    // Equally likely counts on the other side must not be missed by rounding.
    let bound = ln_pmf(hits) + 1e-7;
    (0..=total)
        .map(ln_pmf)
        .filter(|p| *p <= bound)
        .map(f64::exp)
        .sum::<f64>()
        .min(1.0)
}

/// Judges each share of a split by [`binomial_p`]; gives the first that does
/// not fit, in words.
///
/// # Errors
/// Says which count is too unlikely, with its probability.
pub fn judge_split<'a>(
    counts: impl IntoIterator<Item = (&'a str, u64, f64)>,
    total: u64,
) -> Result<(), String> {
    let mut sum = 0;
    for (name, hits, percent) in counts {
        sum += hits;
        let p = binomial_p(hits, total, percent);
        if p <= SIGNIFICANCE {
            return Err(format!(
                "{name}: {hits} of {total} is not {percent} % (p = {p:.2e})"
            ));
        }
    }
    if sum == total {
        Ok(())
    } else {
        Err(format!("{sum} of {total} answers are accounted for"))
    }
}

/// Natural logarithm of the gamma function for `x >= 1`: Stirling's series
/// after shifting `x` past 15, where six terms give 14 digits.
fn ln_gamma(x: f64) -> f64 {
    let mut shift = 0.0;
    let mut x = x;
    while x < 15.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    // Bernoulli numbers over 2k(2k-1), k = 1..6.
    let terms = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
    ];
    let series = terms
        .iter()
        .rev()
        .fold(0.0, |sum, term| sum * square + term)
        * inverse;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3),
            "found {found:e}, expected {expected:e}"
        );
    }

    #[test]
    fn ln_gamma_fits_factorials() {
        let mut factorial = 0.0f64;
        for n in 1..60u32 {
            factorial += f64::from(n).ln();
            near(ln_gamma(f64::from(n) + 1.0), factorial);
        }
    }

    /// Expected values by exact rational arithmetic over all outcomes.
    #[test]
    fn p_values_fit_exact_arithmetic() {
        TABLE
            .iter()
            .for_each(|(hits, total, percent, p)| near(binomial_p(*hits, *total, *percent), *p));
    }

    #[test]
    fn nothing_and_everything_are_exact() {
        assert_eq!(binomial_p(0, 10_000, 0.0), 1.0);
        assert_eq!(binomial_p(1, 10_000, 0.0), 0.0);
        assert_eq!(binomial_p(10_000, 10_000, 100.0), 1.0);
        assert_eq!(binomial_p(9_999, 10_000, 100.0), 0.0);
    }

    #[test]
    fn a_split_is_judged_share_by_share() {
        let fair = [("a", 9_020, 90.0), ("b", 980, 10.0), ("c", 0, 0.0)];
        assert_eq!(judge_split(fair, 10_000), Ok(()));
        let skewed = [("a", 8_700, 90.0), ("b", 1_300, 10.0)];
        assert!(judge_split(skewed, 10_000).unwrap_err().starts_with("a:"));
        let leaking = [("a", 9_000, 90.0), ("b", 999, 10.0), ("c", 1, 0.0)];
        assert!(judge_split(leaking, 10_000).unwrap_err().starts_with("c:"));
        assert!(judge_split([("a", 9_000, 90.0)], 10_000).is_err());
    }

    /// Hits, total, percent, p.
    const TABLE: [(u64, u64, f64, f64); 7] = [
        (3, 10, 50.0, 3.437500000000e-01),
        (0, 10, 10.0, 6.125795110000e-01),
        (25, 100, 10.0, 1.307281743125e-05),
        (500, 1000, 50.0, 1.000000000000e+00),
        (450, 1000, 50.0, 1.730536084976e-03),
        (130, 1000, 10.0, 2.201726144861e-03),
        (70, 2000, 1.0, 1.505090066894e-18),
    ];
}

//! How much a sampled trace or span stands for, as a fixed-point number.
//!
//! Floating point would make a sum depend on the order in which an engine meets its spans.

/// Binary digits after the point.
const FRACTION_BITS: u32 = 32;
const ONE: u64 = 1 << FRACTION_BITS;
/// One in a million is the least rate that is believed: a rate of next to nothing would let one span
/// outweigh everything else.
const MOST: u64 = ONE << 20;

/// How many traces or spans one stands for: one over the rate that it was kept with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Weight(u64);

impl Weight {
    /// What was not sampled stands for itself.
    pub const ONE: Self = Self(ONE);

    /// The weight of a sample rate. A rate that is none (not in 0 < rate <= 1) weighs as no rate;
    /// rates below 2^-20 weigh as 2^-20.
    #[must_use]
    pub fn of_rate(rate: Option<f64>) -> Self {
        match rate {
            Some(rate) if rate > 0.0 && rate < 1.0 => {
                let inverse = (ONE as f64 / rate).round();
                Self(if inverse >= MOST as f64 { MOST } else { inverse as u64 })
            }
            _ => Self::ONE,
        }
    }

    /// A value times this weight, in the units of [`rounded`] and [`as_count`].
    pub(super) fn times(self, value: i64) -> i128 {
        i128::from(value) * i128::from(self.0)
    }
}

/// A weighed sum as a whole number, halves away from zero.
pub(super) fn rounded(sum: i128) -> i64 {
    let half = i128::from(ONE / 2);
    let away = if sum < 0 { -half } else { half };
    let whole = sum.saturating_add(away) / i128::from(ONE);
    i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
}

/// A weighed count as a number.
pub(super) fn as_count(sum: i128) -> f64 {
    sum as f64 / ONE as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_one_over_the_rate() {
        assert_eq!(Weight::of_rate(None), Weight::ONE);
        assert_eq!(rounded(Weight::of_rate(Some(0.25)).times(3)), 12);
        assert_eq!(rounded(Weight::of_rate(Some(0.1)).times(1_000_000)), 10_000_000);
        assert_eq!(rounded(Weight::of_rate(Some(0.3)).times(-10)), -33);
        assert_eq!(as_count(Weight::of_rate(Some(0.5)).times(1)), 2.0);
    }

    #[test]
    fn impossible_rates_weigh_nothing_more() {
        for rate in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY] {
            assert_eq!(Weight::of_rate(Some(rate)), Weight::ONE, "{rate}");
        }
        assert_eq!(Weight::of_rate(Some(f64::MIN_POSITIVE)), Weight::of_rate(Some(1e-9)));
        assert_eq!(rounded(Weight::of_rate(Some(1e-9)).times(1)), 1 << 20);
    }
}

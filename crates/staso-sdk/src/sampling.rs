//! Which traces are kept: W3C consistent probability sampling.
//!
//! The decision is a function of the trace id alone, so that every process of a trace comes to the
//! same one without asking.

use staso_model::TraceId;

/// How many values 56 bits have: exact as a double.
const PLACES: f64 = 72_057_594_037_927_936.0;

/// Whether a trace is kept at `rate` (0 to 1): its low 56 random bits against the threshold.
#[must_use]
pub(crate) fn is_kept(trace_id: &TraceId, rate: f64) -> bool {
    if rate >= 1.0 {
        return true;
    }
    let mut low = [0; 8];
    low[1..].copy_from_slice(&trace_id.0[9..]);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a probability scaled to 56 bits; rates below 0 keep nothing, as 0 does"
    )]
    let threshold = ((1.0 - rate) * PLACES).ceil() as u64;
    u64::from_be_bytes(low) >= threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_ids_are_kept_first() {
        let (lowest, highest) = (TraceId([0; 16]), TraceId([0xff; 16]));
        assert!(is_kept(&lowest, 1.0) && is_kept(&highest, 0.000_1));
        assert!(!is_kept(&lowest, 0.999));
        // As doubles, the highest place and 1 are the same: rate 0 would keep it.
        assert!(!is_kept(&highest, 0.0));
    }

    #[test]
    fn about_as_many_are_kept_as_were_asked_for() {
        let kept = (0..10_000).filter(|_| is_kept(&crate::ids::trace_id(), 0.25)).count();
        assert!((2_000..3_000).contains(&kept), "{kept} of 10,000 at a quarter");
    }
}

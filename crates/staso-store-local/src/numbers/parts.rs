//! A time as parts whose sums are worth keeping: whole days, and hours at its ends.

use super::kept::Part;
use crate::changes::HOUR_NS;

const DAY_NS: i64 = 24 * HOUR_NS;
/// What lies so many days back stands apart from what was before, where no start is given.
const DAYS: i64 = 30;
/// A time of more parts is not taken apart.
const MAX_PARTS: usize = 2_000;

/// `from_ns <= start < to_ns`, open where an end is not given; `None` where that is no time.
pub(super) fn time(from_ns: Option<i64>, to_ns: Option<i64>) -> Option<Part> {
    let first = from_ns.unwrap_or(i64::MIN);
    let last = to_ns.map_or(Some(i64::MAX), |to_ns| to_ns.checked_sub(1))?;
    (first <= last).then_some((first, last))
}

/// The parts of a time, ascending and without gaps; `now_ns` says where the days of an open one are.
pub(super) fn parts((first, last): Part, now_ns: i64) -> Vec<Part> {
    let end = if last == i64::MAX { floor(now_ns, DAY_NS) } else { last };
    let mut edge = match first {
        i64::MIN => floor(end, DAY_NS).saturating_sub(DAYS * DAY_NS),
        _ => floor(first, HOUR_NS).saturating_add(HOUR_NS),
    };
    let mut firsts = vec![first];
    while first < edge && edge <= end {
        if firsts.len() >= MAX_PARTS {
            return vec![(first, last)];
        }
        firsts.push(edge);
        let next_day = edge.saturating_add(DAY_NS);
        let is_day = edge.rem_euclid(DAY_NS) == 0 && next_day - 1 <= last;
        let next = if is_day { next_day } else { edge.saturating_add(HOUR_NS) };
        // At the end of all times there is no next one.
        edge = if next > edge { next } else { break };
    }
    let lasts = firsts[1..].iter().map(|next| next - 1).chain([last]);
    firsts.iter().copied().zip(lasts).collect()
}

/// Whether another question may be about the same part.
pub(super) fn is_kept((first, last): Part) -> bool {
    let begins = |ns: i64| ns.rem_euclid(HOUR_NS) == 0;
    (first == i64::MIN || begins(first)) && last.checked_add(1).is_none_or(begins)
}

fn floor(ns: i64, unit: i64) -> i64 {
    ns.saturating_sub(ns.rem_euclid(unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn in_hours(parts: &[Part]) -> Vec<(i64, i64)> {
        parts.iter().map(|(first, last)| (first / HOUR_NS, last / HOUR_NS)).collect()
    }

    #[test]
    fn whole_days_and_the_hours_at_the_ends() {
        let parts = parts((22 * HOUR_NS, 73 * HOUR_NS - 1), 0);
        assert_eq!(in_hours(&parts), [(22, 22), (23, 23), (24, 47), (48, 71), (72, 72)]);
        assert!(parts.iter().all(|part| is_kept(*part)));
    }

    #[test]
    fn an_end_within_an_hour_is_not_kept() {
        let parts = parts((24 * HOUR_NS + 5, 26 * HOUR_NS + 4), 0);
        assert_eq!(in_hours(&parts), [(24, 24), (25, 25), (26, 26)]);
        let kept: Vec<_> = parts.iter().map(|part| is_kept(*part)).collect();
        assert_eq!(kept, [false, true, false]);
    }

    #[test]
    fn open_ends_are_parts_too() {
        let parts = parts((i64::MIN, i64::MAX), 40 * DAY_NS + 7);
        assert_eq!(parts.len(), 32);
        assert_eq!(parts[0], (i64::MIN, 10 * DAY_NS - 1));
        assert_eq!(parts[31], (40 * DAY_NS, i64::MAX));
        assert!(parts.iter().all(|part| is_kept(*part)));
    }

    #[test]
    fn a_time_that_is_none_has_no_starts() {
        assert_eq!(time(Some(5), Some(5)), None);
        assert_eq!(time(None, Some(i64::MIN)), None);
        assert_eq!(time(Some(i64::MAX), None), Some((i64::MAX, i64::MAX)));
        assert_eq!(time(Some(5), Some(i64::MAX)), Some((5, i64::MAX - 1)));
    }

    fn moment() -> impl Strategy<Value = i64> {
        let ends = select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]);
        prop_oneof![6 => -3_000 * DAY_NS..3_000 * DAY_NS, 1 => any::<i64>(), 1 => ends]
    }

    proptest! {
        #[test]
        fn parts_cover_the_time_once(a in moment(), b in moment(), now in moment()) {
            let (first, last) = (a.min(b), a.max(b));
            let parts = parts((first, last), now);
            prop_assert_eq!(parts.first().map(|part| part.0), Some(first));
            prop_assert_eq!(parts.last().map(|part| part.1), Some(last));
            prop_assert!(parts.len() <= MAX_PARTS);
            prop_assert!(parts.iter().all(|part| part.0 <= part.1));
            prop_assert!(parts.windows(2).all(|two| two[0].1 + 1 == two[1].0));
        }
    }
}

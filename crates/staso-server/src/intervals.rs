//! Where buckets of time begin and end: aligned to the days of a time zone, in which some days have 23
//! or 25 hours.
//!
//! The store knows no time zones; it gets the edges that are drawn here.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use staso_store::metrics::MAX_BUCKETS;

use crate::error::ApiError;

/// How long a bucket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interval {
    /// The whole time is one bucket.
    Whole,
    /// So many seconds, counted from each midnight anew.
    Seconds(i64),
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first of a month to that of the next.
    Month,
}

const NAMES: [(&str, Interval); 14] = [
    ("none", Interval::Whole),
    ("10s", Interval::Seconds(10)),
    ("1m", Interval::Seconds(60)),
    ("5m", Interval::Seconds(300)),
    ("15m", Interval::Seconds(900)),
    ("30m", Interval::Seconds(1_800)),
    ("1h", Interval::Seconds(3_600)),
    ("2h", Interval::Seconds(7_200)),
    ("3h", Interval::Seconds(10_800)),
    ("6h", Interval::Seconds(21_600)),
    ("12h", Interval::Seconds(43_200)),
    ("1d", Interval::Day),
    ("1w", Interval::Week),
    ("1mo", Interval::Month),
];

/// As many buckets as a chart shows well: what `auto` stays below.
const ENOUGH: i64 = 200;
const SECOND_NS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

impl Interval {
    /// The word that asks for it.
    pub(crate) fn as_str(self) -> &'static str {
        NAMES.iter().find(|(_, interval)| *interval == self).map_or("", |(name, _)| name)
    }

    /// About how long it is.
    fn seconds(self) -> i64 {
        match self {
            Self::Whole => i64::MAX,
            Self::Seconds(seconds) => seconds,
            Self::Day => DAY_SECONDS,
            Self::Week => 7 * DAY_SECONDS,
            Self::Month => 30 * DAY_SECONDS,
        }
    }

    /// The interval asked for; `auto`, or nothing, is the shortest that makes no more than 200 buckets.
    pub(crate) fn read(text: Option<&str>, from_ns: i64, to_ns: i64) -> Result<Self, ApiError> {
        let Some(text) = text.filter(|text| *text != "auto") else {
            let seconds = to_ns.saturating_sub(from_ns) / SECOND_NS;
            let fits = |interval: &Self| seconds / interval.seconds() < ENOUGH;
            let each = NAMES.iter().skip(1).map(|(_, interval)| *interval);
            return Ok(each.clone().find(fits).unwrap_or(Self::Month));
        };
        NAMES.iter().find(|(name, _)| *name == text).map(|(_, interval)| *interval).ok_or_else(
            || {
                let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
                ApiError::bad_request("bad_parameter", "there is no such interval")
                    .hint(format!("one of auto, {}", names.join(", ")))
            },
        )
    }

    /// The edges of the buckets: the first begins at `from_ns` and the last ends at `to_ns`, so that
    /// both may be cut.
    pub(crate) fn edges(
        self,
        from_ns: i64,
        to_ns: i64,
        zone: &TimeZone,
    ) -> Result<Vec<i64>, ApiError> {
        if self == Self::Whole {
            return Ok(vec![from_ns, to_ns]);
        }
        let mut edges = vec![from_ns];
        let mut at = from_ns;
        loop {
            at = self.after(at, zone).ok_or_else(|| {
                ApiError::bad_request("bad_parameter", "the time is not in any calendar")
                    .hint("ask for a time between the years -9999 and 9999, or for interval=none")
            })?;
            if at >= to_ns {
                break;
            }
            if edges.len() > MAX_BUCKETS {
                return Err(ApiError::bad_request(
                    "bad_parameter",
                    "there are too many intervals between from and to",
                )
                .hint(format!("at most {MAX_BUCKETS}; interval=auto chooses one that fits")));
            }
            edges.push(at);
        }
        edges.push(to_ns);
        Ok(edges)
    }

    /// The first beginning of a bucket after a time.
    fn after(self, at_ns: i64, zone: &TimeZone) -> Option<i64> {
        let at = Timestamp::from_nanosecond(i128::from(at_ns)).ok()?.to_zoned(zone.clone());
        let start = |day: Zoned| day.start_of_day().ok();
        let next = match self {
            Self::Whole => return None,
            Self::Seconds(seconds) => {
                let tomorrow = nanoseconds(&start(at.tomorrow().ok()?)?)?;
                let today = nanoseconds(&start(at)?)?;
                let step = seconds * SECOND_NS;
                return Some(tomorrow.min(today + ((at_ns - today) / step + 1) * step));
            }
            Self::Day => start(at.tomorrow().ok()?)?,
            Self::Week => {
                let left = 7 - at.weekday().since(Weekday::Monday);
                start(at.checked_add(i64::from(left).days()).ok()?)?
            }
            Self::Month => start(at.first_of_month().ok()?.checked_add(1.month()).ok()?)?,
        };
        nanoseconds(&next)
    }
}

fn nanoseconds(time: &Zoned) -> Option<i64> {
    i64::try_from(time.timestamp().as_nanosecond()).ok()
}

/// The time zone asked for, and its name: an IANA name, an offset such as `+02:00`, or UTC where there
/// is none.
pub(crate) fn zone(text: Option<&str>) -> Result<(TimeZone, String), ApiError> {
    let Some(text) = text else { return Ok((TimeZone::UTC, "UTC".to_owned())) };
    // In an address a plus stands for a blank.
    let text = match text.bytes().next() {
        Some(b'0'..=b'9') => format!("+{text}"),
        _ => text.to_owned(),
    };
    let parser = jiff::fmt::temporal::DateTimeParser::new();
    match parser.parse_time_zone(&text) {
        Ok(zone) => Ok((zone, text)),
        Err(_) => Err(ApiError::bad_request("bad_parameter", "tz is no time zone that is known here")
            .hint("write a name such as Europe/Paris, or an offset such as %2B02:00; names need the system's time zone database")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-03-28T22:30:00Z; in the night after it, central Europe loses an hour.
    const SPRING: &str = "2026-03-28T22:30:00Z";
    const EUROPE: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn ns(text: &str) -> i64 {
        nanoseconds(&text.parse::<Timestamp>().unwrap().to_zoned(TimeZone::UTC)).unwrap()
    }

    fn drawn(interval: Interval, from: &str, to: &str, zone: &str) -> Vec<String> {
        let zone = TimeZone::posix(zone).unwrap();
        let edges = interval.edges(ns(from), ns(to), &zone).unwrap();
        let text = |ns: &i64| Timestamp::from_nanosecond(i128::from(*ns)).unwrap().to_string();
        edges.iter().map(text).collect()
    }

    #[test]
    fn days_begin_at_midnight_where_the_reader_is() {
        assert_eq!(
            drawn(Interval::Day, SPRING, "2026-03-30T23:00:00Z", EUROPE),
            [
                "2026-03-28T22:30:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
                "2026-03-30T22:00:00Z",
                "2026-03-30T23:00:00Z"
            ],
            "the second day has 23 hours"
        );
    }

    #[test]
    fn parts_of_a_day_are_counted_from_its_midnight() {
        assert_eq!(
            drawn(Interval::Seconds(43_200), SPRING, "2026-03-29T23:00:00Z", EUROPE),
            [
                "2026-03-28T22:30:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T11:00:00Z",
                "2026-03-29T22:00:00Z",
                "2026-03-29T23:00:00Z"
            ]
        );
        assert_eq!(
            drawn(Interval::Seconds(3_600), "2026-01-01T00:00:00Z", "2026-01-01T02:00:00Z", "UTC0"),
            ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"]
        );
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let (from, to) = ("2026-01-28T12:00:00Z", "2026-02-10T00:00:00Z");
        assert_eq!(
            drawn(Interval::Week, from, to, "UTC0")[1..],
            ["2026-02-02T00:00:00Z", "2026-02-09T00:00:00Z", to]
        );
        assert_eq!(drawn(Interval::Month, from, to, "UTC0")[1..], ["2026-02-01T00:00:00Z", to]);
        assert_eq!(drawn(Interval::Whole, from, to, "UTC0"), [from, to]);
    }

    #[test]
    fn the_interval_is_chosen_by_the_time() {
        let chosen = |seconds: i64| Interval::read(None, 0, seconds * SECOND_NS).unwrap().as_str();
        assert_eq!(chosen(60), "10s");
        assert_eq!(chosen(3 * 3_600), "1m");
        assert_eq!(chosen(DAY_SECONDS), "15m");
        assert_eq!(chosen(7 * DAY_SECONDS), "1h");
        assert_eq!(chosen(365 * DAY_SECONDS), "1w");
        assert_eq!(chosen(i64::MAX / SECOND_NS), "1mo");
        assert!(Interval::read(Some("soon"), 0, 1).is_err());
    }

    #[test]
    fn zones_have_names_and_offsets() {
        assert_eq!(zone(None).unwrap().1, "UTC");
        assert_eq!(zone(Some("UTC")).unwrap().1, "UTC");
        assert_eq!(zone(Some("+02:00")).unwrap().0, zone(Some("02:00")).unwrap().0);
        assert!(zone(Some("Middle/Earth")).is_err());
    }
}

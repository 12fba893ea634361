//! Times and durations of the native wire, exact to the nanosecond.

use jiff::civil::Time;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::Offset;

/// A time read from ISO-8601 text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timestamp {
    /// Unix nanoseconds.
    pub(super) ns: i64,
    /// Whether the text named its offset; without one it is read as UTC.
    pub(super) has_offset: bool,
}

/// Reads ISO-8601; `None` for other text and for times that 64-bit nanoseconds cannot hold.
pub(super) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let pieces = DateTimeParser::new().parse_pieces(text).ok()?;
    let civil = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    let offset = pieces.to_numeric_offset();
    let timestamp = offset.unwrap_or(Offset::UTC).to_timestamp(civil).ok()?;
    let ns = i64::try_from(timestamp.as_nanosecond()).ok()?;
    Some(Timestamp { ns, has_offset: offset.is_some() })
}

/// Milliseconds in decimal text to nanoseconds, rounded half away from zero in decimal arithmetic:
/// `0.1` ms is 100,000 ns, whatever binary floating point makes of 0.1. `None` where the text is
/// not a JSON number or the result does not fit.
pub(super) fn millis_to_nanos(text: &str) -> Option<i64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (is_negative, magnitude) =
        mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = whole.bytes().chain(fraction.bytes());
    // The decimal point stands after this many digits once milliseconds are nanoseconds.
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent) + 6;
    let ns = round_digits(digits, point)?;
    Some(if is_negative { -ns } else { ns })
}

/// The number whose decimal point stands after `point` of these digits, rounded.
fn round_digits(digits: impl Iterator<Item = u8>, point: i64) -> Option<i64> {
    let mut value: i64 = 0;
    let mut seen = 0i64;
    for digit in digits {
        let digit = i64::from(digit - b'0');
        if seen >= point {
            let rounds_up = seen == point && digit >= 5;
            return value.checked_add(i64::from(rounds_up));
        }
        value = value.checked_mul(10)?.checked_add(digit)?;
        seen += 1;
    }
    while seen < point && value != 0 {
        value = value.checked_mul(10)?;
        seen += 1;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_do_not_pass_through_binary() {
        let cases = [
            ("0", 0),
            ("0.1", 100_000),
            ("1234.567891", 1_234_567_891),
            ("1234.5678915", 1_234_567_892),
            ("0.0000005", 1),
            ("0.00000049", 0),
            ("1e3", 1_000_000_000),
            ("25E-7", 3),
            ("1e-999999999", 0),
            ("0e999999999", 0),
            ("-1.5", -1_500_000),
            ("9223372036854.775807", i64::MAX),
        ];
        for (text, ns) in cases {
            assert_eq!(millis_to_nanos(text), Some(ns), "{text}");
        }
        for text in ["9223372036854.775808", "1e999", "", "x", "1e99999999999", ".5"] {
            assert_eq!(millis_to_nanos(text), None, "{text}");
        }
    }

    #[test]
    fn iso_times() {
        let at = |text| parse_timestamp(text).map(|t| (t.ns, t.has_offset));
        assert_eq!(at("1970-01-01T00:00:01Z"), Some((1_000_000_000, true)));
        assert_eq!(at("1970-01-01T01:00:01.000000001+01:00"), Some((1_000_000_001, true)));
        assert_eq!(at("1970-01-01 00:00:01"), Some((1_000_000_000, false)));
        assert_eq!(at("1970-01-02"), Some((86_400_000_000_000, false)));
        for text in ["", "yesterday", "2024-13-01T00:00:00Z", "9999-01-01T00:00:00Z"] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = parse_timestamp(&text);
            let _ = millis_to_nanos(&text);
        }

        #[test]
        fn milliseconds_with_six_decimals_are_exact(ns in 0..i64::MAX) {
            let text = format!("{}.{:06}", ns / 1_000_000, ns % 1_000_000);
            prop_assert_eq!(millis_to_nanos(&text), Some(ns));
        }
    }
}

//! Durations, counts, money and colours as people read them.

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    pub(super) is_colorful: bool,
}

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ink {
    Good,
    Bad,
    Busy,
    Faint,
    Strong,
}

impl Palette {
    pub(super) fn paint(self, ink: Ink, text: &str) -> String {
        if !self.is_colorful || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Busy => "33",
            Ink::Faint => "2",
            Ink::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// Nanoseconds with three significant digits.
pub(super) fn duration(ns: i64) -> String {
    let ns = ns.max(0);
    let value = ns as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} µs", three_digits(value / 1e3)),
        1_000_000..1_000_000_000 => format!("{} ms", three_digits(value / 1e6)),
        1_000_000_000..60_000_000_000 => format!("{} s", three_digits(value / 1e9)),
        _ => {
            let seconds = ns / 1_000_000_000;
            let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
            if hours > 0 {
                format!("{hours} h {minutes:02} m")
            } else {
                format!("{minutes} m {seconds:02} s")
            }
        }
    }
}

fn three_digits(value: f64) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}")
}

/// A count with a comma at each thousand.
pub(super) fn count(n: i64) -> String {
    let digits = n.unsigned_abs().to_string();
    let mut out = String::from(if n < 0 { "-" } else { "" });
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Billionths of a dollar as dollars, without trailing zeros below a cent.
pub(super) fn dollars(nano_usd: i64) -> String {
    let sign = if nano_usd < 0 { "-" } else { "" };
    let nano = nano_usd.unsigned_abs();
    let fraction = format!("{:09}", nano % 1_000_000_000);
    let kept = fraction.trim_end_matches('0').len().max(2);
    format!("{sign}${}.{}", nano / 1_000_000_000, &fraction[..kept])
}

/// Nanoseconds since 1970 as UTC, to the second.
pub(crate) fn utc(ns: i64) -> String {
    let seconds = ns.div_euclid(1_000_000_000);
    let (days, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Days since 1970-01-01 as year, month and day. Years begin in March, so that the leap day is
/// the last one, and 400 of them are one whole era.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// At most `width` characters, the cut marked.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        let shown = [0, 999, 1_500, 42_300_000, 999_000_000, 1_240_000_000, 61_000_000_000]
            .map(duration)
            .join(" | ");
        assert_eq!(shown, "0 ns | 999 ns | 1.50 µs | 42.3 ms | 999 ms | 1.24 s | 1 m 01 s");
        assert_eq!(duration(3_720_000_000_000), "1 h 02 m");
        assert_eq!(duration(-5), "0 ns");
    }

    #[test]
    fn counts_and_money() {
        assert_eq!([0, 999, 1_000, -1_234_567].map(count).join(" "), "0 999 1,000 -1,234,567");
        assert_eq!(
            [0, 3_100_000, 1_500_000_000, 1].map(dollars).join(" "),
            "$0.00 $0.0031 $1.50 $0.000000001"
        );
    }

    #[test]
    fn dates_before_and_after_leap_days() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(951_782_400_000_000_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_767_225_599_999_999_999), "2025-12-31 23:59:59 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59:59 UTC");
    }
}

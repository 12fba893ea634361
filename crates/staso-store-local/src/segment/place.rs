//! Where a segment's file stands: a directory per workspace and day.

use std::fmt::Write;

const DAY_NS: i64 = 86_400_000_000_000;
/// Longer names are cut, with a checksum; the catalog knows whose a file is.
const MAX_NAME: usize = 100;
/// 1990-01-01, and 2100-01-01: times outside are odd.
const PLAUSIBLE_DAYS: std::ops::Range<i64> = 7_305..47_482;

/// The day a span belongs to, as `YYYY-MM-DD` (UTC), or `odd`.
pub(crate) fn day_of(start_ns: i64) -> String {
    let days = start_ns.div_euclid(DAY_NS);
    if !PLAUSIBLE_DAYS.contains(&days) {
        return "odd".to_owned();
    }
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The date of a day since 1970-01-01, by the proleptic Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years are counted from March, so that the leap day comes last; 400 years have 146,097 days.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A workspace's name as a directory's: what could mean something to a file system is written as
/// `%` and two digits.
pub(crate) fn directory_of(workspace: &str) -> String {
    let mut name = String::new();
    for byte in workspace.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if is_plain {
            name.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(name, "%{byte:02x}");
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    if name.len() > MAX_NAME {
        name.truncate(MAX_NAME);
        let _ = write!(name, "%{:08x}", crc32fast::hash(workspace.as_bytes()));
    }
    name
}

/// The workspace of a directory's name, as far as the name was not cut.
pub(crate) fn workspace_of(directory: &str) -> String {
    let mut bytes = Vec::with_capacity(directory.len());
    let mut rest = directory.as_bytes();
    while let [first, others @ ..] = rest {
        let digits = others.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = match (first, byte) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                &others[2..]
            }
            (b'%', None) => others,
            _ => {
                bytes.push(*first);
                others
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let day = |days: i64| day_of(days * DAY_NS);
        assert_eq!(day(19_782), "2024-02-29");
        assert_eq!(day(19_783), "2024-03-01");
        assert_eq!(day(7_305), "1990-01-01");
        assert_eq!(day(11_016), "2000-02-29");
        assert_eq!(day(20_818), "2026-12-31");
        assert_eq!(day_of(20_819 * DAY_NS - 1), "2026-12-31");
        assert_eq!([day(7_304), day(-1), day_of(i64::MIN), day_of(i64::MAX)], ["odd"; 4]);
    }

    #[test]
    fn no_name_leaves_its_directory() {
        assert_eq!(directory_of("team-1_a"), "team-1_a");
        assert_eq!(directory_of("../a b"), "%2e%2e%2fa%20b");
        assert_eq!(directory_of(""), "%");
        assert!(directory_of(&"é".repeat(500)).len() < 120);
        for name in ["team-1_a", "../a b", "", "é%41"] {
            assert_eq!(workspace_of(&directory_of(name)), name);
        }
    }
}

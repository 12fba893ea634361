//! Numbers with units in filters: durations, money, counts. Exact decimals, no floats.

use super::NumberField;

/// Units of time, longest name first where one is the end of another.
const TIME: [(&str, i64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

const NANO_PER_USD: i64 = 1_000_000_000;

/// Reads the number of a field; the error says what is wanted.
pub(super) fn read(field: NumberField, text: &str) -> Result<i64, &'static str> {
    match field {
        NumberField::DurationNs => {
            duration(text).ok_or("a duration needs a number and a unit, such as 100ms, 2s, 1.5m")
        }
        NumberField::CostNanoUsd => decimal(text.strip_prefix('$').unwrap_or(text), NANO_PER_USD)
            .ok_or("a cost is a number of US dollars, such as 0.05"),
        NumberField::Tokens | NumberField::Spans | NumberField::Errors => {
            decimal(text, 1).ok_or("a count is a whole number")
        }
    }
}

/// Writes a number of a field so that [`read`] gives it back.
pub(super) fn write(field: NumberField, value: i64) -> String {
    match field {
        NumberField::DurationNs => {
            let fits = |unit: &&(&str, i64)| unit.0 != "µs" && value % unit.1 == 0;
            let (name, scale) = TIME.iter().rev().find(fits).unwrap_or(&TIME[0]);
            format!("{}{name}", value / scale)
        }
        NumberField::CostNanoUsd => {
            let sign = if value < 0 { "-" } else { "" };
            let (whole, nano) =
                (value.unsigned_abs() / 1_000_000_000, value.unsigned_abs() % 1_000_000_000);
            let fraction = format!("{nano:09}");
            let fraction = fraction.trim_end_matches('0');
            if fraction.is_empty() {
                format!("{sign}{whole}")
            } else {
                format!("{sign}{whole}.{fraction}")
            }
        }
        NumberField::Tokens | NumberField::Spans | NumberField::Errors => value.to_string(),
    }
}

fn duration(text: &str) -> Option<i64> {
    let digits_end = text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-'))?;
    let (number, unit) = text.split_at(digits_end);
    let (_, scale) = TIME.iter().find(|(name, _)| *name == unit)?;
    decimal(number, *scale)
}

/// A decimal number times `scale`, exact; `None` when it is none, has a rest, or does not fit.
fn decimal(text: &str, scale: i64) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let too_long = whole.len() > 19 || fraction.len() > 15;
    if whole.len() + fraction.len() == 0 || too_long || !all_digits(whole) || !all_digits(fraction)
    {
        return None;
    }
    let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse::<i128>().ok() };
    let ten = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let scaled = number(whole)? * i128::from(scale);
    let rest = number(fraction)? * i128::from(scale);
    if rest % ten != 0 {
        return None;
    }
    let value = scaled + rest / ten;
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_exact() {
        assert_eq!(read(NumberField::DurationNs, "1.5s"), Ok(1_500_000_000));
        assert_eq!(read(NumberField::DurationNs, "100ms"), Ok(100_000_000));
        assert_eq!(read(NumberField::CostNanoUsd, "$0.05"), Ok(50_000_000));
        assert_eq!(read(NumberField::CostNanoUsd, "0.000000001"), Ok(1));
        assert_eq!(read(NumberField::Tokens, "12"), Ok(12));
        for wrong in ["", "5", "ms", "1.5.2s", "1e3s", "99999999999999999999h", "--1s", "1 s"] {
            assert!(read(NumberField::DurationNs, wrong).is_err(), "{wrong}");
        }
        assert!(read(NumberField::CostNanoUsd, "0.0000000001").is_err());
        assert!(read(NumberField::Tokens, "1.5").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value: i64) {
            for field in [NumberField::DurationNs, NumberField::CostNanoUsd, NumberField::Tokens] {
                prop_assert_eq!(read(field, &write(field, value)), Ok(value));
            }
        }
    }
}

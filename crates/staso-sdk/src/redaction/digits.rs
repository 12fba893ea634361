//! Cards and phone numbers: groups of digits, of any script. A number is looked at from its beginning only,
//! and only as far as the longest one reaches.

use std::ops::Range;

use super::text::{char_at, char_before, digit, digit_at, is_word};

/// How many digits a card has.
const CARD: std::ops::RangeInclusive<usize> = 13..=19;

/// A phone number has at least this many digits.
const PHONE_DIGITS: usize = 8;

/// The next card that begins at `from` or later: 13 to 19 digits, single spaces or hyphens between them, whose
/// check digit is right. Other long numbers stay, and no card begins within them.
pub(super) fn next_card(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let (start, length) = next_digit(text, at, b"")?;
        let before = char_before(text, start);
        at = start + length;
        if before.is_some_and(|before| before == '.' || digit(before).is_some()) {
            continue;
        }
        if let Some((end, is_card)) = card_at(text, start) {
            if is_card {
                return Some(start..end);
            }
            at = end;
        }
    }
}

/// Where the longest number of a card's length that begins at `start` ends, and whether it is a card's.
fn card_at(text: &[u8], start: usize) -> Option<(usize, bool)> {
    let (mut digits, mut count, mut at) = ([0; *CARD.end()], 0, start);
    let mut longest = None;
    while let Some((value, length)) = digit_at(text, at) {
        digits[count] = value;
        count += 1;
        at += length;
        let has_point = text.get(at) == Some(&b'.') && digit_at(text, at + 1).is_some();
        if CARD.contains(&count) && digit_at(text, at).is_none() && !has_point {
            longest = Some((at, count));
        }
        if count == *CARD.end() {
            break;
        }
        at += usize::from(matches!(text.get(at), Some(b' ' | b'-')));
    }
    longest.map(|(end, count)| (end, has_check_digit(&digits[..count])))
}

/// The Luhn algorithm.
fn has_check_digit(digits: &[u8]) -> bool {
    let weighed = digits.iter().rev().enumerate().map(|(at, &value)| {
        let value = u32::from(value) << (at % 2);
        if value > 9 { value - 9 } else { value }
    });
    weighed.sum::<u32>() % 10 == 0
}

/// The next phone number that begins at `from` or later: perhaps a country, perhaps an area, and three or four
/// groups of digits. Dates stay, and what has too few digits.
pub(super) fn next_phone(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut at = from;
    loop {
        let (start, length) = next_digit(text, at, b"+(")?;
        let before = char_before(text, start);
        at = start + length;
        if before.is_some_and(|before| before == '.' || is_word(before)) {
            continue;
        }
        if let Some(end) = phone_at(text, start) {
            if is_phone(&text[start..end]) {
                return Some(start..end);
            }
            at = end;
        }
    }
}

fn phone_at(text: &[u8], start: usize) -> Option<usize> {
    let places = after_country(text, start).flat_map(|at| after_area(text, at));
    places.into_iter().find_map(|at| groups(text, at, 0))
}

/// Where a number may go on after `+49`, then without a country; `+4930` may be a country and more.
fn after_country(text: &[u8], at: usize) -> impl Iterator<Item = usize> {
    let longest = if text.get(at) == Some(&b'+') { 3 } else { 0 };
    let ends = (1..=longest).rev().filter_map(move |length| after_digits(text, at + 1, length));
    ends.flat_map(move |end| after_separator(text, end)).chain([at])
}

/// Where it may go on after `(030)`, then without an area.
fn after_area(text: &[u8], at: usize) -> impl Iterator<Item = usize> {
    let longest = if text.get(at) == Some(&b'(') { 4 } else { 0 };
    let ends = (1..=longest).rev().filter_map(move |length| after_digits(text, at + 1, length));
    let closed = ends.filter(move |&end| text.get(end) == Some(&b')'));
    closed.flat_map(move |end| after_separator(text, end + 1)).chain([at])
}

/// The end of the groups from `at` on: each of two to four digits, `before` of four read already.
fn groups(text: &[u8], at: usize, before: usize) -> Option<usize> {
    (2..=4).rev().find_map(|length| {
        let end = after_digits(text, at, length)?;
        let goes_on = before < 3 && is_separator(text, end);
        let rest = if goes_on { groups(text, end + 1, before + 1) } else { None };
        let is_end = || {
            let after = char_at(text, end).map(|(after, _)| after);
            before >= 2 && !after.is_some_and(|after| after == '.' || is_word(after))
        };
        rest.or_else(|| is_end().then_some(end))
    })
}

fn is_phone(text: &[u8]) -> bool {
    let is_date = || {
        let point = |at: usize| matches!(text.get(at), Some(b'-' | b'.')).then_some(at + 1);
        let year = point(after_digits(text, 0, 4)?)?;
        after_digits(text, point(after_digits(text, year, 2)?)?, 2)
    };
    let mut digits = 0;
    let mut at = 0;
    while let Some((_, length)) = char_at(text, at) {
        digits += usize::from(digit_at(text, at).is_some());
        at += length;
    }
    digits >= PHONE_DIGITS && is_date().is_none()
}

/// The next digit, or one of the bytes of `or`, and its length.
fn next_digit(text: &[u8], from: usize, or: &[u8]) -> Option<(usize, usize)> {
    let mut at = from;
    loop {
        let byte = *text.get(at)?;
        if byte.is_ascii() {
            if byte.is_ascii_digit() || or.contains(&byte) {
                return Some((at, 1));
            }
            at += 1;
        } else {
            let (found, length) = char_at(text, at)?;
            if digit(found).is_some() {
                return Some((at, length));
            }
            at += length;
        }
    }
}

/// The end of exactly this many digits.
fn after_digits(text: &[u8], at: usize, count: usize) -> Option<usize> {
    (0..count).try_fold(at, |at, _| Some(at + digit_at(text, at)?.1))
}

/// Behind a separator, then before it.
fn after_separator(text: &[u8], at: usize) -> impl Iterator<Item = usize> {
    let behind = is_separator(text, at).then_some(at + 1);
    behind.into_iter().chain([at])
}

fn is_separator(text: &[u8], at: usize) -> bool {
    matches!(text.get(at), Some(b' ' | b'.' | b'-'))
}

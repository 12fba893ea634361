//! Which letters count as the same: Unicode simple case folding, letter by letter.
//!
//! A letter is folded to the lower case of its upper case, where both are one letter. So Σ, σ and ς
//! are the same, K and the Kelvin sign, ſ and s; ß is not ss, ı is not i, and é is not e. No letter's
//! fold depends on its neighbours, and a fold has as many letters as the text: a part of a text folds
//! to a part of the fold, at the same place. Accents and the width of letters are left as they came:
//! text that was composed in another way is other text.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

/// No letter from here on has a case.
const END_OF_CASES: u32 = 0x2_0000;

/// The letter that stands for all that count as the same.
#[must_use]
pub fn fold_letter(letter: char) -> char {
    if letter.is_ascii() {
        return letter.to_ascii_lowercase();
    }
    // The dotless ı, whose upper case is I, is a letter of its own.
    if letter == 'ı' {
        return letter;
    }
    let upper = only(letter.to_uppercase()).unwrap_or(letter);
    only(upper.to_lowercase()).unwrap_or(upper)
}

fn only(mut letters: impl Iterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.next().is_none())
}

/// A text with every letter folded.
#[must_use]
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(text)
    } else if text.is_ascii() {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Owned(text.chars().map(fold_letter).collect())
    }
}

/// Every letter that folds to this one, which is folded.
pub(super) fn variants(folded: char) -> &'static [char] {
    static VARIANTS: OnceLock<HashMap<char, Vec<char>>> = OnceLock::new();
    let all = VARIANTS.get_or_init(|| {
        let mut all = HashMap::<char, Vec<char>>::new();
        for letter in (0..END_OF_CASES).filter_map(char::from_u32) {
            let folded = fold_letter(letter);
            if folded != letter {
                all.entry(folded).or_insert_with(|| vec![folded]).push(letter);
            }
        }
        all
    });
    all.get(&folded).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

    use super::*;

    /// Letters whose simple folding is younger than, or left out of, the tables of upper and lower case.
    const LEFT_ALONE: [char; 6] =
        ['\u{390}', '\u{1fd3}', '\u{3b0}', '\u{1fe3}', '\u{fb05}', '\u{fb06}'];

    /// The reference is another implementation's table of simple foldings.
    fn reference(letter: char) -> BTreeSet<char> {
        let mut class = ClassUnicode::new([ClassUnicodeRange::new(letter, letter)]);
        class.case_fold_simple();
        class.iter().flat_map(|range| range.start()..=range.end()).collect()
    }

    /// What the reference's version of Unicode has not heard of yet.
    fn unknown() -> ClassUnicode {
        let parsed = regex_syntax::parse(r"\p{Unassigned}").unwrap();
        match parsed.kind() {
            HirKind::Class(Class::Unicode(class)) => class.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn letters_are_the_same_exactly_where_simple_folding_says_so() {
        let unknown = unknown();
        let is_known = |letter: &char| {
            !unknown.iter().any(|range| (range.start()..=range.end()).contains(letter))
        };
        for letter in (0..END_OF_CASES).filter_map(char::from_u32).filter(is_known) {
            let folded = fold_letter(letter);
            assert_eq!(fold_letter(folded), folded, "{letter:?} twice");
            let mut own: BTreeSet<char> = variants(folded).iter().copied().collect();
            own.insert(letter);
            own.retain(is_known);
            if !LEFT_ALONE.contains(&letter) {
                assert_eq!(own, reference(letter), "{letter:?} U+{:04X}", u32::from(letter));
            }
        }
    }

    #[test]
    fn a_fold_has_as_many_letters_as_its_text() {
        for text in ["ΟΔΥΣΣΕΎΣ", "Straße", "İstanbul ılık", "مرحبا", "日本語", "👩‍👩‍👧", "K ſ"]
        {
            assert_eq!(fold(text).chars().count(), text.chars().count(), "{text}");
        }
    }
}

//! A phrase that is looked for: made ready once, asked of many texts.
//!
//! What decides is [`Phrase::find`], letter by letter. Before it, [`Phrase::may_stand_in`] looks for an
//! anchor, a part of the phrase that can be compared byte by byte, which rules nearly every text out
//! at the speed of memory.
//!
//! The text of JSON is what stands in it with the escapes written out: `{"a":"say \"hi\""}` is searched as
//! `{"a":"say "hi""}`. Strings within strings (a tool's arguments) are written out once, not twice.

use std::borrow::Cow;

use memchr::memmem::Finder;

use super::fold::{fold_letter, variants};

/// So many spellings of an anchor are looked for, each by a pass of its own.
const MAX_SPELLINGS: usize = 4;

/// A phrase, folded.
#[derive(Debug, Clone)]
pub struct Phrase {
    letters: Vec<char>,
    anchor: Option<Anchor>,
    /// Whether texts must be put in lower case before the anchor is looked for.
    lowers: bool,
    escaped_letter: Finder<'static>,
}

#[derive(Debug, Clone)]
struct Anchor {
    /// How many letters of the phrase stand before it.
    skip: usize,
    spellings: Vec<Finder<'static>>,
}

impl Phrase {
    /// Makes a phrase ready.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let letters: Vec<char> = text.chars().map(fold_letter).collect();
        let anchor = anchor(&letters);
        let has_letter =
            |spelling: &Finder<'_>| spelling.needle().iter().any(u8::is_ascii_lowercase);
        let lowers = anchor.iter().flat_map(|anchor| &anchor.spellings).any(has_letter);
        Self { letters, anchor, lowers, escaped_letter: Finder::new(b"\\u").into_owned() }
    }

    /// The phrase with its letters folded.
    #[must_use]
    pub fn folded(&self) -> String {
        self.letters.iter().collect()
    }

    /// Whether a text may have the phrase: never `false` where it has. `lowered` is room for the work.
    #[must_use]
    pub fn may_stand_in(&self, text: &[u8], is_json: bool, lowered: &mut Vec<u8>) -> bool {
        let Some(anchor) = &self.anchor else { return true };
        let plain = self.lowered(text, lowered);
        anchor.spellings.iter().any(|spelling| spelling.find(plain).is_some())
            || is_json && self.escaped_letter.find(text).is_some()
    }

    /// Where the phrase first stands in a text, in bytes.
    #[must_use]
    pub fn find(&self, text: &str) -> Option<(usize, usize)> {
        let Some(anchor) = &self.anchor else { return self.find_slowly(text) };
        let mut lowered = Vec::new();
        let plain = self.lowered(text.as_bytes(), &mut lowered);
        let first = |spelling: &Finder<'_>| {
            let mut from = 0;
            // Anchors may overlap: the next is looked for one byte further on.
            while let Some(at) = spelling.find(&plain[from..]).map(|at| from + at) {
                let found = self.stands_around(text, at, anchor.skip);
                if found.is_some() {
                    return found;
                }
                from = at + 1;
            }
            None
        };
        anchor.spellings.iter().filter_map(first).min()
    }

    fn lowered<'a>(&self, text: &'a [u8], lowered: &'a mut Vec<u8>) -> &'a [u8] {
        if !self.lowers {
            return text;
        }
        lowered.clear();
        lowered.extend(text.iter().map(u8::to_ascii_lowercase));
        lowered
    }

    /// The place of the phrase, if `skip` letters before `at` it begins.
    fn stands_around(&self, text: &str, at: usize, skip: usize) -> Option<(usize, usize)> {
        let before = text.get(..at)?;
        let start = match skip {
            0 => at,
            skip => before.char_indices().rev().nth(skip - 1)?.0,
        };
        self.stands_at(text, start)
    }

    fn stands_at(&self, text: &str, start: usize) -> Option<(usize, usize)> {
        let mut rest = text.get(start..)?.chars();
        let is_here =
            self.letters.iter().all(|wanted| rest.next().map(fold_letter) == Some(*wanted));
        is_here.then(|| (start, text.len() - rest.as_str().len()))
    }

    /// Without an anchor: the phrase is empty, or has nothing but what JSON escapes.
    fn find_slowly(&self, text: &str) -> Option<(usize, usize)> {
        let starts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        starts.into_iter().find_map(|start| self.stands_at(text, start))
    }
}

/// The longest part of a phrase that has few spellings, and no letter that JSON may escape.
fn anchor(letters: &[char]) -> Option<Anchor> {
    let part = |skip: usize| {
        let mut spellings = vec![String::new()];
        for letter in &letters[skip..] {
            let forms = byte_forms(*letter);
            if is_escapable(*letter) || spellings.len() * forms.len() > MAX_SPELLINGS {
                break;
            }
            let pairs = forms.iter().flat_map(|form| spellings.iter().map(move |s| (s, form)));
            spellings = pairs.map(|(spelling, form)| format!("{spelling}{form}")).collect();
        }
        (skip, spellings)
    };
    let value = |(_, spellings): &(usize, Vec<String>)| spellings.first().map_or(0, String::len);
    let best = (0..letters.len()).map(part).max_by_key(value).filter(|best| value(best) > 0);
    let (skip, spellings) = best?;
    let finder = |text: &String| Finder::new(text.as_bytes()).into_owned();
    Some(Anchor { skip, spellings: spellings.iter().map(finder).collect() })
}

/// How a letter may stand in a text whose ASCII letters are lower case.
fn byte_forms(folded: char) -> Vec<char> {
    let others =
        variants(folded).iter().filter(|form| !form.is_ascii_uppercase() && **form != folded);
    std::iter::once(folded).chain(others.copied()).collect()
}

fn is_escapable(letter: char) -> bool {
    letter < ' ' || matches!(letter, '"' | '\\' | '/' | '\u{7f}')
}

/// The text of JSON: its escapes written out. What is no escape stays.
#[must_use]
pub fn text_of_json(json: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', json.as_bytes()) else { return Cow::Borrowed(json) };
    let mut text = String::with_capacity(json.len());
    let (plain, mut rest) = json.split_at(first);
    text.push_str(plain);
    while let Some(escape) = rest.strip_prefix('\\') {
        let (letter, length) = unescaped(escape);
        text.push(letter);
        // Nothing is skipped where no escape stands.
        rest = &escape[length..];
        let next = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        let (plain, after) = rest.split_at(next);
        text.push_str(plain);
        rest = after;
    }
    Cow::Owned(text)
}

/// The letter that an escape stands for, and how many bytes it has after the backslash.
fn unescaped(escape: &str) -> (char, usize) {
    let letter = match escape.as_bytes().first() {
        Some(b'n') => '\n',
        Some(b't') => '\t',
        Some(b'r') => '\r',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(same @ (b'"' | b'\\' | b'/')) => char::from(*same),
        Some(b'u') => return unescaped_number(escape).unwrap_or(('\\', 0)),
        _ => return ('\\', 0),
    };
    (letter, 1)
}

fn unescaped_number(escape: &str) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 4)?;
        let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    };
    let first = unit(1)?;
    let second = escape.get(5..7).filter(|next| *next == "\\u").and_then(|_| unit(7));
    if let (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) = (first, second) {
        let letter = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        return Some((letter.unwrap_or(char::REPLACEMENT_CHARACTER), 11));
    }
    Some((char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 5))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fold::fold;
    use super::*;

    fn found(text: &str, phrase: &str) -> Option<String> {
        Phrase::new(phrase).find(text).map(|(start, end)| text[start..end].to_owned())
    }

    #[test]
    fn phrases_are_found_in_any_script_and_case() {
        for (text, phrase, wanted) in [
            ("Where is my ORDER?", "my order", "my ORDER"),
            ("ὈΔΥΣΣΕΎΣ και ΟΔΟΣ", "οδος", "ΟΔΟΣ"),
            ("300 \u{212a} and ſtill", "k and still", "\u{212a} and ſtill"),
            ("МОСКВА слезам", "москва СЛЕЗАМ", "МОСКВА слезам"),
            ("أين طلبي من فضلك", "طلبي", "طلبي"),
            ("我的订单在哪里？", "订单在", "订单在"),
            ("ok 👩‍👩‍👧 then", "👩‍👩‍👧", "👩‍👩‍👧"),
            ("fn main() { let x = 1; }", "MAIN() {", "main() {"),
            ("aaab", "aab", "aab"),
            ("une École à Évry", "école À É", "École à É"),
        ] {
            assert_eq!(found(text, phrase).as_deref(), Some(wanted), "{phrase}");
        }
        assert_eq!(found("Straße", "strasse"), None);
        assert_eq!(found("ılık", "ilik"), None);
        assert_eq!(Phrase::new("").find("x"), Some((0, 0)));
    }

    #[test]
    fn json_is_searched_as_it_reads() {
        for (json, text) in [
            (r#"{"a":"say \"hi\""}"#, r#"{"a":"say "hi""}"#),
            (r#""C:\\new\\table""#, r#""C:\new\table""#),
            (r#""one\ntwo\t\u0001""#, "\"one\ntwo\t\u{1}\""),
            (r#""\ud83d\ude00 \u00e9 \/""#, "\"😀 é /\""),
            (r#""\ud83d x""#, "\"\u{fffd} x\""),
            (r#""{\"inner\":\"a\\nb\"}""#, r#""{"inner":"a\nb"}""#),
            ("no JSON \\x \\u12 \\", "no JSON \\x \\u12 \\"),
        ] {
            assert_eq!(text_of_json(json), text, "{json}");
        }
    }

    /// Letters that meet in every way: cases of one, two and three bytes, and what JSON escapes.
    fn text() -> impl Strategy<Value = String> {
        const LETTERS: [&str; 20] = [
            "a", "A", "s", "S", "ſ", "k", "\u{212a}", "σ", "Σ", "ς", "é", "É", "\"", "\\", "/",
            "\n", "日", "م", "😀", "u",
        ];
        prop_oneof![
            8 => prop::collection::vec(prop::sample::select(&LETTERS[..]), 0..12)
                .prop_map(|letters| letters.concat()),
            1 => any::<String>(),
        ]
    }

    proptest! {
        #[test]
        fn finding_is_what_the_folds_say(text in text(), phrase in text(), cut in any::<(u8, u8)>()) {
            let letters: Vec<char> = text.chars().collect();
            let from = usize::from(cut.0) % (letters.len() + 1);
            let to = from + usize::from(cut.1) % (letters.len() + 1 - from);
            let part: String = letters[from..to].iter().collect();
            for phrase in [phrase, part] {
                let slow = fold(&text).find(&*fold(&phrase));
                let letters_before = slow.map(|at| fold(&text)[..at].chars().count());
                let at = Phrase::new(&phrase).find(&text);
                prop_assert_eq!(at.map(|(start, _)| text[..start].chars().count()), letters_before);
                if let Some((start, end)) = at {
                    prop_assert_eq!(fold(&text[start..end]), fold(&phrase));
                }
            }
        }

        #[test]
        fn nothing_is_ruled_out_that_is_there(text in text(), phrase in text(), escaped in any::<bool>()) {
            let phrase = Phrase::new(&phrase);
            let mut json = serde_json::to_string(&text).unwrap();
            if escaped {
                json = json.chars().map(|c| if c.is_ascii() { c.to_string() } else {
                    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
                }).collect();
            }
            let read = text_of_json(&json);
            prop_assert_eq!(&read[1..read.len() - 1], text.as_str());
            let mut room = Vec::new();
            if phrase.find(&read).is_some() {
                prop_assert!(phrase.may_stand_in(json.as_bytes(), true, &mut room));
            }
            if phrase.find(&text).is_some() {
                prop_assert!(phrase.may_stand_in(text.as_bytes(), false, &mut room));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), phrase in any::<String>()) {
            let _ = Phrase::new(&phrase).find(&text_of_json(&text));
        }
    }
}

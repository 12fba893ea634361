//! What a reader is shown of a hit: the phrase as it stands there, and a little around it.

/// Letters shown before the phrase.
const BEFORE: usize = 60;
/// Letters shown after it.
const AFTER: usize = 100;

/// A piece of a text, and where in it the phrase is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The piece, as it reads: escapes of JSON are written out.
    pub text: String,
    /// How many letters (Unicode code points) of `text` stand before the phrase.
    pub start: usize,
    /// How many stand before its end.
    pub end: usize,
    /// Whether more text stands before the piece.
    pub cut_before: bool,
    /// Whether more text stands after it.
    pub cut_after: bool,
}

impl Snippet {
    /// The piece of a text around a range of its bytes.
    pub(super) fn of(text: &str, start: usize, end: usize) -> Self {
        let (before, rest) = text.split_at(start);
        let (phrase, after) = rest.split_at(end - start);
        let first = before.char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
        let last = after.char_indices().nth(AFTER).map_or(after.len(), |(at, _)| at);
        let shown = before[first..].chars().count();
        Self {
            text: [&before[first..], phrase, &after[..last]].concat(),
            start: shown,
            end: shown + phrase.chars().count(),
            cut_before: first > 0,
            cut_after: last < after.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_says_where_the_phrase_is_in_it() {
        let text = format!("{}日本 here{}", "é".repeat(100), "😀".repeat(200));
        let start = text.find("日本").unwrap();
        let found = Snippet::of(&text, start, start + "日本 here".len());
        let letters: Vec<char> = found.text.chars().collect();
        assert_eq!(letters[found.start..found.end].iter().collect::<String>(), "日本 here");
        assert_eq!((found.start, letters.len()), (BEFORE, BEFORE + 7 + AFTER));
        assert!(found.cut_before && found.cut_after);
        let whole = Snippet::of("abc", 1, 2);
        assert_eq!((whole.text.as_str(), whole.start, whole.end), ("abc", 1, 2));
        assert!(!whole.cut_before && !whole.cut_after);
    }
}

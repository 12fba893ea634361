//! What metadata filters compare: the texts in a span's metadata, by their paths.

use std::borrow::Cow;

use staso_model::{Value, get_path};

/// The text a metadata filter compares: text as it is, numbers, booleans and null by their JSON
/// text (NaN and infinities have none and are null there). Lists, maps and bytes have no text.
pub(crate) fn value_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(b) => Some(Cow::Borrowed(if *b { "true" } else { "false" })),
        Value::Int(n) => Some(Cow::Owned(n.to_string())),
        Value::Double(x) => Some(Cow::Owned(serde_json::Value::from(*x).to_string())),
        Value::Null => Some(Cow::Borrowed("null")),
        Value::Bytes(_) | Value::Array(_) | Value::Map(_) => None,
    }
}

/// Calls `found` with each path at which a metadata filter finds a text, and the text. Of paths that hide
/// each other those are told that the filter sees. Answers whether all were told: `found` ends it by
/// answering `false`, and so do more than `max_keys` keys in all. Paths of more than `max_path` bytes are not told:
/// to find out whether a path is hidden takes as many look-ups as it has dots.
pub fn each_metadata(
    attributes: &[(String, Value)],
    max_keys: usize,
    max_path: usize,
    found: &mut dyn FnMut(&str, &str) -> bool,
) -> bool {
    let (path, keys_left) = (String::new(), max_keys);
    let mut leaves = Leaves { whole: attributes, path, max_path, keys_left, is_whole: true, found };
    leaves.below(attributes) && leaves.is_whole
}

struct Leaves<'a> {
    whole: &'a [(String, Value)],
    path: String,
    max_path: usize,
    keys_left: usize,
    is_whole: bool,
    found: &'a mut dyn FnMut(&str, &str) -> bool,
}

impl Leaves<'_> {
    fn below(&mut self, attributes: &[(String, Value)]) -> bool {
        // Each look-up walks the keys, so that they are counted before the first one.
        let Some(left) = self.keys_left.checked_sub(attributes.len()) else { return false };
        self.keys_left = left;
        attributes.iter().all(|(key, value)| {
            let before = self.path.len();
            self.path.push_str(key);
            let fits = self.path.len() <= self.max_path;
            self.is_whole &= fits;
            let goes_on = !fits || self.one(value);
            self.path.truncate(before);
            goes_on
        })
    }

    fn one(&mut self, value: &Value) -> bool {
        if let Value::Map(deeper) = value {
            self.path.push('.');
            return self.below(deeper);
        }
        let Some(text) = value_text(value) else { return true };
        let is_seen = get_path(self.whole, &self.path).is_some_and(|v| std::ptr::eq(v, value));
        !is_seen || (self.found)(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, Value)]) -> Vec<(String, Value)> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
    }

    fn told(attributes: &[(String, Value)], max_keys: usize) -> (Vec<String>, bool) {
        let mut all = Vec::new();
        let is_whole = each_metadata(attributes, max_keys, 8, &mut |path, text| {
            all.push(format!("{path}={text}"));
            true
        });
        (all, is_whole)
    }

    #[test]
    fn what_is_told_is_what_a_filter_finds() {
        let hidden = map(&[("b", "hidden".into()), ("c", Value::Int(7))]);
        let attributes = map(&[
            ("tier", "overruled".into()),
            ("a", Value::Map(hidden)),
            ("a.b", Value::Bool(true)),
            ("list", Value::Array(vec![Value::Int(1)])),
            ("none", Value::Null),
            ("tier", "second".into()),
        ]);
        let (all, is_whole) = told(&attributes, 8);
        assert_eq!(all, ["a.c=7", "a.b=true", "none=null", "tier=second"]);
        assert!(is_whole);
        assert!(!told(&attributes, 7).1, "one key too many");
    }

    #[test]
    fn long_paths_are_not_told() {
        let inner = map(&[("five5", Value::Int(1)), ("four", Value::Int(2))]);
        let attributes = map(&[("one", Value::Map(inner)), ("two", Value::Int(3))]);
        assert_eq!(told(&attributes, 9), (vec!["one.four=2".into(), "two=3".into()], false));
    }

    #[test]
    fn whoever_listens_may_stop() {
        let attributes = map(&[("a", Value::Int(1)), ("b", Value::Int(2))]);
        let mut calls = 0;
        let is_whole = each_metadata(&attributes, 9, 9, &mut |_, _| {
            calls += 1;
            false
        });
        assert_eq!((calls, is_whole), (1, false));
    }
}

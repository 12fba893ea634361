//! Attribute values on disk: a flat list of tokens, so that no depth of nesting can exhaust a
//! decoder's stack.
//!
//! A list or map is one token with its length, followed by its parts; a map's parts are a key and
//! a value in turn. An attribute list is the parts of a map, its length known from the record.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use staso_model::{Attributes, Value};

/// One token. The letters are the format; they never change their meaning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Token {
    N,
    B(bool),
    I(i64),
    D(f64),
    S(String),
    Y(Bytes),
    /// A list of so many values.
    A(u32),
    /// A map of so many keys and values.
    M(u32),
}

/// Bytes as one run, not as a list of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    /// Sixteen bytes; `None` for another length.
    pub(crate) fn id(&self) -> Option<[u8; 16]> {
        self.0.as_slice().try_into().ok()
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Bytes;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_vec()))
            }

            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Bytes, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_byte_buf(BytesVisitor)
    }
}

/// What is still to be written: in reverse, on a stack of our own.
enum Pending<'a> {
    Key(&'a str),
    Value(&'a Value),
}

/// The tokens of an attribute list.
pub(crate) fn of_attributes(attributes: &[(String, Value)]) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(attributes.len() * 2);
    let mut stack = Vec::new();
    push_entries(&mut stack, attributes);
    write(&mut stack, &mut tokens);
    tokens
}

/// The tokens of one value.
pub(crate) fn of_value(value: &Value) -> Vec<Token> {
    let mut tokens = Vec::new();
    write(&mut vec![Pending::Value(value)], &mut tokens);
    tokens
}

fn push_entries<'a>(stack: &mut Vec<Pending<'a>>, entries: &'a [(String, Value)]) {
    for (key, value) in entries.iter().rev() {
        stack.push(Pending::Value(value));
        stack.push(Pending::Key(key));
    }
}

fn write<'a>(stack: &mut Vec<Pending<'a>>, tokens: &mut Vec<Token>) {
    let length = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    while let Some(next) = stack.pop() {
        tokens.push(match next {
            Pending::Key(key) => Token::S(key.to_owned()),
            Pending::Value(Value::Null) => Token::N,
            Pending::Value(Value::Bool(b)) => Token::B(*b),
            Pending::Value(Value::Int(n)) => Token::I(*n),
            Pending::Value(Value::Double(x)) => Token::D(*x),
            Pending::Value(Value::String(text)) => Token::S(text.clone()),
            Pending::Value(Value::Bytes(bytes)) => Token::Y(Bytes(bytes.clone())),
            Pending::Value(Value::Array(items)) => {
                stack.extend(items.iter().rev().map(Pending::Value));
                Token::A(length(items.len()))
            }
            Pending::Value(Value::Map(entries)) => {
                push_entries(stack, entries);
                Token::M(length(entries.len()))
            }
        });
    }
}

/// A list or map whose parts are still being read.
struct Open {
    parts: Vec<Value>,
    wanted: usize,
    is_map: bool,
}

/// The attribute list of its tokens; `None` where they do not make one.
pub(crate) fn to_attributes(tokens: Vec<Token>) -> Option<Attributes> {
    entries(read_all(tokens)?)
}

/// The value of its tokens; `None` where they do not make exactly one.
pub(crate) fn to_value(tokens: Vec<Token>) -> Option<Value> {
    let mut values = read_all(tokens)?;
    let value = values.pop()?;
    values.is_empty().then_some(value)
}

fn read_all(tokens: Vec<Token>) -> Option<Vec<Value>> {
    let mut done = Vec::new();
    let mut stack: Vec<Open> = Vec::new();
    for token in tokens {
        let mut value = match token {
            Token::N => Some(Value::Null),
            Token::B(b) => Some(Value::Bool(b)),
            Token::I(n) => Some(Value::Int(n)),
            Token::D(x) => Some(Value::Double(x)),
            Token::S(text) => Some(Value::String(text)),
            Token::Y(bytes) => Some(Value::Bytes(bytes.0)),
            Token::A(n) => {
                stack.push(Open { parts: Vec::new(), wanted: n as usize, is_map: false });
                None
            }
            Token::M(n) => {
                let wanted = (n as usize).checked_mul(2)?;
                stack.push(Open { parts: Vec::new(), wanted, is_map: true });
                None
            }
        };
        loop {
            match (stack.last_mut(), value.take()) {
                (Some(open), Some(part)) => open.parts.push(part),
                (None, Some(part)) => done.push(part),
                (_, None) => {}
            }
            match stack.pop_if(|open| open.parts.len() >= open.wanted) {
                Some(open) if open.is_map => value = Some(Value::Map(entries(open.parts)?)),
                Some(open) => value = Some(Value::Array(open.parts)),
                None => break,
            }
        }
    }
    stack.is_empty().then_some(done)
}

fn entries(parts: Vec<Value>) -> Option<Attributes> {
    if !parts.len().is_multiple_of(2) {
        return None;
    }
    let mut entries = Vec::with_capacity(parts.len() / 2);
    let mut parts = parts.into_iter();
    while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
        let Value::String(key) = key else { return None };
        entries.push((key, value));
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_and_empty_values_come_back() {
        let map = Value::Map(vec![("k".into(), Value::Array(vec![])), ("k".into(), Value::Null)]);
        let list = Value::Array(vec![map, Value::Map(vec![]), Value::Double(f64::NAN)]);
        let attributes = vec![("a".to_owned(), list), (String::new(), Value::Bytes(vec![0]))];
        assert_eq!(to_attributes(of_attributes(&attributes)), Some(attributes));
    }

    #[test]
    fn broken_tokens_are_refused() {
        assert_eq!(to_attributes(vec![Token::N]), None);
        assert_eq!(to_attributes(vec![Token::N, Token::N]), None);
        assert_eq!(to_value(vec![Token::A(2), Token::N]), None);
        assert_eq!(to_value(vec![Token::N, Token::N]), None);
    }
}

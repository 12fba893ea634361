//! Attribute values: everything OTLP's `AnyValue` and JSON can say, losing nothing.

use serde::{Deserialize, Serialize};

/// One attribute value.
///
/// `Double` compares by bits, so that a NaN equals itself and round-trip tests can be exact.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Value {
    /// OTLP's empty `AnyValue`, JSON's null.
    Null,
    /// True or false.
    Bool(bool),
    /// A 64-bit signed integer.
    Int(i64),
    /// An IEEE 754 double; may be NaN or infinite when it came by OTLP.
    Double(f64),
    /// Text.
    String(String),
    /// Raw bytes; base64 in JSON.
    Bytes(Vec<u8>),
    /// An ordered list.
    Array(Vec<Value>),
    /// Ordered keys and values. Repeated keys are kept as they came.
    Map(Attributes),
}

/// Ordered attribute list. A repeated key is kept; [`get`] answers the last one.
pub type Attributes = Vec<(String, Value)>;

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b)) => a == b,
            (Self::Double(a), Self::Double(b)) => a.to_bits() == b.to_bits(),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Bool(b)
    }
}

impl Value {
    /// The text, where this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }
}

/// The value under `key`: the last one where a key repeats, as JSON readers do.
#[must_use]
pub fn get<'a>(attributes: &'a [(String, Value)], key: &str) -> Option<&'a Value> {
    attributes.iter().rev().find(|(k, _)| k == key).map(|(_, value)| value)
}

/// The value at a dotted path such as `user.tier`: the exact key first, then each split into a
/// nested map, longest prefix first.
#[must_use]
pub fn get_path<'a>(attributes: &'a [(String, Value)], path: &str) -> Option<&'a Value> {
    if let Some(value) = get(attributes, path) {
        return Some(value);
    }
    path.rmatch_indices('.').find_map(|(dot, _)| match get(attributes, &path[..dot]) {
        Some(Value::Map(inner)) => get_path(inner, &path[dot + 1..]),
        _ => None,
    })
}

//! JSON values to and from [`Value`].
//!
//! JSON has no bytes and no NaN: bytes go out as base64 text, NaN and infinities as null. Whole
//! numbers stay integers, and a number that 64 bits cannot hold is kept as its text.

use base64::Engine as _;

use super::text::{Mends, plain_json, push_json_string, unescape};
use super::walk::{Raw, elements, is_nonfinite, members};
use crate::value::{Attributes, Value};

/// A value from scanned JSON. What lies deeper than `max_depth` is kept as text.
pub(super) fn read(raw: Raw<'_>, max_depth: usize, mends: &mut Mends) -> Value {
    match raw.first() {
        Some(b'"') => Value::String(read_string(raw, mends)),
        Some(b'{' | b'[') if max_depth == 0 => {
            mends.depth = true;
            let (text, _) = plain_json(raw, usize::MAX, false);
            Value::String(text)
        }
        Some(b'{') => Value::Map(read_members(raw, max_depth - 1, mends)),
        Some(b'[') => Value::Array(elements(raw).map(|e| read(e, max_depth - 1, mends)).collect()),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'-' | b'0'..=b'9') if raw != b"-Infinity" => read_number(raw, mends),
        _ => {
            mends.nonfinite |= is_nonfinite(raw);
            Value::Null
        }
    }
}

/// The members of an object, in order, repeated keys included.
pub(super) fn read_members(raw: Raw<'_>, max_depth: usize, mends: &mut Mends) -> Attributes {
    members(raw).map(|(key, value)| (key.into_owned(), read(value, max_depth, mends))).collect()
}

/// A string's text.
pub(super) fn read_string(raw: Raw<'_>, mends: &mut Mends) -> String {
    let unescaped = unescape(raw);
    mends.surrogate |= unescaped.mends.surrogate;
    mends.utf8 |= unescaped.mends.utf8;
    unescaped.text.into_owned()
}

fn read_number(raw: Raw<'_>, mends: &mut Mends) -> Value {
    let text = std::str::from_utf8(raw).unwrap_or_default();
    let is_whole = !raw.iter().any(|b| matches!(b, b'.' | b'e' | b'E'));
    if is_whole && text != "-0" {
        if let Ok(n) = text.parse() {
            return Value::Int(n);
        }
    } else if let Ok(x) = text.parse::<f64>()
        && x.is_finite()
    {
        return Value::Double(x);
    }
    mends.number = true;
    Value::String(text.to_owned())
}

/// Writes a value as JSON.
pub(super) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Int(n) => out.push_str(&n.to_string()),
        // Debug keeps `.0` or an exponent, so that a double reads back as one.
        Value::Double(x) if x.is_finite() => out.push_str(&format!("{x:?}")),
        Value::Double(_) => out.push_str("null"),
        Value::String(text) => push_json_string(text, out),
        Value::Bytes(bytes) => {
            push_json_string(&base64::engine::general_purpose::STANDARD.encode(bytes), out);
        }
        Value::Array(items) => {
            write_list(items, ['[', ']'], out, write);
        }
        Value::Map(entries) => write_members(entries, out),
    }
}

/// Writes attributes as a JSON object; repeated keys are repeated.
pub(super) fn write_members(entries: &[(String, Value)], out: &mut String) {
    write_list(entries, ['{', '}'], out, |(key, value), out| {
        push_json_string(key, out);
        out.push(':');
        write(value, out);
    });
}

/// Writes items between brackets, with commas.
pub(super) fn write_list<T>(
    items: &[T],
    [open, close]: [char; 2],
    out: &mut String,
    mut write_item: impl FnMut(&T, &mut String),
) {
    out.push(open);
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_item(item, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> (Value, Mends) {
        let mut mends = Mends::default();
        (read(text.as_bytes(), 8, &mut mends), mends)
    }

    #[test]
    fn numbers_keep_their_type() {
        assert_eq!(read_all("9223372036854775807").0, Value::Int(i64::MAX));
        assert_eq!(read_all("1.0").0, Value::Double(1.0));
        assert_eq!(read_all("-0").0, Value::Double(-0.0));
        for text in ["9223372036854775808", "1e999"] {
            let (value, mends) = read_all(text);
            assert_eq!(value, Value::from(text));
            assert!(mends.number);
        }
    }

    #[test]
    fn what_json_can_say_reads_back() {
        let text = r#"{"a":[1,2.5,null,true,"x\n\"é"],"b":{},"a":-1e300}"#;
        let (value, mends) = read_all(text);
        let mut out = String::new();
        write(&value, &mut out);
        assert_eq!(read_all(&out).0, value);
        assert!(mends.is_none());
    }
}

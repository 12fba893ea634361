//! Attributes as a JSON object that a browser can read without losing a digit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json};
use staso_model::Value;

/// The greatest integer that a JSON reader of doubles keeps exactly.
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// The attributes as one object; of a repeated key the last value stands, as in every JSON reader.
pub(crate) fn object(attributes: &[(String, Value)]) -> Map<String, Json> {
    attributes.iter().map(|(key, value)| (key.clone(), json(value))).collect()
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(n) if n.unsigned_abs() <= MAX_SAFE_INTEGER.unsigned_abs() => (*n).into(),
        Value::Int(n) => Json::String(n.to_string()),
        Value::Double(x) => serde_json::Number::from_f64(*x)
            .map_or_else(|| Json::String(x.to_string()), Json::Number),
        Value::String(text) => Json::String(text.clone()),
        Value::Bytes(bytes) => Json::String(BASE64.encode(bytes)),
        Value::Array(items) => items.iter().map(json).collect(),
        Value::Map(inner) => Json::Object(object(inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_digit_and_no_odd_number_is_lost() {
        let attributes = vec![
            ("safe".to_owned(), Value::Int(MAX_SAFE_INTEGER)),
            ("big".to_owned(), Value::Int(i64::MIN)),
            ("nan".to_owned(), Value::Double(f64::NAN)),
            ("raw".to_owned(), Value::Bytes(vec![0, 255])),
            ("twice".to_owned(), Value::Bool(false)),
            (
                "twice".to_owned(),
                Value::Map(vec![("a".to_owned(), Value::Array(vec![Value::Null]))]),
            ),
        ];
        let text = Json::Object(object(&attributes)).to_string();
        insta::assert_snapshot!(text, @r#"{"safe":9007199254740991,"big":"-9223372036854775808","nan":"NaN","raw":"AP8=","twice":{"a":[null]}}"#);
    }
}

//! Functions of our own: those that people call on JSON texts, and those that the views are made with.

use std::fmt::Write as _;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, Float64Builder, Int64Array, ListBuilder, StringArray, StringBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::cast::{as_fixed_size_binary_array, as_string_array};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

/// What people may call.
pub(super) fn public() -> Vec<ScalarUDF> {
    vec![Function::JsonText.udf(), Function::JsonNumber.udf()]
}

/// What the views are made with.
pub(super) fn inner() -> Vec<ScalarUDF> {
    vec![Function::IdText.udf(), Function::JsonTexts.udf()]
}

#[derive(Debug, PartialEq, Eq, Hash, Clone, Copy)]
enum Function {
    /// `json_text(text, path)`: the value at a dotted path, as text.
    JsonText,
    /// `json_number(text, path)`: likewise, where it is a number.
    JsonNumber,
    /// `json_texts(text)`: an array of texts.
    JsonTexts,
    /// `id_text(bytes, digits)`: hex; of 16 digits where the first 8 bytes are zero and 16 are asked for.
    IdText,
}

/// A function with what the engine wants to hold of it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Registered {
    function: Function,
    signature: Signature,
}

impl Function {
    fn udf(self) -> ScalarUDF {
        let arguments = match self {
            Self::JsonText | Self::JsonNumber => vec![DataType::Utf8, DataType::Utf8],
            Self::JsonTexts => vec![DataType::Utf8],
            Self::IdText => vec![DataType::FixedSizeBinary(16), DataType::Int64],
        };
        let signature = Signature::exact(arguments, Volatility::Immutable);
        ScalarUDF::new_from_impl(Registered { function: self, signature })
    }
}

impl ScalarUDFImpl for Registered {
    fn name(&self) -> &str {
        match self.function {
            Function::JsonText => "json_text",
            Function::JsonNumber => "json_number",
            Function::JsonTexts => "json_texts",
            Function::IdText => "id_text",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.function {
            Function::JsonText | Function::IdText => DataType::Utf8,
            Function::JsonNumber => DataType::Float64,
            Function::JsonTexts => {
                DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)))
            }
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let column = |at: usize| {
            arrays.get(at).ok_or_else(|| {
                DataFusionError::Internal(format!("{} lacks an argument", self.name()))
            })
        };
        let answer: ArrayRef = match self.function {
            Function::JsonText => {
                Arc::new(json_text(as_string_array(column(0)?)?, as_string_array(column(1)?)?))
            }
            Function::JsonNumber => {
                let mut numbers = Float64Builder::new();
                each_value(as_string_array(column(0)?)?, as_string_array(column(1)?)?, |value| {
                    numbers.append_option(value.and_then(Value::as_f64));
                });
                Arc::new(numbers.finish())
            }
            Function::JsonTexts => json_texts(as_string_array(column(0)?)?),
            Function::IdText => id_text(column(0)?, column(1)?)?,
        };
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&answer, 0)?));
        }
        Ok(ColumnarValue::Array(answer))
    }
}

/// Calls `found` with what stands at each row's path, if anything does.
fn each_value(texts: &StringArray, paths: &StringArray, mut found: impl FnMut(Option<&Value>)) {
    for (text, path) in texts.iter().zip(paths) {
        let json = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        found(json.as_ref().zip(path).and_then(|(json, path)| at(json, path)));
    }
}

fn json_text(texts: &StringArray, paths: &StringArray) -> StringArray {
    let mut answer = StringBuilder::new();
    each_value(texts, paths, |value| match value {
        None | Some(Value::Null) => answer.append_null(),
        Some(Value::String(text)) => answer.append_value(text),
        Some(other) => answer.append_value(other.to_string()),
    });
    answer.finish()
}

/// The value at a dotted path, as filters on `metadata.<path>` find it: the exact key first, then each
/// split into a nested object, longest prefix first. A number picks from an array.
fn at<'a>(json: &'a Value, path: &str) -> Option<&'a Value> {
    if let Value::Array(items) = json {
        let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
        let item = items.get(first.parse::<usize>().ok()?)?;
        return rest.map_or(Some(item), |rest| at(item, rest));
    }
    let object = json.as_object()?;
    object.get(path).or_else(|| {
        path.rmatch_indices('.').find_map(|(dot, _)| {
            object.get(&path[..dot]).and_then(|inner| at(inner, &path[dot + 1..]))
        })
    })
}

fn json_texts(texts: &StringArray) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for text in texts {
        let items: Option<Vec<String>> = text.and_then(|text| serde_json::from_str(text).ok());
        for item in items.unwrap_or_default() {
            lists.values().append_value(item);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

fn id_text(ids: &ArrayRef, digits: &ArrayRef) -> Result<ArrayRef> {
    let ids = as_fixed_size_binary_array(ids)?;
    let is_short = digits
        .as_any()
        .downcast_ref::<Int64Array>()
        .is_some_and(|digits| !digits.is_empty() && digits.value(0) == 16);
    let mut answer = StringBuilder::with_capacity(ids.len(), 32 * ids.len());
    let mut hex = String::with_capacity(32);
    for id in ids {
        let Some(id) = id else {
            answer.append_null();
            continue;
        };
        let from = if is_short && id.iter().take(8).all(|byte| *byte == 0) { 8 } else { 0 };
        hex.clear();
        for byte in &id[from..] {
            // Writing to a string does not fail.
            let _ = write!(hex, "{byte:02x}");
        }
        answer.append_value(&hex);
    }
    Ok(Arc::new(answer.finish()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_finds_what_a_filter_on_metadata_finds() {
        let value = json!({"a.b": 1, "a": {"b": 2, "c.d": [3, {"e": 4}]}});
        let find = |path| at(&value, path).cloned();
        assert_eq!(find("a.b"), Some(json!(1)));
        assert_eq!(find("a.c.d.0"), Some(json!(3)));
        assert_eq!(find("a.c.d.1.e"), Some(json!(4)));
        assert_eq!(find("a.c"), None);
        assert_eq!(find("a.b.c"), None);
        assert_eq!(find(""), None);
    }

    #[test]
    fn what_is_no_json_has_nothing() {
        let texts = StringArray::from(vec![Some("{\"k\": \"v\"}"), Some("{"), None, Some("{}")]);
        let paths = StringArray::from(vec!["k"; 4]);
        let found = json_text(&texts, &paths);
        let found: Vec<_> = found.iter().collect();
        assert_eq!(found, [Some("v"), None, None, None]);
    }
}

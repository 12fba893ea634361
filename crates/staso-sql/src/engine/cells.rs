//! Values of the engine as JSON: what the JSON answer is made of, and what CSV has for lists.
//!
//! An integer that a double cannot hold is a string, as everywhere in the API; so are times, decimals
//! and bytes. What JSON has no number for (`NaN`, infinities) is a string too.

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _, StructArray};
use datafusion::arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Number, Value};

/// The greatest integer up to which a double holds them all.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// One cell.
pub(super) fn json(array: &ArrayRef, row: usize) -> Result<Value, ArrowError> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    Ok(match array.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => Value::Bool(array.as_boolean().value(row)),
        DataType::Int8 => signed(array.as_primitive::<Int8Type>().value(row).into()),
        DataType::Int16 => signed(array.as_primitive::<Int16Type>().value(row).into()),
        DataType::Int32 => signed(array.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => signed(array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => unsigned(array.as_primitive::<UInt8Type>().value(row).into()),
        DataType::UInt16 => unsigned(array.as_primitive::<UInt16Type>().value(row).into()),
        DataType::UInt32 => unsigned(array.as_primitive::<UInt32Type>().value(row).into()),
        DataType::UInt64 => unsigned(array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float32 => real(array.as_primitive::<Float32Type>().value(row).into()),
        DataType::Float64 => real(array.as_primitive::<Float64Type>().value(row)),
        DataType::Utf8 => array.as_string::<i32>().value(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value(row).into(),
        DataType::Utf8View => array.as_string_view().value(row).into(),
        DataType::List(_) => list(&array.as_list::<i32>().value(row))?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row))?,
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row))?,
        DataType::Struct(_) => object(array.as_struct(), row)?,
        _ => {
            let options = FormatOptions::new().with_display_error(false);
            let formatter = ArrayFormatter::try_new(array, &options)?;
            formatter.value(row).try_to_string()?.into()
        }
    })
}

fn signed(number: i64) -> Value {
    if number.unsigned_abs() <= MAX_EXACT { number.into() } else { number.to_string().into() }
}

fn unsigned(number: u64) -> Value {
    if number <= MAX_EXACT { number.into() } else { number.to_string().into() }
}

fn real(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

fn list(items: &ArrayRef) -> Result<Value, ArrowError> {
    (0..items.len()).map(|row| json(items, row)).collect::<Result<_, _>>().map(Value::Array)
}

fn object(array: &StructArray, row: usize) -> Result<Value, ArrowError> {
    let fields = array.column_names().into_iter().map(str::to_owned).zip(array.columns());
    let fields = fields.map(|(name, column)| Ok((name, json(column, row)?)));
    fields.collect::<Result<Map<_, _>, ArrowError>>().map(Value::Object)
}

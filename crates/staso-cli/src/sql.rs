//! SQL on this side of the wire: the table that people read, and the process that a server starts.

use std::fmt::Write as _;

use serde_json::Value;
use staso_server::SqlProgram;
use staso_server::view::sql::SqlRows;

use crate::output::plain;

/// The subcommand that makes this program the child of a server.
#[cfg(feature = "sql")]
pub(crate) const CHILD: &str = "sql-child";

/// No column is wider; what is longer ends in `…`.
const MAX_WIDTH: usize = 60;

/// What a server starts to answer a query: this program.
#[cfg(feature = "sql")]
pub(crate) fn program() -> Option<SqlProgram> {
    // The link stays right where the file was replaced while the server runs.
    let own = std::path::Path::new("/proc/self/exe");
    let path = if own.exists() { Some(own.to_owned()) } else { std::env::current_exe().ok() };
    path.map(|path| SqlProgram { path, args: vec![CHILD.to_owned()] })
}

/// This build has no engine.
#[cfg(not(feature = "sql"))]
pub(crate) fn program() -> Option<SqlProgram> {
    None
}

/// An answer as columns.
pub(crate) fn table(answer: &SqlRows) -> String {
    let names: Vec<String> =
        answer.columns.iter().map(|column| cut(&plain(&column.name))).collect();
    let rows: Vec<Vec<String>> =
        answer.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let mut widths: Vec<usize> = names.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let is_number: Vec<bool> = answer
        .columns
        .iter()
        .map(|column| column.kind.contains("Int") || column.kind.starts_with("Float"))
        .collect();
    let mut text = String::new();
    let mut line = |cells: &[String]| {
        let start = text.len();
        for ((cell, width), is_number) in cells.iter().zip(&widths).zip(&is_number) {
            // Writing to a string does not fail.
            let _ = match is_number {
                true => write!(text, "{cell:>width$}  "),
                false => write!(text, "{cell:<width$}  "),
            };
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    };
    line(&names);
    line(&widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>());
    rows.iter().for_each(|row| line(row));
    text
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => cut(&plain(text)),
        other => cut(&plain(&other.to_string())),
    }
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_WIDTH {
        return text.to_owned();
    }
    text.chars().take(MAX_WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_long_texts_end() {
        let answer = json!({"columns": [{"name": "model", "type": "Utf8"}, {"name": "n", "type": "Int64"}],
            "rows": [["small", 7], [null, 1234], ["x".repeat(99), 1], ["a\u{1b}[2J\nb", 0]],
            "row_count": 4, "cut": null});
        let answer: SqlRows = serde_json::from_value(answer).unwrap();
        let shown = table(&answer);
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("model ") && lines[0].ends_with("   n"), "{shown}");
        assert!(lines[2].ends_with("   7") && lines[3].ends_with(" 1234"), "{shown}");
        assert!(lines[4].contains('…') && lines[5].starts_with("a\u{fffd}[2J b "), "{shown}");
    }
}

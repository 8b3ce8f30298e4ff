//! `spanscope sql`: read-only SQL over the documented tables.

use anyhow::Result;
use serde_json::{Map, Value};
use spanscope_model::{SqlResult, StoreError, TraceStore as _};

use super::store::Location;
use crate::args::{Format, SqlArgs};
use crate::failure::Stop;
use crate::output::Output;
use crate::remark::remark;
use crate::render::colour::Paint;
use crate::render::table::{Cell, Column, painted, table};

pub(super) fn run(location: &Location, args: &SqlArgs) -> Result<()> {
    let out = Output::new(&args.output);
    let store = location.open_file()?;
    let store = store
        .as_sql()
        .ok_or_else(|| StoreError::unsupported("this store does not run SQL: use the other commands"))?;
    let found = store.sql(&args.query, args.limit)?;
    if out.format == Format::Table {
        out.print(&rows(&out, &found))?;
    } else {
        out.list(&objects(&found), String::new)?;
    }
    if found.is_truncated {
        remark(format_args!(
            "there are more rows than {}: raise --limit to see them",
            args.limit
        ));
    }
    if found.rows.is_empty() {
        return Err(Stop::nothing("no row matches"));
    }
    Ok(())
}

fn rows(out: &Output, found: &SqlResult) -> String {
    if found.rows.is_empty() {
        return String::new();
    }
    let column = |(at, name): (usize, &String)| -> (String, Column) {
        let mut values = found
            .rows
            .iter()
            .map(|row| &row[at])
            .filter(|value| !value.is_null())
            .peekable();
        let is_number = values.peek().is_some() && values.all(Value::is_number);
        (
            name.clone(),
            if is_number { Column::Number } else { Column::Text },
        )
    };
    let columns: Vec<_> = found.columns.iter().enumerate().map(column).collect();
    let columns: Vec<(&str, Column)> = columns
        .iter()
        .map(|(name, column)| (name.as_str(), *column))
        .collect();
    let rows = found.rows.iter().map(|row| row.iter().map(cell).collect());
    table(out, &columns, rows.collect())
}

fn cell(value: &Value) -> Cell {
    match value {
        Value::Null => painted(Paint::Dim, "NULL"),
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

/// Converts rows to JSON objects. Of columns with the same name, the later ones are numbered.
fn objects(found: &SqlResult) -> Vec<Map<String, Value>> {
    let mut names: Vec<String> = Vec::with_capacity(found.columns.len());
    for name in &found.columns {
        let mut unique = name.clone();
        let mut number = 2;
        while names.contains(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        names.push(unique);
    }
    let object = |row: &Vec<Value>| names.iter().cloned().zip(row.iter().cloned()).collect();
    found.rows.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_with_the_same_name_do_not_hide_each_other() {
        let found = SqlResult::new(
            vec!["a".to_owned(), "a".to_owned()],
            vec![vec![1.into(), 2.into()]],
        );
        assert_eq!(
            serde_json::json!(objects(&found)),
            serde_json::json!([{"a": 1, "a_2": 2}])
        );
    }
}

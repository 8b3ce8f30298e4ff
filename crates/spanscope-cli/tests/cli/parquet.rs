//! `export --to parquet`: what a reader finds in the files is what the SQL views show.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use parquet::basic::{LogicalType, TimeUnit, Type as Physical};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Map, Value as Json, json};
use spanscope_model::{Attributes, Link, Scope, Timestamp};

use crate::round_trip::everything;
use crate::support::{Store, lines, result_of, spanscope};

const VIEWS: [&str; 3] = ["spans", "logs", "metrics"];

fn reader(folder: &Path, view: &str) -> SerializedFileReader<fs::File> {
    let path = folder.join(format!("{view}.parquet"));
    SerializedFileReader::try_from(path.as_path()).unwrap()
}

/// The rows of a file, with times as the views show them.
fn rows(folder: &Path, view: &str) -> Vec<Map<String, Json>> {
    let reader = reader(folder, view);
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let value = |(name, field): (&String, &Field)| {
            let value = match field {
                Field::Null => Json::Null,
                Field::Str(text) => as_model(name, text),
                Field::Long(nanos) if name.contains("time") => {
                    Timestamp::from_nanos(*nanos).to_sql_text().into()
                }
                Field::Long(number) => (*number).into(),
                Field::Double(number) => (*number).into(),
                other => panic!("{name} is {other:?}"),
            };
            (name.clone(), value)
        };
        row.get_column_iter().map(value).collect()
    });
    rows.collect()
}

/// JSON in one spelling: that of the model.
fn as_model(column: &str, text: &str) -> Json {
    let written = match column {
        "attributes" | "resource" => serde_json::to_value(serde_json::from_str::<Attributes>(text).unwrap()),
        "links" => serde_json::to_value(serde_json::from_str::<Vec<Link>>(text).unwrap()),
        "scope" => serde_json::to_value(serde_json::from_str::<Scope>(text).unwrap()),
        "detail" => serde_json::from_str(text),
        _ => Ok(text.into()),
    };
    written.unwrap()
}

/// The rows of a view, in the same form.
fn rows_of_view(store: &Store, view: &str) -> Vec<Map<String, Json>> {
    let query = format!("SELECT * FROM {view}");
    let result = store.run(&["sql", &query, "--limit", "1000000", "--json"]);
    let found: Json = match result.code {
        3 => json!([]), // no row
        _ => serde_json::from_str(&result.out).unwrap(),
    };
    let rows = found.as_array().unwrap().iter().map(|row| {
        let value = |(name, value): (&String, &Json)| {
            let value = match value {
                Json::String(text) => as_model(name, text),
                Json::Number(number) if name == "value" => number.as_f64().into(),
                other => other.clone(),
            };
            (name.clone(), value)
        };
        row.as_object().unwrap().iter().map(value).collect()
    });
    rows.collect()
}

fn sorted(rows: Vec<Map<String, Json>>) -> Vec<String> {
    let mut rows: Vec<String> = rows
        .into_iter()
        .map(|row| Json::Object(row).to_string())
        .collect();
    rows.sort();
    rows
}

fn export(store: &Store, folder: &Path, words: &[&str]) -> String {
    let folder = folder.to_str().unwrap();
    let result = store.run(&[&["export", "--to", "parquet", "-o", folder], words].concat());
    assert_eq!((result.code, result.out.as_str()), (0, ""), "{}", result.err);
    result.err
}

/// The names of the files in a folder, hidden ones too.
fn names(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap();
    files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn the_files_have_the_columns_and_values_of_the_sql_views() {
    for store in [everything(), Store::filled()] {
        let folder = store.file("exported");
        export(&store, &folder, &[]);
        for view in VIEWS {
            let (found, expected) = (rows(&folder, view), rows_of_view(&store, view));
            assert!(!expected.is_empty() || view == "metrics");
            let (found, expected) = (sorted(found), sorted(expected));
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found, expected, "{view}");
            }
            assert_eq!(found.len(), expected.len(), "{view}");
        }
    }
}

#[test]
fn times_have_nanoseconds_and_are_in_utc() {
    let store = Store::filled();
    let folder = store.file("exported");
    export(&store, &folder, &[]);
    let json = lines(&store.out(&["export", "--to", "jsonl"]));
    let expected: BTreeSet<i64> = json
        .iter()
        .map(|span| {
            let start: Timestamp = serde_json::from_value(span["start_time"].clone()).unwrap();
            start.as_nanos()
        })
        .collect();
    let reader = reader(&folder, "spans");
    let starts = reader.get_row_iter(None).unwrap().map(|row| {
        let row = row.unwrap();
        let start = row.get_column_iter().find(|(name, _)| *name == "start_time");
        match start.unwrap().1 {
            Field::Long(nanos) => *nanos,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!(starts.collect::<BTreeSet<i64>>(), expected);

    let schema = reader.metadata().file_metadata().schema_descr();
    for column in schema.columns() {
        let is_time = ["start_time", "end_time"].contains(&column.name());
        let (physical, logical) = match column.name() {
            "duration_ms" => (Physical::DOUBLE, None),
            _ if is_time => (
                Physical::INT64,
                Some(LogicalType::timestamp(true, TimeUnit::NANOS)),
            ),
            _ => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        assert_eq!(column.physical_type(), physical, "{}", column.name());
        assert_eq!(column.logical_type_ref(), logical.as_ref(), "{}", column.name());
    }
}

#[test]
fn chosen_traces_are_exported_alone() {
    let store = Store::filled();
    let folder = store.file("exported");
    let trace = store.trace("order");
    let result = export(&store, &folder, &[&trace]);
    assert!(result.contains("wrote 4 spans, 4 events and "), "{result}");
    for row in [rows(&folder, "spans"), rows(&folder, "logs")].concat() {
        assert_eq!(row["trace_id"], trace);
    }
}

#[test]
fn many_rows_are_written_in_groups() {
    const ROWS: usize = 70_000;
    let store = Store::none();
    let mut text = String::new();
    for number in 0..ROWS {
        let mut line = json!({
            "timestamp": Timestamp::from_nanos(1_700_000_000_000_000_000 + i64::try_from(number).unwrap()),
            "severity": "info", "message": format!("event {number}"), "attributes": {"n": number},
        });
        if number % 3 == 0 {
            line["span_id"] = format!("{:016x}", number + 1).into();
        }
        writeln!(text, "{line}").unwrap();
    }
    let file = store.file("many.jsonl");
    fs::write(&file, text).unwrap();
    store.out(&["import", file.to_str().unwrap()]);
    let folder = store.file("exported");
    export(&store, &folder, &[]);
    assert_eq!(reader(&folder, "logs").metadata().num_row_groups(), 2);
    let rows = rows(&folder, "logs");
    assert_eq!(rows.len(), ROWS);
    for (number, row) in rows.iter().enumerate() {
        assert_eq!(row["message"], format!("event {number}"));
        assert_eq!(row["attributes"]["n"], number);
        assert_eq!(row["trace_id"], Json::Null);
        assert_eq!(row["span_id"].is_null(), number % 3 != 0, "{number}");
    }
    // A file without rows has its columns too.
    let reader = reader(&folder, "spans");
    assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
    assert_eq!(reader.metadata().file_metadata().schema_descr().num_columns(), 20);
}

#[test]
fn earlier_files_are_replaced_and_others_kept() {
    let store = Store::filled();
    let folder = store.file("exported");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    fs::write(folder.join("spans.parquet"), "cut").unwrap();
    for _ in 0..2 {
        export(&store, &folder, &[]);
        let expected = ["logs.parquet", "metrics.parquet", "notes.txt", "spans.parquet"];
        assert_eq!(names(&folder), expected.map(str::to_owned).into());
        assert_eq!(rows(&folder, "spans").len(), 5);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(folder.join("spans.parquet"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "exported data may be private");
    }
}

#[test]
fn a_wrong_output_is_named_and_nothing_is_written() {
    let store = Store::filled();
    let file = store.file("a file");
    fs::write(&file, "mine").unwrap();
    let missing = store.file("missing/folder");
    let taken = store.file("taken");
    fs::create_dir_all(taken.join("logs.parquet")).unwrap();
    for (words, code, named) in [
        (&[][..], 2, "name a folder for them with -o FOLDER"),
        (&["-o", file.to_str().unwrap()], 2, "a file is a file"),
        (
            &["-o", missing.to_str().unwrap()],
            1,
            "could not create the folder",
        ),
        (
            &["-o", taken.to_str().unwrap()],
            2,
            "logs.parquet is a folder: name another",
        ),
    ] {
        let result = store.run(&[&["export", "--to", "parquet"], words].concat());
        assert_eq!((result.code, result.out.as_str()), (code, ""), "{}", result.err);
        assert!(result.err.contains(named), "{named}: {}", result.err);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(names(&taken), ["logs.parquet".to_owned()].into());

    // An empty store gives no files.
    let none = Store::none();
    drop(spanscope_sqlite::SqliteLayer::open(none.path()).unwrap());
    let folder = none.file("exported");
    let result = none.run(&["export", "--to", "parquet", "-o", folder.to_str().unwrap()]);
    assert_eq!(result.code, 3, "{}", result.err);
    assert!(!folder.exists());
}

/// A store whose name is that of a file of the export.
#[test]
fn the_store_itself_is_not_replaced() {
    let store = Store::filled();
    let db = store.file("spans.parquet");
    fs::copy(store.path(), &db).unwrap();
    let before = fs::read(&db).unwrap();
    let mut command = spanscope();
    command
        .args(["export", "--to", "parquet", "-o"])
        .arg(store.file(""));
    let result = result_of(command.arg("--db").arg(&db).output().unwrap());
    assert_eq!(result.code, 2, "{}", result.err);
    assert!(
        result.err.contains("would replace the store itself"),
        "{}",
        result.err
    );
    assert_eq!(fs::read(&db).unwrap(), before);
}

/// A limit on the size of files stands for a full disk: the kernel cuts the write the same way.
#[cfg(unix)]
#[test]
fn a_failed_write_leaves_the_earlier_files_as_they_are() {
    for view in ["spans", "logs"] {
        let store = Store::none();
        let mut text = String::new();
        for number in 1..3_000_u64 {
            // Ids that do not compress.
            let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let (span, trace) = (format!("{id:016x}"), format!("{id:016x}{:016x}", !id));
            let line = match view {
                "spans" => json!({
                    "span_id": span, "trace_id": trace, "parent_span_id": null, "name": "work",
                    "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:01Z",
                }),
                // `spans.parquet` is whole by then and must not replace the earlier one.
                _ => json!({
                    "timestamp": Timestamp::from_nanos(i64::try_from(number).unwrap()),
                    "severity": "info", "message": format!("{span}{trace}"), "attributes": {},
                }),
            };
            writeln!(text, "{line}").unwrap();
        }
        let file = store.file("many.jsonl");
        fs::write(&file, text).unwrap();
        store.out(&["import", file.to_str().unwrap()]);
        let fresh = store.file("fresh");
        let earlier = store.file("earlier");
        fs::create_dir(&earlier).unwrap();
        fs::write(earlier.join("spans.parquet"), "earlier").unwrap();
        for folder in [&fresh, &earlier] {
            let plain = store.command(&["export", "--to", "parquet", "-o", folder.to_str().unwrap()]);
            let mut command = std::process::Command::new("sh");
            command
                .args(["-c", "ulimit -f 100; trap '' XFSZ; exec \"$@\"", "sh"])
                .arg(plain.get_program())
                .args(plain.get_args());
            let result = result_of(command.output().unwrap());
            assert_eq!((result.code, result.out.as_str()), (1, ""), "{}", result.err);
            let path = folder.join(format!("{view}.parquet"));
            assert!(
                result
                    .err
                    .contains(&format!("could not write {}: File too large", path.display())),
                "{}",
                result.err
            );
        }
        assert!(!fresh.exists(), "the folder was created for the export");
        assert_eq!(names(&earlier), ["spans.parquet".to_owned()].into());
        assert_eq!(
            fs::read_to_string(earlier.join("spans.parquet")).unwrap(),
            "earlier"
        );
    }
}

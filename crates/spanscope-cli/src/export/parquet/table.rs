//! One Parquet file: its columns, its row groups, and the temporary name it has until it is whole.
//!
//! A row group is collected in memory, because Parquet stores it column by column, and is written
//! when it has [`GROUP_ROWS`] rows or [`GROUP_BYTES`] of texts. So the memory of an export does not
//! grow with the store.

use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::basic::{Compression, LogicalType, TimeUnit, Type as Physical};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::Type;
use anyhow::{Context, Result};

use crate::export::create_private;
use crate::failure::Stop;

/// The rows of a row group: enough that readers can skip groups and read them in parallel.
const GROUP_ROWS: usize = 1 << 16;
/// The texts of a row group, in bytes, after which it ends before it has [`GROUP_ROWS`].
const GROUP_BYTES: usize = 32 << 20;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A text. JSON is a text too, as in the SQL views: Polars reads the logical type JSON of a
    /// file without an Arrow schema as bytes.
    Text,
    /// A point in time in UTC, with nanoseconds.
    Time,
    /// A whole number.
    Int,
    /// A floating point number.
    Double,
}

/// A value of a column, of the column's kind or null.
pub(super) enum Cell {
    Null,
    Text(ByteArray),
    /// A whole number; a time as nanoseconds since 1970.
    Int(i64),
    Double(f64),
}

impl From<ByteArray> for Cell {
    fn from(text: ByteArray) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text.into_bytes().into())
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<f64> for Cell {
    fn from(number: f64) -> Self {
        Self::Double(number)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The collected values of a column.
enum Values {
    Text(Vec<ByteArray>),
    Int(Vec<i64>),
    Double(Vec<f64>),
}

/// A column of the current row group.
struct Column {
    /// Without the nulls.
    values: Values,
    /// For each row 1, or 0 where it is null.
    levels: Vec<i16>,
}

/// A file that is being written, under its temporary name. It is deleted unless it is published.
pub(super) struct Table<const N: usize> {
    path: PathBuf,
    /// Dropped before the temporary file is deleted: Windows deletes no open file.
    writer: SerializedFileWriter<BufWriter<File>>,
    temporary: Temporary,
    columns: [Column; N],
    rows: u64,
    group_rows: usize,
    group_bytes: usize,
}

impl<const N: usize> Table<N> {
    /// Creates the file `NAME.parquet` in a folder, with these columns.
    pub(super) fn create(folder: &Path, name: &'static str, columns: &[(&str, Kind); N]) -> Result<Self> {
        let path = folder.join(format!("{name}.parquet"));
        // Hidden, and with another ending, so that `*.parquet` does not match it.
        let temporary = Temporary(folder.join(format!(".{name}.parquet.{}.part", std::process::id())));
        let failed = || format!("could not write {}", path.display());
        // Found now and not when the other files have replaced earlier ones. Spark, for one, writes
        // folders with such names.
        if path.is_dir() {
            return Err(Stop::usage(format_args!(
                "{} is a folder: name another folder for the export",
                path.display()
            )));
        }
        let file = create_private(&temporary.0).with_context(failed)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .build();
        let writer = schema(name, columns)
            .and_then(|schema| {
                SerializedFileWriter::new(BufWriter::new(file), Arc::new(schema), Arc::new(properties))
            })
            .map_err(cause)
            .with_context(failed)?;
        Ok(Self {
            temporary,
            writer,
            columns: columns.map(|(_, kind)| Column::new(kind)),
            rows: 0,
            group_rows: 0,
            group_bytes: 0,
            path,
        })
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds a row with a value for each column.
    pub(super) fn push(&mut self, row: [Cell; N]) -> Result<()> {
        for (column, cell) in self.columns.iter_mut().zip(row) {
            self.group_bytes += column.push(cell);
        }
        self.rows += 1;
        self.group_rows += 1;
        if self.group_rows >= GROUP_ROWS || self.group_bytes >= GROUP_BYTES {
            self.write_group()?;
        }
        Ok(())
    }

    /// Writes the rest to the temporary file and to the disk.
    pub(super) fn complete(mut self) -> Result<Complete> {
        if self.group_rows > 0 {
            self.write_group()?;
        }
        let Self {
            path,
            temporary,
            writer,
            ..
        } = self;
        let ended = || -> Result<()> {
            let file = writer.into_inner().map_err(cause)?;
            let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            Ok(file.sync_all()?)
        };
        ended().with_context(|| format!("could not write {}", path.display()))?;
        Ok(Complete { path, temporary })
    }

    fn write_group(&mut self) -> Result<()> {
        let wrote = write_columns(&mut self.writer, &mut self.columns);
        wrote
            .map_err(cause)
            .with_context(|| format!("could not write {}", self.path.display()))?;
        (self.group_rows, self.group_bytes) = (0, 0);
        Ok(())
    }
}

/// A whole file that has its temporary name. It is deleted unless it is published.
pub(super) struct Complete {
    path: PathBuf,
    temporary: Temporary,
}

impl Complete {
    /// Gives the file its name. A file that had this name is replaced.
    pub(super) fn publish(self) -> Result<()> {
        fs::rename(&self.temporary.0, &self.path)
            .with_context(|| format!("could not write {}", self.path.display()))
    }
}

impl Column {
    fn new(kind: Kind) -> Self {
        Self {
            values: match kind {
                Kind::Text => Values::Text(Vec::new()),
                Kind::Time | Kind::Int => Values::Int(Vec::new()),
                Kind::Double => Values::Double(Vec::new()),
            },
            levels: Vec::new(),
        }
    }

    /// Adds a value and returns the bytes of its text.
    fn push(&mut self, cell: Cell) -> usize {
        let mut bytes = 0;
        let mut level = 1;
        match (&mut self.values, cell) {
            (Values::Text(values), Cell::Text(text)) => {
                bytes = text.len();
                values.push(text);
            }
            (Values::Int(values), Cell::Int(number)) => values.push(number),
            (Values::Double(values), Cell::Double(number)) => values.push(number),
            (_, cell) => {
                debug_assert!(
                    matches!(cell, Cell::Null),
                    "a value of another kind than its column"
                );
                level = 0;
            }
        }
        self.levels.push(level);
        bytes
    }
}

fn schema<const N: usize>(name: &str, columns: &[(&str, Kind); N]) -> Result<Type, ParquetError> {
    let fields = columns.iter().map(|(name, kind)| {
        let (physical, logical) = match kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Time => (
                Physical::INT64,
                Some(LogicalType::timestamp(true, TimeUnit::NANOS)),
            ),
            Kind::Int => (Physical::INT64, None),
            Kind::Double => (Physical::DOUBLE, None),
        };
        // Optional by default: each column may be null, as in SQL.
        let field = Type::primitive_type_builder(name, physical).with_logical_type(logical);
        field.build().map(Arc::new)
    });
    Type::group_type_builder(name)
        .with_fields(fields.collect::<Result<_, _>>()?)
        .build()
}

/// Writes a row group and empties the columns.
fn write_columns(
    writer: &mut SerializedFileWriter<BufWriter<File>>,
    columns: &mut [Column],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    for column in columns {
        let Some(mut chunk) = group.next_column()? else {
            break;
        };
        let levels = Some(column.levels.as_slice());
        match (chunk.untyped(), &mut column.values) {
            (ColumnWriter::ByteArrayColumnWriter(chunk), Values::Text(values)) => {
                chunk.write_batch(values, levels, None)?;
                values.clear();
            }
            (ColumnWriter::Int64ColumnWriter(chunk), Values::Int(values)) => {
                chunk.write_batch(values, levels, None)?;
                values.clear();
            }
            (ColumnWriter::DoubleColumnWriter(chunk), Values::Double(values)) => {
                chunk.write_batch(values, levels, None)?;
                values.clear();
            }
            _ => {
                return Err(ParquetError::General(
                    "the schema has another type than the column".to_owned(),
                ));
            }
        }
        chunk.close()?;
        column.levels.clear();
    }
    group.close().map(drop)
}

/// The error in an error of the Parquet writer: that of the file, if it has one.
fn cause(error: ParquetError) -> anyhow::Error {
    match error {
        ParquetError::External(error) => anyhow::Error::from_boxed(error),
        other => other.into(),
    }
}

/// The path of a file that is deleted if it still has this name.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It was renamed, or it is the rest of a failure that is reported already.
        let _ = fs::remove_file(&self.0);
    }
}

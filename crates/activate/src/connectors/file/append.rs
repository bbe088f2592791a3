//! A new file for every batch.
//!
//! Its name comes from its first delivery alone, so a batch that is handed over again overwrites what an earlier
//! attempt may have left.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        reader::{FileReader as _, SerializedFileReader},
        writer::SerializedFileWriter,
    },
    record::Field,
    schema::types::Type,
};
use serde_json::{Map, Value, json};

use super::{
    cells::{cell, spreadsheet_safe},
    config::{Config, Format},
};
use crate::destination::Delivery;

/// The columns that are always there, before the configured ones. Without configured ones `payload` follows.
pub const OWN_COLUMNS: &[&str] = &["key", "kind", "segment", "profile", "created_at", "payload"];

const PAYLOAD: &str = "payload";

/// A delivery and its payload, parsed.
pub type Item<'a> = (&'a Delivery, Value);

/// The name of the file for a batch that begins with `first`.
pub fn name(first: &Delivery, format: Format) -> String {
    let time: String = first.created.to_string().chars().map(|c| if c == ':' { '-' } else { c }).collect();
    let destination = super::file_name(&first.destination);
    format!("{destination}_{time}_{}_{}.{}", first.at_offset, first.place, format.extension())
}

/// The content of the file for these deliveries.
pub fn content(items: &[Item<'_>], config: &Config) -> Result<Vec<u8>, String> {
    match config.format {
        Format::Csv => csv(items, config),
        Format::Ndjson => ndjson(items, &config.columns),
        Format::Parquet => parquet(items, &config.columns).map_err(|error| error.to_string()),
    }
}

fn profile_id(payload: &Value) -> String {
    cell(payload, "profile.id").unwrap_or_default()
}

/// The configured columns, or the whole payload as one.
fn own_cells(payload: &Value, columns: &[String]) -> Vec<Option<String>> {
    match columns {
        [] => vec![Some(payload.to_string())],
        columns => columns.iter().map(|path| cell(payload, path)).collect(),
    }
}

fn own_names(columns: &[String]) -> Vec<&str> {
    if columns.is_empty() { vec![PAYLOAD] } else { columns.iter().map(String::as_str).collect() }
}

fn csv(items: &[Item<'_>], config: &Config) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(vec![]);
    let fixed = OWN_COLUMNS.iter().copied().filter(|column| *column != PAYLOAD);
    let failed = |error: csv::Error| error.to_string();
    writer.write_record(fixed.chain(own_names(&config.columns))).map_err(failed)?;
    for (delivery, payload) in items {
        let fixed = [
            delivery.key.clone(),
            delivery.kind.name().to_owned(),
            delivery.segment.clone(),
            profile_id(payload),
            delivery.created.to_string(),
        ];
        let own = own_cells(payload, &config.columns).into_iter().map(Option::unwrap_or_default);
        let cells = fixed.into_iter().chain(own);
        match config.spreadsheet_safe {
            true => writer.write_record(cells.map(spreadsheet_safe)).map_err(failed)?,
            false => writer.write_record(cells).map_err(failed)?,
        }
    }
    writer.into_inner().map_err(|error| error.to_string())
}

fn ndjson(items: &[Item<'_>], columns: &[String]) -> Result<Vec<u8>, String> {
    let mut content = vec![];
    for (delivery, payload) in items {
        let mut line = Map::from_iter([
            ("key".to_owned(), json!(delivery.key)),
            ("kind".to_owned(), json!(delivery.kind.name())),
            ("created_at".to_owned(), json!(delivery.created.to_string())),
        ]);
        if columns.is_empty() {
            line.insert(PAYLOAD.to_owned(), payload.clone());
        } else {
            line.insert("segment".to_owned(), json!(delivery.segment));
            line.insert("profile".to_owned(), json!(profile_id(payload)));
            line.extend(columns.iter().map(|path| (path.clone(), json!(cell(payload, path)))));
        }
        serde_json::to_writer(&mut content, &line).map_err(|error| error.to_string())?;
        content.push(b'\n');
    }
    Ok(content)
}

/// A row of a Parquet file.
struct Line {
    /// Key, kind, segment, profile.
    own: [String; 4],
    created_ms: i64,
    cells: Vec<Option<String>>,
}

fn parquet(items: &[Item<'_>], columns: &[String]) -> Result<Vec<u8>, ParquetError> {
    let line = |(delivery, payload): &Item<'_>| Line {
        own: [delivery.key.clone(), delivery.kind.name().to_owned(), delivery.segment.clone(), profile_id(payload)],
        created_ms: delivery.created.0,
        cells: own_cells(payload, columns),
    };
    parquet_of(&own_names(columns), &items.iter().map(line).collect::<Vec<_>>())
}

/// Text columns, and `created_at` as a timestamp; no statistics, which would hold personal values in the footer.
fn parquet_of(names: &[&str], lines: &[Line]) -> Result<Vec<u8>, ParquetError> {
    let text = |name: &str, repetition: Repetition| {
        Type::primitive_type_builder(name, PhysicalType::BYTE_ARRAY)
            .with_repetition(repetition)
            .with_logical_type(Some(LogicalType::String))
            .build()
            .map(Arc::new)
    };
    let time = Type::primitive_type_builder("created_at", PhysicalType::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::timestamp(true, TimeUnit::MILLIS)))
        .build()?;
    let mut fields = vec![];
    for name in ["key", "kind", "segment", "profile"] {
        fields.push(text(name, Repetition::REQUIRED)?);
    }
    let required = fields.len();
    fields.push(Arc::new(time));
    for name in names {
        fields.push(text(name, Repetition::OPTIONAL)?);
    }
    let schema = Arc::new(Type::group_type_builder("delivery").with_fields(fields).build()?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .build();

    let bytes = |text: &String| ByteArray::from(text.clone().into_bytes());
    let mut content = vec![];
    let mut writer = SerializedFileWriter::new(&mut content, schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut column = 0;
    while let Some(mut writer) = group.next_column()? {
        match writer.untyped() {
            ColumnWriter::Int64ColumnWriter(writer) => {
                let times: Vec<i64> = lines.iter().map(|line| line.created_ms).collect();
                writer.write_batch(&times, None, None)?;
            }
            ColumnWriter::ByteArrayColumnWriter(writer) if column < required => {
                let values: Vec<ByteArray> = lines.iter().map(|line| bytes(&line.own[column])).collect();
                writer.write_batch(&values, None, None)?;
            }
            ColumnWriter::ByteArrayColumnWriter(writer) => {
                let own = column - required - 1;
                let levels: Vec<i16> = lines.iter().map(|line| i16::from(line.cells[own].is_some())).collect();
                let values: Vec<ByteArray> =
                    lines.iter().filter_map(|line| line.cells[own].as_ref()).map(bytes).collect();
                writer.write_batch(&values, Some(&levels), None)?;
            }
            _ => unreachable!("the schema above has only these two physical types"),
        }
        writer.close()?;
        column += 1;
    }
    group.close()?;
    writer.close()?;
    Ok(content)
}

/// A file that [`content`] gave, without the rows of these profiles; `None` where it has none of theirs.
pub fn without(name: &str, content: &[u8], ids: &BTreeSet<String>) -> Result<Option<Vec<u8>>, String> {
    // By the file's own form: the configured one may have been another then.
    match name.rsplit('.').next() {
        Some("csv") => csv_without(content, ids, "profile").map_err(|error| error.to_string()),
        Some("ndjson") => Ok(ndjson_without(content, ids)),
        Some("parquet") => parquet_without(content, ids).map_err(|error| error.to_string()),
        _ => Ok(None),
    }
}

/// A CSV file without the rows in whose `column` one of these stands; `None` where there are none.
pub fn csv_without(content: &[u8], ids: &BTreeSet<String>, column: &str) -> Result<Option<Vec<u8>>, csv::Error> {
    let mut reader = csv::Reader::from_reader(content);
    let place = reader.headers()?.iter().position(|name| name == column);
    let Some(place) = place else { return Ok(None) };
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record(reader.headers()?)?;
    let mut gone = false;
    for record in reader.records() {
        let record = record?;
        if record.get(place).is_some_and(|id| ids.contains(id)) {
            gone = true;
        } else {
            writer.write_record(&record)?;
        }
    }
    Ok(gone.then(|| writer.into_inner().unwrap_or_default()))
}

fn ndjson_without(content: &[u8], ids: &BTreeSet<String>) -> Option<Vec<u8>> {
    let theirs = |line: &&[u8]| {
        let line: Value = serde_json::from_slice(line).unwrap_or_default();
        let id = line.pointer("/payload/profile/id").or_else(|| line.get("profile"));
        id.and_then(Value::as_str).is_some_and(|id| ids.contains(id))
    };
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    let stay: Vec<&[u8]> = lines.iter().copied().filter(|line| !theirs(line)).collect();
    (stay.len() < lines.len()).then(|| stay.concat())
}

fn parquet_without(content: &[u8], ids: &BTreeSet<String>) -> Result<Option<Vec<u8>>, ParquetError> {
    let reader = SerializedFileReader::new(Bytes::copy_from_slice(content))?;
    let names: Vec<String> =
        reader.metadata().file_metadata().schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
    let own: Vec<&str> = names.iter().skip(OWN_COLUMNS.len() - 1).map(String::as_str).collect();
    let (mut lines, mut gone) = (vec![], false);
    for row in reader.get_row_iter(None)? {
        let mut line = Line { own: Default::default(), created_ms: 0, cells: vec![None; own.len()] };
        for (place, (_, field)) in row?.get_column_iter().enumerate() {
            match field {
                Field::Str(text) if place < line.own.len() => line.own[place] = text.clone(),
                Field::TimestampMillis(at) => line.created_ms = *at,
                Field::Str(text) => line.cells[place + 1 - OWN_COLUMNS.len()] = Some(text.clone()),
                _ => {}
            }
        }
        if ids.contains(&line.own[3]) {
            gone = true;
        } else {
            lines.push(line);
        }
    }
    if gone { parquet_of(&own, &lines).map(Some) } else { Ok(None) }
}

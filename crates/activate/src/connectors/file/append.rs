//! A new file for every batch.
//!
//! Its name comes from its first delivery alone, so a batch that is handed over again overwrites what an earlier
//! attempt may have left.

use std::sync::Arc;

use parquet::{
    basic::{Compression, LogicalType, Repetition, TimeUnit, Type as PhysicalType, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
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

/// The text of a column that is always there.
type Text = fn(&Item<'_>) -> String;

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

/// Text columns, and `created_at` as a timestamp; no statistics, which would hold personal values in the footer.
fn parquet(items: &[Item<'_>], columns: &[String]) -> Result<Vec<u8>, ParquetError> {
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
    let required: [(&str, Text); 4] = [
        ("key", |(delivery, _)| delivery.key.clone()),
        ("kind", |(delivery, _)| delivery.kind.name().to_owned()),
        ("segment", |(delivery, _)| delivery.segment.clone()),
        ("profile", |(_, payload)| profile_id(payload)),
    ];
    let mut fields = vec![];
    for (name, _) in required {
        fields.push(text(name, Repetition::REQUIRED)?);
    }
    fields.push(Arc::new(time));
    for name in own_names(columns) {
        fields.push(text(name, Repetition::OPTIONAL)?);
    }
    let schema = Arc::new(Type::group_type_builder("delivery").with_fields(fields).build()?);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .build();

    let rows: Vec<Vec<Option<String>>> = items.iter().map(|(_, payload)| own_cells(payload, columns)).collect();
    let mut content = vec![];
    let mut writer = SerializedFileWriter::new(&mut content, schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut column = 0;
    while let Some(mut writer) = group.next_column()? {
        match writer.untyped() {
            ColumnWriter::Int64ColumnWriter(writer) => {
                let times: Vec<i64> = items.iter().map(|(delivery, _)| delivery.created.0).collect();
                writer.write_batch(&times, None, None)?;
            }
            ColumnWriter::ByteArrayColumnWriter(writer) if column < required.len() => {
                let values: Vec<ByteArray> =
                    items.iter().map(|item| required[column].1(item).into_bytes().into()).collect();
                writer.write_batch(&values, None, None)?;
            }
            ColumnWriter::ByteArrayColumnWriter(writer) => {
                let own = column - required.len() - 1;
                let levels: Vec<i16> = rows.iter().map(|row| i16::from(row[own].is_some())).collect();
                let values: Vec<ByteArray> =
                    rows.iter().filter_map(|row| row[own].clone()).map(|cell| cell.into_bytes().into()).collect();
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

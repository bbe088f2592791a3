//! Rows of events.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{Date32Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder},
};
use arrow_schema::ArrowError;
use onefold_model::{NodeId, Timestamp, clock::DAY_MS, json};
use onefold_pipeline::feed::Event;
use serde_json::value::RawValue;

use crate::Table;

/// 2000-01-01 in days since 1970.
const DAY_MIN: i64 = 10_957;

/// Events as they come, to become rows.
pub struct EventRows<'a> {
    sources: &'a BTreeMap<u32, String>,
    day: Date32Builder,
    offset: Int64Builder,
    node: Int64Builder,
    time: TimestampMicrosecondBuilder,
    received: TimestampMicrosecondBuilder,
    sent: TimestampMicrosecondBuilder,
    texts: [StringBuilder; 12],
    promoted: Int32Builder,
}

/// Microseconds since 1970, as the tables have them.
pub fn micros(at: Timestamp) -> i64 {
    at.0.saturating_mul(1000)
}

/// A column of times.
pub fn times() -> TimestampMicrosecondBuilder {
    TimestampMicrosecondBuilder::new().with_timezone("UTC")
}

impl<'a> EventRows<'a> {
    /// None yet. `sources`: the names of the sources, by number.
    pub fn new(sources: &'a BTreeMap<u32, String>) -> Self {
        EventRows {
            sources,
            day: Date32Builder::new(),
            offset: Int64Builder::new(),
            node: Int64Builder::new(),
            time: times(),
            received: times(),
            sent: times(),
            texts: Default::default(),
            promoted: Int32Builder::new(),
        }
    }

    /// Adds an event, of the node that it belongs to.
    pub fn push(&mut self, node: NodeId, event: &Event<'_>) {
        let (record, fields) = (&event.record, &event.fields);
        self.day.append_value(day(record.timestamp, record.received_at) as i32);
        self.offset.append_value(event.offset as i64);
        self.node.append_value(node.0);
        self.time.append_value(micros(record.timestamp));
        self.received.append_value(micros(record.received_at));
        self.sent.append_option(record.sent_at.map(micros));
        let source = name_of(self.sources, record.source);
        let values: [Option<Cow<'_, str>>; 12] = [
            Some(source.into()),
            text(fields.message_id),
            Some(event.kind.name().into()),
            Some(event.name.as_ref().into()),
            text(fields.name),
            text(fields.channel),
            text(fields.user_id),
            text(fields.anonymous_id),
            text(fields.group_id),
            whole(fields.context),
            whole(fields.traits),
            whole(fields.properties),
        ];
        for (builder, value) in self.texts.iter_mut().zip(values) {
            builder.append_option(value);
        }
        self.promoted.append_value(0);
    }

    /// The rows so far.
    pub fn finish(mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.day.finish()),
            Arc::new(self.offset.finish()),
            Arc::new(self.node.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.received.finish()),
            Arc::new(self.sent.finish()),
        ];
        columns.extend(self.texts.iter_mut().map(|texts| Arc::new(texts.finish()) as ArrayRef));
        columns.push(Arc::new(self.promoted.finish()));
        RecordBatch::try_new(Table::Events.schema().clone(), columns)
    }
}

fn text(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    raw.and_then(json::scalar)
}

fn whole(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
    raw.map(|raw| raw.get().into())
}

/// The name of a source.
pub fn name_of(sources: &BTreeMap<u32, String>, number: u32) -> String {
    sources.get(&number).cloned().unwrap_or_else(|| format!("source {number}"))
}

/// The day under which an event stands: on which it happened or, where its clock is plainly wrong, on which it came.
fn day(at: Timestamp, received: Timestamp) -> i64 {
    let day = at.day();
    if at.0 <= received.0.saturating_add(DAY_MS) && day >= DAY_MIN { day } else { received.day() }
}

//! Live events, as server-sent events.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
};
use futures_util::stream::{self, Stream, StreamExt};
use onefold_log::Kind;
use onefold_model::{access::Access, event::EventRecord};
use onefold_role::Action;
use serde_json::value::RawValue;

use crate::{
    ApiError, App,
    caller::{Caller, Wanted},
    people::endpoint::Shows,
};

/// Events shown of one look at the log; a reader who is slower misses some, and is told how many.
const SHOWN_AT_ONCE: usize = 200;

/// Events as they enter, as server-sent events: `event: accepted` with the event, `event: missed` with a number.
#[utoipa::path(get, path = "/api/v1/stream", responses((status = 200, body = String, content_type = "text/event-stream")))]
pub async fn stream(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ApiError> {
    let partition = access.workspace.partition(app.log.partitions());
    let watch = app.log.watch(partition);
    let start = app.log.end(partition)?;
    let looks = stream::unfold((app, watch, start, access), move |(app, mut watch, next, access)| async move {
        loop {
            let end = *watch.borrow_and_update();
            if end > next {
                // Whoever looked on may have been signed out, or have another role by now.
                let renewed = {
                    let (app, access) = (app.clone(), access.clone());
                    let wanted =
                        Wanted { action: Action::EventsView, shows: Shows::Everybody, purpose: None, role: None };
                    tokio::task::spawn_blocking(move || app.renew(&access, &wanted)).await
                };
                let access = renewed.ok()?.ok()?;
                let events = look(&app, partition, &access, next, end).await;
                return Some((events, (app, watch, end, access)));
            }
            watch.changed().await.ok()?;
        }
    });
    let events = looks.flat_map(stream::iter).map(Ok);
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

async fn look(app: &Arc<App>, partition: u32, access: &Access, from: u64, to: u64) -> Vec<Event> {
    let (app, workspace, sight) = (app.clone(), access.workspace, access.sight.clone());
    let read = tokio::task::spawn_blocking(move || {
        let first = from.max(to.saturating_sub(SHOWN_AT_ONCE as u64));
        let mut events = vec![];
        if first > from {
            events.push(Event::default().event("missed").data((first - from).to_string()));
        }
        let definitions = app.store.reader().ok().and_then(|mut reader| app.definitions(&mut *reader, workspace).ok());
        let Some(definitions) = definitions else { return events };
        for record in
            app.log.read(partition, first, 1 << 20).unwrap_or_default().iter().flat_map(|block| block.records())
        {
            if record.kind != Kind::Event || record.erased || !(first..to).contains(&record.offset) {
                continue;
            }
            if let Ok(event) = EventRecord::decode(record.payload)
                && event.workspace == workspace
            {
                let event = definitions.preparations.render(record.offset, event);
                let event = RawValue::from_string(event).map(|event| sight.event(&event)).unwrap_or_default();
                events.push(Event::default().event("accepted").id(record.offset.to_string()).data(event.get()));
            }
        }
        events
    });
    read.await.unwrap_or_default()
}

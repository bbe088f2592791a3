//! Events that Onefold brings in itself: what a look-up was answered.

use futures_util::future::BoxFuture;
use onefold_activate::arrivals::{Arrivals, Refused};
use onefold_model::{
    WorkspaceId,
    event::{Fields, Kind},
};
use serde_json::value::RawValue;

use super::{
    Entry, Ingest,
    land::{self, Delivery, Events},
};

impl Arrivals for Ingest {
    fn is_open(&self, workspace: WorkspaceId, source: &str) -> bool {
        self.sources.named(workspace, source).is_some_and(|source| source.enabled)
    }

    fn land<'a>(
        &'a self,
        workspace: WorkspaceId,
        source: &'a str,
        event: String,
    ) -> BoxFuture<'a, Result<(), Refused>> {
        Box::pin(async move {
            let source = self.sources.named(workspace, source).filter(|source| source.enabled);
            let source = source.ok_or(Refused::NoSource)?;
            let event = RawValue::from_string(event).map_err(|_| Refused::Content("invalid_json"))?;
            let delivery = Delivery {
                source: &source,
                entry: Entry::Call(Kind::Identify),
                own: Fields::default(),
                events: Events::AsCame(&[&event]),
                key_of_events: None,
                gpc: false,
            };
            let landed = land::take(self, delivery).await.map_err(|_| Refused::Busy)?;
            landed.refused.first().map_or(Ok(()), |(_, refusal)| Err(Refused::Content(refusal.code())))
        })
    }
}

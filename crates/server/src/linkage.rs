//! Record linkage behind the pipeline: what the resolver finds goes into the log.

use std::{sync::Arc, time::Duration};

use onefold_log::{Batch, Kind};
use onefold_model::{WorkspaceId, command::CommandRecord};
use onefold_pipeline::Applied;
use tokio::sync::watch;

use crate::{ApiError, App};

/// The least time between two looks at what is new.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// After a failure it is tried again after this time.
const WAIT: Duration = Duration::from_secs(10);

/// Who gives the commands.
const CALLER: &str = "linkage";

impl App {
    /// Brings links of a partition's workspaces up to what is applied, until the pipeline stops.
    pub(crate) fn follow_with_links(self: &Arc<Self>, number: u32, mut applied: watch::Receiver<Applied>) {
        let app = Arc::downgrade(self);
        tokio::spawn(async move {
            loop {
                let Some(app) = app.upgrade() else { return };
                let mut wait = LOOK_EVERY;
                for (workspace, _) in app.workspaces() {
                    if workspace.partition(app.log.partitions()) != number {
                        continue;
                    }
                    if let Err(error) = app.link(workspace).await {
                        tracing::warn!(?error, "record linkage could not go on; it is tried again");
                        wait = WAIT;
                    }
                }
                drop(app);
                tokio::time::sleep(wait).await;
                if applied.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// Looks at what is applied now, and gives the commands that follow from it. They are not applied yet.
    ///
    /// Who asked may go away meanwhile: what was found is given nevertheless.
    pub(crate) async fn link(self: &Arc<Self>, workspace: WorkspaceId) -> Result<(), ApiError> {
        let app = self.clone();
        let linked = tokio::spawn(async move { app.link_in_turn(workspace).await });
        linked.await.map_err(|error| ApiError::internal(error.to_string()))?
    }

    async fn link_in_turn(self: &Arc<Self>, workspace: WorkspaceId) -> Result<(), ApiError> {
        let turn = self.linking.lock().entry(workspace).or_default().clone();
        let mut given = turn.lock().await;
        // What was given before is to be seen.
        self.wait(workspace, *given, false).await?;
        let access = self.operator(workspace);
        let theirs = access.clone();
        let commands = self
            .block(move |app| {
                let definitions = app.definitions(&mut *app.store.reader()?, workspace)?;
                Ok(app.resolver.step(&theirs, &definitions)?)
            })
            .await?;
        for command in commands {
            let record = CommandRecord { v: 1, workspace, at: self.clock.now(), caller: CALLER.to_owned(), command };
            let mut batch = Batch::new();
            let pushed = batch.push(Kind::Command, &record.encode()).map_err(|e| ApiError::internal(e.to_string()));
            let appended = match pushed {
                Ok(_) => self.append(&access, batch).await,
                Err(error) => Err(error),
            };
            match appended {
                Ok(offsets) => *given = offsets.end,
                Err(error) => {
                    self.resolver.forget(workspace);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

impl From<onefold_resolve::Error> for ApiError {
    fn from(error: onefold_resolve::Error) -> ApiError {
        use onefold_resolve::Error;
        match error {
            Error::State(error) => error.into(),
            Error::Model(error) => {
                let cure = "correct that place of the model, or leave the model out to have one guessed";
                ApiError::bad_request("bad_model", error.to_string(), cure)
            }
            Error::Records(onefold_link::ReadError::Empty) => {
                let cause = "there are no records to compare: nobody has a trait that tells people apart";
                ApiError::bad_request("no_records", cause, "send names, birth dates or addresses as traits first")
            }
            Error::Records(error) => ApiError::internal(error.to_string()),
            Error::NoModel(version) => ApiError::not_found(
                "model of record linkage",
                &version.to_string(),
                "`onefold linkage models` lists them",
            ),
            Error::Stopping => ApiError::unavailable(error.to_string()),
        }
    }
}

//! Giving commands: into the log, and back when they are applied.

use std::sync::Arc;

use onefold_log::{AppendError, Batch, Kind};
use onefold_model::{
    access::Access,
    command::{Command, CommandRecord},
};

use onefold_pipeline::definitions;
use serde_json::{Value as JsonValue, json};

use crate::{ApiError, App, audit};

impl App {
    /// Appends `command` and waits until it is applied; with `idle`, until the work it starts (a backfill, everybody's
    /// segments) is done too. Gives its offset.
    pub(crate) async fn command(
        self: &Arc<Self>,
        access: &Access,
        command: Command,
        idle: bool,
    ) -> Result<u64, ApiError> {
        let mut batch = Batch::new();
        let kind = command.kind();
        let (before, after) = self.change_of(access, &command).await?.unwrap_or_default();
        self.push(access, &mut batch, command)?;
        let offset = self.append(access, batch).await?.start;
        audit::note(json!({ "command": kind, "offset": offset, "before": before, "after": after }));
        self.wait(access.workspace, offset + 1, idle).await?;
        if self.ingest.doors.guards(access.workspace) {
            // How events are read may have changed, and with it who is recognised.
            self.open_doors(access.workspace).await?;
        }
        Ok(offset)
    }

    /// Appends commands that change no definition, and waits until they are applied.
    pub(crate) async fn commands(self: &Arc<Self>, access: &Access, commands: Vec<Command>) -> Result<(), ApiError> {
        let mut batch = Batch::new();
        for command in commands {
            self.push(access, &mut batch, command)?;
        }
        if batch.is_empty() {
            return Ok(());
        }
        let offsets = self.append(access, batch).await?;
        audit::note(json!({ "commands": offsets.end - offsets.start, "offset": offsets.start }));
        self.wait(access.workspace, offsets.end, false).await
    }

    /// What a definition is now and is to be; none where the command is about people.
    async fn change_of(
        self: &Arc<Self>,
        access: &Access,
        command: &Command,
    ) -> Result<Option<(JsonValue, JsonValue)>, ApiError> {
        let Some((kind, name)) = command.defines() else { return Ok(None) };
        let (workspace, name) = (access.workspace, name.to_owned());
        let before = self.read(move |_, reader| Ok(definitions::text(reader, workspace, kind, &name)?)).await?;
        let before = before.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        // A command is written as its name with what it says, a name alone where it removes.
        let written = serde_json::to_value(command).unwrap_or_default();
        let after = written.as_object().and_then(|named| named.values().next()).filter(|_| !command.removes());
        Ok(Some((before, after.cloned().unwrap_or_default())))
    }

    fn push(&self, access: &Access, batch: &mut Batch, command: Command) -> Result<(), ApiError> {
        let record = CommandRecord {
            v: 1,
            workspace: access.workspace,
            at: self.clock.now(),
            caller: access.caller.name().into_owned(),
            command,
        };
        let pushed = batch.push(Kind::Command, &record.encode());
        pushed.map(drop).map_err(|error| ApiError::bad_request("too_large", error.to_string(), "make it smaller"))
    }

    /// Appends a batch of the workspace.
    pub(crate) async fn append(&self, access: &Access, batch: Batch) -> Result<std::ops::Range<u64>, ApiError> {
        let partition = access.workspace.partition(self.log.partitions());
        self.log.append(partition, batch).await.map_err(|error| match error {
            AppendError::Busy { .. } | AppendError::Unavailable { .. } => ApiError::unavailable(error.to_string()),
            AppendError::NoPartition(_) => ApiError::internal(error.to_string()),
        })
    }
}

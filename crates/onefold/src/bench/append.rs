//! Records put into the log, a thousand at a time.

use onefold_log::{Batch, EventLog, Kind};
use onefold_model::{Timestamp, WorkspaceId, event::EventRecord};

use crate::Failure;

/// Records of one commit.
const RECORDS: usize = 1000;

/// Appends to the first partition. What fails first is said at the end.
pub struct Appender<'a> {
    log: &'a dyn EventLog,
    batch: Batch,
    failed: Option<Failure>,
}

impl<'a> Appender<'a> {
    pub fn new(log: &'a dyn EventLog) -> Appender<'a> {
        Appender { log, batch: Batch::with_capacity(1 << 20), failed: None }
    }

    /// Adds an event of the first workspace, received when it happened.
    pub fn add(&mut self, at: Timestamp, body: &str) {
        let record = EventRecord {
            workspace: WorkspaceId(1),
            source: 1,
            for_ever: false,
            gpc: false,
            received_at: at,
            timestamp: at,
            sent_at: None,
            json: body,
        };
        let pushed = self.batch.push_with(Kind::Event, |out| record.encode(out));
        self.note(pushed.map_err(|error| error.to_string()));
        if self.batch.len() >= RECORDS {
            self.flush();
        }
    }

    /// Adds a command.
    pub fn command(&mut self, record: &[u8]) {
        let pushed = self.batch.push(Kind::Command, record);
        self.note(pushed.map_err(|error| error.to_string()));
    }

    /// Appends what waits.
    pub fn flush(&mut self) {
        let batch = std::mem::replace(&mut self.batch, Batch::with_capacity(1 << 20));
        let appended = pollster::block_on(self.log.append(0, batch));
        self.note(appended.map(drop).map_err(|error| error.to_string()));
    }

    /// Appends what waits, and says whether all went well.
    pub fn end(mut self) -> Result<(), Failure> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }

    fn note(&mut self, done: Result<(), String>) {
        if let (Err(cause), None) = (done, &self.failed) {
            self.failed = Some(Failure::new(cause, ""));
        }
    }
}

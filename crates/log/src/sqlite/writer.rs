//! The writer: one thread, the only one that changes `log.db`.
//!
//! While it writes and waits for the disk, appends gather; it then takes them all and makes one block of each
//! partition's, so the busier the log is, the fewer commits an event costs. No append waits for a timer.
//!
//! When a commit fails, SQLite takes it back and the next one writes over it. Only a disk that fails the fsync itself
//! leaves open whether a power loss right then keeps the group: its callers were told no, will send it again, and
//! their message ids make the second the same event.

use std::{sync::Arc, thread};

use rusqlite::{Connection, params};
use tokio::sync::watch;

use super::{
    SqliteLogSettings,
    queue::{Append, Queue, Turn},
    store::{self, Tail, failed},
};
use crate::{Offset, Partition, ReadError, block};

pub struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    settings: SqliteLogSettings,
    tails: Vec<Tail>,
    ends: Arc<[watch::Sender<Offset>]>,
}

impl Writer {
    /// Starts the thread. `tails` and `ends` have an entry for each partition.
    pub fn spawn(
        connection: Connection,
        queue: Arc<Queue>,
        settings: SqliteLogSettings,
        tails: Vec<Tail>,
        ends: Arc<[watch::Sender<Offset>]>,
    ) -> Result<thread::JoinHandle<()>, ReadError> {
        let writer = Self { connection, queue, settings, tails, ends };
        thread::Builder::new().name("log-writer".into()).spawn(move || writer.run()).map_err(failed("open"))
    }

    fn run(mut self) {
        while let Some(Turn { task, group, bytes }) = self.queue.next() {
            if let Some(task) = task {
                task(&mut self.connection);
            }
            if !group.is_empty() {
                self.commit(group, bytes);
            }
        }
    }

    fn commit(&mut self, mut group: Vec<Append>, bytes: usize) {
        // Stable: within a partition they stay in the order in which they came.
        group.sort_by_key(|append| append.partition);
        let result = self.write(&group);
        // Before the answers: who is answered finds the room that its batch took free.
        self.queue.release(bytes);
        match result {
            Ok(tails) => {
                let mut ends: Vec<_> = self.tails.iter().map(|tail| tail.end).collect();
                for (partition, tail) in tails {
                    self.tails[partition as usize] = tail;
                    self.ends[partition as usize].send_replace(tail.end);
                }
                for append in group {
                    let end = &mut ends[append.partition as usize];
                    let first = *end;
                    *end += append.batch.len() as u64;
                    append.done(first..*end);
                }
            }
            Err(error) => {
                let cause = error.to_string();
                tracing::error!(operation = "append", batches = group.len(), cause, "log write failed");
                group.into_iter().for_each(|append| append.failed(&cause));
            }
        }
    }

    /// One transaction with a block of each partition, and where each partition ends after it.
    fn write(&mut self, group: &[Append]) -> rusqlite::Result<Vec<(Partition, Tail)>> {
        let transaction = self.connection.transaction()?;
        let mut tails = Vec::new();
        for appends in group.chunk_by(|a, b| a.partition == b.partition) {
            let partition = appends[0].partition;
            let mut tail = self.tails[partition as usize];
            let batches: Vec<_> = appends.iter().map(|append| &append.batch).collect();
            let body = block::encode(tail.end, &batches, self.settings.codec, self.settings.zstd_level);
            let records: usize = batches.iter().map(|batch| batch.len()).sum();
            let bytes: usize = batches.iter().map(|batch| batch.bytes().len()).sum();

            let segment = match tail.segment {
                Some(segment) if tail.segment_bytes < self.settings.segment_bytes => segment,
                _ => {
                    store::begin_segment(&transaction, partition, tail.end)?;
                    tail.segment_bytes = 0;
                    tail.end
                }
            };
            let insert = format!("INSERT INTO {} VALUES (?1, ?2, ?3, ?4)", store::table(partition, segment));
            transaction.prepare_cached(&insert)?.execute(params![
                store::sql(tail.end),
                records as i64,
                bytes as i64,
                body
            ])?;
            let segment_bytes = tail.segment_bytes + body.len() as u64;
            tails.push((partition, Tail { end: tail.end + records as u64, segment: Some(segment), segment_bytes }));
        }
        transaction.commit()?;
        Ok(tails)
    }
}

impl Drop for Writer {
    /// Also when the thread panics: nobody waits for an answer that will never come.
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

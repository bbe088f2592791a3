//! The log in memory: the simplest thing that keeps the contract, for tests and simulations, and the model that the
//! property tests compare the other implementations with.
//!
//! "Durable" here means until the process ends. Nothing ever waits, so an append is never refused as busy; whoever
//! appends without trimming is bounded by memory alone.

use std::{collections::VecDeque, future::ready, ops::Range};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{
    AppendError, Appending, Batch, Block, EventLog, Fault, Offset, Partition, ReadError, Verified, block::normalized,
};

/// A log that forgets everything when it is dropped.
#[derive(Debug)]
pub struct MemoryLog {
    partitions: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    /// Each as it was appended: one batch, one block.
    blocks: Mutex<VecDeque<Block>>,
    end: watch::Sender<Offset>,
}

impl MemoryLog {
    /// An empty log of `partitions` partitions.
    pub fn new(partitions: u32) -> Self {
        let part = |_| Part { blocks: Mutex::default(), end: watch::Sender::new(0) };
        Self { partitions: (0..partitions).map(part).collect() }
    }

    fn part(&self, partition: Partition) -> Result<&Part, ReadError> {
        self.partitions.get(partition as usize).ok_or(ReadError::NoPartition(partition))
    }
}

impl Part {
    fn end(&self) -> Offset {
        *self.end.borrow()
    }

    fn start(&self, blocks: &VecDeque<Block>) -> Offset {
        blocks.front().map_or(self.end(), |block| block.first)
    }
}

impl EventLog for MemoryLog {
    fn partitions(&self) -> u32 {
        self.partitions.len() as u32
    }

    fn append(&self, partition: Partition, batch: Batch) -> Appending<'_> {
        let Some(part) = self.partitions.get(partition as usize) else {
            return Box::pin(ready(Err(AppendError::NoPartition(partition))));
        };
        let mut blocks = part.blocks.lock();
        let first = part.end();
        let end = first + batch.len() as u64;
        if !batch.is_empty() {
            blocks.push_back(Block::from_batch(first, batch));
            part.end.send_replace(end);
        }
        Box::pin(ready(Ok(first..end)))
    }

    fn read(&self, partition: Partition, from: Offset, bytes_max: usize) -> Result<Vec<Block>, ReadError> {
        let part = self.part(partition)?;
        let blocks = part.blocks.lock();
        let start = part.start(&blocks);
        if from < start {
            return Err(ReadError::Trimmed { offset: from, start });
        }
        let mut bytes = 0;
        let within = |block: &&Block| {
            let first = bytes == 0;
            bytes += block.body_bytes();
            first || bytes <= bytes_max
        };
        let at = blocks.partition_point(|block| block.end() <= from);
        Ok(blocks.range(at..).take_while(within).cloned().collect())
    }

    fn start(&self, partition: Partition) -> Result<Offset, ReadError> {
        let part = self.part(partition)?;
        Ok(part.start(&part.blocks.lock()))
    }

    fn end(&self, partition: Partition) -> Result<Offset, ReadError> {
        Ok(self.part(partition)?.end())
    }

    fn watch(&self, partition: Partition) -> watch::Receiver<Offset> {
        self.partitions.get(partition as usize).map_or_else(|| watch::channel(0).1, |part| part.end.subscribe())
    }

    fn trim(&self, partition: Partition, before: Offset) -> Result<(), ReadError> {
        let mut blocks = self.part(partition)?.blocks.lock();
        let keep = blocks.partition_point(|block| block.end() <= before);
        blocks.drain(..keep);
        Ok(())
    }

    fn erase(&self, partition: Partition, ranges: &[Range<Offset>]) -> Result<u64, ReadError> {
        let ranges = normalized(ranges);
        let mut count = 0;
        for block in self.part(partition)?.blocks.lock().iter_mut() {
            if let Some((erased, records)) = block.erase(&ranges) {
                *block = erased;
                count += records;
            }
        }
        Ok(count)
    }

    fn verify(&self, partition: Partition, _on_fault: &mut dyn FnMut(Fault)) -> Result<Verified, ReadError> {
        let blocks = self.part(partition)?.blocks.lock();
        Ok(Verified {
            blocks: blocks.len() as u64,
            records: blocks.iter().map(|block| block.len() as u64).sum(),
            bytes: blocks.iter().map(|block| block.body_bytes() as u64).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn keeps_the_contract() {
        crate::conformance::check(|| Box::new(super::MemoryLog::new(4)));
    }
}

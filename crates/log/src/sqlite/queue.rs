//! What waits for the writer: appends, bounded by their bytes, and tasks of other kinds.
//!
//! A queue of its own instead of a channel, because the writer takes everything that waits at once, and because the
//! bound counts bytes and also those that are being written.

use std::{collections::VecDeque, mem, ops::Range, time::Duration};

use parking_lot::{Condvar, Mutex};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{AppendError, Batch, Offset, Partition};

/// What the writer does with its connection between two commits.
pub type Task = Box<dyn FnOnce(&mut Connection) + Send>;

type Reply = Result<Range<Offset>, AppendError>;

/// A batch on its way. It is answered in every case: when it is dropped unanswered, the batch is handed back.
#[derive(Debug)]
pub struct Append {
    pub partition: Partition,
    pub batch: Batch,
    reply: Option<oneshot::Sender<Reply>>,
}

impl Append {
    /// The batch is durable. A caller who has gone does not care.
    pub fn done(mut self, offsets: Range<Offset>) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(Ok(offsets));
        }
    }

    /// The batch was not written.
    pub fn failed(mut self, cause: &str) {
        self.hand_back(cause);
    }

    fn hand_back(&mut self, cause: &str) {
        if let Some(reply) = self.reply.take() {
            let batch = mem::take(&mut self.batch);
            let _ = reply.send(Err(AppendError::Unavailable { batch, cause: cause.to_owned() }));
        }
    }
}

impl Drop for Append {
    fn drop(&mut self) {
        self.hand_back("the log is shut down");
    }
}

/// What the writer does next.
pub struct Turn {
    pub task: Option<Task>,
    /// Appends in the order in which they came, at most one group's.
    pub group: Vec<Append>,
    /// Bytes of their batches.
    pub bytes: usize,
}

/// The bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub waiting_bytes_max: usize,
    pub group_bytes_max: usize,
    pub group_wait: Option<Duration>,
}

pub struct Queue {
    bounds: Bounds,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    appends: VecDeque<Append>,
    tasks: VecDeque<Task>,
    /// Of the appends in the queue.
    queued_bytes: usize,
    /// Of those, and of the appends that are being written.
    waiting_bytes: usize,
    is_closed: bool,
}

impl Queue {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes a batch, or says why not. One batch is taken even when it alone is above the bound.
    pub fn append(&self, partition: Partition, batch: Batch) -> oneshot::Receiver<Reply> {
        let (reply, answer) = oneshot::channel();
        let append = Append { partition, batch, reply: Some(reply) };
        let mut state = self.state.lock();
        if state.is_closed {
            // Dropping hands the batch back.
            return answer;
        }
        let (bytes, waiting_bytes) = (append.batch.bytes().len(), state.waiting_bytes);
        if waiting_bytes > 0 && waiting_bytes + bytes > self.bounds.waiting_bytes_max {
            drop(state);
            append.refuse(waiting_bytes);
            return answer;
        }
        state.waiting_bytes += bytes;
        state.queued_bytes += bytes;
        state.appends.push_back(append);
        self.changed.notify_one();
        answer
    }

    /// Takes a task, or drops it when the queue is closed.
    pub fn task(&self, task: Task) {
        let mut state = self.state.lock();
        if !state.is_closed {
            state.tasks.push_back(task);
            self.changed.notify_one();
        }
    }

    /// Waits for something to do. `None` when the queue is closed and everything that was in it has been taken.
    pub fn next(&self) -> Option<Turn> {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.is_idle() && !state.is_closed);
        if let Some(wait) = self.bounds.group_wait {
            let more = |state: &mut State| {
                state.tasks.is_empty() && state.queued_bytes < self.bounds.group_bytes_max && !state.is_closed
            };
            self.changed.wait_while_for(&mut state, more, wait);
        }
        if state.is_idle() {
            return None;
        }
        let task = state.tasks.pop_front();
        let (mut group, mut bytes) = (Vec::new(), 0);
        while let Some(append) = state.appends.front() {
            let more = bytes + append.batch.bytes().len();
            if !group.is_empty() && more > self.bounds.group_bytes_max {
                break;
            }
            bytes = more;
            group.extend(state.appends.pop_front());
        }
        state.queued_bytes -= bytes;
        Some(Turn { task, group, bytes })
    }

    /// Says that `bytes` of what was taken no longer wait.
    pub fn release(&self, bytes: usize) {
        self.state.lock().waiting_bytes -= bytes;
    }

    /// Takes no more. The writer goes on until the queue is empty.
    pub fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Takes no more, and hands back what is there.
    pub fn abandon(&self) {
        let left = {
            let mut state = self.state.lock();
            state.is_closed = true;
            mem::replace(&mut *state, State { is_closed: true, ..State::default() })
        };
        drop(left);
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.appends.is_empty() && self.tasks.is_empty()
    }
}

impl Append {
    fn refuse(mut self, waiting_bytes: usize) {
        if let Some(reply) = self.reply.take() {
            let batch = mem::take(&mut self.batch);
            let _ = reply.send(Err(AppendError::Busy { batch, waiting_bytes }));
        }
    }
}

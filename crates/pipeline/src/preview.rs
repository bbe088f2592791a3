//! Counting a condition that nobody has made a segment: exactly, from what is kept where that is enough, else from the
//! log.
//!
//! The condition is compiled with metrics of its own; the log is folded into them, node by node, and everybody is decided
//! once. It costs a pass over the log and memory for the points it asks for.

use onefold_log::EventLog;
use onefold_model::{
    NodeId, ProfileId, Timestamp,
    access::Access,
    profile::Partial,
    segment::{CompileError, Condition, Matcher, Metric, MetricId, Program},
};
use onefold_state::{Reader, Scan, Value, schema};
use rustc_hash::FxHashMap;

use crate::{
    Error,
    definitions::Workspace,
    feed,
    profile::{Node, PERSON, Profile},
    views,
};

/// What a condition gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// How many are in.
    pub count: u64,
    /// As of when.
    pub as_of: Timestamp,
    /// The first of them.
    pub sample: Vec<ProfileId>,
}

const SAMPLE: usize = 20;
const PAGE: usize = 2000;

/// Counts who is in `condition` now. The inner error: the condition does not fit the workspace.
pub fn preview(
    store: &mut dyn Reader,
    log: &dyn EventLog,
    access: &Access,
    definitions: &Workspace,
    condition: &Condition,
) -> Result<Result<Preview, CompileError>, Error> {
    let (program, metrics) = match Program::alone(condition, definitions) {
        Ok(alone) => alone,
        Err(error) => return Ok(Err(error)),
    };
    let partition = access.workspace.partition(log.partitions());
    let (end, as_of) = views::as_of(store, partition)?;
    let folded = fold(store, log, access, definitions, metrics, end)?;
    let mut found = Preview { count: 0, as_of, sample: vec![] };
    let prefix = vec![Value::Int(access.workspace.0.into()), PERSON];
    let mut after = None;
    loop {
        let rows = store.scan(&Scan { after, ..Scan::prefix(&schema::PROFILE, prefix.clone(), PAGE) })?;
        for row in &rows {
            let profile = Profile::from_row(row)?;
            let keys: Vec<_> = profile.nodes.iter().map(|n| Node::key(access.workspace, *n)).collect();
            let mut nodes = vec![];
            for row in store.get(&schema::NODE, &keys)?.into_iter().flatten() {
                let mut node = Node::from_row(&row, store)?;
                node.partial.series = folded.get(&node.id).map(|partial| partial.series.clone()).unwrap_or_default();
                nodes.push(node);
            }
            let facts = views::joined(definitions, &nodes, as_of);
            if program.evaluate(&facts, as_of).holds {
                found.count += 1;
                if found.sample.len() < SAMPLE {
                    found.sample.push(profile.id);
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => after = Some(last[..3].to_vec()),
            _ => return Ok(Ok(found)),
        }
    }
}

fn fold(
    store: &mut dyn Reader,
    log: &dyn EventLog,
    access: &Access,
    definitions: &Workspace,
    metrics: Vec<Metric>,
    end: u64,
) -> Result<FxHashMap<NodeId, Partial>, Error> {
    let mut folded: FxHashMap<NodeId, Partial> = FxHashMap::default();
    if metrics.is_empty() {
        return Ok(folded);
    }
    let numbered: Vec<(MetricId, Metric)> = (0..).map(MetricId).zip(metrics).collect();
    let matcher = Matcher::new(&numbered);
    feed::accepted(store, log, access, definitions, 0..end, usize::MAX, &mut |node, event| {
        matcher.matches(event, &mut |metric, point| {
            folded.entry(node).or_default().series_mut(metric).insert(point);
        });
    })?;
    Ok(folded)
}

//! What is folded at one identity node, and its stored form.
//!
//! Version 1: a version byte; then, by postcard, traits, consents, links and recent offsets; then each series with its
//! metric's number, in the series' own form.

use serde::{Deserialize, Serialize};

use super::{Series, Traits};
use crate::{NodeId, consent, segment::MetricId};

const VERSION: u8 = 1;

/// How many offsets of the newest events a node keeps before a page of the oldest is set aside.
pub const RECENT_MAX: usize = 512;

/// How many consent rows a node keeps: one per purpose, channel and strength.
pub const CONSENTS_MAX: usize = 1000;

/// What is folded at one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partial {
    /// Traits said in events of this node.
    pub traits: Traits,
    /// Points of the metrics that definitions ask for, by metric.
    pub series: Vec<(MetricId, Series)>,
    /// The newest consent row of each purpose, channel and strength.
    pub consents: Vec<consent::Row>,
    /// Nodes that a statement has named together with this one, accepted or not: a pair is recorded once.
    pub links: Vec<NodeId>,
    /// Log offsets of the newest events, ascending.
    pub recent: Vec<u64>,
}

/// A stored partial that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer version.
    #[error("a node's body of version {0} was written by a newer Onefold; upgrade this one")]
    Version(u8),
    /// Damaged.
    #[error("a node's body is damaged: {0}; `onefold rebuild` makes it anew from the log")]
    Damaged(String),
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    traits: std::borrow::Cow<'a, Traits>,
    consents: std::borrow::Cow<'a, [consent::Row]>,
    links: std::borrow::Cow<'a, [NodeId]>,
    recent: std::borrow::Cow<'a, [u64]>,
    series: u32,
}

impl Partial {
    /// The series of `metric`, made where there is none.
    pub fn series_mut(&mut self, metric: MetricId) -> &mut Series {
        let place = match self.series.binary_search_by_key(&metric, |(id, _)| *id) {
            Ok(place) => place,
            Err(place) => {
                self.series.insert(place, (metric, Series::default()));
                place
            }
        };
        &mut self.series[place].1
    }

    /// The series of `metric`.
    pub fn series(&self, metric: MetricId) -> Option<&Series> {
        self.series.binary_search_by_key(&metric, |(id, _)| *id).ok().map(|place| &self.series[place].1)
    }

    /// Takes a consent row. Says whether the fold changed.
    pub fn consent(&mut self, row: consent::Row) -> bool {
        let key = |r: &consent::Row| (r.strength, r.purpose.clone(), r.channel.clone());
        match self.consents.binary_search_by_key(&key(&row), key) {
            Ok(place) => {
                let old = &mut self.consents[place];
                let newer = (row.at, row.state) > (old.at, old.state);
                if newer {
                    *old = row;
                }
                newer
            }
            Err(place) => {
                let room = self.consents.len() < CONSENTS_MAX;
                if room {
                    self.consents.insert(place, row);
                }
                room
            }
        }
    }

    /// Notes that a statement named `node` together with this one. Says whether that is new.
    pub fn link(&mut self, node: NodeId) -> bool {
        match self.links.binary_search(&node) {
            Ok(_) => false,
            Err(place) => {
                self.links.insert(place, node);
                true
            }
        }
    }

    /// Notes an event's offset; gives a page of the oldest where there are too many.
    pub fn remember(&mut self, offset: u64) -> Option<Vec<u64>> {
        self.recent.push(offset);
        (self.recent.len() >= RECENT_MAX).then(|| self.recent.drain(..RECENT_MAX / 2).collect())
    }

    /// Appends the stored form to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        let head = Head {
            traits: std::borrow::Cow::Borrowed(&self.traits),
            consents: std::borrow::Cow::Borrowed(&self.consents),
            links: std::borrow::Cow::Borrowed(&self.links),
            recent: std::borrow::Cow::Borrowed(&self.recent),
            series: self.series.len() as u32,
        };
        let body = postcard::to_extend(&head, std::mem::take(out));
        *out = body.expect("a vector takes all that is written to it");
        for (metric, series) in &self.series {
            out.extend_from_slice(&metric.0.to_le_bytes());
            series.encode_head(out);
        }
    }

    /// Reads the stored form. `chunks` gives the chunk rows of a long series; it is asked only for those.
    pub fn decode(
        bytes: &[u8],
        chunks: &mut dyn FnMut(MetricId) -> Vec<(u32, Vec<u8>)>,
    ) -> Result<Partial, DecodeError> {
        let damaged = |what: &str| DecodeError::Damaged(what.to_owned());
        let (version, rest) = bytes.split_first().ok_or_else(|| damaged("empty"))?;
        if *version != VERSION {
            return Err(DecodeError::Version(*version));
        }
        let (head, mut rest): (Head<'_>, _) =
            postcard::take_from_bytes(rest).map_err(|error| DecodeError::Damaged(error.to_string()))?;
        let mut series = Vec::with_capacity((head.series as usize).min(rest.len() / 4));
        for _ in 0..head.series {
            let (metric, tail) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("a series is cut off"))?;
            rest = tail;
            let metric = MetricId(u32::from_le_bytes(*metric));
            let rows = std::iter::once_with(|| chunks(metric)).flatten();
            let one = Series::from_chunks(&mut rest, rows).map_err(|error| DecodeError::Damaged(error.to_string()))?;
            series.push((metric, one));
        }
        Ok(Partial {
            traits: head.traits.into_owned(),
            series,
            consents: head.consents.into_owned(),
            links: head.links.into_owned(),
            recent: head.recent.into_owned(),
        })
    }

    /// About how many bytes it takes in memory.
    pub fn size_bytes(&self) -> usize {
        let traits: usize = self.traits.iter().map(|(name, seen)| name.len() + 120 * seen.len()).sum();
        let series: usize = self.series.iter().map(|(_, series)| series.size_bytes()).sum();
        200 + traits + series + 96 * self.consents.len() + 8 * (self.links.len() + self.recent.len())
    }
}

//! What is folded at one identity node, and its stored form.
//!
//! Version 2: a version byte; then, by postcard, traits, consents, links and recent offsets; then each series with its
//! metric's number, in the series' own form. Version 1 had shorter rows of consent.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Series, Traits};
use crate::{
    NodeId, Timestamp,
    consent::{EVERYTHING, Row, State, Strength},
    identity::Origin,
    segment::MetricId,
};

const VERSION: u8 = 2;

/// How many offsets of the newest events a node keeps before a page of the oldest is set aside.
pub const RECENT_MAX: usize = 512;

/// How many consent rows a node keeps: one per purpose, channel, jurisdiction and strength. Past it signals go, those with the greatest
/// names first, whatever came first; and as nobody knows any more what they said, they count as unreadable: denied.
pub const CONSENTS_MAX: usize = 1000;

/// In how many statements a node may be named. One that is named in more is no person's: a shared address, a constant.
pub const NAMED_MAX: u32 = 4096;

/// What is folded at one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partial {
    /// Traits said in events of this node.
    pub traits: Traits,
    /// Points of the metrics that definitions ask for, by metric.
    pub series: Vec<(MetricId, Series)>,
    /// The newest consent row of each purpose, channel, jurisdiction and strength.
    pub consents: Vec<Row>,
    /// After which nodes a statement has named this one, accepted or not, ascending.
    pub links: Vec<Link>,
    /// How many statements name this node.
    pub named: u32,
    /// Log offsets of the newest events, ascending.
    pub recent: Vec<u64>,
}

/// That a statement has named a node after these others: so the same, or the first nodes of the same, is recorded once
/// under the same rules, or again by a stronger origin.
///
/// A statement loses its last nodes first. So an earlier one speaks for those of its own first nodes, and for no other
/// choice of them: what stood in its way need not stand in theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The others, in the statement's order.
    pub after: SmallVec<[NodeId; 2]>,
    /// How strong the statement was.
    pub origin: Origin,
    /// The log offset of the identity rules it was said under.
    pub rules: u64,
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

/// The head of version 1.
#[derive(Deserialize)]
struct Head1 {
    traits: Traits,
    consents: Vec<Row1>,
    links: Vec<Link>,
    named: u32,
    recent: Vec<u64>,
    series: u32,
}

/// A row of consent as version 1 wrote it: whether it was denied, whether an operator said it.
#[derive(Deserialize)]
struct Row1 {
    at: Timestamp,
    state: Bit,
    strength: Bit,
    purpose: String,
    channel: Option<String>,
    offset: u64,
}

/// The number of an enum's variant.
#[derive(Deserialize)]
enum Bit {
    No,
    Yes,
}

impl From<Row1> for Row {
    fn from(row: Row1) -> Row {
        let state = if matches!(row.state, Bit::No) { State::Granted } else { State::Denied };
        let strength = if matches!(row.strength, Bit::No) { Strength::Signal } else { Strength::Operator };
        Row { channel: row.channel, ..Row::new(row.at, state, strength, row.purpose, row.offset) }
    }
}

impl From<Head1> for Head<'static> {
    fn from(head: Head1) -> Head<'static> {
        let mut consents: Vec<Row> = head.consents.into_iter().map(Row::from).collect();
        consents.sort_by(|a, b| a.key().cmp(&b.key()));
        Head {
            traits: std::borrow::Cow::Owned(head.traits),
            consents: consents.into(),
            links: head.links.into(),
            named: head.named,
            recent: head.recent.into(),
            series: head.series,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    traits: std::borrow::Cow<'a, Traits>,
    consents: std::borrow::Cow<'a, [Row]>,
    links: std::borrow::Cow<'a, [Link]>,
    named: u32,
    recent: std::borrow::Cow<'a, [u64]>,
    series: u32,
}

impl Partial {
    /// The series of `metric`, made where there is none.
    pub fn series_mut(&mut self, metric: MetricId) -> &mut Series {
        let place = match self.series.binary_search_by_key(&metric, |(id, _)| *id) {
            Ok(place) => place,
            Err(place) => {
                // Metrics come rarely, and nodes are many: no room is kept for more.
                self.series.reserve_exact(1);
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

    /// Drops the series of metrics that nobody keeps any more; gives their numbers.
    pub fn retain_series(&mut self, mut keep: impl FnMut(MetricId) -> bool) -> Vec<MetricId> {
        let mut dropped = vec![];
        self.series.retain(|(metric, _)| {
            let stays = keep(*metric);
            if !stays {
                dropped.push(*metric);
            }
            stays
        });
        dropped
    }

    /// Takes a consent row. Says whether the fold changed.
    pub fn consent(&mut self, row: Row) -> bool {
        let offset = row.offset;
        let changed = self.fold_consent(row);
        while self.consents.len() > CONSENTS_MAX {
            let signals = self.consents.iter().rposition(|r| r.strength == Strength::Signal && r.purpose != EVERYTHING);
            self.consents.remove(signals.unwrap_or(self.consents.len() - 1));
            self.fold_consent(Row::new(Timestamp::MIN, State::Denied, Strength::Signal, EVERYTHING, offset));
        }
        changed
    }

    fn fold_consent(&mut self, row: Row) -> bool {
        match self.consents.binary_search_by(|other| other.key().cmp(&row.key())) {
            Ok(place) => {
                let old = &mut self.consents[place];
                let newer = row.supersedes(old);
                if newer {
                    *old = row;
                }
                newer
            }
            Err(place) => {
                self.consents.insert(place, row);
                true
            }
        }
    }

    /// Notes that a statement named this node after others. Under the same rules a stronger one speaks for a weaker.
    pub fn link(&mut self, link: Link) {
        match self.links.binary_search_by(|other| other.after.cmp(&link.after)) {
            Ok(place) => {
                let known = &mut self.links[place];
                if known.rules != link.rules || known.origin.strength() < link.origin.strength() {
                    *known = link;
                }
            }
            Err(place) => {
                if self.links.is_empty() {
                    self.links.reserve_exact(1); // Most nodes have one.
                }
                self.links.insert(place, link);
            }
        }
    }

    /// Whether a statement as strong as `origin` named this node after those, under the rules of that offset.
    pub fn is_linked(&self, after: &[NodeId], origin: Origin, rules: u64) -> bool {
        self.links.binary_search_by(|link| link.after.as_slice().cmp(after)).is_ok_and(|place| {
            let link = &self.links[place];
            link.rules == rules && link.origin.strength() >= origin.strength()
        })
    }

    /// Forgets that a link named this node after `node`; what others said stays.
    pub fn unlink_guess(&mut self, node: NodeId) {
        self.links.retain(|link| link.origin != Origin::Link || !link.after.contains(&node));
    }

    /// Forgets what was said after `node`. Says whether there was anything.
    pub fn unlink(&mut self, node: NodeId) -> bool {
        let before = self.links.len();
        self.links.retain(|link| !link.after.contains(&node));
        self.links.len() < before
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
            named: self.named,
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
        let broken = |error: postcard::Error| DecodeError::Damaged(error.to_string());
        let (head, mut rest): (Head<'_>, _) = match *version {
            VERSION => postcard::take_from_bytes(rest).map_err(broken)?,
            1 => postcard::take_from_bytes::<Head1>(rest).map(|(head, rest)| (head.into(), rest)).map_err(broken)?,
            newer => return Err(DecodeError::Version(newer)),
        };
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
            named: head.named,
            recent: head.recent.into_owned(),
        })
    }

    /// About how many bytes it takes in memory beside this.
    pub fn heap_bytes(&self) -> usize {
        fn held<T>(items: &Vec<T>) -> usize {
            items.capacity() * size_of::<T>()
        }
        let series: usize = self.series.iter().map(|(_, series)| series.heap_bytes()).sum();
        let consents: usize = self.consents.iter().map(|row| row.purpose.len()).sum();
        let lists = held(&self.series) + held(&self.consents) + held(&self.links) + held(&self.recent);
        self.traits.heap_bytes() + series + consents + lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consent::{Policy, Question, Unstated, decide},
        rng::SeededRng,
    };
    use smallvec::smallvec;

    fn signal(purpose: usize, at: i64) -> Row {
        let state = if purpose.is_multiple_of(2) { State::Granted } else { State::Denied };
        Row::new(Timestamp(at), state, Strength::Signal, format!("p{purpose}"), 0)
    }

    #[test]
    fn too_many_purposes_are_bounded_alike_in_any_order_and_deny() {
        let mut rows: Vec<Row> = (0..3000).map(|n| signal(n, 5)).collect();
        let fold = |rows: &[Row]| {
            let mut partial = Partial::default();
            for row in rows {
                partial.consent(row.clone());
            }
            partial.consents
        };
        let forward = fold(&rows);
        assert_eq!(forward.len(), CONSENTS_MAX);
        let policy = Policy::of_silence(Unstated::Allow);
        let allowed = |purpose: &str| {
            let asked = Question { purpose, channel: None, jurisdiction: None, at: Timestamp(9) };
            decide(&policy, [&forward], asked).allowed
        };
        assert!(allowed("p0") && !allowed("p1"), "what is kept is exact");
        assert!(!allowed("p998"), "what was dropped is denied, though it was granted");
        let rng = SeededRng::new(3);
        for i in (1..rows.len()).rev() {
            rows.swap(i, rng.below(i as u64 + 1) as usize);
        }
        assert_eq!(fold(&rows), forward);
    }

    /// The bytes as version 1 wrote them: this fixture stays when the format moves on.
    #[test]
    fn version_1_is_read_for_ever() {
        #[derive(Serialize)]
        struct Row1(Timestamp, u32, u32, &'static str, Option<&'static str>, u64);
        let consents = [Row1(Timestamp(5), 1, 0, "ads", None, 7), Row1(Timestamp(6), 0, 1, "ads", Some("email"), 8)];
        let head = (Traits::default(), &consents[..], &[] as &[Link], 3u32, &[9u64][..], 0u32);
        let bytes = postcard::to_extend(&head, vec![1u8]).unwrap();
        let partial = Partial::decode(&bytes, &mut |_| vec![]).unwrap();
        let granted = Row::new(Timestamp(6), State::Granted, Strength::Operator, "ads", 8);
        let expect = [
            Row::new(Timestamp(5), State::Denied, Strength::Signal, "ads", 7),
            Row { channel: Some("email".to_owned()), ..granted },
        ];
        assert_eq!((partial.consents.as_slice(), partial.named, partial.recent.as_slice()), (&expect[..], 3, &[9][..]));
        assert!(matches!(Partial::decode(&[3], &mut |_| vec![]), Err(DecodeError::Version(3))));
    }

    #[test]
    fn a_link_speaks_for_the_same_nodes_under_the_same_rules_and_for_none_stronger() {
        let mut partial = Partial::default();
        let [one, two] = [NodeId(7), NodeId(8)];
        let link = |origin: Origin, rules: u64| Link { after: smallvec![one, two], origin, rules };
        partial.link(link(Origin::Event, 0));
        assert!(partial.is_linked(&[one, two], Origin::Event, 0));
        assert!(!partial.is_linked(&[two], Origin::Event, 0));
        assert!(!partial.is_linked(&[one, two], Origin::Alias, 0));
        partial.link(link(Origin::Alias, 0));
        assert!(partial.is_linked(&[one, two], Origin::Event, 0));
        assert!(!partial.is_linked(&[one, two], Origin::Event, 9));
        assert_eq!(partial.links.len(), 1);
        assert!(partial.unlink(two) && !partial.unlink(two));
    }
}

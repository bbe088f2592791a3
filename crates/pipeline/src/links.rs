//! Links at work: guesses of record linkage as evidence, and what stewards decide about them.
//!
//! A link that joins makes a statement, which is withdrawn when the model no longer finds it. A decision makes a statement
//! of its own, or keeps the link's from being made. So a rebuild carries the same out from the same commands, and needs no
//! model.

use std::collections::BTreeMap;

use onefold_model::{
    NodeId, Timestamp, WorkspaceId,
    access::Access,
    command::IdentifierRef,
    identity::{Decision, Origin, Statement, StatementRef, links::Found},
    profile::partial::NAMED_MAX,
};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use crate::{
    Error,
    partition::Partition,
    profile::{Node, PERSON},
};

const VERSION: u8 = 1;

/// What a model finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// They are one person.
    Joined,
    /// Somebody should look.
    Doubt,
    /// Nothing, or no model is asked.
    Gone,
}

impl Finding {
    /// As it stands in tables and URLs.
    pub fn name(self) -> &'static str {
        match self {
            Finding::Joined => "joined",
            Finding::Doubt => "doubt",
            Finding::Gone => "gone",
        }
    }
}

/// A decision as it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What.
    pub decision: Decision,
    /// Who decided it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The statement that it made.
    place: Option<StatementRef>,
}

/// What is known of two nodes, the lesser first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// One.
    pub a: NodeId,
    /// The other.
    pub b: NodeId,
    /// Number of the model that found it; 0: none has.
    pub model: u32,
    /// Log, base 2, of the odds that they are one person, in thousandths of a bit.
    pub millibits: i64,
    /// When it was found, or decided.
    pub at: Timestamp,
    /// What the model finds.
    pub finding: Finding,
    /// The parts of the weight.
    pub parts: Vec<(String, i64)>,
    /// What somebody decided.
    pub decided: Option<Decided>,
    /// The statement that the finding made.
    place: Option<StatementRef>,
}

#[derive(Serialize, Deserialize)]
struct Body {
    finding: Finding,
    parts: Vec<(String, i64)>,
    decided: Option<Decided>,
    place: Option<StatementRef>,
}

impl Link {
    /// Two nodes of which nothing was said yet.
    pub fn of(a: NodeId, b: NodeId, at: Timestamp) -> Link {
        let (finding, parts) = (Finding::Gone, vec![]);
        Link { a, b, model: 0, millibits: 0, at, finding, parts, decided: None, place: None }
    }

    /// What a steward sees: the decision, or else the finding.
    pub fn state(&self) -> &'static str {
        self.decided.as_ref().map_or(self.finding.name(), |decided| decided.decision.name())
    }

    /// The statements that the finding and the decision made.
    pub fn statements(&self) -> [Option<StatementRef>; 2] {
        [self.place, self.decided.as_ref().and_then(|decided| decided.place)]
    }

    /// Whether somebody said that these two are not to be joined by a link.
    pub fn is_refused(&self) -> bool {
        self.decided.as_ref().is_some_and(|decided| decided.decision != Decision::Accept)
    }

    fn to_row(&self, workspace: WorkspaceId) -> Row {
        let body =
            Body { finding: self.finding, parts: self.parts.clone(), decided: self.decided.clone(), place: self.place };
        let body = postcard::to_extend(&body, vec![VERSION]).expect("a vector takes all that is written to it");
        let mut row = key(workspace, (self.a, self.b));
        row.extend([Value::Int(self.model.into()), Value::Int(self.millibits), Value::Text(self.state().to_owned())]);
        row.extend([Value::Int(self.at.0), Value::Bytes(body)]);
        row
    }

    fn from_row(row: &Row) -> Result<Link, Error> {
        let body: Body = match row[8].as_bytes()?.split_first() {
            Some((&VERSION, rest)) => postcard::from_bytes(rest).map_err(|e| Error::unreadable("a link", e))?,
            _ => return Err(Error::unreadable("a link", "a newer Onefold wrote it; upgrade this one")),
        };
        Ok(Link {
            a: NodeId(row[2].as_int()?),
            b: NodeId(row[3].as_int()?),
            model: row[4].as_int()? as u32,
            millibits: row[5].as_int()?,
            at: Timestamp(row[7].as_int()?),
            finding: body.finding,
            parts: body.parts,
            decided: body.decided,
            place: body.place,
        })
    }
}

fn key(workspace: WorkspaceId, (a, b): (NodeId, NodeId)) -> Row {
    vec![Value::Int(workspace.0.into()), PERSON, Value::Int(a.0), Value::Int(b.0)]
}

/// All links of the workspace, a page at a time: those after `after`, in order.
pub fn page(
    store: &mut dyn Reader,
    access: &Access,
    after: Option<(NodeId, NodeId)>,
    limit: usize,
) -> Result<Vec<Link>, Error> {
    let prefix = vec![Value::Int(access.workspace.0.into()), PERSON];
    let after = after.map(|pair| key(access.workspace, pair));
    store.scan(&Scan { after, ..Scan::prefix(&schema::LINK, prefix, limit) })?.iter().map(Link::from_row).collect()
}

/// The links of a node.
pub fn of_node(store: &mut dyn Reader, access: &Access, node: NodeId) -> Result<Vec<Link>, Error> {
    rows_of(store, access.workspace, node)?.iter().map(Link::from_row).collect()
}

/// The link of two nodes.
pub fn between(store: &mut dyn Reader, access: &Access, a: NodeId, b: NodeId) -> Result<Option<Link>, Error> {
    let row = store.get(&schema::LINK, &[key(access.workspace, (a.min(b), a.max(b)))])?.pop().flatten();
    row.as_ref().map(Link::from_row).transpose()
}

/// The links in a state (see [`Link::state`]), those with the greatest weight first: so many after `after`.
pub fn queue(
    store: &mut dyn Reader,
    access: &Access,
    state: &str,
    after: Option<&Link>,
    limit: usize,
) -> Result<Vec<Link>, Error> {
    let prefix = vec![Value::Int(access.workspace.0.into()), Value::Text(state.to_owned())];
    let place = |link: &Link| [Value::Int(link.millibits), PERSON, Value::Int(link.a.0), Value::Int(link.b.0)];
    let after = after.map(|link| prefix.iter().cloned().chain(place(link)).collect());
    let scan = Scan { index: Some("queue"), reverse: true, after, ..Scan::prefix(&schema::LINK, prefix, limit) };
    store.scan(&scan)?.iter().map(Link::from_row).collect()
}

fn rows_of(store: &mut (impl Reader + ?Sized), workspace: WorkspaceId, node: NodeId) -> Result<Vec<Row>, Error> {
    let mut rows = store.scan(&Scan::prefix(&schema::LINK, Node::key(workspace, node), usize::MAX))?;
    let prefix = vec![Value::Int(workspace.0.into()), Value::Int(node.0)];
    rows.extend(store.scan(&Scan { index: Some("of_b"), ..Scan::prefix(&schema::LINK, prefix, usize::MAX) })?);
    Ok(rows)
}

/// A node goes, and what was found of it.
pub(crate) fn forget(txn: &mut dyn Txn, workspace: WorkspaceId, node: NodeId) -> Result<(), Error> {
    let keys: Vec<Row> = rows_of(txn, workspace, node)?.into_iter().map(|row| row[..4].to_vec()).collect();
    txn.delete(&schema::LINK, &keys).map_err(Error::from)
}

impl Partition {
    /// Takes what a model finds now.
    pub(crate) fn links(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        model: u32,
        found: Vec<Found>,
        gone: &[(NodeId, NodeId)],
        offset: u64,
    ) -> Result<(), Error> {
        let pairs = found.iter().map(|found| (found.a, found.b)).chain(gone.iter().copied());
        let mut links = self.load_links(txn, workspace, pairs)?;
        for Found { a, b, millibits, joined, parts } in found {
            // One of them may have gone since.
            let Some(link) = links.get_mut(&(a, b)) else { continue };
            // What too many share is no person's, and joins nobody.
            let is_shared = |node| self.node(&node).is_some_and(|node| node.partial.named >= NAMED_MAX);
            let joins = joined && !is_shared(a) && !is_shared(b);
            let finding = if joins { Finding::Joined } else { Finding::Doubt };
            *link = Link { model, millibits, parts, finding, at: self.now, ..link.clone() };
        }
        for pair in gone {
            if let Some(link) = links.get_mut(pair) {
                *link = Link { finding: Finding::Gone, at: self.now, ..link.clone() };
            }
        }
        self.carry_out(txn, workspace, links.into_values().collect(), vec![], offset)
    }

    /// Takes a steward's decision, or withdraws one.
    pub(crate) fn decide_link(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        [a, b]: [&IdentifierRef; 2],
        decision: Option<Decision>,
        by: &str,
        offset: u64,
    ) -> Result<(), Error> {
        let (Some(a), Some(b)) = (self.node_of_ref(txn, workspace, a)?, self.node_of_ref(txn, workspace, b)?) else {
            return Ok(());
        };
        let Some(mut link) = self.load_links(txn, workspace, [(a.min(b), a.max(b))].into_iter())?.into_values().next()
        else {
            return Ok(());
        };
        let before = link.decided.take().and_then(|decided| decided.place);
        let decided = |decision| Decided { decision, by: by.to_owned(), at: self.now, place: None };
        (link.decided, link.at) = (decision.map(decided), self.now);
        // Who follows looks at both again.
        for node in [a, b] {
            if let Some(profile) = self.node(&node).map(|node| node.profile) {
                self.effects.people.insert((workspace, profile));
            }
        }
        self.carry_out(txn, workspace, vec![link], before.into_iter().collect(), offset)?;
        let profile = |node: NodeId| self.node(&node).map(|node| node.profile);
        if decision == Some(Decision::Accept) && profile(a) != profile(b) {
            let why = "they would pass the bound on identifiers, or others with them were said to be two people";
            self.refuse_command(workspace, offset, why);
        }
        Ok(())
    }

    /// The links of pairs whose nodes are there, those that are not known yet included.
    fn load_links(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        pairs: impl Iterator<Item = (NodeId, NodeId)>,
    ) -> Result<BTreeMap<(NodeId, NodeId), Link>, Error> {
        self.write(txn)?;
        let pairs: Vec<(NodeId, NodeId)> = pairs.filter(|(a, b)| a < b).collect();
        let nodes: Vec<NodeId> = pairs.iter().flat_map(|(a, b)| [*a, *b]).collect();
        self.load_nodes(txn, workspace, &nodes)?;
        let keys: Vec<Row> = pairs.iter().map(|pair| key(workspace, *pair)).collect();
        let rows = txn.get(&schema::LINK, &keys)?;
        let mut links = BTreeMap::new();
        for (pair, row) in pairs.into_iter().zip(rows) {
            let is_own = |node: NodeId| self.node(&node).is_some_and(|node| node.workspace == workspace);
            if is_own(pair.0) && is_own(pair.1) {
                let link = row.as_ref().map(Link::from_row).transpose()?;
                links.insert(pair, link.unwrap_or_else(|| Link::of(pair.0, pair.1, self.now)));
            }
        }
        Ok(links)
    }

    /// Makes the statements that the links call for, and withdraws the others, all at once.
    fn carry_out(
        &mut self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        mut links: Vec<Link>,
        mut withdrawn: Vec<StatementRef>,
        offset: u64,
    ) -> Result<(), Error> {
        let before = links.clone();
        let mut said = vec![];
        // Of each statement: the link, and whether it is its decision's.
        let mut whose = vec![];
        for (i, link) in links.iter_mut().enumerate() {
            let (a, b) = (link.a, link.b);
            let together = |origin| Statement::Together { nodes: smallvec![a, b], origin, at: self.now };
            let joins = link.finding == Finding::Joined && !link.is_refused();
            if !joins {
                withdrawn.extend(link.place.take());
            } else if link.place.is_none() {
                said.push(together(Origin::Link));
                whose.push((i, false));
            }
            if let Some(decided) = link.decided.as_mut().filter(|decided| decided.place.is_none()) {
                match decided.decision {
                    Decision::Accept => said.push(together(Origin::Command)),
                    Decision::Never => said.push(Statement::Apart { a, b }),
                    Decision::Reject => continue,
                }
                whose.push((i, true));
            }
        }
        if !said.is_empty() || !withdrawn.is_empty() {
            let Some(places) = self.restate(txn, workspace, &[], said, &withdrawn, offset)? else {
                // Of those that hang together with too much each stands as it was; the others are not to wait for them.
                let (some, others) = before.split_at(before.len() / 2);
                if some.is_empty() {
                    others.iter().for_each(|link| self.put_link(workspace, link));
                    return Ok(());
                }
                self.carry_out(txn, workspace, some.to_vec(), vec![], offset)?;
                return self.carry_out(txn, workspace, others.to_vec(), vec![], offset);
            };
            for ((i, is_decision), place) in whose.into_iter().zip(places) {
                match &mut links[i].decided {
                    Some(decided) if is_decision => decided.place = Some(place),
                    _ => links[i].place = Some(place),
                }
            }
        }
        links.iter().for_each(|link| self.put_link(workspace, link));
        Ok(())
    }

    fn put_link(&mut self, workspace: WorkspaceId, link: &Link) {
        if link.finding == Finding::Gone && link.decided.is_none() && link.place.is_none() {
            self.effects.delete(&schema::LINK, key(workspace, (link.a, link.b)));
        } else {
            self.effects.put(&schema::LINK, link.to_row(workspace));
        }
    }
}

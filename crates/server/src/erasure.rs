//! Erasure of people, from every place that keeps something of them; see `docs/privacy.md` for the order and its reasons.
//!
//! Every step may be done twice, so what a crash or a fault cuts short is done again from the beginning. What must be
//! remembered for that (nodes, hashes of identifiers) stands in the table `request` and names nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use onefold_model::{
    NodeId, Timestamp, WorkspaceId,
    access::Access,
    command::Command,
    identity::{Identifier, normalise::normalise},
    rng,
};
use onefold_pipeline::{
    definitions::Workspace,
    erase::{self, Hints, Mentions, Person, Sought},
    suppression::{self, Naming},
};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ApiError, App, api::deadletters, backup::Erased};

/// A destination that has not confirmed after this time is an exception on the receipt; it is told all the same, when it is back.
const DESTINATIONS_WAIT: Duration = Duration::from_secs(30);

/// Two looks at what destinations have confirmed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Tries to scrub the state, and the time between two.
const SCRUBS_MAX: usize = 50;
const SCRUB_EVERY: Duration = Duration::from_millis(200);

/// A person grows while their last events are applied; more often than this that does not happen.
const ROUNDS_MAX: usize = 5;

/// Name of the secret that receipts are signed with.
const RECEIPTS: &str = "receipts";

/// A request, and how far it is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// Its id.
    pub request: String,
    /// `erase`, or `retention`: they were kept too long.
    pub kind: String,
    /// `in_progress`, `completed`, `completed_with_exceptions`.
    pub status: String,
    /// When it was made.
    pub at: String,
    /// What was done, once it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The receipt as it was signed, byte for byte, and the Ed25519 signature over it and the public key, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// A receipt as it was signed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Signed {
    /// The receipt's JSON.
    pub text: String,
    /// Ed25519 (RFC 8032) over `text`, in base64.
    pub signature: String,
    /// The workspace's public key, in base64.
    pub public_key: String,
}

/// What an erasure did. It names nobody.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The request.
    pub request: String,
    /// When it was done.
    pub completed_at: String,
    /// The log offset up to which everything about the people was taken out; nothing about them came after it.
    pub cut_off: u64,
    /// Profiles that went.
    pub profiles: u64,
    /// Identifiers that are not let in again.
    pub suppressed: u64,
    /// Records of the log that were emptied.
    pub log_records: u64,
    /// Rows of the table `events` that went.
    pub table_rows: u64,
    /// Dead letters that went.
    pub dead_letters: u64,
    /// Deliveries that were given up and kept, and went.
    pub dead_deliveries: u64,
    /// What each destination says: `delivered`, `waiting`, `paused`, `dead`; `told before` by the erasure that this one does again.
    pub destinations: BTreeMap<String, String>,
    /// Backups from before, in which they still are, encrypted, until these are rotated out; a folder that is put back from one forgets
    /// them before it is used.
    #[serde(default)]
    pub backups: u64,
    /// Whether a second look at the log, the state and the dead letters found nothing.
    pub verified: bool,
    /// What is left, and why.
    pub exceptions: Vec<String>,
}

/// What an erasure would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasurePreview {
    /// The people meant.
    pub people: Vec<PersonPreview>,
    /// Identifiers of which nothing is known; they would be kept out.
    pub unknown: Vec<String>,
    /// Destinations that would be told.
    pub destinations: Vec<String>,
}

impl ErasurePreview {
    /// Why more than one person may be meant, in a sentence; `None`: nothing says so.
    pub(crate) fn warning(&self) -> Option<String> {
        let count = |kind: &str| {
            let of_kind = |identifier: &&String| identifier.split_once(':').is_some_and(|(found, _)| found == kind);
            self.people.iter().map(|person| person.identifiers.iter().filter(of_kind).count()).max().unwrap_or(0)
        };
        let household =
            self.people.iter().flat_map(|person| &person.groups).find(|group| group.starts_with("household:"));
        let mut why = vec![];
        for (kind, words) in [("user_id", "user ids"), ("email", "e-mail addresses")] {
            if count(kind) > 1 {
                why.push(format!("one profile has {} {words}", count(kind)));
            }
        }
        why.extend(household.map(|household| format!("it belongs to the {}", household.replace(':', " "))));
        if self.people.len() > 1 {
            why.push(format!("the identifiers lead to {} profiles", self.people.len()));
        }
        (!why.is_empty()).then(|| format!("more than one person may be meant: {}", why.join(", ")))
    }
}

/// A person who would be erased.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonPreview {
    /// The profile.
    pub id: String,
    /// All identifiers, as `kind:value`: if one of them is somebody else's, part them first.
    pub identifiers: Vec<String>,
    /// Events.
    pub events: u64,
    /// Households and accounts, as `type:id`.
    pub groups: Vec<String>,
}

/// What is remembered of an erasure at work.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Work {
    /// What of it is not by a person's wish but by the time that passed: its people may come again.
    #[serde(default)]
    retention: bool,
    /// It was done before, in a folder that this one is put back for: destinations were told then.
    #[serde(default)]
    again: bool,
    /// The requests that it does again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    covers: Vec<String>,
    nodes: Vec<i64>,
    hashes: Vec<String>,
    /// Log offsets of the commands that told destinations.
    #[serde(default)]
    told_at: Vec<u64>,
    receipt: Receipt,
    #[serde(default)]
    signed: Option<Signed>,
}

/// What identifies the people, as far as it is known.
struct Sight {
    /// By what their identifiers are recognised after a crash.
    hashes: FxHashSet<suppression::Digest>,
    /// What finds them as text; `None` after a crash, or where they are too short.
    mentions: Option<Mentions>,
    /// What tells quickly that a record is not about them; `None` as above.
    hints: Option<Hints>,
}

fn key(workspace: WorkspaceId, id: &str) -> Row {
    vec![Value::Int(workspace.0.into()), Value::Text(id.to_owned())]
}

/// The identifier that a text means of which nothing is known: `kind:value`, an e-mail address, a phone number with `+`, a user id.
fn guessed(text: &str) -> Option<Identifier> {
    let text = text.trim();
    let (kind, value) = match text.split_once(':') {
        Some((kind, value)) => (kind, value),
        None if text.contains('@') => ("email", text),
        None if text.starts_with('+') => ("phone", text),
        None => ("user_id", text),
    };
    let value = normalise(kind, value)?.into_owned();
    Some(Identifier { kind: kind.to_owned().into(), value })
}

/// The same, or an error that says what one looks like.
pub(crate) fn identifier(text: &str) -> Result<Identifier, ApiError> {
    guessed(text).ok_or_else(|| {
        let cure = "give an e-mail address, a phone number with +, a user id or `kind:value`";
        ApiError::bad_request("bad_identifier", format!("{text:?} is no identifier"), cure)
    })
}

/// Whom an erasure means.
struct Meant {
    people: Vec<Person>,
    unknown: Vec<Identifier>,
}

impl Meant {
    fn of(reader: &mut dyn Reader, access: &Access, texts: &[String]) -> Result<Meant, ApiError> {
        let mut meant = Meant { people: vec![], unknown: vec![] };
        for text in texts {
            match erase::person(reader, access, text)? {
                Some(person) if meant.people.iter().any(|known| known.profile == person.profile) => {}
                Some(person) => meant.people.push(person),
                None => meant.unknown.push(identifier(text)?),
            }
        }
        Ok(meant)
    }

    fn identifiers(&self) -> impl Iterator<Item = &Identifier> {
        self.people.iter().flat_map(|person| &person.identifiers).chain(&self.unknown)
    }
}

impl App {
    /// What an erasure would do.
    pub(crate) fn preview_erasure(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        texts: &[String],
    ) -> Result<ErasurePreview, ApiError> {
        let meant = Meant::of(reader, access, texts)?;
        let named = |identifier: &Identifier| format!("{}:{}", identifier.kind, identifier.value);
        let person = |person: &Person| PersonPreview {
            id: person.profile.to_string(),
            identifiers: person.identifiers.iter().map(named).collect(),
            events: person.events,
            groups: person.groups.iter().map(|group| format!("{}:{}", group.kind, group.id)).collect(),
        };
        let definitions = self.definitions(reader, access.workspace)?;
        Ok(ErasurePreview {
            people: meant.people.iter().map(person).collect(),
            unknown: meant.unknown.iter().map(named).collect(),
            destinations: definitions.subscriptions.keys().cloned().collect(),
        })
    }

    /// Erases people, and gives the request when it is done.
    pub(crate) async fn erase(self: &Arc<Self>, access: &Access, texts: Vec<String>) -> Result<RequestView, ApiError> {
        let _turn = self.erasing.lock().await;
        // Who was half erased is not known any more, and would not be found again.
        self.finish_erasures(access).await?;
        let id = format!("er_{}", rng::hex(&*self.rng, 8));
        let mut texts: Vec<String> = texts;
        let mut work = Work::default();
        work.receipt.request.clone_from(&id);
        let mut sight = Sight { hashes: FxHashSet::default(), mentions: None, hints: None };
        for _ in 0..ROUNDS_MAX {
            let (theirs, asked, at) = (access.clone(), texts.clone(), self.clock.now());
            let request = id.clone();
            let (meant, hashes) = self.block(move |app| app.suppress(&theirs, &asked, &request, at)).await?;
            self.command(access, Command::Suppression, false).await?;
            self.open_doors(access.workspace).await?;
            self.ingest.doors.shut().await;
            let partition = access.workspace.partition(self.log.partitions());
            work.receipt.cut_off = self.log.end(partition)?;
            self.wait(access.workspace, work.receipt.cut_off, false).await?;
            let nodes: BTreeSet<i64> =
                meant.people.iter().flat_map(|person| &person.nodes).map(|node| node.0).collect();
            work.nodes.extend(nodes.iter().filter(|node| !work.nodes.contains(node)).copied().collect::<Vec<_>>());
            work.receipt.profiles = work.receipt.profiles.max(meant.people.len() as u64);
            let identifiers: Vec<Identifier> = meant.identifiers().cloned().collect();
            let grown = sight.hashes.len() < hashes.len();
            work.hashes = hashes.iter().map(suppression::written).collect();
            sight = Sight { hashes, mentions: erase::mentions_of(&identifiers), hints: Hints::of(&identifiers) };
            if !grown {
                break;
            }
            // Events that were on their way may have brought identifiers with them: they are looked up again by all of them.
            texts = identifiers.iter().map(|one| format!("{}:{}", one.kind, one.value)).collect();
        }
        work.receipt.suppressed = work.hashes.len() as u64;
        self.carry_out(access, &id, work, sight).await
    }

    /// Lets people go who were kept too long; unlike those who are erased, they may come again.
    pub(crate) async fn let_go(
        self: &Arc<Self>,
        access: &Access,
        people: Vec<(NodeId, Identifier)>,
        profiles: u64,
    ) -> Result<RequestView, ApiError> {
        let _turn = self.erasing.lock().await;
        self.finish_erasures(access).await?;
        let id = format!("re_{}", rng::hex(&*self.rng, 8));
        let (workspace, request) = (access.workspace, id.clone());
        let identifiers: Vec<Identifier> = people.iter().map(|(_, one)| one.clone()).collect();
        let hints = Hints::of(&identifiers);
        let (work, hashes) = self
            .block(move |app| {
                let mut txn = app.store.begin_shared()?;
                suppression::make_secret(&mut *txn, workspace, &*app.rng)?;
                let list = suppression::Suppressed::load(&mut *txn, workspace)?;
                let digest = |one: &Identifier| list.digest(&one.kind, &one.value);
                let hashes: FxHashSet<suppression::Digest> = people.iter().filter_map(|(_, one)| digest(one)).collect();
                let cut_off = app.log.end(workspace.partition(app.log.partitions()))?;
                let work = Work {
                    retention: true,
                    again: false,
                    covers: vec![],
                    nodes: people.iter().map(|(node, _)| node.0).collect(),
                    hashes: hashes.iter().map(suppression::written).collect(),
                    told_at: vec![],
                    receipt: Receipt { request: request.clone(), cut_off, profiles, ..Receipt::default() },
                    signed: None,
                };
                let now = app.clock.now();
                txn.put(&schema::REQUEST, vec![row(workspace, &request, IN_PROGRESS, now, now, &work)])?;
                txn.commit()?;
                Ok((work, hashes))
            })
            .await?;
        // Its secret may be new.
        self.command(access, Command::Suppression, false).await?;
        self.carry_out(access, &id, work, Sight { hashes, mentions: None, hints }).await
    }

    /// Carries out erasures that were cut short, or put down by a backup that was put back.
    pub async fn resume_erasures(self: &Arc<Self>) -> Result<(), ApiError> {
        // Who holds the turn sees no request that is being carried out.
        let _turn = self.erasing.lock().await;
        for (workspace, _) in self.workspaces() {
            self.finish_erasures(&self.operator(workspace)).await?;
        }
        Ok(())
    }

    /// What came of the erasures that were done again because a backup was put back.
    pub async fn done_again(self: &Arc<Self>, backup: &str) -> Result<Vec<RequestView>, ApiError> {
        let id = again_id(backup);
        let workspaces = self.workspaces();
        self.read(move |_, reader| {
            let found = workspaces.iter().map(|(workspace, _)| match show(reader, *workspace, &id) {
                Err(error) if error.code == "not_found" => Ok(None),
                found => found.map(Some),
            });
            found.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// Carries out what was cut short in a workspace.
    async fn finish_erasures(self: &Arc<Self>, access: &Access) -> Result<(), ApiError> {
        let workspace = access.workspace;
        let unfinished = self.read(move |_, reader| requests(reader, workspace)).await?;
        for (row, mut work) in unfinished.into_iter().filter(|(row, _)| row[3] == Value::Text(IN_PROGRESS.to_owned())) {
            let hashes = work.hashes.iter().filter_map(|hash| suppression::parse(hash)).collect();
            let id = row[1].as_text()?.to_owned();
            tracing::info!(request = id, "an erasure that was cut short goes on");
            let nodes: BTreeSet<i64> = work.nodes.iter().copied().collect();
            work.told_at = self.read(move |_, reader| notices(reader, workspace, &nodes)).await?;
            self.carry_out(access, &id, work, Sight { hashes, mentions: None, hints: None }).await?;
        }
        Ok(())
    }

    /// Whom the texts mean, kept out from now on; with the hashes of all their identifiers. Blocks.
    fn suppress(
        &self,
        access: &Access,
        texts: &[String],
        request: &str,
        at: Timestamp,
    ) -> Result<(Meant, FxHashSet<suppression::Digest>), ApiError> {
        let workspace = access.workspace;
        let mut txn = self.store.begin_shared()?;
        suppression::make_secret(&mut *txn, workspace, &*self.rng)?;
        let meant = Meant::of(&mut *txn, access, texts)?;
        let list = suppression::Suppressed::load(&mut *txn, workspace)?;
        let hash = |identifier: &Identifier| list.digest(&identifier.kind, &identifier.value);
        let hashes: FxHashSet<suppression::Digest> = meant.identifiers().filter_map(hash).collect();
        let from = self.log.end(workspace.partition(self.log.partitions()))?;
        let rows = hashes.iter().map(|hash| suppression::row(workspace, hash, at, request, from, true)).collect();
        txn.put(&schema::SUPPRESSED, rows)?;
        let work = Work {
            retention: false,
            again: false,
            covers: vec![],
            nodes: meant.people.iter().flat_map(|person| &person.nodes).map(|node| node.0).collect(),
            hashes: hashes.iter().map(suppression::written).collect(),
            told_at: vec![],
            receipt: Receipt { request: request.to_owned(), ..Receipt::default() },
            signed: None,
        };
        txn.put(&schema::REQUEST, vec![row(workspace, request, IN_PROGRESS, at, at, &work)])?;
        txn.commit()?;
        Ok((meant, hashes))
    }

    /// Lets every door know who is kept out.
    pub(crate) async fn open_doors(self: &Arc<Self>, workspace: WorkspaceId) -> Result<(), ApiError> {
        self.block(move |app| {
            let _turn = app.ingest.doors.turn.lock();
            let definitions = app.definitions(&mut *app.store.reader()?, workspace)?;
            app.ingest.doors.set(workspace, definitions);
            Ok(())
        })
        .await
    }

    async fn carry_out(
        self: &Arc<Self>,
        access: &Access,
        id: &str,
        mut work: Work,
        sight: Sight,
    ) -> Result<RequestView, ApiError> {
        let nodes: Vec<NodeId> = work.nodes.iter().map(|node| NodeId(*node)).collect();
        let command = Command::Erase { request: id.to_owned(), nodes };
        work.told_at.push(self.command(access, command, false).await?);
        if work.retention {
            // Whoever was joined by somebody meanwhile stays.
            let (workspace, nodes) = (access.workspace, work.nodes.clone());
            let left = self.read(move |_, reader| left_of(reader, workspace, &nodes)).await?;
            work.nodes.retain(|node| !left.contains(node));
        }
        let sight = Arc::new(sight);
        // What is done again has its notes beside the backups already.
        let told = match work.retention || work.again {
            true => Ok(0),
            false => self.note_erased(note(access.workspace, id, self.clock.now(), &work)).await,
        };
        match told {
            Ok(backups) => work.receipt.backups = backups,
            Err(error) => {
                let what = "the place of the backups could not be told, and is told when the next backup is made";
                work.receipt.exceptions.push(format!("{what}: {}", error.message));
            }
        }
        let (theirs, seen, request) = (access.clone(), sight.clone(), id.to_owned());
        let mut work = self
            .block(move |app| {
                app.remember(theirs.workspace, &request, &work)?;
                app.erase_letters(&theirs, &mut work, &seen)?;
                app.erase_log(&theirs, &mut work, &seen)?;
                app.erase_tables(&theirs, &mut work)?;
                app.audiences.forget(theirs.workspace);
                Ok(work)
            })
            .await?;
        self.wait_for_destinations(access, &mut work).await?;
        // After everything that deletes, and before it is said to be done.
        self.scrub().await?;
        if self.backing_up.try_lock().is_err() {
            let what = "a backup is being made, and has a copy of before in the data folder until it is saved";
            work.receipt.exceptions.push(what.to_owned());
        }
        let (theirs, request) = (access.clone(), id.to_owned());
        self.block(move |app| {
            work.receipt.verified = app.is_gone(&theirs, &work, &sight)?;
            if !work.receipt.verified {
                work.receipt.exceptions.push("a second look found something: run the erasure again".to_owned());
            }
            work.receipt.completed_at = app.clock.now().to_string();
            let status = if work.receipt.exceptions.is_empty() { COMPLETED } else { WITH_EXCEPTIONS };
            app.close(theirs.workspace, &request, status, work)
        })
        .await
    }

    /// Takes out of the state's file what deleting left there; readers that are at work may be in its way.
    async fn scrub(self: &Arc<Self>) -> Result<(), ApiError> {
        for _ in 1..SCRUBS_MAX {
            match self.block(|app| Ok(app.store.checkpoint()?)).await {
                Ok(()) => return Ok(()),
                Err(error) => tracing::debug!(?error, "the state could not be scrubbed yet"),
            }
            tokio::time::sleep(SCRUB_EVERY).await;
        }
        self.block(|app| Ok(app.store.checkpoint()?)).await
    }

    /// Dead letters about the people, and deliveries to do with them that were given up.
    fn erase_letters(&self, access: &Access, work: &mut Work, sight: &Sight) -> Result<(), ApiError> {
        let own = vec![Value::Int(access.workspace.0.into())];
        let nodes: BTreeSet<i64> = work.nodes.iter().copied().collect();
        let definitions = self.definitions(&mut *self.store.reader()?, access.workspace)?;
        let mut txn = self.store.begin_shared()?;
        let mut letters: Vec<Row> = vec![];
        erase::each_row::<ApiError>(&mut *txn, &schema::DEAD_LETTER, &own, &mut |row| {
            if is_about(&row, &definitions, sight)? {
                letters.push(row[..schema::DEAD_LETTER.key].to_vec());
            }
            Ok(())
        })?;
        txn.delete(&schema::DEAD_LETTER, &letters)?;
        let mut dead: Vec<Row> = vec![];
        erase::each_row::<ApiError>(&mut *txn, &schema::DELIVERY_DEAD, &own, &mut |row| {
            // One that tells the destination whom to forget is still to be told.
            if nodes.contains(&row[7].as_int()?) && row[5] != Value::Text("erase".to_owned()) {
                dead.push(row[..schema::DELIVERY_DEAD.key].to_vec());
            }
            Ok(())
        })?;
        txn.delete(&schema::DELIVERY_DEAD, &dead)?;
        self.forget_in_requests(&mut *txn, access.workspace, &definitions.suppressed, &sight.hashes)?;
        txn.commit()?;
        work.receipt.dead_letters += letters.len() as u64;
        work.receipt.dead_deliveries += dead.len() as u64;
        Ok(())
    }

    fn found_in_log(&self, access: &Access, work: &Work, sight: &Sight) -> Result<erase::Found, ApiError> {
        let reader = &mut *self.store.reader()?;
        let definitions = self.definitions(reader, access.workspace)?;
        let nodes: FxHashSet<NodeId> = work.nodes.iter().map(|node| NodeId(*node)).collect();
        let is = |one: &Identifier| {
            definitions.suppressed.digest(&one.kind, &one.value).is_some_and(|digest| sight.hashes.contains(&digest))
        };
        let sought = Sought { nodes: &nodes, is: &is, mentions: sight.mentions.as_ref(), hints: sight.hints.as_ref() };
        let partition = access.workspace.partition(self.log.partitions());
        let offsets = 0..self.log.end(partition)?;
        let progress = &mut |at| tracing::debug!(at, end = offsets.end, "looking through the log");
        Ok(erase::records(&*self.log, reader, access, &definitions, &sought, offsets.clone(), progress)?)
    }

    fn erase_log(&self, access: &Access, work: &mut Work, sight: &Sight) -> Result<(), ApiError> {
        let found = self.found_in_log(access, work, sight)?;
        let partition = access.workspace.partition(self.log.partitions());
        work.receipt.log_records += self.log.erase(partition, &erase::ranges(&found.about))?;
        if !found.mentions.is_empty() {
            let count = found.mentions.len();
            let first: Vec<String> = found.mentions.iter().take(20).map(u64::to_string).collect();
            let what = format!(
                "{count} records of the log are about others and name one of the identifiers; they stay (offsets {})",
                first.join(", ")
            );
            work.receipt.exceptions.push(what);
        }
        Ok(())
    }

    fn erase_tables(&self, access: &Access, work: &mut Work) -> Result<(), ApiError> {
        if !self.settings.process {
            return Ok(());
        }
        self.write_tables(access.workspace, self.clock.now().plus(i64::from(u32::MAX)))?;
        let nodes: BTreeSet<i64> = work.nodes.iter().copied().collect();
        let _turn = self.tables.turn.lock();
        work.receipt.table_rows += self.tables.lake.erase(access.workspace, &nodes)?;
        Ok(())
    }

    /// Waits until every destination has been told, or for [`DESTINATIONS_WAIT`].
    async fn wait_for_destinations(self: &Arc<Self>, access: &Access, work: &mut Work) -> Result<(), ApiError> {
        let deadline = tokio::time::Instant::now() + DESTINATIONS_WAIT;
        if work.again {
            // A notice names the person, and would wait here for as long as the destination is paused.
            let (workspace, offsets) = (access.workspace, work.told_at.clone());
            work.receipt.destinations = self.block(move |app| app.drop_notices(workspace, &offsets)).await?;
            return Ok(());
        }
        loop {
            let (workspace, offsets) = (access.workspace, work.told_at.clone());
            let told = self.read(move |_, reader| told(reader, workspace, &offsets)).await?;
            let waits = told.values().any(|status| status == WAITING);
            if !waits || tokio::time::Instant::now() >= deadline {
                for (name, status) in told.iter().filter(|(_, status)| *status != DELIVERED) {
                    work.receipt.exceptions.push(format!("the destination {name} has not confirmed: {status}"));
                }
                work.receipt.destinations = told;
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Takes notices out of the outboxes, and gives the destinations that do not get them.
    fn drop_notices(&self, workspace: WorkspaceId, offsets: &[u64]) -> Result<BTreeMap<String, String>, ApiError> {
        let own = vec![Value::Int(workspace.0.into())];
        let mut txn = self.store.begin_shared()?;
        let mut told = BTreeMap::new();
        for destination in txn.scan(&Scan::prefix(&schema::DESTINATION, own, usize::MAX))? {
            for offset in offsets {
                let prefix = [Value::Int(workspace.0.into()), destination[1].clone(), Value::uint(*offset)];
                txn.delete_prefix(&schema::OUTBOX, &prefix)?;
            }
            told.insert(destination[1].as_text()?.to_owned(), "told before".to_owned());
        }
        txn.commit()?;
        Ok(told)
    }

    /// Whether a second look finds nothing.
    fn is_gone(&self, access: &Access, work: &Work, sight: &Sight) -> Result<bool, ApiError> {
        if !self.found_in_log(access, work, sight)?.about.is_empty() {
            return Ok(false);
        }
        let reader = &mut *self.store.reader()?;
        let definitions = self.definitions(reader, access.workspace)?;
        let workspace = Value::Int(access.workspace.0.into());
        let node = |node: &i64| vec![workspace.clone(), Value::Int(0), Value::Int(*node)];
        let nodes: Vec<Row> = work.nodes.iter().map(node).collect();
        if reader.get(&schema::NODE, &nodes)?.iter().any(Option::is_some) {
            return Ok(false);
        }
        let mut is_clean = true;
        if work.again {
            // Nodes were named by another state: whether they were the right ones is seen by the identifiers that are left.
            erase::each_row::<ApiError>(reader, &schema::IDENTIFIER, std::slice::from_ref(&workspace), &mut |row| {
                let (kind, value) = (row[IDENTIFIER_KIND].as_text()?, row[IDENTIFIER_VALUE].as_text()?);
                is_clean &= !definitions.suppressed.digest(kind, value).is_some_and(|one| sight.hashes.contains(&one));
                Ok(())
            })?;
        }
        erase::each_row::<ApiError>(reader, &schema::DEAD_LETTER, &[workspace], &mut |row| {
            is_clean &= !is_about(&row, &definitions, sight)?;
            Ok(())
        })?;
        Ok(is_clean)
    }

    /// Notes how far a request is.
    fn remember(&self, workspace: WorkspaceId, id: &str, work: &Work) -> Result<(), ApiError> {
        let mut txn = self.store.begin_shared()?;
        let Some(mut row) = txn.get(&schema::REQUEST, &[key(workspace, id)])?.pop().flatten() else { return Ok(()) };
        row[5] = Value::Int(self.clock.now().0);
        row[6] = Value::Bytes(serde_json::to_vec(work).unwrap_or_default());
        txn.put(&schema::REQUEST, vec![row])?;
        Ok(txn.commit()?)
    }

    /// Signs the receipt and closes the request.
    fn close(&self, workspace: WorkspaceId, id: &str, status: &str, mut work: Work) -> Result<RequestView, ApiError> {
        let mut txn = self.store.begin_shared()?;
        let own = key(workspace, RECEIPTS);
        let seed = match txn.get(&schema::SECRET, std::slice::from_ref(&own))?.pop().flatten() {
            Some(row) => row[2].as_bytes()?.to_vec(),
            None => {
                let mut seed = vec![0; 32];
                self.rng.fill(&mut seed);
                txn.put(&schema::SECRET, vec![vec![own[0].clone(), own[1].clone(), Value::Bytes(seed.clone())]])?;
                seed
            }
        };
        let keys = keys_of(&seed)?;
        let text = serde_json::to_string(&work.receipt).unwrap_or_default();
        let signed = Signed {
            signature: STANDARD.encode(keys.sign(text.as_bytes())),
            public_key: STANDARD.encode(keys.public_key()),
            text,
        };
        work.signed = Some(signed);
        let created = match txn.get(&schema::REQUEST, &[key(workspace, id)])?.pop().flatten() {
            Some(row) => Timestamp(row[4].as_int()?),
            None => self.clock.now(),
        };
        let row = row(workspace, id, status, created, self.clock.now(), &work);
        let view = view(&row, work)?;
        txn.put(&schema::REQUEST, vec![row])?;
        txn.commit()?;
        Ok(view)
    }
}

/// Places in the table of identifiers.
const IDENTIFIER_KIND: usize = 2;
const IDENTIFIER_VALUE: usize = 3;

const IN_PROGRESS: &str = "in_progress";
const COMPLETED: &str = "completed";
const WITH_EXCEPTIONS: &str = "completed_with_exceptions";
const WAITING: &str = "waiting";
const DELIVERED: &str = "delivered";

fn row(workspace: WorkspaceId, id: &str, status: &str, created: Timestamp, now: Timestamp, work: &Work) -> Row {
    let mut row = key(workspace, id);
    let kind = if work.retention { "retention" } else { "erase" };
    row.extend([Value::Text(kind.to_owned()), Value::Text(status.to_owned())]);
    row.extend([Value::Int(created.0), Value::Int(now.0)]);
    row.push(Value::Bytes(serde_json::to_vec(work).unwrap_or_default()));
    row
}

fn work_of(row: &Row) -> Result<Work, ApiError> {
    serde_json::from_slice(row[6].as_bytes()?)
        .map_err(|error| ApiError::internal(format!("a privacy request cannot be read: {error}")))
}

fn view(row: &Row, work: Work) -> Result<RequestView, ApiError> {
    let status = row[3].as_text()?.to_owned();
    Ok(RequestView {
        request: row[1].as_text()?.to_owned(),
        kind: row[2].as_text()?.to_owned(),
        at: Timestamp(row[4].as_int()?).to_string(),
        receipt: (status != IN_PROGRESS).then_some(work.receipt),
        signed: work.signed,
        status,
    })
}

fn requests(reader: &mut dyn Reader, workspace: WorkspaceId) -> Result<Vec<(Row, Work)>, ApiError> {
    let own = vec![Value::Int(workspace.0.into())];
    let rows = reader.scan(&Scan { index: Some("recent"), ..Scan::prefix(&schema::REQUEST, own, usize::MAX) })?;
    rows.into_iter().map(|row| work_of(&row).map(|work| (row, work))).collect()
}

/// The requests of a workspace, the newest first.
pub(crate) fn list(reader: &mut dyn Reader, workspace: WorkspaceId) -> Result<Vec<RequestView>, ApiError> {
    requests(reader, workspace)?.into_iter().rev().map(|(row, work)| view(&row, work)).collect()
}

/// A request.
pub(crate) fn show(reader: &mut dyn Reader, workspace: WorkspaceId, id: &str) -> Result<RequestView, ApiError> {
    let row = reader.get(&schema::REQUEST, &[key(workspace, id)])?.pop().flatten();
    let row =
        row.ok_or_else(|| ApiError::not_found("privacy request", id, "list them with `onefold privacy requests`"))?;
    let work = work_of(&row)?;
    view(&row, work)
}

/// What is remembered of an erasure beside the backups.
fn note(workspace: WorkspaceId, id: &str, at: Timestamp, work: &Work) -> Erased {
    let (hashes, nodes) = (work.hashes.clone(), work.nodes.clone());
    Erased { workspace: workspace.0, request: id.to_owned(), at: at.0, hashes, nodes }
}

/// The erasures of a workspace.
pub(crate) fn erased(reader: &mut dyn Reader, workspace: WorkspaceId) -> Result<Vec<Erased>, ApiError> {
    let wished = requests(reader, workspace)?
        .into_iter()
        .filter(|(row, work)| !work.retention && !work.again && row[3] != Value::Text(IN_PROGRESS.to_owned()));
    let note = |(row, work): (Row, Work)| Ok(note(workspace, row[1].as_text()?, Timestamp(row[5].as_int()?), &work));
    wished.map(note).collect()
}

/// The request under which a restored state does again what was done since the backup.
fn again_id(backup: &str) -> String {
    format!("again_{backup}")
}

/// Puts down erasures to be carried out again in a state that was put back from a backup, as one request, and gives how many those
/// are: what this state does not know to be done. The log of that state ends at `end`.
pub(crate) fn again(
    txn: &mut dyn Txn,
    workspace: WorkspaceId,
    backup: &str,
    notes: Vec<Erased>,
    end: u64,
    now: Timestamp,
) -> Result<u64, ApiError> {
    let known = requests(txn, workspace)?;
    let is_done = |note: &Erased| {
        let same = |(row, work): &&(Row, Work)| {
            row[1] == Value::Text(note.request.clone()) || work.covers.contains(&note.request)
        };
        known.iter().find(same).is_some_and(|(row, _)| row[3] != Value::Text(IN_PROGRESS.to_owned()))
    };
    let todo: Vec<Erased> = notes.into_iter().filter(|note| !is_done(note)).collect();
    if todo.is_empty() {
        return Ok(0);
    }
    let id = again_id(backup);
    let hashes: BTreeSet<String> = todo.iter().flat_map(|note| note.hashes.clone()).collect();
    let is_there = |node: &i64| u64::try_from(*node / NodeId::PER_OFFSET).is_ok_and(|offset| offset < end);
    let nodes: BTreeSet<i64> = todo.iter().flat_map(|note| note.nodes.clone()).filter(is_there).collect();
    let row_of = |hash: suppression::Digest| suppression::row(workspace, &hash, now, &id, end, true);
    txn.put(&schema::SUPPRESSED, hashes.iter().filter_map(|hash| suppression::parse(hash)).map(row_of).collect())?;
    let receipt = Receipt {
        request: id.clone(),
        profiles: todo.len() as u64,
        suppressed: hashes.len() as u64,
        cut_off: end,
        ..Receipt::default()
    };
    let work = Work {
        retention: false,
        again: true,
        covers: todo.iter().map(|note| note.request.clone()).collect(),
        nodes: nodes.into_iter().collect(),
        hashes: hashes.into_iter().collect(),
        told_at: vec![],
        receipt,
        signed: None,
    };
    txn.put(&schema::REQUEST, vec![row(workspace, &id, IN_PROGRESS, now, now, &work)])?;
    Ok(todo.len() as u64)
}

/// The public key that a workspace's receipts are signed with; `None` where it has signed none.
pub(crate) fn public_key(reader: &mut dyn Reader, workspace: WorkspaceId) -> Result<Option<String>, ApiError> {
    let row = reader.get(&schema::SECRET, &[key(workspace, RECEIPTS)])?.pop().flatten();
    let keys = row.map(|row| keys_of(row[2].as_bytes()?)).transpose()?;
    Ok(keys.map(|keys| STANDARD.encode(keys.public_key())))
}

fn keys_of(seed: &[u8]) -> Result<Ed25519KeyPair, ApiError> {
    Ed25519KeyPair::from_seed_unchecked(seed)
        .map_err(|error| ApiError::internal(format!("the key for receipts is damaged: {error}")))
}

/// Whether a receipt is as its workspace signed it.
pub(crate) fn is_signed(signed: &Signed) -> bool {
    let (Ok(key), Ok(signature)) = (STANDARD.decode(&signed.public_key), STANDARD.decode(&signed.signature)) else {
        return false;
    };
    UnparsedPublicKey::new(&ED25519, key).verify(signed.text.as_bytes(), &signature).is_ok()
}

fn is_about(letter: &Row, definitions: &Workspace, sight: &Sight) -> Result<bool, ApiError> {
    let is = |one: &Identifier| {
        definitions.suppressed.digest(&one.kind, &one.value).is_some_and(|digest| sight.hashes.contains(&digest))
    };
    let body = deadletters::body(letter)?;
    let all = [Some(body.event.as_str()), body.batch.as_deref()];
    let about =
        |json: &&str, is: &dyn Fn(&Identifier) -> bool| erase::json_is_about(json, &definitions.rules, Naming::Any, is);
    if all.iter().flatten().any(|json| about(json, &is)) {
        return Ok(true);
    }
    // What names nobody else is theirs if it has one of their identifiers in it as text.
    let names = |bytes: &[u8]| sight.mentions.as_ref().is_some_and(|mentions| mentions.is_match(bytes));
    let of_others = all.iter().flatten().any(|json| about(json, &|_| true));
    Ok(!of_others && (names(letter[8].as_bytes()?) || names(letter[4].as_text()?.as_bytes())))
}

/// Which of these nodes are there.
fn left_of(reader: &mut dyn Reader, workspace: WorkspaceId, nodes: &[i64]) -> Result<FxHashSet<i64>, ApiError> {
    let key = |node: &i64| vec![Value::Int(workspace.0.into()), Value::Int(0), Value::Int(*node)];
    let rows = reader.get(&schema::NODE, &nodes.iter().map(key).collect::<Vec<_>>())?;
    Ok(rows.into_iter().zip(nodes).filter_map(|(row, node)| row.map(|_| *node)).collect())
}

/// What became of the notices to destinations that commands at these offsets gave.
fn told(
    reader: &mut dyn Reader,
    workspace: WorkspaceId,
    offsets: &[u64],
) -> Result<BTreeMap<String, String>, ApiError> {
    let own = vec![Value::Int(workspace.0.into())];
    let mut told = BTreeMap::new();
    for destination in reader.scan(&Scan::prefix(&schema::DESTINATION, own, usize::MAX))? {
        let name = destination[1].as_text()?.to_owned();
        let (mut waiting, mut dead) = (0, 0);
        for offset in offsets {
            let prefix = [Value::Int(workspace.0.into()), destination[1].clone(), Value::uint(*offset)];
            waiting += reader.count(&schema::OUTBOX, &prefix)?;
            dead += reader.count(&schema::DELIVERY_DEAD, &prefix)?;
        }
        let status = match (waiting, dead) {
            (1.., _) if destination[3] == Value::Text("paused".to_owned()) => "paused",
            (1.., _) => WAITING,
            (_, 1..) => "dead",
            _ => DELIVERED,
        };
        told.insert(name, status.to_owned());
    }
    Ok(told)
}

/// Log offsets of the notices about people with these nodes that destinations have not confirmed.
fn notices(reader: &mut dyn Reader, workspace: WorkspaceId, nodes: &BTreeSet<i64>) -> Result<Vec<u64>, ApiError> {
    let mut offsets = BTreeSet::new();
    for table in [&schema::OUTBOX, &schema::DELIVERY_DEAD] {
        erase::each_row::<ApiError>(reader, table, &[Value::Int(workspace.0.into())], &mut |row| {
            if row[5] == Value::Text("erase".to_owned()) && nodes.contains(&row[7].as_int()?) {
                offsets.insert(row[2].as_uint()?);
            }
            Ok(())
        })?;
    }
    Ok(offsets.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_has_is_guessed_by_its_looks() {
        let guess = |text: &str| guessed(text).map(|one| format!("{}:{}", one.kind, one.value));
        assert_eq!(guess(" Ada@Example.com ").as_deref(), Some("email:ada@example.com"));
        assert_eq!(guess("+48 22 123 45 67").as_deref(), Some("phone:+48221234567"));
        assert_eq!(guess("crm:7").as_deref(), Some("crm:7"));
        assert_eq!(guess("u1").as_deref(), Some("user_id:u1"));
        assert_eq!(guess(""), None);
    }
}

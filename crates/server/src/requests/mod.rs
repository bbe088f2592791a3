//! What people ask for under privacy law: a request with a deadline, from when it comes until it is answered.
//!
//! ```text
//! unverified ──> pending ──> in_progress ──> completed
//!      └────────────┴──────────────┴───────> completed_with_exceptions, cancelled
//! ```
//!
//! Nothing is carried out before it is known that the person asked: somebody says how they were identified, or the person opens a
//! link that was sent to the e-mail address that the request is about, and says so there; a GET alone changes nothing.

mod case;
mod letters;
pub mod opendsr;
mod page;
mod token;
mod words;

use std::{collections::BTreeSet, sync::Arc};

use onefold_model::{
    Timestamp, Value as TraitValue, WorkspaceId,
    access::Access,
    clock::DAY_MS,
    command::{Command, IdentifierRef},
    consent::{EVERYTHING, Particulars, State as Consent, Strength},
    rng,
};
use onefold_pipeline::{admission, suppression};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use rustc_hash::FxHashSet;
use serde_json::{json, value::RawValue};

pub(crate) use self::page::zip_response;
use self::token::{Token, What};
pub use self::{
    case::*,
    letters::MailSettings,
    opendsr::OpenDsrSettings,
    page::{Entered, router},
};
use crate::{
    ApiError, App, api,
    audit::{self, Entry},
    erasure,
};

/// Requests of one person at a time.
const IDENTIFIERS_MAX: usize = 20;
/// Bytes of a note, an answer, a correction.
const TEXT_BYTES_MAX: usize = 8 << 10;
/// Days for which a link to confirm a request is good.
const CONFIRM_DAYS: i64 = 3;
/// Days for which an answer can be fetched.
const ANSWER_DAYS: i64 = 7;

fn key(workspace: WorkspaceId, id: &str) -> Row {
    vec![Value::Int(workspace.0.into()), Value::Text(id.to_owned())]
}

fn row_of(workspace: WorkspaceId, case: &Case) -> Row {
    let mut row = key(workspace, &case.id);
    row.extend([
        Value::Text(case.kind.name().to_owned()),
        Value::Text(case.status.name().to_owned()),
        Value::Int(case.received.0),
        Value::Int(case.due.0),
        case.controller.as_ref().map_or(Value::Null, |controller| Value::Text(controller.request.clone())),
        Value::Text(serde_json::to_string(case).unwrap_or_default()),
    ]);
    row
}

fn case_of(row: &Row) -> Result<Case, ApiError> {
    serde_json::from_str(row[7].as_text()?)
        .map_err(|error| ApiError::internal(format!("a request cannot be read: {error}")))
}

/// The requests of a workspace, the newest first.
pub(crate) fn list(reader: &mut dyn Reader, workspace: WorkspaceId) -> Result<Vec<Case>, ApiError> {
    let own = vec![Value::Int(workspace.0.into())];
    let scan = Scan { index: Some("recent"), reverse: true, ..Scan::prefix(&schema::SUBJECT_REQUEST, own, usize::MAX) };
    reader.scan(&scan)?.iter().map(case_of).collect()
}

/// One of them.
pub(crate) fn find(reader: &mut dyn Reader, workspace: WorkspaceId, id: &str) -> Result<Case, ApiError> {
    let row = reader.get(&schema::SUBJECT_REQUEST, &[key(workspace, id)])?.pop().flatten();
    let cure = "list them with `onefold request list`";
    row.as_ref().map(case_of).transpose()?.ok_or_else(|| ApiError::not_found("request", id, cure))
}

/// Whether nothing more becomes of the request in this row.
pub(crate) fn is_closed(row: &Row) -> Result<bool, ApiError> {
    Ok(case_of(row)?.status.is_final())
}

/// The one that a controller calls so.
fn of_controller(reader: &mut dyn Reader, workspace: WorkspaceId, name: &str) -> Result<Option<Case>, ApiError> {
    let prefix = vec![Value::Int(workspace.0.into()), Value::Text(name.to_owned())];
    let scan = Scan { index: Some("of_controller"), ..Scan::prefix(&schema::SUBJECT_REQUEST, prefix, 1) };
    reader.scan(&scan)?.first().map(case_of).transpose()
}

fn wrong(cause: impl Into<String>, cure: &str) -> ApiError {
    ApiError::bad_request("bad_request", cause, cure)
}

/// What a request must have to be one.
fn check(asked: &Asked) -> Result<(), ApiError> {
    if asked.identifiers.is_empty() || asked.identifiers.len() > IDENTIFIERS_MAX {
        let cause = format!("there are {} identifiers, not from 1 to {IDENTIFIERS_MAX}", asked.identifiers.len());
        return Err(wrong(cause, "name the one person who asks, by what they told"));
    }
    asked.identifiers.iter().try_for_each(|text| erasure::identifier(text).map(drop))?;
    if (asked.kind == Kind::Rectify) == asked.corrections.is_empty() {
        return Err(wrong(
            "corrections belong to a request to rectify, and to no other",
            "give `corrections`: {\"trait\": value}",
        ));
    }
    let long =
        [&asked.note, &asked.purpose, &asked.identified].into_iter().flatten().any(|text| text.len() > TEXT_BYTES_MAX);
    match long || serde_json::to_string(&asked.corrections).is_ok_and(|text| text.len() > TEXT_BYTES_MAX) {
        true => Err(wrong("the request says too much", "keep each text below 8 KB")),
        false => Ok(()),
    }
}

impl App {
    /// Takes a request in. Who is identified, and how, is said; or it waits until the person confirms it by e-mail.
    pub(crate) async fn open_request(
        self: &Arc<Self>,
        access: &Access,
        asked: Asked,
        controller: Option<Controller>,
        language: Option<String>,
    ) -> Result<Case, ApiError> {
        check(&asked)?;
        let now = self.clock.now();
        let received = match &asked.received {
            // It did not come in the time ahead.
            Some(text) => api::instant(text)?.min(now),
            None => now,
        };
        let regulation = asked.regulation.unwrap_or_default();
        let mut case = Case {
            id: format!("dsr_{}", rng::hex(&*self.rng, 8)),
            kind: asked.kind,
            status: Status::Unverified,
            regulation,
            received,
            due: received.plus(regulation.days() * DAY_MS),
            identifiers: asked.identifiers,
            corrections: asked.corrections,
            purpose: asked.purpose,
            note: asked.note,
            identified: None,
            extended: None,
            controller,
            result: None,
            language,
            history: vec![],
        };
        case.step(now, access.caller.name(), Status::Unverified, "received");
        if let Some(how) = asked.identified {
            case.identified = Some(how.clone());
            case.step(now, access.caller.name(), Status::Pending, &how);
        } else {
            self.can_ask(&case)?;
        }
        let saved = case.clone();
        let workspace = access.workspace;
        self.block(move |app| app.save_request(workspace, &saved)).await?;
        if case.status == Status::Unverified {
            self.ask_by_mail(workspace, &case).await?;
        }
        self.tell_controllers();
        Ok(case)
    }

    /// Whether the person can be asked by e-mail: the request names one address and nothing else, so that whoever reads its mail is
    /// whom it is about.
    fn can_ask(&self, case: &Case) -> Result<(), ApiError> {
        let one = match case.identifiers.as_slice() {
            [one] => erasure::identifier(one)?.kind == "email",
            _ => false,
        };
        if !one {
            let cure = "give `identified`: how you know that the person asked; or give their e-mail address alone";
            return Err(wrong("nobody was identified, and a link can only be sent to one e-mail address", cure));
        }
        if self.settings.mail.is_none() {
            let cure = "give `identified`: how you know that the person asked; or set [mail] in the settings";
            return Err(wrong("nobody was identified, and no mail can be sent", cure));
        }
        Ok(())
    }

    fn save_request(&self, workspace: WorkspaceId, case: &Case) -> Result<(), ApiError> {
        let mut txn = self.store.begin_shared()?;
        txn.put(&schema::SUBJECT_REQUEST, vec![row_of(workspace, case)])?;
        Ok(txn.commit()?)
    }

    /// Reads a request, changes it and writes it, as one.
    async fn change_request(
        self: &Arc<Self>,
        workspace: WorkspaceId,
        id: &str,
        change: impl FnOnce(&mut Case) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Case, ApiError> {
        let id = id.to_owned();
        let case = self
            .block(move |app| {
                let mut txn = app.store.begin_shared()?;
                let mut case = find(&mut *txn, workspace, &id)?;
                change(&mut case)?;
                txn.put(&schema::SUBJECT_REQUEST, vec![row_of(workspace, &case)])?;
                txn.commit()?;
                Ok(case)
            })
            .await?;
        self.tell_controllers();
        Ok(case)
    }

    /// The person said that it was them.
    async fn confirm_request(self: &Arc<Self>, workspace: WorkspaceId, id: &str) -> Result<Case, ApiError> {
        let now = self.clock.now();
        self.change_request(workspace, id, move |case| {
            if case.status == Status::Unverified {
                case.identified = Some("by a link sent to their e-mail address".to_owned());
                case.step(now, "subject", Status::Pending, "confirmed by e-mail");
            }
            Ok(())
        })
        .await
    }

    /// Somebody says how the person was identified.
    pub(crate) async fn verify_request(
        self: &Arc<Self>,
        access: &Access,
        id: &str,
        how: String,
    ) -> Result<Case, ApiError> {
        let (now, caller) = (self.clock.now(), access.caller.name().into_owned());
        self.change_request(access.workspace, id, move |case| {
            case.must_be(&[Status::Unverified])?;
            case.identified = Some(how.clone());
            case.step(now, caller, Status::Pending, &how);
            Ok(())
        })
        .await
    }

    /// Gives it more time, once, and says why.
    pub(crate) async fn extend_request(
        self: &Arc<Self>,
        access: &Access,
        id: &str,
        why: String,
    ) -> Result<Case, ApiError> {
        let (now, caller) = (self.clock.now(), access.caller.name().into_owned());
        self.change_request(access.workspace, id, move |case| {
            case.must_be(&[Status::Unverified, Status::Pending, Status::InProgress])?;
            if now > case.due {
                return Err(ApiError::conflict("its time is up, and more is to be said before", "carry it out"));
            }
            if case.extended.is_some() || case.regulation.more_days() == 0 {
                return Err(ApiError::conflict(
                    "this deadline cannot be extended (again)",
                    "carry it out, or cancel it",
                ));
            }
            case.due = case.due.plus(case.regulation.more_days() * DAY_MS);
            case.extended = Some(why.clone());
            let status = case.status;
            case.step(now, caller, status, &format!("extended: {why}"));
            Ok(())
        })
        .await
    }

    /// Ends it without carrying it out.
    pub(crate) async fn cancel_request(
        self: &Arc<Self>,
        access: &Access,
        id: &str,
        why: String,
    ) -> Result<Case, ApiError> {
        let (now, caller) = (self.clock.now(), access.caller.name().into_owned());
        let (under_way, key) = (self.under_way.clone(), (access.workspace, id.to_owned()));
        self.change_request(access.workspace, id, move |case| {
            if under_way.lock().contains(&key) {
                return Err(ApiError::conflict("it is being carried out now", "wait for what comes of it"));
            }
            case.must_be(&[Status::Unverified, Status::Pending, Status::InProgress])?;
            case.step(now, caller, Status::Cancelled, &why);
            Ok(())
        })
        .await
    }

    /// Does what was asked. One that was cut short may be carried out again: every step may be done twice.
    pub(crate) async fn carry_out_request(
        self: &Arc<Self>,
        access: &Access,
        id: &str,
        despite_warning: bool,
    ) -> Result<Case, ApiError> {
        let workspace = access.workspace;
        let _turn = Turn::take(&self.under_way, (workspace, id.to_owned()))?;
        let (now, caller) = (self.clock.now(), access.caller.name().into_owned());
        let (theirs, asked) = (access.clone(), id.to_owned());
        let warning = self
            .read(move |app, reader| {
                let case = find(reader, theirs.workspace, &asked)?;
                case.must_be(&[Status::Pending, Status::InProgress])?;
                let touches = matches!(case.kind, Kind::Erase | Kind::Access | Kind::Portability);
                if !touches {
                    return Ok((None, vec![]));
                }
                let preview = app.preview_erasure(reader, &theirs, &case.identifiers)?;
                let first = preview.people.first().map(|person| person.identifiers.clone());
                Ok((preview.warning(), first.unwrap_or_default()))
            })
            .await?;
        let (warning, theirs_are) = warning;
        if let Some(warning) = warning.filter(|_| !despite_warning) {
            let cure = "look at `onefold request show`, part whoever does not belong together (`onefold profile unmerge`), or go on with --despite-warning";
            return Err(ApiError::conflict(warning, cure).with_code("more_than_one_person"));
        }
        let by = caller.clone();
        let case = self
            .change_request(workspace, id, move |case| {
                case.must_be(&[Status::Pending, Status::InProgress])?;
                case.step(now, by, Status::InProgress, "carried out");
                Ok(())
            })
            .await?;
        let (result, exceptions) = match case.kind {
            Kind::Access | Kind::Portability => self.answer_of(access, &case).await?,
            Kind::Erase => {
                let erased = self.erase(access, case.identifiers.clone()).await?;
                let exceptions = erased.receipt.as_ref().is_some_and(|receipt| !receipt.exceptions.is_empty());
                (json!({ "erasure": erased.request }), exceptions)
            }
            _ => {
                let commands = self.commands_of(access, &case).await?;
                let count = commands.len();
                self.commands(access, commands).await?;
                (json!({ "held": count > 0, "entered": count }), false)
            }
        };
        let status = if exceptions { Status::CompletedWithExceptions } else { Status::Completed };
        let address = case.address().filter(|address| match case.kind {
            // An answer goes to no address that is not the person's own.
            Kind::Access | Kind::Portability => {
                theirs_are.is_empty() || theirs_are.contains(&format!("email:{address}"))
            }
            _ => true,
        });
        let done = self.clock.now();
        let case = self
            .change_request(workspace, id, move |case| {
                case.result = Some(result);
                case.step(done, caller, status, status.name());
                if case.kind == Kind::Erase {
                    case.forget();
                }
                Ok(())
            })
            .await?;
        if let Some(address) = address {
            self.answer_by_mail(workspace, &case, &address).await;
        }
        Ok(case)
    }

    /// What a request's answer is: where it can be fetched, if anything is held.
    async fn answer_of(self: &Arc<Self>, access: &Access, case: &Case) -> Result<(serde_json::Value, bool), ApiError> {
        let (theirs, texts) = (access.clone(), case.identifiers.clone());
        let people = self.read(move |app, reader| app.preview_erasure(reader, &theirs, &texts)).await?.people.len();
        if people == 0 {
            return Ok((json!({ "held": false }), false));
        }
        let until = self.clock.now().plus(ANSWER_DAYS * DAY_MS);
        let path = self.request_path(access.workspace, &case.id, What::Answer, until).await?;
        // Several profiles are several answers; the first identifier's is given, and the others are said.
        Ok((json!({ "held": true, "people": people, "answer": path, "until": until.to_string() }), people > 1))
    }

    /// The commands that carry a request out which changes what is said of a person.
    async fn commands_of(self: &Arc<Self>, access: &Access, case: &Case) -> Result<Vec<Command>, ApiError> {
        let (theirs, case) = (access.clone(), case.clone());
        self.read(move |app, reader| {
            let definitions = app.definitions(reader, theirs.workspace)?;
            let mut commands = vec![];
            for text in &case.identifiers {
                // Of whom nothing is held there is nothing to be changed.
                let subject = match api::profiles::identifier(reader, &theirs, text) {
                    Err(error) if error.code == "not_found" => continue,
                    subject => subject?,
                };
                commands.extend(of_subject(&case, &subject)?);
                if case.kind == Kind::Rectify {
                    break;
                }
            }
            let problems: BTreeSet<String> =
                commands.iter().flat_map(|command| admission::problems_of(&definitions, command)).collect();
            match problems.first() {
                Some(problem) => {
                    Err(wrong(problem.clone(), "cancel this request, and enter one that can be carried out"))
                }
                None => Ok(commands),
            }
        })
        .await
    }

    async fn request_path(
        self: &Arc<Self>,
        workspace: WorkspaceId,
        id: &str,
        what: What,
        until: Timestamp,
    ) -> Result<String, ApiError> {
        let token = Token::new(workspace, id, what, until);
        let token = self.block(move |app| token.sign(&crate::preferences::made_secret(app, workspace)?)).await?;
        Ok(match what {
            What::Confirm => format!("/privacy/confirm/{token}"),
            What::Answer => format!("/privacy/answer/{token}"),
        })
    }

    /// The answer of a request that was carried out; `None`: it has none, or nobody is there any more.
    pub(crate) async fn request_answer(
        self: &Arc<Self>,
        workspace: WorkspaceId,
        case: &Case,
    ) -> Result<Option<Vec<u8>>, ApiError> {
        let is_answered = case.result.as_ref().is_some_and(|result| result["answer"].is_string());
        if !matches!(case.kind, Kind::Access | Kind::Portability) || !is_answered {
            return Ok(None);
        }
        let (access, case) = (self.operator(workspace), case.clone());
        self.block(move |app| {
            app.record(&Entry {
                workspace,
                caller: "subject".to_owned(),
                action: "privacy.answer".to_owned(),
                kind: audit::Kind::Read,
                path: "/privacy/answer".to_owned(),
                details: json!({ "request": case.id }),
                customers: vec![],
            })?;
            let reader = &mut *app.store.reader()?;
            let definitions = app.definitions(reader, workspace)?;
            for text in &case.identifiers {
                match app.subject_zip(reader, &access, &definitions, text) {
                    Err(error) if error.code == "not_found" => {}
                    zip => return zip.map(Some),
                }
            }
            Ok(None)
        })
        .await
    }

    /// Takes the person out of requests that are closed; those that are not are about them for as long as they are open.
    pub(crate) fn forget_in_requests(
        &self,
        txn: &mut dyn Txn,
        workspace: WorkspaceId,
        list: &suppression::Suppressed,
        hashes: &FxHashSet<suppression::Digest>,
    ) -> Result<(), ApiError> {
        let own = vec![Value::Int(workspace.0.into())];
        let mut rows = vec![];
        for row in txn.scan(&Scan::prefix(&schema::SUBJECT_REQUEST, own, usize::MAX))? {
            let mut case = case_of(&row)?;
            let is_theirs = |text: &String| {
                erasure::identifier(text)
                    .ok()
                    .and_then(|one| list.digest(&one.kind, &one.value))
                    .is_some_and(|digest| hashes.contains(&digest))
            };
            let ends = case.status.is_final() || case.status == Status::Unverified;
            if ends && case.identifiers.iter().any(is_theirs) {
                if case.status == Status::Unverified {
                    case.step(self.clock.now(), "engine", Status::Cancelled, "");
                }
                case.forget();
                rows.push(row_of(workspace, &case));
            }
        }
        Ok(txn.put(&schema::SUBJECT_REQUEST, rows)?)
    }
}

fn of_subject(case: &Case, subject: &IdentifierRef) -> Result<Vec<Command>, ApiError> {
    let (purpose, state) = match case.kind {
        Kind::Rectify => {
            let corrected = |(name, value): (&String, &serde_json::Value)| {
                let raw: Box<RawValue> =
                    serde_json::from_str(&value.to_string()).map_err(|error| ApiError::internal(error.to_string()))?;
                let value = Some(TraitValue::from_json(&raw));
                Ok(Command::Override { subject: subject.clone(), name: name.clone(), value })
            };
            return case.corrections.iter().map(corrected).collect();
        }
        Kind::Restrict => ("$processing", Consent::Restricted),
        Kind::OptOutOfSale => ("$sale", Consent::Denied),
        Kind::LimitSensitive => ("$sensitive", Consent::Denied),
        Kind::NoAutomated => ("$automated", Consent::Objected),
        Kind::Object => (case.purpose.as_deref().unwrap_or(EVERYTHING), Consent::Objected),
        Kind::Access | Kind::Portability | Kind::Erase => return Ok(vec![]),
    };
    let terms = Particulars { proof: Some(format!("request {}", case.id)), ..Particulars::default() };
    Ok(vec![Command::Consent {
        subject: subject.clone(),
        purpose: purpose.to_owned(),
        channel: None,
        state,
        by: Strength::Person,
        terms,
    }])
}

/// Requests that are being carried out.
pub(crate) type UnderWay = Arc<parking_lot::Mutex<BTreeSet<(WorkspaceId, String)>>>;

/// The turn of whoever carries a request out; nobody else does, or cancels it, meanwhile.
struct Turn(UnderWay, (WorkspaceId, String));

impl Turn {
    fn take(under_way: &UnderWay, key: (WorkspaceId, String)) -> Result<Turn, ApiError> {
        match under_way.lock().insert(key.clone()) {
            true => Ok(Turn(under_way.clone(), key)),
            false => Err(ApiError::conflict("it is being carried out now", "wait for what comes of it")),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

/// How requests go: how many of each kind are open, late, done, and in how many days.
pub(crate) fn statistics(cases: &[Case], now: Timestamp) -> Vec<KindStatistics> {
    let mut all = vec![];
    for kind in Kind::ALL {
        let of: Vec<&Case> = cases.iter().filter(|case| case.kind == kind).collect();
        if of.is_empty() {
            continue;
        }
        let count = |is: &dyn Fn(&Case) -> bool| of.iter().filter(|case| is(case)).count() as u64;
        let done = |case: &Case| matches!(case.status, Status::Completed | Status::CompletedWithExceptions);
        let mut days: Vec<i64> = of
            .iter()
            .filter(|case| done(case))
            .filter_map(|case| Some((case.ended()?.0 - case.received.0) / DAY_MS))
            .collect();
        days.sort_unstable();
        all.push(KindStatistics {
            kind,
            received: of.len() as u64,
            open: count(&|case| !case.status.is_final()),
            overdue: count(&|case| case.is_overdue(now)),
            completed: count(&done),
            cancelled: count(&|case| case.status == Status::Cancelled),
            late: count(&|case| done(case) && case.ended().is_some_and(|ended| ended > case.due)),
            median_days: days.get(days.len() / 2).copied(),
        });
    }
    all
}

//! Who calls, for which workspace, and what they may.
//!
//! Three kinds of callers: the operator with the data folder's token, who may everything; a program with a key; a person with a
//! session. Of a person or a program each request is done under one of their roles, the first that permits it, and sees what that
//! role sees.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request, State},
    http::{HeaderMap, Method, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use onefold_model::{
    WorkspaceId,
    access::{self, Access, Class, Classes, Mask, Purpose, Sight},
    profile::computed::ComputedTrait,
};
use onefold_pipeline::definitions::Workspace;
use onefold_role::{Action, Circumstances, Policies, Principal, Rights};
use onefold_state::{Reader, Scan, Value, schema};
use parking_lot::RwLock;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    ApiError, App,
    audit::{self, Entry, Kind},
    people::{
        self, Account, COOKIE, Grant, Holder, Key, SignedIn, Standing,
        endpoint::{Audited, Endpoint, Shows, audited, endpoint},
    },
};

/// Whoever sends the request, once it is known.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// Holds the data folder's token.
    Operator,
    /// Is signed in.
    Person(SignedIn),
    /// Has a key.
    Program(Key),
}

impl Identity {
    fn holder(&self) -> Option<Holder> {
        match self {
            Identity::Operator => None,
            Identity::Person(one) => Some(Holder::User(one.account.number)),
            Identity::Program(key) => Some(Holder::Key(key.number)),
        }
    }

    /// How the log and the audit log call them.
    pub fn caller(&self) -> access::Caller {
        match self {
            Identity::Operator => access::Caller::Operator,
            Identity::Person(one) => access::Caller::User(one.account.number),
            Identity::Program(key) => access::Caller::Key(key.number),
        }
    }
}

/// What roles may do, as it was worked out.
#[derive(Default)]
pub(crate) struct Decided {
    policies: RwLock<HashMap<WorkspaceId, (i64, Arc<Policies>)>>,
    rights: RwLock<HashMap<Question, Arc<Rights>>>,
}

/// Whose rights, by which version of a workspace's policies.
type Question = (WorkspaceId, i64, Principal, Circumstances);

/// Rights that are kept; above that all are worked out again.
const RIGHTS_MAX: usize = 10_000;

/// Lets through who may do what is asked, with the access that they have.
pub async fn require_role(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let (identity, access) = match app.admit(&parts).await {
        Ok(admitted) => admitted,
        Err((identity, error)) => return app.refuse(&parts, identity, error).await.into_response(),
    };
    let entry = app.entry(&parts, &identity);
    let audited = audited(&parts.method, &entry.path);
    parts.extensions.insert(identity);
    if let Some(access) = access {
        parts.extensions.insert(access);
    }
    let answer = next.run(Request::from_parts(parts, body));
    match audited {
        Audited::No => answer.await,
        Audited::Read => app.answer_on_record(Entry { kind: Kind::Read, ..entry }, answer).await,
        Audited::Change => app.answer_on_record(entry, answer).await,
    }
}

/// Parameters of paths that name a customer.
const OF_CUSTOMERS: [&str; 1] = ["identifier"];

impl App {
    async fn write_down(self: &Arc<Self>, mut entry: Entry) -> Result<(), ApiError> {
        self.block(move |app| {
            for (name, value) in std::mem::take(&mut entry.customers) {
                entry.details[name] = app.pseudonym(entry.workspace, &value)?.into();
            }
            app.record(&entry)?;
            if entry.kind == Kind::Read { app.count_read(&entry) } else { Ok(()) }
        })
        .await
    }

    /// Answers once it is written down that it is asked, and writes down what came of it.
    async fn answer_on_record(self: &Arc<Self>, begun: Entry, answer: impl Future<Output = Response>) -> Response {
        // What cannot be written down is not done.
        if let Err(error) = self.write_down(begun.clone()).await {
            return error.into_response();
        }
        let (response, notes) = audit::noting(answer).await;
        let status = response.status();
        let succeeded = status.is_success() || status.is_redirection();
        if begun.kind == Kind::Read && notes.is_empty() && succeeded {
            return response;
        }
        let mut details = begun.details.clone();
        details["status"] = status.as_u16().into();
        if !notes.is_empty() {
            details["notes"] = notes.into();
        }
        let kind = if succeeded { Kind::Done } else { Kind::Failed };
        if let Err(error) = self.write_down(Entry { kind, details, ..begun }).await {
            tracing::error!(
                ?error,
                "what came of a request could not be written to the audit log; that it began stands there"
            );
        }
        response
    }

    /// Writes down that somebody was refused, where it is known who.
    async fn refuse(self: &Arc<Self>, parts: &Parts, identity: Option<Identity>, error: ApiError) -> ApiError {
        let Some(identity) = identity else { return error };
        let mut entry = Entry { kind: Kind::Refused, ..self.entry(parts, &identity) };
        entry.details["why"] = error.message.clone().into();
        self.write_down(entry).await.err().unwrap_or(error)
    }

    /// The audit log's entry of a request, as it begins.
    fn entry(&self, parts: &Parts, identity: &Identity) -> Entry {
        let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
        let action = endpoint(&parts.method, path).and_then(|endpoint| endpoint.action).map_or("own", Action::name);
        let mut details = json!({ "method": parts.method.as_str() });
        let mut customers = vec![];
        for (value, name) in parts.uri.path().split('/').zip(path.split('/')) {
            let Some(name) = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')) else { continue };
            let value = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
            match OF_CUSTOMERS.contains(&name) {
                true => customers.push((name.to_owned(), value.into_owned())),
                false => details[name] = value.into(),
            }
        }
        if let Some(purpose) = text(&parts.headers, "onefold-purpose") {
            details["purpose"] = purpose.into();
        }
        let workspace = self.workspace(text(&parts.headers, "onefold-workspace").unwrap_or("default"));
        Entry {
            // 0: of none.
            workspace: workspace.unwrap_or(people::EVERYWHERE),
            caller: identity.caller().name().into_owned(),
            action: action.to_owned(),
            kind: Kind::Begun,
            path: path.to_owned(),
            details,
            customers,
        }
    }
}

/// What of a request decides who it is from and what it is.
struct Asked {
    endpoint: Option<Endpoint>,
    bearer: Option<String>,
    cookie: Option<String>,
    /// Whether a page of ours sent it.
    is_own_page: bool,
    workspace: String,
    purpose: Option<String>,
    role: Option<String>,
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}

/// The value of our cookie.
pub(crate) fn session_of(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned())
}

/// Whether the page that sends this is of the same host. A browser says so with everything that is no plain GET.
pub(crate) fn is_of_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = text(headers, "origin") else { return false };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(headers, "host")
}

impl Asked {
    fn of(parts: &Parts) -> Asked {
        let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
        let named = |name: &str| text(&parts.headers, name).filter(|value| !value.is_empty()).map(str::to_owned);
        Asked {
            endpoint: endpoint(&parts.method, path),
            bearer: text(&parts.headers, "authorization")
                .and_then(|value| value.strip_prefix("Bearer "))
                .map(|value| value.trim().to_owned()),
            cookie: session_of(&parts.headers),
            is_own_page: matches!(parts.method, Method::GET | Method::HEAD) || is_of_own_page(&parts.headers),
            workspace: named("onefold-workspace").unwrap_or_else(|| "default".to_owned()),
            purpose: named("onefold-purpose"),
            role: named("onefold-role"),
        }
    }
}

impl App {
    /// Whether this is the operator's token. Hashes are compared, so that the time it takes says nothing about it.
    pub(crate) fn is_token(&self, given: &str) -> bool {
        Sha256::digest(given.trim().as_bytes()) == Sha256::digest(self.settings.token.as_bytes())
    }

    /// Who sends a request, with which access; or why it is refused, with who it is where that is known.
    async fn admit(
        self: &Arc<Self>,
        parts: &Parts,
    ) -> Result<(Identity, Option<Access>), (Option<Identity>, ApiError)> {
        let asked = Asked::of(parts);
        if asked.bearer.as_deref().is_some_and(|given| self.is_token(given)) {
            let Some(workspace) = self.workspace(&asked.workspace) else { return Ok((Identity::Operator, None)) };
            let Some(purpose) = asked.purpose else { return Ok((Identity::Operator, Some(self.operator(workspace)))) };
            let shows = asked.endpoint.map_or(Shows::Nobody, |endpoint| endpoint.shows);
            let wanted = Wanted { action: Action::ProfilesView, shows, purpose: Some(purpose), role: None };
            let access =
                self.look(move |app, reader| app.permitted(reader, &Identity::Operator, workspace, &wanted)).await;
            return Ok((Identity::Operator, Some(access.map_err(|error| (None, error))?)));
        }
        let admitted = self.look(move |app, reader| {
            let identity = app.identify(reader, &asked)?;
            let permitted = match asked.endpoint {
                Some(Endpoint { action: None, .. }) => Ok(None),
                Some(Endpoint { action: Some(action), shows }) => {
                    let workspace = app.named_workspace(&asked.workspace)?;
                    let wanted = Wanted { action, shows, purpose: asked.purpose, role: asked.role };
                    app.permitted(reader, &identity, workspace, &wanted).map(Some)
                }
                None => {
                    Err(ApiError::forbidden("this is for the operator alone", "use the command line on the server"))
                }
            };
            Ok((identity, permitted))
        });
        match admitted.await {
            Err(error) => Err((None, error)),
            Ok((identity, Ok(access))) => Ok((identity, access)),
            Ok((identity, Err(error))) => Err((Some(identity), error)),
        }
    }

    pub(crate) fn named_workspace(&self, name: &str) -> Result<WorkspaceId, ApiError> {
        let cure = "make it with `onefold workspace add`";
        self.workspace(name).ok_or_else(|| ApiError::not_found("workspace", name, cure))
    }

    fn identify(&self, reader: &mut dyn Reader, asked: &Asked) -> Result<Identity, ApiError> {
        if let Some(given) = &asked.bearer {
            return self.key(reader, given)?.map(Identity::Program).ok_or_else(ApiError::unauthorised);
        }
        let Some(token) = &asked.cookie else { return Err(ApiError::unauthorised()) };
        let signed_in = self.signed_in(reader, token)?;
        let signed_in = signed_in.ok_or_else(|| ApiError::signed_out("the session has ended", "sign in again"))?;
        if !asked.is_own_page {
            // A cookie goes along with whatever page sends a request.
            let cure = "send it from a page of this server, or with a key";
            return Err(ApiError::forbidden("the request does not come from a page of this server", cure));
        }
        Ok(Identity::Person(signed_in))
    }

    /// What a person or a program may, in each of the roles that they have here, in the order in which they count.
    pub(crate) fn roles_of(
        &self,
        reader: &mut dyn Reader,
        identity: &Identity,
        workspace: WorkspaceId,
        purpose: &Purpose,
    ) -> Result<Vec<(Grant, Arc<Rights>)>, ApiError> {
        let Some(holder) = identity.holder() else { return Ok(vec![]) };
        let (name, is_program, second_factor, teams) = match identity {
            Identity::Operator => return Ok(vec![]),
            Identity::Person(SignedIn { account, second_factor }) => {
                (account.email.clone(), false, *second_factor, people::teams_of(reader, account.number)?)
            }
            Identity::Program(key) => (key.name.clone(), true, false, vec![]),
        };
        let grants = Grant::counting(reader, workspace, &holder, &teams)?;
        let named = self.workspaces().into_iter().find(|(id, _)| *id == workspace).map(|(_, name)| name);
        let circumstances =
            Circumstances { workspace: named.unwrap_or_default(), purpose: purpose.0.clone(), second_factor };
        let rights = grants.into_iter().map(|grant| {
            let principal =
                Principal { name: name.clone(), is_program, role: grant.role.clone(), teams: teams.clone() };
            let rights = self.rights(reader, workspace, principal, circumstances.clone())?;
            Ok((grant, rights))
        });
        rights.collect()
    }

    /// Whether they have a role in the workspace.
    pub(crate) fn is_at_home(
        &self,
        reader: &mut dyn Reader,
        identity: &Identity,
        workspace: WorkspaceId,
    ) -> Result<bool, ApiError> {
        let is_operator = matches!(identity, Identity::Operator);
        Ok(is_operator || !self.roles_of(reader, identity, workspace, &Purpose::administration())?.is_empty())
    }

    /// What a role permits somebody who has no name and no team, with a second factor.
    pub(crate) fn rights_of_role(
        &self,
        reader: &mut dyn Reader,
        access: &Access,
        role: &str,
    ) -> Result<Arc<Rights>, ApiError> {
        let named = self.workspaces().into_iter().find(|(id, _)| *id == access.workspace).map(|(_, name)| name);
        let (workspace, purpose) = (named.unwrap_or_default(), access.purpose.0.clone());
        let circumstances = Circumstances { workspace, purpose, second_factor: true };
        let principal = Principal { name: String::new(), is_program: false, role: role.to_owned(), teams: vec![] };
        self.rights(reader, access.workspace, principal, circumstances)
    }

    fn rights(
        &self,
        reader: &mut dyn Reader,
        workspace: WorkspaceId,
        principal: Principal,
        circumstances: Circumstances,
    ) -> Result<Arc<Rights>, ApiError> {
        let (version, policies) = self.policies(reader, workspace)?;
        let key = (workspace, version, principal, circumstances);
        if let Some(known) = self.decided.rights.read().get(&key) {
            return Ok(known.clone());
        }
        let rights = Arc::new(policies.rights(&key.2, &key.3));
        let mut kept = self.decided.rights.write();
        if kept.len() >= RIGHTS_MAX {
            kept.clear();
        }
        kept.insert(key, rights.clone());
        Ok(rights)
    }

    /// The policies in force in a workspace, with their version; 0: none of its own.
    pub(crate) fn policies(
        &self,
        reader: &mut dyn Reader,
        workspace: WorkspaceId,
    ) -> Result<(i64, Arc<Policies>), ApiError> {
        let own = vec![Value::Int(workspace.0.into())];
        let last = reader.scan(&Scan { reverse: true, ..Scan::prefix(&schema::ACCESS_POLICY, own, 1) })?;
        let version = last.first().map_or(Ok(0), |row| row[1].as_int())?;
        if let Some((known, policies)) = self.decided.policies.read().get(&workspace)
            && *known == version
        {
            return Ok((version, policies.clone()));
        }
        let text = last.first().map_or(Ok(""), |row| row[2].as_text())?;
        let policies = Policies::read(text).map_err(|wrong| {
            ApiError::internal(format!(
                "the workspace's policies cannot be read any more, so nobody is let in by them: {wrong}"
            ))
        })?;
        let policies = Arc::new(policies);
        self.decided.policies.write().insert(workspace, (version, policies.clone()));
        Ok((version, policies))
    }

    /// The access with which this may be done, or why it may not.
    pub(crate) fn permitted(
        &self,
        reader: &mut dyn Reader,
        identity: &Identity,
        workspace: WorkspaceId,
        wanted: &Wanted,
    ) -> Result<Access, ApiError> {
        let purpose = wanted.purpose.clone().map_or_else(Purpose::administration, Purpose);
        if !purpose.is_administration() && wanted.shows.is_of_everybody() {
            let cause = format!("this shows everybody, whether or not they allow {:?}", purpose.0);
            return Err(ApiError::forbidden(cause, "leave out `Onefold-Purpose`"));
        }
        if matches!(identity, Identity::Operator) {
            let sight = self.for_purpose(reader, workspace, Sight::all(), &purpose)?;
            return Ok(Access { purpose, sight, ..self.operator(workspace) });
        }
        let roles = self.roles_of(reader, identity, workspace, &purpose)?;
        let mut hidden = false;
        for (grant, rights) in &roles {
            if wanted.role.as_ref().is_some_and(|role| *role != grant.role) || !rights.allow(wanted.action) {
                continue;
            }
            if !wanted.shows.fits(grant, rights) {
                hidden = true;
                continue;
            }
            let sight = self.sight(reader, workspace, grant, rights)?;
            let sight = self.for_purpose(reader, workspace, sight, &purpose)?;
            return Ok(Access { caller: identity.caller(), workspace, purpose, at: self.clock.now(), sight });
        }
        let action = wanted.action.name();
        let names: Vec<&str> = roles.iter().map(|(grant, _)| grant.role.as_str()).collect();
        let who = match names.is_empty() {
            true => "you have no role in this workspace".to_owned(),
            false => format!("your role ({})", names.join(", ")),
        };
        let cause = match (names.is_empty(), hidden) {
            (true, _) => who,
            (false, false) => format!("{who} does not permit {action}"),
            (false, true) => format!("{who} permits {action}, but this shows more of people than you see"),
        };
        Err(ApiError::forbidden(cause, "ask an administrator for a role that has it (`onefold role grant`)"))
    }

    fn sight(
        &self,
        reader: &mut dyn Reader,
        workspace: WorkspaceId,
        grant: &Grant,
        rights: &Rights,
    ) -> Result<Arc<Sight>, ApiError> {
        let masks = rights.masks();
        let classes = classes_with_computed(&*self.definitions(reader, workspace)?, &masks);
        let key = if masks.contains(&Mask::Hashed) { self.mask_key(workspace)? } else { (0, 0) };
        Ok(Arc::new(Sight::new(masks, classes, grant.only.clone(), key)))
    }

    /// The sight of those who allow the purpose.
    fn for_purpose(
        &self,
        reader: &mut dyn Reader,
        workspace: WorkspaceId,
        sight: Arc<Sight>,
        purpose: &Purpose,
    ) -> Result<Arc<Sight>, ApiError> {
        if purpose.is_administration() {
            return Ok(sight);
        }
        let policy = self.definitions(reader, workspace)?.policy.clone();
        Ok(Arc::new(sight.by_policy(policy)))
    }

    /// What a workspace's hashes are made with.
    pub(crate) fn mask_key(&self, workspace: WorkspaceId) -> Result<(u64, u64), ApiError> {
        let key = vec![Value::Int(workspace.0.into()), Value::Text("masks".to_owned())];
        let find = |reader: &mut dyn Reader| -> Result<Option<(u64, u64)>, ApiError> {
            let Some(row) = reader.get(&schema::SECRET, std::slice::from_ref(&key))?.pop().flatten() else {
                return Ok(None);
            };
            let bytes: [u8; 16] =
                row[2].as_bytes()?.try_into().map_err(|_| ApiError::internal("the key for masks is damaged"))?;
            let number = u128::from_le_bytes(bytes);
            Ok(Some((number as u64, (number >> 64) as u64)))
        };
        if let Some(known) = find(&mut *self.store.reader()?)? {
            return Ok(known);
        }
        let mut txn = self.store.begin_shared()?;
        if let Some(known) = find(&mut *txn)? {
            return Ok(known);
        }
        let mut bytes = [0; 16];
        self.rng.fill(&mut bytes);
        txn.put(&schema::SECRET, vec![vec![key[0].clone(), key[1].clone(), Value::Bytes(bytes.to_vec())]])?;
        txn.commit()?;
        let number = u128::from_le_bytes(bytes);
        Ok((number as u64, (number >> 64) as u64))
    }

    /// The access of whoever connects to SQL: the operator by the token, a program by its key, a person by their password if they
    /// have no second factor, which this protocol cannot ask for.
    pub(crate) fn admit_to_sql(&self, user: &str, workspace: &str, password: &str) -> Result<Access, ApiError> {
        let number = self.named_workspace(workspace)?;
        if self.is_token(password) {
            return Ok(self.operator(number));
        }
        let reader = &mut *self.store.reader()?;
        let identity = match self.key(reader, password)? {
            Some(key) => Identity::Program(key),
            None => Identity::Person(self.sign_in(user, password, None)?.0),
        };
        self.permitted(reader, &identity, number, &Wanted::sql(None))
    }

    /// The same for the next statement: a role may have been taken back, and another purpose named.
    pub(crate) fn renew_for_sql(&self, access: &Access) -> Result<Access, ApiError> {
        self.renew(access, &Wanted::sql(Some(access.purpose.0.clone())))
    }

    /// The access of whoever goes on with something that was permitted: they may be gone, and their role as well.
    pub(crate) fn renew(&self, access: &Access, wanted: &Wanted) -> Result<Access, ApiError> {
        let reader = &mut *self.store.reader()?;
        let gone = || ApiError::signed_out("the account or key is good no more", "connect with another");
        let identity = match access.caller {
            access::Caller::User(number) => {
                let account = Account::numbered(reader, number)?.filter(|one| one.state == Standing::Active);
                Identity::Person(SignedIn { account: account.ok_or_else(gone)?, second_factor: false })
            }
            access::Caller::Key(number) => {
                let key = Key::numbered(reader, number)?.filter(|key| key.is_good(self.clock.now()));
                Identity::Program(key.ok_or_else(gone)?)
            }
            _ => Identity::Operator,
        };
        self.permitted(reader, &identity, access.workspace, wanted)
    }
}

/// What is to be done.
pub(crate) struct Wanted {
    pub action: Action,
    pub shows: Shows,
    pub purpose: Option<String>,
    /// Under which role; `None`: the first that permits it.
    pub role: Option<String>,
}

impl Wanted {
    fn sql(purpose: Option<String>) -> Wanted {
        Wanted { action: Action::SqlAsk, shows: Shows::People, purpose, role: None }
    }
}

/// What stewards said of fields, and of each computed trait the class of what it is made of that is shown least.
fn classes_with_computed(definitions: &Workspace, masks: &[Mask; 6]) -> Arc<Classes> {
    let mask = |class: Class| masks[class as usize];
    let of = |computed: &ComputedTrait| {
        let fields = computed.fields().into_iter().map(|field| definitions.class_of(&field));
        fields.max_by_key(|class| mask(*class)).filter(|class| mask(*class) > Mask::Clear)
    };
    let made = definitions.computed.iter().filter_map(|(name, versioned)| {
        let known = definitions.classes.get(name).copied();
        Some((name.clone(), of(&versioned.newest)?))
            .filter(|(_, class)| known.is_none_or(|known| mask(known) < mask(*class)))
    });
    let made: Vec<(String, Class)> = made.collect();
    if made.is_empty() {
        return definitions.classes.clone();
    }
    let mut classes = Classes::clone(&definitions.classes);
    classes.extend(made);
    Arc::new(classes)
}

impl Shows {
    /// Whether it shows people, or counts of them, whatever they allow.
    fn is_of_everybody(self) -> bool {
        matches!(self, Shows::Numbers | Shows::Everybody | Shows::Everything)
    }

    fn fits(self, grant: &Grant, rights: &Rights) -> bool {
        let everybody = grant.only.is_none();
        match self {
            Shows::Nobody | Shows::People => true,
            Shows::Numbers | Shows::Everybody => everybody,
            Shows::Everything => everybody && rights.masks() == [Mask::Clear; 6],
        }
    }
}

/// The access that a request has: to the workspace named in `Onefold-Workspace`, `default` where none is.
pub struct Caller(pub Access);

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        let name = text(&parts.headers, "onefold-workspace").unwrap_or("default").to_owned();
        let access = parts.extensions.get::<Access>().cloned();
        access
            .map(Caller)
            .ok_or_else(|| ApiError::not_found("workspace", &name, "make it with `onefold workspace add`"))
    }
}

/// Whoever sends the request.
pub struct Whoever(pub(crate) Identity);

impl FromRequestParts<Arc<App>> for Whoever {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, ApiError> {
        parts.extensions.get::<Identity>().cloned().map(Whoever).ok_or_else(ApiError::unauthorised)
    }
}

//! Who works here, in which role, with which keys, by which policies.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json,
    extract::{Path, Query, State},
};
use onefold_model::{
    WorkspaceId,
    access::{Access, Class, Mask, Purpose},
};
use onefold_role::{Action, Circumstances, DEFAULTS, Policies, Principal, Rights};
use onefold_state::{Reader, Scan, Value, schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use crate::{
    ApiError, App,
    app::check_name,
    audit,
    caller::{Caller, Identity, Whoever},
    people::{self, Account, EVERYWHERE, Grant, Holder, Key, NewKey, Standing},
};

/// Somebody who works here.
#[derive(Debug, Serialize, ToSchema)]
pub struct PersonView {
    /// What the account is called by.
    pub email: String,
    /// What others call them.
    pub name: String,
    /// `user:7`: how the log calls them.
    pub caller: String,
    /// `invited`, `active`, `disabled`.
    pub state: &'static str,
    /// Whether a second factor is asked for.
    pub second_factor: bool,
    /// Their teams.
    pub teams: Vec<String>,
    /// Their own roles here.
    pub roles: Vec<String>,
    /// Since when.
    pub since: String,
}

/// A link by which a password is chosen, once, within three days.
#[derive(Debug, Serialize, ToSchema)]
pub struct Invited {
    /// Whose.
    pub email: String,
    /// The path, to be put behind the server's address. It is shown this once.
    pub link: String,
}

fn invited(account: &Account, token: &str) -> Invited {
    Invited { email: account.email.clone(), link: people::page::path(token) }
}

/// Who works here.
#[utoipa::path(get, path = "/api/v1/people", responses((status = 200, body = [PersonView])))]
pub async fn list(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<PersonView>>, ApiError> {
    app.read(move |_, reader| {
        let grants = Grant::within(reader, access.workspace)?;
        let mut views = vec![];
        for account in Account::all(reader)? {
            let holder = Holder::User(account.number);
            let own = grants.iter().filter(|grant| grant.holder == holder);
            views.push(PersonView {
                teams: people::teams_of(reader, account.number)?,
                roles: own.map(|grant| grant.role.clone()).collect(),
                caller: format!("user:{}", account.number),
                state: account.state.name(),
                second_factor: account.totp.is_some(),
                since: account.created.to_string(),
                email: account.email,
                name: account.name,
            });
        }
        Ok(Json(views))
    })
    .await
}

/// Somebody to invite.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// What the account is called by.
    pub email: String,
    /// What others call them.
    #[serde(default)]
    pub name: String,
    /// A role to begin with.
    #[serde(default)]
    pub role: Option<String>,
    /// The segments whose members they see; absent: everybody.
    #[serde(default)]
    pub only: Option<Vec<String>>,
    /// Whether the role holds in all workspaces.
    #[serde(default)]
    pub everywhere: bool,
}

/// Invite somebody.
#[utoipa::path(post, path = "/api/v1/people", request_body = NewPerson, responses((status = 200, body = Invited), (status = 409, body = ApiError)))]
pub async fn add(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Json(new): Json<NewPerson>,
) -> Result<Json<Invited>, ApiError> {
    app.block(move |app| {
        app.check_reach(&identity, &access, new.everywhere)?;
        let given = |role: &String| app.grant(&identity, &access, role, new.only.clone(), new.everywhere);
        let grant = new.role.as_ref().map(given).transpose()?;
        let (account, token) = app.invite(&new.email, &new.name)?;
        let given = json!({ "role": new.role, "only": new.only, "everywhere": new.everywhere });
        audit::changed("account", &account.email, &(), &given);
        if let Some(grant) = grant {
            let mut txn = app.store.begin_shared()?;
            Grant { holder: Holder::User(account.number), ..grant }.put(&mut *txn, access.at)?;
            txn.commit()?;
        }
        Ok(Json(invited(&account, &token)))
    })
    .await
}

/// A new link for somebody: their password, second factor and sessions until now count no more once it is used; their sessions end
/// at once.
#[utoipa::path(post, path = "/api/v1/people/{email}/link", responses((status = 200, body = Invited), (status = 404, body = ApiError)))]
pub async fn link(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Path(email): Path<String>,
) -> Result<Json<Invited>, ApiError> {
    app.block(move |app| {
        let mut txn = app.store.begin_shared()?;
        let account = Account::find(&mut *txn, &email)?;
        app.check_whole(&mut *txn, &identity, &access, &Holder::User(account.number))?;
        if account.state == Standing::Disabled {
            let cure = "enable it first (`onefold user enable`)";
            return Err(ApiError::conflict(format!("the account {email} is disabled"), cure));
        }
        let token = app.invitation(&mut *txn, account.number)?;
        txn.commit()?;
        audit::note(json!({ "what": "new link", "name": account.email }));
        Ok(Json(invited(&account, &token)))
    })
    .await
}

/// What changes of somebody.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePerson {
    /// Whether they may sign in.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// What others call them.
    #[serde(default)]
    pub name: Option<String>,
}

/// Rename, disable or enable somebody. Whoever is disabled is signed out at once.
#[utoipa::path(patch, path = "/api/v1/people/{email}", request_body = ChangePerson, responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn change(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Path(email): Path<String>,
    Json(changed): Json<ChangePerson>,
) -> Result<Json<super::Done>, ApiError> {
    app.block(move |app| {
        let mut txn = app.store.begin_shared()?;
        let mut account = Account::find(&mut *txn, &email)?;
        app.check_whole(&mut *txn, &identity, &access, &Holder::User(account.number))?;
        let view = |account: &Account| json!({ "state": account.state.name(), "name": account.name });
        let before = view(&account);
        if let Some(enabled) = changed.enabled {
            account.state = match (enabled, account.password.is_some()) {
                (false, _) => Standing::Disabled,
                (true, true) => Standing::Active,
                (true, false) => Standing::Invited,
            };
            if !enabled {
                App::shut_out(&mut *txn, account.number)?;
            }
        }
        if let Some(name) = changed.name {
            account.name = name.chars().take(100).collect();
        }
        account.put(&mut *txn)?;
        txn.commit()?;
        audit::changed("account", &account.email, &before, &view(&account));
        Ok(super::done())
    })
    .await
}

/// A role that somebody has.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct GrantForm {
    /// An e-mail address, `team:NAME`, or `key:NUMBER`.
    pub holder: String,
    /// The role.
    pub role: String,
    /// The segments whose members they see; absent: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// Whether it holds in all workspaces.
    #[serde(default)]
    pub everywhere: bool,
}

impl App {
    /// A grant that fits: a role that there is and that permits no more than its giver's, segments that there are.
    fn grant(
        &self,
        identity: &Identity,
        access: &Access,
        role: &str,
        only: Option<Vec<String>>,
        everywhere: bool,
    ) -> Result<Grant, ApiError> {
        let reader = &mut *self.store.reader()?;
        let (_, policies) = self.policies(reader, access.workspace)?;
        let roles = policies.roles();
        if !roles.iter().any(|known| known == role) {
            let cure = format!("there are {}; a policy makes others (docs/people.md)", roles.join(", "));
            return Err(ApiError::not_found("role", role, cure));
        }
        self.check_width(reader, identity, access, role)?;
        if let Some(only) = &only {
            if everywhere {
                let cure = "give the role in each workspace by itself";
                return Err(ApiError::bad_request("bad_grant", "segments are those of one workspace", cure));
            }
            let definitions = self.definitions(reader, access.workspace)?;
            only.iter().try_for_each(|name| super::segments::known(&definitions, name))?;
        }
        let workspace = if everywhere { EVERYWHERE } else { access.workspace };
        Ok(Grant { workspace, holder: Holder::User(0), role: role.to_owned(), only })
    }

    /// Nobody gives a role that permits what their own do not, or that shows a class of fields which they do not see.
    fn check_width(
        &self,
        reader: &mut dyn Reader,
        identity: &Identity,
        access: &Access,
        role: &str,
    ) -> Result<(), ApiError> {
        if matches!(identity, Identity::Operator) {
            return Ok(());
        }
        let own = self.roles_of(reader, identity, access.workspace, &access.purpose)?;
        let given = self.rights_of_role(reader, access, role)?;
        let wider = Action::ALL
            .iter()
            .find(|action| given.allow(**action) && !own.iter().any(|(_, rights)| rights.allow(**action)));
        if let Some(action) = wider {
            let cause = format!("the role {role} permits {}, and your own does not", action.name());
            return Err(ApiError::forbidden(cause, "give another role, or ask an administrator"));
        }
        let clearer = Class::ALL.iter().find(|class| {
            let least = own.iter().map(|(_, rights)| rights.mask(**class).0).min();
            least.is_none_or(|least| given.mask(**class).0 < least)
        });
        match clearer {
            None => Ok(()),
            Some(class) => {
                let cause = format!("the role {role} shows more of {} fields than your own", class.name());
                Err(ApiError::forbidden(cause, "give another role, or ask an administrator"))
            }
        }
    }

    /// Everywhere is more than one workspace: only who may do it everywhere may give it.
    fn check_reach(&self, identity: &Identity, access: &Access, everywhere: bool) -> Result<(), ApiError> {
        let reader = &mut *self.store.reader()?;
        match !everywhere || self.is_everywhere(reader, identity, access)? {
            true => Ok(()),
            false => Err(ApiError::forbidden(
                "your own role for people holds in this workspace only",
                "leave out `everywhere`, or ask an administrator of all workspaces",
            )),
        }
    }

    /// Whether people are theirs to administer in all workspaces.
    fn is_everywhere(&self, reader: &mut dyn Reader, identity: &Identity, access: &Access) -> Result<bool, ApiError> {
        let roles = self.roles_of(reader, identity, access.workspace, &access.purpose)?;
        let may =
            |(grant, rights): &(Grant, Arc<Rights>)| grant.workspace == EVERYWHERE && rights.allow(Action::PeopleEdit);
        Ok(matches!(identity, Identity::Operator) || roles.iter().any(may))
    }

    /// Accounts, teams and keys are of all workspaces: who administers one may change those that have roles there alone.
    fn check_whole(
        &self,
        reader: &mut dyn Reader,
        identity: &Identity,
        access: &Access,
        holder: &Holder,
    ) -> Result<(), ApiError> {
        let mut grants = Grant::held_by(reader, holder)?;
        if let Holder::User(number) = holder {
            for team in people::teams_of(reader, *number)? {
                grants.extend(Grant::held_by(reader, &Holder::Team(team))?);
            }
        }
        // A team without roles may be named where approvals are given.
        let is_unknown = matches!(holder, Holder::Team(_)) && grants.is_empty() && self.workspaces().len() > 1;
        let is_here = !is_unknown && grants.iter().all(|grant| grant.workspace == access.workspace);
        match is_here || self.is_everywhere(reader, identity, access)? {
            true => Ok(()),
            false => Err(ApiError::forbidden(
                "this has roles in other workspaces, and your own holds in this one only",
                "ask an administrator of all workspaces",
            )),
        }
    }
}

fn holder(reader: &mut dyn Reader, text: &str) -> Result<Holder, ApiError> {
    if let Some(name) = text.strip_prefix("team:") {
        check_name("team", name)?;
        return Ok(Holder::Team(name.to_owned()));
    }
    if let Some(number) = text.strip_prefix("key:").and_then(|number| number.parse().ok()) {
        let known = Key::all(reader)?.iter().any(|key| key.number == number);
        return match known {
            true => Ok(Holder::Key(number)),
            false => Err(ApiError::not_found("key", text, "list them with `onefold key list`")),
        };
    }
    Ok(Holder::User(Account::find(reader, text)?.number))
}

/// Who has which role here.
#[utoipa::path(get, path = "/api/v1/grants", responses((status = 200, body = [GrantForm])))]
pub async fn grants(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<GrantForm>>, ApiError> {
    app.read(move |_, reader| {
        let names: BTreeMap<u32, String> =
            Account::all(reader)?.into_iter().map(|account| (account.number, account.email)).collect();
        let form = |grant: Grant| GrantForm {
            holder: match &grant.holder {
                Holder::User(number) => names.get(number).cloned().unwrap_or_else(|| format!("user:{number}")),
                Holder::Key(number) => format!("key:{number}"),
                Holder::Team(name) => format!("team:{name}"),
            },
            role: grant.role,
            only: grant.only,
            everywhere: grant.workspace == EVERYWHERE,
        };
        Ok(Json(Grant::within(reader, access.workspace)?.into_iter().map(form).collect()))
    })
    .await
}

/// Give a role, or give it anew with other segments.
#[utoipa::path(put, path = "/api/v1/grants", request_body = GrantForm, responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn give(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Json(form): Json<GrantForm>,
) -> Result<Json<super::Done>, ApiError> {
    app.block(move |app| {
        app.check_reach(&identity, &access, form.everywhere)?;
        let grant = app.grant(&identity, &access, &form.role, form.only, form.everywhere)?;
        let mut txn = app.store.begin_shared()?;
        let holder = holder(&mut *txn, &form.holder)?;
        let grant = Grant { holder, ..grant };
        let same = |held: &Grant| held.workspace == grant.workspace && held.role == grant.role;
        let before = Grant::held_by(&mut *txn, &grant.holder)?.into_iter().find(same);
        grant.put(&mut *txn, access.at)?;
        txn.commit()?;
        let view = |grant: &Grant| json!({ "role": grant.role, "only": grant.only, "everywhere": form.everywhere });
        audit::changed("grant", &form.holder, &before.as_ref().map(view), &view(&grant));
        Ok(super::done())
    })
    .await
}

/// Which role is taken back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Taken {
    /// An e-mail address, `team:NAME`, or `key:NUMBER`.
    pub holder: String,
    /// The role.
    pub role: String,
    /// Whether it is the one that holds in all workspaces.
    #[serde(default)]
    pub everywhere: bool,
}

/// Take a role back. It counts at the next request.
#[utoipa::path(delete, path = "/api/v1/grants", params(Taken), responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn take(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Query(taken): Query<Taken>,
) -> Result<Json<super::Done>, ApiError> {
    app.block(move |app| {
        app.check_reach(&identity, &access, taken.everywhere)?;
        let mut txn = app.store.begin_shared()?;
        let holder = holder(&mut *txn, &taken.holder)?;
        let workspace = if taken.everywhere { EVERYWHERE } else { access.workspace };
        if !Grant::take(&mut *txn, workspace, &holder, &taken.role)? {
            let cure = "list them with `onefold role list`";
            return Err(ApiError::not_found("grant", &format!("{} {}", taken.holder, taken.role), cure));
        }
        txn.commit()?;
        audit::changed("grant", &taken.holder, &json!({ "role": taken.role, "everywhere": taken.everywhere }), &());
        Ok(super::done())
    })
    .await
}

/// Put somebody into a team.
#[utoipa::path(put, path = "/api/v1/teams/{team}/members/{email}", responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn join(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Path((team, email)): Path<(String, String)>,
) -> Result<Json<super::Done>, ApiError> {
    app.block(move |app| app.change_team(&identity, &access, (&team, &email), true)).await
}

/// Take somebody out of a team.
#[utoipa::path(delete, path = "/api/v1/teams/{team}/members/{email}", responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn part(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Path((team, email)): Path<(String, String)>,
) -> Result<Json<super::Done>, ApiError> {
    app.block(move |app| app.change_team(&identity, &access, (&team, &email), false)).await
}

impl App {
    fn change_team(
        &self,
        identity: &Identity,
        access: &Access,
        (team, email): (&str, &str),
        joins: bool,
    ) -> Result<Json<super::Done>, ApiError> {
        check_name("team", team)?;
        let mut txn = self.store.begin_shared()?;
        self.check_whole(&mut *txn, identity, access, &Holder::Team(team.to_owned()))?;
        let account = Account::find(&mut *txn, email)?;
        let row = vec![Value::Text(team.to_owned()), Value::Int(account.number.into())];
        match joins {
            true => txn.put(&schema::TEAM_MEMBER, vec![row])?,
            false => txn.delete(&schema::TEAM_MEMBER, &[row])?,
        }
        txn.commit()?;
        Ok(super::done())
    }
}

/// A key of a program.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyView {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// Its last four characters.
    pub ends_with: String,
    /// Its roles here.
    pub roles: Vec<String>,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub made: String,
    /// Until when it is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// When it was used last, to the minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// Since when it is good no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
}

/// The keys of programs with a role here.
#[utoipa::path(get, path = "/api/v1/keys", responses((status = 200, body = [KeyView])))]
pub async fn keys(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<Vec<KeyView>>, ApiError> {
    app.read(move |_, reader| {
        let grants = Grant::within(reader, access.workspace)?;
        let view = |key: Key| {
            let own = grants.iter().filter(|grant| grant.holder == Holder::Key(key.number));
            let roles: Vec<String> = own.map(|grant| grant.role.clone()).collect();
            (!roles.is_empty()).then(|| KeyView {
                number: key.number,
                name: key.name,
                ends_with: key.hint,
                roles,
                made_by: key.caller,
                made: key.created.to_string(),
                expires: key.expires.map(|at| at.to_string()),
                used: key.used.map(|at| at.to_string()),
                revoked: key.revoked.map(|at| at.to_string()),
            })
        };
        Ok(Json(Key::all(reader)?.into_iter().filter_map(view).collect()))
    })
    .await
}

/// A key to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyForm {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// The segments whose members it sees; absent: everybody.
    #[serde(default)]
    pub only: Option<Vec<String>>,
    /// For so many days; absent: until it is revoked.
    #[serde(default)]
    pub days: Option<u32>,
}

/// A key that was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyMade {
    /// Its number.
    pub number: u32,
    /// The key, for `Authorization: Bearer`. It is shown this once.
    pub key: String,
}

/// Make a key for a program.
#[utoipa::path(post, path = "/api/v1/keys", request_body = KeyForm, responses((status = 200, body = KeyMade), (status = 404, body = ApiError)))]
pub async fn add_key(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Json(form): Json<KeyForm>,
) -> Result<Json<KeyMade>, ApiError> {
    app.block(move |app| {
        let grant = app.grant(&identity, &access, &form.role, form.only, false)?;
        let caller = access.caller.name().into_owned();
        let given = json!({ "name": form.name, "role": form.role, "only": grant.only, "days": form.days });
        let (made, key) = app.add_key(NewKey { name: &form.name, days: form.days, grant, caller })?;
        audit::changed("key", &made.number.to_string(), &(), &given);
        Ok(Json(KeyMade { number: made.number, key }))
    })
    .await
}

/// Revoke a key, for good.
#[utoipa::path(delete, path = "/api/v1/keys/{number}", responses((status = 200, body = super::Done), (status = 404, body = ApiError)))]
pub async fn revoke_key(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Whoever(identity): Whoever,
    Path(number): Path<u32>,
) -> Result<Json<super::Done>, ApiError> {
    app.block(move |app| {
        app.check_whole(&mut *app.store.reader()?, &identity, &access, &Holder::Key(number))?;
        app.revoke_key(number)
    })
    .await?;
    Ok(super::done())
}

/// Policies of who may do what.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PoliciesForm {
    /// The workspace's own, in Cedar.
    pub policies: String,
    /// Those that hold beside them everywhere.
    #[serde(default, skip_deserializing)]
    pub defaults: String,
    /// What they may speak of, as a schema of Cedar.
    #[serde(default, skip_deserializing)]
    pub schema: String,
    /// Number of the workspace's own; 0: there are none.
    #[serde(default, skip_deserializing)]
    pub version: i64,
}

/// The policies of who may do what.
#[utoipa::path(get, path = "/api/v1/access-policies", responses((status = 200, body = PoliciesForm)))]
pub async fn policies(State(app): State<Arc<App>>, Caller(access): Caller) -> Result<Json<PoliciesForm>, ApiError> {
    app.read(move |_, reader| {
        let last = last_policies(reader, access.workspace)?;
        let (version, policies) = last.unwrap_or_default();
        Ok(Json(PoliciesForm { policies, version, defaults: DEFAULTS.to_owned(), schema: onefold_role::schema() }))
    })
    .await
}

fn last_policies(reader: &mut dyn Reader, workspace: WorkspaceId) -> Result<Option<(i64, String)>, ApiError> {
    let own = vec![Value::Int(workspace.0.into())];
    let last = reader.scan(&Scan { reverse: true, ..Scan::prefix(&schema::ACCESS_POLICY, own, 1) })?;
    Ok(last
        .first()
        .map(|row| Ok::<_, onefold_state::Error>((row[1].as_int()?, row[2].as_text()?.to_owned())))
        .transpose()?)
}

fn wrong(error: &onefold_role::Wrong) -> ApiError {
    let cure = "correct the places named; docs/people.md says what policies may speak of";
    ApiError::bad_request("bad_policies", error.to_string(), cure).with_problems(error.0.clone())
}

/// Set the workspace's own policies, in place of those before. They count at the next request.
#[utoipa::path(put, path = "/api/v1/access-policies", request_body = PoliciesForm, responses((status = 200, body = super::Done), (status = 400, body = ApiError)))]
pub async fn set_policies(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(form): Json<PoliciesForm>,
) -> Result<Json<super::Done>, ApiError> {
    app.block(move |app| {
        Policies::read(&form.policies).map_err(|error| wrong(&error))?;
        let mut txn = app.store.begin_shared()?;
        let version = last_policies(&mut *txn, access.workspace)?.map_or(1, |(version, _)| version + 1);
        let before = last_policies(&mut *txn, access.workspace)?.map(|(_, policies)| policies);
        audit::changed("access policies", &version.to_string(), &before, &form.policies);
        let row = vec![
            Value::Int(access.workspace.0.into()),
            Value::Int(version),
            Value::Text(form.policies),
            Value::Text(access.caller.name().into_owned()),
            Value::Int(access.at.0),
        ];
        txn.put(&schema::ACCESS_POLICY, vec![row])?;
        txn.commit()?;
        Ok(super::done())
    })
    .await
}

/// A question about policies.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyQuestion {
    /// In which role.
    pub role: String,
    /// Who: an e-mail address or a key's name; absent: somebody.
    #[serde(default)]
    pub who: Option<String>,
    /// In which teams.
    #[serde(default)]
    pub teams: Vec<String>,
    /// For which purpose; absent: administration.
    #[serde(default)]
    pub purpose: Option<String>,
    /// Whether a second factor was shown.
    #[serde(default)]
    pub second_factor: bool,
    /// Policies to try in place of the workspace's own.
    #[serde(default)]
    pub policies: Option<String>,
}

/// What policies say.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyAnswer {
    /// By action, whether it is permitted and by which policies.
    #[schema(value_type = BTreeMap<String, PolicyRuling>)]
    pub actions: BTreeMap<&'static str, PolicyRuling>,
    /// By class of fields, how much is seen and by which policies.
    #[schema(value_type = BTreeMap<String, PolicyMask>)]
    pub sees: BTreeMap<&'static str, PolicyMask>,
}

/// Whether something is permitted.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyRuling {
    /// Whether it is.
    pub allowed: bool,
    /// The policies that decide it; none: nothing permits it.
    pub by: Vec<String>,
}

/// How much is seen.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyMask {
    /// How much.
    #[schema(value_type = String)]
    pub mask: Mask,
    /// The policies that decide it.
    pub by: Vec<String>,
}

/// Try who may do what, by the policies in force or others.
#[utoipa::path(post, path = "/api/v1/access-policies/try", request_body = PolicyQuestion, responses((status = 200, body = PolicyAnswer), (status = 400, body = ApiError)))]
pub async fn try_policies(
    State(app): State<Arc<App>>,
    Caller(access): Caller,
    Json(asked): Json<PolicyQuestion>,
) -> Result<Json<PolicyAnswer>, ApiError> {
    app.read(move |app, reader| {
        let policies = match &asked.policies {
            Some(text) => Arc::new(Policies::read(text).map_err(|error| wrong(&error))?),
            None => app.policies(reader, access.workspace)?.1,
        };
        let names = app.workspaces();
        let workspace =
            names.into_iter().find(|(id, _)| *id == access.workspace).map(|(_, name)| name).unwrap_or_default();
        let principal = Principal {
            name: asked.who.unwrap_or_else(|| "somebody".to_owned()),
            is_program: false,
            role: asked.role,
            teams: asked.teams,
        };
        let purpose = asked.purpose.unwrap_or_else(|| Purpose::administration().0);
        let circumstances = Circumstances { workspace, purpose, second_factor: asked.second_factor };
        let rights = policies.rights(&principal, &circumstances);
        let ruling = |action: &Action| {
            let ruling = rights.ruling(*action)?;
            Some((action.name(), PolicyRuling { allowed: ruling.allowed, by: ruling.policies.clone() }))
        };
        let mask = |class: &Class| {
            let (mask, by) = rights.mask(*class);
            (class.name(), PolicyMask { mask, by: by.to_vec() })
        };
        Ok(Json(PolicyAnswer {
            actions: Action::ALL.iter().filter_map(ruling).collect(),
            sees: Class::ALL.iter().map(mask).collect(),
        }))
    })
    .await
}

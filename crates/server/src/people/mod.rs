//! Who works here: accounts, teams, roles, sessions, keys.
//!
//! They are kept beside the log, in all workspaces at once; what a role may do, policies say (`onefold-role`). Of passwords, cookies,
//! invitations and keys only hashes are kept. The operator, who holds the data folder's token, needs no account and is asked for none:
//! whoever has the folder has everything.

pub(crate) mod endpoint;
mod keys;
pub(crate) mod page;
mod password;
mod session;

use onefold_model::{Timestamp, WorkspaceId};
use onefold_role::ROLES;
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use sha2::{Digest as _, Sha256};

pub(crate) use keys::{Key, NewKey};
pub(crate) use password::{Factor, is_good};
pub(crate) use session::{COOKIE, SignedIn, Taken, Tries, cookie, no_cookie};

use crate::{ApiError, App};

/// The number that stands for all workspaces in a grant.
pub(crate) const EVERYWHERE: WorkspaceId = WorkspaceId(0);

/// Somebody who works here.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub number: u32,
    pub email: String,
    pub name: String,
    pub state: Standing,
    pub password: Option<String>,
    pub totp: Option<Vec<u8>>,
    pub totp_step: i64,
    pub created: Timestamp,
}

/// How an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Has chosen no password yet.
    Invited,
    /// May sign in.
    Active,
    /// May not.
    Disabled,
}

impl Standing {
    pub fn name(self) -> &'static str {
        match self {
            Standing::Invited => "invited",
            Standing::Active => "active",
            Standing::Disabled => "disabled",
        }
    }
}

impl Account {
    fn new(number: u32, email: &str, name: &str, created: Timestamp) -> Account {
        Account {
            number,
            email: email.to_owned(),
            name: if name.is_empty() { email.to_owned() } else { name.to_owned() },
            state: Standing::Invited,
            password: None,
            totp: None,
            totp_step: 0,
            created,
        }
    }

    fn of(row: &Row) -> Result<Account, ApiError> {
        let state = match row[3].as_text()? {
            "active" => Standing::Active,
            "invited" => Standing::Invited,
            _ => Standing::Disabled,
        };
        let password = if row[4].is_null() { None } else { Some(row[4].as_text()?.to_owned()) };
        let totp = if row[5].is_null() { None } else { Some(row[5].as_bytes()?.to_vec()) };
        Ok(Account {
            number: number(&row[0])?,
            email: row[1].as_text()?.to_owned(),
            name: row[2].as_text()?.to_owned(),
            state,
            password,
            totp,
            totp_step: row[6].as_int()?,
            created: Timestamp(row[7].as_int()?),
        })
    }

    fn row(&self) -> Row {
        vec![
            Value::Int(self.number.into()),
            Value::Text(self.email.clone()),
            Value::Text(self.name.clone()),
            Value::Text(self.state.name().to_owned()),
            self.password.clone().map_or(Value::Null, Value::Text),
            self.totp.clone().map_or(Value::Null, Value::Bytes),
            Value::Int(self.totp_step),
            Value::Int(self.created.0),
        ]
    }

    /// Writes it.
    pub fn put(&self, txn: &mut dyn Txn) -> Result<(), ApiError> {
        Ok(txn.put(&schema::ACCOUNT, vec![self.row()])?)
    }

    /// All of them.
    pub fn all(reader: &mut dyn Reader) -> Result<Vec<Account>, ApiError> {
        reader.scan(&Scan::prefix(&schema::ACCOUNT, vec![], usize::MAX))?.iter().map(Account::of).collect()
    }

    /// By its number.
    pub fn numbered(reader: &mut dyn Reader, number: u32) -> Result<Option<Account>, ApiError> {
        let row = reader.get(&schema::ACCOUNT, &[vec![Value::Int(number.into())]])?.pop().flatten();
        row.as_ref().map(Account::of).transpose()
    }

    /// The account as it is now; `None` where it is shut, or its password or second factor is another, or its code was used meanwhile.
    pub fn unchanged(&self, reader: &mut dyn Reader) -> Result<Option<Account>, ApiError> {
        let secrets = |of: &Account| (of.state, of.password.clone(), of.totp.clone(), of.totp_step);
        let now = Account::numbered(reader, self.number)?;
        Ok(now.filter(|now| now.state == Standing::Active && secrets(now) == secrets(self)))
    }

    /// By its e-mail address.
    pub fn called(reader: &mut dyn Reader, email: &str) -> Result<Option<Account>, ApiError> {
        let own = vec![Value::Text(address(email))];
        let scan = Scan { index: Some("by_email"), ..Scan::prefix(&schema::ACCOUNT, own, 1) };
        reader.scan(&scan)?.first().map(Account::of).transpose()
    }

    /// By its e-mail address, or how that is found out.
    pub fn find(reader: &mut dyn Reader, email: &str) -> Result<Account, ApiError> {
        Account::called(reader, email)?
            .ok_or_else(|| ApiError::not_found("account", email, "list them with `onefold user list`"))
    }
}

/// Whom the first administrator's invitation is for: nobody yet.
const NOBODY: u32 = 0;

fn is_nobody_there(reader: &mut dyn Reader) -> Result<bool, ApiError> {
    Ok(reader.scan(&Scan::prefix(&schema::ACCOUNT, vec![], 1))?.is_empty())
}

fn checked_address(text: &str) -> Result<String, ApiError> {
    let email = address(text);
    let plain = email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !plain || email.len() > 254 || email.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let cure = "give one as name@example.com; it is what the account is called by";
        return Err(ApiError::bad_request("bad_email", format!("{email:?} is no e-mail address"), cure));
    }
    Ok(email)
}

/// An e-mail address as accounts are called by it.
pub(crate) fn address(text: &str) -> String {
    text.trim().to_lowercase()
}

fn number(value: &Value) -> Result<u32, ApiError> {
    u32::try_from(value.as_int()?).map_err(|_| ApiError::internal("a number is out of its range"))
}

/// Who has a role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    User(u32),
    Key(u32),
    Team(String),
}

impl Holder {
    fn text(&self) -> String {
        match self {
            Holder::User(number) => format!("user:{number}"),
            Holder::Key(number) => format!("key:{number}"),
            Holder::Team(name) => format!("team:{name}"),
        }
    }

    fn parse(text: &str) -> Option<Holder> {
        match text.split_once(':')? {
            ("user", number) => number.parse().ok().map(Holder::User),
            ("key", number) => number.parse().ok().map(Holder::Key),
            ("team", name) => Some(Holder::Team(name.to_owned())),
            _ => None,
        }
    }
}

/// A role that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub workspace: WorkspaceId,
    pub holder: Holder,
    pub role: String,
    /// The segments whose members are seen; `None`: everybody.
    pub only: Option<Vec<String>>,
}

impl Grant {
    fn of(row: &Row) -> Result<Grant, ApiError> {
        let only = match row[3].is_null() {
            true => None,
            // What cannot be read lets nobody be seen.
            false => Some(serde_json::from_str(row[3].as_text()?).unwrap_or_default()),
        };
        let holder = Holder::parse(row[1].as_text()?)
            .ok_or_else(|| ApiError::internal(format!("{:?} cannot have a role", row[1])))?;
        Ok(Grant { workspace: WorkspaceId(number(&row[0])?), holder, role: row[2].as_text()?.to_owned(), only })
    }

    fn key(workspace: WorkspaceId, holder: &Holder, role: &str) -> Row {
        vec![Value::Int(workspace.0.into()), Value::Text(holder.text()), Value::Text(role.to_owned())]
    }

    /// Writes it.
    pub fn put(&self, txn: &mut dyn Txn, at: Timestamp) -> Result<(), ApiError> {
        let only = self.only.as_ref().map(|only| serde_json::to_string(only).unwrap_or_default());
        let mut row = Grant::key(self.workspace, &self.holder, &self.role);
        row.extend([only.map_or(Value::Null, Value::Text), Value::Int(at.0)]);
        Ok(txn.put(&schema::ROLE_GRANT, vec![row])?)
    }

    /// Takes it back; `false`: there was none.
    pub fn take(txn: &mut dyn Txn, workspace: WorkspaceId, holder: &Holder, role: &str) -> Result<bool, ApiError> {
        let key = Grant::key(workspace, holder, role);
        let there = txn.get(&schema::ROLE_GRANT, std::slice::from_ref(&key))?.pop().flatten().is_some();
        txn.delete(&schema::ROLE_GRANT, &[key])?;
        Ok(there)
    }

    /// All that this holder has anywhere.
    pub fn held_by(reader: &mut dyn Reader, holder: &Holder) -> Result<Vec<Grant>, ApiError> {
        let own = vec![Value::Text(holder.text())];
        let scan = Scan { index: Some("of_holder"), ..Scan::prefix(&schema::ROLE_GRANT, own, usize::MAX) };
        reader.scan(&scan)?.iter().map(Grant::of).collect()
    }

    /// All of a workspace, and those that hold everywhere.
    pub fn within(reader: &mut dyn Reader, workspace: WorkspaceId) -> Result<Vec<Grant>, ApiError> {
        let mut grants = vec![];
        for workspace in [EVERYWHERE, workspace] {
            let own = vec![Value::Int(workspace.0.into())];
            for row in reader.scan(&Scan::prefix(&schema::ROLE_GRANT, own, usize::MAX))? {
                grants.push(Grant::of(&row)?);
            }
        }
        Ok(grants)
    }

    /// All that count for a holder in a workspace, with those of their teams: first what shows everybody, then by the order of roles.
    pub fn counting(
        reader: &mut dyn Reader,
        workspace: WorkspaceId,
        holder: &Holder,
        teams: &[String],
    ) -> Result<Vec<Grant>, ApiError> {
        let mut grants = Grant::held_by(reader, holder)?;
        for team in teams {
            grants.extend(Grant::held_by(reader, &Holder::Team(team.clone()))?);
        }
        grants.retain(|grant| grant.workspace == workspace || grant.workspace == EVERYWHERE);
        let place = |role: &str| ROLES.iter().position(|known| *known == role).unwrap_or(ROLES.len());
        grants.sort_by_key(|grant| (grant.only.is_some(), place(&grant.role)));
        Ok(grants)
    }
}

/// The teams of an account.
pub(crate) fn teams_of(reader: &mut dyn Reader, account: u32) -> Result<Vec<String>, ApiError> {
    let own = vec![Value::Int(account.into())];
    let scan = Scan { index: Some("of_account"), ..Scan::prefix(&schema::TEAM_MEMBER, own, usize::MAX) };
    Ok(reader
        .scan(&scan)?
        .iter()
        .map(|row| Ok(row[0].as_text()?.to_owned()))
        .collect::<Result<_, onefold_state::Error>>()?)
}

/// What is kept of a secret that somebody else has: it is long and random, so that a hash of one round is enough.
pub(crate) fn hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

impl App {
    /// Puts what is sure to be new: the number after the greatest.
    fn next_number(txn: &mut dyn Txn, table: &'static onefold_state::Table) -> Result<u32, ApiError> {
        let last = txn.scan(&Scan { reverse: true, ..Scan::prefix(table, vec![], 1) })?;
        last.first().map_or(Ok(1), |row| Ok(number(&row[0])? + 1))
    }

    /// Makes an account; its owner chooses a password by the token that this gives. Blocks.
    pub(crate) fn invite(&self, email: &str, name: &str) -> Result<(Account, String), ApiError> {
        let email = checked_address(email)?;
        let mut txn = self.store.begin_shared()?;
        if Account::called(&mut *txn, &email)?.is_some() {
            let cure =
                "make a new link for it with `onefold user link`, or give it another role with `onefold role grant`";
            return Err(ApiError::conflict(format!("there is an account {email:?} already"), cure));
        }
        let account = Account::new(App::next_number(&mut *txn, &schema::ACCOUNT)?, &email, name, self.clock.now());
        account.put(&mut *txn)?;
        let token = self.invitation(&mut *txn, account.number)?;
        txn.commit()?;
        Ok((account, token))
    }

    /// Where the first administrator begins, while nobody has an account: a path that is good once. The one before it is good no
    /// more. Blocks.
    pub fn first_welcome(&self) -> Result<Option<String>, ApiError> {
        let mut txn = self.store.begin_shared()?;
        if !is_nobody_there(&mut *txn)? {
            return Ok(None);
        }
        let token = self.invitation(&mut *txn, NOBODY)?;
        txn.commit()?;
        Ok(Some(page::path(&token)))
    }

    /// The account of the first administrator, who gives their e-mail address.
    fn first_account(&self, txn: &mut dyn Txn, email: &str) -> Result<Account, ApiError> {
        let account =
            Account::new(App::next_number(txn, &schema::ACCOUNT)?, &checked_address(email)?, "", self.clock.now());
        let holder = Holder::User(account.number);
        Grant { workspace: EVERYWHERE, holder, role: ROLES[0].to_owned(), only: None }.put(txn, account.created)?;
        Ok(account)
    }
}

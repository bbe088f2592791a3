//! Signing in: tries, sessions, invitations.

use std::collections::HashMap;

use onefold_model::{Timestamp, clock::DAY_MS, rng};
use onefold_state::{Reader, Row, Scan, Txn, Value, schema};
use parking_lot::Mutex;

use super::{Account, Factor, NOBODY, Standing, hash, is_good, is_nobody_there, number, password};
use crate::{ApiError, App};

/// The cookie's name.
pub(crate) const COOKIE: &str = "onefold_session";
/// A session ends when it was not used for so long, and in any case after [`LONGEST_MS`].
const IDLE_MS: i64 = DAY_MS / 2;
/// See [`IDLE_MS`].
const LONGEST_MS: i64 = 7 * DAY_MS;
/// A session's last use is noted so often.
const NOTED_MS: i64 = 60_000;
/// An invitation is good for so long.
const INVITED_MS: i64 = 3 * DAY_MS;
/// After so many wrong passwords one has to wait, twice as long after each more.
const TRIES: u32 = 5;
/// The longest wait.
const WAIT_MAX_MS: i64 = 15 * 60_000;
/// Names of which wrong tries are remembered.
const NAMES_MAX: usize = 10_000;

/// Who is signed in.
#[derive(Debug, Clone)]
pub(crate) struct SignedIn {
    pub account: Account,
    /// Whether a second factor was shown.
    pub second_factor: bool,
}

/// An invitation as it is taken.
pub(crate) struct Taken<'a> {
    pub token: &'a str,
    /// Of the first administrator; others have theirs.
    pub email: Option<&'a str>,
    pub name: Option<&'a str>,
    pub password: &'a str,
}

/// Wrong tries, by e-mail address. Passwords are checked one at a time: whoever tries many at once keeps one core busy and no more.
#[derive(Default)]
pub(crate) struct Tries {
    wrong: Mutex<HashMap<String, (u32, Timestamp)>>,
    turn: Mutex<()>,
}

impl Tries {
    /// Milliseconds to wait before the next try.
    fn wait(&self, name: &str, now: Timestamp) -> i64 {
        self.wrong.lock().get(name).map_or(0, |(_, until)| (until.0 - now.0).max(0))
    }

    fn failed(&self, name: &str, now: Timestamp) {
        let mut tries = self.wrong.lock();
        if tries.len() >= NAMES_MAX {
            // Whoever waits goes on waiting.
            tries.retain(|_, (_, until)| until.0 > now.0);
        }
        let (count, until) = tries.entry(name.to_owned()).or_insert((0, now));
        *count += 1;
        if *count >= TRIES {
            let wait = 1000_i64.saturating_mul(1 << (*count - TRIES).min(20));
            *until = now.plus(wait.min(WAIT_MAX_MS));
        }
    }

    fn succeeded(&self, name: &str) {
        self.wrong.lock().remove(name);
    }
}

/// `Set-Cookie` for a session. `secure`: the page came by HTTPS.
pub(crate) fn cookie(token: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}", LONGEST_MS / 1000)
}

/// `Set-Cookie` that ends it.
pub(crate) fn no_cookie() -> String {
    format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")
}

fn refused() -> ApiError {
    let cure = "try again; if the password is lost, ask an administrator for a new link (`onefold user link`)";
    ApiError::signed_out("the e-mail address, the password or the code is wrong", cure)
}

impl App {
    /// Signs somebody in. Gives the cookie's value. Blocks, and takes long on purpose.
    pub(crate) fn sign_in(
        &self,
        email: &str,
        password: &str,
        code: Option<&str>,
    ) -> Result<(SignedIn, String), ApiError> {
        let (name, now) = (super::address(email), self.clock.now());
        let _turn = self.tries.turn.lock();
        let wait = self.tries.wait(&name, now);
        if wait > 0 {
            let seconds = wait / 1000 + 1;
            return Err(ApiError::too_many(
                format!("too many wrong tries for {name}"),
                format!("try again in {seconds} seconds"),
            ));
        }
        let account = Account::called(&mut *self.store.reader()?, &name)?.filter(|one| one.state == Standing::Active);
        if !is_good(password, account.as_ref().and_then(|one| one.password.as_deref())) {
            self.tries.failed(&name, now);
            return Err(refused());
        }
        let Some(account) = account else { return Err(refused()) };
        let mut step = account.totp_step;
        if let Some(secret) = &account.totp {
            let Some(code) = code.filter(|code| !code.trim().is_empty()) else {
                return Err(ApiError::signed_out(
                    "the code of the second factor is needed",
                    "send `code` from the authenticator app",
                )
                .with_code("second_factor"));
            };
            let Some(next) = Factor::new(secret, &account.email)?.step(code, now, step) else {
                self.tries.failed(&name, now);
                return Err(refused());
            };
            step = next;
        }
        let mut txn = self.store.begin_shared()?;
        // To check a password takes long: the account may have been shut, or its secrets changed, meanwhile.
        let mut account = account.unchanged(&mut *txn)?.ok_or_else(refused)?;
        self.tries.succeeded(&name);
        account.totp_step = step;
        let signed_in = SignedIn { second_factor: account.totp.is_some(), account };
        signed_in.account.put(&mut *txn)?;
        let token = self.begin_session(&mut *txn, &signed_in)?;
        txn.commit()?;
        Ok((signed_in, token))
    }

    fn begin_session(&self, txn: &mut dyn Txn, who: &SignedIn) -> Result<String, ApiError> {
        let (token, now) = (rng::hex(&*self.rng, 32), Value::Int(self.clock.now().0));
        let row = vec![
            Value::Bytes(hash(&token)),
            Value::Int(who.account.number.into()),
            Value::Int(who.second_factor.into()),
            now.clone(),
            now,
        ];
        txn.put(&schema::SESSION, vec![row])?;
        Ok(token)
    }

    /// Who has this cookie. Blocks.
    pub(crate) fn signed_in(&self, reader: &mut dyn Reader, token: &str) -> Result<Option<SignedIn>, ApiError> {
        let key = vec![Value::Bytes(hash(token))];
        let Some(mut row) = reader.get(&schema::SESSION, std::slice::from_ref(&key))?.pop().flatten() else {
            return Ok(None);
        };
        let (began, seen, now) = (row[3].as_int()?, row[4].as_int()?, self.clock.now().0);
        if now - seen >= IDLE_MS || now - began >= LONGEST_MS {
            return Ok(None);
        }
        let account = Account::numbered(reader, number(&row[1])?)?.filter(|one| one.state == Standing::Active);
        let Some(account) = account else { return Ok(None) };
        let signed_in = SignedIn { account, second_factor: row[2].as_int()? != 0 };
        if now - seen >= NOTED_MS {
            row[4] = Value::Int(now);
            let mut txn = self.store.begin_shared()?;
            // It may have been ended meanwhile.
            if txn.get(&schema::SESSION, &[key])?.pop().flatten().is_some() {
                txn.put(&schema::SESSION, vec![row])?;
                txn.commit()?;
            }
        }
        Ok(Some(signed_in))
    }

    /// Ends a session. Blocks.
    pub(crate) fn sign_out(&self, token: &str) -> Result<(), ApiError> {
        let mut txn = self.store.begin_shared()?;
        txn.delete(&schema::SESSION, &[vec![Value::Bytes(hash(token))]])?;
        Ok(txn.commit()?)
    }

    /// Ends all sessions and invitations of an account.
    pub(crate) fn shut_out(txn: &mut dyn Txn, account: u32) -> Result<(), ApiError> {
        for table in [&schema::SESSION, &schema::INVITE] {
            let own = vec![Value::Int(account.into())];
            let rows = txn.scan(&Scan { index: Some("of_account"), ..Scan::prefix(table, own, usize::MAX) })?;
            let keys: Vec<Row> = rows.into_iter().map(|row| vec![row[0].clone()]).collect();
            txn.delete(table, &keys)?;
        }
        Ok(())
    }

    /// A token by which an account's owner chooses a password. The ones before it are good no more.
    pub(crate) fn invitation(&self, txn: &mut dyn Txn, account: u32) -> Result<String, ApiError> {
        App::shut_out(txn, account)?;
        let token = rng::hex(&*self.rng, 32);
        let expires = self.clock.now().plus(INVITED_MS);
        let row = vec![Value::Bytes(hash(&token)), Value::Int(account.into()), Value::Int(expires.0)];
        txn.put(&schema::INVITE, vec![row])?;
        Ok(token)
    }

    /// Whom an invitation is for.
    pub(crate) fn invited(&self, reader: &mut dyn Reader, token: &str) -> Result<Account, ApiError> {
        let gone = || {
            let cure = "ask an administrator for a new one (`onefold user link`)";
            ApiError::signed_out(
                "the link is not good any more: it was used, replaced, or is older than three days",
                cure,
            )
        };
        let row = reader.get(&schema::INVITE, &[vec![Value::Bytes(hash(token))]])?.pop().flatten().ok_or_else(gone)?;
        if row[2].as_int()? <= self.clock.now().0 {
            return Err(gone());
        }
        if number(&row[1])? == NOBODY {
            return if is_nobody_there(reader)? {
                Ok(Account::new(NOBODY, "", "", self.clock.now()))
            } else {
                Err(gone())
            };
        }
        let account = Account::numbered(reader, number(&row[1])?)?;
        account.filter(|one| one.state != Standing::Disabled).ok_or_else(gone)
    }

    /// Takes an invitation: the password is set, and its owner signed in. The first administrator gives their e-mail address too.
    /// Blocks.
    pub(crate) fn take_invitation(&self, taken: &Taken<'_>) -> Result<(SignedIn, String), ApiError> {
        let Taken { token, email, name, password: chosen } = *taken;
        let account = self.invited(&mut *self.store.reader()?, token)?;
        let is_first = account.number == NOBODY;
        let hashed = password::set(chosen, if is_first { email.unwrap_or_default() } else { &account.email })?;
        let mut txn = self.store.begin_shared()?;
        // Whoever came in between has taken it.
        let mut account = self.invited(&mut *txn, token)?;
        if is_first {
            account = self.first_account(&mut *txn, email.unwrap_or_default())?;
            App::shut_out(&mut *txn, NOBODY)?;
        }
        account.password = Some(hashed);
        account.state = Standing::Active;
        if let Some(name) = name.map(str::trim).filter(|name| !name.is_empty()) {
            account.name = name.chars().take(100).collect();
        }
        // Whoever lost the password may have lost the second factor as well.
        account.totp = None;
        App::shut_out(&mut *txn, account.number)?;
        account.put(&mut *txn)?;
        let signed_in = SignedIn { account, second_factor: false };
        let session = self.begin_session(&mut *txn, &signed_in)?;
        txn.commit()?;
        self.tries.succeeded(&signed_in.account.email);
        Ok((signed_in, session))
    }

    /// Changes the password of whoever is signed in. Their other sessions end. Blocks.
    pub(crate) fn change_password(&self, who: &SignedIn, old: &str, new: &str) -> Result<String, ApiError> {
        if !is_good(old, who.account.password.as_deref()) {
            return Err(ApiError::bad_request(
                "wrong_password",
                "the old password is wrong",
                "give the one you signed in with",
            ));
        }
        let hashed = password::set(new, &who.account.email)?;
        let mut txn = self.store.begin_shared()?;
        let account = who.account.unchanged(&mut *txn)?.ok_or_else(refused)?;
        let account = Account { password: Some(hashed), ..account };
        account.put(&mut *txn)?;
        App::shut_out(&mut *txn, account.number)?;
        let token = self.begin_session(&mut *txn, &SignedIn { account, ..*who })?;
        txn.commit()?;
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_waits_longer_and_longer() {
        let tries = Tries::default();
        let mut now = Timestamp(0);
        let mut waits = vec![];
        for _ in 0..20 {
            tries.failed("ada@example.com", now);
            let wait = tries.wait("ada@example.com", now);
            waits.push(wait);
            now = now.plus(wait);
        }
        assert_eq!(waits[..8], [0, 0, 0, 0, 1000, 2000, 4000, 8000]);
        assert_eq!(waits[19], WAIT_MAX_MS);
        assert_eq!(tries.wait("bob@example.com", now), 0);
        tries.succeeded("ada@example.com");
        tries.failed("ada@example.com", now);
        assert_eq!(tries.wait("ada@example.com", now), 0);
    }
}

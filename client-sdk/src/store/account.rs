//! Who the device belongs to, and the tokens. They stand in the outbox, which is encrypted and precious.

use rusqlite::Connection;
use sync_protocol::id::UserId;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::outbox::Outbox;
use super::{Store, meta};
use crate::error::Result;

/// Who works on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The person: the author of what is recorded.
    pub user: UserId,
    /// The programme.
    pub programme: Uuid,
}

/// What the server lets the device in with. Wiped from memory when dropped.
#[derive(Clone)]
pub struct Tokens {
    /// For requests, for some minutes.
    pub access: Zeroizing<String>,
    /// For new tokens, for weeks. Used once.
    pub refresh: Zeroizing<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl Store {
    /// Returns who the device belongs to, `None` before the enrolment.
    pub fn account(&self) -> Result<Option<Account>> {
        Ok(self.inner.lock().outbox.account)
    }

    /// Returns the identifier of this device, made when the outbox was made.
    pub fn device_id(&self) -> Uuid {
        self.inner.lock().outbox.device
    }

    /// Returns the tokens, `None` when the person has to sign in.
    pub fn tokens(&self) -> Result<Option<Tokens>> {
        self.inner.lock().outbox.tokens()
    }

    /// Sets who the device belongs to, with the first tokens.
    pub fn set_account(&self, account: Account, tokens: &Tokens) -> Result<()> {
        self.drain(|inner| {
            inner.outbox.durably(|outbox| {
                meta::set(&outbox.conn, "user", account.user.0.as_bytes())?;
                meta::set(&outbox.conn, "programme", account.programme.as_bytes())?;
                outbox.set_tokens(Some(tokens))
            })?;
            inner.outbox.account = Some(account);
            Ok(())
        })
    }

    /// Replaces the tokens; `None` when the server no longer accepts them. What was recorded stays.
    pub fn set_tokens(&self, tokens: Option<&Tokens>) -> Result<()> {
        self.drain(|inner| inner.outbox.durably(|outbox| outbox.set_tokens(tokens)))
    }
}

impl Outbox {
    fn tokens(&self) -> Result<Option<Tokens>> {
        let access = meta::get::<String>(&self.conn, "access_token")?;
        let refresh = meta::get::<String>(&self.conn, "refresh_token")?;
        let both = access.zip(refresh);
        Ok(both.map(|(access, refresh)| Tokens { access: Zeroizing::new(access), refresh: Zeroizing::new(refresh) }))
    }

    fn set_tokens(&mut self, tokens: Option<&Tokens>) -> Result<()> {
        let Some(tokens) = tokens else {
            meta::remove(&self.conn, "access_token")?;
            return meta::remove(&self.conn, "refresh_token");
        };
        meta::set(&self.conn, "access_token", tokens.access.as_str())?;
        meta::set(&self.conn, "refresh_token", tokens.refresh.as_str())
    }
}

/// Reads who the device belongs to.
pub(super) fn stored_account(conn: &Connection) -> Result<Option<Account>> {
    let user = meta::get::<[u8; 16]>(conn, "user")?;
    let programme = meta::get::<[u8; 16]>(conn, "programme")?;
    let both = user.zip(programme);
    Ok(both.map(|(user, programme)| Account {
        user: UserId(Uuid::from_bytes(user)),
        programme: Uuid::from_bytes(programme),
    }))
}

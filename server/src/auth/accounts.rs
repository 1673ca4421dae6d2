//! Making and closing accounts.

use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{AuthError, AuthService, Secret};
use crate::store::StoreError;
use crate::store::accounts::session::{self, RevokeReason, SessionsOf};
use crate::store::accounts::{self, AccountRow, EMAIL_CONSTRAINT};

/// NIST SP 800-63B's floor.
const SHORTEST_PASSWORD_CHARS: usize = 8;
const LONGEST_PASSWORD_BYTES: usize = 1_024;
/// RFC 5321's limit.
const LONGEST_EMAIL_BYTES: usize = 254;

/// An account to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    pub user_id: Uuid,
    pub programme_id: Uuid,
    /// Upper and lower case are the same.
    pub email: String,
    pub password: Secret,
}

impl AuthService {
    /// Makes an account. Refuses an e-mail that is taken, also by another programme.
    pub async fn create_account(&self, account: &NewAccount) -> Result<(), AuthError> {
        let email = valid_email(account)?;
        let password_hash = self.passwords.hash(&account.password).await?;
        let row = AccountRow { user_id: account.user_id, programme_id: account.programme_id, email, password_hash };
        self.insert_accounts(&[row]).await
    }

    /// Makes those of the accounts whose user has none yet, and leaves the others as they are. Accounts with the
    /// same password share one hash, so that a demonstration with many users starts quickly; people's own
    /// passwords go through [`Self::create_account`].
    pub async fn ensure_accounts(&self, wanted: &[NewAccount]) -> Result<(), AuthError> {
        let user_ids: Vec<Uuid> = wanted.iter().map(|account| account.user_id).collect();
        let existing = accounts::existing(&mut self.db.conn().await?, &user_ids).await?;
        let existing: HashSet<Uuid> = existing.into_iter().collect();
        let mut hashes: HashMap<&Secret, String> = HashMap::new();
        let mut rows = Vec::new();
        for account in wanted.iter().filter(|account| !existing.contains(&account.user_id)) {
            let email = valid_email(account)?;
            if !hashes.contains_key(&account.password) {
                hashes.insert(&account.password, self.passwords.hash(&account.password).await?);
            }
            let password_hash = hashes[&account.password].clone();
            rows.push(AccountRow {
                user_id: account.user_id,
                programme_id: account.programme_id,
                email,
                password_hash,
            });
        }
        self.insert_accounts(&rows).await
    }

    /// Disables an account of the programme and ends its sessions. Returns whether there is such an account.
    pub async fn disable_account(&self, programme_id: Uuid, user_id: Uuid) -> Result<bool, AuthError> {
        let mut tx = self.db.conn().await?.write_tx().await?;
        let found = accounts::disable(&mut tx, programme_id, user_id).await?;
        if found {
            session::revoke(&mut tx, SessionsOf::User(user_id), RevokeReason::AccountDisabled, self.world.now())
                .await?;
        }
        tx.commit().await?;
        self.cache.evict(|identity| identity.user_id == user_id);
        Ok(found)
    }

    async fn insert_accounts(&self, rows: &[AccountRow]) -> Result<(), AuthError> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut conn = self.db.conn().await?;
        accounts::insert(&mut conn, rows, self.world.now()).await.map_err(|error| match error {
            StoreError::Constraint { constraint, .. } if constraint == EMAIL_CONSTRAINT => {
                bad("email", "This e-mail address already has an account.")
            }
            other => other.into(),
        })
    }
}

/// Returns the e-mail as it is stored and compared.
pub(super) fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Returns the key under which failed sign-ins with an e-mail are counted.
pub(super) fn email_hash(normal_email: &str) -> [u8; 32] {
    Sha256::digest(normal_email).into()
}

fn valid_email(account: &NewAccount) -> Result<String, AuthError> {
    let email = normal_email(&account.email);
    if email.len() > LONGEST_EMAIL_BYTES || !email.contains('@') || email.contains(char::is_control) {
        return Err(bad("email", "This is not an e-mail address."));
    }
    let password = account.password.expose();
    if password.chars().count() < SHORTEST_PASSWORD_CHARS || password.len() > LONGEST_PASSWORD_BYTES {
        return Err(bad("password", "A password has 8 characters at least and 1024 bytes at most."));
    }
    Ok(email)
}

/// Returns the refusal of one field.
pub(super) fn bad(field: &'static str, message: &str) -> AuthError {
    AuthError::BadRequest { field, message: message.to_owned() }
}

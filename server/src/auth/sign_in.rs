//! Signing in with a password, with or without a phone to enrol.

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::accounts::{bad, email_hash, normal_email};
use super::{AuthError, AuthService, Secret, SignedIn};
use crate::store::Conn;
use crate::store::accounts::device::{self, DeviceRow, DeviceStatus};
use crate::store::accounts::session::{self, RevokeReason, SessionsOf};
use crate::store::accounts::{self, Account};

const LONGEST_DEVICE_TEXT_BYTES: usize = 200;

/// A phone that asks to be enrolled.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Made by the client, once per installation and user.
    pub id: Uuid,
    /// What its user calls it.
    pub name: String,
    pub model: String,
    pub app_version: String,
}

impl AuthService {
    /// Signs in without a phone: a browser or a tool.
    pub async fn login(&self, email: &str, password: &Secret) -> Result<SignedIn, AuthError> {
        let account = self.verify(email, password).await?;
        let mut tx = self.db.conn().await?.write_tx().await?;
        let signed_in = self.open_session(&mut tx, &account, None).await?;
        tx.commit().await?;
        Ok(signed_in)
    }

    /// Signs in and enrols the phone. A phone of the same user may enrol again, which ends its older session; a
    /// blocked phone, or one of another user, may not.
    pub async fn enrol(&self, email: &str, password: &Secret, phone: &NewDevice) -> Result<SignedIn, AuthError> {
        check_device(phone)?;
        let account = self.verify(email, password).await?;
        let now = self.world.now();
        let mut tx = self.phones.conn().await?.write_tx().await?;
        if let Err(refused) = claim(&mut tx, &device_row(phone, &account), now).await {
            tx.rollback().await?;
            return Err(refused);
        }
        session::revoke(&mut tx, SessionsOf::Device(phone.id), RevokeReason::Reenrolled, now).await?;
        let signed_in = self.open_session(&mut tx, &account, Some(phone.id)).await?;
        tx.commit().await?;
        let current = signed_in.identity.session_id;
        self.cache.evict(|identity| identity.device_id == Some(phone.id) && identity.session_id != current);
        Ok(signed_in)
    }

    /// Returns the account that the e-mail and the password name. No connection is held while the password waits
    /// for its turn to be hashed.
    async fn verify(&self, email: &str, password: &Secret) -> Result<Account, AuthError> {
        let email = normal_email(email);
        let key = email_hash(&email);
        let now = self.world.now();
        let state = accounts::sign_in_state(&mut self.db.conn().await?, &email, &key).await?;
        if let Some(until) = state.locked_until.filter(|until| *until > now) {
            return Err(AuthError::AccountLocked { retry_after_s: seconds_until(until, now) });
        }
        let stored = state.account.as_ref().and_then(|account| account.password_hash.clone());
        let checked = self.passwords.check(password, stored).await?;
        let mut conn = self.db.conn().await?;
        let Some(account) = state.account.filter(|account| checked.matches && account.is_active) else {
            self.count_failure(&mut conn, &key, now).await?;
            return Err(AuthError::WrongCredentials);
        };
        if state.failures > 0 {
            accounts::forget_failures(&mut conn, &key).await?;
        }
        if let (Some(new), Some(old)) = (checked.rehashed, &account.password_hash) {
            accounts::replace_hash(&mut conn, account.user_id, old, &new).await?;
        }
        Ok(account)
    }

    async fn count_failure(&self, conn: &mut Conn, key: &[u8], now: Timestamp) -> Result<(), AuthError> {
        let forgotten_before = now.plus_ms(-self.limits.forget_failures_after_ms);
        let failures = accounts::count_failure(conn, key, now, forgotten_before).await?;
        let beyond = failures - self.limits.failures_before_lock;
        if beyond >= 0 {
            // The limit is reached long before the shift runs out of bits.
            let lock_ms =
                self.limits.first_lock_ms.saturating_mul(1 << beyond.min(30)).min(self.limits.longest_lock_ms);
            accounts::lock_email(conn, key, now.plus_ms(lock_ms)).await?;
        }
        Ok(())
    }
}

/// Writes the device, unless it is blocked or someone else's.
async fn claim(conn: &mut Conn, row: &DeviceRow<'_>, now: Timestamp) -> Result<(), AuthError> {
    let holder = device::claim(conn, row, now).await?;
    if holder.user_id != row.user_id {
        return Err(bad("device.id", "This phone is enrolled for someone else; enrol it under a new id."));
    }
    if holder.status != DeviceStatus::Active {
        return Err(AuthError::DeviceRevoked { status: holder.status });
    }
    device::describe(conn, row, now).await?;
    Ok(())
}

fn device_row<'d>(phone: &'d NewDevice, account: &Account) -> DeviceRow<'d> {
    DeviceRow {
        id: phone.id,
        programme_id: account.programme_id,
        user_id: account.user_id,
        name: &phone.name,
        model: &phone.model,
        app_version: &phone.app_version,
    }
}

fn check_device(phone: &NewDevice) -> Result<(), AuthError> {
    let texts =
        [("device.name", &phone.name), ("device.model", &phone.model), ("device.appVersion", &phone.app_version)];
    // Postgres stores no NUL.
    match texts.into_iter().find(|(_, text)| text.len() > LONGEST_DEVICE_TEXT_BYTES || text.contains('\0')) {
        Some((field, _)) => Err(bad(field, "This text is longer than 200 bytes, or holds a NUL character.")),
        None => Ok(()),
    }
}

fn seconds_until(until: Timestamp, now: Timestamp) -> i64 {
    (until.0 - now.0 + 999) / 1_000
}

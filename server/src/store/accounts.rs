//! Accounts: who may sign in, and how often someone failed to.

pub mod device;
pub mod session;

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::{Conn, Record, Sql, StoreError};

/// The constraint that keeps one account per e-mail.
pub const EMAIL_CONSTRAINT: &str = "account_email_key";

/// An account as sign-in needs it.
#[derive(Debug)]
pub struct Account {
    pub user_id: Uuid,
    pub programme_id: Uuid,
    /// `None` for someone who has no password here.
    pub password_hash: Option<String>,
    pub is_active: bool,
}

/// What is known about an e-mail before its password is checked.
#[derive(Debug)]
pub struct SignInState {
    pub account: Option<Account>,
    pub failures: i64,
    pub locked_until: Option<Timestamp>,
}

/// An account to be written.
#[derive(Clone, Debug)]
pub struct AccountRow {
    pub user_id: Uuid,
    pub programme_id: Uuid,
    pub email: String,
    pub password_hash: String,
}

/// Reads the account and the failed sign-ins of an e-mail, in one statement whether the e-mail is known or not.
pub async fn sign_in_state(conn: &mut Conn, email: &str, email_hash: &[u8]) -> Result<SignInState, StoreError> {
    let sql = Sql::new(
        "SELECT a.user_id, a.programme_id, a.password_hash, a.status = 'ACTIVE', f.failures, f.locked_until \
         FROM (VALUES (1)) AS one \
         LEFT JOIN account a ON a.email = $1 \
         LEFT JOIN login_failure f ON f.email_hash = $2",
    )
    .bind(email)
    .bind(email_hash);
    match conn.query_opt(sql).await? {
        Some(record) => read_sign_in_state(&record),
        None => Ok(SignInState { account: None, failures: 0, locked_until: None }),
    }
}

fn read_sign_in_state(record: &Record) -> Result<SignInState, StoreError> {
    let account = match record.opt_uuid(0)? {
        Some(user_id) => Some(Account {
            user_id,
            programme_id: record.uuid(1)?,
            password_hash: record.opt_text(2)?,
            is_active: record.bool(3)?,
        }),
        None => None,
    };
    Ok(SignInState { account, failures: record.opt_int(4)?.unwrap_or(0), locked_until: record.opt_timestamp(5)? })
}

/// Counts a failed sign-in and returns how many there are. Failures before `forgotten_before` do not count.
pub async fn count_failure(
    conn: &mut Conn,
    email_hash: &[u8],
    now: Timestamp,
    forgotten_before: Timestamp,
) -> Result<i64, StoreError> {
    let sql = Sql::new(
        "INSERT INTO login_failure AS f (email_hash, failures, last_failed_at) VALUES ($1, 1, $2) \
         ON CONFLICT (email_hash) DO UPDATE SET \
             failures = CASE WHEN f.last_failed_at < $3 THEN 1 ELSE f.failures + 1 END, \
             last_failed_at = excluded.last_failed_at \
         RETURNING failures",
    )
    .bind(email_hash)
    .bind(now)
    .bind(forgotten_before);
    conn.query_opt(sql).await?.map_or(Ok(1), |record| record.int(0))
}

/// Locks an e-mail until `until`.
pub async fn lock_email(conn: &mut Conn, email_hash: &[u8], until: Timestamp) -> Result<(), StoreError> {
    let sql = Sql::new("UPDATE login_failure SET locked_until = $2 WHERE email_hash = $1").bind(email_hash).bind(until);
    conn.execute(sql).await?;
    Ok(())
}

/// Forgets the failed sign-ins of an e-mail.
pub async fn forget_failures(conn: &mut Conn, email_hash: &[u8]) -> Result<(), StoreError> {
    conn.execute(Sql::new("DELETE FROM login_failure WHERE email_hash = $1").bind(email_hash)).await?;
    Ok(())
}

/// Forgets every e-mail whose last failure is older than `before`.
pub async fn forget_old_failures(conn: &mut Conn, before: Timestamp) -> Result<usize, StoreError> {
    conn.execute(Sql::new("DELETE FROM login_failure WHERE last_failed_at < $1").bind(before)).await
}

/// Replaces a password hash, unless the password has changed since `old_hash` was read.
pub async fn replace_hash(conn: &mut Conn, user_id: Uuid, old_hash: &str, new_hash: &str) -> Result<(), StoreError> {
    let sql = Sql::new("UPDATE account SET password_hash = $3 WHERE user_id = $1 AND password_hash = $2")
        .bind(user_id)
        .bind(old_hash)
        .bind(new_hash);
    conn.execute(sql).await?;
    Ok(())
}

/// Writes new accounts. Fails on [`EMAIL_CONSTRAINT`] when an e-mail is taken.
pub async fn insert(conn: &mut Conn, rows: &[AccountRow], now: Timestamp) -> Result<(), StoreError> {
    let texts = |text: fn(&AccountRow) -> &str| rows.iter().map(|row| text(row).to_owned()).collect::<Vec<_>>();
    let sql = Sql::new(
        "INSERT INTO account (programme_id, user_id, email, password_hash, created_at) \
         SELECT programme_id, user_id, email, password_hash, $5 \
         FROM unnest($1, $2, $3, $4) AS new (programme_id, user_id, email, password_hash)",
    )
    .bind(rows.iter().map(|row| row.programme_id).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.user_id).collect::<Vec<_>>())
    .bind(texts(|row| &row.email))
    .bind(texts(|row| &row.password_hash))
    .bind(now);
    conn.execute(sql).await?;
    Ok(())
}

/// Returns which of these users have an account.
pub async fn existing(conn: &mut Conn, user_ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let rows = conn.query(Sql::new("SELECT user_id FROM account WHERE user_id = ANY($1)").bind(user_ids)).await?;
    rows.iter().map(|record| record.uuid(0)).collect()
}

/// Disables an account of the programme and returns whether there is one.
pub async fn disable(conn: &mut Conn, programme_id: Uuid, user_id: Uuid) -> Result<bool, StoreError> {
    let sql = Sql::new("UPDATE account SET status = 'DISABLED' WHERE programme_id = $1 AND user_id = $2")
        .bind(programme_id)
        .bind(user_id);
    Ok(conn.execute(sql).await? > 0)
}

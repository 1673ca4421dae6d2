//! Sessions and their tokens. A token is stored as its SHA-256 only.

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::device::DeviceStatus;
use crate::store::{Conn, Record, Sql, StoreError};

/// Why a session ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeReason {
    Logout,
    ReuseDetected,
    DeviceMismatch,
    DeviceRevoked,
    Reenrolled,
    AccountDisabled,
}

impl RevokeReason {
    /// Returns the code of this reason, as the database spells it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Logout => "LOGOUT",
            Self::ReuseDetected => "REUSE_DETECTED",
            Self::DeviceMismatch => "DEVICE_MISMATCH",
            Self::DeviceRevoked => "DEVICE_REVOKED",
            Self::Reenrolled => "REENROLLED",
            Self::AccountDisabled => "ACCOUNT_DISABLED",
        }
    }
}

/// Which sessions a revocation ends.
#[derive(Clone, Copy, Debug)]
pub enum SessionsOf {
    Session(Uuid),
    Device(Uuid),
    User(Uuid),
}

/// A session as every request needs it.
#[derive(Clone, Debug)]
pub struct Session {
    pub id: Uuid,
    pub programme_id: Uuid,
    pub user_id: Uuid,
    pub device_id: Option<Uuid>,
    pub expires_at: Timestamp,
    pub is_revoked: bool,
    pub is_account_active: bool,
    /// `None` for a session without a device.
    pub device_status: Option<DeviceStatus>,
}

/// A refresh token with its session.
#[derive(Clone, Debug)]
pub struct RefreshState {
    pub session: Session,
    pub rotation_key: Vec<u8>,
    pub generation: i32,
    pub issued_at: Timestamp,
    pub is_used: bool,
    /// `None` as long as there is no successor.
    pub successor: Option<Successor>,
}

/// The token that followed.
#[derive(Clone, Copy, Debug)]
pub struct Successor {
    pub issued_at: Timestamp,
    pub is_used: bool,
}

/// Reads the first eight columns: a session joined with its account and its device.
fn read_session(record: &Record) -> Result<Session, StoreError> {
    Ok(Session {
        id: record.uuid(0)?,
        programme_id: record.uuid(1)?,
        user_id: record.uuid(2)?,
        device_id: record.opt_uuid(3)?,
        expires_at: record.timestamp(4)?,
        is_revoked: record.bool(5)?,
        is_account_active: record.bool(6)?,
        device_status: record.opt_text(7)?.map(|code| DeviceStatus::read(&code, 7)).transpose()?,
    })
}

/// Writes a new session.
pub async fn insert(conn: &mut Conn, session: &Session, rotation_key: &[u8], now: Timestamp) -> Result<(), StoreError> {
    let sql = Sql::new(
        "INSERT INTO session (programme_id, id, user_id, device_id, created_at, expires_at, rotation_key) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(session.programme_id)
    .bind(session.id)
    .bind(session.user_id)
    .bind(session.device_id)
    .bind(now)
    .bind(session.expires_at)
    .bind(rotation_key);
    conn.execute(sql).await?;
    Ok(())
}

/// Writes an access token and drops those of its session that have expired.
pub async fn insert_access(
    conn: &mut Conn,
    session_id: Uuid,
    hash: &[u8],
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = Sql::new(
        "WITH expired AS (DELETE FROM access_token WHERE session_id = $1 AND expires_at <= $4) \
         INSERT INTO access_token (session_id, hash, expires_at) VALUES ($1, $2, $3)",
    )
    .bind(session_id)
    .bind(hash)
    .bind(expires_at)
    .bind(now);
    conn.execute(sql).await?;
    Ok(())
}

/// Writes a refresh token.
pub async fn insert_refresh(
    conn: &mut Conn,
    session_id: Uuid,
    generation: i32,
    hash: &[u8],
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = Sql::new("INSERT INTO refresh_token (session_id, generation, hash, issued_at) VALUES ($1, $2, $3, $4)")
        .bind(session_id)
        .bind(generation)
        .bind(hash)
        .bind(now);
    conn.execute(sql).await?;
    Ok(())
}

/// Marks a refresh token as used.
pub async fn use_refresh(conn: &mut Conn, hash: &[u8], now: Timestamp) -> Result<(), StoreError> {
    conn.execute(Sql::new("UPDATE refresh_token SET used_at = $2 WHERE hash = $1").bind(hash).bind(now)).await?;
    Ok(())
}

/// Gives a refresh token that is handed out once more its full time again.
pub async fn reissue_refresh(
    conn: &mut Conn,
    session_id: Uuid,
    generation: i32,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = Sql::new("UPDATE refresh_token SET issued_at = $3 WHERE session_id = $1 AND generation = $2")
        .bind(session_id)
        .bind(generation)
        .bind(now);
    conn.execute(sql).await?;
    Ok(())
}

/// Returns the session of an access token and when the token expires. One statement, by primary keys.
pub async fn by_access(conn: &mut Conn, hash: &[u8]) -> Result<Option<(Session, Timestamp)>, StoreError> {
    let sql = Sql::new(
        "SELECT s.id, s.programme_id, s.user_id, s.device_id, s.expires_at, s.revoked_at IS NOT NULL, \
             a.status = 'ACTIVE', d.status, t.expires_at \
         FROM access_token t \
         JOIN session s ON s.id = t.session_id \
         JOIN account a ON a.user_id = s.user_id \
         LEFT JOIN device d ON d.id = s.device_id \
         WHERE t.hash = $1",
    )
    .bind(hash);
    let record = conn.query_opt(sql).await?;
    record.map(|record| Ok((read_session(&record)?, record.timestamp(8)?))).transpose()
}

/// Returns whether a session goes on: it was not ended, its account may sign in, and its device is not blocked.
pub async fn is_open(conn: &mut Conn, id: Uuid) -> Result<bool, StoreError> {
    let sql = Sql::new(
        "SELECT s.revoked_at IS NULL AND a.status = 'ACTIVE' AND coalesce(d.status, 'ACTIVE') = 'ACTIVE' \
         FROM session s JOIN account a ON a.user_id = s.user_id LEFT JOIN device d ON d.id = s.device_id \
         WHERE s.id = $1",
    );
    conn.query_opt(sql.bind(id)).await?.map_or(Ok(false), |record| record.bool(0))
}

/// Locks the session of a refresh token until the end of the transaction, so that two refreshes with one token
/// follow each other. Returns the session's id.
pub async fn lock_by_refresh(conn: &mut Conn, hash: &[u8]) -> Result<Option<Uuid>, StoreError> {
    let sql = Sql::new(
        "SELECT s.id FROM refresh_token r JOIN session s ON s.id = r.session_id WHERE r.hash = $1 FOR UPDATE OF s",
    )
    .bind(hash);
    conn.query_opt(sql).await?.map(|record| record.uuid(0)).transpose()
}

/// Returns the state of a refresh token. Its session must be locked: a statement that locks and reads at once
/// would see the token as it was before it waited.
pub async fn by_refresh(conn: &mut Conn, hash: &[u8]) -> Result<Option<RefreshState>, StoreError> {
    let sql = Sql::new(
        "SELECT s.id, s.programme_id, s.user_id, s.device_id, s.expires_at, s.revoked_at IS NOT NULL, \
             a.status = 'ACTIVE', d.status, \
             s.rotation_key, r.generation, r.issued_at, r.used_at IS NOT NULL, n.issued_at, n.used_at IS NOT NULL \
         FROM refresh_token r \
         JOIN session s ON s.id = r.session_id \
         JOIN account a ON a.user_id = s.user_id \
         LEFT JOIN device d ON d.id = s.device_id \
         LEFT JOIN refresh_token n ON n.session_id = r.session_id AND n.generation = r.generation + 1 \
         WHERE r.hash = $1",
    )
    .bind(hash);
    let record = conn.query_opt(sql).await?;
    record.map(|record| read_refresh_state(&record)).transpose()
}

fn read_refresh_state(record: &Record) -> Result<RefreshState, StoreError> {
    let successor = match record.opt_timestamp(12)? {
        Some(issued_at) => Some(Successor { issued_at, is_used: record.bool(13)? }),
        None => None,
    };
    Ok(RefreshState {
        session: read_session(record)?,
        rotation_key: record.bytes(8)?,
        generation: record.int(9)? as i32,
        issued_at: record.timestamp(10)?,
        is_used: record.bool(11)?,
        successor,
    })
}

/// Ends the running sessions of a session id, a device or a user.
pub async fn revoke(
    conn: &mut Conn,
    of: SessionsOf,
    reason: RevokeReason,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let (text, id) = match of {
        SessionsOf::Session(id) => {
            ("UPDATE session SET revoked_at = $2, revoke_reason = $3 WHERE revoked_at IS NULL AND id = $1", id)
        }
        SessionsOf::Device(id) => {
            ("UPDATE session SET revoked_at = $2, revoke_reason = $3 WHERE revoked_at IS NULL AND device_id = $1", id)
        }
        SessionsOf::User(id) => {
            ("UPDATE session SET revoked_at = $2, revoke_reason = $3 WHERE revoked_at IS NULL AND user_id = $1", id)
        }
    };
    conn.execute(Sql::new(text).bind(id).bind(now).bind(reason.code())).await
}

/// Deletes the sessions that expired before `before`, with their tokens.
pub async fn delete_expired(conn: &mut Conn, before: Timestamp) -> Result<usize, StoreError> {
    conn.execute(Sql::new("DELETE FROM session WHERE expires_at < $1").bind(before)).await
}

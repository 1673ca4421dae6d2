//! Devices: the phones on which a user works.

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use crate::store::{Conn, Sql, StoreError};

/// Whether a device may talk to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceStatus {
    /// In use.
    Active,
    /// Refused for now.
    Suspended,
    /// Refused for good.
    Revoked,
    /// Refused, and told to destroy its data.
    WipeRequested,
    /// Has reported that its data is destroyed.
    Wiped,
}

impl DeviceStatus {
    const ALL: [Self; 5] = [Self::Active, Self::Suspended, Self::Revoked, Self::WipeRequested, Self::Wiped];

    /// Returns the code of this status, as the database and the wire spell it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Suspended => "SUSPENDED",
            Self::Revoked => "REVOKED",
            Self::WipeRequested => "WIPE_REQUESTED",
            Self::Wiped => "WIPED",
        }
    }

    pub(super) fn read(code: &str, column: usize) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|status| status.code() == code)
            .ok_or(StoreError::Shape { column, expected: "a device status" })
    }
}

/// What a phone says about itself.
#[derive(Clone, Debug)]
pub struct DeviceRow<'d> {
    pub id: Uuid,
    pub programme_id: Uuid,
    pub user_id: Uuid,
    pub name: &'d str,
    pub model: &'d str,
    pub app_version: &'d str,
}

/// Who holds a device.
#[derive(Debug)]
pub struct DeviceHolder {
    pub user_id: Uuid,
    pub status: DeviceStatus,
}

/// Writes a device that is new, and locks the row until the end of the transaction either way. Returns who holds
/// it, which for an old device may be someone else.
pub async fn claim(conn: &mut Conn, device: &DeviceRow<'_>, now: Timestamp) -> Result<DeviceHolder, StoreError> {
    let sql = Sql::new(
        "INSERT INTO device AS d (programme_id, id, user_id, name, model, app_version, enrolled_at, last_seen_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7) \
         ON CONFLICT (id) DO UPDATE SET id = d.id \
         RETURNING user_id, status",
    )
    .bind(device.programme_id)
    .bind(device.id)
    .bind(device.user_id)
    .bind(device.name)
    .bind(device.model)
    .bind(device.app_version)
    .bind(now);
    let record = conn.query_opt(sql).await?.ok_or(StoreError::Shape { column: 0, expected: "a device" })?;
    Ok(DeviceHolder { user_id: record.uuid(0)?, status: DeviceStatus::read(&record.text(1)?, 1)? })
}

/// Updates what a known device says about itself.
pub async fn describe(conn: &mut Conn, device: &DeviceRow<'_>, now: Timestamp) -> Result<(), StoreError> {
    let sql = Sql::new("UPDATE device SET name = $2, model = $3, app_version = $4, last_seen_at = $5 WHERE id = $1")
        .bind(device.id)
        .bind(device.name)
        .bind(device.model)
        .bind(device.app_version)
        .bind(now);
    conn.execute(sql).await?;
    Ok(())
}

/// Notes that a device was heard from.
pub async fn seen(conn: &mut Conn, device_id: Uuid, now: Timestamp) -> Result<(), StoreError> {
    conn.execute(Sql::new("UPDATE device SET last_seen_at = $2 WHERE id = $1").bind(device_id).bind(now)).await?;
    Ok(())
}

/// A new status of a device.
#[derive(Clone, Debug)]
pub struct StatusChange {
    /// The status.
    pub status: DeviceStatus,
    /// Who sets it.
    pub by: Uuid,
    /// Why, in that person's words.
    pub reason: String,
}

/// Sets the status of a device of the programme and returns whether there is one. A status that it has already keeps
/// who set it first, and a wipe that was asked for is not taken back by a mere revocation.
pub async fn set_status(
    conn: &mut Conn,
    programme_id: Uuid,
    device_id: Uuid,
    change: &StatusChange,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const SET: &str = "\
        WITH found AS (SELECT status FROM device WHERE programme_id = $1 AND id = $2 FOR UPDATE), \
        changed AS (UPDATE device d SET status = $3, status_at = $4, status_by = $5, status_reason = $6 FROM found \
            WHERE d.programme_id = $1 AND d.id = $2 AND d.status <> $3 \
              AND NOT ($3 = 'REVOKED' AND d.status IN ('WIPE_REQUESTED', 'WIPED'))) \
        SELECT status FROM found";
    let sql = Sql::new(SET)
        .bind(programme_id)
        .bind(device_id)
        .bind(change.status.code())
        .bind(now)
        .bind(change.by)
        .bind(change.reason.as_str());
    Ok(conn.query_opt(sql).await?.is_some())
}

//! What devices said of themselves, kept for the office. Contacts are written many at a time.

mod overview;

use sync_protocol::time::Timestamp;
use uuid::Uuid;

use super::{Conn, Record, Sql, StoreError};

pub use overview::{DeviceAccess, DeviceQuery, DeviceRow, FIELDS, View, count, field, list, states, versions};

/// What is known of a device since its contacts were last written.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// The programme.
    pub programme: Uuid,
    /// The device.
    pub device: Uuid,
    /// Who is signed in.
    pub user: Uuid,
    /// The application and its version.
    pub app: String,
    /// The version of the protocol that it speaks.
    pub protocol: u16,
    /// The last contact.
    pub at: Timestamp,
    /// The last sync that left everything on both sides.
    pub complete_at: Option<Timestamp>,
    /// Changes not yet acknowledged.
    pub pending: u32,
    /// Changes that were rejected and not dealt with.
    pub rejected: u32,
    /// The age of the oldest pending change.
    pub oldest_ms: u64,
    /// The server's clock minus the device's.
    pub clock_offset_ms: i64,
    /// Rows of a damaged outbox that were saved, and those that were not.
    pub salvaged: (u64, u64),
    /// When something last moved, or nothing waited.
    pub progress_at: Option<Timestamp>,
    /// How often it began a sync with work waiting since then.
    pub times: u32,
    /// When it last got the digests of what it should hold.
    pub verified_at: Option<Timestamp>,
    /// In how many scopes it found a difference that nothing explains.
    pub mismatches: u32,
    /// Up to which number it has heard of every deletion; `None` while it holds nothing of this history.
    pub heard_seq: Option<u64>,
}

/// What is new about a device whose contact was written.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    /// The device.
    pub device: Uuid,
    /// Whether it turned out now that it is stalled: in touch over more than an hour and three syncs, with work
    /// waiting, and nothing moved.
    pub is_newly_stalled: bool,
    /// Rows of a damaged outbox that it saved since it was last heard of.
    pub salvaged: u64,
    /// Rows that it could not save.
    pub lost: u64,
}

/// Writes contacts and returns what is new about their devices.
pub async fn note(conn: &mut Conn, contacts: &[Contact]) -> Result<Vec<Noted>, StoreError> {
    const NOTE: &str = "\
        INSERT INTO device_contact AS c (programme_id, device_id, user_id, app, protocol, contact_at, complete_at, \
            pending, rejected, oldest_ms, clock_offset_ms, salvaged_rows, lost_rows, digest_verified_at, \
            digest_mismatches, progress_at, contacts_without_progress, heard_seq) \
        SELECT u.programme_id, u.device_id, u.user_id, u.app, u.protocol, u.contact_at, u.complete_at, u.pending, \
            u.rejected, u.oldest_ms, u.clock_offset_ms, u.salvaged, u.lost, u.verified_at, u.mismatches, \
            u.progress_at, u.times, u.heard_seq \
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::timestamptz[], \
            $7::timestamptz[], $8::int[], $9::int[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], \
            $14::timestamptz[], $15::int[], $16::int[], $17::timestamptz[], $18::bigint[]) \
            AS u(programme_id, device_id, user_id, app, protocol, contact_at, complete_at, pending, rejected, \
            oldest_ms, clock_offset_ms, salvaged, lost, verified_at, mismatches, times, progress_at, heard_seq) \
        ON CONFLICT (programme_id, device_id) DO UPDATE SET user_id = excluded.user_id, app = excluded.app, \
            protocol = excluded.protocol, contact_at = greatest(c.contact_at, excluded.contact_at), \
            complete_at = coalesce(excluded.complete_at, c.complete_at), pending = excluded.pending, \
            rejected = excluded.rejected, oldest_ms = excluded.oldest_ms, \
            clock_offset_ms = excluded.clock_offset_ms, salvaged_rows = greatest(c.salvaged_rows, excluded.salvaged_rows), \
            lost_rows = greatest(c.lost_rows, excluded.lost_rows), \
            digest_verified_at = coalesce(excluded.digest_verified_at, c.digest_verified_at), \
            digest_mismatches = c.digest_mismatches + excluded.digest_mismatches, \
            heard_seq = excluded.heard_seq, \
            progress_at = coalesce(excluded.progress_at, c.progress_at, c.contact_at), \
            contacts_without_progress = excluded.contacts_without_progress \
                + CASE WHEN excluded.progress_at IS NULL THEN c.contacts_without_progress ELSE 0 END, \
            stalled_at = CASE \
                WHEN excluded.progress_at IS NULL AND c.stalled_at IS NOT NULL THEN c.stalled_at \
                WHEN excluded.contacts_without_progress \
                        + CASE WHEN excluded.progress_at IS NULL THEN c.contacts_without_progress ELSE 0 END >= 3 \
                    AND excluded.contact_at - coalesce(excluded.progress_at, c.progress_at, c.contact_at) \
                        > interval '1 hour' THEN excluded.contact_at END \
        RETURNING c.device_id, coalesce(c.stalled_at = c.contact_at, false), \
            greatest(c.salvaged_rows - coalesce((SELECT b.salvaged_rows FROM device_contact b WHERE \
                b.programme_id = c.programme_id AND b.device_id = c.device_id), 0), 0), \
            greatest(c.lost_rows - coalesce((SELECT b.lost_rows FROM device_contact b WHERE \
                b.programme_id = c.programme_id AND b.device_id = c.device_id), 0), 0)";
    let column = |value: fn(&Contact) -> Uuid| contacts.iter().map(value).collect::<Vec<_>>();
    let small =
        |value: fn(&Contact) -> u32| contacts.iter().map(|c| value(c).min(i32::MAX as u32) as i32).collect::<Vec<_>>();
    let big =
        |value: fn(&Contact) -> u64| contacts.iter().map(|c| value(c).min(i64::MAX as u64) as i64).collect::<Vec<_>>();
    let sql = Sql::new(NOTE)
        .bind(column(|c| c.programme))
        .bind(column(|c| c.device))
        .bind(column(|c| c.user))
        .bind(contacts.iter().map(|c| c.app.clone()).collect::<Vec<_>>())
        .bind(small(|c| u32::from(c.protocol)))
        .bind(contacts.iter().map(|c| c.at).collect::<Vec<_>>())
        .bind(contacts.iter().map(|c| c.complete_at).collect::<Vec<_>>())
        .bind(small(|c| c.pending))
        .bind(small(|c| c.rejected))
        .bind(big(|c| c.oldest_ms))
        .bind(contacts.iter().map(|c| c.clock_offset_ms).collect::<Vec<_>>())
        .bind(big(|c| c.salvaged.0))
        .bind(big(|c| c.salvaged.1))
        .bind(contacts.iter().map(|c| c.verified_at).collect::<Vec<_>>())
        .bind(small(|c| c.mismatches))
        .bind(small(|c| c.times))
        .bind(contacts.iter().map(|c| c.progress_at).collect::<Vec<_>>())
        .bind(super::Bind::BigInts(contacts.iter().map(|c| c.heard_seq.map(|seq| seq as i64)).collect()));
    let records = conn.query(sql).await?;
    records.iter().map(noted).collect()
}

fn noted(record: &Record) -> Result<Noted, StoreError> {
    Ok(Noted {
        device: record.uuid(0)?,
        is_newly_stalled: record.bool(1)?,
        salvaged: record.int(2)? as u64,
        lost: record.int(3)? as u64,
    })
}

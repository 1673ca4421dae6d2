//! Reading the fleet: one row for each device, with what it said, what waits for people, and how it stands.

use sync_protocol::field::Field;
use sync_protocol::time::Timestamp;
use sync_protocol::value::{FieldType, Value};
use uuid::Uuid;

use crate::store::query::{Column, Direction, Filter, Order, Position, push_after, push_filter, push_order};
use crate::store::{Conn, Record, Sql, StoreError};

/// The codes of a device's state. A device has the first one that holds.
const STATES: &[&str] = &["BLOCKED", "EXPIRED", "SILENT", "NEVER_SYNCED", "STALLED", "PENDING", "UP_TO_DATE"];
/// The codes of a device's status.
const STATUSES: &[&str] = &["ACTIVE", "SUSPENDED", "REVOKED", "WIPE_REQUESTED", "WIPED"];

/// Whose devices are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceAccess {
    /// Every device of the programme.
    All,
    /// The devices of one person.
    Of(Uuid),
}

/// The view of a fleet: whose, as of when, and after how many days a device counts as silent, and as expired.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// The programme.
    pub programme: Uuid,
    /// Which devices.
    pub access: DeviceAccess,
    /// The instant.
    pub now: Timestamp,
    /// The days.
    pub silent_after_days: i32,
    /// The days after which nothing is kept for a device.
    pub expired_after_days: i32,
}

/// One page of devices.
#[derive(Clone, Debug)]
pub struct DeviceQuery {
    /// What they must fulfil.
    pub filter: Option<Filter>,
    /// The order; the identifier decides among equals.
    pub order: Vec<Order>,
    /// Whether the page is taken from the end.
    pub backward: bool,
    /// Start after this device.
    pub from: Option<Position>,
    /// The most devices to return.
    pub limit: usize,
}

/// A device: its identifier and the values of [`FIELDS`].
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceRow {
    /// The identifier.
    pub id: Uuid,
    /// One value for each of [`FIELDS`].
    pub values: Vec<Value>,
}

const fn of(name: &'static str, field_type: FieldType, nullable: bool, doc: &'static str) -> Field {
    Field { doc, indexed: true, ..Field::new(name, field_type, nullable, "", &[]) }
}

const fn code(name: &'static str, type_name: &'static str, codes: &'static [&'static str], doc: &'static str) -> Field {
    Field { doc, indexed: true, ..Field::new(name, FieldType::Code, false, type_name, codes) }
}

/// What is known of a device, in the order of [`DeviceRow::values`].
pub static FIELDS: [Field; 26] = [
    Field {
        reference: Some(sync_protocol::entity::EntityKind::User),
        ..of("user_id", FieldType::Uuid, false, "Who works on it: the person who enrolled it.")
    },
    of("name", FieldType::Text, false, "What its user calls it."),
    of("model", FieldType::Text, false, "The model, as the device says."),
    code("status", "DeviceStatus", STATUSES, "Whether it may talk to the server."),
    code("state", "DeviceSyncState", STATES, "How its sync stands."),
    of("enrolled_at", FieldType::Timestamp, false, "When it was enrolled."),
    of("app", FieldType::Text, false, "The application and its version, such as `teren-field/1.4.2`."),
    of(
        "protocol_version",
        FieldType::Int,
        true,
        "The version of the sync protocol, which fixes the schema of its rows.",
    ),
    of(
        "last_contact_at",
        FieldType::Timestamp,
        true,
        "When it last began a sync, with news or without; null before the first. At most ten seconds old.",
    ),
    of("last_complete_sync_at", FieldType::Timestamp, true, "When everything was last on both sides."),
    of("pending_count", FieldType::Int, false, "Changes that are still on the device only, as of its last contact."),
    of("oldest_pending_at", FieldType::Timestamp, true, "Since when the oldest of them waits, by the server's clock."),
    of(
        "rejected_count",
        FieldType::Int,
        false,
        "Changes that the server refused and the person has not dealt with, as of the last contact.",
    ),
    of("held_count", FieldType::Int, false, "Changes that the server keeps until something else happens."),
    of("conflict_count", FieldType::Int, false, "Open conflicts in which its user wrote one of the values."),
    of(
        "clock_offset_seconds",
        FieldType::Int,
        true,
        "By how many seconds the device's clock is behind the server's; negative when it is ahead.",
    ),
    of("is_clock_off", FieldType::Bool, false, "Whether that is more than 24 hours in either direction."),
    of(
        "stalled_at",
        FieldType::Timestamp,
        true,
        "Since when it is in touch, with work waiting, and nothing moves: over more than an hour and three syncs.",
    ),
    of("salvaged_rows", FieldType::Int, false, "Changes that were saved out of a damaged outbox, since the enrolment."),
    of("lost_rows", FieldType::Int, false, "Changes that could not be saved. Each one should reach its author."),
    of(
        "digest_verified_at",
        FieldType::Timestamp,
        true,
        "When it last got the digests of what it should hold, to compare with what it holds.",
    ),
    of(
        "digest_mismatch_count",
        FieldType::Int,
        false,
        "In how many scopes it has found a difference that nothing explains; each was repaired.",
    ),
    of("has_assignments", FieldType::Bool, false, "Whether its user is assigned to anything now."),
    of("status_set_at", FieldType::Timestamp, true, "When the status was set; null since the enrolment."),
    Field {
        reference: Some(sync_protocol::entity::EntityKind::User),
        ..of("status_set_by_id", FieldType::Uuid, true, "Who set the status.")
    },
    of("status_reason", FieldType::Text, true, "Why, in that person's words."),
];

/// Returns a field by its name.
pub fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

/// Appends the fleet as a table `t` with the columns of [`FIELDS`].
fn push_fleet(sql: &mut Sql, view: &View) {
    sql.push(
        "(SELECT d.id, d.user_id, d.name, d.model, d.status, \
             CASE WHEN d.status <> 'ACTIVE' THEN 'BLOCKED' \
                  WHEN coalesce(c.contact_at, d.enrolled_at) < v.now - v.expiry THEN 'EXPIRED' \
                  WHEN a.has_assignments AND coalesce(c.contact_at, d.enrolled_at) < v.now - v.silent THEN 'SILENT' \
                  WHEN c.contact_at IS NULL THEN 'NEVER_SYNCED' \
                  WHEN c.stalled_at IS NOT NULL THEN 'STALLED' \
                  WHEN c.pending > 0 OR c.complete_at IS NULL THEN 'PENDING' \
                  ELSE 'UP_TO_DATE' END AS state, \
             d.enrolled_at, coalesce(c.app, d.app_version) AS app, c.protocol::int AS protocol_version, \
             c.contact_at AS last_contact_at, c.complete_at AS last_complete_sync_at, \
             coalesce(c.pending, 0) AS pending_count, \
             CASE WHEN c.pending > 0 THEN c.contact_at - c.oldest_ms * interval '1 millisecond' END AS oldest_pending_at, \
             coalesce(c.rejected, 0) AS rejected_count, \
             (SELECT count(*) FROM held_item h WHERE h.programme_id = d.programme_id AND h.device_id = d.id \
                  AND h.state = 'HELD')::int AS held_count, \
             (SELECT count(*) FROM conflict x WHERE x.programme_id = d.programme_id AND x.state = 'OPEN' \
                  AND (x.kept_by = d.user_id OR x.other_by = d.user_id))::int AS conflict_count, \
             least(greatest(c.clock_offset_ms / 1000, -2147483647), 2147483647)::int AS clock_offset_seconds, \
             coalesce(abs(c.clock_offset_ms) > 86400000, false) AS is_clock_off, c.stalled_at, \
             coalesce(c.salvaged_rows, 0)::int AS salvaged_rows, coalesce(c.lost_rows, 0)::int AS lost_rows, \
             c.digest_verified_at, coalesce(c.digest_mismatches, 0) AS digest_mismatch_count, a.has_assignments, \
             d.status_at AS status_set_at, d.status_by AS status_set_by_id, d.status_reason \
         FROM (SELECT ",
    );
    sql.push_bind(view.now);
    sql.push("::timestamptz AS now, ");
    sql.push_bind(view.silent_after_days);
    sql.push(" * interval '1 day' AS silent, ");
    sql.push_bind(view.expired_after_days);
    sql.push(
        " * interval '1 day' AS expiry) v CROSS JOIN device d \
         LEFT JOIN device_contact c ON c.programme_id = d.programme_id AND c.device_id = d.id \
         CROSS JOIN LATERAL (SELECT EXISTS (SELECT 1 FROM scope_grant g WHERE g.programme_id = d.programme_id \
             AND g.user_id = d.user_id AND g.scope_kind = 'ENTERPRISE' AND g.valid_from_at <= v.now \
             AND (g.valid_until_at IS NULL OR g.valid_until_at > v.now)) AS has_assignments) a \
         WHERE d.programme_id = ",
    );
    sql.push_bind(view.programme);
    if let DeviceAccess::Of(user) = view.access {
        sql.push(" AND d.user_id = ");
        sql.push_bind(user);
    }
    sql.push(") t");
}

/// Returns one page, in the order of reading: reversed when the query goes backward.
pub async fn list(conn: &mut Conn, view: &View, query: &DeviceQuery) -> Result<Vec<DeviceRow>, StoreError> {
    let (order, tie) = reading_order(query);
    let mut sql = Sql::new("SELECT t.id");
    FIELDS.iter().for_each(|field| sql.push(&format!(", t.{}", field.name)));
    sql.push(" FROM ");
    push_fleet(&mut sql, view);
    sql.push(" WHERE ");
    push_filter(&mut sql, &query.filter.clone().unwrap_or(Filter::All(Vec::new())));
    if let Some(position) = &query.from {
        sql.push(" AND ");
        push_after(&mut sql, &order, tie, position);
    }
    sql.push(" ORDER BY ");
    push_order(&mut sql, &order, tie, |column| format!("t.\"{}\"", column.name()));
    sql.push(" LIMIT ");
    sql.push_bind(query.limit as i64);
    conn.query(sql.unprepared()).await?.into_iter().map(row).collect()
}

fn reading_order(query: &DeviceQuery) -> (Vec<Order>, Direction) {
    let turn = |term: &Order| Order { direction: term.direction.reversed(), ..*term };
    match query.backward {
        false => (query.order.clone(), Direction::Ascending),
        true => (query.order.iter().map(turn).collect(), Direction::Descending),
    }
}

fn row(record: Record) -> Result<DeviceRow, StoreError> {
    Ok(DeviceRow { id: record.uuid(0)?, values: record.into_values(1)? })
}

impl DeviceQuery {
    /// Returns the position of a device in the order.
    pub fn position(&self, row: &DeviceRow) -> Position {
        let value = |term: &Order| match term.column {
            Column::Id => Value::Uuid(row.id),
            Column::Field(field) => {
                let at = FIELDS.iter().position(|known| known.name == field.name);
                at.and_then(|at| row.values.get(at)).cloned().unwrap_or(Value::Null)
            }
        };
        Position { values: self.order.iter().map(value).collect(), id: row.id }
    }
}

/// Returns how many devices there are on all pages.
pub async fn count(conn: &mut Conn, view: &View, filter: &Option<Filter>) -> Result<i64, StoreError> {
    let mut sql = Sql::new("SELECT count(*) FROM ");
    push_fleet(&mut sql, view);
    sql.push(" WHERE ");
    push_filter(&mut sql, &filter.clone().unwrap_or(Filter::All(Vec::new())));
    conn.query_opt(sql.unprepared()).await?.map_or(Ok(0), |record| record.int(0))
}

/// Returns the figures of a whole fleet, in the order in which [`crate::domain::fleet::Health`] names them.
pub async fn states(conn: &mut Conn, view: &View) -> Result<Vec<Value>, StoreError> {
    let mut sql = Sql::new("SELECT count(*)");
    STATES.iter().for_each(|state| sql.push(&format!(", count(*) FILTER (WHERE t.state = '{state}')")));
    sql.push(
        ", count(*) FILTER (WHERE t.is_clock_off), min(t.oldest_pending_at), coalesce(sum(t.pending_count), 0)::bigint, \
         coalesce(sum(t.rejected_count), 0)::bigint, coalesce(sum(t.held_count), 0)::bigint, \
         (SELECT count(*) FROM conflict x WHERE x.state = 'OPEN' AND x.programme_id = ",
    );
    sql.push_bind(view.programme);
    sql.push(
        "), coalesce(sum(t.lost_rows), 0)::bigint, count(*) FILTER (WHERE t.digest_mismatch_count > 0), \
         max(t.last_contact_at) FROM ",
    );
    push_fleet(&mut sql, view);
    let found = conn.query_opt(sql).await?;
    found.map_or(Ok(Vec::new()), |record| record.into_values(0))
}

/// Returns each application with its version, and on how many devices that may talk to the server it runs.
pub async fn versions(conn: &mut Conn, view: &View) -> Result<Vec<(String, i64)>, StoreError> {
    let mut sql = Sql::new("SELECT t.app, count(*) FROM ");
    push_fleet(&mut sql, view);
    sql.push(" WHERE t.status = 'ACTIVE' GROUP BY t.app ORDER BY count(*) DESC, t.app");
    let records = conn.query(sql).await?;
    records.iter().map(|record| Ok((record.text(0)?, record.int(1)?))).collect()
}

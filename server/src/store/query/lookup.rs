//! Rows by identifier.

use sync_protocol::entity::EntityKind;
use uuid::Uuid;

use super::condition::push_access;
use super::list::push_select;
use super::statements::bounded;
use super::{Found, Projection};
use crate::domain::policy::{Access, RowScope};
use crate::store::{Conn, Sql, StoreError};

/// Returns those of the rows that exist within `access`, in no particular order.
pub async fn by_ids(
    conn: &mut Conn,
    access: &Access,
    projection: &Projection,
    ids: &[Uuid],
) -> Result<Vec<Found>, StoreError> {
    if *access.rows() == RowScope::Nothing || ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql = Sql::new("");
    push_select(&mut sql, access.kind(), projection);
    push_access(&mut sql, access);
    sql.push(" AND t.\"id\" = ANY(");
    sql.push_bind(ids);
    sql.push(")");
    conn.query(bounded(sql)).await?.into_iter().map(|record| Found::from_record(record, 0)).collect()
}

/// Returns what kind of row has an identifier. It says nothing about whether the viewer may see the row.
pub async fn kind_of(conn: &mut Conn, programme_id: Uuid, id: Uuid) -> Result<Option<EntityKind>, StoreError> {
    let kinds: Vec<i32> = EntityKind::ALL.iter().map(|kind| i32::from(kind.number())).collect();
    let sql = Sql::new(
        "SELECT h.kind::integer FROM unnest($1::integer[]) k(kind) \
         JOIN sync_head h ON h.programme_id = $2 AND h.kind = k.kind::smallint AND h.row_id = $3 AND NOT h.deleted \
         LIMIT 1",
    );
    let found = conn.query_opt(sql.bind(kinds).bind(programme_id).bind(id)).await?;
    let number = found.map(|record| record.int(0)).transpose()?;
    Ok(number.and_then(|number| u16::try_from(number).ok()).and_then(EntityKind::from_number))
}

/// Returns the row into which one was merged. It says nothing about whether the viewer may see the row.
pub async fn survivor_of(conn: &mut Conn, programme_id: Uuid, id: Uuid) -> Result<Option<Uuid>, StoreError> {
    const SURVIVOR: &str =
        "SELECT survivor_id FROM merge_proposal WHERE programme_id = $1 AND alias_id = $2 AND state = 'MERGED' LIMIT 1";
    let found = conn.query_opt(Sql::new(SURVIVOR).bind(programme_id).bind(id)).await?;
    found.map(|record| record.uuid(0)).transpose()
}

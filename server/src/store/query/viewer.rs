//! The user who asks, with every grant, in one statement.

use sync_protocol::code::{Locale, Role, ScopeKind};
use uuid::Uuid;

use crate::domain::viewer::{Grant, Viewer};
use crate::store::{Conn, Record, Sql, StoreError};

/// Returns the viewer, or `None` when there is no such user or the user may not sign in any more.
pub async fn load_viewer(conn: &mut Conn, programme_id: Uuid, user_id: Uuid) -> Result<Option<Viewer>, StoreError> {
    let sql = Sql::new(
        "SELECT u.role, u.locale, g.scope_kind, g.scope_id, g.role, g.valid_from_at, g.valid_until_at \
         FROM \"user\" u LEFT JOIN scope_grant g ON g.programme_id = u.programme_id AND g.user_id = u.id \
         WHERE u.programme_id = $1 AND u.id = $2 AND u.is_active",
    );
    let records = conn.query(sql.bind(programme_id).bind(user_id)).await?;
    let Some(first) = records.first() else { return Ok(None) };
    Ok(Some(Viewer {
        user_id,
        programme_id,
        role: Role::parse(&first.text(0)?),
        locale: Locale::parse(&first.text(1)?),
        grants: records.iter().filter_map(|record| grant(record).transpose()).collect::<Result<_, _>>()?,
    }))
}

/// Reads a grant; a user without grants has one row of nulls.
fn grant(record: &Record) -> Result<Option<Grant>, StoreError> {
    let Some(scope_kind) = record.opt_text(2)? else { return Ok(None) };
    Ok(Some(Grant {
        scope_kind: ScopeKind::parse(&scope_kind),
        scope_id: record.uuid(3)?,
        role: Role::parse(&record.text(4)?),
        valid_from_at: record.timestamp(5)?,
        valid_until_at: record.opt_timestamp(6)?,
    }))
}

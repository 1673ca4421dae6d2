//! What is kept of the operations of the office.

use sync_protocol::entity::EntityKind;
use uuid::Uuid;

use super::mutations::Outbox;
use super::{Sql, StoreError, Tx};

/// Returns the row that the first change of an operation was about, or `None` when there was no such operation.
pub async fn target_of(tx: &mut Tx, outbox: &Outbox) -> Result<Option<(EntityKind, Uuid)>, StoreError> {
    const TARGET: &str = "SELECT kind, row_id FROM mutation \
         WHERE programme_id = $1 AND device_id = $2 AND incarnation = $3 AND no = 1";
    let sql = Sql::new(TARGET).bind(outbox.programme).bind(outbox.device).bind(outbox.incarnation);
    let Some(record) = tx.query_opt(sql).await? else { return Ok(None) };
    let kind = u16::try_from(record.int(0)?).ok().and_then(EntityKind::from_number);
    Ok(Some((kind.ok_or(StoreError::Shape { column: 0, expected: "the number of a kind" })?, record.uuid(1)?)))
}

//! Letting go of everything that is kept of rows beside the rows themselves.

use sync_protocol::entity::EntityKind;
use uuid::Uuid;

use super::{Sql, StoreError, Tx};

/// Forgets what rows said before, and what was sent about them. That something was sent stays, with its hash: a device
/// that sends it again is told that it was erased.
pub(super) async fn purge(tx: &mut Tx, programme: Uuid, kind: EntityKind, ids: &[Uuid]) -> Result<(), StoreError> {
    const FORGET: &str = "DELETE FROM change_log WHERE programme_id = $1 AND kind = $2::int AND row_id = ANY($3)";
    const EMPTY: &str = "UPDATE mutation_line SET payload = NULL, \
             outcome = CASE WHEN outcome IN ('H', 'R') THEN 'R' ELSE outcome END, \
             result = CASE WHEN outcome IN ('H', 'R') THEN jsonb_build_object('no', no, 'outcome', 'rejected', \
                 'code', 'REJECT_ERASED') END \
         WHERE programme_id = $1 AND kind = $2::int AND row_id = ANY($3)";
    for statement in [FORGET, EMPTY] {
        tx.execute(Sql::new(statement).bind(programme).bind(i32::from(kind.number())).bind(ids)).await?;
    }
    Ok(())
}

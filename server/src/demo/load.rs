//! Puts demo programmes into the database.
//!
//! This is the one writer besides the write path: a history of two years has states that no single change may
//! reach. The triggers number it like everything else, and each programme is one transaction: there is never
//! half a demo.

use sync_protocol::entity::{EntityKind, Row};
use uuid::Uuid;

use super::{DEMO_PASSWORD, DemoAccount, DemoProgramme};

use crate::auth::{AuthError, AuthService, NewAccount, Secret};
use crate::store::{Db, StoreError, rows};

/// Rows of one statement.
const CHUNK_ROWS: usize = 2_000;

/// Why a demo could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The rows could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The accounts could not be made.
    #[error("the demo accounts could not be made: {0}")]
    Accounts(#[from] AuthError),
}

/// Writes a programme unless it is there, and makes its accounts. Returns whether it wrote anything.
pub async fn load(db: &Db, auth: &AuthService, programme: &DemoProgramme) -> Result<bool, LoadError> {
    let id = programme.programme_id.0;
    let mut conn = db.conn().await?;
    let is_there = !rows::existing(&mut conn, id, EntityKind::Programme, &[id]).await?.is_empty();
    if !is_there {
        let mut tx = conn.write_tx().await?;
        for kind in EntityKind::ALL {
            let of_kind: Vec<&Row> = programme.rows.iter().filter(|(k, _)| k == kind).map(|(_, row)| row).collect();
            for chunk in of_kind.chunks(CHUNK_ROWS) {
                rows::insert(&mut tx, id, *kind, chunk).await?;
            }
        }
        tx.commit().await?;
    }
    let accounts: Vec<NewAccount> = programme.accounts.iter().map(|account| new_account(id, account)).collect();
    auth.ensure_accounts(&accounts).await?;
    Ok(!is_there)
}

fn new_account(programme_id: Uuid, account: &DemoAccount) -> NewAccount {
    NewAccount {
        user_id: account.user_id.0,
        programme_id,
        email: account.email.clone(),
        password: Secret::new(DEMO_PASSWORD),
    }
}

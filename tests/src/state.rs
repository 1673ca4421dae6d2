//! What the server holds, asked of the database itself.

use std::collections::BTreeMap;

use server::store::{Bind, Db, Sql, rows};
use sync_protocol::entity::{EntityKind, OFFICE_SCOPE};
use sync_protocol::field::ScopeRule;
use sync_protocol::rows::VersionedRow;
use sync_protocol::value::Value;
use uuid::Uuid;

use crate::programme::PROGRAMME;

/// Runs statements as a person with psql does: no code of the server is involved.
pub async fn psql(db: &Db, text: &str) {
    db.conn().await.unwrap().batch(text).await.unwrap_or_else(|error| panic!("{text}: {error}"));
}

/// Returns the number that a query without binds gives, 0 for none.
pub async fn number(db: &Db, text: &str) -> i64 {
    let found = db.conn().await.unwrap().query_opt(Sql::new(text)).await;
    let found = found.unwrap_or_else(|error| panic!("{text}: {error}"));
    found.map_or(0, |record| record.opt_int(0).expect("a whole number").unwrap_or(0))
}

/// Returns the texts of the first column of a query without binds.
pub async fn texts(db: &Db, text: &str) -> Vec<String> {
    let found = db.conn().await.unwrap().query(Sql::new(text)).await;
    let found = found.unwrap_or_else(|error| panic!("{text}: {error}"));
    found.iter().map(|record| record.text(0).expect("a text")).collect()
}

/// Returns the newest number of the test programme.
pub async fn head(db: &Db) -> i64 {
    number(db, &format!("SELECT seq FROM programme_head WHERE programme_id = '{PROGRAMME}'")).await
}

/// Returns every row of the test programme's scopes by the scope column of its own table, whatever the log says.
pub async fn rows_in(db: &Db, scopes: &[Uuid]) -> BTreeMap<(EntityKind, Uuid), VersionedRow> {
    rows_of(db, PROGRAMME, scopes).await
}

/// Returns what a mentor's phone must hold: the rows of the person, the programme and the granted enterprises,
/// without special categories.
pub async fn rows_for_mentor(db: &Db, programme: Uuid, mentor: Uuid) -> BTreeMap<(EntityKind, Uuid), VersionedRow> {
    let granted = format!(
        "SELECT scope_id::text FROM scope_grant WHERE user_id = '{mentor}' AND valid_from_at <= now() \
         AND (valid_until_at IS NULL OR valid_until_at > now())"
    );
    let granted = texts(db, &granted).await;
    let mut scopes: Vec<Uuid> = granted.iter().map(|scope| scope.parse().expect("an identifier")).collect();
    scopes.extend([mentor, programme]);
    let mut rows = rows_of(db, programme, &scopes).await;
    for ((kind, _), row) in &mut rows {
        let masked = kind.def().fields.iter().enumerate().filter(|(_, field)| field.special);
        masked.for_each(|(at, _)| row.row.values[at] = Value::Null);
    }
    rows
}

async fn rows_of(db: &Db, programme: Uuid, scopes: &[Uuid]) -> BTreeMap<(EntityKind, Uuid), VersionedRow> {
    let mut found = BTreeMap::new();
    for kind in EntityKind::ALL.iter().copied() {
        let scope = match kind.def().scope {
            ScopeRule::Programme => "r.programme_id".to_owned(),
            ScopeRule::Own => "r.id".to_owned(),
            ScopeRule::Office => format!("'{OFFICE_SCOPE}'::uuid"),
            ScopeRule::Enterprise(field) | ScopeRule::Actor(field) | ScopeRule::Scope(field) => {
                format!("r.{field}")
            }
        };
        let sql = format!(
            "SELECT r.id, h.seq FROM \"{}\" r JOIN sync_head h ON h.programme_id = r.programme_id AND h.kind = {} \
             AND h.row_id = r.id WHERE r.programme_id = $1 AND {scope} = ANY($2)",
            kind.def().name,
            kind.number()
        );
        let mut conn = db.conn().await.unwrap();
        let sql = Sql::new(sql).bind(programme).bind(Bind::from(scopes));
        let records = conn.query(sql).await.unwrap();
        let page: Vec<(Uuid, u64)> = records.iter().map(|r| (r.uuid(0).unwrap(), r.int(1).unwrap() as u64)).collect();
        let rows = rows::read_page(&mut conn, programme, kind, &page).await.unwrap();
        found.extend(rows.into_iter().map(|row| ((kind, row.row.id), row)));
    }
    found
}

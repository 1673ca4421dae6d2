//! What a change of a row with a conflict says that its author had seen.

use sync_protocol::digest::Digest;
use sync_protocol::wire::Digests;

use super::*;

const ENTERPRISE: Uuid = Uuid::from_u128(9);

fn conflict(row: u128) -> Row {
    let def = EntityKind::Conflict.def();
    let mut conflict = empty_row(def, Uuid::from_u128(100 + row));
    let values = [
        ("subject_scope_id", Value::Uuid(ENTERPRISE)),
        ("subject_kind", text(KIND.def().name)),
        ("subject_id", Value::Uuid(Uuid::from_u128(row))),
        ("field", text("text")),
        ("state", text("OPEN")),
    ];
    values.into_iter().for_each(|(field, value)| conflict.values[def.position(field).unwrap()] = value);
    conflict
}

/// A page with a conflict, and the place after it: the last one where `is_complete`.
fn conflict_page(seq: u64, row: u128, is_complete: bool) -> Page {
    let mut page = page(vec![(seq, conflict(row))], is_complete.then_some(seq));
    page.rows[0].kind = Some(EntityKind::Conflict);
    let after = Position { seq, kind: EntityKind::Conflict.number(), row_id: Uuid::from_u128(100 + row) };
    page.checkpoint.behind.extend((!is_complete).then_some((ENTERPRISE, after)));
    page
}

fn newest_base(store: &Store) -> u64 {
    store.pending(10).unwrap().last().unwrap().mutation.base_seq
}

#[test]
fn a_conflict_of_which_the_row_is_still_to_come_says_nothing_of_the_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_scopes(&Scopes { scopes: vec![ENTERPRISE] }).unwrap();
    store.apply_page(&page((1..=4).map(|id| (3, finding(id, 9, "seen"))).collect(), Some(3))).unwrap();
    store.apply_page(&conflict_page(8, 1, true)).unwrap();
    patch(&store, 1, "text", "settled");
    assert_eq!(newest_base(&store), 8, "everything up to the conflict is here");
    // The rest of the download is lost on its way, and with it what others wrote into the row before the conflict.
    store.apply_page(&conflict_page(12, 2, false)).unwrap();
    patch(&store, 2, "text", "mine");
    assert_eq!(newest_base(&store), 3, "the row has not come");
    store.apply_page(&conflict_page(12, 3, false)).unwrap();
    store.write(|batch| batch.delete(KIND, Uuid::from_u128(3))).unwrap();
    assert_eq!(newest_base(&store), 3, "nor has the one that is voided");
}

#[test]
fn a_conflict_says_nothing_of_a_row_that_may_differ_from_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.apply_scopes(&Scopes { scopes: vec![ENTERPRISE] }).unwrap();
    store.apply_page(&page(vec![(3, finding(1, 9, "seen"))], Some(3))).unwrap();
    store.apply_page(&conflict_page(8, 1, true)).unwrap();
    store.apply_digests(&Digests { scopes: vec![(ENTERPRISE, Digest::default())] }).unwrap();
    patch(&store, 1, "text", "mine");
    assert_eq!(newest_base(&store), 3);
}

//! Keeps the number of prepared statements bounded.
//!
//! A prepared statement saves a round trip and the planning, and costs memory in every connection for as long as
//! that lives. Filters and selections are the client's choice, so the texts of lists have no natural bound.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use crate::store::Sql;

/// The most texts that are prepared; later ones are planned each time.
const MAX_PREPARED: usize = 500;

static PREPARED: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

/// Lets a statement be prepared if its text is one of the first [`MAX_PREPARED`].
pub(super) fn bounded(sql: Sql) -> Sql {
    let mut hasher = DefaultHasher::new();
    sql.text().hash(&mut hasher);
    let key = hasher.finish();
    // Nothing panics while the lock is held; if it did, the set would still be whole.
    let mut known = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    let is_prepared = known.contains(&key) || (known.len() < MAX_PREPARED && known.insert(key));
    if is_prepared { sql } else { sql.unprepared() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_cannot_make_connections_keep_any_number_of_statements() {
        for n in 0..2 * MAX_PREPARED {
            let _ = bounded(Sql::new(format!("SELECT {n}")));
        }
        assert_eq!(PREPARED.lock().unwrap().as_ref().map(HashSet::len), Some(MAX_PREPARED));
    }
}

//! Nothing is stuck: a while after the last fault, every outbox is empty.

use super::super::history::History;

/// The most requests that a phone may need for that.
const MOST_ROUNDS: u32 = 40;

/// Checks that everything was sent and answered.
pub fn drained(history: &mut History<'_>) {
    for at in 0..history.phones.len() {
        let user = history.plan.cast.phones[at].user;
        if history.server.is_barred(user) {
            continue;
        }
        let Some(phone) = history.phones[at].as_ref() else { continue };
        let pending = phone.store.as_ref().map(|store| store.status().map(|status| status.pending));
        let rounds = phone.rounds;
        match pending {
            Some(Ok(0)) if rounds <= MOST_ROUNDS => {}
            Some(Ok(0)) => history.violate("lively", format!("phone {at} needed {rounds} requests")),
            other => history.violate("lively", format!("phone {at} still has {other:?} changes to send")),
        }
    }
    let stuck: Vec<usize> = history.foreign.iter().filter(|(_, f)| !f.is_drained()).map(|(at, _)| *at).collect();
    for at in stuck {
        if !history.server.is_barred(history.plan.cast.phones[at].user) {
            history.violate("lively", format!("the other application on phone {at} is stuck"));
        }
    }
}

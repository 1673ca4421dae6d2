//! Whose change it is what a commit did to a row: that of who sent it, or of those whose held work came up with it.

use std::collections::BTreeMap;

use sync_protocol::value::Value;
use uuid::Uuid;

use crate::store::row_history::{Committed, FieldChange, Released};

/// Shares changes out among those whose work is in them, oldest first, the creation of a row before what the same commit
/// changed of it: what was held before it was applied is the change of its author, whoever released it, and the rest is
/// the change of who did. `now` returns what a field of a row says now, where that is known.
pub(super) fn shared_out(changes: Vec<Committed>, now: impl Fn(Uuid, &str) -> Option<Value>) -> Vec<FieldChange> {
    let afters: Vec<_> = (0..changes.len()).map(|at| after(&changes[at..], &now)).collect();
    let (mut shared, mut created) = (Vec::new(), None);
    for ((change, mut released), after) in changes.into_iter().zip(afters) {
        let place = Some((change.row_id, change.seq));
        let creation = released.iter().position(|by| by.is_creation);
        if change.old.is_empty() {
            created = place;
        } else if let Some(creation) = creation.filter(|_| created == place) {
            // That is in the creation already: what changed afterwards is another's.
            released.remove(creation);
        }
        shared.extend(shares(change, released, &after));
    }
    shared
}

/// Returns what the fields said that the first of some changes set, once it had, where held work may be in it. Left out is
/// what nobody knows, because the row came anew since.
fn after(changes: &[Committed], now: impl Fn(Uuid, &str) -> Option<Value>) -> BTreeMap<String, Value> {
    let Some(((change, _), later)) = changes.split_first().filter(|((_, released), _)| !released.is_empty()) else {
        return BTreeMap::new();
    };
    let later = || later.iter().map(|(later, _)| later).filter(|later| later.row_id == change.row_id);
    let said = |name: &String| match later().find(|later| later.old.is_empty() || later.old.contains_key(name)) {
        Some(next) => next.old.get(name).cloned(),
        None => now(change.row_id, name),
    };
    change.old.keys().filter_map(|name| Some((name.clone(), said(name)?))).collect()
}

/// A creation stays whole: it is not the change of who had edited the row, and waited for it. What its author changed of it
/// before it was applied is in it.
fn shares(change: FieldChange, released: Vec<Released>, after: &BTreeMap<String, Value>) -> Vec<FieldChange> {
    let part = |of: &FieldChange, by: &Released, old| FieldChange {
        old,
        outbox: Some(by.outbox),
        no: by.no,
        actor: Some(by.author),
        names: vec![of.row_id],
        ..of.clone()
    };
    if change.old.is_empty() {
        return vec![match released.iter().find(|by| by.is_creation) {
            Some(by) => {
                let own = released.iter().filter(|other| other.outbox.rank() == by.outbox.rank());
                FieldChange { no: own.map(|own| own.no).fold(by.no, u64::max), ..part(&change, by, BTreeMap::new()) }
            }
            None => change,
        }];
    }
    let mut rest = change;
    let mut parts = Vec::new();
    // A field shows what one of them said: what another one had set there gave way, or was left out when it was released,
    // because its author had set something else since. Of those who say the same, it is the change of the last one.
    let mut released: Vec<&Released> = released.iter().collect();
    released.sort_by_key(|by| (by.outbox.rank(), by.no));
    for by in released.into_iter().rev() {
        let is_shown = |name: &String, value: &Value| after.get(name).is_none_or(|after| after == value);
        let is_its = |name: &String| by.values.get(name.as_str()).is_some_and(|value| is_shown(name, value));
        let (its, others) = rest.old.into_iter().partition(|(name, _)| is_its(name));
        rest.old = others;
        parts.push(part(&rest, by, its));
    }
    parts.retain(|part| !part.old.is_empty());
    parts.reverse();
    if !rest.old.is_empty() {
        parts.insert(0, rest);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::mutations::Outbox;

    fn outbox(device: u128) -> Outbox {
        Outbox { programme: Uuid::nil(), device: Uuid::from_u128(device), incarnation: Uuid::from_u128(1) }
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    /// A mutation that was held.
    fn by(device: u128, no: u64, values: &[(&'static str, &str)]) -> Released {
        let values = values.iter().map(|(name, value)| (*name, text(value))).collect();
        Released { outbox: outbox(device), no, author: Uuid::from_u128(device), is_creation: false, values }
    }

    /// What the commit `seq` of the device 1 did.
    fn change(seq: u64, old: &[&str]) -> FieldChange {
        FieldChange {
            row_id: Uuid::from_u128(9),
            seq,
            old: old.iter().map(|name| ((*name).to_owned(), text("old"))).collect(),
            outbox: Some(outbox(1)),
            no: 1,
            actor: None,
            is_verbatim: false,
            names: vec![Uuid::from_u128(9)],
        }
    }

    /// The devices whose changes they are, with the numbers and the fields.
    fn told(changes: Vec<Committed>, now: &[(&str, &str)]) -> Vec<(u128, u64, Vec<String>)> {
        let now = |_, name: &str| now.iter().find(|(field, _)| *field == name).map(|(_, value)| text(value));
        let shared = shared_out(changes, now).into_iter();
        let told = |part: FieldChange| (part.outbox.unwrap().device.as_u128(), part.no, part.old.into_keys().collect());
        shared.map(told).collect()
    }

    fn fields(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_field_that_several_set_in_one_commit_is_the_change_of_whose_value_is_shown() {
        let lost = by(3, 7, &[("due_on", "theirs"), ("text", "theirs")]);
        let shown = [by(2, 4, &[("text", "earlier")]), by(2, 5, &[("text", "shown")])];
        let now = [("text", "shown"), ("due_on", "theirs")];
        for released in [vec![lost.clone(), shown[0].clone(), shown[1].clone()], vec![shown[1].clone(), lost]] {
            let told = told(vec![(change(5, &["due_on", "text"]), released)], &now);
            assert_eq!(told, [(2, 5, fields(&["text"])), (3, 7, fields(&["due_on"]))]);
        }
    }

    #[test]
    fn what_was_left_out_of_held_work_when_it_came_up_is_the_change_of_who_sent() {
        let held = by(2, 4, &[("text", "older"), ("due_on", "held")]);
        let now = [("text", "sent"), ("due_on", "held")];
        let alone = vec![(change(5, &["text", "due_on"]), vec![held.clone()])];
        let expected = [(1, 1, fields(&["text"])), (2, 4, fields(&["due_on"]))];
        assert_eq!(told(alone.clone(), &now), expected);
        // What was shown then, the next change tells.
        let next = (FieldChange { old: [("text".to_owned(), text("sent"))].into(), ..change(6, &[]) }, Vec::new());
        let overwritten = [("text", "older"), ("due_on", "held")];
        let told_then = told(alone.clone().into_iter().chain([next]).collect(), &overwritten);
        assert_eq!(told_then[..2], expected);
        // Of a row that came anew since, nothing tells it.
        let told_then = told(alone.into_iter().chain([(change(6, &[]), Vec::new())]).collect(), &now);
        assert_eq!(told_then[..1], [(2, 4, fields(&["due_on", "text"]))]);
    }

    #[test]
    fn a_row_that_comes_up_holds_what_its_author_changed_of_it_while_it_was_held() {
        let created = Released { is_creation: true, ..by(2, 4, &[("text", "first")]) };
        let released = vec![created, by(2, 6, &[("text", "second")]), by(3, 9, &[("due_on", "theirs")])];
        assert_eq!(told(vec![(change(5, &[]), released)], &[]), [(2, 6, Vec::new())]);
    }
}

//! Finds concurrent edits by version, never by clock, and settles them by the policy of the field.
//!
//! An edit is concurrent when someone else was the last to change the same field (or a field of its merge group)
//! after the version that the sender had seen. The sender's own changes do not count, but for those that it made under
//! another name: who wrote about two rows has not seen that they are one.
//!
//! Who wins does not depend on who came first: the same edits end in the same row whatever the order in which they
//! arrive, so that nobody gains by a better signal, and a replay ends where the first run did. Fields that belong
//! together are taken as their winner had them, also those that the winner left alone: half of one edit and half of
//! another would be a row that nobody wrote.

use sync_protocol::cursor::{self, Fork};
use sync_protocol::entity::Row;
use sync_protocol::field::{Field, MergePolicy};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::value::Value;
use uuid::Uuid;

use crate::store::mutations::Outbox;
use crate::store::row_history::FieldChange;

/// The number of a change that the same batch has made.
pub(super) const HERE: u64 = u64::MAX;

/// Two edits of one field, or of fields that belong together, that did not know of each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clash {
    /// The fields.
    pub fields: Vec<Contested>,
    /// Whether the edit that came in is shown.
    pub incoming_wins: bool,
    /// Whether the policy settles the case without a person.
    pub is_settled: bool,
    /// Whether it is about a state, of which the later one is shown.
    pub is_state: bool,
    /// Who wrote what is on the server, if known.
    pub current_by: Option<Uuid>,
}

/// One field of a clash.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Contested {
    /// The position of the field.
    pub position: usize,
    /// The value that both started from; `None` when it was seen in a history that was left.
    pub seen: Option<Value>,
    /// The value on the server.
    pub current: Value,
    /// The value of the edit that came in.
    pub incoming: Value,
}

impl Clash {
    /// Keeps the server's values and leaves the case to a person.
    pub(super) fn let_server_win(&mut self) {
        (self.incoming_wins, self.is_settled) = (false, false);
    }

    /// Returns the fields in which the losing edit said something that is not shown.
    pub(super) fn lost(&self) -> impl Iterator<Item = &Contested> {
        self.fields.iter().filter(|field| {
            let (kept, other) = field.kept_and_other(self.incoming_wins);
            kept != other && !field.was_seen(other)
        })
    }
}

impl Contested {
    /// Whether a value is the one that both started from: who left it alone has said nothing.
    fn was_seen(&self, value: &Value) -> bool {
        self.seen.as_ref() == Some(value)
    }

    /// Returns the value that is shown and the one that is not.
    pub(super) fn kept_and_other(&self, incoming_wins: bool) -> (&Value, &Value) {
        if incoming_wins { (&self.incoming, &self.current) } else { (&self.current, &self.incoming) }
    }
}

/// Who makes a change: an incarnation of an outbox. Two copies of a phone are one device, and know as little of each
/// other as two phones do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'h> {
    /// The outbox; its device is nil for the office.
    pub(super) outbox: Outbox,
    /// The incarnations that this one continues, each up to a number: that much it shares with its copies.
    pub(super) earlier: &'h [(Uuid, u64)],
    /// By which name it knows the row, where that was merged into another one.
    pub(super) alias: Option<Uuid>,
}

impl Writer<'_> {
    /// Whether a change was made where the mutation comes from, and of what is one row there.
    pub(super) fn made(&self, change: &FieldChange, mutation: &Mutation) -> bool {
        match &change.outbox {
            Some(outbox) => {
                let name = self.alias.unwrap_or(mutation.row_id);
                self.knows(outbox, change.no) && change.names.iter().all(|known| *known == name)
            }
            // The office has no outbox: there, one person's changes follow each other.
            None => self.outbox.device.is_nil() && change.actor == Some(mutation.author.0),
        }
    }

    /// Whether a number of an outbox is one of its own.
    pub(super) fn knows(&self, outbox: &Outbox, no: u64) -> bool {
        let continues =
            || self.earlier.iter().any(|(earlier, upto_no)| *earlier == outbox.incarnation && no <= *upto_no);
        self.outbox.device == outbox.device && (self.outbox.incarnation == outbox.incarnation || continues())
    }

    /// Whether its edits are shown rather than one that is on the server. What does not come from a phone stands above
    /// it. Of what one outbox says under two names, the later one is shown.
    fn outranks(&self, current: &FieldChange) -> bool {
        let is_office = self.outbox.device.is_nil();
        current.outbox.is_some_and(|other| is_office || self.outbox.rank() >= other.rank())
    }
}

/// What is known of a row and of what happened to it since the sender saw it.
#[derive(Clone, Copy)]
pub(super) struct History<'h> {
    pub(super) current: &'h Row,
    pub(super) changes: &'h [FieldChange],
    /// Who sends.
    pub(super) writer: Writer<'h>,
    /// Where histories were left, for what a sender had seen in one of them.
    pub(super) forks: &'h [Fork],
    /// Whether the row was refused as it was first created: it stands here as its author put it right.
    pub(super) is_put_right: bool,
    /// The row before the batch: what the batch wrote itself is nobody else's.
    pub(super) stored: Option<&'h Row>,
}

/// Returns where a mutation meets concurrent edits.
pub(super) fn clashes(mutation: &Mutation, history: &History<'_>) -> Vec<Clash> {
    let mut found = Vec::new();
    let mut done: Vec<usize> = Vec::new();
    for (position, _) in &mutation.patch {
        if done.contains(position) {
            continue;
        }
        let group = group_of(mutation, *position);
        found.extend(clash(mutation, history, &group));
        done.extend(group);
    }
    found
}

/// Returns the clash of a mutation with all that happened since, as one: what each side wrote stands or falls
/// together.
pub(super) fn clash_of_row(mutation: &Mutation, history: &History<'_>) -> Clash {
    let contested = |position: usize| contest(mutation, history, position);
    let all = (0..mutation.kind.def().fields.len()).map(contested);
    let touched = all.filter(|field| !field.was_seen(&field.current) || !field.was_seen(&field.incoming));
    let last = history.changes.iter().rev().find(|change| !history.writer.made(change, mutation));
    Clash {
        fields: touched.collect(),
        incoming_wins: last.is_some_and(|last| history.writer.outranks(last)),
        is_settled: false,
        is_state: false,
        current_by: last.and_then(|last| last.actor),
    }
}

/// Returns the positions of the fields that move together with one.
fn group_of(mutation: &Mutation, position: usize) -> Vec<usize> {
    let fields = mutation.kind.def().fields;
    let group = fields.get(position).map_or("", |field| field.merge_group);
    if group.is_empty() {
        return vec![position];
    }
    (0..fields.len()).filter(|at| fields[*at].merge_group == group).collect()
}

fn clash(mutation: &Mutation, history: &History<'_>, group: &[usize]) -> Option<Clash> {
    let def = mutation.kind.def();
    let fields: Vec<&Field> = group.iter().filter_map(|at| def.fields.get(*at)).collect();
    let seen_at = group.iter().filter(|at| mutation.sets(**at)).map(|at| mutation.base_of(*at)).min()?;
    let (base, is_lost) = (cursor::known_base(history.forks, seen_at), cursor::is_lost(history.forks, seen_at));
    let is_met = |change: &FieldChange| change.seq > base && touches(change, &fields);
    // A row that was brought back is the one that was seen: its creation is nothing new. One whose identifier follows
    // from what it is about, anyone may have created, and one that was put right says something else.
    let is_brought_back = is_lost && !history.is_put_right && !is_anyones(mutation.row_id);
    let is_seen = |change: &FieldChange| is_brought_back && change.old.is_empty();
    let is_new = |change: &&FieldChange| is_met(change) && !is_seen(change);
    let last = history.changes.iter().rev().find(is_new);
    let is_stored = |at: &usize| history.stored.is_some_and(|row| row.values[*at] == history.current.values[*at]);
    // The batch itself was the last to change them, after it had met what happened since. Held work that is released
    // is not its own: there, the changes name who made them.
    let is_told = last.is_some_and(|last| last.seq == HERE);
    let is_changed_here = history.stored.is_some() && !is_told && !group.iter().all(is_stored);
    if is_changed_here || last.is_some_and(|last| history.writer.made(last, mutation)) {
        return None;
    }
    // What was seen in a history that was left is not here. Only the creation of the row or a change of the sender's
    // own, brought back before, tells that nobody else's value stands in its place.
    let patched = || group.iter().filter(|at| mutation.sets(**at));
    let is_unknown = last.is_none() && is_lost && patched().all(is_stored) && !history.changes.iter().any(is_met);
    if last.is_none() && !is_unknown {
        return None;
    }
    let mut contested: Vec<Contested> = group.iter().map(|at| contest(mutation, history, *at)).collect();
    if is_unknown {
        let unseen = contested.iter_mut().filter(|field| mutation.sets(field.position));
        unseen.for_each(|field| field.seen = None);
    }
    let agrees = |field: &Contested| field.incoming == field.current;
    // One side says all that the other one says.
    let is_contained = contested.iter().filter(|field| mutation.sets(field.position)).all(agrees);
    let mut theirs = contested.iter().filter(|field| !field.was_seen(&field.current));
    if is_contained || theirs.all(|field| mutation.sets(field.position) && agrees(field)) {
        return None;
    }
    let has = |policy| fields.iter().any(|field| field.policy == policy);
    let is_max = has(MergePolicy::Max);
    let is_larger = contested.first().is_some_and(|field| is_larger(&field.incoming, &field.current));
    Some(Clash {
        incoming_wins: if is_max { is_larger } else { last.is_none_or(|last| history.writer.outranks(last)) },
        is_settled: is_max,
        is_state: has(MergePolicy::State),
        current_by: last.and_then(|last| last.actor),
        fields: contested,
    })
}

fn contest(mutation: &Mutation, history: &History<'_>, position: usize) -> Contested {
    let seen = seen(mutation, history, position);
    let patched = mutation.patch.iter().find(|(at, _)| *at == position).map(|(_, value)| value.clone());
    let current = history.current.values.get(position).cloned().unwrap_or(Value::Null);
    Contested { position, incoming: patched.unwrap_or_else(|| seen.clone()), seen: Some(seen), current }
}

/// Returns whether it is known how the sender shows the row without the mutation. It is not where someone else created
/// what the sender created, too: its own creation changed nothing here, or came in the same batch.
pub(super) fn is_row_known_as_seen(mutation: &Mutation, history: &History<'_>) -> bool {
    let base = cursor::known_base(history.forks, mutation.base_seq);
    let created = history.changes.iter().rev().find(|change| change.old.is_empty());
    mutation.op == Op::Put
        || created.is_none_or(|created| created.seq <= base || history.writer.made(created, mutation))
}

/// Returns the value of a field as the sender shows it without the mutation: as of its base, with the sender's own
/// changes since.
fn seen(mutation: &Mutation, history: &History<'_>, position: usize) -> Value {
    let current = history.current.values.get(position).cloned().unwrap_or(Value::Null);
    let Some(field) = mutation.kind.def().fields.get(position) else { return current };
    let base = cursor::known_base(history.forks, mutation.base_of(position));
    let mut after = current;
    let since = history.changes.iter().filter(|change| change.seq > base && touches(change, &[field]));
    for change in since.rev() {
        if history.writer.made(change, mutation) {
            return after;
        }
        after = change.old.get(field.name).cloned().unwrap_or(Value::Null);
    }
    after
}

/// Whether every device gives a row this identifier: it follows from the row's content.
pub(super) fn is_anyones(row: Uuid) -> bool {
    row.get_version() == Some(uuid::Version::Sha1)
}

/// Whether a change touched one of the fields. A creation, which names no field, touched all.
fn touches(change: &FieldChange, fields: &[&Field]) -> bool {
    change.old.is_empty() || fields.iter().any(|field| change.old.contains_key(field.name))
}

fn is_larger(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a > b,
        (Value::Decimal(a), Value::Decimal(b)) => a > b,
        (Value::Date(a), Value::Date(b)) => a > b,
        (Value::Timestamp(a), Value::Timestamp(b)) => a > b,
        (_, Value::Null) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sync_protocol::entity::EntityKind;
    use sync_protocol::id::UserId;
    use sync_protocol::mutation::Op;
    use sync_protocol::patch::empty_row;
    use sync_protocol::time::Timestamp;

    const MINE: Uuid = Uuid::from_u128(1);
    const THEIRS: Uuid = Uuid::from_u128(2);

    fn at(name: &str) -> usize {
        EntityKind::FollowUpAction.def().position(name).unwrap()
    }

    fn text(value: &str) -> Value {
        Value::Text(value.to_owned())
    }

    fn mutation(patch: &[(&str, Value)], base_seq: u64) -> Mutation {
        Mutation {
            no: 1,
            op: Op::Patch,
            kind: EntityKind::FollowUpAction,
            row_id: Uuid::from_u128(9),
            author: UserId(Uuid::from_u128(8)),
            captured_at: Timestamp(0),
            uptime_ms: 0,
            base_seq,
            field_bases: Vec::new(),
            patch: patch.iter().map(|(name, value)| (at(name), value.clone())).collect(),
            group: None,
            reason: None,
            unknown: Vec::new(),
        }
    }

    fn change(seq: u64, fields: &[&str], device: Uuid) -> FieldChange {
        let old = fields.iter().map(|field| ((*field).to_owned(), text("before"))).collect();
        let outbox = Some(outbox(device));
        let row_id = Uuid::from_u128(9);
        FieldChange { row_id, seq, old, outbox, no: 1, actor: None, is_verbatim: true, names: vec![row_id] }
    }

    fn outbox(device: Uuid) -> Outbox {
        Outbox { programme: Uuid::nil(), device, incarnation: Uuid::from_u128(7) }
    }

    fn history<'h>(current: &'h Row, changes: &'h [FieldChange], device: Uuid) -> History<'h> {
        let writer = Writer { outbox: outbox(device), earlier: &[], alias: None };
        History { current, changes, writer, forks: &[], is_put_right: false, stored: None }
    }

    fn found(mutation: &Mutation, current: &Row, changes: &[FieldChange], device: Uuid) -> Vec<Clash> {
        clashes(mutation, &History { stored: Some(current), ..history(current, changes, device) })
    }

    fn current(values: &[(&str, Value)]) -> Row {
        let mut row = empty_row(EntityKind::FollowUpAction.def(), Uuid::from_u128(9));
        for (name, value) in values {
            row.values[at(name)] = value.clone();
        }
        row
    }

    #[test]
    fn concurrency_is_a_matter_of_versions_and_values() {
        let server = current(&[("text", text("theirs"))]);
        let cases = [
            ("changed after I looked", 10, change(11, &["text"], THEIRS), text("mine"), 1),
            ("I had seen the change", 11, change(11, &["text"], THEIRS), text("mine"), 0),
            ("my own earlier change", 10, change(11, &["text"], MINE), text("mine"), 0),
            ("another field", 10, change(11, &["due_on"], THEIRS), text("mine"), 0),
            ("the same value", 10, change(11, &["text"], THEIRS), text("theirs"), 0),
            ("the row was created by another", 0, change(11, &[], THEIRS), text("mine"), 1),
        ];
        for (name, base, change, value, expected) in cases {
            let found = found(&mutation(&[("text", value)], base), &server, &[change], MINE);
            assert_eq!(found.len(), expected, "{name}");
        }
    }

    #[test]
    fn what_the_same_batch_changed_before_is_no_concurrent_edit() {
        let stored = current(&[("status", text("DONE")), ("status_note", text("before"))]);
        let here = current(&[("status", text("before")), ("status_note", text("nota mea"))]);
        let done = mutation(&[("status", text("DONE"))], 10);
        let changes = [change(11, &["status"], THEIRS)];
        let history = History { stored: Some(&stored), ..history(&here, &changes, MINE) };
        assert_eq!(clashes(&done, &history), [], "the note of the edit before would be lost");
    }

    #[test]
    fn a_field_moves_with_its_group_as_the_winner_had_it() {
        let server = current(&[("status", text("DONE")), ("status_note", text("before"))]);
        let mine = mutation(&[("status_note", text("amânat"))], 10);
        for (device, wins) in [(MINE, false), (Uuid::from_u128(3), true)] {
            let clash = found(&mine, &server, &[change(11, &["status"], THEIRS)], device).remove(0);
            assert_eq!((clash.incoming_wins, clash.is_state), (wins, true));
            let status = clash.fields.iter().find(|field| field.position == at("status")).unwrap();
            assert_eq!((&status.incoming, &status.current), (&text("before"), &text("DONE")));
            assert_eq!(clash.lost().count(), 1, "one edit is not shown");
        }
    }

    #[test]
    fn the_higher_rank_is_shown_whoever_comes_first() {
        let mine = mutation(&[("text", text("mine"))], 1);
        let theirs = current(&[("text", text("theirs"))]);
        let second = found(&mine, &theirs, &[change(2, &["text"], THEIRS)], MINE).remove(0);
        let their_edit = mutation(&[("text", text("theirs"))], 1);
        let first =
            found(&their_edit, &current(&[("text", text("mine"))]), &[change(2, &["text"], MINE)], THEIRS).remove(0);
        let kept = |clash: &Clash| clash.fields[0].kept_and_other(clash.incoming_wins).0.clone();
        assert_eq!((kept(&second), kept(&first)), (text("theirs"), text("theirs")));
        let office = FieldChange { outbox: None, ..change(2, &["text"], THEIRS) };
        assert!(!found(&mine, &theirs, &[office], Uuid::max())[0].incoming_wins, "the office stands above phones");
    }

    #[test]
    fn what_the_same_phone_wrote_under_another_name_is_kept_beside_its_later_edit() {
        let server = current(&[("text", text("of the other row"))]);
        let merged = Uuid::from_u128(5);
        let mine = mutation(&[("text", text("mine"))], 1);
        let clashes_of = |names: &[Uuid], alias| {
            let changes = [FieldChange { names: names.to_vec(), ..change(2, &["text"], MINE) }];
            let history = history(&server, &changes, MINE);
            let writer = Writer { alias, ..history.writer };
            clashes(&mine, &History { stored: Some(&server), writer, ..history })
        };
        let (one, other) = (mine.row_id, Some(merged));
        assert_eq!(clashes_of(&[one], None), []);
        assert_eq!(clashes_of(&[merged], other), []);
        for (names, alias) in [(&[merged][..], None), (&[one], other), (&[one, merged], None)] {
            let clash = clashes_of(names, alias).remove(0);
            assert!(clash.incoming_wins, "the later one is shown");
            assert_eq!(clash.lost().count(), 1);
        }
    }

    #[test]
    fn what_was_seen_in_a_history_that_was_left_is_unknown() {
        let forks = [Fork { parent: MINE, epoch: THEIRS, common_seq: 100, resumed_seq: 5_000 }];
        let found_on = |server: &Row, base, changes: &[FieldChange]| {
            let history = History { forks: &forks, stored: Some(server), ..history(server, changes, MINE) };
            let clashes = clashes(&mutation(&[("text", text("mine"))], base), &history);
            clashes.iter().flat_map(Clash::lost).count()
        };
        let found = |base, changes: &[FieldChange]| found_on(&current(&[("text", text("theirs"))]), base, changes);
        assert_eq!([100, 101, 4_999, 5_000].map(|base| found(base, &[])), [0, 1, 1, 0]);
        assert_eq!(found(101, &[change(5_001, &["text"], MINE)]), 0, "my own lost change was brought back before");
        assert_eq!(found(101, &[change(5_001, &[], THEIRS)]), 0, "the row itself was brought back");
        assert_eq!(found(101, &[change(5_001, &[], THEIRS), change(5_002, &["text"], THEIRS)]), 1);
        assert_eq!(found(101, &[change(5_001, &["due_on"], MINE)]), 1, "that says nothing of this field");
        assert_eq!(found(200, &[change(150, &["text"], THEIRS)]), 1, "the same number in another history");
        assert_eq!(found_on(&current(&[]), 101, &[]), 1, "no value is a value, too");
    }

    #[test]
    fn a_row_that_any_device_may_create_is_not_surely_the_one_that_was_seen() {
        let forks = [Fork { parent: MINE, epoch: THEIRS, common_seq: 100, resumed_seq: 5_000 }];
        let server = current(&[("text", text("theirs"))]);
        let changes = [change(5_001, &[], THEIRS)];
        let found = |row_id| {
            let mine = Mutation { row_id, ..mutation(&[("text", text("mine"))], 101) };
            let history = History { forks: &forks, stored: Some(&server), ..history(&server, &changes, MINE) };
            clashes(&mine, &history).iter().flat_map(Clash::lost).count()
        };
        assert_eq!([Uuid::now_v7(), Uuid::new_v5(&MINE, b"G01")].map(found), [0, 1]);
    }

    #[test]
    fn a_row_that_came_back_as_its_author_put_it_right_is_not_the_one_that_was_seen() {
        let forks = [Fork { parent: MINE, epoch: THEIRS, common_seq: 100, resumed_seq: 5_000 }];
        let server = current(&[("text", text("put right"))]);
        let changes = [change(5_001, &[], THEIRS)];
        let found = |is_put_right| {
            let history = History { forks: &forks, is_put_right, ..history(&server, &changes, MINE) };
            let mine = Mutation { row_id: Uuid::now_v7(), ..mutation(&[("text", text("mine"))], 101) };
            clashes(&mine, &History { stored: Some(&server), ..history }).iter().flat_map(Clash::lost).count()
        };
        assert_eq!([false, true].map(found), [0, 1]);
    }

    #[test]
    fn an_edit_that_met_the_other_one_before_is_followed_without_another_conflict() {
        let server = current(&[("text", text("mine"))]);
        let changes = [change(2, &["text"], THEIRS), change(3, &["text"], MINE)];
        let later = mutation(&[("text", text("mine again"))], 1);
        assert_eq!(found(&later, &server, &changes, MINE), []);
    }
}

//! What people did, and what they knew when they did it: the simulator's own book, against which the outcome is
//! held. Nothing in it comes from the code under test but the rows that a screen showed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sync_protocol::entity::{EntityKind, MonthlyJobStatus, Row};
use sync_protocol::id::EmploymentId;
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::time::{Date, Timestamp};
use sync_protocol::value::Value;
use uuid::Uuid;

/// Where something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// On a phone, named by its place in the cast.
    Phone(usize),
    /// In the office.
    Office,
}

/// One change that a person made and that was accepted where it was made.
#[derive(Clone, Debug)]
pub struct Deed {
    /// Where.
    pub place: Place,
    /// In which programme, by its place in the cast.
    pub programme: usize,
    /// Which kind of row.
    pub kind: EntityKind,
    /// Which row.
    pub row: Uuid,
    /// What was done to it.
    pub op: Op,
    /// The fields that were set.
    pub fields: Vec<Edit>,
    /// Deeds with the same group belong together.
    pub group: Option<usize>,
    /// When, truly.
    pub at: Timestamp,
    /// Whether the person was told that it is kept. A save that failed may have been kept all the same.
    pub is_certain: bool,
    /// Whether the only phone that had it was taken back to an older state.
    pub may_be_lost: bool,
    /// Whether the person gave it up or put another deed in its place.
    pub is_withdrawn: bool,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.op, self.kind.def().name, self.row)?;
        if self.op == Op::Patch {
            for edit in &self.fields {
                let over = edit.over.map_or(String::new(), |deed| format!(" over d{deed}"));
                write!(f, " {}={}{over}", self.kind.def().fields[edit.at].name, edit.value.to_json())?;
            }
        }
        Ok(())
    }
}

/// A field that a deed set.
#[derive(Clone, Debug)]
pub struct Edit {
    /// Its position.
    pub at: usize,
    /// The new value.
    pub value: Value,
    /// The deed whose value the person saw and replaced; `None` for what was there at the start or was empty.
    pub over: Option<usize>,
    /// Deeds whose values stood beside it, in a conflict that the person decided.
    pub beside: Vec<usize>,
}

/// The book of deeds.
#[derive(Debug, Default)]
pub struct Deeds {
    list: Vec<Deed>,
    /// Who set a field of a row to what, in the order of the deeds.
    writers: BTreeMap<(EntityKind, Uuid, usize), Vec<usize>>,
    groups: usize,
    merges: Vec<Merge>,
    /// The job record and the month of each monthly status.
    months: BTreeMap<Uuid, (EmploymentId, Date)>,
    /// Records about people that were erased, with what had been merged into them, and their months under every name.
    erased: BTreeSet<Uuid>,
    /// Which phones went back to an older state, and the next deed then.
    returns: Vec<(usize, usize)>,
}

/// What the office decided of two rows.
#[derive(Clone, Copy, Debug)]
struct Merge {
    decision: usize,
    merged: Uuid,
    survivor: Uuid,
}

impl Deeds {
    /// Returns every deed.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Deed)> {
        self.list.iter().enumerate()
    }

    /// Returns one deed.
    pub fn get(&self, deed: usize) -> Option<&Deed> {
        self.list.get(deed)
    }

    /// Returns the number that the next deed gets.
    pub fn next(&self) -> usize {
        self.list.len()
    }

    /// Returns the number of a new group.
    pub fn new_group(&mut self) -> usize {
        self.groups += 1;
        self.groups
    }

    /// Writes a deed down.
    pub fn add(&mut self, deed: Deed) {
        let number = self.list.len();
        self.months.extend(month_of(&deed));
        for edit in &deed.fields {
            self.writers.entry((deed.kind, deed.row, edit.at)).or_default().push(number);
        }
        self.list.push(deed);
    }

    /// Notes that the deed that was written down last has merged a row into another one.
    pub fn merge(&mut self, merged: Uuid, survivor: Uuid) {
        self.merges.push(Merge { decision: self.list.len() - 1, merged, survivor });
    }

    /// Returns a row, the one that it was merged into, the one that this was merged into, and so on. A month goes with
    /// its job record.
    pub fn survivors(&self, row: Uuid) -> impl Iterator<Item = Uuid> {
        let month = self.months.get(&row).copied();
        let named = move |row| month.map_or(row, |(_, on)| MonthlyJobStatus::id_of(EmploymentId(row), on).0);
        self.merged_on(month.map_or(row, |(job, _)| job.0)).map(named)
    }

    fn merged_on(&self, row: Uuid) -> impl Iterator<Item = Uuid> {
        let stands = |merge: &&Merge| !self.list[merge.decision].is_withdrawn;
        let into =
            move |row| self.merges.iter().rev().filter(stands).find(|merge| merge.merged == row).map(|m| m.survivor);
        // What was merged is gone, so that nothing is merged into it: the chain has an end.
        std::iter::successors(Some(row), move |row| into(*row)).take(self.merges.len() + 1)
    }

    /// Returns whether a row was merged into another one.
    pub fn is_merged(&self, row: Uuid) -> bool {
        self.survivors(row).nth(1).is_some()
    }

    /// Notes that a record about a person was erased: it goes with what was merged into it, and with their months, which
    /// have other names since. A server that goes back to a time before the merge still knows what was erased.
    pub fn erase(&mut self, subject: Uuid) {
        let circle: BTreeSet<Uuid> = self.merged_into(subject).chain([subject]).collect();
        let months = self.months.iter().filter(|(_, (job, _))| circle.contains(&job.0));
        let names: Vec<Uuid> = months.flat_map(|(month, _)| self.survivors(*month)).collect();
        self.erased.extend(circle.into_iter().chain(names));
    }

    /// Returns whether a deed is about someone who was erased: about the record, or one that names it.
    pub fn is_about_erased(&self, deed: &Deed) -> bool {
        !self.erased.is_empty() && (self.is_erased(deed.row) || self.names_erased(deed))
    }

    /// Returns whether a row was erased, or belonged to a record that was.
    pub fn is_erased(&self, row: Uuid) -> bool {
        let is_part = |deed: &Deed| deed.row == row && self.names_erased(deed);
        !self.erased.is_empty() && (self.erased.contains(&row) || self.list.iter().any(is_part))
    }

    fn names_erased(&self, deed: &Deed) -> bool {
        deed.fields.iter().filter_map(|edit| edit.value.as_uuid()).any(|named| self.erased.contains(&named))
    }

    /// Returns the words that were written about people who were erased, and of nobody else: what someone chose from a
    /// conflict stands where it came from as well.
    pub fn erased_words(&self) -> BTreeSet<&str> {
        let (about, others): (Vec<&Deed>, Vec<&Deed>) = self.list.iter().partition(|deed| self.is_about_erased(deed));
        let others: BTreeSet<&str> = words_of(&others).collect();
        words_of(&about).filter(|word| !others.contains(word)).collect()
    }

    /// Returns the deeds that set a field of a row.
    pub fn writers(&self, kind: EntityKind, row: Uuid, at: usize) -> &[usize] {
        self.writers.get(&(kind, row, at)).map_or(&[], Vec::as_slice)
    }

    /// Returns every field of every row that was set by someone, with the deeds that did.
    pub fn fields(&self) -> impl Iterator<Item = (&(EntityKind, Uuid, usize), &Vec<usize>)> {
        self.writers.iter()
    }

    /// Returns the edits by which a person turned the row on the screen into another one.
    pub fn edits(&self, kind: EntityKind, before: Option<&Row>, after: &Row) -> Vec<Edit> {
        let old = |at: usize| before.map_or(&Value::Null, |before| &before.values[at]);
        let changed = after.values.iter().enumerate().filter(|(at, value)| old(*at) != *value);
        changed
            .map(|(at, value)| Edit {
                at,
                value: value.clone(),
                over: self.author(kind, after.id, at, old(at)),
                beside: Vec::new(),
            })
            .collect()
    }

    /// Returns the last deed that set a field to a value, under this name of the row or under that of one that was
    /// merged into it.
    pub fn author(&self, kind: EntityKind, row: Uuid, at: usize, value: &Value) -> Option<usize> {
        let wrote = |deed: &&usize| self.value_of(**deed, at) == Some(value);
        let by = |row| self.writers(kind, row, at).iter().rev().find(wrote).copied();
        by(row).or_else(|| self.merged_into(row).filter_map(by).max())
    }

    /// Returns the rows that were merged into one, also by way of others.
    fn merged_into(&self, row: Uuid) -> impl Iterator<Item = Uuid> {
        let rows = self.merges.iter().map(|merge| merge.merged).chain(self.months.keys().copied());
        let merged = rows.take_while(|_| !self.merges.is_empty());
        merged.filter(move |merged| *merged != row && self.survivors(*merged).any(|stayed| stayed == row))
    }

    /// Returns the deed that a mutation on a phone carries out: by its mark, or by the row that it creates.
    pub fn of(&self, mutation: &Mutation) -> Option<usize> {
        deed_of(mutation).or_else(|| self.creation(mutation.kind, mutation.row_id))
    }

    /// Returns the deed that created a row on a phone.
    pub fn creation(&self, kind: EntityKind, row: Uuid) -> Option<usize> {
        let created =
            |deed: &Deed| (deed.kind, deed.row, deed.op) == (kind, row, Op::Put) && deed.place != Place::Office;
        self.list.iter().position(created)
    }

    /// Returns what a deed set a field to.
    pub fn value_of(&self, deed: usize, at: usize) -> Option<&Value> {
        self.list.get(deed)?.fields.iter().find(|edit| edit.at == at).map(|edit| &edit.value)
    }

    /// Returns the deed that first wrote the value that a deed has set again, having seen it; else the deed itself.
    pub fn affirmed(&self, deed: usize, at: usize) -> usize {
        self.repeated(deed, at).last().unwrap_or(deed)
    }

    /// Returns a deed, the one that it has set a field to the same value as again, having seen it, and so on.
    pub fn repeated(&self, deed: usize, at: usize) -> impl Iterator<Item = usize> {
        let over = move |deed: usize| self.list[deed].fields.iter().find(|edit| edit.at == at)?.over;
        let is_same = move |deed: usize, seen: &usize| self.value_of(*seen, at) == self.value_of(deed, at);
        std::iter::successors(Some(deed), move |deed| over(*deed).filter(|seen| is_same(*deed, seen)))
    }

    /// Returns the deeds on a field that the author of a deed knew, the deed itself included: what was on the screen,
    /// and what the person had written on the same phone before.
    pub fn known(&self, deed: usize, at: usize) -> BTreeSet<usize> {
        let mut known = BTreeSet::new();
        let mut next = vec![deed];
        while let Some(deed) = next.pop() {
            if known.insert(deed) {
                let edits = self.list[deed].fields.iter().filter(|edit| edit.at == at);
                next.extend(edits.flat_map(|edit| edit.over.iter().chain(&edit.beside)));
                next.extend(self.own_before(deed, at));
            }
        }
        known
    }

    /// Returns the deeds on a field that came before another one on the same phone, which still had them.
    fn own_before(&self, deed: usize, at: usize) -> impl Iterator<Item = usize> {
        let of = &self.list[deed];
        let is_own = move |number: &usize| {
            let other = &self.list[*number];
            let is_kept = !other.may_be_lost || !self.went_back(of.place, (*number, deed));
            other.place == of.place && of.place != Place::Office && is_kept
        };
        self.writers(of.kind, of.row, at).iter().copied().filter(move |other| *other < deed).filter(is_own)
    }

    /// Notes that a phone went back to an older state: what was done there after `since` may be gone.
    pub fn forget_phone(&mut self, phone: usize, since: Timestamp) {
        let lost = |deed: &&mut Deed| deed.place == Place::Phone(phone) && deed.at >= since;
        self.list.iter_mut().filter(lost).for_each(|deed| deed.may_be_lost = true);
        self.returns.push((phone, self.list.len()));
    }

    /// Returns whether a phone went back to an older state between two deeds.
    fn went_back(&self, place: Place, (before, after): (usize, usize)) -> bool {
        let is_between =
            |(phone, next): &(usize, usize)| place == Place::Phone(*phone) && before < *next && *next <= after;
        self.returns.iter().any(is_between)
    }

    /// Notes that the server went back: what the office did since then is gone, and nobody has it.
    pub fn forget_office(&mut self, since: Timestamp) {
        let lost = |deed: &&mut Deed| deed.place == Place::Office && deed.at >= since;
        self.list.iter_mut().filter(lost).for_each(|deed| deed.is_withdrawn = true);
    }

    /// Notes that a person gave up everything about a row that was refused.
    pub fn withdraw(&mut self, deed: usize) {
        if let Some(deed) = self.list.get_mut(deed) {
            deed.is_withdrawn = true;
        }
    }
}

fn words_of<'d>(deeds: &[&'d Deed]) -> impl Iterator<Item = &'d str> {
    let texts = deeds.iter().flat_map(|deed| &deed.fields).filter_map(|edit| edit.value.as_text());
    texts.filter(|text| is_unique(text))
}

/// Whether a text is one that only one deed has written.
pub fn is_unique(text: &str) -> bool {
    text.starts_with("cuvinte ") || text.starts_with("birou ")
}

/// Returns a monthly status that a deed creates, with its job record and its month, from which its name follows.
fn month_of(deed: &Deed) -> Option<(Uuid, (EmploymentId, Date))> {
    let value = |name| {
        let at = EntityKind::MonthlyJobStatus.def().position(name)?;
        deed.fields.iter().find(|edit| edit.at == at).map(|edit| &edit.value)
    };
    let is_month = (deed.kind, deed.op) == (EntityKind::MonthlyJobStatus, Op::Put);
    let job = value("employment_id").filter(|_| is_month)?.as_uuid()?;
    let Value::Date(month_on) = value("month_on")? else { return None };
    let is_named_so = deed.row == MonthlyJobStatus::id_of(EmploymentId(job), *month_on).0;
    is_named_so.then_some((deed.row, (EmploymentId(job), *month_on)))
}

/// Returns the mark by which a deed is known wherever it goes.
pub fn mark(deed: usize) -> String {
    format!("d{deed}")
}

/// Returns the deed that a mutation carries out.
pub fn deed_of(mutation: &Mutation) -> Option<usize> {
    mutation.reason.as_deref()?.strip_prefix('d')?.parse().ok()
}

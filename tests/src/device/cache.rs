//! What a device holds of the server's state, page by page, as the protocol says that a device does.

use std::collections::BTreeMap;

use sync_protocol::cursor::{Cursor, Position};
use sync_protocol::entity::{Entity, EntityKind};
use sync_protocol::mutation::{Mutation, Op};
use sync_protocol::patch;
use sync_protocol::rows::VersionedRow;
use sync_protocol::wire::{Checkpoint, History, Message, PushResult};
use uuid::Uuid;

/// The rows, the scopes and the place in the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cache {
    /// Rows by kind and identifier.
    pub rows: BTreeMap<(EntityKind, Uuid), VersionedRow>,
    /// The scopes that it holds.
    pub scopes: Vec<Uuid>,
    /// Scopes that are behind the cursor.
    pub behind: Vec<(Uuid, Position)>,
    /// How far it has everything.
    pub cursor: Cursor,
    /// The programme.
    pub programme: Uuid,
}

impl Cache {
    /// Returns a row as its type.
    pub fn get<T: Entity>(&self, id: impl Into<Uuid>) -> Option<T> {
        self.rows.get(&(T::DEF.kind, id.into())).and_then(|row| T::from_row(&row.row).ok())
    }

    /// Returns every row of a type.
    pub fn all<T: Entity>(&self) -> Vec<T> {
        let rows = self.rows.iter().filter(|((kind, _), _)| *kind == T::DEF.kind);
        rows.filter_map(|(_, row)| T::from_row(&row.row).ok()).collect()
    }

    /// Takes note of messages. Rows count only once their checkpoint has arrived.
    pub(super) fn take(&mut self, messages: &[Message]) {
        let mut page = Vec::new();
        for message in messages {
            match message {
                Message::Welcome(welcome) if welcome.history == History::Other => {
                    *self = Self { programme: welcome.programme, ..Self::default() };
                }
                Message::Welcome(welcome) => self.programme = welcome.programme,
                Message::Scopes(scopes) => self.take_scopes(&scopes.scopes),
                Message::Rows(_) | Message::Gone(_) => page.push(message),
                Message::Checkpoint(checkpoint) => {
                    page.drain(..).for_each(|message| self.take_page(message));
                    self.take_checkpoint(checkpoint);
                }
                _ => {}
            }
        }
    }

    fn take_scopes(&mut self, scopes: &[Uuid]) {
        let programme = self.programme;
        let held = |kind: EntityKind, row: &VersionedRow| scopes.contains(&row.row.scope_id(kind.def(), programme));
        self.rows.retain(|(kind, _), row| held(*kind, row));
        self.behind.retain(|(scope, _)| scopes.contains(scope));
        for scope in scopes.iter().filter(|scope| !self.scopes.contains(scope)) {
            self.behind.push((*scope, Position::default()));
        }
        self.scopes = scopes.to_vec();
    }

    fn take_page(&mut self, message: &Message) {
        match message {
            Message::Rows(page) => {
                let Some(kind) = page.kind else { return };
                self.rows.extend(page.rows.iter().map(|row| ((kind, row.row.id), row.clone())));
            }
            Message::Gone(gone) => {
                for (kind, id, _) in &gone.rows {
                    let kind = EntityKind::from_number(*kind).expect("a known kind");
                    self.rows.remove(&(kind, *id));
                }
            }
            _ => {}
        }
    }

    fn take_checkpoint(&mut self, checkpoint: &Checkpoint) {
        self.behind.clone_from(&checkpoint.behind);
        if let Some(cursor) = checkpoint.cursor {
            self.cursor = cursor;
        }
    }

    /// Moves what the device shows already into the cache: these rows are not sent back.
    pub(super) fn confirm(&mut self, outbox: &[Vec<u8>], result: &PushResult) {
        for commit in result.commits.iter().filter(|commit| commit.verbatim) {
            for payload in &outbox[commit.first_no as usize - 1..commit.last_no as usize] {
                let mutation = Mutation::decode(payload).expect("the outbox holds mutations");
                self.apply(&mutation, commit.seq);
            }
        }
    }

    fn apply(&mut self, mutation: &Mutation, seq: u64) {
        let key = (mutation.kind, mutation.row_id);
        if mutation.op == Op::Delete {
            self.rows.remove(&key);
            return;
        }
        let empty = || VersionedRow { seq, row: patch::empty_row(mutation.kind.def(), mutation.row_id) };
        let row = self.rows.entry(key).or_insert_with(empty);
        row.seq = seq;
        patch::apply(&mut row.row, &mutation.patch);
    }
}

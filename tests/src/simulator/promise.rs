//! What the server told a phone that it has: everything in its scopes up to a cursor. Whether that is so is looked
//! up on the phone as soon as it has taken the answer.

use std::collections::BTreeMap;

use sync_protocol::cursor::Cursor;
use sync_protocol::entity::EntityKind;
use sync_protocol::wire::Message;
use uuid::Uuid;

use super::backend::Backend;
use super::talk::{Answer, hello_of};
use super::view;

/// The rows that a phone has after a reply, with their versions.
#[derive(Debug)]
pub struct Promise {
    /// The cursor that the reply leads to.
    pub cursor: Cursor,
    /// The rows.
    pub rows: Vec<(EntityKind, Uuid, u64)>,
}

/// Promises by phone and request.
#[derive(Debug, Default)]
pub struct Promises(BTreeMap<(usize, u64), Promise>);

impl Promises {
    /// Notes what a reply promises.
    pub fn note(
        &mut self,
        server: &Backend,
        programme: usize,
        user: Uuid,
        request: (usize, u64),
        body: &[u8],
        answer: &Answer,
    ) {
        let cursor = answer.messages().filter_map(|message| match message {
            Message::Checkpoint(checkpoint) => checkpoint.cursor,
            _ => None,
        });
        let Some(cursor) = cursor.last() else { return };
        let since = hello_of(body)
            .filter(|hello| hello.cursor.epoch == cursor.epoch && hello.behind.is_empty())
            .map_or(0, |hello| hello.cursor.seq);
        let rows = view::versions_of_phone(server, programme, user, since + 1..=cursor.seq);
        self.0.retain(|(phone, _), _| *phone != request.0);
        self.0.insert(request, Promise { cursor, rows });
    }

    /// Takes the promise of a reply.
    pub fn take(&mut self, phone: usize, request: u64) -> Option<Promise> {
        self.0.remove(&(phone, request))
    }
}

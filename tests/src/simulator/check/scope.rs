//! Nobody gets to see what is not theirs: looked for in every reply, also in those that never arrive.

use bytes::Bytes;
use sync_protocol::entity::EntityKind;
use sync_protocol::wire::Message;

use super::super::backend::frames;
use super::super::history::History;
use super::super::view;

/// Checks what the server sends to a phone.
pub fn delivered(history: &mut History<'_>, at: usize, chunks: &[Bytes]) {
    let cast = history.plan.cast.phones[at];
    let granted = history.server.granted(cast.programme, cast.user);
    let mut leaks = Vec::new();
    for frame in chunks.iter().flat_map(|chunk| frames(chunk)) {
        let Ok(Message::Rows(rows)) = Message::read(&frame) else { continue };
        let Some(kind) = rows.kind else { continue };
        for row in &rows.rows {
            if !view::may_see(cast.user, &granted, kind, &row.row) {
                leaks.push(format!("{} {} to phone {at}", kind.def().name, row.row.id));
            } else if view::as_shown(kind, row.row.clone()) != row.row {
                leaks.push(format!("what the law protects of {} {} to phone {at}", kind.def().name, row.row.id));
            }
        }
    }
    let is_barred = history.server.is_barred(cast.user);
    if is_barred && chunks.iter().flat_map(|chunk| frames(chunk)).any(|f| is_row(&f)) {
        leaks.push(format!("rows to the barred person of phone {at}"));
    }
    for leak in leaks {
        history.violate("scope", leak);
    }
}

fn is_row(frame: &sync_protocol::frame::Frame) -> bool {
    matches!(Message::read(frame), Ok(Message::Rows(rows)) if rows.kind != Some(EntityKind::User))
}

//! Nobody gets to see what is not theirs: looked for in every reply, also in those that never arrive.

use sync_protocol::entity::EntityKind;
use sync_protocol::wire::Message;

use super::super::history::History;
use super::super::talk::Answer;
use super::super::view;

/// Checks what the server sends to a phone.
pub fn delivered(history: &mut History<'_>, at: usize, answer: &Answer) {
    let cast = history.plan.cast.phones[at];
    let granted = history.server.granted(cast.programme, cast.user);
    let mut leaks = Vec::new();
    for message in answer.messages() {
        let Message::Rows(rows) = message else { continue };
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
    if is_barred && answer.messages().any(is_row) {
        leaks.push(format!("rows to the barred person of phone {at}"));
    }
    for leak in leaks {
        history.violate("scope", leak);
    }
}

fn is_row(message: &Message) -> bool {
    matches!(message, Message::Rows(rows) if rows.kind != Some(EntityKind::User))
}

//! What waits, what the office keeps or refused, what two people changed.

use anyhow::Result;
use client_sdk::api::changes::ChangeItem;
use client_sdk::api::merges::MergeItem;
use client_sdk::store::Room;
use sync_protocol::message::field_label;
use uuid::Uuid;

use crate::pick;
use crate::session::Session;
use crate::show;
use crate::texts::Key;

pub(crate) const MOST: u32 = 200;

pub(crate) fn status(session: &Session) -> Result<()> {
    let status = session.client.status()?;
    let line = |key: Key, value: &dyn std::fmt::Display| say!("{:30} {value}", session.text(key));
    line(Key::Pending, &status.sync.pending);
    if let Some(ms) = status.oldest_pending_ms {
        line(Key::OldestPending, &show::duration(ms));
    }
    line(Key::Held, &status.sync.held);
    line(Key::Rejected, &status.sync.rejected);
    line(Key::Conflicts, &status.sync.conflicts);
    line(Key::Merges, &status.sync.merges);
    let last = status.sync.last_complete_at.map(show::minute);
    line(Key::LastSync, &last.as_deref().unwrap_or(session.text(Key::Never)));
    let salvaged = status.sync.salvaged;
    if salvaged.saved + salvaged.lost > 0 {
        line(Key::Salvaged, &salvaged.saved);
        line(Key::Lost, &salvaged.lost);
    }
    if salvaged.lost > 0 {
        say!("{}", session.text(Key::LostAdvice));
    }
    let room = match status.room {
        Room::Plenty => Key::RoomPlenty,
        Room::Low => Key::RoomLow,
        Room::Full => Key::RoomFull,
    };
    line(Key::Room, &session.text(room));
    line(Key::SignedIn, &session.text(if status.is_signed_in { Key::Yes } else { Key::No }));
    Ok(())
}

pub(crate) fn held(session: &Session) -> Result<()> {
    let (held, rejected) = (session.client.held(MOST)?, session.client.rejected(MOST)?);
    print_changes(session, Key::Held, &held);
    print_changes(session, Key::Rejected, &rejected);
    if !rejected.is_empty() {
        say!("{}", session.text(Key::PutRight));
    }
    Ok(())
}

pub(crate) fn discard(session: &Session, change: u64) -> Result<()> {
    session.client.discard(change)?;
    say!("{}", session.text(Key::Discarded));
    Ok(())
}

pub(crate) fn conflicts(session: &Session) -> Result<()> {
    let (conflicts, merges) = (session.client.conflicts(MOST)?, session.client.merges(MOST)?);
    if conflicts.is_empty() && merges.is_empty() {
        say!("{}", session.text(Key::Nothing));
    }
    for conflict in &conflicts {
        let kind = conflict.kind.map_or("?", |kind| kind.def().name);
        let (id, at) = (end(conflict.id.0), show::minute(conflict.detected_at));
        say!("{id}  {at}  {kind} {}  {}", end(conflict.row_id), conflict.field_label);
        for (key, side) in [(Key::Kept, &conflict.kept), (Key::Other, &conflict.other)] {
            let (value, by) = (side.value.as_deref().unwrap_or("–"), side.by.as_deref().unwrap_or("?"));
            say!("    {:10} {value}  ({by})", session.text(key));
        }
    }
    if !conflicts.is_empty() {
        say!("{}", session.text(Key::HowToSettle));
    }
    print_merges(session, &merges);
    Ok(())
}

/// Rows that may be one: the office decides, the mentor is to know.
fn print_merges(session: &Session, merges: &[MergeItem]) {
    for merge in merges {
        let kind = merge.kind.map_or("?", |kind| kind.def().name);
        let (id, at, matched) = (end(merge.id.0), show::minute(merge.detected_at), merge.matched_labels.join(", "));
        say!("{id}  {at}  {kind}  {}: {matched}", session.text(Key::SameTwice));
        for row in &merge.rows {
            say!(
                "    {}  {}  ({})",
                end(row.id),
                row.title.as_deref().unwrap_or("–"),
                row.by.as_deref().unwrap_or("?")
            );
        }
    }
    if !merges.is_empty() {
        say!("{}", session.text(Key::OfficeMerges));
    }
}

/// Settles the conflict whose identifier ends like this.
pub(crate) fn settle(session: &Session, ending: &str, take_other: bool) -> Result<()> {
    let conflict = pick::conflict(session, ending)?;
    session.client.conflicts_resolve(conflict.id, take_other)?;
    say!("{}", session.text(Key::Settled));
    Ok(())
}

fn print_changes(session: &Session, heading: Key, changes: &[ChangeItem]) {
    say!("{}: {}", session.text(heading), changes.len());
    for change in changes {
        let label = |field: &&'static str| field_label(field, session.locale()).unwrap_or(field);
        let fields: Vec<&str> = change.fields.iter().map(label).collect();
        let at = show::minute(change.recorded_at);
        say!("  #{}  {at}  {} {}: {}", change.change_id, change.kind.def().name, end(change.row_id), fields.join(", "));
        if let Some(answer) = &change.answer {
            say!("      {} [{}]", answer.text, answer.code);
        }
    }
}

fn end(id: Uuid) -> String {
    pick::short(id)
}

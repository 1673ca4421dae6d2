//! The pages for whoever writes another client: `ENTITIES.md` follows the field tables, and `README.md` forgets nothing.
//!
//! Run with `BLESS=1` to write `ENTITIES.md` after a change.

use std::fmt::Write as _;

use sync_protocol::entity::EntityKind;
use sync_protocol::field::{EntityDef, Field, MergePolicy, Origin, ScopeRule, Writer};
use sync_protocol::frame::{Frame, Reader};
use sync_protocol::wire::Message;

use crate::samples;

const ENTITIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ENTITIES.md");
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

fn entities() -> String {
    let mut page = "# Kinds of rows\n\nMade from the field tables in `src/entity/`; do not edit. Numbers and names never change; \
        fields are added at the end.\n\nEvery row has an `id` (UUID). *Concurrent* says what is shown when two people set a field \
        without knowing of each other; both values are kept in a `conflict` row. Fields of one *group* move together.\n"
        .to_owned();
    for kind in EntityKind::ALL {
        let def = kind.def();
        let _ = write!(page, "\n## {}. {} (`{}`)\n\n{}\n", kind.number(), def.type_name, def.name, one_line(def.doc));
        let _ = writeln!(page, "\nScope: {}. Created by: {}.\n", scope(def), origin(def));
        page.push_str("| field | type | concurrent | notes |\n|---|---|---|---|\n");
        for field in def.fields {
            let null = if field.nullable { ", or null" } else { "" };
            let row = (field.name, field.field_type, null, concurrent(field), notes(field));
            let _ = writeln!(page, "| `{}` | {:?}{} | {} | {} |", row.0, row.1, row.2, row.3, row.4);
        }
    }
    page
}

fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn scope(def: &EntityDef) -> String {
    match def.scope {
        ScopeRule::Programme => "the programme".to_owned(),
        ScopeRule::Own => "the row's own id".to_owned(),
        ScopeRule::Enterprise(field) | ScopeRule::Actor(field) | ScopeRule::Scope(field) => format!("`{field}`"),
        ScopeRule::Office => "the office, on no device".to_owned(),
    }
}

fn origin(def: &EntityDef) -> &'static str {
    match def.origin {
        Origin::Field => "devices and the office",
        Origin::Office => "the office",
        Origin::Server => "the server",
    }
}

fn concurrent(field: &Field) -> String {
    let policy = match field.policy {
        MergePolicy::State => "the later state".to_owned(),
        MergePolicy::Max => "the larger".to_owned(),
        MergePolicy::Ranked => "the higher rank".to_owned(),
    };
    if field.merge_group.is_empty() { policy } else { format!("{policy}, group {}", field.merge_group) }
}

fn notes(field: &Field) -> String {
    let mut notes = vec![one_line(field.doc)];
    if field.max_chars > 0 {
        notes.push(format!("At most {} characters.", field.max_chars));
    }
    if let Some(kind) = field.reference {
        notes.push(format!("Refers to `{}`.", kind.def().name));
    }
    if !field.codes.is_empty() {
        notes.push(format!("One of `{}`.", field.codes.join("`, `")));
    }
    let marks = [
        (field.special, "Special category: never sent to devices."),
        (field.writer == Writer::Office, "Set by the office or the server only."),
        (field.immutable, "Never changes."),
    ];
    notes.extend(marks.iter().filter(|(holds, _)| *holds).map(|(_, text)| (*text).to_owned()));
    notes.join(" ")
}

#[test]
fn the_page_of_entities_follows_the_field_tables() {
    let page = entities();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(ENTITIES, &page).expect("the page can be written");
    }
    let stored = std::fs::read_to_string(ENTITIES).expect("ENTITIES.md is part of the sources");
    assert!(stored == page, "ENTITIES.md is not what the field tables say: run with BLESS=1 and review it");
}

/// The names of the fields of a message, from its own bytes.
fn field_names(message: &Message) -> Vec<String> {
    let mut body = Vec::new();
    message.write(&mut body);
    let mut reader = Reader::new(1 << 20);
    reader.push(&body);
    let Frame { payload, .. } = reader.next_frame().expect("the frame is sound").expect("the frame is whole");
    let mut input = minicbor::Decoder::new(&payload);
    let Ok(Some(count)) = input.map() else { return Vec::new() };
    (0..count)
        .map(|_| {
            let name = input.str().expect("keys are texts").to_owned();
            input.skip().expect("the value is whole");
            name
        })
        .collect()
}

#[test]
fn the_page_of_the_protocol_names_every_message_and_field() {
    let page = std::fs::read_to_string(README).expect("README.md is part of the sources");
    for (sample, message) in samples::messages() {
        if matches!(message, Message::Skipped(_)) {
            continue;
        }
        let mut body = Vec::new();
        message.write(&mut body);
        let row = format!("| {} | `", body[4]);
        assert!(page.contains(&row), "frame type {} ({sample}) is not in the table of frames", body[4]);
        for name in field_names(&message) {
            assert!(page.contains(&format!("`{name}`")), "`{name}` of {sample} is not explained");
        }
    }
}

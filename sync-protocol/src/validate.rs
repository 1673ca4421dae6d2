//! One row or one patch against the field table.
//!
//! Fields that this version does not know are no violation: they are kept elsewhere until a newer version reads
//! them. Only what changes is checked, so that a stored code of a newer version does not stop an edit beside it.

use crate::code::County;
use crate::entity::Row;
use crate::field::{EntityDef, Field, Writer};
use crate::message::MessageKey;
use crate::rule::Violation;
use crate::value::{FieldType, Value};

/// The rule that violations of the field table name.
pub const FIELD: &str = "FIELD";

/// The longest JSON value, in characters.
pub const MAX_JSON_CHARS: u32 = 16_000;

/// Texts that may be longer than this may have several lines.
const ONE_LINE_MAX_CHARS: u32 = 300;

/// Returns what is wrong with a row; with `before`, only with the fields that changed.
pub fn row(def: &'static EntityDef, before: Option<&Row>, after: &Row, in_office: bool) -> Vec<Violation> {
    let mut out = Vec::new();
    for (at, field) in def.fields.iter().enumerate() {
        let value = after.values.get(at).unwrap_or(&Value::Null);
        let stored = before.map(|row| row.values.get(at).unwrap_or(&Value::Null));
        if stored == Some(value) {
            continue;
        }
        out.extend(check_writer(field, value, stored.is_some(), in_office));
        out.extend(check_value(field, value));
    }
    out
}

/// Returns what is wrong with the fields of a patch by themselves, before it meets the row.
///
/// `row_exists` says whether the patch changes a row or creates it. Missing fields are found by [`row()`].
pub fn patch<'a>(
    def: &'static EntityDef,
    fields: impl IntoIterator<Item = (&'a str, &'a Value)>,
    row_exists: bool,
    in_office: bool,
) -> Vec<Violation> {
    let mut out = Vec::new();
    for (name, value) in fields {
        let Some(field) = def.field(name) else { continue };
        out.extend(check_writer(field, value, row_exists, in_office));
        out.extend(check_value(field, value));
    }
    out
}

fn check_writer(field: &'static Field, value: &Value, row_exists: bool, in_office: bool) -> Option<Violation> {
    if row_exists && field.immutable {
        return Some(violation(field, MessageKey::Immutable));
    }
    let is_set_by_device = field.writer == Writer::Office && !in_office && (row_exists || !is_initial(field, value));
    is_set_by_device.then(|| violation(field, MessageKey::OfficeOnly))
}

/// Returns whether a new row has this value in an office field before the office has touched it.
fn is_initial(field: &Field, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Text(code) => field.codes.first() == Some(&code.as_str()),
        _ => false,
    }
}

fn check_value(field: &'static Field, value: &Value) -> Option<Violation> {
    match value {
        Value::Null => (!field.nullable).then(|| violation(field, MessageKey::Missing)),
        value if !value.fits(field.field_type) => Some(violation(field, MessageKey::WrongType)),
        Value::Text(code) if field.field_type == FieldType::Code => check_code(field, code),
        Value::Text(text) => check_text(field, text),
        Value::Json(json) => check_json(field, json),
        _ => None,
    }
}

fn check_code(field: &'static Field, code: &str) -> Option<Violation> {
    if field.codes.contains(&code) {
        return None;
    }
    let shown: String = code.chars().filter(|c| !c.is_control()).take(40).collect();
    if field.codes == County::CODES {
        let outside = Violation::hard("I12", field.name, MessageKey::CountyOutsideRegion);
        return Some(outside.arg("value", shown).arg("limit", County::CODES.join(", ")));
    }
    Some(violation(field, MessageKey::CodeUnknown).arg("value", shown))
}

fn check_text(field: &'static Field, text: &str) -> Option<Violation> {
    if !field.nullable && text.trim().is_empty() {
        return Some(violation(field, MessageKey::Missing));
    }
    if is_longer(text, field.max_chars) {
        return Some(violation(field, MessageKey::TooLong).arg("limit", field.max_chars));
    }
    let may_have_lines = field.max_chars > ONE_LINE_MAX_CHARS;
    let is_refused = |c: char| c.is_control() && !(may_have_lines && matches!(c, '\n' | '\r'));
    let has_refused = may_have_control(text) && text.chars().any(is_refused);
    has_refused.then(|| violation(field, MessageKey::ControlCharacter))
}

/// Returns whether a text may hold a control character, from its bytes alone, which are looked at many at a time: most
/// texts hold none, and they are most of what a push is checked for.
fn may_have_control(text: &str) -> bool {
    // U+0080 to U+009F begin with 0xC2, like the signs after them.
    let is_suspect = |byte: &u8| *byte < b' ' || *byte == 0x7f || *byte == 0xc2;
    text.as_bytes().iter().fold(false, |found, byte| found | is_suspect(byte))
}

fn check_json(field: &'static Field, json: &str) -> Option<Violation> {
    if is_longer(json, MAX_JSON_CHARS) {
        return Some(violation(field, MessageKey::TooLong).arg("limit", MAX_JSON_CHARS));
    }
    // Postgres cannot store NUL in `jsonb`, and in JSON text it can only stand as this escape.
    json.contains("\\u0000").then(|| violation(field, MessageKey::ControlCharacter))
}

fn is_longer(text: &str, max_chars: u32) -> bool {
    let max_chars = max_chars as usize;
    text.len() > max_chars && text.chars().nth(max_chars).is_some()
}

fn violation(field: &'static Field, message: MessageKey) -> Violation {
    Violation::hard(FIELD, field.name, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::{Employment, Entity, FollowUpAction, Site};

    fn patch_of(def: &'static EntityDef, name: &str, value: &Value, row_exists: bool) -> Vec<MessageKey> {
        patch(def, [(name, value)], row_exists, false).iter().map(|violation| violation.message).collect()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    #[test]
    fn a_patch_is_checked_field_by_field() {
        use MessageKey as Key;
        let long = "ș".repeat(2001);
        let fits = "ș".repeat(2000);
        let cases: &[(&str, Value, Option<Key>)] = &[
            ("due_on", text("2024-01-01"), Some(Key::WrongType)),
            ("due_on", Value::Null, Some(Key::Missing)),
            ("done_on", Value::Null, None),
            ("text", text(" "), Some(Key::Missing)),
            ("text", text(&long), Some(Key::TooLong)),
            ("text", text(&fits), None),
            ("text", text("two\nlines"), None),
            ("text", text("nul\0"), Some(Key::ControlCharacter)),
            ("responsible_name", text("two\nlines"), Some(Key::ControlCharacter)),
            ("status", text("FORGOTTEN"), Some(Key::CodeUnknown)),
            ("status", text("DONE"), None),
            ("field_of_a_newer_version", text("\0"), None),
        ];
        for (name, value, expected) in cases {
            let found = patch_of(FollowUpAction::DEF, name, value, false);
            assert_eq!(found, expected.iter().copied().collect::<Vec<_>>(), "{name} {value:?}");
        }
    }

    #[test]
    fn an_immutable_field_is_set_once() {
        let visit = Value::Uuid(uuid::Uuid::from_u128(1));
        assert_eq!(patch_of(FollowUpAction::DEF, "visit_id", &visit, false), []);
        assert_eq!(patch_of(FollowUpAction::DEF, "visit_id", &visit, true), [MessageKey::Immutable]);
    }

    #[test]
    fn a_device_leaves_office_fields_at_their_first_value() {
        let cases = [("NONE", false, vec![]), ("VERIFIED", false, vec![MessageKey::OfficeOnly])];
        for (code, exists, expected) in cases {
            assert_eq!(patch_of(Employment::DEF, "verification", &text(code), exists), expected);
        }
        let by_office = patch(Employment::DEF, [("verification", &text("VERIFIED"))], true, true);
        assert_eq!(by_office, []);
    }

    #[test]
    fn a_county_outside_the_region_breaks_i12() {
        assert_eq!(patch_of(Site::DEF, "county", &text("TM"), false), []);
        let found = patch(Site::DEF, [("county", &text("CJ"))], false, true);
        assert_eq!(found[0].rule, "I12");
    }

    #[test]
    fn nul_inside_json_is_refused() {
        let place = Value::Json(r#"{"latitude":1,"longitude":2,"note":"\u0000"}"#.to_owned());
        assert_eq!(patch_of(Site::DEF, "place", &place, false), [MessageKey::ControlCharacter]);
    }

    #[test]
    fn a_stored_code_of_a_newer_version_does_not_stop_an_edit_beside_it() {
        let def = Site::DEF;
        let mut before = Row { id: uuid::Uuid::nil(), values: vec![Value::Null; def.fields.len()] };
        before.values[def.position("purpose").unwrap()] = text("GREENHOUSE");
        let mut after = before.clone();
        after.values[def.position("locality_name").unwrap()] = text("Bogodinț");
        assert_eq!(row(def, Some(&before), &after, false), []);
        assert!(row(def, None, &after, false).iter().any(|v| v.message == MessageKey::CodeUnknown));
    }
}

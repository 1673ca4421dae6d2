//! The types of the fleet.

use async_graphql::registry::{EnumBuilder, MetaEnumValue, MetaField, MetaType, Registry};
use sync_protocol::field::Field;

use crate::graphql::catalog::{column_name, relation_name, scalar_name};
use crate::graphql::types::{
    add, add_connection, add_lists, argument, arguments, field, list_cost, object, page_arguments,
};
use crate::store::fleet::FIELDS;

/// The states of a device with what they mean, in the order in which they are tried.
const STATES: [(&str, &str); 7] = [
    ("BLOCKED", "It may not talk to the server: suspended, revoked or wiped."),
    (
        "EXPIRED",
        "It has not been in touch for so long that nothing is kept for it. When it returns, its work is taken and its rows \
         are compared one scope at a time.",
    ),
    ("SILENT", "It has not been in touch for `silentAfterDays` days although its user has assignments."),
    ("NEVER_SYNCED", "It was enrolled and has not synced yet."),
    ("STALLED", "It is in touch, has work waiting, and nothing moves: over more than an hour and three syncs."),
    ("PENDING", "Work was still on the device at its last contact, or a first sync is under way."),
    ("UP_TO_DATE", "Everything was on both sides at its last contact."),
];
const STATUSES: [(&str, &str); 5] = [
    ("ACTIVE", "In use."),
    ("SUSPENDED", "Refused for now."),
    ("REVOKED", "Refused for good."),
    ("WIPE_REQUESTED", "Refused, and told to destroy its data."),
    ("WIPED", "It has reported that its data is destroyed."),
];

/// The figures of the health of a fleet: name, type, and what it says.
pub(super) const HEALTH: [(&str, &str, &str); 19] = [
    ("devices", "Int!", "Devices in all, blocked ones included."),
    ("blocked", "Int!", "Devices in the state `BLOCKED`. The states exclude each other and add up to `devices`."),
    ("expired", "Int!", "Devices in the state `EXPIRED`: whoever has one should sync, or block it."),
    ("silent", "Int!", "Devices in the state `SILENT`."),
    ("neverSynced", "Int!", "Devices in the state `NEVER_SYNCED`."),
    ("stalled", "Int!", "Devices in the state `STALLED`: someone should call their users."),
    ("pending", "Int!", "Devices in the state `PENDING`."),
    ("upToDate", "Int!", "Devices in the state `UP_TO_DATE`."),
    ("clockOff", "Int!", "Devices whose clocks are off by more than 24 hours."),
    ("oldestPendingAt", "DateTime", "Since when the oldest change waits on any device; null when none waits."),
    ("pendingChanges", "BigInt!", "Changes that are still on devices only, as of their last contacts."),
    ("rejectedChanges", "BigInt!", "Changes that were refused and not dealt with, as of the last contacts."),
    ("heldChanges", "BigInt!", "Changes that the server keeps until something else happens."),
    ("openConflicts", "BigInt!", "Conflicts that nobody has settled."),
    ("lostRows", "BigInt!", "Changes that could not be saved out of damaged outboxes."),
    ("devicesWithMismatches", "Int!", "Devices that were found to hold something else than the server has."),
    ("lastContactAt", "DateTime", "When any device was last in touch; null when none ever was."),
    ("oldApplications", "Int!", "Devices in use whose application is older than the newest one of its name here."),
    ("applications", "[ApplicationVersion!]!", "The applications on the devices in use, the most frequent first."),
];

/// Adds the types.
pub(in crate::graphql) fn register(registry: &mut Registry) {
    add(registry, "DeviceStatus", enumeration("DeviceStatus", "Whether a device may talk to the server.", &STATUSES));
    let doc = "How the sync of a device stands: the first of these that holds.";
    add(registry, "DeviceSyncState", enumeration("DeviceSyncState", doc, &STATES));
    let id = field("id", "ID!", "The identifier, made by the device when it was enrolled.");
    let fields = std::iter::once(id).chain(FIELDS.iter().flat_map(device_fields));
    let doc = "A phone or tablet with the application, as it was at its last contact.";
    add(registry, "Device", object("Device", doc, fields));
    add_lists(registry, "Device", &FIELDS.iter().collect::<Vec<_>>());
    add_connection(registry, "Device");
    let fields = HEALTH.map(|(name, ty, doc)| field(name, ty, doc));
    add(registry, "SyncHealth", object("SyncHealth", "How the sync of a programme's devices stands.", fields));
    add(registry, "ApplicationVersion", application());
}

/// Returns the fields of the query root.
pub(in crate::graphql) fn root_fields() -> Vec<MetaField> {
    let days =
        || argument("silentAfterDays", "Int", "Days without a contact after which a device is silent; 7 unless told.");
    let mut list = page_arguments("Device");
    list.push(days());
    let id = argument("id", "ID!", "The identifier.");
    let seen = "Coordinators and administrators see every device, others their own.";
    vec![
        MetaField {
            args: arguments([id, days()]),
            ..field("device", "Device", &format!("One device with what it last said of itself. {seen}"))
        },
        MetaField {
            args: arguments(list),
            compute_complexity: Some(list_cost),
            ..field("devices", "DeviceConnection", &format!("Devices with what they last said of themselves. {seen}"))
        },
        MetaField {
            args: arguments([days()]),
            ..field("syncHealth", "SyncHealth", &format!("How sync stands, over all devices. {seen}"))
        },
    ]
}

fn device_fields(of: &Field) -> Vec<MetaField> {
    let mark = if of.nullable { "" } else { "!" };
    let mut fields = vec![field(&column_name(of), format!("{}{mark}", scalar_name(of)), of.doc)];
    if let Some(kind) = of.reference {
        fields.push(field(&relation_name(of), kind.def().type_name, of.doc));
    }
    fields
}

fn application() -> MetaType {
    let fields = [
        field("app", "String!", "The application and its version, such as `teren-field/1.4.2`."),
        field("devices", "Int!", "On how many devices in use it runs."),
        field("isOld", "Boolean!", "Whether a newer version of the same application runs on another device here."),
    ];
    object("ApplicationVersion", "A version of the application.", fields)
}

fn enumeration(name: &str, doc: &str, codes: &[(&str, &str)]) -> MetaType {
    let values = codes.iter().map(|(code, doc)| {
        let value = MetaEnumValue { description: Some((*doc).to_owned()), ..MetaEnumValue::new(*code) };
        ((*code).to_owned(), value)
    });
    EnumBuilder::new(name, values.collect()).description(Some(doc.to_owned())).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_names_the_codes_of_the_store() {
        let codes = |name: &str| FIELDS.iter().find(|field| field.name == name).unwrap().codes.to_vec();
        assert_eq!(codes("state"), STATES.map(|(code, _)| code));
        assert_eq!(codes("status"), STATUSES.map(|(code, _)| code));
    }
}

//! The entities of the mentor's world, each a plain struct with its field table.
//!
//! Between the typed ends everything is generic over the field table: the wire, the outbox, the tables of the
//! phone, the writes on the server. A field is therefore named once, here, and a parity test proves that the
//! database columns and the GraphQL schema follow.
//!
//! To add a field: add a line at the **end** of the entity, a column in a new migration, done.

mod action_line;
mod attendee;
mod checklist_answer;
mod code;
mod conflict;
mod employment;
mod enterprise;
mod erasure;
mod finding;
mod follow_up_action;
mod form;
mod held_item;
mod late_adjustment;
mod merge_proposal;
mod monthly_job_status;
mod participation;
mod position;
mod programme;
mod question;
mod reporting_period;
mod scope_grant;
mod site;
mod target;
mod user;
mod visit;

pub use action_line::ActionLine;
pub use attendee::Attendee;
pub use checklist_answer::{AnswerValue, ChecklistAnswer};
pub use code::Code;
pub use conflict::Conflict;
pub use employment::Employment;
pub use enterprise::Enterprise;
pub use erasure::Erasure;
pub use finding::Finding;
pub use follow_up_action::FollowUpAction;
pub use form::Form;
pub use held_item::{HeldAnswer, HeldContent, HeldItem};
pub use late_adjustment::LateAdjustment;
pub use merge_proposal::MergeProposal;
pub use monthly_job_status::MonthlyJobStatus;
pub use participation::Participation;
pub use position::Position;
pub use programme::Programme;
pub use question::{Condition, Question};
pub use reporting_period::ReportingPeriod;
pub use scope_grant::ScopeGrant;
pub use site::Site;
pub use target::Target;
pub use user::User;
pub use visit::Visit;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::field::{EntityDef, ScopeRule};
use crate::time::Timestamp;
use crate::value::{Value, json_field_value};

/// A row without its type: the identifier and the values in the order of the field table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The identifier.
    pub id: Uuid,
    /// One value for each field of the entity.
    pub values: Vec<Value>,
}

impl Row {
    /// Returns the value of a field, null when the entity has no such field.
    pub fn get(&self, def: &EntityDef, name: &str) -> &Value {
        def.position(name).and_then(|at| self.values.get(at)).unwrap_or(&Value::Null)
    }

    /// Returns the scope that the row belongs to.
    pub fn scope_id(&self, def: &EntityDef, programme: Uuid) -> Uuid {
        match def.scope {
            ScopeRule::Programme => programme,
            ScopeRule::Own => self.id,
            ScopeRule::Enterprise(field) | ScopeRule::Actor(field) | ScopeRule::Scope(field) => {
                self.get(def, field).as_uuid().unwrap_or(OFFICE_SCOPE)
            }
            ScopeRule::Office => OFFICE_SCOPE,
        }
    }
}

/// The scope of rows that no phone holds unless it is granted explicitly.
pub const OFFICE_SCOPE: Uuid = Uuid::nil();

/// A typed entity.
pub trait Entity: Sized + Clone + Send + Sync + 'static {
    /// The type of its identifier.
    type Id: Copy + Into<Uuid> + From<Uuid> + Send + Sync;
    /// Its names, scope and fields.
    const DEF: &'static EntityDef;

    /// Returns the identifier.
    fn id(&self) -> Self::Id;
    /// Returns the untyped row.
    fn to_row(&self) -> Row;
    /// Returns the typed row, or the name of the first field whose value has the wrong type.
    fn from_row(row: &Row) -> Result<Self, &'static str>;
}

/// Defines an entity: the struct and its field table from one list.
macro_rules! entity {
    (
        $(#[doc = $doc:literal])+
        $name:ident($table:literal, $id:ty) scope($($scope:tt)+) from($origin:ident) {
            $($(#[doc = $field_doc:literal])+ $field:ident: $type:ty $([$($with:ident $(($arg:expr))?)+])?,)*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            /// The identifier.
            pub id: $id,
            $($(#[doc = $field_doc])+ pub $field: $type,)*
        }

        impl $crate::entity::Entity for $name {
            type Id = $id;
            const DEF: &'static $crate::field::EntityDef = &$crate::field::EntityDef {
                kind: $crate::entity::EntityKind::$name,
                type_name: stringify!($name),
                name: $table,
                doc: concat!($($doc, "\n"),+),
                scope: $crate::field::ScopeRule::$($scope)+,
                origin: $crate::field::Origin::$origin,
                fields: &[$(
                    $crate::field::Field::new(
                        stringify!($field),
                        <$type as $crate::value::FieldValue>::TYPE,
                        <$type as $crate::value::FieldValue>::NULLABLE,
                        <$type as $crate::value::FieldValue>::NAME,
                        <$type as $crate::value::FieldValue>::CODES,
                    ).doc(concat!($($field_doc, "\n"),+))$($(.$with($($arg)?))+)?,
                )*],
            };

            fn id(&self) -> $id {
                self.id
            }

            fn to_row(&self) -> $crate::entity::Row {
                $crate::entity::Row {
                    id: self.id.into(),
                    values: vec![$($crate::value::FieldValue::to_value(&self.$field)),*],
                }
            }

            fn from_row(row: &$crate::entity::Row) -> Result<Self, &'static str> {
                let mut values = row.values.iter();
                Ok(Self {
                    id: row.id.into(),
                    $($field: values
                        .next()
                        .and_then($crate::value::FieldValue::from_value)
                        .ok_or(stringify!($field))?,)*
                })
            }
        }
    };
}
use entity;

/// Defines the kinds with their numbers on the wire, which never change.
macro_rules! entity_kinds {
    ($($number:literal $name:ident,)*) => {
        /// The kind of a row. The number goes over the wire and into the database and never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum EntityKind {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name = $number,)*
        }

        impl EntityKind {
            /// Every kind, parents before children.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the kind of a number, `None` for a kind of a newer version.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// Returns the definition of the entity.
            pub const fn def(self) -> &'static EntityDef {
                match self {
                    $(Self::$name => <$name as Entity>::DEF,)*
                }
            }
        }
    };
}

entity_kinds! {
    1 Programme,
    2 ActionLine,
    3 Target,
    4 User,
    5 ScopeGrant,
    6 Code,
    7 Form,
    8 Question,
    9 Enterprise,
    10 Site,
    11 Position,
    12 Employment,
    13 Visit,
    14 MonthlyJobStatus,
    15 ChecklistAnswer,
    16 Finding,
    17 FollowUpAction,
    18 Attendee,
    19 Participation,
    20 Conflict,
    21 HeldItem,
    22 ReportingPeriod,
    23 LateAdjustment,
    24 MergeProposal,
    25 Erasure,
}

impl EntityKind {
    /// Returns the number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Returns the kind of a table or wire name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.def().name == name)
    }
}

/// A text in the languages of the programme; Romanian is the primary one.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct I18n {
    /// Romanian.
    pub ro: String,
    /// English.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub en: Option<String>,
    /// Italian.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub it: Option<String>,
}

impl I18n {
    /// Returns the text in a language, in Romanian where it was not translated.
    pub fn text(&self, locale: crate::code::Locale) -> &str {
        use crate::code::Locale;
        let translated = match locale {
            Locale::En => self.en.as_deref(),
            Locale::It => self.it.as_deref(),
            Locale::Ro | Locale::Unknown => None,
        };
        translated.unwrap_or(&self.ro)
    }
}

/// A place as a phone measured it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Degrees north, WGS 84.
    pub latitude: f64,
    /// Degrees east, WGS 84.
    pub longitude: f64,
    /// The radius in metres within which the phone believes to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy_m: Option<f64>,
    /// When the position was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_at: Option<Timestamp>,
    /// Whether the phone says that the position comes from a mock provider.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_mock: bool,
}

json_field_value!(I18n, Place);

//! Field tables: what every layer needs to know of an entity, as data.

use crate::entity::EntityKind;
use crate::value::FieldType;

/// How two concurrent edits of one field are settled. Every such case is written as a conflict row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergePolicy {
    /// The edit of the higher rank is shown; the other stays in the conflict row. The office ranks above phones, and
    /// phones by their identifiers. No clock decides, and neither does who reached the server first: a person could
    /// say of neither why it should, and the same edits would end differently with another signal in the valley.
    Ranked,
    /// Like `Ranked`, for a state: of two steps that cannot follow each other both ways, the later one is shown.
    State,
    /// The larger value stays.
    Max,
}

/// Who may set a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Anyone who may write the row.
    Anyone,
    /// The server, or a person in the office through a named operation; never a device.
    Office,
}

/// One field of an entity.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name, the same in the schema, on the wire and on the phone.
    pub name: &'static str,
    /// What the field means, for people who read the API.
    pub doc: &'static str,
    /// The type of its values.
    pub field_type: FieldType,
    /// Whether null is allowed.
    pub nullable: bool,
    /// The Rust type without `Option`, for types with a name of their own: a code list, `I18n`, `Place`.
    pub type_name: &'static str,
    /// Every allowed value of a code; empty for other types.
    pub codes: &'static [&'static str],
    /// The longest text in characters; 0 where it does not apply.
    pub max_chars: u32,
    /// The entity that an identifier points at.
    pub reference: Option<EntityKind>,
    /// Whether lists are filtered or ordered by it.
    pub indexed: bool,
    /// Whether the search by text looks into it.
    pub searched: bool,
    /// Whether it holds special-category data (GDPR Art. 9): captured on phones, never read back there.
    pub special: bool,
    /// Who may set it.
    pub writer: Writer,
    /// Whether it never changes once the row exists.
    pub immutable: bool,
    /// How concurrent edits are settled.
    pub policy: MergePolicy,
    /// Fields with the same non-empty group move together and have one winner.
    pub merge_group: &'static str,
}

impl Field {
    /// Returns a field with nothing special about it.
    pub const fn new(
        name: &'static str,
        field_type: FieldType,
        nullable: bool,
        type_name: &'static str,
        codes: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            doc: "",
            field_type,
            nullable,
            type_name,
            codes,
            max_chars: if matches!(field_type, FieldType::Text) { 200 } else { 0 },
            reference: None,
            indexed: false,
            searched: false,
            special: false,
            writer: Writer::Anyone,
            immutable: false,
            policy: MergePolicy::Ranked,
            merge_group: "",
        }
    }

    pub(crate) const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }
    pub(crate) const fn max(mut self, chars: u32) -> Self {
        self.max_chars = chars;
        self
    }
    pub(crate) const fn to(mut self, kind: EntityKind) -> Self {
        self.reference = Some(kind);
        self
    }
    pub(crate) const fn indexed(mut self) -> Self {
        self.indexed = true;
        self
    }
    pub(crate) const fn searched(mut self) -> Self {
        self.searched = true;
        self
    }
    pub(crate) const fn special(mut self) -> Self {
        self.special = true;
        self
    }
    pub(crate) const fn office(mut self) -> Self {
        self.writer = Writer::Office;
        self
    }
    pub(crate) const fn immutable(mut self) -> Self {
        self.immutable = true;
        self
    }
    pub(crate) const fn policy(mut self, policy: MergePolicy) -> Self {
        self.policy = policy;
        self
    }
    pub(crate) const fn group(mut self, group: &'static str) -> Self {
        self.merge_group = group;
        self
    }
}

/// Which scope a row belongs to, decided by the row alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeRule {
    /// The programme: seen by everyone in it.
    Programme,
    /// The enterprise that the row itself is.
    Own,
    /// The enterprise named by this field.
    Enterprise(&'static str),
    /// The person named by this field.
    Actor(&'static str),
    /// The office: on no phone unless it is granted explicitly.
    Office,
    /// The scope named by this field, of whatever kind.
    Scope(&'static str),
}

/// Who may create rows of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Devices and the office.
    Field,
    /// The office only: reference data, planning, permissions.
    Office,
    /// The server only.
    Server,
}

/// One entity: its names, its scope and its fields.
#[derive(Debug)]
pub struct EntityDef {
    /// The kind.
    pub kind: EntityKind,
    /// The name in Rust and GraphQL: `Visit`.
    pub type_name: &'static str,
    /// The table and wire name: `visit`.
    pub name: &'static str,
    /// What the entity is, for people who read the API.
    pub doc: &'static str,
    /// The scope of its rows.
    pub scope: ScopeRule,
    /// Who creates its rows.
    pub origin: Origin,
    /// Every field except `id`, in a fixed order. New fields are added at the end.
    pub fields: &'static [Field],
}

impl EntityDef {
    /// Returns the position of a field, or `None` when the entity has no such field.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Returns a field by its name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Returns the column that holds the scope, or `None` when the scope is the programme or the office.
    pub fn scope_column(&self) -> Option<&'static str> {
        match self.scope {
            ScopeRule::Programme | ScopeRule::Office => None,
            ScopeRule::Own => Some("id"),
            ScopeRule::Enterprise(field) | ScopeRule::Actor(field) | ScopeRule::Scope(field) => Some(field),
        }
    }
}

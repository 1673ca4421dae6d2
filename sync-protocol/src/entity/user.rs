use super::entity;
use crate::code::{Locale, Role};
use crate::id::UserId;

entity! {
    /// A person who works for the programme and signs in.
    User("user", UserId) scope(Programme) from(Office) {
        /// The name shown to colleagues.
        display_name: String [searched],
        /// The address used to sign in.
        email: String [max(254) indexed],
        /// What the person may do.
        role: Role [indexed],
        /// The organisation that employs the person.
        organisation: Option<String>,
        /// The language of texts.
        locale: Locale,
        /// Whether the person may sign in.
        is_active: bool,
    }
}

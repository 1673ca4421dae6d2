//! `print-schema`.

/// Returns the GraphQL schema in its definition language.
pub(super) fn sdl() -> String {
    crate::graphql::sdl()
}

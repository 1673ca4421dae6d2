//! What goes wrong, as clients see it: a message for people and a code out of a closed list.

use async_graphql::{ErrorExtensionValues, PathSegment, Pos, ServerError};

use crate::store::StoreError;

/// The code of an error, in `extensions.code`. Messages may change, codes may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    /// The request is not a GraphQL request.
    BadRequest,
    /// The document is not GraphQL.
    ParseFailed,
    /// The document does not fit the schema.
    ValidationFailed,
    /// A value is not acceptable.
    BadUserInput,
    /// A cursor is not one of ours, or belongs to another order or filter.
    BadCursor,
    /// Nobody is signed in.
    Unauthenticated,
    /// The role may not do this.
    Forbidden,
    /// The request would cost too much.
    CostLimit,
    /// The document is nested too deep.
    DepthLimit,
    /// It took too long.
    Timeout,
    /// The database is busy; try again.
    Unavailable,
    /// A fault of ours.
    Internal,
}

impl ErrorCode {
    /// Returns the code as clients see it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::ParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::ValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::BadCursor => "BAD_CURSOR",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::CostLimit => "COST_LIMIT",
            Self::DepthLimit => "DEPTH_LIMIT",
            Self::Timeout => "TIMEOUT",
            Self::Unavailable => "UNAVAILABLE",
            Self::Internal => "INTERNAL",
        }
    }
}

/// A refusal or a failure while a field is resolved.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) code: ErrorCode,
    pub(super) message: String,
    pub(super) pos: Option<Pos>,
}

impl Fault {
    /// Returns a fault that the client can mend.
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), pos: None }
    }

    /// Names the place in the document, unless a nearer one is known.
    pub(super) fn at(mut self, pos: Pos) -> Self {
        self.pos = self.pos.or(Some(pos));
        self
    }

    /// Returns the error of a response.
    pub(super) fn into_error(self, path: Vec<PathSegment>) -> ServerError {
        coded(ServerError::new(self.message, self.pos).with_path(path), self.code)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        if error.is_transient() {
            return Self::new(ErrorCode::Unavailable, "The database is busy. Try again in a moment.");
        }
        // The handler replaces the message, which is for the log.
        Self::new(ErrorCode::Internal, error.to_string())
    }
}

/// Puts a code on an error.
pub(super) fn coded(mut error: ServerError, code: ErrorCode) -> ServerError {
    error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("code", code.as_str());
    error
}

/// Returns the code of an error.
pub(super) fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        async_graphql::Value::String(code) => Some(code),
        _ => None,
    }
}

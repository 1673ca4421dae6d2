//! Every route, and what each request passes on its way.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::FutureExt as _;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::auth::{self, AuthError, AuthService};
use crate::config::Environment;
use crate::error::ApiError;
use crate::graphql::{self, AuthFailure, Authenticate, Caller, GraphqlState};
use crate::ops::{error_document, health, metrics, observe, request_id, security_headers};
use crate::sync::{self, SyncState};

/// Returns the whole server. A request meets the layers from the last to the first:
///
/// 1. it gets its id, which everything after names;
/// 2. its answer gets the security headers, whoever writes it;
/// 3. it is timed and logged, with the status that the caller sees;
/// 4. an error gets its document;
/// 5. a panic becomes an error;
/// 6. its body is limited.
pub fn router(app: App) -> Router {
    Router::new()
        .merge(doors(&app))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::scrape))
        .layer(DefaultBodyLimit::max(app.config.http.max_body_bytes))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(error_document::write))
        .layer(from_fn_with_state(app.clone(), observe::request))
        .layer(from_fn(security_headers::add))
        .layer(from_fn_with_state(app.clone(), request_id::assign))
        .with_state(app)
}

/// Returns the doors: signing in, the office, the field.
fn doors(app: &App) -> Router<App> {
    let graphql = GraphqlState {
        office: app.office.clone(),
        world: app.world.clone(),
        authenticate: authenticate(&app.auth),
        development: app.config.environment == Environment::Development,
    };
    Router::new()
        .merge(auth::routes::routes(app.auth.clone()))
        .merge(graphql::routes(graphql).with_state(()))
        .merge(sync::routes(SyncState::new(app.clone())))
}

/// Lets the GraphQL door ask who is behind a token.
fn authenticate(auth: &AuthService) -> Authenticate {
    let auth = auth.clone();
    Arc::new(move |token| {
        let auth = auth.clone();
        async move {
            let identity = auth.authenticate(token.as_deref().unwrap_or_default()).await.map_err(auth_failure)?;
            Ok(Caller { user_id: identity.user_id, programme_id: identity.programme_id })
        }
        .boxed()
    })
}

fn auth_failure(error: AuthError) -> AuthFailure {
    match error {
        AuthError::Store(_) | AuthError::TooBusy | AuthError::Internal(_) => AuthFailure::Unavailable,
        _ => AuthFailure::Unauthenticated,
    }
}

fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    ApiError::internal(format!("panic: {text}")).into_response()
}

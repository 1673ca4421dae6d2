//! What `/metrics` tells, in the Prometheus text format.

mod process;
mod signals;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use prometheus::{HistogramOpts, HistogramVec, Registry, TextEncoder};

use crate::app::App;
use crate::error::ApiError;

pub use signals::SyncSignals;

/// From an answer out of memory to the time-out of a GraphQL operation.
const BUCKETS_S: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The measurements of one server. Each server has its own, so that tests do not count each other's requests.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: HistogramVec,
    /// The measurements of sync.
    pub sync: SyncSignals,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Returns measurements that all stand at zero.
    pub fn new() -> Self {
        let options = HistogramOpts::new("http_request_duration_seconds", "Requests by route and status.");
        let requests = HistogramVec::new(options.buckets(BUCKETS_S.to_vec()), &["method", "route", "status"])
            .expect("the name and the labels are valid");
        let registry = Registry::new();
        registry.register(Box::new(requests.clone())).expect("the registry is empty");
        Self { sync: SyncSignals::registered(&registry), registry, requests }
    }

    /// Returns where other parts of the server register their measurements.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn observe_request(&self, method: &str, route: &str, status: u16, elapsed: Duration) {
        let status = status.to_string();
        self.requests.with_label_values(&[known_method(method), route, &status]).observe(elapsed.as_secs_f64());
    }
}

/// A caller may invent methods; each would be a new series.
fn known_method(method: &str) -> &str {
    if matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") { method } else { "other" }
}

/// Measures how long something takes: the one place that reads the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Answers `GET /metrics`.
pub(crate) async fn scrape(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let mut text = String::new();
    TextEncoder::new().encode_utf8(&app.metrics.registry.gather(), &mut text).map_err(ApiError::internal)?;
    push_pools(&mut text, &app);
    process::push(&mut text);
    push_family(&mut text, "build_info", "gauge", [(format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0)]);
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

fn push_pools(text: &mut String, app: &App) {
    let connections = app.pools().into_iter().flat_map(|(name, db)| {
        let (open, idle) = db.usage();
        [("used", open.saturating_sub(idle)), ("idle", idle)]
            .map(|(state, count)| (format!("{{pool=\"{name}\",state=\"{state}\"}}"), count as f64))
    });
    push_family(text, "database_connections", "gauge", connections);
    let statements = app.pools().map(|(name, db)| (format!("{{pool=\"{name}\"}}"), db.statements() as f64));
    push_family(text, "database_statements_total", "counter", statements);
}

fn push_family(text: &mut String, name: &str, kind: &str, samples: impl IntoIterator<Item = (String, f64)>) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "# TYPE {name} {kind}");
    for (labels, value) in samples {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

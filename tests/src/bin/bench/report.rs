//! The JSON lines.

use serde::Serialize;

/// What a phase came to. Fields that do not apply are left out.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Line {
    pub(crate) phase: String,
    pub(crate) rows: usize,
    pub(crate) ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_rows_per_s: Option<f64>,
    /// What the limit is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<&'static str>,
    /// `rows_per_s` / `limit_rows_per_s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) wire_bytes_per_row: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_cpu_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) postgres_cpu_s: Option<f64>,
    /// Above what the process used before the phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_peak_rss_mb: Option<f64>,
    /// Above what the process used before the phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_peak_rss_mb: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_sent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bytes_received: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) statements: Option<f64>,
}

impl Line {
    /// Sets the rate and its limit.
    pub(crate) fn against(mut self, rows_per_s: f64, limit: &'static str, limit_rows_per_s: f64) -> Self {
        self.rows_per_s = Some(round(rows_per_s));
        self.limit = Some(limit);
        self.limit_rows_per_s = Some(round(limit_rows_per_s));
        self.ratio = Some((rows_per_s / limit_rows_per_s * 1_000.0).round() / 1_000.0);
        self
    }

    /// Prints the line.
    pub(crate) fn print(&self) {
        println!("{}", serde_json::to_string(self).unwrap_or_default());
    }
}

/// Rounds to a tenth, which is more than the machine repeats.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

//! The JSON lines.

use serde::Serialize;

use super::measure::percentile;

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
    /// How often the phase and its limit were measured, in turns. The rates are medians then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rounds: Option<usize>,
    /// The lowest and the highest rate of the rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rows_per_s_range: Option<(f64, f64)>,
    /// The same of the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_range: Option<(f64, f64)>,
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

    /// Returns the line of the median round: what the machine does besides moves a rate from second to second, and
    /// the limit with it. The ratio is that of the medians.
    pub(crate) fn median(mut rounds: Vec<Self>) -> Self {
        let mut rates: Vec<f64> = rounds.iter().filter_map(|line| line.rows_per_s).collect();
        let mut limits: Vec<f64> = rounds.iter().filter_map(|line| line.limit_rows_per_s).collect();
        rates.sort_by(f64::total_cmp);
        limits.sort_by(f64::total_cmp);
        rounds.sort_by(|a, b| a.ms.total_cmp(&b.ms));
        let (count, range) = (rounds.len(), |sorted: &[f64]| Some((*sorted.first()?, *sorted.last()?)));
        let line = rounds.swap_remove(count / 2);
        let limit = line.limit.unwrap_or_default();
        let (rows_per_s_range, limit_range) = (range(&rates), range(&limits));
        let line = Self { rounds: Some(count), rows_per_s_range, limit_range, ..line };
        line.against(percentile(&rates, 0.5), limit, percentile(&limits, 0.5))
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

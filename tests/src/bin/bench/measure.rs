//! CPU time and memory of processes, from `/proc`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// CPU time and memory of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_s: f64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) rss_mb: f64,
}

/// Returns what a process has used so far.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mb = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1024.0
    };
    Ok(Usage { cpu_s: own_cpu_s(pid)?, peak_rss_mb: mb("VmHWM:"), rss_mb: mb("VmRSS:") })
}

/// Makes the peak of a process start again from what it uses now.
pub(crate) fn reset_peak(pid: u32) {
    // Where the kernel refuses, the peak since the start is reported, which is larger.
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

/// Returns the CPU time of a Postgres: the postmaster, its living children and those that ended.
pub(crate) fn postgres_cpu_s(postmaster: u32) -> Result<f64> {
    let own = stat(postmaster)?;
    let mut ticks = own[11] + own[12] + own[13] + own[14];
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while we look.
        let Ok(fields) = stat(pid) else { continue };
        if fields[1] == u64::from(postmaster) {
            ticks += fields[11] + fields[12];
        }
    }
    Ok(ticks as f64 / ticks_per_second())
}

/// Returns the pid of the Postgres whose data are in `folder`.
pub(crate) fn postmaster(folder: &Path) -> Result<u32> {
    let text = std::fs::read_to_string(folder.join("pg/postmaster.pid"))?;
    text.lines().next().and_then(|line| line.trim().parse().ok()).context("no pid in postmaster.pid")
}

fn own_cpu_s(pid: u32) -> Result<f64> {
    let fields = stat(pid)?;
    Ok((fields[11] + fields[12]) as f64 / ticks_per_second())
}

/// The numbers of `/proc/<pid>/stat` from the third field on; the state letter counts as 0.
fn stat(pid: u32) -> Result<Vec<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, after_name) = text.rsplit_once(')').context("no name in /proc stat")?;
    Ok(after_name.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

fn ticks_per_second() -> f64 {
    // SAFETY: `sysconf` reads a constant of the system.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) as f64 }
}

/// Returns a clock that all processes of the machine share, in nanoseconds.
pub(crate) fn shared_clock_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills the struct that we own.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Returns the value at a fraction of the sorted list.
pub(crate) fn percentile(sorted: &[f64], fraction: f64) -> f64 {
    let at = ((sorted.len() as f64 - 1.0) * fraction).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

/// Returns rows a second.
pub(crate) fn rate(rows: usize, elapsed: Duration) -> f64 {
    rows as f64 / elapsed.as_secs_f64().max(1e-9)
}

//! What happened, line by line: hashed always, kept only when someone wants to read it.

use std::fmt::Write as _;

use sync_protocol::time::Timestamp;

use super::clock::START;

/// The trace of a history.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
    line: String,
}

impl Trace {
    /// Returns an empty trace, which keeps its lines when `keeps` is set.
    pub fn new(keeps: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, lines: keeps.then(Vec::new), line: String::new() }
    }

    /// Adds a line.
    pub fn say(&mut self, at: Timestamp, what: std::fmt::Arguments<'_>) {
        self.line.clear();
        // Writing into a string cannot fail.
        let _ = write!(self.line, "{:>11.3} {what}", (at.0 - START.0) as f64 / 1_000.0);
        for byte in self.line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(self.line.clone());
        }
    }

    /// Returns the hash of everything said.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the lines, if they were kept.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

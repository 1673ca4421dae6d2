//! When to try again.

use super::Failure;

const BASE_MS: u64 = 1_000;
const CAP_MS: u64 = 300_000;

/// Returns how long to wait after a number of failures in a row. Spread over the whole interval, so that phones
/// that lost the server together do not come back together. What the server asks for is honoured.
pub(super) fn delay_ms(failure: &Failure, failures: u32, random: u64) -> u64 {
    match failure {
        Failure::Busy { after_ms } => after_ms + random % BASE_MS,
        // An update is needed, by the device or by the server: asking often does not help.
        Failure::Fault { .. } => CAP_MS / 2 + random % (CAP_MS / 2),
        _ => {
            let exponent = failures.saturating_sub(1).min(10);
            random % (BASE_MS << exponent).min(CAP_MS)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_doubles_up_to_five_minutes() {
        let offline = Failure::Offline(String::new());
        let longest = |failures| (0..2_000).map(|n| delay_ms(&offline, failures, n * 150 + 149)).max().unwrap();
        assert!((900..1_000).contains(&longest(1)));
        assert!((3_900..4_000).contains(&longest(3)));
        assert!((290_000..300_000).contains(&longest(60)));
        assert!(delay_ms(&Failure::Busy { after_ms: 7_000 }, 1, 5) >= 7_000);
    }
}

//! What the process takes of the machine.

use super::push_family;

pub(super) fn push(text: &mut String) {
    if let Some(bytes) = resident_bytes() {
        push_family(text, "process_resident_memory_bytes", "gauge", [(String::new(), bytes)]);
    }
    if let Some(seconds) = cpu_seconds() {
        push_family(text, "process_cpu_seconds_total", "counter", [(String::new(), seconds)]);
    }
}

/// Linux tells the pages in use; elsewhere the figure is left out.
fn resident_bytes() -> Option<f64> {
    let pages: f64 = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    // SAFETY: sysconf has no preconditions.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages * page_bytes as f64)
}

fn cpu_seconds() -> Option<f64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: getrusage fills the structure that it is given; it is read only after success.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Some(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

//! What is said when a limit of the kernel stands in the way.

use std::fs;

use crate::kernel_limits::Demand;

/// What to do about a limit that was met.
pub(super) fn remedy(key: &str, demand: Demand) -> String {
    let file = format!("/proc/sys/{}", key.replace('.', "/"));
    let now = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    format!("raise the limit: sysctl -w {key}={} (`sersync check-kernel` counts all sources)", demand.above(now))
}

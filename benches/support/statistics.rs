//! Medians of what was measured, and ratios of what was measured side by side.

use std::time::Duration;

/// The middle value; of two middle ones their mean.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// The median time, in seconds.
pub(crate) fn median_time(times: &[Duration]) -> f64 {
    median(times.iter().map(Duration::as_secs_f64))
}

/// The median of the ratios of each round.
pub(crate) fn ratio(times: &[Duration], reference: &[Duration]) -> f64 {
    median(times.iter().zip(reference).map(|(time, reference)| time.as_secs_f64() / reference.as_secs_f64()))
}

/// The median of the differences of each round, in seconds.
pub(crate) fn difference(times: &[Duration], reference: &[Duration]) -> f64 {
    median(times.iter().zip(reference).map(|(time, reference)| time.as_secs_f64() - reference.as_secs_f64()))
}

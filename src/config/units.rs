//! Quantities with their units: durations, sizes and the limit for deletions. Each is shown in a form that reads back
//! as the same value.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::settings::MaxDelete;

/// A duration that is written `90s`, `3m`, `12h`, `7d` or `50ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A number of bytes that is written `50M`: units are powers of 1024, like those of rsync's own `--bwlimit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

/// Milliseconds per unit, the biggest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Bytes per unit, the biggest first.
const SIZES: [(&str, u64); 5] = [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("B", 1)];

/// A hundred years: nobody waits longer, and every sum of times stays far from overflow.
const LONGEST_MS: u64 = 36_500 * 86_400_000;

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help = "write a whole number with one of the units `ms`, `s`, `m`, `h`, `d`, such as \"90s\"";
        let ms = scaled(text, &TIMES, help)?;
        if ms > LONGEST_MS {
            return Err(format!("\"{text}\" is longer than a hundred years"));
        }
        Ok(Span(Duration::from_millis(ms)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if ms == 0 { f.write_str("0s") } else { write_scaled(f, ms, &TIMES) }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // rsync itself takes a bare `50` for 50 KiB, others take it for 50 bytes: the unit has to be written.
        let help =
            "write a whole number with one of the units `B`, `K`, `M`, `G`, `T` (powers of 1024), such as \"50M\"";
        scaled(text, &SIZES, help).map(Size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { f.write_str("0B") } else { write_scaled(f, self.0, &SIZES) }
    }
}

impl FromStr for MaxDelete {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("\"{}\" is not a limit; write a share such as \"50%\" or a count such as 1000", text.escape_debug())
        };
        // Only digits and a point: what else `f64` understands, such as `nan` or `1e3`, is no percentage here.
        let plain = |number: &str| number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let Some(share) = text.strip_suffix('%').filter(|share| plain(share)) else {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            return text.parse().ok().filter(|_| digits).map(MaxDelete::Count).ok_or_else(wrong);
        };
        let share: f64 = share.parse().map_err(|_| wrong())?;
        if share > 100.0 {
            return Err(format!("\"{text}\" is more than everything; write \"100%\" for no limit"));
        }
        Ok(MaxDelete::Percent(share))
    }
}

impl fmt::Display for MaxDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaxDelete::Count(count) => write!(f, "{count}"),
            MaxDelete::Percent(share) => write!(f, "{share}%"),
        }
    }
}

/// Reads a whole number with its unit.
fn scaled(text: &str, units: &[(&str, u64)], help: &str) -> Result<u64, String> {
    let shown = text.escape_debug();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(format!("\"{shown}\" does not start with a number; {help}"));
    }
    if unit.is_empty() {
        return Err(format!("\"{shown}\" has no unit; {help}"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(format!("\"{shown}\" has the unknown unit `{}`; {help}", unit.escape_debug()));
    };
    let value = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
    value.ok_or_else(|| format!("\"{shown}\" is too big"))
}

/// Writes a number other than zero with the biggest unit that leaves it whole.
fn write_scaled(f: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    match units.iter().find(|(_, factor)| value.is_multiple_of(*factor)) {
        Some((unit, factor)) => write!(f, "{}{unit}", value / factor),
        None => write!(f, "{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_forms() {
        for (text, ms) in
            [("50ms", 50), ("0s", 0), ("90s", 90_000), ("3m", 180_000), ("12h", 43_200_000), ("7d", 604_800_000)]
        {
            assert_eq!(text.parse::<Span>().unwrap().0, Duration::from_millis(ms), "{text}");
        }
        assert_eq!("50M".parse::<Size>().unwrap().0, 50 * 1024 * 1024);
        assert_eq!("1536K".parse::<Size>().unwrap().to_string(), "1536K");
        assert_eq!("12.5%".parse::<MaxDelete>().unwrap(), MaxDelete::Percent(12.5));
        assert_eq!("1000".parse::<MaxDelete>().unwrap(), MaxDelete::Count(1000));
        assert_eq!(Span(Duration::from_secs(120)).to_string(), "2m");
        assert_eq!(Span(Duration::ZERO).to_string(), "0s");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in
            ["", "s", "3", "-3s", "+3s", "1.5h", "3 m", "3min", "3M", "1h30m", "99999999999999999999s", "36501d"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["", "M", "50", "50m", "50MB", "-1M", "99999999T"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
        for text in ["", "%", "101%", "-1%", "nan%", "1e1%", "1.2.3%", "1.5", "+5", "half"] {
            assert!(text.parse::<MaxDelete>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn durations_read_back(ms in 0..=LONGEST_MS) {
            let span = Span(Duration::from_millis(ms));
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }

        #[test]
        fn sizes_read_back(bytes: u64) {
            prop_assert_eq!(Size(bytes).to_string().parse::<Size>(), Ok(Size(bytes)));
        }

        #[test]
        fn limits_read_back(count: u64, share in 0.0..=100.0) {
            for limit in [MaxDelete::Count(count), MaxDelete::Percent(share)] {
                prop_assert_eq!(limit.to_string().parse::<MaxDelete>(), Ok(limit));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = (text.parse::<Span>(), text.parse::<Size>(), text.parse::<MaxDelete>());
        }
    }
}

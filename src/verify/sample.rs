//! A sample of the files of a source: the same for the same seed, whatever the order in which they are found. Pure.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use crate::hash::scattered;

/// A share that is written `5%` or `0.25%`, kept in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(u32);

/// Millionths of one percent.
const PERCENT: u32 = 10_000;
/// Digits after the point that millionths leave room for.
const DIGITS: usize = 4;

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let shown = text.escape_debug();
            format!(
                "\"{shown}\" is not a share; write a percentage above 0% and up to 100%, such as \"5%\" or \"0.25%\""
            )
        };
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > DIGITS {
            return Err(wrong());
        }
        let millionths = |text: &str| text.parse::<u32>().map_err(|_| wrong());
        let whole = millionths(whole)?.checked_mul(PERCENT).ok_or_else(wrong)?;
        let share = whole.saturating_add(millionths(&format!("{part:0<DIGITS$}"))?);
        if share == 0 || share > 100 * PERCENT { Err(wrong()) } else { Ok(Share(share)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = format!("{:0DIGITS$}", self.0 % PERCENT);
        match part.trim_end_matches('0') {
            "" => write!(f, "{}%", self.0 / PERCENT),
            part => write!(f, "{}.{part}%", self.0 / PERCENT),
        }
    }
}

/// Which files are looked at: those whose number is below a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// How many of them.
    pub share: Share,
    /// What the choice depends on, beside the paths.
    pub seed: u64,
    /// One more than 64 bits, so that everything can be chosen.
    limit: u128,
}

impl Sample {
    /// About this share of all files.
    #[must_use]
    pub fn new(share: Share, seed: u64) -> Self {
        let limit = (u128::from(share.0) << 64) / u128::from(100 * PERCENT);
        Sample { share, seed, limit }
    }

    /// The number of a path, relative to the source root.
    #[must_use]
    pub fn number(&self, path: &Path) -> u64 {
        scattered(self.seed, path.as_os_str().as_bytes())
    }

    /// The same sample, extended as far as it takes for a file with this number to be in it.
    #[must_use]
    pub fn reaching(self, number: u64) -> Self {
        Sample { limit: self.limit.max(u128::from(number) + 1), ..self }
    }

    /// Whether a path is in the sample.
    #[must_use]
    pub fn has(&self, path: &Path) -> bool {
        self.slice(path, 1).is_some()
    }

    /// Which of `slices` parts of the sample, of about equal size, a path is in; nothing when it is not in the sample.
    #[must_use]
    pub fn slice(&self, path: &Path, slices: u64) -> Option<u64> {
        let number = u128::from(self.number(path));
        // The quotient is less than `slices`.
        (number < self.limit).then(|| u64::try_from(number * u128::from(slices) / self.limit).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    fn sample(share: &str, seed: u64) -> Sample {
        Sample::new(share.parse().unwrap(), seed)
    }

    /// Names as alike as those of a camera.
    fn names() -> Vec<PathBuf> {
        (0..20_000).map(|number| PathBuf::from(format!("photos/2026/IMG_{number:06}.jpg"))).collect()
    }

    fn chosen(sample: Sample) -> BTreeSet<PathBuf> {
        names().into_iter().filter(|path| sample.has(path)).collect()
    }

    #[test]
    fn shares_are_read_and_shown() {
        for (text, shown) in
            [("5%", "5%"), ("100%", "100%"), ("0.25%", "0.25%"), ("0.0001%", "0.0001%"), ("07.50%", "7.5%")]
        {
            assert_eq!(text.parse::<Share>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            "5",
            "%",
            "0%",
            "0.0%",
            "100.1%",
            "101%",
            "-1%",
            "+1%",
            "1e1%",
            ".5%",
            "5.%",
            "1.00001%",
            "4294967295%",
        ] {
            assert!(text.parse::<Share>().unwrap_err().contains("is not a share"), "{text}");
        }
    }

    #[test]
    fn everything_is_everything() {
        assert_eq!(chosen(sample("100%", 3)).len(), names().len());
    }

    #[test]
    fn the_share_is_about_right_even_of_names_that_are_alike() {
        for seed in 0..20 {
            let count = chosen(sample("5%", seed)).len();
            // 1000 are expected; this is more than six standard deviations away.
            assert!((800..1200).contains(&count), "{count} with seed {seed}");
        }
    }

    #[test]
    fn another_seed_makes_another_choice() {
        let (first, second) = (chosen(sample("50%", 20_261_123)), chosen(sample("50%", 20_261_124)));
        // Independent choices have a quarter of all names in common.
        let common = first.intersection(&second).count();
        assert!((4600..5400).contains(&common), "{common}");
    }

    proptest! {
        #[test]
        fn a_larger_share_has_all_of_a_smaller_one(seed: u64, less in 1u32..=1_000_000, more in 1u32..=1_000_000, name in ".{1,30}") {
            let [less, more] = [less.min(more), less.max(more)].map(|share| Sample::new(Share(share), seed));
            prop_assert!(!less.has(Path::new(&name)) || more.has(Path::new(&name)));
        }

        #[test]
        fn every_file_of_the_sample_is_in_one_slice(seed: u64, share in 1u32..=1_000_000, slices in 1u64..1000, name in ".{1,30}") {
            let sample = Sample::new(Share(share), seed);
            let slice = sample.slice(Path::new(&name), slices);
            prop_assert_eq!(slice.is_some(), sample.has(Path::new(&name)));
            prop_assert!(slice.is_none_or(|slice| slice < slices));
        }

        #[test]
        fn a_sample_reaches_as_far_as_it_is_told(seed: u64, share in 1u32..=1_000_000, name in ".{1,30}") {
            let sample = Sample::new(Share(share), seed);
            prop_assert!(sample.reaching(sample.number(Path::new(&name))).has(Path::new(&name)));
        }
    }
}

//! Shards: the shares of a pass that several machines can take which see the same source. Pure.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use crate::hash::scattered;

/// One share of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 1 on.
    pub number: u32,
    /// How many there are, at least one.
    pub of: u32,
}

impl Shard {
    /// The whole pass.
    pub const WHOLE: Shard = Shard { number: 1, of: 1 };

    /// Whether what stands at this path belongs to this share. Decided by the path alone: what changes elsewhere in the
    /// tree moves nothing from one machine to another.
    #[must_use]
    pub fn takes(self, path: &Path) -> bool {
        scattered(0, path.as_os_str().as_bytes()) % u64::from(self.of) == u64::from(self.number - 1)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write K/N, such as 2/8, with K from 1 to N".to_owned();
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let shard = Shard { number: number.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        if shard.number >= 1 && shard.number <= shard.of { Ok(shard) } else { Err(wrong()) }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_makes_sense_is_taken() {
        assert_eq!("2/8".parse(), Ok(Shard { number: 2, of: 8 }));
        assert_eq!("1/1".parse(), Ok(Shard::WHOLE));
        for text in ["0/8", "9/8", "1/0", "1", "a/b", "-1/2", "1/2/3", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}

//! A reader that lets a busy writer go on for a moment before it looks again.
//!
//! rsync writes each of its lines by itself. Where every one of them wakes a reader, the two take turns on the processors,
//! which cost a fifth of the time of an initial copy of many small files.

use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};

/// How long the writer is left alone. A pipe of 64 KiB takes what rsync writes in that time.
const PAUSE: Duration = Duration::from_millis(2);
/// What is read sooner than that was just about to come.
const SOON: Duration = Duration::from_micros(500);
/// After so many reads that hardly waited, the writer is taken for busy. Short runs never get there.
const BUSY: u32 = 100;

/// The reader.
#[derive(Debug)]
pub(super) struct Unhurried<R> {
    inner: R,
    quick: u32,
}

impl<R> Unhurried<R> {
    /// Reads from `inner`.
    pub(super) fn new(inner: R) -> Self {
        Unhurried { inner, quick: 0 }
    }
}

impl<R: Read> Read for Unhurried<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.quick >= BUSY {
            thread::sleep(PAUSE);
        }
        let begun = Instant::now();
        let read = self.inner.read(buffer)?;
        self.quick = if begun.elapsed() < SOON { self.quick.saturating_add(1) } else { 0 };
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn everything_arrives_from_a_busy_writer() {
        let (reader, mut writer) = io::pipe().unwrap();
        let writing = thread::spawn(move || (0..20_000).for_each(|number| writeln!(writer, "{number}").unwrap()));
        let mut text = String::new();
        Unhurried::new(reader).read_to_string(&mut text).unwrap();
        writing.join().unwrap();
        assert!(text.lines().map(|line| line.parse::<u32>().unwrap()).eq(0..20_000));
    }
}

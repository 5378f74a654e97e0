//! What a hook prints: read as it comes, line by line, and kept within bounds.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Child;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::report::text;

/// The rest of a longer line is left out.
const LONGEST_LINE: usize = 4096;
/// Further lines are counted, so that a hook does not flood the log.
const MOST_LINES: usize = 1_000;
/// How many of the last lines are remembered.
const KEPT: usize = 20;
/// What is in the pipes when a hook ends is read in so many portions at most: others may go on writing to them.
const MOST_PORTIONS: usize = 100;

/// The two pipes of a hook, and what came out of them last.
pub(super) struct Output<F> {
    pipes: [Pipe; 2],
    last: VecDeque<String>,
    /// How many lines there were.
    lines: usize,
    on_line: F,
}

#[derive(Default)]
struct Pipe {
    /// Nothing once it is at its end.
    file: Option<File>,
    /// The line that is not complete yet.
    line: Vec<u8>,
}

impl<F: Fn(&str)> Output<F> {
    /// Takes the pipes of the child; `on_line` gets each line, made safe to print.
    pub(super) fn new(child: &mut Child, on_line: F) -> Self {
        let stdout = child.stdout.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let stderr = child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        let pipes = [stdout, stderr].map(|file| Pipe { file, ..Pipe::default() });
        Output { pipes, last: VecDeque::new(), lines: 0, on_line }
    }

    /// Waits up to `patience` for something to be printed, and reads one portion of it. False when there was nothing.
    pub(super) fn listen(&mut self, patience: Duration) -> bool {
        let mut open: Vec<&mut Pipe> = self.pipes.iter_mut().filter(|pipe| pipe.file.is_some()).collect();
        let mut polled: Vec<PollFd<'_>> =
            open.iter().filter_map(|pipe| pipe.file.as_ref()).map(|file| PollFd::new(file, PollFlags::IN)).collect();
        let patience = Timespec::try_from(patience).ok();
        // Without any pipe left this is a pause. A signal that interrupts it does no harm.
        let found = poll(&mut polled, patience.as_ref()).unwrap_or(0);
        let ready: Vec<bool> = polled.iter().map(|fd| found > 0 && !fd.revents().is_empty()).collect();
        drop(polled);
        let mut lines = Vec::new();
        for (pipe, _) in open.iter_mut().zip(&ready).filter(|(_, ready)| **ready) {
            pipe.read(&mut lines);
        }
        for line in lines {
            self.tell(&line);
        }
        found > 0
    }

    /// Whether both pipes are at their end.
    pub(super) fn is_closed(&self) -> bool {
        self.pipes.iter().all(|pipe| pipe.file.is_none())
    }

    /// Reads what is there already, but waits for nothing more.
    pub(super) fn finish(&mut self) {
        for _ in 0..MOST_PORTIONS {
            if self.is_closed() || !self.listen(Duration::ZERO) {
                break;
            }
        }
        for mut pipe in std::mem::take(&mut self.pipes) {
            if !pipe.line.is_empty() {
                self.tell(&std::mem::take(&mut pipe.line));
            }
        }
        if self.lines > MOST_LINES {
            (self.on_line)(&format!("... and {}", text::count(self.lines - MOST_LINES, "more line")));
        }
    }

    /// The last lines, oldest first.
    pub(super) fn last_lines(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    fn tell(&mut self, line: &[u8]) {
        let line = text::escaped(line.get(..LONGEST_LINE).unwrap_or(line));
        self.lines += 1;
        if self.lines <= MOST_LINES {
            (self.on_line)(&line);
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }
}

impl Pipe {
    /// Reads one portion; the lines that it completes are added to `lines`.
    fn read(&mut self, lines: &mut Vec<Vec<u8>>) {
        let mut portion = [0; 8192];
        let count = self.file.as_mut().map_or(Ok(0), |file| file.read(&mut portion));
        match count {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            // What cannot be read any more has ended as well.
            Ok(0) | Err(_) => self.file = None,
            Ok(count) => {
                for byte in &portion[..count] {
                    if *byte == b'\n' {
                        lines.push(std::mem::take(&mut self.line));
                    } else if self.line.len() < LONGEST_LINE {
                        self.line.push(*byte);
                    }
                }
            }
        }
    }
}

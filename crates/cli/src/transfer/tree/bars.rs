//! How far a directory is: drawn on a terminal, for the files that take their time and for all; elsewhere a line now and
//! then.

use std::borrow::Cow;
use std::time::Duration;

use rustle_sftp::Progress;

use crate::amounts::Bytes;
use crate::failure::Failure;
use crate::names::Shown;
use crate::printer::Printer;
use crate::streams::{Drawing, Latest, Line, MOST_FILES, Picture};
use crate::transfer::bar::message;

/// What shows how far a directory is. Dropped, it is wiped.
pub(super) enum Bars {
    Drawn(Drawing),
    Lines,
    Nothing,
}

impl Bars {
    pub(super) fn new(printer: &Printer) -> Result<Self, Failure> {
        Ok(match printer.drawing()? {
            Some(drawing) => Self::Drawn(drawing),
            None if printer.tells_progress() => Self::Lines,
            None => Self::Nothing,
        })
    }

    /// Who is to be told how far it is, if anybody. A line is handed to `say`.
    pub(super) fn watch(&self, say: impl Fn(String) + Send + 'static) -> Option<Watch> {
        match self {
            Self::Drawn(drawing) => Some(Watch::Drawing(drawing.latest())),
            Self::Lines => Some(Watch::Lines { next: EVERY, say: Box::new(say) }),
            Self::Nothing => None,
        }
    }
}

/// Somebody who is told how far it is.
pub(crate) enum Watch {
    Drawing(Latest),
    Lines {
        /// When the next line is due, from the beginning on.
        next: Duration,
        say: Box<dyn Fn(String) + Send>,
    },
}

impl Watch {
    pub(crate) fn tell(&mut self, progress: &Progress) {
        match self {
            Self::Drawing(latest) => latest.draw(Told::of(progress).picture()),
            Self::Lines { next, say } => {
                if progress.elapsed() >= *next && !progress.is_last() {
                    *next = progress.elapsed() + EVERY;
                    say(Told::of(progress).line());
                }
            }
        }
    }
}

/// What a transfer says of itself.
struct Told<'a> {
    bytes: u64,
    total: Option<u64>,
    files: u64,
    /// None while they are still being listed.
    all_files: Option<u64>,
    rate: u64,
    eta: Option<Duration>,
    /// The files that are being moved: path, bytes and length.
    under_way: Vec<(&'a [u8], u64, Option<u64>)>,
}

impl<'a> Told<'a> {
    fn of(progress: &'a Progress) -> Self {
        let under_way = progress.under_way().iter();
        Self {
            bytes: progress.bytes(),
            total: progress.total(),
            files: progress.files(),
            all_files: progress.total_files(),
            rate: progress.rate(),
            eta: progress.eta(),
            under_way: under_way.map(|file| (file.path(), file.bytes(), file.total())).collect(),
        }
    }

    /// For a terminal: the long files, and the sum.
    fn picture(&self) -> Picture {
        let long = self.under_way.iter().filter(|(.., total)| total.is_none_or(|total| total >= LONG));
        let file = |&(path, bytes, total): &(&[u8], u64, Option<u64>)| {
            let name = path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty());
            let prefix = Shown::of(name.unwrap_or(path)).to_string();
            Line { prefix, bytes, total, message: Bytes(bytes).to_string() }
        };
        let message = format!("{}  {}", self.counted(), self.sum());
        let all = Line { prefix: "all".to_owned(), bytes: self.bytes, total: self.total, message };
        Picture { files: long.take(MOST_FILES).map(file).collect(), all }
    }

    /// For a log.
    fn line(&self) -> String {
        format!("{}, {}", self.counted(), self.sum().trim_start())
    }

    fn sum(&self) -> Cow<'static, str> {
        message(self.bytes, self.total, self.rate, self.eta)
    }

    fn counted(&self) -> String {
        match self.all_files {
            Some(all) => format!("{} of {all} files", self.files),
            None => format!("{} files", self.files),
        }
    }
}

/// A shorter file is over before anybody has read its name.
const LONG: u64 = 1 << 20;

/// Often enough to see that it lives, and not so often that a log fills with it.
const EVERY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn told(under_way: Vec<(&[u8], u64, Option<u64>)>) -> Told<'_> {
        let eta = Some(Duration::from_secs(65));
        Told {
            bytes: 3 * MIB,
            total: Some(12 * MIB),
            files: 7,
            all_files: Some(40),
            rate: MIB,
            eta,
            under_way,
        }
    }

    fn line(prefix: &str, bytes: u64, total: Option<u64>, message: &str) -> Line {
        Line { prefix: prefix.to_owned(), bytes, total, message: message.to_owned() }
    }

    #[test]
    fn long_files_have_a_line_and_all_have_the_last() {
        let under_way: Vec<(&[u8], u64, Option<u64>)> = vec![
            (b"dir/short", 5, Some(MIB - 1)),
            (b"dir/long", 2 * MIB, Some(4 * MIB)),
            (b"of unknown length", 512, None),
            (b"dir/\x1b[2J/", 0, Some(MIB)),
        ];
        let Picture { files, all } = told(under_way).picture();
        assert_eq!(files[0], line("long", 2 * MIB, Some(4 * MIB), "2.0 MiB"));
        assert_eq!(files[1], line("of unknown length", 512, None, "512 B"));
        assert!(files.len() == 3 && !files[2].prefix.contains('\x1b'), "{files:?}");
        let sum = "7 of 40 files   25 %  3.0 MiB of 12.0 MiB  1.0 MiB/s  1:05";
        assert_eq!(all, line("all", 3 * MIB, Some(12 * MIB), sum));
    }

    #[test]
    fn no_more_lines_are_drawn_than_there_are_bars() {
        let many: Vec<(&[u8], u64, Option<u64>)> = vec![(b"f", 0, Some(MIB)); MOST_FILES + 3];
        assert_eq!(told(many).picture().files.len(), MOST_FILES);
    }

    #[test]
    fn a_log_has_one_line_and_no_percentage_before_all_is_listed() {
        assert_eq!(told(vec![]).line(), "7 of 40 files, 25 %  3.0 MiB of 12.0 MiB  1.0 MiB/s  1:05");
        let listing = Told { total: None, all_files: None, eta: None, ..told(vec![]) };
        assert_eq!(listing.line(), "7 files, 3.0 MiB  1.0 MiB/s");
    }
}

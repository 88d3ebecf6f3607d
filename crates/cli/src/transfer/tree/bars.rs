//! How far a directory is: drawn on a terminal, for the files that take their time and for all; elsewhere a line now and
//! then.

use std::borrow::Cow;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use rustle_sftp::Progress;

use crate::amounts::Bytes;
use crate::failure::Failure;
use crate::names::Shown;
use crate::printer::Printer;
use crate::transfer::bar::{TIMES_A_SECOND, message, style};

/// What shows how far a directory is. Dropped, it is wiped.
pub(super) enum Bars {
    Drawn { all: MultiProgress, total: ProgressBar, files: Vec<ProgressBar> },
    Lines,
    Nothing,
}

impl Bars {
    pub(super) fn new(printer: &Printer) -> Result<Self, Failure> {
        if !printer.draws() {
            return Ok(if printer.tells_progress() { Self::Lines } else { Self::Nothing });
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(TIMES_A_SECOND));
        let bar = || -> Result<ProgressBar, Failure> {
            // One that is not drawn yet takes no line.
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            bar.set_style(style()?);
            Ok(bar)
        };
        let files = (0..MOST_FILES).map(|_| bar()).collect::<Result<_, _>>()?;
        let total = all.add(bar()?);
        Ok(Self::Drawn { all, total, files })
    }

    /// Who is to be told how far it is, if anybody. A line is handed to `say`.
    pub(super) fn watch(&self, say: impl Fn(String) + Send + 'static) -> Option<Watch> {
        match self {
            Self::Drawn { all, total, files } => {
                let (all, total, files) = (all.clone(), total.clone(), files.clone());
                Some(Watch::Drawing(Drawing { all, total, files, shown: 0 }))
            }
            Self::Lines => Some(Watch::Lines { next: EVERY, say: Box::new(say) }),
            Self::Nothing => None,
        }
    }

    /// Does something that writes where the bars are.
    pub(super) fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        match self {
            Self::Drawn { all, .. } => all.suspend(work),
            Self::Lines | Self::Nothing => work(),
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        if let Self::Drawn { all, total, files } = self {
            files.iter().chain([&*total]).for_each(ProgressBar::finish_and_clear);
            // Where the screen is gone, so is what was drawn on it.
            let _ = all.clear();
        }
    }
}

/// Somebody who is told how far it is.
pub(crate) enum Watch {
    Drawing(Drawing),
    Lines {
        /// When the next line is due, from the beginning on.
        next: Duration,
        say: Box<dyn Fn(String) + Send>,
    },
}

impl Watch {
    pub(crate) fn tell(&mut self, progress: &Progress) {
        match self {
            Self::Drawing(drawing) => drawing.draw(progress),
            Self::Lines { next, say } => {
                if progress.elapsed() >= *next && !progress.is_last() {
                    *next = progress.elapsed() + EVERY;
                    say(Told::of(progress).line());
                }
            }
        }
    }
}

pub(crate) struct Drawing {
    all: MultiProgress,
    total: ProgressBar,
    files: Vec<ProgressBar>,
    /// So many of the files' bars are on the screen.
    shown: usize,
}

impl Drawing {
    fn draw(&mut self, progress: &Progress) {
        let Lines { files, all } = Told::of(progress).lines();
        while self.shown < files.len() {
            self.all.insert(self.shown, self.files[self.shown].clone());
            self.shown += 1;
        }
        while self.shown > files.len() {
            self.shown -= 1;
            self.all.remove(&self.files[self.shown]);
        }
        for (bar, line) in self.files.iter().zip(files) {
            line.put_on(bar);
        }
        all.put_on(&self.total);
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

/// What is drawn of it.
#[derive(Debug, PartialEq, Eq)]
struct Lines {
    files: Vec<Line>,
    all: Line,
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    prefix: String,
    bytes: u64,
    total: Option<u64>,
    message: String,
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
    fn lines(&self) -> Lines {
        let long = self.under_way.iter().filter(|(.., total)| total.is_none_or(|total| total >= LONG));
        let file = |&(path, bytes, total): &(&[u8], u64, Option<u64>)| {
            let name = path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty());
            let prefix = Shown::of(name.unwrap_or(path)).to_string();
            Line { prefix, bytes, total, message: Bytes(bytes).to_string() }
        };
        let message = format!("{}  {}", self.counted(), self.sum());
        let all = Line { prefix: "all".to_owned(), bytes: self.bytes, total: self.total, message };
        Lines { files: long.take(MOST_FILES).map(file).collect(), all }
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

impl Line {
    fn put_on(self, bar: &ProgressBar) {
        bar.set_prefix(self.prefix);
        match self.total {
            Some(total) => bar.set_length(total),
            None => bar.unset_length(),
        }
        bar.set_position(self.bytes);
        bar.set_message(self.message);
    }
}

/// Files that have a bar of their own: as many as are long and under way at once.
const MOST_FILES: usize = 4;

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
        let Lines { files, all } = told(under_way).lines();
        assert_eq!(files[0], line("long", 2 * MIB, Some(4 * MIB), "2.0 MiB"));
        assert_eq!(files[1], line("of unknown length", 512, None, "512 B"));
        assert!(files.len() == 3 && !files[2].prefix.contains('\x1b'), "{files:?}");
        let sum = "7 of 40 files   25 %  3.0 MiB of 12.0 MiB  1.0 MiB/s  1:05";
        assert_eq!(all, line("all", 3 * MIB, Some(12 * MIB), sum));
    }

    #[test]
    fn no_more_lines_are_drawn_than_there_are_bars() {
        let many: Vec<(&[u8], u64, Option<u64>)> = vec![(b"f", 0, Some(MIB)); MOST_FILES + 3];
        assert_eq!(told(many).lines().files.len(), MOST_FILES);
    }

    #[test]
    fn a_log_has_one_line_and_no_percentage_before_all_is_listed() {
        assert_eq!(told(vec![]).line(), "7 of 40 files, 25 %  3.0 MiB of 12.0 MiB  1.0 MiB/s  1:05");
        let listing = Told { total: None, all_files: None, eta: None, ..told(vec![]) };
        assert_eq!(listing.line(), "7 files, 3.0 MiB  1.0 MiB/s");
    }

    #[test]
    fn a_bar_is_set_to_what_its_line_says() {
        let bar = ProgressBar::hidden();
        line("f", 10, Some(20), "ten").put_on(&bar);
        assert_eq!(
            (bar.prefix(), bar.message(), bar.position(), bar.length()),
            ("f".into(), "ten".into(), 10, Some(20))
        );
        line("f", 10, None, "ten").put_on(&bar);
        assert_eq!(bar.length(), None);
    }
}

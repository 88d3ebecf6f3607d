//! How far a directory is: drawn on a terminal, for the files that take their time and for all; elsewhere a line now and
//! then.

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
        total.set_prefix("all");
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
                    say(line(progress));
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
        let long = progress.under_way().iter().filter(|file| file.total().is_none_or(|total| total >= LONG));
        let long: Vec<_> = long.take(MOST_FILES).collect();
        while self.shown < long.len() {
            self.all.insert(self.shown, self.files[self.shown].clone());
            self.shown += 1;
        }
        while self.shown > long.len() {
            self.shown -= 1;
            self.all.remove(&self.files[self.shown]);
        }
        for (bar, file) in self.files.iter().zip(long) {
            let name = file.path().rsplit(|byte| *byte == b'/').find(|name| !name.is_empty());
            bar.set_prefix(Shown::of(name.unwrap_or(file.path())).to_string());
            set(bar, file.bytes(), file.total());
            bar.set_message(Bytes(file.bytes()).to_string());
        }
        set(&self.total, progress.bytes(), progress.total());
        let sum = message(progress.bytes(), progress.total(), progress.rate(), progress.eta());
        self.total.set_message(format!("{}  {sum}", files(progress)));
    }
}

fn set(bar: &ProgressBar, bytes: u64, total: Option<u64>) {
    match total {
        Some(total) => bar.set_length(total),
        None => bar.unset_length(),
    }
    bar.set_position(bytes);
}

fn files(progress: &Progress) -> String {
    match progress.total_files() {
        Some(all) => format!("{} of {all} files", progress.files()),
        // They are still being listed.
        None => format!("{} files", progress.files()),
    }
}

fn line(progress: &Progress) -> String {
    let sum = message(progress.bytes(), progress.total(), progress.rate(), progress.eta());
    format!("{}, {}", files(progress), sum.trim_start())
}

/// Files that have a bar of their own: as many as are long and under way at once.
const MOST_FILES: usize = 4;

/// A shorter file is over before anybody has read its name.
const LONG: u64 = 1 << 20;

/// Often enough to see that it lives, and not so often that a log fills with it.
const EVERY: Duration = Duration::from_secs(10);

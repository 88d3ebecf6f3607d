//! Lines that stand at the end of standard error while something is moved, and change in place.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::failure::Failure;

/// Files that have a line of their own: as many as are long and under way at once.
pub(crate) const MOST_FILES: usize = 4;

/// As often as a transfer says how far it is.
const TIMES_A_SECOND: u8 = 10;

/// What is drawn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) files: Vec<Line>,
    pub(crate) all: Line,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) prefix: String,
    pub(crate) bytes: u64,
    pub(crate) total: Option<u64>,
    pub(crate) message: String,
}

/// Where it is drawn. Dropped, it is wiped.
pub(crate) struct Screen {
    all: MultiProgress,
    total: ProgressBar,
    files: Vec<ProgressBar>,
    /// So many of the files' bars are on the screen.
    shown: usize,
}

impl Screen {
    pub(super) fn new() -> Result<Self, Failure> {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(TIMES_A_SECOND));
        let style = style()?;
        // One that is not drawn yet takes no line.
        let bar =
            || ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_style(style.clone());
        let files = (0..MOST_FILES).map(|_| bar()).collect();
        let total = all.add(bar());
        Ok(Self { all, total, files, shown: 0 })
    }

    pub(super) fn draw(&mut self, picture: Picture) {
        let Picture { files, all } = picture;
        let wanted = files.len().min(self.files.len());
        while self.shown < wanted {
            self.all.insert(self.shown, self.files[self.shown].clone());
            self.shown += 1;
        }
        while self.shown > wanted {
            self.shown -= 1;
            self.all.remove(&self.files[self.shown]);
        }
        for (bar, line) in self.files.iter().zip(files) {
            line.put_on(bar);
        }
        all.put_on(&self.total);
    }

    /// Does something that writes where the lines are.
    pub(super) fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        self.all.suspend(work)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.files.iter().chain([&self.total]).for_each(ProgressBar::finish_and_clear);
        // Where the screen is gone, so is what was drawn on it.
        let _ = self.all.clear();
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

fn style() -> Result<ProgressStyle, Failure> {
    // A name takes 24 columns, so that the bars of several files begin at one place.
    let style = ProgressStyle::with_template("{prefix:24!} [{wide_bar}] {msg}");
    let style =
        style.map_err(|error| Failure::new(crate::failure::IO, format!("no bar can be drawn: {error}")))?;
    Ok(style.progress_chars("=> "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(total: Option<u64>) -> Line {
        Line { prefix: "f".to_owned(), bytes: 10, total, message: "ten".to_owned() }
    }

    #[test]
    fn a_bar_is_set_to_what_its_line_says() {
        let bar = ProgressBar::hidden();
        line(Some(20)).put_on(&bar);
        assert_eq!(
            (bar.prefix(), bar.message(), bar.position(), bar.length()),
            ("f".into(), "ten".into(), 10, Some(20))
        );
        line(None).put_on(&bar);
        assert_eq!(bar.length(), None);
    }

    #[test]
    fn as_many_files_are_on_the_screen_as_have_a_line_and_there_is_room_for() {
        let mut screen = Screen::new().unwrap();
        for (lines, shown) in [(2, 2), (0, 0), (MOST_FILES + 3, MOST_FILES), (1, 1)] {
            screen.draw(Picture { files: (0..lines).map(|_| line(None)).collect(), all: line(None) });
            assert_eq!(screen.shown, shown);
        }
    }
}

//! How far a file is, drawn on a terminal while it is moved.

use std::borrow::Cow;
use std::time::Duration;

use rustle_sftp::{Progress, Transfer};

use super::jobs::Job;
use crate::amounts::Bytes;
use crate::failure::Failure;
use crate::names::Shown;
use crate::printer::Printer;
use crate::streams::{Drawing, Line, Picture};

/// The line of one file. Dropped, it is wiped.
pub(super) struct Bar(Option<(Drawing, String)>);

impl Bar {
    /// For this file, the n-th of so many; none where nobody looks.
    pub(super) fn new(job: &Job, (number, all): (usize, usize), printer: &Printer) -> Result<Self, Failure> {
        let Some(drawing) = printer.drawing()? else { return Ok(Self(None)) };
        let path = job.source.bytes();
        let name = path.rsplit(|byte| *byte == b'/').find(|name| !name.is_empty()).unwrap_or(path);
        let name = Shown::of(name);
        let prefix = if all == 1 { name.to_string() } else { format!("{number}/{all} {name}") };
        Ok(Self(Some((drawing, prefix))))
    }

    /// The transfer, watched.
    pub(super) fn watch(&self, transfer: Transfer) -> Transfer {
        let Some((drawing, prefix)) = &self.0 else { return transfer };
        let (latest, prefix) = (drawing.latest(), prefix.clone());
        transfer.progress(move |progress| latest.draw(picture(&prefix, progress)))
    }
}

fn picture(prefix: &str, progress: &Progress) -> Picture {
    let (bytes, total) = (progress.bytes(), progress.total());
    let message = message(bytes, total, progress.rate(), progress.eta()).into_owned();
    Picture { files: Vec::new(), all: Line { prefix: prefix.to_owned(), bytes, total, message } }
}

pub(super) fn message(bytes: u64, total: Option<u64>, rate: u64, eta: Option<Duration>) -> Cow<'static, str> {
    let mut text = match total {
        Some(total) => {
            let percent = u128::from(bytes) * 100 / u128::from(total.max(1));
            format!("{percent:>3} %  {} of {}", Bytes(bytes), Bytes(total))
        }
        None => Bytes(bytes).to_string(),
    };
    text.push_str(&format!("  {}/s", Bytes(rate)));
    if let Some(eta) = eta {
        let seconds = eta.as_secs();
        let (hours, minutes, seconds) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
        match hours {
            0 => text.push_str(&format!("  {minutes}:{seconds:02}")),
            _ => text.push_str(&format!("  {hours}:{minutes:02}:{seconds:02}")),
        }
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_how_much_how_fast_and_how_long() {
        let eta = Some(Duration::from_secs(75));
        assert_eq!(message(512, Some(2048), 100, eta), " 25 %  512 B of 2.0 KiB  100 B/s  1:15");
        assert_eq!(message(0, Some(0), 0, None), "  0 %  0 B of 0 B  0 B/s");
        assert_eq!(message(7, None, 7, Some(Duration::from_secs(3661))), "7 B  7 B/s  1:01:01");
    }
}

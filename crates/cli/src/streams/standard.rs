//! Standard output and standard error, written to in the order in which things were said, whoever reads them.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anstream::AutoStream;
use bytes::Bytes;

use super::driver::{Sink, Writer};
use super::screen::{Picture, Screen};
use crate::failure::Failure;

/// What may wait of what is said without an end, as a line for each file: as much as a pipe holds.
const LIMIT: usize = 64 * 1024;

/// While so much waits, lines of the log are left out: whoever logs cannot wait.
const LOG_LIMIT: u64 = 1024 * 1024;

static WRITER: OnceLock<Writer<Standard>> = OnceLock::new();

/// The thread that writes to this process's standard output and standard error. It is started when there is something to
/// write.
pub(crate) fn standard() -> &'static Writer<Standard> {
    WRITER.get_or_init(|| Writer::start(Standard::new(), LIMIT))
}

/// The same, if it was started.
pub(crate) fn standard_if_used() -> Option<&'static Writer<Standard>> {
    WRITER.get()
}

/// Something for one of the streams.
pub(crate) enum Said {
    Out(Bytes),
    Err(Bytes),
    /// From now on, lines stand at the end of standard error that change in place.
    Begin(Box<Screen>),
    /// They have changed to what is kept here.
    Change(Latest),
    /// They are wiped.
    Wipe,
}

/// Both streams, without colours where a stream is no terminal or `NO_COLOR` is set.
pub(crate) struct Standard {
    /// None once its reader has gone.
    out: Option<AutoStream<io::Stdout>>,
    err: AutoStream<io::Stderr>,
    screen: Option<Box<Screen>>,
}

impl Standard {
    fn new() -> Self {
        Self { out: Some(anstream::stdout()), err: anstream::stderr(), screen: None }
    }

    /// Writes to standard output what begins with these bytes: all of it that comes next, at once.
    fn write_out(&mut self, first: &Bytes, packets: &mut VecDeque<Said>) -> io::Result<()> {
        let mut more = Vec::new();
        while let Some(Said::Out(bytes)) = packets.front() {
            more.extend_from_slice(bytes);
            packets.pop_front();
        }
        let Some(mut out) = self.out.take() else { return Ok(()) };
        suspended(self.screen.as_deref(), || {
            out.write_all(first)?;
            out.write_all(&more)?;
            out.flush()
        })?;
        self.out = Some(out);
        Ok(())
    }

    fn write_err(&mut self, text: &[u8]) {
        let err = &mut self.err;
        // Where standard error is gone there is nobody left to tell.
        let _ = suspended(self.screen.as_deref(), || match RAW.load(Ordering::Relaxed) {
            true => err.write_all(&with_returns(text)),
            false => err.write_all(text),
        });
    }
}

/// Does something that writes where lines may stand that change in place.
fn suspended<T>(screen: Option<&Screen>, work: impl FnOnce() -> T) -> T {
    match screen {
        Some(screen) => screen.suspend(work),
        None => work(),
    }
}

impl Sink for Standard {
    type Packet = Said;

    fn len(packet: &Said) -> usize {
        match packet {
            Said::Out(bytes) | Said::Err(bytes) => bytes.len(),
            Said::Begin(_) | Said::Change(_) | Said::Wipe => 0,
        }
    }

    /// Only standard output is told of: without standard error, the work goes on.
    fn write(&mut self, packets: &mut VecDeque<Said>) -> io::Result<()> {
        let mut result = Ok(());
        while let Some(packet) = packets.pop_front() {
            match packet {
                Said::Out(bytes) => result = result.and(self.write_out(&bytes, packets)),
                Said::Err(text) => self.write_err(&text),
                Said::Begin(screen) => self.screen = Some(screen),
                Said::Change(latest) => {
                    if let (Some(screen), Some(picture)) = (&mut self.screen, latest.take()) {
                        screen.draw(picture);
                    }
                }
                Said::Wipe => self.screen = None,
            }
        }
        result
    }
}

/// Lines at the end of standard error that change in place. Dropped, they are wiped.
pub(crate) struct Drawing(Latest);

impl Drawing {
    pub(crate) fn begin() -> Result<Self, Failure> {
        standard().push(Said::Begin(Box::new(Screen::new()?)));
        Ok(Self(Latest::default()))
    }

    /// Where they are changed.
    pub(crate) fn latest(&self) -> Latest {
        self.0.clone()
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        standard().push(Said::Wipe);
    }
}

/// The last of what is to be drawn: what nobody has looked at is replaced.
#[derive(Clone, Default)]
pub(crate) struct Latest(Arc<Mutex<Option<Picture>>>);

impl Latest {
    pub(crate) fn draw(&self, picture: Picture) {
        if self.put(picture) {
            standard().push(Said::Change(self.clone()));
        }
    }

    /// Whether it has to be said that there is something.
    fn put(&self, picture: Picture) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(picture).is_none()
    }

    fn take(&self) -> Option<Picture> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A writer of whole lines to standard error for what comes at any time: the log, and commands that carry the connection.
pub(crate) struct Lines;

/// Lines of the log that were left out since the last one.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let writer = standard();
        if writer.waiting() > LOG_LIMIT {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
            return Ok(bytes.len());
        }
        match LEFT_OUT.swap(0, Ordering::Relaxed) {
            0 => {}
            lines => writer.push(Said::Err(
                format!("warning: {lines} lines of the log were left out here, since nobody read them\n")
                    .into(),
            )),
        }
        writer.push(Said::Err(Bytes::copy_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// While this is held, the terminal is handed over key by key, and leaves the cursor where a line ended: there, a new line
/// takes a carriage return to be one.
pub(crate) struct RawLines(());

impl RawLines {
    /// The terminal is about to be set.
    pub(crate) fn begin() -> Self {
        RAW.store(io::stderr().is_terminal(), Ordering::Relaxed);
        Self(())
    }
}

impl Drop for RawLines {
    fn drop(&mut self) {
        RAW.store(false, Ordering::Relaxed);
    }
}

static RAW: AtomicBool = AtomicBool::new(false);

fn with_returns(bytes: &[u8]) -> Vec<u8> {
    let mut all = Vec::with_capacity(bytes.len().saturating_add(2));
    for &byte in bytes {
        if byte == b'\n' {
            all.push(b'\r');
        }
        all.push(byte);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::streams::Line;

    #[test]
    fn each_line_gets_a_return() {
        assert_eq!(with_returns(b"one\n\ntwo\n"), b"one\r\n\r\ntwo\r\n");
    }

    #[test]
    fn of_what_is_to_be_drawn_only_the_last_waits() {
        let picture = |bytes| {
            let all = Line { prefix: String::new(), bytes, total: None, message: String::new() };
            Picture { files: Vec::new(), all }
        };
        let latest = Latest::default();
        assert!(latest.put(picture(1)) && !latest.put(picture(2)) && !latest.put(picture(3)));
        assert_eq!(latest.take(), Some(picture(3)));
        assert!(latest.take().is_none() && latest.put(picture(4)));
    }
}

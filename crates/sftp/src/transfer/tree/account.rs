//! What is counted of a tree while it is transferred, and told of each thing in it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustle_sftp_proto::FileKind;

use crate::error::Error;
use crate::transfer::summary::Summary;
use crate::transfer::tree::report::TreeSummary;

/// What became of one thing of a tree, told when it was known.
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/doc/served.inc"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (server, sftp) = served(rustle_testserver::Sftp::memory().file("/srv/www/index.html", "hi")).await;
/// # let here = tempfile::tempdir()?;
/// use rustle_sftp::Outcome;
///
/// let told = |event: &rustle_sftp::TreeEvent<'_>| {
///     let source = String::from_utf8_lossy(event.source()).into_owned();
///     match event.outcome() {
///         Outcome::File { bytes } => println!("{source}: {bytes} bytes"),
///         Outcome::Failed(error) => println!("{source}: {error}"),
///         _ => {}
///     }
/// };
/// sftp.get_dir("/srv/www", here.path().join("www")).each(told).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TreeEvent<'a> {
    source: &'a [u8],
    destination: Option<&'a [u8]>,
    outcome: Outcome<'a>,
}

/// What became of one thing of a tree.
///
/// ```
/// # fn example(event: &rustle_sftp::TreeEvent<'_>) {
/// let is_done = matches!(event.outcome(), rustle_sftp::Outcome::File { .. } | rustle_sftp::Outcome::Link);
/// # let _ = is_done;
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Outcome<'a> {
    /// A file was moved whole.
    File {
        /// How long it is.
        bytes: u64,
    },
    /// A file is whole that an earlier attempt had begun. Where that had got all of it, it has taken its place now.
    Resumed {
        /// How long it is.
        bytes: u64,
        /// How many of them were there, proved, and not moved again: all of them, maybe.
        from: u64,
    },
    /// A link was made, or was there with the same text.
    Link,
    /// It was the same already.
    Unchanged,
    /// It was the same already but for its permissions, which it was given.
    Permissions,
    /// Only the target had it, and it was removed; [`source`](TreeEvent::source) is its path there.
    Removed,
    /// It was left out for what it is; see [`TreeSummary::skipped`].
    Skipped(FileKind),
    /// It could not be moved.
    Failed(&'a Error),
}

impl<'a> TreeEvent<'a> {
    /// Where it was found: on the server, or on this side. A path of Windows that is no Unicode is in an encoding of its own.
    #[must_use]
    pub fn source(&self) -> &'a [u8] {
        self.source
    }

    /// Where it went; `None` for what never got so far.
    #[must_use]
    pub fn destination(&self) -> Option<&'a [u8]> {
        self.destination
    }

    /// What became of it.
    #[must_use]
    pub fn outcome(&self) -> Outcome<'a> {
        self.outcome
    }
}

/// Who is told of each thing.
#[derive(Clone)]
pub(super) struct Listener {
    told: Arc<Mutex<dyn Told>>,
}

/// What is called with each event.
trait Told: Send {
    fn tell(&mut self, event: &TreeEvent<'_>);
}

impl<F: FnMut(&TreeEvent<'_>) + Send> Told for F {
    fn tell(&mut self, event: &TreeEvent<'_>) {
        self(event);
    }
}

impl Listener {
    pub(super) fn new(tell: impl FnMut(&TreeEvent<'_>) + Send + 'static) -> Self {
        Self { told: Arc::new(Mutex::new(tell)) }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").finish_non_exhaustive()
    }
}

/// What came of a tree so far.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) summary: TreeSummary,
    listener: Option<Listener>,
}

/// From where to where.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    pub(super) source: &'a [u8],
    pub(super) destination: &'a [u8],
}

impl Account {
    pub(super) fn new(listener: Option<Listener>) -> Self {
        Self { summary: TreeSummary::default(), listener }
    }

    /// A file was moved with others.
    pub(super) fn file(&mut self, ends: Ends<'_>, bytes: u64) {
        self.summary.files += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(bytes);
        self.tell(ends.source, Some(ends.destination), Outcome::File { bytes });
    }

    /// A file was moved by itself.
    pub(super) fn alone(&mut self, ends: Ends<'_>, moved: &Summary) {
        self.summary.count(moved);
        let (bytes, from) = (moved.length, moved.resumed.from());
        let outcome = match from {
            0 => Outcome::File { bytes },
            _ => Outcome::Resumed { bytes, from },
        };
        self.tell(ends.source, Some(ends.destination), outcome);
    }

    /// A file that was looked at by itself had all its bytes.
    pub(super) fn was_there(&mut self, ends: Ends<'_>, there: &Summary) {
        self.summary.count_there(there);
        self.tell(ends.source, Some(ends.destination), Outcome::Unchanged);
    }

    pub(super) fn link(&mut self, ends: Ends<'_>) {
        self.summary.links += 1;
        self.tell(ends.source, Some(ends.destination), Outcome::Link);
    }

    pub(super) fn unchanged(&mut self, ends: Ends<'_>) {
        self.summary.unchanged += 1;
        self.tell(ends.source, Some(ends.destination), Outcome::Unchanged);
    }

    pub(super) fn permissions(&mut self, ends: Ends<'_>) {
        self.summary.permissions += 1;
        self.tell(ends.source, Some(ends.destination), Outcome::Permissions);
    }

    pub(super) fn removed(&mut self, path: &[u8]) {
        self.summary.removed += 1;
        self.tell(path, None, Outcome::Removed);
    }

    /// Whether all that was to be moved was.
    pub(super) fn is_good(&self) -> bool {
        // Of what is not listed it is not known what it was.
        self.summary.failures.is_empty() && self.summary.unlisted == 0
    }

    pub(super) fn skip(&mut self, path: &[u8], kind: FileKind) {
        self.tell(path, None, Outcome::Skipped(kind));
        self.summary.skip(path, kind);
    }

    pub(super) fn fail(&mut self, path: &[u8], error: Error) {
        self.tell(path, None, Outcome::Failed(&error));
        self.summary.fail(path, error);
    }

    fn tell(&mut self, source: &[u8], destination: Option<&[u8]>, outcome: Outcome<'_>) {
        if let Some(listener) = &self.listener {
            let mut told = listener.told.lock().unwrap_or_else(PoisonError::into_inner);
            told.tell(&TreeEvent { source, destination, outcome });
        }
    }
}

//! What may be typed for `sync`.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};

use super::transfer::{LinksArg, limit};
use super::{ConnectionArgs, OutputArgs};

const ENDS: &str = "\
Exit codes:
  0      the destination is as the source is, or with --dry-run it was told what differs
  255    a file, the connection or this program failed; each file that failed is named, and the others are done
  128+n  this program was ended by signal n";

/// Make a directory of one side equal to one of the other.
///
/// One of the two is HOST:PATH, as with `get`. What is in SOURCE will be in DESTINATION, which is made where it is missing.
/// A file that is as long and was changed in the same second is left alone; every other replaces the old one in one step, with
/// its permissions and times. What only DESTINATION has stays, unless --delete is given. A link there is replaced and never
/// followed.
///
/// A file that was changed while this ran, or up to 2 seconds before (60 where the host is the source, since its clock may
/// differ), has a time in DESTINATION that is a second older: it may change once more in the same second, and is moved
/// again the next time.
///
/// With --format json there is a line for each thing that is done, and one for all at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = ENDS)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// Remove what only DESTINATION has, when all else is done and nothing has failed
    #[arg(long)]
    pub(crate) delete: bool,
    /// Compare the SHA-256 of files of the same length, whatever their times; what the host cannot hash is moved
    #[arg(long)]
    pub(crate) checksum: bool,
    /// Change nothing, and say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Leave alone what fits, on both sides: a name at any depth, or with a slash in it a path from the top on, or with one
    /// at its end directories alone; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) exclude: Vec<OsString>,
    /// What is done with symbolic links of SOURCE: leave them out, copy what they lead to, or copy them
    #[arg(long, value_name = "POLICY", default_value = "skip")]
    pub(crate) links: LinksArg,
    /// At most so many files at once [default: as with get -r]
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// At most so many bytes a second; K, M and G are 1024 of the one before
    #[arg(long, value_name = "RATE", value_parser = limit)]
    pub(crate) limit: Option<NonZeroU64>,
    /// The directory as it is to be
    #[arg(value_name = "SOURCE")]
    pub(crate) source: OsString,
    /// The directory that is made equal to it
    #[arg(value_name = "DESTINATION")]
    pub(crate) destination: OsString,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

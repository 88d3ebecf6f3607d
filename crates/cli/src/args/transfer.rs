//! What may be typed for `get`, `put` and `ls-remote`.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};

use super::{ConnectionArgs, OutputArgs};

const TRANSFER_ENDS: &str = "\
Exit codes:
  0      every file is where it belongs; links and devices in a directory that were left out are counted, and no failure
  255    a file, the connection or this program failed; each file that failed is named, and the others are done
  128+n  this program was ended by signal n

Where the host has SFTP switched off, files are moved by commands of its shell, and where it has none by scp's protocol. A
warning says so, and what is missing then. By scp's protocol there is no home but the account's own, ~/, no limit for what is
fetched, and links in a directory that is fetched are followed.";

const LIST_ENDS: &str = "\
Exit codes:
  0      it was listed
  255    it could not be listed, or not all of it, or this program or the connection failed
  128+n  this program was ended by signal n";

/// Fetch files from a host.
///
/// HOST:PATH is read as scp reads it: `[user@]host:path`, `[user@][::1]:path` or `scp://[user@]host[:port]/path`. A path that
/// does not begin with a slash begins where the login does, and ~/ and ~user/ are homes. All files are of one host.
///
/// With -r and --format json there is a line for each file, link and failure when it is known, and one for all at the end.
///
/// A pattern is looked for on the host, so quote it: * and ? and [a-z] within a name, ** for directories of any depth; a
/// backslash takes the next character as it is, and what fits nothing is taken as a name.
#[derive(Debug, clap::Args)]
#[command(after_help = TRANSFER_ENDS)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) manner: MannerArgs,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    /// The files to fetch
    #[arg(value_name = "HOST:PATH", required = true)]
    pub(crate) sources: Vec<OsString>,
    /// Where to: a file, or a directory, in which each file keeps its last name. A slash at the end is for a directory only
    #[arg(value_name = "LOCAL", required = true)]
    pub(crate) destination: OsString,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Send files to a host.
///
/// HOST:PATH is read as scp reads it: `[user@]host:path`, `[user@][::1]:path` or `scp://[user@]host[:port]/path`. A path that
/// does not begin with a slash begins where the login does, and ~/ and ~user/ are homes.
///
/// With -r and --format json there is a line for each file, link and failure when it is known, and one for all at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = TRANSFER_ENDS)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) manner: MannerArgs,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    /// The files to send; one with a colon before any slash needs ./ before it
    #[arg(value_name = "LOCAL", required = true)]
    pub(crate) sources: Vec<OsString>,
    /// Where to: a file, or a directory, in which each file keeps its last name. A slash at the end is for a directory only
    #[arg(value_name = "HOST:PATH", required = true)]
    pub(crate) destination: OsString,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// List a directory of a host, or what a pattern fits there.
///
/// HOST:PATH is as with `get`. Names are sorted by their bytes, and those that a terminal could misread stand in quotes,
/// with escapes. With --format json they are as they are, or in base64 where they are not UTF-8.
#[derive(Debug, clap::Args)]
#[command(after_help = LIST_ENDS)]
pub(crate) struct LsRemoteArgs {
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    /// With kind, permissions, the numbers of owner and group, bytes, and the time of the last change (UTC)
    #[arg(short, long)]
    pub(crate) long: bool,
    /// With names that begin with a dot
    #[arg(short, long)]
    pub(crate) all: bool,
    /// A directory, a file or a pattern
    #[arg(value_name = "HOST:PATH")]
    pub(crate) path: OsString,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// How files are moved.
#[derive(Debug, clap::Args)]
pub(crate) struct MannerArgs {
    /// Replace each file in one step when the new one is whole and stored: until then the old one stays, and a transfer
    /// that ends early leaves nothing else
    #[arg(long)]
    pub(crate) atomic: bool,
    /// Go on from the part that an earlier attempt left, where it is proved to be the file's beginning. With --atomic the
    /// part is .NAME.rustle-part beside the file, and stays there when a transfer ends early. With -r each file is gone on
    /// with, and those that are there already with the same SHA-256 are not moved again
    #[arg(long)]
    pub(crate) resume: bool,
    /// Compare the SHA-256 of both sides at the end; a warning says so where the server has no way to
    #[arg(long)]
    pub(crate) verify: bool,
    /// Use scp's own protocol, as `scp -O` does: for hosts that have nothing else, which are found out without it
    #[arg(short = 'O', long, conflicts_with = "resume")]
    pub(crate) scp: bool,
    /// Keep permissions and times (scp's -p, which is the port here)
    #[arg(long)]
    pub(crate) preserve: bool,
    /// Leave blocks of nothing but zeros out of what is written, as `cp --sparse=always`: such a file takes less room on the
    /// disk. It makes no difference with --resume, to files of up to 128 KiB in a directory, and where the host has no SFTP
    #[arg(long)]
    pub(crate) sparse: bool,
    /// Permissions of the copies, in octal, such as 640
    #[arg(long, value_name = "MODE", value_parser = mode)]
    pub(crate) mode: Option<u32>,
    /// At most so many bytes a second; K, M and G are 1024 of the one before
    #[arg(long, value_name = "RATE", value_parser = limit)]
    pub(crate) limit: Option<NonZeroU64>,
    /// So many connections, from 1 to 8, for each file, and for each directory of -r, of 64 MiB or more [default: 2 where the
    /// host is near and the second login asks nobody anything, else 1]. Those that the host refuses are done without
    #[arg(long, value_name = "N", value_parser = connections)]
    pub(crate) connections: Option<NonZeroUsize>,
}

/// What of directories is moved, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct TreeArgs {
    /// Directories too, with all that is in them. A destination that is there receives each under its own name, or only what
    /// is in it where the source ends in `/.`
    #[arg(short, long, conflicts_with = "mode")]
    pub(crate) recursive: bool,
    /// At most so many files of a directory at once [default: 256 of up to 128 KiB, as far as the server has handles for
    /// them, since each takes round trips in which nothing else of it happens; 2 longer ones, which fill a link]
    #[arg(long, value_name = "N", requires = "recursive")]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// What is done with symbolic links in a directory: leave them out, copy what they lead to, or copy them
    #[arg(long, value_name = "POLICY", default_value = "skip", requires = "recursive")]
    pub(crate) links: LinksArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LinksArg {
    Skip,
    Follow,
    Copy,
}

fn mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        // `from_str_radix` takes a sign.
        Ok(bits @ 0..=0o777) if !text.starts_with('+') => Ok(bits),
        _ => Err("not an octal number from 0 to 777".into()),
    }
}

fn connections(text: &str) -> Result<NonZeroUsize, String> {
    let count = if text.starts_with('+') { None } else { text.parse::<NonZeroUsize>().ok() };
    count.filter(|count| count.get() <= 8).ok_or_else(|| "not a number from 1 to 8".into())
}

pub(super) fn limit(text: &str) -> Result<NonZeroU64, String> {
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    let count = if digits.starts_with('+') { None } else { digits.parse::<u64>().ok() };
    let bytes = count.and_then(|count| count.checked_mul(unit)).and_then(NonZeroU64::new);
    bytes.ok_or_else(|| "not a number of bytes a second, such as 500K or 2M".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_of_bytes_with_or_without_a_unit() {
        let bytes = |text| limit(text).map(NonZeroU64::get);
        assert_eq!(
            (bytes("500"), bytes("2k"), bytes("3M"), bytes("1G")),
            (Ok(500), Ok(2048), Ok(3 << 20), Ok(1 << 30))
        );
        for wrong in ["", "0", "0K", "K", "+1", "-1", "1.5M", "2MB", "99999999999G", "1\u{20ac}"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn connections_are_one_to_eight() {
        assert_eq!(connections("8").map(NonZeroUsize::get), Ok(8));
        for wrong in ["", "0", "9", "+2", "-1", "two"] {
            assert!(connections(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mode_is_nine_bits_in_octal() {
        assert_eq!((mode("640"), mode("0755"), mode("0")), (Ok(0o640), Ok(0o755), Ok(0)));
        for wrong in ["", "648", "+644", "-1", "1777", "u=rw"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}

//! An SFTP client: files and directories of a server, over a session of `rustle-session` or over any byte stream.
//!
//! ```no_run
//! # async fn example(session: rustle_session::Session) -> rustle_sftp::Result<()> {
//! use rustle_sftp::Sftp;
//!
//! let sftp = Sftp::open(&session).await?;
//! println!("{} bytes a read", sftp.limits().await?.max_read);
//! sftp.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Paths are bytes, as the protocol has them: whatever is `AsRef<[u8]>` is a path, and names come back as they are on the
//! server. Relative ones begin where the server starts, which is the account's home with OpenSSH.
//!
//! Where the server may have SFTP switched off, [`Files`] has the same operations by plain commands of its shell, and says
//! what they cannot do.
//!
//! Requests of one [`Sftp`] are answered in any order and asked from any number of tasks; each is sent at once, so the
//! round trips of calls made together overlap.

mod blocks;
mod commands;
mod contents;
mod copy;
mod create_dirs;
mod driver;
mod engine;
mod entries;
mod error;
mod explain;
mod file;
mod files;
mod glob;
mod link;
mod local;
mod metadata;
mod open_up;
mod options;
mod path;
mod read_dir;
mod remove_dir_all;
mod rename;
mod scp;
mod sftp;
mod shown;
mod transfer;
mod walk;

pub use rustle_sftp_proto::{Attributes, Extension, FileKind, FileSystem, ServerLimits, Status, StatusCode};

pub use crate::error::{Error, ErrorKind, Result};
pub use crate::file::{File, FileCursor, OpenOptions};
pub use crate::files::{Entries, Files, Lack, Means, Space};
pub use crate::glob::{Glob, GlobEntry, Matches};
pub use crate::metadata::{Metadata, SetMetadata};
pub use crate::options::{LinkOrder, SftpBuilder};
pub use crate::read_dir::{DirEntry, ReadDir};
pub use crate::sftp::Sftp;
pub use crate::transfer::Transfer;
pub use crate::transfer::names::local_name;
pub use crate::transfer::progress::{FileProgress, Progress};
pub use crate::transfer::summary::{Proof, Resumed, Summary, Verified};
pub use crate::transfer::tree::{
    Compare, Failure, LinkPolicy, Outcome, Skipped, TreeEvent, TreeSummary, TreeSync, TreeTransfer,
};
pub use crate::walk::{Walk, WalkBuilder, WalkEntry};

//! What `sync` means.

use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

use rustle_sftp::Compare;

use super::operand::Operand;
use super::transfer::{TreeManner, link_policy};
use super::{HostPlan, host};
use crate::args::{ConnectionArgs, SyncArgs};
use crate::failure::{Failure, USAGE};

pub(crate) struct SyncPlan {
    pub(crate) host: HostPlan,
    pub(crate) way: SyncWay,
    pub(crate) compare: Compare,
    pub(crate) delete: bool,
    pub(crate) dry: bool,
    pub(crate) excluded: Vec<Vec<u8>>,
    pub(crate) tree: TreeManner,
    /// Bytes per second.
    pub(crate) limit: Option<NonZeroU64>,
}

/// Which side is made equal to which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SyncWay {
    ToHost { local: PathBuf, remote: Vec<u8> },
    FromHost { remote: Vec<u8>, local: PathBuf },
}

pub(super) fn sync(
    args: SyncArgs,
    before: ConnectionArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<SyncPlan, Failure> {
    let (way, destination) = match (Operand::read(&args.source)?, Operand::read(&args.destination)?) {
        (Operand::Local(local), Operand::Remote(there)) => {
            (SyncWay::ToHost { local, remote: there.path }, there.destination)
        }
        (Operand::Remote(there), Operand::Local(local)) => {
            (SyncWay::FromHost { remote: there.path, local }, there.destination)
        }
        (Operand::Local(_), Operand::Local(_)) => {
            let message = "sync goes to a host or from one, and both directories are on this side";
            return Err(Failure::new(USAGE, message).hint("write host:path for one of them"));
        }
        (Operand::Remote(_), Operand::Remote(_)) => {
            let message = "sync goes to a host or from one, and both directories are on hosts";
            return Err(Failure::new(USAGE, message)
                .hint("by way of this side, in two steps; a local path with a colon needs ./ before it"));
        }
    };
    Ok(SyncPlan {
        host: host(destination, before.then(args.connection), env)?,
        way,
        compare: if args.checksum { Compare::Checksum } else { Compare::TimeAndSize },
        delete: args.delete,
        dry: args.dry_run,
        excluded: args.exclude.into_iter().map(OsString::into_encoded_bytes).collect(),
        tree: TreeManner { links: link_policy(args.links), jobs: args.jobs },
        limit: args.limit,
    })
}

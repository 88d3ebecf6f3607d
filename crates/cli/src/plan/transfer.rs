//! What `get`, `put` and `ls-remote` mean.

use std::ffi::OsString;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use rustle_sftp::LinkPolicy;

use super::operand::{Operand, Remote};
use super::{HostPlan, host};
use crate::args::{ConnectionArgs, GetArgs, LinksArg, LsRemoteArgs, MannerArgs, PutArgs, TreeArgs};
use crate::failure::{Failure, USAGE};

pub(crate) struct TransferPlan {
    pub(crate) host: HostPlan,
    pub(crate) way: Way,
    pub(crate) means: MeansPlan,
    pub(crate) manner: Manner,
    /// None where directories are not moved.
    pub(crate) tree: Option<TreeManner>,
}

pub(crate) struct ListPlan {
    pub(crate) host: HostPlan,
    pub(crate) path: Vec<u8>,
    /// With what is known of each file.
    pub(crate) long: bool,
    /// With names that begin with a dot.
    pub(crate) all: bool,
}

/// From which side to which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    Get { sources: Vec<Vec<u8>>, destination: PathBuf },
    Put { sources: Vec<PathBuf>, destination: Vec<u8> },
}

/// By what means files are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MeansPlan {
    /// The best that the host has.
    Best,
    /// scp's own protocol.
    Scp,
}

/// How each file is moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) atomic: bool,
    pub(crate) resume: bool,
    pub(crate) verify: bool,
    pub(crate) preserve: bool,
    /// Blocks of zeros become holes.
    pub(crate) sparse: bool,
    pub(crate) mode: Option<u32>,
    /// Bytes per second.
    pub(crate) limit: Option<NonZeroU64>,
    /// In all, where that was typed.
    pub(crate) connections: Option<NonZeroUsize>,
}

/// How directories are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TreeManner {
    pub(crate) links: LinkPolicy,
    /// Files at once, where that was typed.
    pub(crate) jobs: Option<NonZeroUsize>,
}

pub(super) fn get(
    args: GetArgs,
    before: ConnectionArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<TransferPlan, Failure> {
    let Operand::Local(destination) = Operand::read(&args.destination)? else {
        let message = format!("get writes to this side, and {} is on a host", args.destination.display());
        return Err(Failure::new(USAGE, message).hint(
            "`put` sends files; a local path with a colon needs ./ before it; from host to host, get first and then put",
        ));
    };
    let mut hosts = Vec::new();
    let mut sources = Vec::new();
    for typed in &args.sources {
        let Operand::Remote(Remote { destination, path }) = Operand::read(typed)? else {
            let message = format!("get fetches from a host, and {} names none", typed.display());
            return Err(Failure::new(USAGE, message).hint("write host:path; `put` sends files"));
        };
        hosts.push(destination);
        sources.push(path);
    }
    let first = hosts.first().cloned().unwrap_or_default();
    if let Some(other) = hosts.iter().find(|host| **host != first) {
        return Err(Failure::new(
            USAGE,
            format!("get fetches from one host at a time, not from {first} and {other}"),
        )
        .hint("run it once for each host"));
    }
    let host = host(first, before.then(args.connection), env)?;
    Ok(TransferPlan {
        host,
        way: Way::Get { sources, destination },
        means: means(&args.manner),
        manner: args.manner.into(),
        tree: tree(&args.tree),
    })
}

pub(super) fn put(
    args: PutArgs,
    before: ConnectionArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<TransferPlan, Failure> {
    let Operand::Remote(to) = Operand::read(&args.destination)? else {
        let message = format!("put sends to a host, and {} names none", args.destination.display());
        return Err(Failure::new(USAGE, message).hint("the last operand is host:path; `get` fetches files"));
    };
    let mut sources = Vec::new();
    for typed in &args.sources {
        let Operand::Local(path) = Operand::read(typed)? else {
            let message = format!("put sends files of this side, and {} is on a host", typed.display());
            return Err(Failure::new(USAGE, message)
                .hint("`get` fetches files; a local path with a colon needs ./ before it"));
        };
        sources.push(path);
    }
    let host = host(to.destination, before.then(args.connection), env)?;
    Ok(TransferPlan {
        host,
        way: Way::Put { sources, destination: to.path },
        means: means(&args.manner),
        manner: args.manner.into(),
        tree: tree(&args.tree),
    })
}

pub(super) fn list(
    args: LsRemoteArgs,
    before: ConnectionArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<ListPlan, Failure> {
    let Operand::Remote(Remote { destination, path }) = Operand::read(&args.path)? else {
        let message =
            format!("ls-remote lists a directory of a host, and {} names none", args.path.display());
        return Err(Failure::new(USAGE, message).hint("write host:path, or host: for where the login begins"));
    };
    let host = host(destination, before.then(args.connection), env)?;
    Ok(ListPlan { host, path, long: args.long, all: args.all })
}

fn means(args: &MannerArgs) -> MeansPlan {
    if args.scp { MeansPlan::Scp } else { MeansPlan::Best }
}

fn tree(args: &TreeArgs) -> Option<TreeManner> {
    args.recursive.then_some(TreeManner { links: link_policy(args.links), jobs: args.jobs })
}

pub(super) fn link_policy(typed: LinksArg) -> LinkPolicy {
    match typed {
        LinksArg::Skip => LinkPolicy::Skip,
        LinksArg::Follow => LinkPolicy::Follow,
        LinksArg::Copy => LinkPolicy::Copy,
    }
}

impl From<MannerArgs> for Manner {
    fn from(args: MannerArgs) -> Self {
        Self {
            atomic: args.atomic,
            resume: args.resume,
            verify: args.verify,
            preserve: args.preserve,
            sparse: args.sparse,
            mode: args.mode,
            limit: args.limit,
            connections: args.connections,
        }
    }
}

//! Trees by scp's protocol: one process of the host, which is told of or tells of all that there is, in its depth.

mod get;
mod put;

use crate::error::{Error, ErrorKind, Result};
use crate::scp::{self, Scp};
use crate::transfer::options::Options;
use crate::transfer::progress::Meter;
use crate::transfer::tree::account::Account;
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::{LinkPolicy, Way};

/// A directory that goes one way or the other.
pub(super) struct Trip<'a> {
    pub(super) options: &'a Options,
    pub(super) links: LinkPolicy,
    /// A link where the directory itself is to be is not followed.
    pub(super) keep_out: bool,
    pub(super) meter: &'a Meter,
    pub(super) account: Account,
}

impl Trip<'_> {
    pub(super) async fn run(self, scp: &Scp, way: Way) -> Result<TreeSummary> {
        match way {
            Way::Get { remote, local } => {
                self.check("get", &remote)?;
                if self.options.limit.is_some() {
                    let text = "scp's protocol has no way to slow down what the far side sends";
                    return Err(Error::new(ErrorKind::Unsupported, "get", text).at(&remote));
                }
                get::get(scp, remote, local, self).await
            }
            Way::Put { local, remote } => {
                self.check("put", &remote)?;
                scp::refuse("put", &remote, self.options)?;
                put::put(scp, local, remote, self).await
            }
        }
    }

    fn check(&self, operation: &'static str, path: &[u8]) -> Result<()> {
        if self.links != LinkPolicy::Copy {
            return Ok(());
        }
        let text = "links cannot be copied: scp's protocol has no word for them";
        Err(Error::new(ErrorKind::Unsupported, operation, text).at(path))
    }

    /// With `-p` the permissions are those that are sent, and times are sent; without it they are less the mask of whoever
    /// takes them.
    fn flags(&self) -> &'static str {
        if self.options.preserve { "-r -p" } else { "-r" }
    }
}

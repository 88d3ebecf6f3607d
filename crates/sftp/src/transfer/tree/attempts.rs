//! A tree over one connection, and once more over another where that is lost.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use rustle_sftp_proto::Request;

use crate::error::{Error, Result};
use crate::path::checked;
use crate::sftp::Sftp;
use crate::shown::Shown;
use crate::transfer::hashes::Hashes;
use crate::transfer::options::Options;
use crate::transfer::parts::Parts;
use crate::transfer::progress::Meter;
use crate::transfer::survival::is_lost;
use crate::transfer::tree::account::{Account, Listener};
use crate::transfer::tree::report::TreeSummary;
use crate::transfer::tree::room::Room;
use crate::transfer::tree::rules::Rules;
use crate::transfer::tree::{LinkPolicy, Tree, Way, get, put};

/// What each attempt needs.
pub(super) struct Attempts {
    pub(super) way: Way,
    pub(super) options: Options,
    pub(super) links: LinkPolicy,
    pub(super) keep_out: bool,
    pub(super) rules: Option<Arc<Rules>>,
    pub(super) listener: Option<Listener>,
}

impl Attempts {
    /// Begins again where the connection is lost and another is to be had, as often as was asked for.
    pub(super) async fn all(self, first: &Sftp, meter: &Meter) -> Result<TreeSummary> {
        let session = first.session().filter(|session| session.has_places()).cloned();
        let parts = self.options.survive.is_some().then(Parts::default);
        let (mut over, mut losses) = (Over { sftp: first.clone(), parts }, 0);
        loop {
            let error = match Box::pin(self.one(&over, losses > 0, meter)).await {
                Ok(mut summary) => {
                    summary.losses += losses;
                    return Ok(summary);
                }
                Err(error) => error,
            };
            let Some(session) = session.as_ref().filter(|_| over.sftp.engine().is_lost()) else {
                return Err(over.with_what_stays(error));
            };
            let mut last = error;
            loop {
                if losses >= self.options.survive.unwrap_or(0) {
                    return Err(over.how_far(last, meter));
                }
                losses += 1;
                tracing::info!(error = %last, again = losses, "a tree goes on over another connection");
                match Box::pin(over.sftp.options().open(session)).await {
                    Ok(another) => {
                        first.hand_over_to(&another);
                        over.sftp = another;
                        break;
                    }
                    Err(error) if is_lost(&error) => last = error,
                    Err(error) => return Err(over.how_far(error, meter)),
                }
            }
            meter.begin_again();
        }
    }

    async fn one(&self, over: &Over, is_begun_again: bool, meter: &Meter) -> Result<TreeSummary> {
        let (hashes, questions) = Hashes::new();
        let (sftp, parts) = (&over.sftp, over.parts.clone());
        let options = Options { hashes: Some(hashes), parts, is_begun_again, ..self.options.clone() };
        let work = async {
            let limits = sftp.engine().limits().await?;
            let room = Room::new(limits, &options);
            let room = match &self.rules {
                Some(rules) if rules.opens_to_compare(sftp) => room.comparing(),
                _ => room,
            };
            let (links, keep_out, rules) = (self.links, self.keep_out, self.rules.clone());
            let tree = Tree { sftp, options: &options, links, keep_out, rules, meter, room };
            let account = Account::new(self.listener.clone());
            match self.way.clone() {
                Way::Get { remote, local } => {
                    Box::pin(get::get(&tree, checked("get", remote)?, local, account)).await
                }
                Way::Put { local, remote } => {
                    Box::pin(put::put(&tree, local, checked("put", remote)?, account)).await
                }
            }
        };
        let answering = pin!(questions.answer());
        match select(pin!(work), answering).await {
            Either::Left((moved, _)) => moved,
            Either::Right((never, _)) => match never {},
        }
    }
}

/// Where an attempt is at work. Dropped, what is left there under names that no later transfer looks for is removed.
struct Over {
    sftp: Sftp,
    /// Where it may begin again.
    parts: Option<Parts>,
}

impl Over {
    fn elsewhere(&self) -> Vec<Bytes> {
        self.parts.as_ref().map(Parts::elsewhere).unwrap_or_default()
    }

    fn how_far(&self, error: Error, meter: &Meter) -> Error {
        self.with_what_stays(error.and_hint(format!(
            "{} files were whole by then; an attempt with resume goes on from there",
            meter.files()
        )))
    }

    /// Names what stays on the server where no later transfer looks for it, if that cannot be told any more to remove it.
    fn with_what_stays(&self, error: Error) -> Error {
        let left = self.elsewhere();
        match left.first().filter(|_| self.sftp.is_closed()) {
            Some(name) => error.and_hint(format!(
                "under {} other names a part may still be there, as under {}, which can be removed",
                left.len(),
                Shown::of(name)
            )),
            None => error,
        }
    }
}

impl Drop for Over {
    fn drop(&mut self) {
        for path in self.elsewhere() {
            self.sftp.engine().tell(Request::Remove { path });
        }
    }
}

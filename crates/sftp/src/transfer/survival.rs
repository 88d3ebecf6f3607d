//! How a transfer goes on when all its channels are lost, over another connection of those who keep several.
//!
//! It knows what the server has confirmed. A file that is fetched is opened again, and has to be as it was: its length, its
//! time, and what came last. Of one that is sent all before the first byte that is not confirmed is compared with the
//! original, and what follows is sent again: the connection may have been lost because the machine was, which forgets what
//! it had not stored, and not from the end on.
//!
//! So blocks prove nothing here. Where the server can say a SHA-256, that does; where it cannot, what is there is read back.
//! That is no more than to send it again would be, in the direction that most lines have more of, and changes nothing on
//! the server. The third way is to have the server store what it has got from time to time (`fsync@openssh.com`) and to
//! believe it up to there: that would make each transfer wait for the disk again and again, for the sake of a few that are
//! lost. Where nothing is confirmed there is nothing to be proved: all of it is sent again.
//!
//! The original is the file that was opened, whatever has its name by then. Where somebody wrote to it, that is told, and
//! not that the server has something else.
//!
//! What a lost connection was told may be done late, since its server process reads its pipe to the end. WRITEs do no harm
//! then: they carry what is sent again. To cut the file off does, behind what another connection has written meanwhile. So
//! that is only done where zeros are left out, which what stands there would show through, and nothing goes on before it is
//! answered. At the end the file has to be as long as what was sent.

use rustle_session::Session;
use rustle_sftp_proto::{Attributes, Request};

use crate::engine::{Failure, OpenHandle};
use crate::error::{Error, ErrorKind, Result};
use crate::local::original::Original;
use crate::options::SftpBuilder;
use crate::sftp::Sftp;
use crate::transfer::lane::Lane;
use crate::transfer::options::{Options, Scope};
use crate::transfer::rate::Limit;
use crate::transfer::resume::{Both, Compared};
use crate::transfer::stripe::{Reopened, Same, is_alike};
use crate::transfer::verify::{Here, Remote};
use crate::transfer::window::Bounds;
use crate::transfer::witness::{Length, another, not_there};

/// Where it goes on, and how often it may.
pub(crate) struct Survival {
    session: Session,
    options: SftpBuilder,
    /// What is sent.
    original: Option<Original>,
    most: u32,
    /// How often it went on, or tried to.
    times: u32,
    /// At which rate what was sent is read back.
    limit: Option<Limit>,
    file: Option<(Reopened, Bounds)>,
    /// What was opened last, for those who have something to clear up on the server meanwhile.
    newest: Option<Sftp>,
}

impl Survival {
    /// `None` where nobody makes another connection for the session.
    pub(crate) fn of(sftp: &Sftp, original: Option<Original>, options: &Options) -> Option<Self> {
        let session = sftp.session().filter(|session| session.has_places())?.clone();
        // A tree ends with its own channel, unless it is begun again.
        let unless_set = if options.scope == Scope::Alone { LOSSES } else { 0 };
        let most = options.survive.unwrap_or(unless_set);
        let survival = Self {
            session,
            options: sftp.options().clone(),
            original,
            most,
            times: 0,
            limit: options.limiter(),
            file: None,
            newest: None,
        };
        (most > 0).then_some(survival)
    }

    pub(crate) fn tell(&mut self, file: Reopened, bounds: Bounds) {
        self.file = Some((file, bounds));
    }

    pub(crate) fn file(&self) -> Option<(Reopened, Bounds)> {
        self.file.clone()
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn options(&self) -> &SftpBuilder {
        &self.options
    }

    pub(crate) fn times(&self) -> u32 {
        self.times
    }

    /// The channel that was opened last, whether the file was found behind it or not.
    pub(crate) fn newest(&self) -> Option<&Sftp> {
        self.newest.as_ref()
    }

    /// Another lane, in place of all that are lost. `firm` bytes are confirmed from the beginning of the file.
    ///
    /// # Errors
    /// As many were lost as may be, no other connection is to be had, the file there is not the one that it was, or the
    /// connection was lost before the server had answered that the file is cut off; how far the transfer came.
    ///
    /// # Cancel safety
    /// Dropped, the new channel is closed.
    pub(crate) async fn another_lane(
        &mut self,
        operation: &'static str,
        lost: &Failure,
        firm: u64,
    ) -> Result<Lane> {
        let Some((file, bounds)) = self.file.clone() else { return Err(lost.error(operation)) };
        let mut last = lost.error(operation);
        while self.times < self.most {
            self.times += 1;
            tracing::info!(error = %last, firm, again = self.times, "a transfer goes on over another connection");
            match self.open(&file, firm).await {
                Ok((sftp, opened)) => {
                    if file.leaves_out {
                        let cut = cut_off(&opened, firm).await;
                        cut.map_err(|error| not_cut_off(operation, error.at(&file.path), firm))?;
                    }
                    return Ok(Lane::new(&sftp, opened, bounds));
                }
                Err(error) if is_lost(&error) => last = error,
                Err(error) if error.kind() == ErrorKind::Disconnected => {
                    let text = format!(
                        "the connection was lost after {firm} bytes of the file, and there is no other"
                    );
                    let told = Error::new(ErrorKind::Disconnected, operation, text).with_source(error);
                    return Err(told.with_hint("its cause says why; then transfer it again"));
                }
                Err(error) => return Err(not_gone_on_with(error, firm)),
            }
        }
        let text =
            format!("{} connections were lost, the last one after {firm} bytes of the file", self.times + 1);
        let told = Error::new(ErrorKind::Disconnected, operation, text).with_source(last);
        Err(told.with_hint("see why they are lost; `survive` allows more"))
    }

    /// The file over another connection, once it is shown to be the same.
    async fn open(&mut self, again: &Reopened, firm: u64) -> Result<(Sftp, OpenHandle)> {
        let sftp = self.options.open(&self.session).await?;
        self.newest = Some(sftp.clone());
        let opening =
            Request::Open { path: again.path.clone(), flags: again.flags, attributes: Attributes::new() };
        let file = sftp.engine().handle("open", opening).await.map_err(|error| {
            let is_sent = !matches!(again.same, Same::Read(..));
            let is_gone = is_sent && error.kind() == ErrorKind::NotFound;
            let told = if is_gone { not_there("the file is gone").with_source(error) } else { error };
            told.at(&again.path)
        })?;
        self.is_the_same(&sftp, &file, again, firm).await.map_err(|error| error.at(&again.path))?;
        Ok((sftp, file))
    }

    async fn is_the_same(&self, sftp: &Sftp, file: &OpenHandle, again: &Reopened, firm: u64) -> Result<()> {
        match &again.same {
            Same::Read(original, testimony) => {
                let asked = Request::Fstat { handle: file.handle().clone() };
                if !is_alike(original, &sftp.engine().attributes("fstat", asked).await?) {
                    return Err(another());
                }
                match testimony.is_silent() {
                    // Nothing has come: all of it comes from this one.
                    true => Ok(()),
                    false => testimony.clone().hear(sftp, file, Length::Stays).await,
                }
            }
            Same::Made(testimony) | Same::Written(testimony) => {
                testimony.is_as_long(file, firm).await?;
                if let Some(original) = self.original.as_ref().filter(|_| firm > 0) {
                    let remote = Remote { sftp, path: &again.path, file: Some(file), hashes: None };
                    let (here, compared) = (Here::Source(original), Compared::All(self.limit.as_ref()));
                    let both = Both { remote, here, found: firm, source: firm, compared };
                    match both.is_confirmed().await? {
                        Ok(proof) => tracing::debug!(?proof, firm, "what was sent is there"),
                        Err(why) => return Err(not_there(&why)),
                    }
                }
                Ok(())
            }
        }
    }
}

/// Takes away what stands behind these bytes. All of it is written again, but for what is left out for being zeros: there it
/// would show.
async fn cut_off(file: &OpenHandle, firm: u64) -> Result<()> {
    let attributes = Attributes::new().with_size(firm);
    let request = Request::FsetStat { handle: file.handle().clone(), attributes };
    file.engine().done("setstat", request).await
}

/// What is said where it could not be. One that was lost unanswered may come behind what would be written meanwhile.
fn not_cut_off(operation: &'static str, error: Error, firm: u64) -> Error {
    if error.status().is_some() || !is_lost(&error) {
        return not_gone_on_with(error, firm);
    }
    let text = format!(
        "the connection was lost before the server had said that the file is cut off after {firm} bytes; it still may be"
    );
    let told = Error::new(ErrorKind::Disconnected, operation, text).with_source(error);
    told.with_hint("transfer it again when what that connection ran on the server has ended")
}

fn not_gone_on_with(error: Error, firm: u64) -> Error {
    error.and_hint(format!(
        "the connection was lost after {firm} bytes of the file, and it could not be gone on with"
    ))
}

/// Whether the new connection is lost as well, and not refused.
pub(crate) fn is_lost(error: &Error) -> bool {
    let below =
        std::error::Error::source(error).and_then(|below| below.downcast_ref::<rustle_session::Error>());
    let is_refused = below.is_some_and(|below| below.kind() != rustle_session::ErrorKind::Disconnected);
    matches!(error.kind(), ErrorKind::Disconnected | ErrorKind::Timeout) && !is_refused
}

/// A line that is lost more often than this in one file is worth a look.
const LOSSES: u32 = 5;

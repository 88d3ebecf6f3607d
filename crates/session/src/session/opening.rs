//! Opening a channel where the server has few places, and the ones of dropped channels come free.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::base::{NotOpened, Open, Refusal};
use crate::ending::Ending;
use crate::error::{Error, ErrorKind, Result};
use crate::session::{ChannelUse, Lease, OpenInBackground, Place, Session};

/// So many dropped commands may still be ending by `kill` before new sessions wait for them: each holds one of the server's
/// session slots (OpenSSH grants ten), and `kill` needs one more, which new ones must not take.
const KILLS_AHEAD: usize = 2;

/// A refused channel is asked for again this long after, while slots are about to come free, and then after twice the
/// time of before, up to a limit.
const RETRY_AFTER: Duration = Duration::from_millis(20);
const RETRY_AT_THE_LATEST: Duration = Duration::from_millis(250);

impl Session {
    pub(crate) async fn open_session(&self, ending: Ending, purpose: ChannelUse) -> Result<Lease> {
        self.open(Open::Session, ending, purpose).await
    }

    /// Opens a channel where it has its place: on this connection, unless somebody else says where.
    pub(super) async fn open(&self, open: Open, ending: Ending, purpose: ChannelUse) -> Result<Lease> {
        let Some(places) = &self.places else {
            return self.open_here(open, ending, &mut None).await;
        };
        let mut place = places.take(purpose).await?;
        loop {
            let session = Self { inner: Arc::clone(&place.session().inner), places: None };
            let ahead = if matches!(open, Open::Session) { place.opened_ahead() } else { None };
            let mut held = Some(place);
            if let Some(lease) = ahead.and_then(|ahead| ahead.into_lease(ending.clone(), &mut held)) {
                return Ok(lease);
            }
            let error = match session.open_here(open.clone(), ending.clone(), &mut held).await {
                Ok(lease) => return Ok(lease),
                Err(error) => error,
            };
            place = match held {
                Some(refused) if may_be_had_elsewhere(&error) => refused.another(error).await?,
                _ => return Err(error),
            };
        }
    }

    /// Opens a channel on this connection. Where the server has no slot for it and dropped ones are still ending, waits for
    /// those that they free. Its place is the lease's then, or that of an open that is given up, until the server has answered.
    async fn open_here(
        &self,
        open: Open,
        ending: Ending,
        place: &mut Option<Box<dyn Place>>,
    ) -> Result<Lease> {
        let mut last_refusal = None;
        let opening = async {
            let mut pause = RETRY_AFTER;
            loop {
                if matches!(open, Open::Session) {
                    self.inner.tasks.kills_at_most(KILLS_AHEAD).await;
                }
                // Asked before: what comes free while the server answers came too late for this answer.
                let frees_places = self.inner.tasks.frees_places();
                let (opened, kept) = self.attempt(&open, place.take()).await;
                *place = kept;
                match opened {
                    Ok(channel) => return Ok(channel),
                    Err(NotOpened::Gone) => return Err(self.gone_error("open channel").await),
                    Err(NotOpened::Refused(refusal))
                        if is_for_want_of_a_place(&open, &refusal)
                            && (frees_places || self.inner.tasks.frees_places()) =>
                    {
                        last_refusal = Some(refusal);
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(RETRY_AT_THE_LATEST);
                    }
                    Err(NotOpened::Refused(refusal)) => return Err(self.refusal_error(&open, &refusal)),
                }
            }
        };
        let opened = self.within_request_timeout("open channel", opening).await;
        let channel = match (opened, last_refusal) {
            (Ok(channel), _) => channel,
            // A place that never came free: the server did answer.
            (Err(error), Some(refusal)) if error.kind() == ErrorKind::ChannelTimeout => {
                return Err(self.refusal_error(&open, &refusal));
            }
            (Err(error), _) => return Err(error),
        };
        self.inner.channels_opened.fetch_add(1, Ordering::Relaxed);
        let span = tracing::debug_span!(parent: &self.inner.span, "channel", number = channel.number());
        if let Some(place) = place {
            place.opened();
        }
        Ok(Lease::new(self.clone(), channel, ending, place.take(), span))
    }

    /// Asks for a channel once; an answer nobody waits for any more is taken care of by the driver.
    fn attempt(&self, open: &Open, place: Option<Box<dyn Place>>) -> OpenInBackground {
        let connection = Arc::clone(&self.inner.connection);
        let asked = open.clone();
        let opening = Box::pin(async move { connection.open(&asked).await });
        OpenInBackground::new(open.clone(), place, opening, self.inner.tasks.clone())
    }
}

/// Nothing was started, and another connection may have what this one has not.
fn may_be_had_elsewhere(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ChannelLimit | ErrorKind::ChannelShortage | ErrorKind::Disconnected)
}

/// Whether a refusal may be over when another channel has ended: OpenSSH refuses a session over MaxSessions with code 2,
/// others are short of resources (4). A forward that is refused has another reason.
fn is_for_want_of_a_place(open: &Open, refusal: &Refusal) -> bool {
    refusal.code == 4 || (matches!(open, Open::Session) && refusal.code == 2)
}

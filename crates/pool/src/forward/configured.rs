//! The forwards that hosts have by their configuration: they begin with the first connection that is asked for by a name, as
//! `ssh` makes them when it connects.
//!
//! A name may mean another host at any time. What it brought before ends then, and what it brings now listens when that listens
//! no more: it may be the same port.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustle_session::{ForwardPlace, ForwardSide, HostForward, HostSetup};
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::forward::{Forward, ForwardBind, ForwardHandle, ForwardTarget};
use crate::policy::event::HostId;
use crate::pool::Pool;
use crate::registry::Known;
use crate::show::ConfiguredForward;

/// The forwards of all names, by these: two names for one host may have others.
#[derive(Debug, Default)]
pub(crate) struct Configured(Mutex<HashMap<String, OfName>>);

/// Those of one name.
#[derive(Debug, Default)]
struct OfName {
    /// What it means now, where that has any.
    meaning: Option<Meaning>,
    /// Whoever makes them has it: of two who come at once the second finds them made.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Of all that were made, whatever the name meant: cancelled when one listens no more.
    ends: Vec<CancellationToken>,
}

/// The host of a name, until it is another one's, and what was made for it.
#[derive(Debug)]
struct Meaning {
    host: HostId,
    made: Option<Vec<Made>>,
    /// Cancelled when it is over.
    over: CancellationToken,
}

#[derive(Debug)]
struct Made {
    what: String,
    handle: Result<ForwardHandle>,
}

impl Configured {
    /// The name means this host from now on. What it brought before ends, where it meant another.
    pub(crate) fn means(&self, name: &str, host: HostId, setup: &HostSetup) {
        let has_any = !setup.forwards().is_empty();
        let mut names = self.names();
        if !has_any && !names.contains_key(name) {
            return;
        }
        let of_name = names.entry(name.to_owned()).or_default();
        if !of_name.means(host) {
            of_name.meaning = has_any.then(|| Meaning::new(host));
        }
        if of_name.is_over() {
            names.remove(name);
        }
    }

    /// Makes those of a name, unless they are made already or were tried, or the name means another host by now.
    ///
    /// # Errors
    /// Where one cannot be made, and `ExitOnForwardFailure` is set.
    ///
    /// # Cancel safety
    /// Dropped, what was made ends; the next who asks makes it anew.
    pub(crate) async fn begin(
        &self,
        pool: &Pool,
        name: &str,
        host: &Arc<Known>,
        setup: &HostSetup,
    ) -> Result<()> {
        let Some(turn) = self.turn(name, host.id) else { return Ok(()) };
        let _mine = turn.lock().await;
        let Some((over, before)) = self.unmade(name, host.id) else { return Ok(()) };
        let making = async {
            for end in before {
                end.cancelled().await;
            }
            self.make_all(pool, name, host, setup).await
        };
        let made = tokio::select! {
            biased;
            () = over.cancelled() => return Ok(()),
            made = making => made?,
        };
        self.keep(name, &over, made);
        Ok(())
    }

    /// Ends those to a host; the next who asks for it makes them anew.
    pub(crate) fn end(&self, host: HostId) {
        let mut names = self.names();
        let meanings = names.values_mut().filter_map(|of_name| of_name.meaning.as_mut());
        for meaning in meanings.filter(|meaning| meaning.host == host) {
            *meaning = Meaning::new(host);
        }
    }

    /// Ends those of a name, which means another host.
    pub(crate) fn end_of(&self, name: &str) {
        let mut names = self.names();
        if let Some(of_name) = names.get_mut(name) {
            of_name.meaning = None;
        }
        names.retain(|_, of_name| !of_name.is_over());
    }

    /// How it stands with those to a host.
    pub(crate) fn shown(&self, host: HostId) -> Vec<ConfiguredForward> {
        let names = self.names();
        let mut of_host: Vec<_> = names.iter().filter(|(_, of_name)| of_name.means(host)).collect();
        of_host.sort_unstable_by_key(|(name, _)| name.as_str());
        let made = of_host.into_iter().filter_map(|(_, of_name)| of_name.meaning.as_ref()?.made.as_ref());
        made.flatten().map(Made::show).collect()
    }

    /// What has to be had to make those of a name; `None` where it does not mean this host.
    fn turn(&self, name: &str, host: HostId) -> Option<Arc<tokio::sync::Mutex<()>>> {
        let names = self.names();
        let of_name = names.get(name).filter(|of_name| of_name.means(host))?;
        Some(Arc::clone(&of_name.turn))
    }

    /// When it is over with what is to be made, and the ends of what was made before; `None` where nothing is to be made.
    fn unmade(&self, name: &str, host: HostId) -> Option<(CancellationToken, Vec<CancellationToken>)> {
        let names = self.names();
        let of_name = names.get(name).filter(|of_name| of_name.means(host))?;
        let meaning = of_name.meaning.as_ref().filter(|meaning| meaning.made.is_none())?;
        Some((meaning.over.clone(), of_name.ends.clone()))
    }

    async fn make_all(
        &self,
        pool: &Pool,
        name: &str,
        host: &Arc<Known>,
        setup: &HostSetup,
    ) -> Result<Vec<Made>> {
        let mut all = Vec::new();
        for forward in setup.forwards() {
            let handle = self.make(pool, name, host, forward, setup).await;
            if let Err(error) = &handle {
                if setup.exits_on_forward_failure() {
                    return Err(error.clone().of_forward(name, forward));
                }
                tracing::warn!(host = name, %forward, origin = forward.origin(), %error, "a forward is not made");
            }
            all.push(Made { what: forward.to_string(), handle });
        }
        Ok(all)
    }

    async fn make(
        &self,
        pool: &Pool,
        name: &str,
        host: &Arc<Known>,
        forward: &HostForward,
        setup: &HostSetup,
    ) -> Result<ForwardHandle> {
        let handle = pool.forward_to(Arc::clone(host), Forward::configured(forward)).await?;
        // It listens; nothing has suspended since, so that whoever comes next waits for its end in any case.
        if let Some(of_name) = self.names().get_mut(name) {
            of_name.ends.retain(|end| !end.is_cancelled());
            of_name.ends.push(handle.listens_no_more());
        }
        if setup.exits_on_forward_failure() {
            handle.bound().await?;
        }
        Ok(handle)
    }

    /// Keeps what was made until it is over with what it was made for. Where it is already, they end here.
    fn keep(&self, name: &str, over: &CancellationToken, made: Vec<Made>) {
        let mut names = self.names();
        let meaning = names.get_mut(name).and_then(|of_name| of_name.meaning.as_mut());
        if let Some(meaning) = meaning.filter(|_| !over.is_cancelled()) {
            meaning.made = Some(made);
        }
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, OfName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfName {
    fn means(&self, host: HostId) -> bool {
        self.meaning.as_ref().is_some_and(|meaning| meaning.host == host)
    }

    /// Whether nothing is left of it: nobody makes any, and nothing that was made listens.
    fn is_over(&self) -> bool {
        self.meaning.is_none()
            && Arc::strong_count(&self.turn) == 1
            && self.ends.iter().all(CancellationToken::is_cancelled)
    }
}

impl Meaning {
    fn new(host: HostId) -> Self {
        Self { host, made: None, over: CancellationToken::new() }
    }
}

impl Drop for Meaning {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Made {
    fn show(&self) -> ConfiguredForward {
        let what = self.what.clone();
        match &self.handle {
            Ok(handle) => {
                let stats = handle.stats();
                let error = stats.last_error.map(|error| error.to_string());
                ConfiguredForward {
                    what,
                    is_bound: handle.is_bound(),
                    port: handle.port(),
                    clients: stats.open,
                    error,
                }
            }
            Err(error) => {
                let error = Some(error.to_string());
                ConfiguredForward { what, is_bound: false, port: None, clients: 0, error }
            }
        }
    }
}

impl Forward {
    fn configured(forward: &HostForward) -> Self {
        let bind = match forward.listen() {
            ForwardPlace::Unix(path) => ForwardBind::unix(path),
            ForwardPlace::Tcp { host, port } => ForwardBind::tcp(host, *port),
        };
        let target = forward.target().map(|target| match target {
            ForwardPlace::Unix(path) => ForwardTarget::socket(path),
            ForwardPlace::Tcp { host, port } => ForwardTarget::host(host, *port),
        });
        match (forward.listens_at(), target) {
            (ForwardSide::AtServer, Some(target)) => Self::remote(bind, target),
            (ForwardSide::AtServer, None) => Self::remote_dynamic(bind).permitted_by(forward.clone()),
            (ForwardSide::Here, Some(target)) => Self::local(bind, target),
            (ForwardSide::Here, None) => Self::dynamic(bind),
        }
    }
}

//! The forwards that hosts have by their configuration: they begin with the first connection that is asked for by a name, as
//! `ssh` makes them when it connects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustle_session::{ForwardPlace, ForwardSide, HostForward, HostSetup};
use tokio::sync::OnceCell;

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
#[derive(Debug)]
struct OfName {
    host: HostId,
    made: Arc<OnceCell<Vec<Made>>>,
}

#[derive(Debug)]
struct Made {
    what: String,
    handle: Result<ForwardHandle>,
}

impl Configured {
    /// Makes those of a name, unless they are made already or were tried.
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
        if setup.forwards().is_empty() {
            return Ok(());
        }
        let made = {
            let mut names = self.names();
            let fresh = || OfName { host: host.id, made: Arc::default() };
            let of_name = names.entry(name.to_owned()).or_insert_with(fresh);
            if of_name.host != host.id {
                // The name means another host by now.
                *of_name = fresh();
            }
            Arc::clone(&of_name.made)
        };
        made.get_or_try_init(|| make_all(pool, name, host, setup)).await.map(drop)
    }

    /// Ends those to a host.
    pub(crate) fn end(&self, host: HostId) {
        self.names().retain(|_, of_name| of_name.host != host);
    }

    /// Ends those of a name, which means another host.
    pub(crate) fn end_of(&self, name: &str) {
        self.names().remove(name);
    }

    /// How it stands with those to a host.
    pub(crate) fn shown(&self, host: HostId) -> Vec<ConfiguredForward> {
        let names = self.names();
        let mut of_host: Vec<_> = names.iter().filter(|(_, of_name)| of_name.host == host).collect();
        of_host.sort_unstable_by_key(|(name, _)| name.as_str());
        let made = of_host.into_iter().filter_map(|(_, of_name)| of_name.made.get());
        made.flatten().map(Made::show).collect()
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, OfName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

async fn make_all(pool: &Pool, name: &str, host: &Arc<Known>, setup: &HostSetup) -> Result<Vec<Made>> {
    let mut all = Vec::new();
    for forward in setup.forwards() {
        let handle = make(pool, host, forward, setup).await;
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
    pool: &Pool,
    host: &Arc<Known>,
    forward: &HostForward,
    setup: &HostSetup,
) -> Result<ForwardHandle> {
    let handle = pool.forward_to(Arc::clone(host), Forward::configured(forward)).await?;
    if setup.exits_on_forward_failure() {
        handle.bound().await?;
    }
    Ok(handle)
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

//! Which hosts a pool knows, and which of their names mean the same.

use std::collections::HashMap;
use std::sync::Arc;

use rustle_session::HostSetup;

use crate::policy::event::HostId;

/// How one host is reached and logged in to. Whoever has the same shares its connections.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: HostId,
    pub(crate) name: String,
    pub(crate) setup: HostSetup,
}

/// The hosts of a pool. None is ever forgotten: a host has one number for as long as the pool is there.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    names: HashMap<String, Arc<Known>>,
    /// Those that were resolved, by all their settings.
    settings: HashMap<String, Arc<Known>>,
    /// All of them, by their numbers.
    all: Vec<Arc<Known>>,
}

impl Registry {
    /// The host of a registered name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Known>> {
        self.names.get(name).cloned()
    }

    /// The host with this number.
    pub(crate) fn numbered(&self, id: HostId) -> Option<Arc<Known>> {
        self.all.get(usize::try_from(id.0).ok()?).cloned()
    }

    /// Registers a name. A connection that was made by what it meant before is not used for it any more.
    pub(crate) fn register(&mut self, name: &str, setup: HostSetup) -> Arc<Known> {
        let known = self.known(name, setup);
        self.names.insert(name.to_owned(), Arc::clone(&known));
        known
    }

    /// The host of a name that was resolved to these settings.
    pub(crate) fn resolved(&mut self, name: &str, settings: String, setup: HostSetup) -> Arc<Known> {
        if let Some(known) = self.settings.get(&settings) {
            return Arc::clone(known);
        }
        let known = self.known(name, setup);
        self.settings.insert(settings, Arc::clone(&known));
        known
    }

    fn known(&mut self, name: &str, setup: HostSetup) -> Arc<Known> {
        let known = Arc::new(Known { id: HostId(self.all.len() as u64), name: name.to_owned(), setup });
        self.all.push(Arc::clone(&known));
        known
    }
}

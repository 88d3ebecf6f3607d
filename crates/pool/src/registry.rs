//! Which hosts a pool knows, and which of their names mean the same.

use std::collections::HashMap;
use std::sync::Arc;

use rustle_session::{HostIdentity, HostSetup};

use crate::policy::event::HostId;

/// How one host is reached and logged in to. Whoever has the same shares its connections.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) id: HostId,
    pub(crate) name: String,
    pub(crate) setup: HostSetup,
    /// The host that it is reached through.
    pub(crate) jump: Option<Arc<Self>>,
}

/// The hosts of a pool. None is ever forgotten: a host has one number for as long as the pool is there.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    names: HashMap<String, Arc<Known>>,
    /// Those that nobody registered, by all that says how they are reached and logged in to.
    found: HashMap<HostIdentity, Arc<Known>>,
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

    /// The host of a name that was resolved to this, or that another is reached through.
    pub(crate) fn found(&mut self, name: &str, setup: HostSetup) -> Arc<Known> {
        if let Some(known) = self.found.get(setup.identity()) {
            return Arc::clone(known);
        }
        let identity = setup.identity().clone();
        let known = self.known(name, setup);
        self.found.insert(identity, Arc::clone(&known));
        known
    }

    fn known(&mut self, name: &str, setup: HostSetup) -> Arc<Known> {
        let jump = setup.jump_host().map(|(name, setup)| (name.to_owned(), setup.clone()));
        let jump = jump.map(|(name, setup)| self.found(&name, setup));
        let known = Arc::new(Known { id: HostId(self.all.len() as u64), name: name.to_owned(), setup, jump });
        self.all.push(Arc::clone(&known));
        known
    }
}

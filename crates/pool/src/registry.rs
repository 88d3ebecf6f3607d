//! Which hosts a pool knows, and which of their names mean the same.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

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

/// The hosts of a pool. Each has a number that no other ever has; one that no name means any more is forgotten when nobody has
/// anything of it.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    names: HashMap<String, Arc<Known>>,
    /// Those that nobody registered, by all that says how they are reached and logged in to.
    found: HashMap<HostIdentity, Arc<Known>>,
    /// All of them, by their numbers, and some that are gone.
    all: HashMap<HostId, Weak<Known>>,
    next: u64,
    /// Those that are gone are looked for when there are more than this.
    most: usize,
}

/// So many that are gone are not worth looking for.
const FEW: usize = 64;

impl Registry {
    /// The host of a registered name.
    pub(crate) fn named(&self, name: &str) -> Option<Arc<Known>> {
        self.names.get(name).cloned()
    }

    /// The host with this number.
    pub(crate) fn numbered(&self, id: HostId) -> Option<Arc<Known>> {
        self.all.get(&id)?.upgrade()
    }

    /// Registers a name. A connection that was made by what it meant before is not used for it any more. Whether it meant
    /// something before.
    pub(crate) fn register(&mut self, name: &str, setup: HostSetup) -> bool {
        let known = self.known(name, setup);
        self.names.insert(name.to_owned(), known).is_some()
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
        let id = HostId(self.next);
        self.next += 1;
        let known = Arc::new(Known { id, name: name.to_owned(), setup, jump });
        if self.all.len() > self.most {
            self.all.retain(|_, known| known.strong_count() > 0);
            self.most = self.all.len() * 2 + FEW;
        }
        self.all.insert(id, Arc::downgrade(&known));
        known
    }
}

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

#[cfg(test)]
mod tests {
    use rustle_session::{
        AgentSource, BoxFuture, HostSetupBuilder, PromptError, PromptRequest, Prompter, SecretString,
    };

    use super::*;

    /// Has nobody to ask.
    struct Nobody;

    impl Prompter for Nobody {
        fn ask(&self, _: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
            Box::pin(std::future::ready(Err(PromptError::Unavailable)))
        }
    }

    fn web() -> HostSetupBuilder {
        HostSetup::builder("alice@web").without_config_files()
    }

    #[test]
    fn what_nobody_registered_is_one_host_by_what_it_is_and_not_by_its_name() {
        let mut registry = Registry::default();
        let person: Arc<dyn Prompter> = Arc::new(Nobody);
        let builders = [
            web(),
            web().port(2222),
            web().user("bob"),
            web().option("ProxyJump=bastion"),
            web().option("StrictHostKeyChecking=yes"),
            web().option("UserKnownHostsFile=hosts"),
            web().option("Ciphers=aes256-ctr"),
            web().identity("key"),
            web().agent(AgentSource::None),
            web().agent(AgentSource::Path("agent".into())),
            web().prompter(person),
            web().prompter(Arc::new(Nobody)),
        ];
        let found = |registry: &mut Registry, name: &str| {
            builders.each_ref().map(|one| registry.found(name, one.resolve().unwrap()).id)
        };
        let first = found(&mut registry, "web");
        assert_eq!(found(&mut registry, "www"), first);
        let different: std::collections::BTreeSet<_> = first.iter().collect();
        assert_eq!(different.len(), builders.len(), "{first:?}");
    }

    #[test]
    fn who_has_a_password_shares_with_the_clones_of_that_setup_alone() {
        let mut registry = Registry::default();
        let setup = |words: &str| web().password(SecretString::from(words.to_owned())).resolve().unwrap();
        let one = setup("wonderland");
        let id = registry.found("web", one.clone()).id;
        assert_eq!(registry.found("www", one).id, id);
        for other in [setup("mirror"), setup("wonderland"), web().resolve().unwrap()] {
            assert_ne!(registry.found("web", other).id, id);
        }
    }

    #[test]
    fn each_registered_name_is_a_host_of_its_own_and_those_on_the_way_are_shared() {
        let mut registry = Registry::default();
        let setup = web().option("ProxyJump=bastion").resolve().unwrap();
        for name in ["web", "www"] {
            registry.register(name, setup.clone());
        }
        let [web, www] = ["web", "www"].map(|name| registry.named(name).unwrap());
        assert_ne!(web.id, www.id);
        assert_eq!(web.jump.as_ref().unwrap().id, www.jump.as_ref().unwrap().id);
    }
}

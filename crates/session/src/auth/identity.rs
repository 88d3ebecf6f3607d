//! Which keys to offer, and in which order: a pure arrangement of what files and agent hold.
//!
//! The order is ssh's (`pubkey_prepare`): certificates named by the caller; agent keys that are also named
//! (or usual) files; the agent's other keys; then the files, each followed by the certificate beside it.

use std::path::PathBuf;
use std::sync::Arc;

use ssh_key::Certificate;

use super::agent::AgentIdentity;
use super::credentials::{Credentials, KeyOrigin};
use super::keys::{KeyFile, Opened, read_certificate};
use super::offer::Offer;
use super::problem::{Fault, KeyProblem};

/// One key to offer.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// What to show the server; unknown for an encrypted file that hides even its public half.
    pub(crate) offer: Option<Offer>,
    pub(crate) signer: Signer,
    /// How messages name it: a path, or the agent's comment.
    pub(crate) label: String,
}

/// Who signs.
#[derive(Debug, Clone)]
pub(crate) enum Signer {
    File(Arc<KeyFile>),
    /// The agent, by the blob it knows the key by.
    Agent(Vec<u8>),
}

/// What the files hold.
#[derive(Debug, Default)]
pub(crate) struct Found {
    keys: Vec<FoundKey>,
    certificates: Vec<(String, Certificate)>,
    pub(crate) problems: Vec<KeyProblem>,
}

#[derive(Debug)]
struct FoundKey {
    label: String,
    opened: Opened,
    beside: Option<(PathBuf, Certificate)>,
}

impl FoundKey {
    fn offer(&self) -> Option<Offer> {
        match &self.opened {
            Opened::Private(file) => file.public().cloned().map(Offer::Key),
            Opened::Public(key) => Some(Offer::Key(key.clone())),
        }
    }
}

impl Found {
    /// Opens the files that `credentials` name, or the usual ones. Blocks.
    pub(crate) fn from_files(credentials: &Credentials) -> Self {
        let mut found = Self::default();
        for path in &credentials.certificates {
            match read_certificate(path) {
                Ok(certificate) => found.certificates.push((path.display().to_string(), certificate)),
                Err(problem) => found.problems.push(problem),
            }
        }
        if credentials.keys.is_empty() {
            for path in &credentials.default_keys {
                found.open(&KeyOrigin::File(path.clone()), true, credentials);
            }
        } else {
            for origin in &credentials.keys {
                found.open(origin, false, credentials);
            }
        }
        found
    }

    fn open(&mut self, origin: &KeyOrigin, usual: bool, credentials: &Credentials) {
        let opened = match KeyFile::open(origin) {
            Ok(opened) => opened,
            // Nobody said that the usual files exist.
            Err(problem) if usual && matches!(problem.fault(), Fault::Missing) => return,
            Err(problem) => return self.problems.push(problem),
        };
        let mut beside = None;
        let mut label = origin.path().map(|path| path.display().to_string()).unwrap_or_default();
        if let Opened::Private(file) = &opened {
            label = file.label().to_owned();
            // As ssh: a certificate that was named makes the ones beside key files unwanted.
            if credentials.certificates.is_empty() {
                match file.certificate_beside() {
                    Ok(certificate) => beside = certificate,
                    Err(problem) => self.problems.push(problem),
                }
            }
        }
        self.keys.push(FoundKey { label, opened, beside });
    }
}

/// Arranges what was found for offering; what cannot be offered goes to the problems returned.
pub(crate) fn arrange(
    found: Found,
    agent: Vec<AgentIdentity>,
    identities_only: bool,
) -> (Vec<Identity>, Vec<KeyProblem>) {
    let Found { keys, certificates, problems } = found;
    let mut list = List { identities: Vec::new(), problems };
    let agent: Vec<_> = agent.into_iter().filter(|identity| !identity.offer.is_for_hosts()).collect();

    for (label, certificate) in certificates {
        list.add_certificate(label, certificate, &keys, &agent);
    }
    let mut held_by_agent = vec![false; keys.len()];
    for identity in &agent {
        let named = keys.iter().position(|key| {
            let same = |offer: &Offer| offer.same_as(&identity.offer);
            key.offer().is_some_and(|offer| same(&offer))
        });
        if let Some(index) = named {
            held_by_agent[index] = true;
            list.add(identity.offer.clone(), Signer::Agent(identity.blob.clone()), keys[index].label.clone());
        }
    }
    if !identities_only {
        for identity in &agent {
            let label = format!("{} (agent)", identity.comment);
            list.add(identity.offer.clone(), Signer::Agent(identity.blob.clone()), label);
        }
    }
    for (key, held) in keys.into_iter().zip(held_by_agent) {
        list.add_file(key, held, &agent);
    }
    (list.identities, list.problems)
}

struct List {
    identities: Vec<Identity>,
    problems: Vec<KeyProblem>,
}

impl List {
    /// Adds `offer`, unless the server would be shown the same thing a second time.
    fn add(&mut self, offer: Offer, signer: Signer, label: String) {
        let known = |identity: &Identity| identity.offer.as_ref().is_some_and(|known| known.same_as(&offer));
        if !self.identities.iter().any(known) {
            self.identities.push(Identity { offer: Some(offer), signer, label });
        }
    }

    fn add_certificate(
        &mut self,
        label: String,
        certificate: Certificate,
        keys: &[FoundKey],
        agent: &[AgentIdentity],
    ) {
        let offer = Offer::Certificate(Box::new(certificate));
        if offer.is_for_hosts() {
            return self.problems.push(KeyProblem::new(&label, Fault::HostCertificate));
        }
        let in_files = || {
            keys.iter().find_map(|key| match &key.opened {
                Opened::Private(file) if !file.is_security_key() => {
                    let public = file.public()?;
                    (public.key_data() == offer.key_data()).then(|| Signer::File(Arc::clone(file)))
                }
                _ => None,
            })
        };
        match in_agent(&offer, agent).or_else(in_files) {
            Some(signer) => self.add(offer, signer, label),
            None => self.problems.push(KeyProblem::new(&label, Fault::NoPrivateKey)),
        }
    }

    fn add_file(&mut self, key: FoundKey, held_by_agent: bool, agent: &[AgentIdentity]) {
        let offer = key.offer();
        let file = match key.opened {
            Opened::Private(file) => file,
            Opened::Public(_) if held_by_agent => return,
            Opened::Public(_) => {
                return self.problems.push(KeyProblem::new(&key.label, Fault::PublicFile));
            }
        };
        let usable = !file.is_security_key();
        match offer {
            _ if held_by_agent => {}
            _ if !usable => self.problems.push(KeyProblem::new(&key.label, Fault::SecurityKey)),
            Some(offer) => self.add(offer, Signer::File(Arc::clone(&file)), key.label.clone()),
            None => self.identities.push(Identity {
                offer: None,
                signer: Signer::File(Arc::clone(&file)),
                label: key.label.clone(),
            }),
        }
        let Some((path, certificate)) = key.beside else { return };
        let label = path.display().to_string();
        let offer = Offer::Certificate(Box::new(certificate));
        if offer.is_for_hosts() {
            return self.problems.push(KeyProblem::new(&label, Fault::HostCertificate));
        }
        if file.public().is_some_and(|public| public.key_data() != offer.key_data()) {
            return self.problems.push(KeyProblem::new(&label, Fault::NoPrivateKey));
        }
        match in_agent(&offer, agent) {
            Some(signer) => self.add(offer, signer, label),
            None if usable => self.add(offer, Signer::File(file), label),
            None => {}
        }
    }
}

/// The agent's means to sign for `offer`: the same thing, or the plain key of a certificate.
fn in_agent(offer: &Offer, agent: &[AgentIdentity]) -> Option<Signer> {
    let plain = agent
        .iter()
        .find(|identity| !identity.offer.is_certificate() && identity.offer.key_data() == offer.key_data());
    let same = || agent.iter().find(|identity| identity.offer.same_as(offer));
    plain.or_else(same).map(|identity| Signer::Agent(identity.blob.clone()))
}

#[cfg(test)]
mod tests;

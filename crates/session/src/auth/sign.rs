//! Signing with a key file or an agent, at the moment the server asks for it.

use std::sync::Arc;
use std::time::Duration;

use ssh_key::HashAlg;

use super::agent::{Agent, AgentError, SignFlags};
use super::deadline::NetworkClock;
use super::driver::blocking;
use super::hand_over::{KeysToAgent, hand_over};
use super::identity::{Identity, Signer};
use super::person::{Locked, Person};
use super::problem::KeyProblem;
use super::wire::{NotSigned, Sign};
use crate::BoxFuture;
use crate::base::keys;

/// Signs with one identity. The network's clock stands still meanwhile: what takes time here is a person, or
/// this machine.
pub(crate) struct KeySigner<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) hash: Option<HashAlg>,
    pub(crate) agent: &'a mut Option<Agent>,
    pub(crate) person: &'a Person<'a>,
    pub(crate) clock: &'a NetworkClock,
    /// Whether the agent gets the key.
    pub(crate) to_agent: Option<KeysToAgent>,
    /// What was wrong with the key file, if that is why there is no signature.
    pub(crate) problem: Option<KeyProblem>,
}

impl Sign for KeySigner<'_> {
    fn sign<'a>(&'a mut self, data: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, NotSigned>> {
        Box::pin(async move {
            let _person = self.clock.pause();
            match &self.identity.signer {
                Signer::Agent(blob) => {
                    sign_by_agent(self.agent, blob, data, self.hash, self.person.limit()).await
                }
                Signer::File(file) => match self.person.unlock(Arc::clone(file)).await {
                    Ok(key) => {
                        if let (Some(terms), true) = (self.to_agent, file.is_in_a_file()) {
                            hand_over(&key, file.label(), terms, self.agent, self.person).await;
                        }
                        let failed = |why: String| NotSigned::Failed(format!("{}: {why}", file.label()));
                        if keys::is_quick(&key.algorithm()) {
                            return keys::sign(&key, self.hash, data).map_err(|why| failed(why.to_string()));
                        }
                        let (hash, data) = (self.hash, data.to_vec());
                        let signed = blocking(move || keys::sign(&key, hash, &data)).await;
                        signed
                            .map_err(|_| failed("signing did not end".to_owned()))?
                            .map_err(|why| failed(why.to_string()))
                    }
                    Err(Locked::Cancelled(why)) => Err(NotSigned::Cancelled(why)),
                    Err(Locked::Problem(problem)) => {
                        let why = problem.to_string();
                        self.problem = Some(problem);
                        Err(NotSigned::Failed(why))
                    }
                },
            }
        })
    }
}

async fn sign_by_agent(
    slot: &mut Option<Agent>,
    blob: &[u8],
    data: &[u8],
    hash: Option<HashAlg>,
    limit: Duration,
) -> Result<Vec<u8>, NotSigned> {
    // Taken out while it works: half a message behind, it is of no more use.
    let Some(mut agent) = slot.take() else {
        return Err(NotSigned::Failed("the agent is gone".to_owned()));
    };
    let flags = match hash {
        Some(HashAlg::Sha256) => SignFlags::RsaSha256,
        Some(HashAlg::Sha512) => SignFlags::RsaSha512,
        _ => SignFlags::None,
    };
    match agent.sign(blob, data, flags, limit).await {
        Ok(signature) => {
            *slot = Some(agent);
            Ok(signature)
        }
        Err(error) => {
            if matches!(error, AgentError::Refused) {
                *slot = Some(agent);
            }
            Err(NotSigned::Failed(error.to_string()))
        }
    }
}

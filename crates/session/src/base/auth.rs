//! Authentication requests, each answered by one reply of the server.

use std::time::Duration;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::{MethodSet, Signer};
use secrecy::{ExposeSecret, SecretString};
use ssh_key::HashAlg;
use tokio::time::{Instant, timeout};

use crate::auth::agent::AgentBinding;
use crate::auth::offer::Offer;
use crate::auth::wire::{
    AuthReply, KeyReply, KeyboardReply, Lost, NotSigned, RsaHashes, Sign, Wire, WirePrompt,
};
use crate::base::handler::Handler;
use crate::base::{CloseReason, Transport};

/// How long to ask the loop for the list of signature algorithms. The list itself comes right after the key
/// exchange (RFC 8308 section 2.4), so once `none` has been answered it is there or will not come, and
/// the base's own second of waiting would be lost on every server that sends none. A login that begins with a key has
/// no such answer: there a list that takes longer than this is as good as none.
const SIG_ALGS_WAIT: Duration = Duration::from_millis(100);

impl Wire for Transport {
    async fn auth_none(&mut self, user: &str) -> Result<AuthReply, Lost> {
        let asked = Instant::now();
        let reply = self.handle.authenticate_none(user).await;
        self.auth_reply(reply, asked).await
    }

    async fn auth_password(&mut self, user: &str, password: &SecretString) -> Result<AuthReply, Lost> {
        // The base wants a `String` of its own, and wipes it; what it writes to its packet buffer it does not.
        let asked = Instant::now();
        let reply = self.handle.authenticate_password(user, password.expose_secret()).await;
        self.auth_reply(reply, asked).await
    }

    async fn auth_keyboard_start(&mut self, user: &str) -> Result<KeyboardReply, Lost> {
        let asked = Instant::now();
        let reply = self.handle.authenticate_keyboard_interactive_start(user, None).await;
        self.keyboard_reply(reply, asked).await
    }

    async fn auth_keyboard_respond(&mut self, answers: &[SecretString]) -> Result<KeyboardReply, Lost> {
        let answers = answers.iter().map(|answer| answer.expose_secret().to_owned()).collect();
        let asked = Instant::now();
        let reply = self.handle.authenticate_keyboard_interactive_respond(answers).await;
        self.keyboard_reply(reply, asked).await
    }

    async fn auth_key(
        &mut self,
        user: &str,
        offer: &Offer,
        hash: Option<HashAlg>,
        signer: &mut dyn Sign,
    ) -> Result<KeyReply, Lost> {
        let mut signer = Adapter(signer);
        let asked = Instant::now();
        // All keys go through a signer of ours: the base signs with its own only after it has committed to
        // the attempt (a failure ends the connection), and would sign RSA certificates with SHA-1.
        let reply = match offer {
            Offer::Key(key) => {
                self.handle.authenticate_publickey_with(user, key.clone(), hash, &mut signer).await
            }
            Offer::Certificate(certificate) => {
                let certificate = certificate.as_ref().clone();
                self.handle.authenticate_certificate_with(user, certificate, hash, &mut signer).await
            }
        };
        match reply {
            Ok(result) => self.result(result, asked).await.map(KeyReply::Answered),
            Err(SignerError::NotSigned(why)) => Ok(KeyReply::NotSigned(why)),
            Err(SignerError::Gone) => Err(self.lost().await),
        }
    }

    async fn rsa_hashes(&mut self) -> Result<RsaHashes, Lost> {
        match timeout(SIG_ALGS_WAIT, self.handle.best_supported_rsa_hash()).await {
            Err(_) | Ok(Ok(None)) => Ok(RsaHashes::Unknown),
            Ok(Ok(Some(hash))) => Ok(RsaHashes::Best(hash)),
            Ok(Err(_)) => Err(self.lost().await),
        }
    }

    fn agent_binding(&self) -> Option<AgentBinding> {
        binding(&self.handle)
    }
}

/// The proof of the first key exchange, for an agent.
pub(super) fn binding(handle: &Handle<Handler>) -> Option<AgentBinding> {
    handle.agent_session_binding().map(|binding| AgentBinding {
        host_key: binding.host_key().to_vec(),
        session_id: binding.session_id().to_vec(),
        signature: binding.signature().to_vec(),
    })
}

impl Transport {
    async fn auth_reply(
        &self,
        reply: Result<AuthResult, russh::Error>,
        asked: Instant,
    ) -> Result<AuthReply, Lost> {
        match reply {
            Ok(result) => self.result(result, asked).await,
            Err(_) => Err(self.lost().await),
        }
    }

    async fn result(&self, result: AuthResult, asked: Instant) -> Result<AuthReply, Lost> {
        self.shared.round_trip.answered(asked.elapsed());
        match result {
            AuthResult::Success => Ok(AuthReply::Success),
            AuthResult::Failure { remaining_methods, partial_success } => {
                self.failure(&remaining_methods, partial_success).await
            }
        }
    }

    async fn keyboard_reply(
        &self,
        reply: Result<KeyboardInteractiveAuthResponse, russh::Error>,
        asked: Instant,
    ) -> Result<KeyboardReply, Lost> {
        if reply.is_ok() {
            self.shared.round_trip.answered(asked.elapsed());
        }
        match reply {
            Ok(KeyboardInteractiveAuthResponse::Success) => Ok(KeyboardReply::Done(AuthReply::Success)),
            Ok(KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success }) => {
                self.failure(&remaining_methods, partial_success).await.map(KeyboardReply::Done)
            }
            Ok(KeyboardInteractiveAuthResponse::InfoRequest { name, instructions, prompts }) => {
                let prompts = prompts
                    .into_iter()
                    .map(|prompt| WirePrompt { text: prompt.prompt, echo: prompt.echo })
                    .collect();
                Ok(KeyboardReply::Asked { name, instruction: instructions, prompts })
            }
            Err(_) => Err(self.lost().await),
        }
    }

    /// A refusal, or the end of the connection: the base reports both as a failure without methods.
    async fn failure(&self, remaining: &MethodSet, partial: bool) -> Result<AuthReply, Lost> {
        let remaining: Vec<String> = remaining.iter().map(String::from).collect();
        if !remaining.is_empty() {
            return Ok(AuthReply::Failure { remaining, partial });
        }
        // A true refusal without methods makes the base hang up as well, and it says so as its reason.
        match self.lost().await {
            Lost { reason: CloseReason::Protocol(text) } if text == no_methods() => {
                Ok(AuthReply::Failure { remaining, partial })
            }
            lost => Err(lost),
        }
    }

    async fn lost(&self) -> Lost {
        self.gone().await;
        Lost { reason: self.close_reason() }
    }
}

fn no_methods() -> String {
    russh::Error::NoAuthMethod.to_string()
}

/// Hands the base's question for a signature on to ours.
struct Adapter<'a>(&'a mut dyn Sign);

enum SignerError {
    NotSigned(NotSigned),
    Gone,
}

impl From<russh::SendError> for SignerError {
    fn from(_: russh::SendError) -> Self {
        Self::Gone
    }
}

impl Signer for Adapter<'_> {
    type Error = SignerError;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let signature = self.0.sign(&data).await.map_err(SignerError::NotSigned)?;
        // The base sends what it gave, and after it the signature as one string (RFC 4252 section 7).
        let length = u32::try_from(signature.len()).map_err(|_| {
            SignerError::NotSigned(NotSigned::Failed("the signature is far too long".to_owned()))
        })?;
        data.extend_from_slice(&length.to_be_bytes());
        data.extend_from_slice(&signature);
        Ok(data)
    }
}

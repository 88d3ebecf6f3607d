//! What the flow of authentication needs of a connection; the base is one, the tests bring another.

use std::future::Future;

use secrecy::SecretString;
use ssh_key::HashAlg;

use super::agent::AgentBinding;
use super::offer::Offer;
use crate::BoxFuture;
use crate::base::CloseReason;

/// One request of authentication at a time, each with its reply.
///
/// # Cancel safety
/// None of these is safe to drop and go on: the reply to a dropped request would be taken for the next
/// one's. Whoever drops one drops the connection.
pub(crate) trait Wire: Send {
    fn auth_none(&mut self, user: &str) -> impl Future<Output = Result<AuthReply, Lost>> + Send;

    fn auth_password(
        &mut self,
        user: &str,
        password: &SecretString,
    ) -> impl Future<Output = Result<AuthReply, Lost>> + Send;

    fn auth_keyboard_start(&mut self, user: &str)
    -> impl Future<Output = Result<KeyboardReply, Lost>> + Send;

    fn auth_keyboard_respond(
        &mut self,
        answers: &[SecretString],
    ) -> impl Future<Output = Result<KeyboardReply, Lost>> + Send;

    /// Offers a key, and only where the server would take it asks `signer` for a signature.
    fn auth_key(
        &mut self,
        user: &str,
        offer: &Offer,
        hash: Option<HashAlg>,
        signer: &mut dyn Sign,
    ) -> impl Future<Output = Result<KeyReply, Lost>> + Send;

    /// Which hashes the server takes from RSA keys; to be asked after `none` was answered.
    fn rsa_hashes(&mut self) -> impl Future<Output = Result<RsaHashes, Lost>> + Send;

    fn agent_binding(&self) -> Option<AgentBinding>;
}

/// The server's answer to an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthReply {
    Success,
    /// Refused, or (`partial`) right but not enough; `remaining` may continue. Names that the base does not
    /// know are missing from it.
    Failure {
        remaining: Vec<String>,
        partial: bool,
    },
}

/// The server's answer in keyboard-interactive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyboardReply {
    Done(AuthReply),
    Asked { name: String, instruction: String, prompts: Vec<WirePrompt> },
}

/// A question as the server sent it, unclean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WirePrompt {
    pub(crate) text: String,
    pub(crate) echo: bool,
}

/// What came of offering a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyReply {
    Answered(AuthReply),
    /// The server would take the key, but it did not sign.
    NotSigned(NotSigned),
}

/// Why there is no signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotSigned {
    /// It could not be made; the text says why.
    Failed(String),
    /// A person declined, or did not answer.
    Cancelled(String),
}

/// What a server said about RSA keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RsaHashes {
    /// Nothing (RFC 8308 is not spoken).
    Unknown,
    /// The best it takes; `None` is SHA-1.
    Best(Option<HashAlg>),
}

/// The connection ended in the middle of authentication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) reason: CloseReason,
}

/// Makes signatures; asked only when the server would take the key.
pub(crate) trait Sign: Send {
    /// The signature blob over `data`: the algorithm's name, then the signature itself.
    fn sign<'a>(&'a mut self, data: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, NotSigned>>;
}

//! The raw peer's side of authentication (RFC 4252, RFC 4256), decided as the first personality decides it.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;
use russh::{
    keys::{Algorithm, Certificate, PublicKey, signature::Verifier, ssh_key::Signature},
    server::Auth,
};

use crate::{
    auth::Proof,
    connection::Connection,
    entrance::Entrance,
    handler::HandlerError,
    raw::{
        conversation::Heard,
        faults::{Point, Wrong},
        message,
        peer::disconnect,
        transport::{Broken, user_signatures},
        wire::{Reader, Writer},
    },
    record::AuthOutcome,
    user::{Method, PasswordCheck},
};

/// SSH_DISCONNECT_NO_MORE_AUTH_METHODS_AVAILABLE, RFC 4253 section 11.1.
const NO_MORE_METHODS: u32 = 14;

/// What is asked of whoever shows a password that has expired.
const EXPIRED: &str = "Your password has expired. New password: ";

/// What is asked of whoever shows a new password that will not do.
const ANOTHER: &str = "It must be another one. New password: ";

/// How far the login on one connection has got.
pub(crate) struct Login {
    connection: Arc<Connection>,
    entrance: Entrance,
    /// Who was asked questions.
    asked: String,
    refused: usize,
    state: State,
    banner: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Strange,
    /// Questions have been asked.
    Asked,
    Known,
}

/// A key, or a certificate, that a client shows.
enum Shown {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

impl Login {
    pub(crate) fn new(connection: Arc<Connection>) -> Self {
        let banner = connection.shared.settings.banner.clone();
        Self {
            entrance: Entrance::new(Arc::clone(&connection)),
            connection,
            asked: String::new(),
            refused: 0,
            state: State::Strange,
            banner,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Known
    }

    pub(crate) fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    /// A `USERAUTH_REQUEST`.
    pub(crate) async fn request(
        &mut self,
        payload: &[u8],
        session: &[u8],
        client: &[u8],
    ) -> Result<Heard, HandlerError> {
        if self.is_over() {
            // RFC 4252 section 5.1: to be ignored without a word.
            return Ok(Heard::nothing());
        }
        // RFC 4256 section 3.1: another request ends the conversation, whatever becomes of it.
        if self.state == State::Asked {
            self.state = State::Strange;
        }
        let limit = self.connection.shared.settings.auth_attempts;
        if limit > 0 && self.refused >= limit {
            return Ok(Heard::Farewell(vec![disconnect(
                NO_MORE_METHODS,
                "Too many authentication failures",
            )]));
        }
        let malformed = || Broken::new("a USERAUTH_REQUEST cannot be read");
        let mut reader = Reader::new(payload);
        reader.byte();
        let user = reader.text().ok_or_else(malformed)?.to_owned();
        let service = reader.string().ok_or_else(malformed)?;
        let method = reader.string().ok_or_else(malformed)?;
        if service != b"ssh-connection" {
            return Err(Broken::new("a login for a service there is not").into());
        }
        let mut answers: Vec<Vec<u8>> = self.banner.take().into_iter().map(|text| banner(&text)).collect();
        let answer = match method {
            b"none" => self.decide(&user, Proof::None, client).await?,
            b"password" => self.password(&user, &mut reader, client).await?.ok_or_else(malformed)?,
            b"publickey" => {
                let signed_part = payload.len();
                self.key(&user, payload, signed_part, reader, session, client).await?.ok_or_else(malformed)?
            }
            b"keyboard-interactive" => self.decide(&user, Proof::Answers(None), client).await?,
            _ => {
                self.entrance.count_unknown();
                self.refused += 1;
                self.refusal()
            }
        };
        answers.push(answer);
        Ok(Heard::Answers(answers))
    }

    /// A `USERAUTH_INFO_RESPONSE`.
    pub(crate) async fn response(&mut self, payload: &[u8], client: &[u8]) -> Result<Heard, HandlerError> {
        if self.state != State::Asked {
            return Err(Broken::new("an answer to questions that were not asked").into());
        }
        let mut reader = Reader::new(payload);
        reader.byte();
        let malformed = || Broken::new("an INFO_RESPONSE cannot be read");
        let count = reader.u32().ok_or_else(malformed)?;
        let mut answers = Vec::new();
        for _ in 0..count {
            let answer = reader.string().ok_or_else(malformed)?;
            answers.push(Bytes::copy_from_slice(answer));
        }
        let user = self.asked.clone();
        Ok(Heard::Answers(vec![self.decide(&user, Proof::Answers(Some(answers)), client).await?]))
    }

    /// RFC 4252 section 8.
    async fn password(
        &mut self,
        user: &str,
        reader: &mut Reader<'_>,
        client: &[u8],
    ) -> Result<Option<Vec<u8>>, HandlerError> {
        let (Some(changes), Some(password)) = (reader.boolean(), reader.string()) else { return Ok(None) };
        let Ok(password) = std::str::from_utf8(password) else {
            // Nobody has one that is no text: it is wrong.
            self.entrance.count(user, Method::Password, AuthOutcome::Refused);
            self.refused += 1;
            return Ok(Some(self.refusal()));
        };
        let shared = Arc::clone(&self.connection.shared);
        let worth = self.entrance.look_at_password(user, password);
        let new = match changes {
            true => Some(reader.text().ok_or_else(|| Broken::new("a new password that is no text"))?),
            false => None,
        };
        let asks = match (worth, new) {
            (PasswordCheck::Wrong, _) => None,
            (_, Some(new)) if new.is_empty() || new == password => Some(ANOTHER.to_owned()),
            (_, Some(new)) => {
                let proof = Proof::NewPassword { current: password, new };
                return self.decide(user, proof, client).await.map(Some);
            }
            (worth, None) => {
                let wrongs = shared.wrongs(self.connection.number, Point::Password);
                let asked = wrongs.into_iter().find_map(|wrong| match wrong {
                    Wrong::ChangePassword { prompt } => Some(prompt),
                    _ => None,
                });
                asked.or_else(|| (worth == PasswordCheck::Expired).then(|| EXPIRED.to_owned()))
            }
        };
        if let Some(prompt) = asks {
            self.entrance.count(user, Method::Password, AuthOutcome::Asked);
            let change =
                Writer::message(message::USERAUTH_PASSWD_CHANGEREQ).string(prompt).string("").finish();
            return Ok(Some(change));
        }
        self.decide(user, Proof::Password(password), client).await.map(Some)
    }

    /// RFC 4252 section 7.
    async fn key(
        &mut self,
        user: &str,
        payload: &[u8],
        length: usize,
        mut reader: Reader<'_>,
        session: &[u8],
        client: &[u8],
    ) -> Result<Option<Vec<u8>>, HandlerError> {
        let (Some(signed), Some(algorithm), Some(blob)) = (reader.boolean(), reader.text(), reader.string())
        else {
            return Ok(None);
        };
        let Some(shown) = Shown::read(algorithm, blob) else { return Ok(Some(self.refused_key(user))) };
        if !signed {
            let decision = self.decision(user, Proof::KeyOffer(&shown.key())).await?;
            return Ok(Some(match decision {
                Auth::Accept => {
                    Writer::message(message::USERAUTH_PK_OK).string(algorithm).string(blob).finish()
                }
                other => self.answer(other, client),
            }));
        }
        let before_signature = length - reader.rest().len();
        let Some(signature) = reader.string() else { return Ok(None) };
        let text =
            Writer::bare().string(session).raw(payload.get(..before_signature).unwrap_or_default()).finish();
        if !shown.verifies(algorithm, &text, signature) {
            return Ok(Some(self.refused_key(user)));
        }
        match &shown {
            Shown::Key(key) => self.decide(user, Proof::Key(key), client).await.map(Some),
            Shown::Certificate(certificate) => {
                self.decide(user, Proof::Certificate(certificate), client).await.map(Some)
            }
        }
    }

    async fn decide(&mut self, user: &str, proof: Proof<'_>, client: &[u8]) -> Result<Vec<u8>, HandlerError> {
        let decision = self.decision(user, proof).await?;
        Ok(self.answer(decision, client))
    }

    async fn decision(&mut self, user: &str, proof: Proof<'_>) -> Result<Auth, HandlerError> {
        let decision = self.entrance.authenticate(user, proof).await?;
        if matches!(decision, Auth::Reject { partial_success: false, .. }) {
            self.refused += 1;
        }
        user.clone_into(&mut self.asked);
        Ok(decision)
    }

    fn answer(&mut self, decision: Auth, client: &[u8]) -> Vec<u8> {
        self.state = State::Strange;
        match decision {
            Auth::Accept => {
                self.state = State::Known;
                self.connection.logged_in();
                let keeper = &self.connection.shared.keeper;
                keeper.logged_in(self.connection.number, self.entrance.user(), client);
                vec![message::USERAUTH_SUCCESS]
            }
            Auth::Partial { name, instructions, prompts } => {
                self.state = State::Asked;
                let count = u32::try_from(prompts.len()).unwrap_or(u32::MAX);
                let begin = Writer::message(message::USERAUTH_INFO_REQUEST)
                    .string(name.as_bytes())
                    .string(instructions.as_bytes())
                    .string("")
                    .u32(count);
                let ask = |writer: Writer, (text, echo): &(std::borrow::Cow<'_, str>, bool)| {
                    writer.string(text.as_bytes()).boolean(*echo)
                };
                prompts.iter().fold(begin, ask).finish()
            }
            Auth::Reject { proceed_with_methods: Some(methods), partial_success } => {
                let names: Vec<String> =
                    methods.iter().map(|method| <&str>::from(method).to_owned()).collect();
                failure(&names, partial_success)
            }
            _ => self.refusal(),
        }
    }

    /// A key that cannot be read, or did not sign.
    fn refused_key(&mut self, user: &str) -> Vec<u8> {
        self.entrance.count(user, Method::PublicKey, AuthOutcome::Refused);
        self.refused += 1;
        self.refusal()
    }

    fn refusal(&self) -> Vec<u8> {
        let methods = self.connection.shared.accounts.methods();
        let names: Vec<String> = methods.iter().map(Method::to_string).collect();
        failure(&names, false)
    }
}

impl Shown {
    /// What is to sign by this algorithm; nothing, where it does not or nobody here could tell.
    fn read(algorithm: &str, blob: &[u8]) -> Option<Self> {
        let shown = Self::decode(algorithm, blob)?;
        let plain = without_certificate(algorithm);
        let signs = match shown.key().algorithm() {
            Algorithm::Rsa { .. } => plain.starts_with("rsa-sha2-"),
            other => other.as_str() == plain,
        };
        (signs && user_signatures().iter().any(|known| known == plain)).then_some(shown)
    }

    fn decode(algorithm: &str, blob: &[u8]) -> Option<Self> {
        if algorithm.ends_with(CERTIFICATE) {
            let certificate = Certificate::from_bytes(blob).ok()?;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
            let in_time = (certificate.valid_after()..certificate.valid_before()).contains(&now);
            (in_time && certificate.verify_signature().is_ok())
                .then(|| Self::Certificate(Box::new(certificate)))
        } else {
            PublicKey::from_bytes(blob).ok().map(Self::Key)
        }
    }

    fn key(&self) -> PublicKey {
        match self {
            Self::Key(key) => key.clone(),
            Self::Certificate(certificate) => PublicKey::from(certificate.public_key().clone()),
        }
    }

    /// Whether this is a signature by the key, of the algorithm named.
    fn verifies(&self, algorithm: &str, text: &[u8], signature: &[u8]) -> bool {
        let Ok(signature) = Signature::try_from(signature) else { return false };
        signature.algorithm().as_str() == without_certificate(algorithm)
            && self.key().key_data().verify(text, &signature).is_ok()
    }
}

/// A certificate's algorithm is that of the signature, with this.
const CERTIFICATE: &str = "-cert-v01@openssh.com";

fn without_certificate(algorithm: &str) -> &str {
    algorithm.strip_suffix(CERTIFICATE).unwrap_or(algorithm)
}

fn banner(text: &str) -> Vec<u8> {
    Writer::message(message::USERAUTH_BANNER).string(text).string("").finish()
}

fn failure(methods: &[String], partial_success: bool) -> Vec<u8> {
    Writer::message(message::USERAUTH_FAILURE).names(methods).boolean(partial_success).finish()
}

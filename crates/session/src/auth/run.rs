//! The flow of authentication: what the order says, carried out on a connection.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use ssh_key::HashAlg;

use super::agent::{Agent, AgentError, AgentIdentity, Lent};
use super::credentials::{AgentSource, AuthMethod, Credentials};
use super::deadline::{DeadlinePassed, Limits, NetworkClock, for_a_person};
use super::driver::blocking;
use super::identity::{Found, Identity, Signer, arrange};
use super::offer::Offer;
use super::order::{Means, Order, PasswordFrom, Step};
use super::person::{Answered, Locked, Person};
use super::prompt::{Echo, Lines, PromptKind, sanitised};
use super::report::{Ending, Outcome, Report};
use super::sign::KeySigner;
use super::wire::{AuthReply, KeyReply, KeyboardReply, Lost, NotSigned, RsaHashes, Wire, WirePrompt};
use crate::BoxFuture;
use crate::error::Error;

/// More questions at once than any dialogue with a person has; PAM asks one or two.
const MAX_PROMPTS: usize = 64;

/// How somebody got in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthSuccess {
    /// The methods that were needed, joined by commas: `publickey`, `password,keyboard-interactive`.
    pub(crate) method: String,
    /// The key or certificate of the last one, never a secret: `SHA256:… (/home/me/.ssh/id_ed25519)`.
    pub(crate) detail: Option<String>,
    /// Whether a person answered something.
    pub(crate) asked: bool,
}

/// How nobody got in.
#[derive(Debug)]
pub(crate) struct AuthFailure {
    pub(crate) error: Error,
    /// What the server would still take on this connection; empty if the connection is of no more use.
    pub(crate) may_continue: Vec<String>,
}

/// How the agent named by the credentials is reached.
pub(crate) type Connect = for<'a> fn(&'a AgentSource) -> BoxFuture<'a, Result<Option<Agent>, AgentError>>;

/// Logs `user` in, by what `credentials` hold, within `limits`.
///
/// `target` names the host in messages and questions.
///
/// # Cancel safety
/// Not safe to go on with `wire` after a drop: the reply to the request under way would be taken for the
/// next one's. Dropped in the middle of a password, the server may have seen it.
pub(crate) async fn authenticate<W: Wire>(
    wire: &mut W,
    connect_agent: Connect,
    user: &str,
    credentials: &Credentials,
    target: &str,
    limits: Limits,
) -> Result<AuthSuccess, AuthFailure> {
    let host = target.strip_prefix(user).and_then(|rest| rest.strip_prefix('@')).unwrap_or(target);
    let mut flow = Flow {
        wire,
        connect_agent,
        user,
        credentials,
        person: Person::new(credentials, host, user, limits.person),
        clock: NetworkClock::new(limits.network),
        report: Report::default(),
        identities: Vec::new(),
        agent: None,
        rsa: None,
    };
    match flow.run().await {
        Ok(success) => Ok(AuthSuccess { asked: flow.person.was_asked(), ..success }),
        Err(ending) => {
            let may_continue = match &ending {
                Ending::Exhausted { offered } => offered.clone(),
                _ => Vec::new(),
            };
            Err(AuthFailure { error: flow.report.into_error(ending, user, target), may_continue })
        }
    }
}

struct Flow<'a, W> {
    wire: &'a mut W,
    connect_agent: Connect,
    user: &'a str,
    credentials: &'a Credentials,
    person: Person<'a>,
    clock: NetworkClock,
    report: Report,
    identities: Vec<Identity>,
    agent: Option<Agent>,
    rsa: Option<RsaHashes>,
}

/// What came of one step.
enum Did {
    /// The server answered; `detail` is what to remember of the attempt.
    Answered { reply: AuthReply, detail: Option<String>, method: &'static str },
    /// Nothing was sent that counts.
    Nothing,
}

impl<W: Wire> Flow<'_, W> {
    async fn run(&mut self) -> Result<AuthSuccess, Ending> {
        let mut guessed = self.begins_with_keys();
        let mut order = if guessed {
            Order::new(self.means(), vec![AuthMethod::PublicKey.name().to_owned()])
        } else {
            match self.ask_methods().await? {
                Some(offered) => Order::new(self.means(), offered),
                None => return Ok(let_in_by_none()),
            }
        };
        loop {
            let step = order.next();
            let did = match step {
                Step::GiveUp if guessed => {
                    guessed = false;
                    match self.ask_methods().await? {
                        Some(offered) => order.now_offered(offered),
                        None => return Ok(let_in_by_none()),
                    }
                    continue;
                }
                Step::GiveUp => {
                    self.note_what_was_skipped(order.offered());
                    return Err(Ending::Exhausted { offered: order.offered().to_vec() });
                }
                Step::FindKeys => {
                    self.find_keys().await;
                    order.keys_found(self.identities.len());
                    continue;
                }
                Step::Key(index) => self.try_key(index).await?,
                Step::Password(from) => self.try_password(from).await?,
                Step::Keyboard => self.try_keyboard(&mut order).await?,
            };
            match did {
                Did::Answered { reply: AuthReply::Success, detail, method } => {
                    return Ok(AuthSuccess { method: self.report.chain(method), detail, asked: false });
                }
                Did::Answered { reply: AuthReply::Failure { remaining, partial }, detail, method } => {
                    let outcome = if partial { Outcome::Partial } else { Outcome::Refused };
                    self.report.tried(method, detail.unwrap_or_default(), outcome);
                    guessed = false;
                    order.refused(step, remaining, partial);
                }
                Did::Nothing => order.unusable(step),
            }
        }
    }

    /// Whether the caller knows that this server takes keys, and wants them tried first.
    fn begins_with_keys(&self) -> bool {
        self.credentials.begin_with_keys && self.credentials.methods.first() == Some(&AuthMethod::PublicKey)
    }

    /// Asks for the methods there are, as ssh does (RFC 4252 section 5.2); `None` if that was enough to be let in.
    async fn ask_methods(&mut self) -> Result<Option<Vec<String>>, Ending> {
        let none = self.clock.run(self.wire.auth_none(self.user)).await;
        match settle(none, self.clock.limit(), "none")? {
            AuthReply::Success => Ok(None),
            AuthReply::Failure { remaining, .. } => {
                tracing::debug!(offered = remaining.join(","), "methods that may continue");
                Ok(Some(remaining))
            }
        }
    }

    fn means(&self) -> Means {
        Means {
            methods: self.credentials.methods.clone(),
            password: self.credentials.password.is_some(),
            person: self.credentials.person().is_some(),
            prompts: self.credentials.prompts.get(),
        }
    }

    /// Says why ways that the server offers were not gone.
    fn note_what_was_skipped(&mut self, offered: &[String]) {
        let asks = |name: &str| name == "password" || name == "keyboard-interactive";
        if offered.iter().any(|name| asks(name))
            && self.credentials.person().is_none()
            && self.credentials.password.is_none()
        {
            self.report.note("no password was given, and nobody could be asked for one");
        }
    }

    async fn find_keys(&mut self) {
        let found = if self.credentials.keys_are_at_hand() {
            Found::from_files(self.credentials)
        } else {
            let credentials = self.credentials.clone();
            blocking(move || Found::from_files(&credentials)).await.unwrap_or_else(|why| {
                self.report.note(format!("the key files could not be read in time ({why:?})"));
                Found::default()
            })
        };
        let held = match self.ask_agent().await {
            Ok(held) => held,
            Err(error) => {
                self.agent = None;
                self.report.agent_problem(error.to_string());
                Vec::new()
            }
        };
        let (identities, problems) = arrange(found, held, self.credentials.identities_only);
        for problem in problems {
            self.report.problem(problem);
        }
        self.identities = identities;
    }

    async fn ask_agent(&mut self) -> Result<Vec<AgentIdentity>, AgentError> {
        let Some(mut agent) = (self.connect_agent)(&self.credentials.agent).await? else {
            return Ok(Vec::new());
        };
        if let Some(binding) = self.wire.agent_binding() {
            agent.bind(&binding, Lent::NotAtAll).await?;
        }
        let held = agent.identities().await?;
        self.agent = Some(agent);
        Ok(held)
    }

    async fn try_key(&mut self, index: usize) -> Result<Did, Ending> {
        let mut identity = self.identities[index].clone();
        if identity.offer.is_none() && !self.learn_offer(&mut identity).await? {
            return Ok(Did::Nothing);
        }
        let Some(offer) = identity.offer.clone() else { return Ok(Did::Nothing) };
        let detail = format!("{} ({})", offer.fingerprint(), sanitised(&identity.label, Lines::One));
        if let Some(bits) = offer.rsa_bits().filter(|bits| *bits < self.credentials.least_rsa_bits) {
            let least = self.credentials.least_rsa_bits;
            self.report
                .note(format!("{detail} was not offered: {bits} bits, and RequiredRSASize is {least}"));
            return Ok(Did::Nothing);
        }
        let hashes = if offer.is_rsa() { self.rsa_hashes(&offer).await? } else { vec![None] };
        let accepted = |hash: &Option<HashAlg>| self.credentials.accepts(&offer.signature_name(*hash));
        let hashes: Vec<_> = hashes.into_iter().filter(accepted).collect();
        if hashes.is_empty() {
            let why = match offer.is_rsa() && self.rsa == Some(RsaHashes::Best(None)) {
                true => "the server takes RSA keys with SHA-1 only",
                false => "PubkeyAcceptedAlgorithms leaves its kind out",
            };
            self.report.note(format!("{detail} was not offered: {why}"));
            return Ok(Did::Nothing);
        }
        let mut last = Did::Nothing;
        for hash in hashes {
            let mut signer = KeySigner {
                identity: &identity,
                hash,
                agent: &mut self.agent,
                person: &self.person,
                clock: &self.clock,
                to_agent: self.credentials.to_agent,
                problem: None,
            };
            let reply = self.clock.run(self.wire.auth_key(self.user, &offer, hash, &mut signer)).await;
            let problem = signer.problem.take();
            match settle(reply, self.clock.limit(), "publickey")? {
                KeyReply::Answered(reply) => {
                    let refused = matches!(reply, AuthReply::Failure { partial: false, .. });
                    last = Did::Answered { reply, detail: Some(detail.clone()), method: "publickey" };
                    if !refused {
                        return Ok(last);
                    }
                }
                KeyReply::NotSigned(NotSigned::Cancelled(why)) => return Err(Ending::Cancelled(why)),
                KeyReply::NotSigned(NotSigned::Failed(why)) => {
                    self.report.tried("publickey", detail.clone(), Outcome::NotSigned);
                    match problem {
                        Some(problem) => self.report.problem(problem),
                        None => self.report.note(why),
                    }
                    return Ok(last);
                }
            }
        }
        Ok(last)
    }

    /// Unlocks a key file that hides even its public half. `false`: it cannot be offered, and is noted.
    async fn learn_offer(&mut self, identity: &mut Identity) -> Result<bool, Ending> {
        let Signer::File(file) = &identity.signer else { return Ok(false) };
        match self.person.unlock(Arc::clone(file)).await {
            Ok(key) => {
                identity.offer = Some(Offer::Key(key.public_key().clone()));
                Ok(true)
            }
            Err(Locked::Cancelled(why)) => Err(Ending::Cancelled(why)),
            Err(Locked::Problem(problem)) => {
                self.report.problem(problem);
                Ok(false)
            }
        }
    }

    /// The hashes to try an RSA key with, best first, of those that the server takes.
    async fn rsa_hashes(&mut self, offer: &Offer) -> Result<Vec<Option<HashAlg>>, Ending> {
        let known = match self.rsa {
            Some(known) => known,
            None => {
                let reply = self.clock.run(self.wire.rsa_hashes()).await;
                *self.rsa.insert(settle(reply, self.clock.limit(), "publickey")?)
            }
        };
        let (best, next) = (Some(HashAlg::Sha512), Some(HashAlg::Sha256));
        Ok(match known {
            // Whoever takes the best takes the next as well; it is tried only where the best must not be.
            RsaHashes::Best(hash)
                if hash == best && !self.credentials.accepts(&offer.signature_name(best)) =>
            {
                vec![next]
            }
            RsaHashes::Best(hash) => vec![hash],
            RsaHashes::Unknown => vec![best, next, None],
        })
    }

    async fn try_password(&mut self, from: PasswordFrom) -> Result<Did, Ending> {
        let password = match from {
            PasswordFrom::Given => self.credentials.password.clone(),
            PasswordFrom::Person => {
                let request = self.person.request(PromptKind::Password);
                let text = format!("{}'s password: ", self.person.account());
                match self.person.ask(request.with_prompt(&text, Echo::Hidden)).await {
                    Answered::Yes(answers) => answers.into_iter().next(),
                    Answered::Nobody => None,
                    Answered::Cancelled(why) => return Err(Ending::Cancelled(why)),
                }
            }
        };
        let Some(password) = password else {
            self.report.note("nobody could be asked for a password");
            return Ok(Did::Nothing);
        };
        let reply = self.clock.run(self.wire.auth_password(self.user, &password)).await;
        let reply = settle(reply, self.clock.limit(), "password")?;
        Ok(Did::Answered { reply, detail: None, method: "password" })
    }

    async fn try_keyboard(&mut self, order: &mut Order) -> Result<Did, Ending> {
        const METHOD: &str = "keyboard-interactive";
        let start = self.clock.run(self.wire.auth_keyboard_start(self.user)).await;
        let mut reply = settle(start, self.clock.limit(), METHOD)?;
        let mut unanswered = false;
        loop {
            let (name, instruction, prompts) = match reply {
                KeyboardReply::Done(AuthReply::Failure { remaining, partial: false }) if unanswered => {
                    self.report.note("keyboard-interactive asked what nobody could answer");
                    order.refused(Step::Keyboard, remaining, false);
                    return Ok(Did::Nothing);
                }
                KeyboardReply::Done(reply) => {
                    return Ok(Did::Answered { reply, detail: None, method: METHOD });
                }
                KeyboardReply::Asked { name, instruction, prompts } => (name, instruction, prompts),
            };
            order.keyboard_asked();
            if prompts.len() > MAX_PROMPTS {
                return Err(Ending::Cancelled(format!(
                    "the server asked {} questions at once",
                    prompts.len()
                )));
            }
            let answers = match self.answers(order, &name, &instruction, &prompts).await? {
                Some(answers) => answers,
                None => {
                    // The base waits for answers and takes nothing else; empty ones end the attempt
                    // (RFC 4256 section 3.4), so that another method can be tried.
                    unanswered = true;
                    prompts.iter().map(|_| SecretString::from("")).collect()
                }
            };
            // The server may be waiting for a person now, who looks for a telephone: that is no network time.
            let next = for_a_person(self.person.limit(), self.wire.auth_keyboard_respond(&answers)).await;
            reply = settle(next.ok_or(DeadlinePassed), self.person.limit(), METHOD)?;
        }
    }

    /// The answers to one round; `None` if nobody could answer.
    async fn answers(
        &mut self,
        order: &mut Order,
        name: &str,
        instruction: &str,
        prompts: &[WirePrompt],
    ) -> Result<Option<Vec<SecretString>>, Ending> {
        // RFC 4256 section 3.4: a round without prompts wants an answer without answers. What it says is shown.
        if prompts.is_empty() {
            if !name.is_empty() || !instruction.is_empty() {
                let text = sanitised(&format!("{name} {instruction}"), Lines::One);
                tracing::info!(text = text.trim(), "the server says");
            }
            return Ok(Some(Vec::new()));
        }
        if let Some(password) = &self.credentials.password
            && asks_for_password(prompts)
            && order.take_password_for_keyboard()
        {
            return Ok(Some(vec![password.clone()]));
        }
        let mut request =
            self.person.request(PromptKind::KeyboardInteractive).with_heading(name, instruction);
        for prompt in prompts {
            request =
                request.with_prompt(&prompt.text, if prompt.echo { Echo::Visible } else { Echo::Hidden });
        }
        match self.person.ask(request).await {
            Answered::Yes(answers) => Ok(Some(answers)),
            Answered::Nobody => Ok(None),
            Answered::Cancelled(why) => Err(Ending::Cancelled(why)),
        }
    }
}

/// Whether a round can be answered by a password: one hidden prompt that does not ask for a one-time code.
fn asks_for_password(prompts: &[WirePrompt]) -> bool {
    const PARTS: [&str; 6] = ["code", "token", "verification", "one-time", "one time", "factor"];
    const WORDS: [&str; 4] = ["otp", "pin", "duo", "totp"];
    let [prompt] = prompts else { return false };
    let text = prompt.text.to_lowercase();
    let word = |word: &str| WORDS.contains(&word);
    let one_time =
        PARTS.iter().any(|part| text.contains(part)) || text.split(|c: char| !c.is_alphanumeric()).any(word);
    !prompt.echo && !one_time
}

fn let_in_by_none() -> AuthSuccess {
    AuthSuccess { method: "none".to_owned(), detail: None, asked: false }
}

/// The reply, or how its absence ends authentication.
fn settle<T>(
    reply: Result<Result<T, Lost>, DeadlinePassed>,
    limit: Duration,
    waiting_for: &'static str,
) -> Result<T, Ending> {
    match reply {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(lost)) => Err(Ending::Lost(lost.reason)),
        Err(DeadlinePassed) => Err(Ending::Deadline { limit, waiting_for }),
    }
}

#[cfg(test)]
mod tests;

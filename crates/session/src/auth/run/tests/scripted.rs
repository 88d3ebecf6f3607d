//! Both ends of a login, scripted: a server that answers in turn, and a person who does.

use std::collections::VecDeque;
use std::sync::Mutex;

use secrecy::ExposeSecret;

use super::super::super::agent::AgentBinding;
use super::super::super::prompt::{PromptError, PromptRequest, Prompter};
use super::super::super::wire::Sign;
use super::super::*;
use crate::base::CloseReason;

/// A server that answers from a script and writes down what it got.
#[derive(Default)]
pub(super) struct Server {
    pub(super) script: VecDeque<Say>,
    pub(super) got: Vec<String>,
    pub(super) rsa: Option<RsaHashes>,
}

/// One answer.
pub(super) enum Say {
    Yes,
    No(&'static [&'static str]),
    Partial(&'static [&'static str]),
    /// The key would be taken: ask for a signature, then say this.
    Sign(Box<Say>),
    Ask(Vec<(&'static str, bool)>),
    Hangup(CloseReason),
    Silence,
}

impl Server {
    pub(super) fn new(script: Vec<Say>) -> Self {
        Self { script: script.into(), ..Self::default() }
    }

    async fn say(&mut self, got: String) -> Result<Say, Lost> {
        self.got.push(got);
        match self.script.pop_front().expect("the script is over") {
            Say::Hangup(reason) => Err(Lost { reason }),
            Say::Silence => std::future::pending().await,
            say => Ok(say),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what was said is said once")]
fn reply(say: Say) -> AuthReply {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    match say {
        Say::Yes => AuthReply::Success,
        Say::No(list) => AuthReply::Failure { remaining: names(list), partial: false },
        Say::Partial(list) => AuthReply::Failure { remaining: names(list), partial: true },
        _ => panic!("no answer to this request"),
    }
}

fn keyboard(say: Say) -> KeyboardReply {
    match say {
        Say::Ask(prompts) => KeyboardReply::Asked {
            name: String::new(),
            instruction: String::new(),
            prompts: prompts
                .into_iter()
                .map(|(text, echo)| WirePrompt { text: text.to_owned(), echo })
                .collect(),
        },
        other => KeyboardReply::Done(reply(other)),
    }
}

impl Wire for Server {
    async fn auth_none(&mut self, _: &str) -> Result<AuthReply, Lost> {
        self.say("none".to_owned()).await.map(reply)
    }

    async fn auth_password(&mut self, _: &str, password: &SecretString) -> Result<AuthReply, Lost> {
        self.say(format!("password {}", password.expose_secret())).await.map(reply)
    }

    async fn auth_keyboard_start(&mut self, _: &str) -> Result<KeyboardReply, Lost> {
        self.say("keyboard".to_owned()).await.map(keyboard)
    }

    async fn auth_keyboard_respond(&mut self, answers: &[SecretString]) -> Result<KeyboardReply, Lost> {
        let answers: Vec<_> = answers.iter().map(ExposeSecret::expose_secret).collect();
        self.say(format!("answers {answers:?}")).await.map(keyboard)
    }

    async fn auth_key(
        &mut self,
        _: &str,
        offer: &Offer,
        hash: Option<HashAlg>,
        signer: &mut dyn Sign,
    ) -> Result<KeyReply, Lost> {
        let hash = hash.map(|hash| format!(" {hash}")).unwrap_or_default();
        match self.say(format!("key {}{hash}", offer.fingerprint())).await? {
            Say::Sign(then) => match signer.sign(b"challenge").await {
                Ok(_) => {
                    self.got.push("signature".to_owned());
                    Ok(KeyReply::Answered(reply(*then)))
                }
                Err(why) => Ok(KeyReply::NotSigned(why)),
            },
            other => Ok(KeyReply::Answered(reply(other))),
        }
    }

    async fn rsa_hashes(&mut self) -> Result<RsaHashes, Lost> {
        Ok(self.rsa.unwrap_or(RsaHashes::Unknown))
    }

    fn agent_binding(&self) -> Option<AgentBinding> {
        None
    }
}

/// A person with prepared answers, who remembers the questions.
#[derive(Default)]
pub(super) struct Typist {
    answers: Mutex<VecDeque<Result<Vec<&'static str>, PromptError>>>,
    asked: Mutex<Vec<String>>,
}

impl Typist {
    pub(super) fn new(answers: Vec<Result<Vec<&'static str>, PromptError>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into()), asked: Mutex::default() })
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Prompter for Typist {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        let texts: Vec<_> = request.prompts().iter().map(|prompt| prompt.text().to_owned()).collect();
        self.asked.lock().unwrap().push(texts.join("|"));
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            match answer {
                Some(answer) => Ok(answer?.into_iter().map(SecretString::from).collect()),
                None => std::future::pending().await,
            }
        })
    }
}

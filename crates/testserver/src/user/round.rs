//! One round of questions.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// One round of keyboard-interactive questions (RFC 4256 section 3.2); one without prompts is legal, and some servers end with it.
#[derive(Clone, Default)]
pub struct Round {
    name: String,
    instruction: String,
    prompts: Vec<Prompt>,
}

#[derive(Clone)]
struct Prompt {
    text: String,
    echo: Echo,
    /// None takes any answer.
    answer: Option<SecretString>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Echo {
    On,
    Off,
}

impl Round {
    /// A round with no name, instruction or prompt.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The name shown above the questions.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The instruction shown above the questions.
    #[must_use]
    pub fn instruction(mut self, instruction: impl Into<String>) -> Self {
        self.instruction = instruction.into();
        self
    }

    /// A question whose answer may be seen as it is typed.
    #[must_use]
    pub fn prompt(self, text: impl Into<String>, answer: impl Into<String>) -> Self {
        self.push(text.into(), Echo::On, Some(answer.into()))
    }

    /// A question whose answer must not be seen as it is typed.
    #[must_use]
    pub fn hidden_prompt(self, text: impl Into<String>, answer: impl Into<String>) -> Self {
        self.push(text.into(), Echo::Off, Some(answer.into()))
    }

    /// A question that takes any answer, which may be seen as it is typed.
    #[must_use]
    pub fn question(self, text: impl Into<String>) -> Self {
        self.push(text.into(), Echo::On, None)
    }

    /// A question that takes any answer, which must not be seen as it is typed.
    ///
    /// ```
    /// use rustle_testserver::{Round};
    ///
    /// let round = Round::new().question("Name: ").hidden_question("Code: ");
    /// ```
    #[must_use]
    pub fn hidden_question(self, text: impl Into<String>) -> Self {
        self.push(text.into(), Echo::Off, None)
    }

    fn push(mut self, text: String, echo: Echo, answer: Option<String>) -> Self {
        self.prompts.push(Prompt { text, echo, answer: answer.map(SecretString::from) });
        self
    }

    /// How many questions there are.
    pub(crate) fn len(&self) -> usize {
        self.prompts.len()
    }

    pub(crate) fn to_auth(&self) -> russh::server::Auth {
        russh::server::Auth::Partial {
            name: self.name.clone().into(),
            instructions: self.instruction.clone().into(),
            prompts: self
                .prompts
                .iter()
                .map(|prompt| (prompt.text.clone().into(), prompt.echo == Echo::On))
                .collect::<Vec<_>>()
                .into(),
        }
    }

    pub(crate) fn accepts(&self, answers: &[bytes::Bytes]) -> bool {
        answers.len() == self.prompts.len()
            && self.prompts.iter().zip(answers).all(|(prompt, given)| {
                prompt
                    .answer
                    .as_ref()
                    .is_none_or(|answer| answer.expose_secret().as_bytes() == given.as_ref())
            })
    }
}

/// The questions, never the answers.
impl fmt::Debug for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prompts: Vec<&str> = self.prompts.iter().map(|prompt| prompt.text.as_str()).collect();
        f.debug_struct("Round")
            .field("name", &self.name)
            .field("instruction", &self.instruction)
            .field("prompts", &prompts)
            .finish()
    }
}

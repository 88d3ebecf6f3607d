//! Questions to a person: who asks, what is asked, and what a hostile server cannot smuggle into them.

use std::fmt;

use secrecy::SecretString;

use crate::BoxFuture;

/// Longest server-sent text shown to a person, in characters; more is cut and marked.
const MAX_TEXT: usize = 4096;

/// Somebody, or something, that can answer a question while a connection is being made.
///
/// Each question has 120 seconds, apart from the deadline of the network. An implementation that shows the
/// texts of a request needs no escaping of its own: control characters and direction overrides that came
/// from the server have been made visible.
///
/// ```
/// use rustle_session::{BoxFuture, PromptError, PromptRequest, Prompter, SecretString};
///
/// /// Answers every question the same way; good for a test, and for nothing else.
/// struct Always(&'static str);
///
/// impl Prompter for Always {
///     fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
///         let answers = request.prompts().iter().map(|_| SecretString::from(self.0)).collect();
///         Box::pin(async move { Ok(answers) })
///     }
/// }
/// ```
pub trait Prompter: Send + Sync {
    /// Asks all prompts of `request` and returns one answer for each, in their order.
    ///
    /// # Errors
    /// [`PromptError::Unavailable`] if there is nobody to ask: other methods are tried then.
    /// [`PromptError::Cancelled`] if the person declined: authentication ends at once.
    ///
    /// # Cancel safety
    /// The future is dropped when the connection attempt is, and after 120 seconds.
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>>;
}

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PromptKind {
    /// The password of an account on the server.
    Password,
    /// The passphrase of a private key file on this machine; it is not sent anywhere.
    Passphrase,
    /// Whatever the server asks: a password, a one-time code, a new password.
    KeyboardInteractive,
    /// Whether a key is to be handed over to the agent; `yes` is a yes
    /// ([`KeysToAgent::ask_first`](crate::KeysToAgent::ask_first)).
    AddKeyToAgent,
}

/// A question, or several that belong together.
#[derive(Debug, Clone)]
pub struct PromptRequest {
    kind: PromptKind,
    host: String,
    user: String,
    name: String,
    instruction: String,
    prompts: Vec<Prompt>,
}

impl PromptRequest {
    pub(crate) fn new(kind: PromptKind, host: &str, user: &str) -> Self {
        Self {
            kind,
            host: sanitised(host, Lines::One),
            user: sanitised(user, Lines::One),
            name: String::new(),
            instruction: String::new(),
            prompts: Vec::new(),
        }
    }

    /// Adds what the server says above its questions.
    pub(crate) fn with_heading(mut self, name: &str, instruction: &str) -> Self {
        self.name = sanitised(name, Lines::One);
        self.instruction = sanitised(instruction, Lines::Many);
        self
    }

    /// Adds one question.
    pub(crate) fn with_prompt(mut self, text: &str, echo: Echo) -> Self {
        self.prompts.push(Prompt { text: sanitised(text, Lines::Many), echo });
        self
    }

    /// What the question is about.
    #[must_use]
    pub fn kind(&self) -> PromptKind {
        self.kind
    }

    /// The host being connected to, as the caller named it.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The account on the host.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// A title from the server; often empty.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An explanation from the server, of one line or several; often empty.
    #[must_use]
    pub fn instruction(&self) -> &str {
        &self.instruction
    }

    /// The questions; each wants one answer.
    #[must_use]
    pub fn prompts(&self) -> &[Prompt] {
        &self.prompts
    }
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    text: String,
    echo: Echo,
}

impl Prompt {
    /// The text to show, with its own trailing space or colon.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the answer may be shown while it is typed.
    #[must_use]
    pub fn echo(&self) -> Echo {
        self.echo
    }
}

/// Whether an answer may be seen while it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Echo {
    /// The answer is no secret.
    Visible,
    /// The answer is a secret.
    Hidden,
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PromptError {
    /// There is nobody to ask: no terminal, no helper program.
    Unavailable,
    /// The person declined to answer.
    Cancelled,
}

impl fmt::Display for PromptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "nobody could be asked",
            Self::Cancelled => "the question was cancelled",
        })
    }
}

impl std::error::Error for PromptError {}

/// How many lines a text may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    One,
    Many,
}

/// `text` with everything made visible that could move a cursor, hide text or reverse its direction.
pub(crate) fn sanitised(text: &str, lines: Lines) -> String {
    let mut clean = String::with_capacity(text.len().min(MAX_TEXT));
    for (count, character) in text.replace("\r\n", "\n").chars().enumerate() {
        if count == MAX_TEXT {
            clean.push('…');
            break;
        }
        match character {
            '\n' if lines == Lines::Many => clean.push('\n'),
            '\t' => clean.push(' '),
            _ if character.is_control() || is_invisible(character) => {
                clean.extend(character.escape_unicode());
            }
            _ => clean.push(character),
        }
    }
    clean
}

/// Zero-width characters, direction marks, overrides and isolates, line separators, tags.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_made_visible() {
        assert_eq!(sanitised("a\u{1b}[2Jb", Lines::One), "a\\u{1b}[2Jb");
        assert_eq!(sanitised("a\u{9b}2Jb\u{7f}", Lines::One), "a\\u{9b}2Jb\\u{7f}");
        assert_eq!(sanitised("Pass\rword", Lines::One), "Pass\\u{d}word");
    }

    #[test]
    fn line_breaks_stay_only_where_lines_are_allowed() {
        assert_eq!(sanitised("one\r\ntwo\nthree", Lines::Many), "one\ntwo\nthree");
        assert_eq!(sanitised("one\ntwo", Lines::One), "one\\u{a}two");
        assert_eq!(sanitised("a\tb", Lines::One), "a b");
    }

    #[test]
    fn direction_overrides_and_zero_width_are_made_visible() {
        assert_eq!(sanitised("\u{202e}drowssap", Lines::One), "\\u{202e}drowssap");
        assert_eq!(sanitised("pass\u{200b}word", Lines::One), "pass\\u{200b}word");
    }

    #[test]
    fn other_scripts_are_left_alone() {
        assert_eq!(sanitised("Пароль: 密码 ☂", Lines::One), "Пароль: 密码 ☂");
    }

    #[test]
    fn endless_text_is_cut_and_marked() {
        let text = sanitised(&"x".repeat(1_000_000), Lines::Many);
        assert_eq!(text.chars().count(), MAX_TEXT + 1);
        assert!(text.ends_with('…'));
        assert!(!sanitised(&"x".repeat(MAX_TEXT), Lines::Many).ends_with('…'));
    }

    #[test]
    fn a_request_carries_clean_text_only() {
        let request = PromptRequest::new(PromptKind::KeyboardInteractive, "web-1", "deploy")
            .with_heading("na\u{7}me", "line 1\nline\u{8} 2")
            .with_prompt("Code\u{1b}: ", Echo::Visible);
        assert_eq!(request.name(), "na\\u{7}me");
        assert_eq!(request.instruction(), "line 1\nline\\u{8} 2");
        assert_eq!(request.prompts()[0].text(), "Code\\u{1b}: ");
        assert_eq!(request.prompts()[0].echo(), Echo::Visible);
        assert_eq!((request.host(), request.user()), ("web-1", "deploy"));
    }
}

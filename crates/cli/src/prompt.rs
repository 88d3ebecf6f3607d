//! Questions to a person: on the terminal, through the program that `SSH_ASKPASS` names, or not at all.

mod askpass;
mod driver;
#[cfg(unix)]
#[path = "prompt/terminal_unix.rs"]
mod terminal;
#[cfg(windows)]
#[path = "prompt/terminal_windows.rs"]
mod terminal;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use rustle_session::{
    BoxFuture, DnsFinding, Echo, HostKeyAnswer, HostKeyOffer, HostKeyPrompter, HostKeysChange, PromptError,
    PromptRequest, Prompter, SecretString,
};
use secrecy::ExposeSecret;

/// The person at this program, who may not be there.
#[derive(Debug)]
pub(crate) struct Person {
    way: Way,
    was_asked: AtomicBool,
    is_left_alone: AtomicBool,
}

/// How the person is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    Terminal,
    /// The terminal where there is one, else this program.
    TerminalOr(PathBuf),
    Program(PathBuf),
}

impl Person {
    /// Decides by the environment, as ssh does: `SSH_ASKPASS_REQUIRE` may be `never`, `prefer` or `force`;
    /// without it, the program is asked where there is no terminal but a display.
    pub(crate) fn new(env: impl Fn(&str) -> Option<OsString>) -> Self {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let require = env("SSH_ASKPASS_REQUIRE");
        let has_display = env("DISPLAY").is_some() || env("WAYLAND_DISPLAY").is_some();
        let way = match (
            env("SSH_ASKPASS").map(PathBuf::from),
            require.as_deref().and_then(|text| text.to_str()),
        ) {
            (Some(program), Some("force")) => Way::Program(program),
            (Some(program), Some("prefer")) if has_display => Way::Program(program),
            (Some(program), require) if require != Some("never") && has_display => Way::TerminalOr(program),
            _ => Way::Terminal,
        };
        Self { way, was_asked: AtomicBool::new(false), is_left_alone: AtomicBool::new(false) }
    }

    /// Whether there was a question so far.
    pub(crate) fn was_asked(&self) -> bool {
        self.was_asked.load(Ordering::Relaxed)
    }

    /// No question any more: whoever asks is told that nobody is there.
    pub(crate) fn leave_alone(&self) {
        self.is_left_alone.store(true, Ordering::Relaxed);
    }

    /// Asks one question.
    ///
    /// # Cancel safety
    /// Dropped, the question is withdrawn and the terminal is as it was.
    async fn ask_one(&self, text: &str, echo: Echo) -> Result<SecretString, PromptError> {
        if self.is_left_alone.load(Ordering::Relaxed) {
            return Err(PromptError::Unavailable);
        }
        self.was_asked.store(true, Ordering::Relaxed);
        match &self.way {
            Way::Program(program) => askpass::ask(program, text).await,
            Way::Terminal => driver::ask_terminal(text, echo).await,
            Way::TerminalOr(program) => match driver::ask_terminal(text, echo).await {
                Err(PromptError::Unavailable) => askpass::ask(program, text).await,
                answer => answer,
            },
        }
    }
}

impl Prompter for Person {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        Box::pin(async move {
            let mut heading = String::new();
            for part in [request.name(), request.instruction()] {
                if !part.is_empty() {
                    heading.push_str(part.trim_end());
                    heading.push('\n');
                }
            }
            let mut answers = Vec::with_capacity(request.prompts().len());
            for prompt in request.prompts() {
                // The heading stands above the first question only.
                let text = format!("{}{}", std::mem::take(&mut heading), prompt.text());
                answers.push(self.ask_one(&text, prompt.echo()).await?);
            }
            Ok(answers)
        })
    }
}

impl HostKeyPrompter for Person {
    fn confirm<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        Box::pin(async move {
            let answer = self.ask_one(&host_key_question(offer), Echo::Visible).await?;
            Ok(HostKeyAnswer::parse(answer.expose_secret()))
        })
    }

    fn confirm_change<'a>(
        &'a self,
        offer: &'a HostKeyOffer,
        change: &'a HostKeysChange,
    ) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        Box::pin(async move {
            let answer = self.ask_one(&change_question(offer, change), Echo::Visible).await?;
            Ok(HostKeyAnswer::parse(answer.expose_secret()))
        })
    }
}

/// ssh's question, so that people know it.
fn host_key_question(offer: &HostKeyOffer) -> String {
    let host = match offer.port() {
        22 => offer.host().to_owned(),
        port => format!("[{}]:{port}", offer.host()),
    };
    let address = match offer.address() {
        Some(address) if address.ip().to_string() != offer.host() => format!(" ({address})"),
        _ => String::new(),
    };
    let mut text = format!(
        "The authenticity of host '{host}{address}' cannot be established: it is in no known_hosts file.\n\
         Its {} key has the fingerprint {}.\n",
        offer.algorithm(),
        offer.fingerprint()
    );
    if let Some(picture) = offer.picture() {
        text.push_str(&picture);
        text.push('\n');
    }
    text.push_str(match offer.dns() {
        Some(DnsFinding::Matching) => "DNS has a record of this key, which nobody vouches for.\n",
        Some(_) => "DNS has no record of this key.\n",
        None => "",
    });
    text.push_str(&other_names(offer.other_names()));
    text.push_str("Trust it from now on (yes/no/fingerprint)? ");
    text
}

/// The names under which the key is known already, of which a person needs no more than a few.
fn other_names(names: &[String]) -> String {
    const MOST: usize = 8;
    if names.is_empty() {
        return "The key is known by no other name.\n".to_owned();
    }
    let mut text = "The same key is known by these names:\n".to_owned();
    for name in names.iter().take(MOST) {
        text.push_str(&format!("    {name}\n"));
    }
    if let Some(more @ 1..) = names.len().checked_sub(MOST) {
        text.push_str(&format!("    and {more} more\n"));
    }
    text
}

/// What known_hosts would follow.
fn change_question(offer: &HostKeyOffer, change: &HostKeysChange) -> String {
    let mut text = format!("The host {} has other keys than known_hosts says:\n", offer.host());
    for key in change.learned() {
        text.push_str(&format!("    new: {key}\n"));
    }
    for key in change.deprecated() {
        text.push_str(&format!("    no longer: {key}\n"));
    }
    text.push_str("Write that down (yes/no)? ");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(env: &[(&str, &str)]) -> Way {
        Person::new(|name| env.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())).way
    }

    #[test]
    fn the_environment_decides_how_a_person_is_asked() {
        let program = || PathBuf::from("/bin/ask");
        let ask = ("SSH_ASKPASS", "/bin/ask");
        assert_eq!(way(&[]), Way::Terminal);
        assert_eq!(way(&[ask]), Way::Terminal);
        assert_eq!(way(&[ask, ("DISPLAY", ":0")]), Way::TerminalOr(program()));
        assert_eq!(way(&[ask, ("WAYLAND_DISPLAY", "w"), ("SSH_ASKPASS_REQUIRE", "never")]), Way::Terminal);
        assert_eq!(way(&[ask, ("SSH_ASKPASS_REQUIRE", "prefer")]), Way::Terminal);
        assert_eq!(
            way(&[ask, ("DISPLAY", ":0"), ("SSH_ASKPASS_REQUIRE", "prefer")]),
            Way::Program(program())
        );
        assert_eq!(way(&[ask, ("SSH_ASKPASS_REQUIRE", "force")]), Way::Program(program()));
        assert_eq!(way(&[("SSH_ASKPASS", ""), ("SSH_ASKPASS_REQUIRE", "force")]), Way::Terminal);
    }

    #[test]
    fn a_person_is_told_by_which_other_names_a_key_is_known() {
        assert_eq!(other_names(&[]), "The key is known by no other name.\n");
        let names: Vec<String> = (1..=10).map(|line| format!("known_hosts:{line}: web-{line}")).collect();
        let told = other_names(&names);
        assert!(
            told.contains("    known_hosts:8: web-8\n    and 2 more\n") && !told.contains("web-9"),
            "{told}"
        );
        assert!(!other_names(&names[..8]).contains("more"));
    }

    #[test]
    fn the_question_names_host_key_and_fingerprint() {
        let wire = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &[7; 32]].concat();
        let offer = HostKeyOffer::from_wire("web-1", 2222, &wire).unwrap();
        let offer = offer.with_address("192.0.2.1:2222".parse().unwrap());
        let asked = host_key_question(&offer);
        for part in
            ["[web-1]:2222 (192.0.2.1:2222)", "ssh-ed25519", &offer.fingerprint(), "(yes/no/fingerprint)? "]
        {
            assert!(asked.contains(part), "{asked}");
        }
        assert!(!asked.contains("DNS") && !asked.contains("+--"), "{asked}");
    }
}

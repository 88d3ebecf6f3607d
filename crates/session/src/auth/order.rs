//! Which attempt comes next: a state machine without IO.
//!
//! It is told what the server said ([`Order::refused`], [`Order::unusable`]) and says what to try
//! ([`Order::next`]). The rules are ssh's: the first method of ours that the server offers is tried until it
//! is exhausted, then the next. After a partial success (RFC 4252 section 5.1) the server's new list
//! counts, refused keys may be offered again (another factor may have opened the way for them), and what a
//! person has already typed in vain stays counted.

use super::credentials::AuthMethod;

/// A server that wants more factors than this is playing.
const MAX_PARTIAL: u32 = 8;

/// What to try next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Find out which keys there are, and say how many through [`Order::keys_found`].
    FindKeys,
    /// Offer the key of this index.
    Key(usize),
    /// Start keyboard-interactive.
    Keyboard,
    /// Send a password.
    Password(PasswordFrom),
    /// Nothing is left to try.
    GiveUp,
}

/// Where a password comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PasswordFrom {
    /// It was given beforehand.
    Given,
    /// A person types it.
    Person,
}

/// What there is to work with.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    /// The methods allowed, in order.
    pub(crate) methods: Vec<AuthMethod>,
    /// Whether a password was given beforehand.
    pub(crate) password: bool,
    /// Whether there is a person to ask.
    pub(crate) person: bool,
    /// How often that person is asked.
    pub(crate) prompts: u32,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Order {
    means: Means,
    offered: Vec<String>,
    keys: Option<Vec<KeyState>>,
    keyboard: Keyboard,
    password_asked: u32,
    given: Given,
    partial: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyState {
    Untried,
    Refused,
    /// Not to be offered again: accepted as one factor, or impossible to sign with.
    Done,
}

#[derive(Debug, Default)]
struct Keyboard {
    tried: u32,
    asked: bool,
    exhausted: bool,
}

/// What became of the password given beforehand.
#[derive(Debug, Default)]
struct Given {
    refused: bool,
    by_keyboard: bool,
    by_password: bool,
    in_this_attempt: bool,
}

impl Order {
    /// Begins with the server's list of methods, its answer to `none`, or with a guess.
    pub(crate) fn new(means: Means, offered: Vec<String>) -> Self {
        Self {
            means,
            offered,
            keys: None,
            keyboard: Keyboard::default(),
            password_asked: 0,
            given: Given::default(),
            partial: 0,
        }
    }

    /// The server's list of methods, for a guess until now.
    pub(crate) fn now_offered(&mut self, offered: Vec<String>) {
        self.offered = offered;
    }

    /// What the server last said may continue.
    pub(crate) fn offered(&self) -> &[String] {
        &self.offered
    }

    /// What to try next; asking again changes nothing.
    pub(crate) fn next(&self) -> Step {
        if self.partial > MAX_PARTIAL {
            return Step::GiveUp;
        }
        self.means
            .methods
            .iter()
            .filter(|method| self.offered.iter().any(|name| name == method.name()))
            .find_map(|method| match method {
                AuthMethod::PublicKey => self.next_key(),
                AuthMethod::KeyboardInteractive => self.next_keyboard(),
                AuthMethod::Password => self.next_password(),
            })
            .unwrap_or(Step::GiveUp)
    }

    /// Answers [`Step::FindKeys`].
    pub(crate) fn keys_found(&mut self, count: usize) {
        self.keys = Some(vec![KeyState::Untried; count]);
    }

    /// The server asked something in the keyboard-interactive attempt under way.
    pub(crate) fn keyboard_asked(&mut self) {
        self.keyboard.asked = true;
    }

    /// Whether the given password may answer the keyboard-interactive round at hand; if so it counts as sent.
    pub(crate) fn take_password_for_keyboard(&mut self) -> bool {
        let usable = self.given_for_keyboard();
        if usable {
            self.given.by_keyboard = true;
            self.given.in_this_attempt = true;
        }
        usable
    }

    /// The server said no to `step`, or (`partial`) that it was right and more is wanted.
    pub(crate) fn refused(&mut self, step: Step, offered: Vec<String>, partial: bool) {
        self.offered = offered;
        if partial {
            self.partial += 1;
            for key in self.keys.iter_mut().flatten().filter(|key| **key == KeyState::Refused) {
                *key = KeyState::Untried;
            }
        }
        match step {
            Step::Key(index) => {
                self.mark_key(index, if partial { KeyState::Done } else { KeyState::Refused });
            }
            Step::Keyboard => {
                self.keyboard.tried += 1;
                // A server that refuses without a question will not ask the next time either.
                self.keyboard.exhausted |= !partial && !self.keyboard.asked;
                self.given.refused |= !partial && self.given.in_this_attempt;
                self.given.in_this_attempt = false;
            }
            Step::Password(PasswordFrom::Given) => {
                self.given.by_password = true;
                self.given.refused |= !partial;
            }
            Step::Password(PasswordFrom::Person) => self.password_asked += 1,
            Step::FindKeys | Step::GiveUp => {}
        }
    }

    /// `step` could not be carried out; nothing the server would count as a failure was sent.
    pub(crate) fn unusable(&mut self, step: Step) {
        match step {
            Step::Key(index) => self.mark_key(index, KeyState::Done),
            Step::Keyboard => self.keyboard.exhausted = true,
            Step::Password(PasswordFrom::Given) => self.given.by_password = true,
            Step::Password(PasswordFrom::Person) => self.password_asked = self.means.prompts,
            Step::FindKeys => self.keys = Some(Vec::new()),
            Step::GiveUp => {}
        }
    }

    fn mark_key(&mut self, index: usize, state: KeyState) {
        if let Some(key) = self.keys.as_mut().and_then(|keys| keys.get_mut(index)) {
            *key = state;
        }
    }

    fn next_key(&self) -> Option<Step> {
        match &self.keys {
            None => Some(Step::FindKeys),
            Some(keys) => keys.iter().position(|key| *key == KeyState::Untried).map(Step::Key),
        }
    }

    fn next_keyboard(&self) -> Option<Step> {
        let wanted = self.given_for_keyboard() || self.means.person;
        let allowed = if self.means.person { self.means.prompts } else { 1 };
        (wanted && !self.keyboard.exhausted && self.keyboard.tried < allowed).then_some(Step::Keyboard)
    }

    fn next_password(&self) -> Option<Step> {
        if self.means.password && !self.given.refused && !self.given.by_password {
            return Some(Step::Password(PasswordFrom::Given));
        }
        (self.means.person && self.password_asked < self.means.prompts)
            .then_some(Step::Password(PasswordFrom::Person))
    }

    fn given_for_keyboard(&self) -> bool {
        self.means.password && !self.given.refused && !self.given.by_keyboard
    }
}

#[cfg(test)]
mod tests;

//! The conversations that are ready made: rounds of questions, a password as PAM asks for it, one-time codes.

use std::{pin::Pin, sync::Arc};

use crate::{
    auth::{
        codes::OneTimeCodes,
        dialog::{Conversation, Dialog, Verdict},
    },
    user::{Account, PasswordCheck, Round},
};

type Closure = dyn Fn(Dialog) -> Pin<Box<dyn Future<Output = Verdict> + Send>> + Send + Sync;

/// What keyboard-interactive asks a user.
#[derive(Clone)]
pub(crate) enum Interactive {
    Rounds(Vec<Round>),
    /// The account's password, and a new one where it has expired.
    Password,
    Codes(OneTimeCodes),
    Code(Arc<Closure>),
}

/// How often PAM asks for a new password (`retry=` of pam_pwquality, as Debian and others set it).
const NEW_PASSWORD_TRIES: usize = 3;

impl Interactive {
    pub(crate) fn closure<F, Fut>(code: F) -> Self
    where
        F: Fn(Dialog) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Verdict> + Send + 'static,
    {
        Self::Code(Arc::new(move |dialog| Box::pin(code(dialog))))
    }

    pub(crate) fn begin(&self, account: &Arc<Account>) -> Conversation {
        let name = account.settings.name.as_str();
        match self {
            Self::Rounds(rounds) => {
                let rounds = rounds.clone();
                Conversation::begin(name, |dialog| ask(rounds, dialog))
            }
            Self::Password => {
                let account = Arc::clone(account);
                Conversation::begin(name, |dialog| password(account, dialog))
            }
            Self::Codes(codes) => {
                let codes = codes.clone();
                Conversation::begin(name, |dialog| one_time_code(codes, dialog))
            }
            Self::Code(code) => Conversation::begin(name, |dialog| code(dialog)),
        }
    }
}

async fn ask(rounds: Vec<Round>, mut dialog: Dialog) -> Verdict {
    for round in rounds {
        if !dialog.ask(round).await.are_right() {
            return Verdict::Wrong;
        }
    }
    Verdict::Right
}

async fn one_time_code(codes: OneTimeCodes, mut dialog: Dialog) -> Verdict {
    let answers = dialog.ask(Round::new().hidden_question("Verification code: ")).await;
    codes.redeem(answers.text(0))
}

/// Each question is a round, as sshd has PAM ask; what PAM only says stands before the next question.
async fn password(account: Arc<Account>, mut dialog: Dialog) -> Verdict {
    let shown = dialog.ask(Round::new().hidden_question("Password: ")).await;
    match account.check_password(shown.text(0)) {
        PasswordCheck::Right => Verdict::Right,
        PasswordCheck::Wrong => Verdict::Wrong,
        PasswordCheck::Expired => change(&account, dialog).await,
    }
}

async fn change(account: &Account, mut dialog: Dialog) -> Verdict {
    let why = "You are required to change your password immediately (administrator enforced).";
    let question = format!("{why}\nChanging password for {}.\nCurrent password: ", account.settings.name);
    let current = dialog.ask(Round::new().hidden_question(question)).await;
    if account.check_password(current.text(0)) == PasswordCheck::Wrong {
        return Verdict::Wrong;
    }
    let mut said = "";
    for _ in 0..NEW_PASSWORD_TRIES {
        let new = dialog.ask(Round::new().hidden_question(format!("{said}New password: "))).await;
        if new.text(0).is_empty() {
            said = "No password has been supplied.\n";
            continue;
        }
        if new.text(0) == current.text(0) {
            said = "The password has not been changed.\n";
            continue;
        }
        let again = dialog.ask(Round::new().hidden_question("Retype new password: ")).await;
        if new.text(0) == again.text(0) {
            account.change_password(current.text(0), new.text(0));
            return Verdict::Right;
        }
        said = "Sorry, passwords do not match.\n";
    }
    Verdict::Wrong
}

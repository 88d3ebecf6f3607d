//! `GET /wait`: answers when the record shows what the query says.

use std::time::Duration;

use hyper::StatusCode;
use rustle_testserver::{AuthOutcome, Record};

use super::State;
use super::answer::{Answer, Refusal, value};
use super::evidence::Evidence;
use crate::failure::Failure;
use crate::test_server::script::Time;

/// How long to wait where the query does not say.
const USUAL: Duration = Duration::from_secs(10);
/// The longest wait; whoever needs more asks again.
const LONGEST: Duration = Duration::from_secs(600);

/// What a number in the query is compared with.
type Count = fn(&Record) -> u64;

/// Totals, which only grow: so many or more.
const TOTALS: [(&str, Count); 9] = [
    ("connections", |record| record.connections_accepted() as u64),
    ("auth_attempts", |record| record.auth_attempts().len() as u64),
    ("logins", |record| {
        let attempts = record.auth_attempts().iter();
        attempts.filter(|attempt| attempt.outcome() == AuthOutcome::Accepted).count() as u64
    }),
    ("channels", |record| record.channels_opened_total() as u64),
    ("channels_refused", |record| record.channels_refused() as u64),
    ("commands", |record| record.commands().len() as u64),
    ("signals", |record| record.signals().len() as u64),
    ("bytes_in", Record::bytes_in),
    ("bytes_out", Record::bytes_out),
];

/// What there is at the moment: just so many.
const PRESENT: [(&str, Count); 4] = [
    ("connections_open", |record| record.connections_open() as u64),
    ("channels_open", |record| record.channels_open() as u64),
    ("forwards_open", |record| record.forwards_open() as u64),
    ("running", |record| record.processes_running() as u64),
];

enum Condition {
    AtLeast(Count, u64),
    Just(Count, u64),
    Ran(String),
}

/// Waits until all conditions hold at once; without any, answers at once.
///
/// # Cancel safety
/// Nothing changes when this future is dropped.
pub(super) async fn until(state: &State, query: &str) -> Result<Answer, Refusal> {
    let (conditions, limit) = read(query).map_err(|message| {
        let names = TOTALS.iter().chain(&PRESENT).map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        Refusal::bad(
            Failure::new("BAD_REQUEST", message).hint(format!("known here: timeout, command, {names}")),
        )
    })?;
    // The record in which they hold: a later one may be another again.
    let mut seen = None;
    let look = |record: &Record| {
        let holds = conditions.iter().all(|condition| condition.holds(record));
        if holds {
            seen = Some(Evidence::of(record));
        }
        holds
    };
    let waited = tokio::select! {
        waited = state.server.wait_until(look, limit) => waited,
        () = state.ending.cancelled() => {
            return Err(Refusal::stopping());
        }
    };
    match waited {
        Ok(()) => Ok(value(&seen.unwrap_or_else(|| Evidence::of(&state.server.record())))),
        // Not 408 or 504, at which clients and proxies try again of their own accord.
        Err(error) => Err(Refusal::new(StatusCode::CONFLICT, Failure::new("TIMEOUT", error.to_string()))),
    }
}

fn read(query: &str) -> Result<(Vec<Condition>, Duration), String> {
    let mut conditions = Vec::new();
    let mut limit = USUAL;
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        let number = || text.parse().map_err(|_| format!("`{name}` is a whole number, and not {text:?}"));
        let find =
            |list: &[(&str, Count)]| list.iter().find(|(known, _)| *known == name).map(|(_, count)| *count);
        if name == "timeout" {
            limit = Time::parse(&text).map(Time::duration).filter(|limit| *limit <= LONGEST).ok_or_else(
                || format!("`timeout` is a time such as 5s, at most {LONGEST:?}, and not {text:?}"),
            )?;
        } else if name == "command" {
            conditions.push(Condition::Ran(text.into_owned()));
        } else if let Some(count) = find(&TOTALS) {
            conditions.push(Condition::AtLeast(count, number()?));
        } else if let Some(count) = find(&PRESENT) {
            conditions.push(Condition::Just(count, number()?));
        } else {
            return Err(format!("nothing named {name:?} can be waited for"));
        }
    }
    Ok((conditions, limit))
}

impl Condition {
    fn holds(&self, record: &Record) -> bool {
        match self {
            Self::AtLeast(count, wanted) => count(record) >= *wanted,
            Self::Just(count, wanted) => count(record) == *wanted,
            Self::Ran(text) => record.command(text).is_some(),
        }
    }
}

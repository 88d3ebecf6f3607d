//! `GET /code`: the code that a user would show now, for clients that have no clock in common with the server.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::StatusCode;
use rustle_testserver::OneTimeCodes;
use serde_json::json;

use super::answer::{Answer, Refusal, value};
use crate::failure::Failure;

/// The codes of each user who has some.
pub(crate) struct Codes(Mutex<HashMap<String, OneTimeCodes>>);

impl Codes {
    pub(crate) fn new(all: impl IntoIterator<Item = (String, OneTimeCodes)>) -> Self {
        Self(Mutex::new(all.into_iter().collect()))
    }

    /// These are the user's from now on, or none.
    pub(super) fn replace(&self, user: String, codes: Option<OneTimeCodes>) {
        match codes {
            Some(codes) => self.lock().insert(user, codes),
            None => self.lock().remove(&user),
        };
    }

    pub(super) fn current(&self, query: &str) -> Result<Answer, Refusal> {
        let asked: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let [(key, user)] = asked.as_slice() else {
            return Err(Refusal::bad(Failure::new("BAD_REQUEST", "whose code? `user` is one name")));
        };
        if key != "user" {
            let message = format!("codes know nothing named {key:?}");
            return Err(Refusal::bad(Failure::new("BAD_REQUEST", message).hint("known here: user")));
        }
        match self.lock().get(user.as_ref()) {
            Some(codes) => Ok(value(&json!({ "code": codes.current() }))),
            None => {
                let failure = Failure::new("NOT_FOUND", format!("no user {user:?} has codes"))
                    .hint("give the user `one_time_codes` or `timed_codes`");
                Err(Refusal::new(StatusCode::NOT_FOUND, failure))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, OneTimeCodes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

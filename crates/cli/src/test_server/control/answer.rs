//! Answers: a JSON value, or an error with a code and a text, as `--format json` writes them.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::failure::Failure;

pub(super) type Answer = Response<Full<Bytes>>;

/// Why a request is not done.
pub(super) struct Refusal {
    status: StatusCode,
    failure: Box<Failure>,
    allow: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, failure: Failure) -> Self {
        Self { status, failure: Box::new(failure), allow: None }
    }

    /// Something that the sender should have known.
    pub(super) fn bad(failure: Failure) -> Self {
        Self::new(StatusCode::BAD_REQUEST, failure)
    }

    /// The server stops before it is done.
    pub(super) fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Failure::new("STOPPING", "the server stops"))
    }

    /// The method that this place has.
    pub(super) fn allow(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    pub(super) fn into_answer(self) -> Answer {
        #[derive(Serialize)]
        struct Told<'a> {
            error: &'a Failure,
        }
        let mut answer = json(self.status, &Told { error: &self.failure });
        if let Some(methods) = self.allow {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110 section 11.6.1: a 401 says what would do.
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// A value, with status 200.
pub(super) fn value(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let (status, mut text) = match serde_json::to_vec(value) {
        Ok(text) => (status, text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, b"{}".to_vec()),
    };
    text.push(b'\n');
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

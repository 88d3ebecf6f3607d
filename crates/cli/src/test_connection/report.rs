//! What came of each step, for people and for programs.

use std::fmt::Write as _;
use std::time::Duration;

use rustle_session::{Negotiated, crypto_backend};
use serde::Serialize;

use crate::failure::Failure;
use crate::printer::{BAD, BOLD, DIM, GOOD};

/// The steps, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Step {
    LookUp,
    Tcp,
    Handshake,
    HostKey,
    Authentication,
    Channel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    Failed,
    Skipped,
}

#[derive(Debug, Serialize)]
struct Row {
    step: Step,
    state: State,
    ms: Option<f64>,
    detail: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    destination: String,
    host: String,
    ok: bool,
    address: Option<String>,
    host_key: Option<HostKey>,
    algorithms: Option<Algorithms>,
    crypto: String,
    steps: Vec<Row>,
    error: Option<Failure>,
}

#[derive(Debug, Serialize)]
struct HostKey {
    algorithm: String,
    fingerprint: String,
}

#[derive(Debug, Serialize)]
struct Algorithms {
    key_exchange: String,
    host_key: String,
    cipher: String,
    mac: Option<String>,
    compression: String,
    strict_key_exchange: bool,
}

impl Step {
    const ALL: [Self; 6] =
        [Self::LookUp, Self::Tcp, Self::Handshake, Self::HostKey, Self::Authentication, Self::Channel];

    fn name(self) -> &'static str {
        match self {
            Self::LookUp => "name look-up",
            Self::Tcp => "TCP",
            Self::Handshake => "handshake",
            Self::HostKey => "host key",
            Self::Authentication => "authentication",
            Self::Channel => "channel",
        }
    }
}

impl Report {
    pub(super) fn new(destination: &str, host: String) -> Self {
        let row = |step| Row { step, state: State::Skipped, ms: None, detail: String::new() };
        Self {
            destination: destination.to_owned(),
            host,
            ok: true,
            address: None,
            host_key: None,
            algorithms: None,
            crypto: crypto_backend().to_string(),
            steps: Step::ALL.map(row).into(),
            error: None,
        }
    }

    /// A step that succeeded.
    pub(super) fn done(&mut self, step: Step, took: Duration, detail: &str) {
        if let Some(row) = self.row(step) {
            detail.clone_into(&mut row.detail);
            row.state = State::Ok;
            row.ms = Some(took.as_secs_f64() * 1000.0);
        }
    }

    /// A step that succeeded by what came after it, if it is not known already.
    pub(super) fn untimed(&mut self, step: Step) {
        if let Some(row) = self.row(step).filter(|row| row.state == State::Skipped) {
            row.state = State::Ok;
        }
    }

    /// The first step that is not done has failed.
    pub(super) fn failed(&mut self, failure: Failure) {
        if let Some(row) = self.steps.iter_mut().find(|row| row.state != State::Ok) {
            row.state = State::Failed;
        }
        self.ok = false;
        self.error = Some(failure);
    }

    pub(super) fn failure(&self) -> Option<&Failure> {
        self.error.as_ref()
    }

    pub(super) fn address(&mut self, address: String) {
        self.address = Some(address);
    }

    pub(super) fn host_key(&mut self, algorithm: &str, fingerprint: &str) {
        self.host_key =
            Some(HostKey { algorithm: algorithm.to_owned(), fingerprint: fingerprint.to_owned() });
    }

    pub(super) fn negotiated(&mut self, negotiated: &Negotiated) {
        self.algorithms = Some(Algorithms {
            key_exchange: negotiated.kex().to_owned(),
            host_key: negotiated.host_key().to_owned(),
            cipher: negotiated.cipher().to_owned(),
            mac: negotiated.mac().map(str::to_owned),
            compression: negotiated.compression().to_owned(),
            strict_key_exchange: negotiated.strict_kex(),
        });
    }

    /// The table for a person, without a newline at its end.
    pub(super) fn table(&self) -> String {
        let mut table = format!("{BOLD}{}{BOLD:#}", self.host);
        for row in &self.steps {
            let (style, state) = match row.state {
                State::Ok => (GOOD, "ok"),
                State::Failed => (BAD, "failed"),
                State::Skipped => (DIM, "-"),
            };
            let time = row.ms.map(|ms| format!("{ms:.1} ms")).unwrap_or_default();
            let detail = match (row.state, row.step, &self.host_key) {
                (State::Failed, Step::HostKey, Some(key)) => format!("{} {}", key.algorithm, key.fingerprint),
                _ => row.detail.clone(),
            };
            let line = format!("  {style}{state:<6}{style:#}  {:<14}  {time:>9}  {detail}", row.step.name());
            let _ = write!(table, "\n{}", line.trim_end());
        }
        let _ = write!(table, "\n  {DIM}crypto: {}{DIM:#}", self.crypto);
        table
    }

    fn row(&mut self, step: Step) -> Option<&mut Row> {
        self.steps.iter_mut().find(|row| row.step == step)
    }
}

//! The kinds of faults: their names, what each needs, and how it is made of the other keys.

use std::fmt;

use rustle_testserver::Fault;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::keys::Keys;
use super::{answers, message, sftp, wire};

/// What a server has to have for a fault to strike.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// The server's own SFTP engine.
    SftpEngine,
    /// The raw personality.
    RawPeer,
}

/// A name, and what makes a fault of the keys beside it.
pub(super) struct Row {
    name: &'static str,
    /// Takes from the keys what it needs, so that what is left is too much.
    make: fn(&mut Keys) -> Result<Fault, String>,
}

impl Row {
    pub(super) const fn new(name: &'static str, make: fn(&mut Keys) -> Result<Fault, String>) -> Self {
        Self { name, make }
    }
}

/// One of the names.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    row: &'static Row,
    needs: Needs,
}

const TABLES: [(Needs, &[Row]); 4] = [
    (Needs::Nothing, wire::ROWS),
    (Needs::Nothing, answers::ROWS),
    (Needs::SftpEngine, sftp::ROWS),
    (Needs::RawPeer, message::ROWS),
];

impl Kind {
    fn all() -> impl Iterator<Item = Self> {
        TABLES.into_iter().flat_map(|(needs, rows)| rows.iter().map(move |row| Self { row, needs }))
    }

    pub(super) fn name(self) -> &'static str {
        self.row.name
    }

    pub(super) fn needs(self) -> Needs {
        self.needs
    }

    pub(super) fn make(self, keys: &mut Keys) -> Result<Fault, String> {
        (self.row.make)(keys)
    }
}

struct Reading;

impl Visitor<'_> for Reading {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a fault in quotes")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Kind, E> {
        Kind::all().find(|kind| kind.name() == name).ok_or_else(|| {
            // In serde's own words, which `complaint` knows.
            let known: Vec<String> = Kind::all().map(|kind| format!("`{}`", kind.name())).collect();
            E::custom(format!("unknown variant `{name}`, expected one of {}", known.join(", ")))
        })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Reading)
    }
}

//! Values that the library knows by name.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use rustle_testserver::UnknownName;
use serde::de::{Deserialize, Deserializer, Error, Visitor};

/// One of a type's names. The error for another lists them, and so is worded as that for any key.
#[derive(Clone, Copy)]
pub(crate) struct Named<T>(T);

impl<T> Named<T> {
    pub(crate) fn value(self) -> T {
        self.0
    }
}

struct Reading<T>(PhantomData<T>);

impl<T: FromStr<Err = UnknownName>> Visitor<'_> for Reading<T> {
    type Value = Named<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name in quotes")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Named<T>, E> {
        name.parse().map(Named).map_err(|unknown: UnknownName| E::unknown_variant(name, unknown.known()))
    }
}

impl<'de, T: FromStr<Err = UnknownName>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Reading(PhantomData))
    }
}

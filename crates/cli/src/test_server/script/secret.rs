//! Passwords and answers: kept in a type that wipes and hides them, and named by no error.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A text that nobody is shown.
pub(super) struct Secret(SecretString);

impl Secret {
    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Quietly)
    }
}

/// Refuses all but a text in words of its own: those of the library would repeat what stood there.
struct Quietly;

fn refused<T, E: Error>() -> Result<T, E> {
    Err(E::custom("a secret is a text in quotes"))
}

impl<'de> Visitor<'de> for Quietly {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret(SecretString::from(text)))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Secret, E> {
        Ok(Secret(SecretString::from(text)))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        refused()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        refused()
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Secret, E> {
        refused()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        refused()
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Secret, E> {
        refused()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        refused()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Secret, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        refused()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Secret, A::Error> {
        while table.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        refused()
    }
}

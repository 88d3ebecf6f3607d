//! Faults by SSH message, and the others that the raw personality alone can do.

use std::fmt;

use rustle_testserver::{Damage, Fault, message};
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::keys::Keys;
use super::kind::Row;
use crate::test_server::script::bytes;

pub(super) const ROWS: &[Row] = &[
    Row::new("message_dropped", |keys| to(keys, Damage::dropped())),
    Row::new("message_duplicated", |keys| to(keys, Damage::duplicated())),
    Row::new("message_swapped", |keys| to(keys, Damage::swapped())),
    Row::new("message_truncated", |keys| {
        let truncated = Damage::truncated(keys.bytes_in_memory()?);
        to(keys, truncated)
    }),
    Row::new("message_appended", |keys| {
        let appended = Damage::appended(keys.payload()?);
        to(keys, appended)
    }),
    Row::new("message_replaced", |keys| {
        let replaced = Damage::replaced(keys.payload()?);
        to(keys, replaced)
    }),
    Row::new("message_before", |keys| {
        let before = Damage::before(keys.payload()?, keys.count()?);
        to(keys, before)
    }),
    Row::new("message_after", |keys| {
        let after = Damage::after(keys.payload()?, keys.count()?);
        to(keys, after)
    }),
    Row::new("message_string_length", |keys| {
        let length = Damage::string_length(keys.offset_in_memory()?, keys.length()?);
        to(keys, length)
    }),
    Row::new("message_packet_length", |keys| {
        let length = Damage::packet_length(keys.length()?);
        to(keys, length)
    }),
    Row::new("message_corrupt_tag", |keys| to(keys, Damage::corrupt_tag())),
    Row::new("frozen_window", |keys| Ok(Fault::frozen_window(keys.bytes_on_the_wire()?))),
    Row::new("tiny_window", |keys| Ok(Fault::tiny_window(keys.bytes_on_the_wire()?))),
    Row::new("max_packet", |keys| Ok(Fault::max_packet(keys.bytes_on_the_wire()?))),
    Row::new("data_packets", |keys| Ok(Fault::data_packets(keys.bytes_in_memory()?))),
    Row::new("refuse_channel_in_language", |keys| {
        Ok(Fault::refuse_channel_in_language(keys.code()?, keys.text()?, keys.language()?))
    }),
    Row::new("answer_request", |keys| Ok(Fault::answer_request(keys.answer()?))),
    Row::new("change_password", |keys| Ok(Fault::change_password(keys.text()?))),
];

fn to(keys: &mut Keys, damage: Damage) -> Result<Fault, String> {
    Ok(Fault::message(keys.message()?, damage))
}

/// The number of an SSH message, or its name.
#[derive(Clone, Copy)]
pub(super) struct Number(u8);

impl Number {
    pub(super) fn value(self) -> u8 {
        self.0
    }
}

struct Reading;

impl Visitor<'_> for Reading {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a message, such as \"channel_data\", or its number, 1 to 255")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Number, E> {
        message::number(name).map(Number).map_err(|unknown| E::unknown_variant(name, unknown.known()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
        match u8::try_from(number) {
            Ok(number @ 1..) => Ok(Number(number)),
            _ => Err(E::custom("a message has a number from 1 to 255")),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
        self.visit_u64(u64::try_from(number).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

/// What is sent besides, or instead.
#[derive(Deserialize)]
#[serde(try_from = "PayloadKeys")]
pub(super) struct Payload(Vec<u8>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadKeys {
    base64: Option<String>,
    ignore: Option<String>,
    debug: Option<String>,
    global_request: Option<String>,
    window_adjust: Option<Adjustment>,
    #[serde(default)]
    empty_kexinit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adjustment {
    channel: u32,
    bytes: u32,
}

impl Payload {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl TryFrom<PayloadKeys> for Payload {
    type Error = String;

    fn try_from(keys: PayloadKeys) -> Result<Self, String> {
        let mut payloads = Vec::new();
        if let Some(text) = keys.base64 {
            payloads.push(bytes::decoded("base64", &text)?);
        }
        payloads.extend(keys.ignore.map(|data| message::ignore(data).to_vec()));
        payloads.extend(keys.debug.map(|text| message::debug(text).to_vec()));
        payloads.extend(keys.global_request.map(|name| message::global_request(name).to_vec()));
        payloads.extend(
            keys.window_adjust
                .map(|Adjustment { channel, bytes }| message::window_adjust(channel, bytes).to_vec()),
        );
        if keys.empty_kexinit {
            payloads.push(message::empty_kexinit().to_vec());
        }
        match (payloads.pop(), payloads.is_empty()) {
            (Some(payload), true) => Ok(Self(payload)),
            _ => Err("a payload is one of `base64`, `ignore`, `debug`, `global_request`, `window_adjust` and `empty_kexinit`"
                .to_owned()),
        }
    }
}

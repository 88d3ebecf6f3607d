//! The keys of a fault. Each is taken by the kind that needs it, so that what is left is too much.

use std::time::Duration;

use rustle_testserver::{
    Cut, Direction, DisconnectReason, Method, Moment, Phase, RequestAnswer, RequestKind, SftpRequest,
};
use serde::Deserialize;

use super::kind::Kind;
use super::message::{Number, Payload};
use crate::test_server::script::bytes;
use crate::test_server::script::named::Named;
use crate::test_server::script::units::{Size, Time};

/// More messages at once than a storm needs, and few enough to be made beforehand.
const MOST: usize = 1_000_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keys {
    pub(super) kind: Kind,
    phase: Option<Named<Phase>>,
    sent: Option<Size>,
    received: Option<Size>,
    elapsed: Option<Time>,
    how: Option<Named<Cut>>,
    bytes: Option<Size>,
    time: Option<Time>,
    direction: Option<Named<Direction>>,
    every: Option<Time>,
    offset: Option<Size>,
    mask: Option<u8>,
    reason: Option<Named<DisconnectReason>>,
    code: Option<u32>,
    text: Option<String>,
    language: Option<String>,
    methods: Option<Vec<Named<Method>>>,
    request: Option<Named<RequestKind>>,
    answer: Option<Named<RequestAnswer>>,
    sftp_request: Option<Named<SftpRequest>>,
    name: Option<String>,
    name_base64: Option<String>,
    length: Option<Size>,
    message: Option<Number>,
    payload: Option<Payload>,
    count: Option<usize>,
    pub(super) nth: Option<usize>,
    pub(super) times: Option<usize>,
    #[serde(default)]
    pub(super) once: bool,
    pub(super) on_connection: Option<usize>,
    pub(super) for_time: Option<Time>,
}

impl Keys {
    pub(super) fn moment(&mut self) -> Result<Moment, String> {
        match (self.phase.take(), self.sent.take(), self.received.take(), self.elapsed.take()) {
            (Some(phase), None, None, None) => Ok(phase.value().into()),
            (None, Some(bytes), None, None) => Ok(Moment::sent(bytes.bytes())),
            (None, None, Some(bytes), None) => Ok(Moment::received(bytes.bytes())),
            (None, None, None, Some(time)) => Ok(time.duration().into()),
            _ => Err("a fault of this kind needs one of the keys `phase`, `sent`, `received` and `elapsed`"
                .to_owned()),
        }
    }

    pub(super) fn how(&mut self) -> Result<Cut, String> {
        needed("how", self.how.take()).map(Named::value)
    }

    pub(super) fn bytes(&mut self) -> Result<u64, String> {
        needed("bytes", self.bytes.take()).map(Size::bytes)
    }

    /// A number of bytes that has 32 bits in the protocol.
    pub(super) fn bytes_on_the_wire(&mut self) -> Result<u32, String> {
        on_the_wire("bytes", self.bytes()?)
    }

    pub(super) fn bytes_in_memory(&mut self) -> Result<usize, String> {
        in_memory("bytes", self.bytes()?)
    }

    pub(super) fn length(&mut self) -> Result<u32, String> {
        on_the_wire("length", needed("length", self.length.take())?.bytes())
    }

    pub(super) fn time(&mut self) -> Result<Duration, String> {
        needed("time", self.time.take()).map(Time::duration)
    }

    pub(super) fn every(&mut self) -> Result<Duration, String> {
        needed("every", self.every.take()).map(Time::duration)
    }

    pub(super) fn direction(&mut self) -> Result<Direction, String> {
        needed("direction", self.direction.take()).map(Named::value)
    }

    pub(super) fn offset(&mut self) -> Result<u64, String> {
        needed("offset", self.offset.take()).map(Size::bytes)
    }

    pub(super) fn offset_in_memory(&mut self) -> Result<usize, String> {
        in_memory("offset", self.offset()?)
    }

    pub(super) fn mask(&mut self) -> Result<u8, String> {
        match needed("mask", self.mask.take())? {
            0 => Err("a `mask` of 0 changes nothing".to_owned()),
            mask => Ok(mask),
        }
    }

    pub(super) fn reason(&mut self) -> Result<DisconnectReason, String> {
        needed("reason", self.reason.take()).map(Named::value)
    }

    pub(super) fn code(&mut self) -> Result<u32, String> {
        needed("code", self.code.take())
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        needed("text", self.text.take())
    }

    pub(super) fn language(&mut self) -> Result<String, String> {
        needed("language", self.language.take())
    }

    pub(super) fn methods(&mut self) -> Result<Vec<Method>, String> {
        let methods = needed("methods", self.methods.take())?;
        Ok(methods.into_iter().map(Named::value).collect())
    }

    pub(super) fn request(&mut self) -> Result<RequestKind, String> {
        needed("request", self.request.take()).map(Named::value)
    }

    pub(super) fn answer(&mut self) -> Result<RequestAnswer, String> {
        needed("answer", self.answer.take()).map(Named::value)
    }

    pub(super) fn sftp_request(&mut self) -> Result<SftpRequest, String> {
        needed("sftp_request", self.sftp_request.take()).map(Named::value)
    }

    pub(super) fn name(&mut self) -> Result<Vec<u8>, String> {
        bytes::either("name", self.name.take(), self.name_base64.take())?
            .ok_or_else(|| "a fault of this kind needs the key `name` or `name_base64`".to_owned())
    }

    pub(super) fn message(&mut self) -> Result<u8, String> {
        needed("message", self.message.take()).map(Number::value)
    }

    pub(super) fn payload(&mut self) -> Result<Vec<u8>, String> {
        needed("payload", self.payload.take()).map(Payload::into_bytes)
    }

    pub(super) fn count(&mut self) -> Result<usize, String> {
        match super::counted("count", needed("count", self.count.take())?)? {
            count if count > MOST => Err(format!("`count` is at most {MOST}")),
            count => Ok(count),
        }
    }

    pub(super) fn refuse_the_rest(&self) -> Result<(), String> {
        let left = [
            ("phase", self.phase.is_some()),
            ("sent", self.sent.is_some()),
            ("received", self.received.is_some()),
            ("elapsed", self.elapsed.is_some()),
            ("how", self.how.is_some()),
            ("bytes", self.bytes.is_some()),
            ("time", self.time.is_some()),
            ("direction", self.direction.is_some()),
            ("every", self.every.is_some()),
            ("offset", self.offset.is_some()),
            ("mask", self.mask.is_some()),
            ("reason", self.reason.is_some()),
            ("code", self.code.is_some()),
            ("text", self.text.is_some()),
            ("language", self.language.is_some()),
            ("methods", self.methods.is_some()),
            ("request", self.request.is_some()),
            ("answer", self.answer.is_some()),
            ("sftp_request", self.sftp_request.is_some()),
            ("name", self.name.is_some()),
            ("name_base64", self.name_base64.is_some()),
            ("length", self.length.is_some()),
            ("message", self.message.is_some()),
            ("payload", self.payload.is_some()),
            ("count", self.count.is_some()),
        ];
        match left.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(format!("a fault of this kind takes no key `{name}`")),
            None => Ok(()),
        }
    }
}

fn needed<T>(name: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("a fault of this kind needs the key `{name}`"))
}

fn on_the_wire(name: &str, bytes: u64) -> Result<u32, String> {
    u32::try_from(bytes).map_err(|_| format!("`{name}` is at most {} here", u32::MAX))
}

fn in_memory(name: &str, bytes: u64) -> Result<usize, String> {
    usize::try_from(bytes).map_err(|_| format!("`{name}` is at most {} here", usize::MAX))
}

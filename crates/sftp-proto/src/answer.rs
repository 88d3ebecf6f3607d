//! An answer, held against what was asked.

use bytes::{Buf, Bytes};

use crate::{
    asked::{Asked, Expected},
    attributes::Attributes,
    error::{Error, ErrorKind},
    handle::Handle,
    kind::{ATTRS, DATA, EXTENDED_REPLY, HANDLE, NAME, PacketKind, STATUS},
    limits::Limits,
    name::NameEntry,
    segments::Segments,
    status::{Status, StatusCode},
    wire::Reader,
};

/// An answer of a kind that its request can have (draft section 7).
///
/// The bytes within are slices of what came and keep it alive. What is kept for long should be copied; of a [`Handle`], which
/// always is, that has been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// How it went: success where there is nothing else to answer, or why there is nothing.
    Status(Status),
    /// To OPEN and OPENDIR.
    Handle(Handle),
    /// To READ: as many bytes as were asked for, or less. Less is not the end of the file, which has a STATUS of its own
    /// ([`EOF`](StatusCode::EOF)). There may be none at all: servers differ in how they say that there is nothing. Whoever asks
    /// again for the rest counts how often.
    Data(Segments),
    /// To READDIR: any number, where none is not the end. To REALPATH, READLINK and extensions that answer so: one.
    Names(Vec<NameEntry>),
    /// To STAT, LSTAT and FSTAT.
    Attributes(Attributes),
    /// To EXTENDED: what the body is depends on the request, as with [`Reply::Extended`](crate::Reply::Extended).
    Extended(Bytes),
}

impl Answer {
    /// From all that follows type and id.
    pub(crate) fn decode(
        came: PacketKind,
        body: Segments,
        asked: &Asked,
        limits: &Limits,
    ) -> Result<Self, Error> {
        let expected = asked.expected();
        let answer = match (came.value(), expected) {
            (STATUS, _) => {
                let status = Status::decode(&mut Reader::new(body.to_bytes(), limits))?;
                let alone = matches!(expected, Expected::Status | Expected::Any);
                if status.code() == StatusCode::OK && !alone {
                    return Err(Error::new(ErrorKind::EmptySuccess));
                }
                Self::Status(status)
            }
            (HANDLE, Expected::Handle | Expected::Any) => {
                let handle = Handle::decode(&mut Reader::new(body.to_bytes(), limits))?;
                // A few bytes that are kept while a file is open must not keep a whole packet.
                Self::Handle(Handle::new(Bytes::copy_from_slice(handle.as_bytes())))
            }
            (DATA, Expected::Data(most)) => Self::Data(decode_data(body, most, limits)?),
            (DATA, Expected::Any) => Self::Data(decode_data(body, u32::MAX, limits)?),
            (NAME, Expected::Names | Expected::Name | Expected::Any) => {
                let names = NameEntry::decode_list(&mut Reader::new(body.to_bytes(), limits))?;
                if expected == Expected::Name && names.len() != 1 {
                    return Err(Error::new(ErrorKind::NotOneName { count: names.len() as u64 }));
                }
                Self::Names(names)
            }
            (ATTRS, Expected::Attributes | Expected::Any) => {
                Self::Attributes(Attributes::decode(&mut Reader::new(body.to_bytes(), limits))?)
            }
            (EXTENDED_REPLY, Expected::Extended | Expected::Any) => Self::Extended(body.to_bytes()),
            _ => return Err(Error::new(ErrorKind::WrongAnswer { came })),
        };
        Ok(answer)
    }
}

/// File data in its pieces, with the checks of [`Reader::data`].
fn decode_data(mut body: Segments, most: u32, limits: &Limits) -> Result<Segments, Error> {
    let truncated = || Error::new(ErrorKind::Truncated { field: "data" });
    let length = body.try_get_u32().map_err(|_| truncated())?;
    if length > most {
        return Err(Error::new(ErrorKind::TooMuchData { length, asked: most }));
    }
    let count = usize::try_from(length).unwrap_or(usize::MAX);
    if count > limits.max_packet() {
        let limit = limits.max_packet() as u64;
        return Err(Error::new(ErrorKind::TooLong { field: "data", length: u64::from(length), limit }));
    }
    if count > body.len() {
        return Err(truncated());
    }
    Ok(body.split_to(count))
}

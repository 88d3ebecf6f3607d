//! The wire's integers and strings (draft section 3; RFC 4251 section 5).

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{
    error::{Error, ErrorKind},
    limits::Limits,
};

/// Reads the fields of one packet, in slices of it.
pub(crate) struct Reader<'a> {
    rest: Bytes,
    limits: &'a Limits,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(packet: Bytes, limits: &'a Limits) -> Self {
        Self { rest: packet, limits }
    }

    pub(crate) fn limits(&self) -> &'a Limits {
        self.limits
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// All that was not read.
    pub(crate) fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn u8(&mut self, field: &'static str) -> Result<u8, Error> {
        self.rest.try_get_u8().map_err(|_| truncated(field))
    }

    pub(crate) fn u32(&mut self, field: &'static str) -> Result<u32, Error> {
        self.rest.try_get_u32().map_err(|_| truncated(field))
    }

    pub(crate) fn u64(&mut self, field: &'static str) -> Result<u64, Error> {
        self.rest.try_get_u64().map_err(|_| truncated(field))
    }

    /// A string of at most `limit` bytes. One that is too long is called so even where the packet does not hold it.
    pub(crate) fn string(&mut self, field: &'static str, limit: usize) -> Result<Bytes, Error> {
        let length = usize::try_from(self.u32(field)?).unwrap_or(usize::MAX);
        if length > limit {
            let (length, limit) = (length as u64, limit as u64);
            return Err(Error::new(ErrorKind::TooLong { field, length, limit }));
        }
        if length > self.rest.len() {
            return Err(truncated(field));
        }
        Ok(self.rest.split_to(length))
    }

    pub(crate) fn path(&mut self, field: &'static str) -> Result<Bytes, Error> {
        self.string(field, self.limits.max_path())
    }

    pub(crate) fn text(&mut self, field: &'static str) -> Result<Bytes, Error> {
        self.string(field, self.limits.max_text())
    }

    /// File data: as much as the packet holds.
    pub(crate) fn data(&mut self, field: &'static str) -> Result<Bytes, Error> {
        self.string(field, self.limits.max_packet())
    }

    /// How many elements follow, of at least `smallest` bytes each, so that what is allocated for them was received.
    pub(crate) fn count(
        &mut self,
        field: &'static str,
        limit: usize,
        smallest: usize,
    ) -> Result<usize, Error> {
        let count = usize::try_from(self.u32(field)?).unwrap_or(usize::MAX);
        check_count(field, count, limit)?;
        if count > self.remaining() / smallest {
            return Err(truncated(field));
        }
        Ok(count)
    }
}

pub(crate) fn check_count(field: &'static str, count: usize, limit: usize) -> Result<(), Error> {
    if count <= limit {
        return Ok(());
    }
    Err(Error::new(ErrorKind::TooMany { field, count: count as u64, limit: limit as u64 }))
}

fn truncated(field: &'static str) -> Error {
    Error::new(ErrorKind::Truncated { field })
}

pub(crate) fn put_string(out: &mut BytesMut, field: &'static str, value: &[u8]) -> Result<(), Error> {
    put_length(out, field, value.len())?;
    out.put_slice(value);
    Ok(())
}

pub(crate) fn put_length(out: &mut BytesMut, field: &'static str, length: usize) -> Result<(), Error> {
    out.put_u32(u32::try_from(length).map_err(|_| Error::new(ErrorKind::Unencodable { field }))?);
    Ok(())
}

/// Puts a packet's length before what `body` writes; `body` returns the data that follows it and is not written here.
/// On an error, `out` is as it was.
pub(crate) fn put_packet(
    out: &mut BytesMut,
    body: impl FnOnce(&mut BytesMut) -> Result<Bytes, Error>,
) -> Result<Bytes, Error> {
    let start = out.len();
    out.put_u32(0);
    let written = body(out).and_then(|payload| {
        let length = (out.len() - start - 4).saturating_add(payload.len());
        let length =
            u32::try_from(length).map_err(|_| Error::new(ErrorKind::Unencodable { field: "packet" }))?;
        Ok((payload, length))
    });
    match written {
        Ok((payload, length)) => {
            if let Some(field) = out.get_mut(start..start + 4) {
                field.copy_from_slice(&length.to_be_bytes());
            }
            Ok(payload)
        }
        Err(error) => {
            out.truncate(start);
            Err(error)
        }
    }
}

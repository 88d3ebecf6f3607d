//! One name of a NAME packet.

use bytes::{Bytes, BytesMut};

use crate::{
    attributes::Attributes,
    error::Error,
    wire::{Reader, check_count, put_length, put_string},
};

/// One name of a listing, or the one path that REALPATH and READLINK answer (draft section 7).
///
/// The name comes from the peer and may be anything: `..`, `a/b`, empty, with a NUL. Whoever makes a path of it checks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameEntry {
    name: Bytes,
    long_name: Bytes,
    attributes: Attributes,
}

impl NameEntry {
    /// A name with what is known about it. `long_name` is a line as of `ls -l`, for people.
    #[must_use]
    pub fn new(name: impl Into<Bytes>, long_name: impl Into<Bytes>, attributes: Attributes) -> Self {
        Self { name: name.into(), long_name: long_name.into(), attributes }
    }

    /// A path alone, as the answer to REALPATH and READLINK: its long name is the path again, and there are no attributes.
    #[must_use]
    pub fn path(path: impl Into<Bytes>) -> Self {
        let path = path.into();
        Self::new(path.clone(), path, Attributes::new())
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// The line as of `ls -l`. Its format is nobody's promise: show it, parse it not.
    #[must_use]
    pub fn long_name(&self) -> &Bytes {
        &self.long_name
    }

    /// The attributes.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.attributes
    }

    pub(crate) fn decode_list(reader: &mut Reader<'_>) -> Result<Vec<Self>, Error> {
        let count = reader.count("names", reader.limits().max_names(), SMALLEST)?;
        let mut names = Vec::with_capacity(count);
        for _ in 0..count {
            names.push(Self {
                name: reader.path("filename")?,
                long_name: reader.path("longname")?,
                attributes: Attributes::decode(reader)?,
            });
        }
        Ok(names)
    }

    pub(crate) fn encode_list(names: &[Self], out: &mut BytesMut) -> Result<(), Error> {
        put_length(out, "names", names.len())?;
        for name in names {
            put_string(out, "filename", &name.name)?;
            put_string(out, "longname", &name.long_name)?;
            name.attributes.encode(out)?;
        }
        Ok(())
    }
}

/// Two empty strings and no attributes.
const SMALLEST: usize = 12;

/// Strings packed into a string, as `users-groups-by-id@openssh.com` answers them.
pub(crate) fn decode_packed(
    packed: Bytes,
    reader: &Reader<'_>,
    field: &'static str,
) -> Result<Vec<Bytes>, Error> {
    let limits = reader.limits();
    let mut inner = Reader::new(packed, limits);
    let mut names = Vec::new();
    while !inner.is_empty() {
        check_count(field, names.len() + 1, limits.max_ids())?;
        names.push(inner.text(field)?);
    }
    Ok(names)
}

//! `check-file`: hashes of what a file has on the server (draft-ietf-secsh-filexfer-extensions-00, section 3).

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    error::Error,
    limits::Limits,
    wire::{Reader, put_string},
};

/// Which bytes of a file are to be hashed, and how. Which file is said beside it, by a handle or a name.
///
/// ```
/// use rustle_sftp_proto::{CheckFile, ExtendedRequest, Handle, Request};
///
/// let check = CheckFile { algorithms: "sha256,sha1".into(), offset: 0, length: 1 << 20, block_size: 0 };
/// assert!(check.names().eq([&b"sha256"[..], b"sha1"]));
/// let request = ExtendedRequest::CheckFileHandle { handle: Handle::new("h"), check };
/// assert_eq!(request.name(), b"check-file-handle");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckFile {
    /// The algorithms that will do, the best first, with commas between: `md5`, `sha1`, `sha224`, `sha256`, `sha384`, `sha512`,
    /// `crc32`. The server takes the first that it has.
    pub algorithms: Bytes,
    /// Where in the file, in bytes.
    pub offset: u64,
    /// How many bytes; 0 for all until the end. Some servers go on to the end whatever it says (ProFTPD, where the block size
    /// is 0): compare with what you hashed yourself and take a difference for no more than "not known to be equal".
    pub length: u64,
    /// One hash for each so many bytes, at least 256; 0 for one hash of all.
    pub block_size: u32,
}

/// The answer to `check-file`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileHashes {
    /// The algorithm of all of them.
    pub algorithm: Bytes,
    /// The hashes one after the other, each as long as the algorithm's are. The last is of what was left for it.
    pub hashes: Bytes,
}

impl CheckFile {
    /// The names in [`algorithms`](Self::algorithms).
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.algorithms.split(|byte| *byte == b',').filter(|name| !name.is_empty())
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(Self {
            algorithms: reader.text("hash-algorithm-list")?,
            offset: reader.u64("start-offset")?,
            length: reader.u64("length")?,
            block_size: reader.u32("block-size")?,
        })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), Error> {
        put_string(out, "hash-algorithm-list", &self.algorithms)?;
        out.put_u64(self.offset);
        out.put_u64(self.length);
        out.put_u32(self.block_size);
        Ok(())
    }
}

impl FileHashes {
    /// From the body of an EXTENDED_REPLY. Some servers put `check-file` before the algorithm, as the draft has it, and others
    /// (ProFTPD) do not: both are read. The hashes are a slice of the body; how many there should be, and of which length, is for
    /// its reader to check.
    ///
    /// # Errors
    /// It ends inside the algorithm's name, or that is longer than the limit.
    pub fn decode(body: Bytes, limits: &Limits) -> Result<Self, Error> {
        let mut reader = Reader::new(body, limits);
        let mut algorithm = reader.text("hash-algo-used")?;
        if algorithm == EXTENSION {
            algorithm = reader.text("hash-algo-used")?;
        }
        Ok(Self { algorithm, hashes: reader.rest() })
    }

    /// The body of an EXTENDED_REPLY, in the draft's form.
    ///
    /// # Errors
    /// The algorithm's name does not fit into a packet.
    pub fn encode(&self) -> Result<Bytes, Error> {
        let mut out = BytesMut::with_capacity(32 + self.hashes.len());
        put_string(&mut out, "extension name", EXTENSION)?;
        put_string(&mut out, "hash-algo-used", &self.algorithm)?;
        out.put_slice(&self.hashes);
        Ok(out.freeze())
    }
}

const EXTENSION: &[u8] = b"check-file";

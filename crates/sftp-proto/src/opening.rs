//! How a client opens a stream: INIT, and the VERSION that answers it.

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    error::{Error, ErrorKind},
    frame::Frame,
    framer::Framer,
    kind::INIT,
    limits::Limits,
    packet::Packet,
    printed::Printed,
    reply::Reply,
    version::{Hello, VERSION},
};

/// The client's half of INIT and VERSION (draft section 4).
///
/// It sends [`init`](Self::init), gives whatever comes to [`receive`](Self::receive) until that returns the server's
/// [`Hello`], and goes on with the framer of [`into_framer`](Self::into_framer). How long to wait is its caller's: a server
/// that says nothing is no error here.
///
/// The server's standard output is the stream. What a start-up file of the account's shell prints there comes first, where a
/// length is expected: that is [`ErrorKind::Printed`], whose text has what was printed.
///
/// ```
/// use bytes::Bytes;
/// use rustle_sftp_proto::{ErrorKind, Extension, Hello, Limits, Opening, ServerPacket};
///
/// let mut opening = Opening::new(Limits::default());
/// assert_eq!(opening.init().to_bytes(), &b"\0\0\0\x05\x01\0\0\0\x03"[..]);
///
/// let answer = ServerPacket::Version(Hello::new().with(Extension::Fsync)).encode()?.to_bytes();
/// assert_eq!(opening.receive(answer.slice(..7))?, None);
/// let hello = opening.receive(answer.slice(7..))?.expect("all of it is there");
/// assert!(hello.supports(Extension::Fsync));
/// let framer = opening.into_framer();
/// # framer.finish()?;
///
/// let mut opening = Opening::new(Limits::default());
/// let error = opening.receive(Bytes::from_static(b"Welcome to web-1!\n")).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Printed);
/// assert_eq!(error.printed(), Some("Welcome to web-1!\\n"));
/// # Ok::<(), rustle_sftp_proto::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Opening {
    framer: Framer,
    printed: Printed,
    opened: bool,
    failed: Option<Error>,
}

impl Opening {
    /// Nothing came yet. The limits are those of the whole stream.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { framer: Framer::new(limits), printed: Printed::default(), opened: false, failed: None }
    }

    /// What the client sends first: INIT of [version 3](VERSION), without extensions, as OpenSSH's client sends it.
    #[must_use]
    pub fn init(&self) -> Frame {
        let mut head = BytesMut::with_capacity(9);
        head.put_u32(5);
        head.put_u8(INIT);
        head.put_u32(VERSION);
        Frame::new(head, Bytes::new())
    }

    /// Takes the next piece of the stream. The server's answer, once all of it is there; `None` before and after that.
    ///
    /// # Errors
    /// Something else was printed first, the answer cannot be decoded, or it is of another version. The error stays. Text that
    /// comes later is added to it, up to 1 KiB in all: what a person should see may come in several pieces.
    pub fn receive(&mut self, piece: Bytes) -> Result<Option<Hello>, Error> {
        if self.opened {
            self.framer.push(piece);
            return Ok(None);
        }
        self.printed.push(&piece);
        if let Some(error) = &self.failed {
            return Err(self.with_text(error.clone()));
        }
        self.framer.push(piece);
        match self.answer() {
            Ok(None) => Ok(None),
            Ok(Some(hello)) => {
                self.opened = true;
                Ok(Some(hello))
            }
            Err(error) => {
                self.framer = Framer::new(self.framer.limits().clone());
                self.failed = Some(error.clone());
                Err(self.with_text(error))
            }
        }
    }

    /// What it means that the stream ended here.
    ///
    /// # Errors
    /// Nothing came at all, what came was printed by something else, or the answer is cut off. After the answer: the middle of
    /// another packet.
    pub fn finish(&self) -> Result<(), Error> {
        if let Some(error) = &self.failed {
            return Err(self.with_text(error.clone()));
        }
        match self.printed.is_empty() {
            true => Err(Error::new(ErrorKind::Unanswered)),
            false => self.framer.finish(),
        }
    }

    /// The framer for all that follows. It has what came after the answer.
    #[must_use]
    pub fn into_framer(self) -> Framer {
        self.framer
    }

    fn answer(&mut self) -> Result<Option<Hello>, Error> {
        match self.printed.is_version() {
            Some(true) => {}
            Some(false) => return Err(Error::new(ErrorKind::Printed)),
            None => return Ok(None),
        }
        let Some(packet) = self.framer.next_packet()? else { return Ok(None) };
        match Packet::<Reply>::decode(packet, self.framer.limits())? {
            Packet::Hello(hello) => match hello.version() {
                VERSION => Ok(Some(hello)),
                version @ ..VERSION => Err(Error::new(ErrorKind::VersionTooOld { version })),
                version => Err(Error::new(ErrorKind::VersionNotOffered { version })),
            },
            Packet::Numbered(..) => Err(Error::new(ErrorKind::Printed)),
        }
    }

    fn with_text(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Printed => error.of_text(self.printed.escaped()),
            _ => error,
        }
    }
}

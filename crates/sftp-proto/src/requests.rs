//! Which requests wait for an answer.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use bytes::{Buf, Bytes, BytesMut};

use crate::{
    answer::Answer,
    asked::Asked,
    error::{Error, ErrorKind},
    frame::Frame,
    kind::{PacketKind, VERSION},
    limits::Limits,
    packet::PacketRef,
    request::Request,
    segments::Segments,
};

/// The requests of a client that have no answer yet: it gives each its id, and finds for each answer who waits for it.
///
/// Answers may come in any order. One that no request has asked for, that comes twice or is of the wrong kind is an
/// error, and so is one that cannot be decoded: a server that does this does not mean what its client means, and nothing
/// it says after that can be trusted. So the error stays, and [`abandon_all`](Self::abandon_all) gives back everybody
/// who still waits. `T` is whatever knows whom to tell.
///
/// How many wait is for its user to limit; each costs the size of `T` and about 24 bytes.
///
/// ```
/// use bytes::Bytes;
/// use rustle_sftp_proto::{Answer, ErrorKind, Limits, Reply, Request, Requests, ServerPacket, StatusCode};
///
/// let mut requests = Requests::new(Limits::default());
/// let frame = requests.begin(&Request::Stat { path: "a".into() }, "who asked").expect("it is short");
/// assert_eq!(&frame.head()[4..], b"\x11\0\0\0\x01\0\0\0\x01a");
///
/// // The server says that there is none.
/// let reply = ServerPacket::Reply { id: 1, reply: Reply::from(StatusCode::NO_SUCH_FILE) }.encode()?;
/// let packet = reply.to_bytes().slice(4..);
/// let answered = requests.answer(packet.clone().into())?;
/// assert_eq!((answered.waiter, answered.reply), ("who asked", Answer::Status(StatusCode::NO_SUCH_FILE.into())));
///
/// // And says it again.
/// let error = requests.answer(packet.into()).unwrap_err();
/// assert!(matches!(error.kind(), ErrorKind::AnsweredBefore { id: 1, .. }));
/// # Ok::<(), rustle_sftp_proto::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Requests<T> {
    limits: Limits,
    waiting: HashMap<u32, Waiting<T>, BuildHasherDefault<IdHasher>>,
    /// The id that is given next, if nobody has it.
    next: u32,
    /// Whether ids began again, so that any may have been given.
    wrapped: bool,
    failed: Option<Error>,
}

/// An answer and who waits for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    /// What [`Requests::begin`] was given with the request.
    pub waiter: T,
    /// The answer.
    pub reply: Answer,
    /// What it answers.
    pub request: Asked,
}

#[derive(Debug, Clone)]
struct Waiting<T> {
    asked: Asked,
    waiter: T,
}

impl<T> Requests<T> {
    /// No requests. The limits are those of the answers.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, waiting: HashMap::default(), next: FIRST, wrapped: false, failed: None }
    }

    /// Gives the request an id and encodes it. From then on `waiter` is kept here, until its answer comes or all is abandoned.
    ///
    /// A READ should not ask for more than [`Limits::max_data`]: the answer could not be taken.
    ///
    /// # Errors
    /// A part does not fit the 32 bits of its length, or an answer was wrong before. The waiter comes back.
    pub fn begin(&mut self, request: &Request, waiter: T) -> Result<Frame, (Error, T)> {
        let mut head = BytesMut::with_capacity(64);
        let payload = self.begin_into(request, waiter, &mut head)?;
        Ok(Frame::new(head, payload))
    }

    /// As [`begin`](Self::begin), appended to `out`: all but the data of a WRITE, which is returned and goes next.
    ///
    /// # Errors
    /// As [`begin`](Self::begin); `out` is then as it was.
    pub fn begin_into(
        &mut self,
        request: &Request,
        waiter: T,
        out: &mut BytesMut,
    ) -> Result<Bytes, (Error, T)> {
        if let Some(error) = &self.failed {
            return Err((error.clone(), waiter));
        }
        let id = self.vacant();
        match PacketRef::Numbered(id, request).encode_into(out) {
            Ok(payload) => {
                self.wrapped |= id < self.next || id == u32::MAX;
                self.next = id.wrapping_add(1);
                self.waiting.insert(id, Waiting { asked: Asked::of(request), waiter });
                Ok(payload)
            }
            Err(error) => Err((error, waiter)),
        }
    }

    /// Takes a packet as [`Framer::next_segmented`](crate::Framer::next_segmented) gives it. File data stays in its pieces;
    /// all else is joined, which is small.
    ///
    /// # Errors
    /// The answer is not right, as this type's own text says. The error stays, and everybody who waits is still here.
    pub fn answer(&mut self, packet: Segments) -> Result<Answered<T>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.accept(packet).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// How many requests have no answer yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// Gives back everybody who waits, in no order: for when no more answers will come. What comes nevertheless is an
    /// error, as any answer that comes twice.
    pub fn abandon_all(&mut self) -> impl Iterator<Item = T> {
        self.waiting.drain().map(|(_, waiting)| waiting.waiter)
    }

    fn accept(&mut self, mut packet: Segments) -> Result<Answered<T>, Error> {
        let truncated = |field| Error::new(ErrorKind::Truncated { field });
        let came = PacketKind::new(packet.try_get_u8().map_err(|_| truncated("type"))?);
        if came.value() == VERSION {
            return Err(Error::new(ErrorKind::SecondVersion));
        }
        let id = packet.try_get_u32().map_err(|_| truncated("id"))?;
        let before = self.wrapped || (FIRST..self.next).contains(&id);
        let Entry::Occupied(waiting) = self.waiting.entry(id) else {
            let kind = match before {
                true => ErrorKind::AnsweredBefore { id, came },
                false => ErrorKind::NeverAsked { id, came },
            };
            return Err(Error::new(kind).of_request(id));
        };
        let request = waiting.get().asked;
        let reply = Answer::decode(came, packet, &request, &self.limits)
            .map_err(|error| error.of_request(id).in_answer_to(request))?;
        Ok(Answered { waiter: waiting.remove().waiter, reply, request })
    }

    /// The next id that nobody waits with. There is one: 2³² who wait do not fit into memory.
    fn vacant(&self) -> u32 {
        let mut id = self.next;
        while self.waiting.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        id
    }
}

/// The first id. 0 is left out until ids wrap, for servers that mistake it for none.
const FIRST: u32 = 1;

/// Ids are ours and one after the other: no peer chooses them, so that nobody can make them collide.
#[derive(Debug, Clone, Copy, Default)]
struct IdHasher {
    hash: u64,
}

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.hash
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    /// Multiplied by 2⁶⁴ over the golden ratio, which fills the upper bits that the table looks at too.
    fn write_u32(&mut self, value: u32) {
        self.hash = (self.hash ^ u64::from(value)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        handle::Handle,
        reply::{Reply, ServerPacket},
        status::StatusCode,
    };

    fn close() -> Request {
        Request::Close { handle: Handle::new("h") }
    }

    /// The id that a request got.
    fn begin<T: std::fmt::Debug>(requests: &mut Requests<T>, request: &Request, waiter: T) -> u32 {
        let frame = requests.begin(request, waiter).unwrap();
        u32::from_be_bytes(frame.head()[5..9].try_into().unwrap())
    }

    fn status(id: u32) -> Segments {
        let reply = ServerPacket::Reply { id, reply: Reply::from(StatusCode::OK) };
        Segments::from(reply.encode().unwrap().to_bytes().slice(4..))
    }

    #[test]
    fn ids_wrap_and_pass_over_those_who_wait() {
        let mut requests = Requests::new(Limits::default());
        assert_eq!([1, 2, 3].map(|_| begin(&mut requests, &close(), ())), [1, 2, 3]);
        requests.answer(status(2)).unwrap();
        requests.next = u32::MAX - 1;
        assert_eq!(begin(&mut requests, &close(), ()), u32::MAX - 1);
        assert!(!requests.wrapped);
        assert_eq!([1, 2, 3, 4].map(|_| begin(&mut requests, &close(), ())), [u32::MAX, 0, 2, 4]);
        assert!(requests.wrapped);
        assert_eq!(requests.outstanding(), 7);
        for id in [0, 1, 2, 3, 4, u32::MAX, u32::MAX - 1] {
            requests.answer(status(id)).unwrap();
        }
        assert_eq!(requests.outstanding(), 0);
        let error = requests.answer(status(9)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::AnsweredBefore { id: 9, .. }), "all ids were given once");
    }

    #[test]
    fn ids_wrap_over_the_last_one_when_it_is_taken() {
        let mut requests = Requests::new(Limits::default());
        requests.next = u32::MAX;
        assert_eq!(begin(&mut requests, &close(), ()), u32::MAX);
        requests.next = u32::MAX;
        requests.wrapped = false;
        assert_eq!(begin(&mut requests, &close(), ()), 0);
        assert!(requests.wrapped);
    }

    #[test]
    fn ids_one_after_the_other_do_not_collide() {
        let hash = |id: u32| {
            let mut hasher = IdHasher::default();
            hasher.write_u32(id);
            hasher.finish()
        };
        let places: std::collections::HashSet<u64> = (0..1024).map(|id| hash(id) % 1024).collect();
        assert_eq!(places.len(), 1024);
        let tags: std::collections::HashSet<u64> = (0..1024).map(|id| hash(id) >> 57).collect();
        assert_eq!(tags.len(), 128);
    }
}

//! SFTP version 3 as values: packets to bytes, bytes to packets.
//!
//! The protocol is that of draft-ietf-secsh-filexfer-02 as OpenSSH speaks it, with every extension of OpenSSH's
//! `PROTOCOL` file, and `check-file`. Both sides are here: a server decodes [`ClientPacket`]s and encodes
//! [`ServerPacket`]s. A client opens the stream by an [`Opening`], and asks by [`Requests`], which finds who waits for
//! each answer. The crate opens nothing, awaits nothing and reads no clock.
//!
//! - **Byte exact.** Paths, names and handles are bytes and come back as they came. What they mean is the caller's.
//! - **No copies of file data.** Decoding slices what was pushed, in [`Segments`] where it lies across pieces; encoding
//!   leaves the data of a WRITE or a DATA apart, in a [`Frame`] of a head and a payload.
//! - **Limits before allocation.** The [`Framer`] cuts a stream into packets, for any split of it. What its peer says
//!   about lengths and counts is held against [`Limits`] first; each excess is an [`Error`] with its own kind.
//! - **No answer is believed that nobody asked for.** One that comes twice, for an id that no request has, or of a kind
//!   that its request cannot have is an [`Error`] that names the request and what came.
//!
//! Where OpenSSH and the draft differ, OpenSSH is followed, since the world was built against it:
//!
//! - SYMLINK carries the target first and then the link, the reverse of the draft (`PROTOCOL`, section 4.1). The
//!   fields of [`Request::Symlink`] have names, so that nobody needs to remember which.
//! - Bytes after the last field of a packet are passed over, as OpenSSH does on both sides. Attribute flags that the
//!   draft does not name are ignored.
//! - A STATUS may end after its code, as servers of versions before 3 send it.
//!
//! Both sides of one READ:
//!
//! ```
//! use bytes::Bytes;
//! use rustle_sftp_proto::{
//!     Answer, ClientPacket, Framer, Handle, Limits, Reply, Request, Requests, ServerPacket,
//! };
//!
//! // A client asks.
//! let mut requests = Requests::new(Limits::default());
//! let read = Request::Read { handle: Handle::new(&b"\0\0\0\x01"[..]), offset: 0, length: 32 * 1024 };
//! let asked = requests.begin(&read, "who reads").expect("it is short");
//!
//! // A server takes bytes as they come and answers.
//! let mut framer = Framer::new(Limits::default());
//! framer.push(asked.to_bytes());
//! let packet = framer.next_packet()?.expect("a whole packet");
//! let ClientPacket::Request { id, request } = ClientPacket::decode(packet, framer.limits())? else { panic!() };
//! assert!(matches!(request, Request::Read { length: 32_768, .. }));
//! let answer = ServerPacket::Reply { id, reply: Reply::Data(Bytes::from_static(b"hello")) }.encode()?;
//!
//! // The data was not copied: it is the frame's second part.
//! assert_eq!(answer.payload(), "hello");
//!
//! // The client gets it, and who asked for it.
//! framer.push(answer.to_bytes());
//! let answered = requests.answer(framer.next_segmented()?.expect("a whole packet"))?;
//! assert_eq!(answered.waiter, "who reads");
//! assert!(matches!(answered.reply, Answer::Data(data) if data.to_bytes() == "hello"));
//! # Ok::<(), rustle_sftp_proto::Error>(())
//! ```

mod answer;
mod asked;
mod attributes;
mod check_file;
mod error;
mod extended;
mod extension;
mod extensions;
mod flags;
mod frame;
mod framer;
mod handle;
mod kind;
mod limits;
mod name;
mod opening;
mod packet;
mod printed;
mod reply;
mod request;
mod requests;
mod segments;
mod status;
mod version;
mod wire;

pub use answer::Answer;
pub use asked::Asked;
pub use attributes::{Attributes, FileKind};
pub use check_file::{CheckFile, FileHashes};
pub use error::{Error, ErrorKind};
pub use extended::{ExtendedRequest, FileSystem, OwnerNames, ServerLimits};
pub use extension::Extension;
pub use extensions::Extensions;
pub use flags::OpenFlags;
pub use frame::Frame;
pub use framer::Framer;
pub use handle::Handle;
pub use kind::PacketKind;
pub use limits::Limits;
pub use name::NameEntry;
pub use opening::Opening;
pub use reply::{Reply, ServerPacket};
pub use request::{ClientPacket, Request};
pub use requests::{Answered, Requests};
pub use segments::Segments;
pub use status::{Status, StatusCode};
pub use version::{ExtensionPair, Hello, VERSION};

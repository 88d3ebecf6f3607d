//! This program's own standard streams: what kind of thing each is, and a thread that writes to them, so that a reader
//! who stops reading holds up nothing else.

mod driver;
mod own;
mod packets;
mod screen;
mod standard;

pub(crate) use self::driver::{Sink, Writer};
pub(crate) use self::own::{Kind, Own, kind, stdin};
pub(crate) use self::packets::write_packets;
pub(crate) use self::screen::{Line, MOST_FILES, Picture};
pub(crate) use self::standard::{Drawing, Latest, Lines, RawLines, Said, standard, standard_if_used};

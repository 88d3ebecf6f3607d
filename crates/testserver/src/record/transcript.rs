//! The record as a text that does not depend on how tasks were scheduled, and what is left of it when the network's
//! accidents are taken away.

use std::{fmt, time::Duration};

use crate::record::{
    Record,
    event::{Event, Happening, Side},
};

/// All that happened, connection by connection and channel by channel; see [`Record::transcript`].
///
/// What the client did stands before what the server did: each of the two is in the order of time, while what both did
/// at one moment has no order. So under paused time, over the duplex, the same test gives the same transcript, byte for
/// byte. Over TCP it does after [`normalised`](Self::normalised).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Transcript {
    connections: Vec<Part>,
}

/// A connection or a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Part {
    heading: String,
    client: Vec<Line>,
    server: Vec<Line>,
    channels: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Line {
    time: Option<(Duration, Duration)>,
    pieces: Option<u64>,
    text: String,
}

impl Record {
    /// The whole record as a text that can be compared, kept as a snapshot, or read.
    ///
    /// ```
    /// use rustle_testserver::TestServer;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let server = TestServer::builder().start().await?;
    /// // … a client does its work …
    /// let first = server.record().transcript().normalised();
    /// // … the same work again, on another server …
    /// let second = server.record().transcript().normalised();
    /// assert_eq!(first, second, "{first}\n{second}");
    /// # server.stop().await
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn transcript(&self) -> Transcript {
        let connections = self.connections.iter().enumerate().map(|(index, connection)| {
            let channels = self.channels.iter().filter(|channel| channel.connection() == index + 1);
            Part {
                heading: String::new(),
                client: lines(connection.events(Side::Client)),
                server: lines(connection.events(Side::Server)),
                channels: channels
                    .map(|channel| Part {
                        heading: format!("{:?}", channel.kind()),
                        client: lines(channel.events(Side::Client)),
                        server: lines(channel.events(Side::Server)),
                        channels: Vec::new(),
                    })
                    .collect(),
            }
        });
        Transcript { connections: connections.collect() }
    }
}

impl Transcript {
    /// What is the same in each run over a real network: no times, no sizes of pieces, and no order between channels
    /// or between connections (those that say the same are counted by how many there are).
    ///
    /// What stays is the order of events on each side of a channel, and all totals of bytes.
    #[must_use]
    pub fn normalised(&self) -> Self {
        let mut normal = self.clone();
        normal.connections.iter_mut().for_each(Part::normalise);
        normal.connections.sort_by_cached_key(|part| part.text(0, 0));
        normal
    }
}

impl Part {
    fn normalise(&mut self) {
        for line in self.client.iter_mut().chain(&mut self.server) {
            line.time = None;
            line.pieces = None;
        }
        self.channels.iter_mut().for_each(Self::normalise);
        self.channels.sort_by_cached_key(|part| part.text(0, 0));
    }

    fn text(&self, number: usize, depth: usize) -> String {
        let mut text = String::new();
        // A String takes all that is written to it.
        let _ = self.write(&mut text, number, depth);
        text
    }

    fn write(&self, out: &mut dyn fmt::Write, number: usize, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        match self.heading.as_str() {
            "" => writeln!(out, "{indent}connection {number}")?,
            heading => writeln!(out, "{indent}channel {number}: {heading}")?,
        }
        for (side, lines) in [("client", &self.client), ("server", &self.server)] {
            for line in lines {
                writeln!(out, "{indent}  {side} {line}")?;
            }
        }
        self.channels.iter().zip(1..).try_for_each(|(channel, number)| channel.write(out, number, depth + 1))
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.connections.iter().zip(1..).try_for_each(|(part, number)| part.write(f, number, 0))
    }
}

/// `0.250 s–1.5 s 32768 bytes of stdout in 2 pieces`
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            Some((at, until)) if at == until => write!(f, "{:.6} s ", at.as_secs_f64())?,
            Some((at, until)) => write!(f, "{:.6} s–{:.6} s ", at.as_secs_f64(), until.as_secs_f64())?,
            None => {}
        }
        f.write_str(&self.text)?;
        match self.pieces {
            Some(1) => f.write_str(" in 1 piece"),
            Some(pieces) => write!(f, " in {pieces} pieces"),
            None => Ok(()),
        }
    }
}

fn lines(events: &[Event]) -> Vec<Line> {
    let line = |event: &Event| Line {
        time: Some((event.at(), event.until())),
        pieces: match event.what() {
            Happening::Data { pieces, .. } => Some(*pieces),
            _ => None,
        },
        text: event.what().to_string(),
    };
    events.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{ChannelKind, Keeper};

    fn data(keeper: &Keeper, channel: usize, bytes: &[u64]) {
        for bytes in bytes {
            keeper.data(channel, Side::Server, "stdout", *bytes);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_of_a_stream_are_one_line_until_something_else_happens() {
        let keeper = Keeper::default();
        let connection = keeper.connected();
        let channel = keeper.channel_opened(connection, ChannelKind::Session);
        data(&keeper, channel, &[3, 4]);
        tokio::time::advance(Duration::from_millis(1500)).await;
        data(&keeper, channel, &[5]);
        keeper.data(channel, Side::Client, "stdin", 1);
        keeper.data(channel, Side::Server, "stderr", 1);
        data(&keeper, channel, &[6]);
        assert_eq!(
            keeper.snapshot().transcript().to_string(),
            "connection 1\n  channel 1: Session\n    client 1.500000 s 1 bytes of stdin in 1 piece\n    \
             server 0.000000 s–1.500000 s 12 bytes of stdout in 3 pieces\n    \
             server 1.500000 s 1 bytes of stderr in 1 piece\n    \
             server 1.500000 s 6 bytes of stdout in 1 piece\n"
        );
    }

    #[test]
    fn times_pieces_and_the_order_of_channels_and_connections_do_not_count() {
        let [one, other] = [Keeper::default(), Keeper::default()];
        let first = one.connected();
        let quiet = one.channel_opened(first, ChannelKind::Session);
        let busy = one.channel_opened(first, ChannelKind::DirectTcpip("db".into(), 5432));
        data(&one, busy, &[7]);
        data(&one, quiet, &[1]);
        one.connected();

        other.connected();
        let second = other.connected();
        let busy = other.channel_opened(second, ChannelKind::DirectTcpip("db".into(), 5432));
        data(&other, busy, &[4, 3]);
        let quiet = other.channel_opened(second, ChannelKind::Session);
        data(&other, quiet, &[1]);

        let [one, other] = [one, other].map(|keeper| keeper.snapshot().transcript());
        assert_ne!(one, other);
        assert_eq!(one.normalised(), other.normalised());
        assert_eq!(one.normalised().to_string(), other.normalised().to_string());
    }

    #[test]
    fn totals_and_the_order_within_a_side_do_count() {
        let transcript = |bytes, last: &'static str| {
            let keeper = Keeper::default();
            let connection = keeper.connected();
            let channel = keeper.channel_opened(connection, ChannelKind::Session);
            data(&keeper, channel, &[bytes]);
            keeper.data(channel, Side::Server, last, 2);
            data(&keeper, channel, &[1]);
            keeper.snapshot().transcript().normalised()
        };
        let one = transcript(5, "stderr");
        assert_eq!(one, transcript(5, "stderr"));
        assert_ne!(one, transcript(6, "stderr"));
        assert_ne!(one, transcript(5, "stdout"));
    }
}

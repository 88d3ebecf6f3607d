//! What a client sends on a channel: its data, queued for whoever is behind the channel, and the rest.

use russh::{ChannelMsg, ChannelReadHalf};

use crate::{
    connection::{Connection, Reached},
    fault::Phase,
    pipe::StdinFeed,
    record::Side,
};

/// The client's side of one channel.
pub(crate) struct Input<'a> {
    pub(crate) connection: &'a Connection,
    /// The channel's number in the record.
    pub(crate) number: usize,
    /// What the record calls its data.
    pub(crate) stream: &'static str,
    pub(crate) read: &'a mut ChannelReadHalf,
    pub(crate) feed: &'a StdinFeed,
}

impl Input<'_> {
    /// Queues data and its end until something else comes, which is returned; `None` when the client has closed the
    /// channel or is gone. Never waits for whoever reads, so that the base's one loop per connection never waits for
    /// this channel.
    pub(crate) async fn next(&mut self) -> Option<ChannelMsg> {
        let keeper = &self.connection.shared.keeper;
        loop {
            let message = tokio::select! {
                // What had arrived before the end counts, in every run.
                biased;
                message = self.read.wait() => message?,
                () = self.connection.gone.cancelled() => return None,
            };
            match message {
                ChannelMsg::Data { data } => {
                    if matches!(self.connection.reach(Phase::Data), Reached::Lost | Reached::Leaving) {
                        return None;
                    }
                    keeper.data(self.number, Side::Client, self.stream, data.len() as u64);
                    self.feed.push(data);
                }
                ChannelMsg::Eof => {
                    keeper.input_ended(self.number);
                    self.feed.end();
                }
                ChannelMsg::Close => return None,
                other => return Some(other),
            }
        }
    }
}

//! What a client sends on a channel: its data, queued for whoever is behind the channel, and the rest.

use std::time::Duration;

use russh::{ChannelMsg, ChannelReadHalf};

use crate::{
    connection::{Connection, Reached},
    fault::Phase,
    pipe::StdinFeed,
    record::Side,
};

/// How long a channel with too much unread is not read from. So long its connection may stand still: long enough for a
/// reader that is only slow, and short enough for those on other channels not to give up.
const PATIENCE: Duration = Duration::from_secs(10);

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
    /// channel or is gone, or when the input [is lost](StdinFeed::is_lost): then the channel is the caller's to close.
    ///
    /// Waits for whoever reads only where more is unread than may be, and for a limited time: the base's one loop per
    /// connection waits for this channel.
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
                    if !self.is_kept().await {
                        return None;
                    }
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
    /// Whether all that has come has its place.
    async fn is_kept(&self) -> bool {
        tokio::select! {
            biased;
            () = self.feed.room(self.connection.shared.settings.limits.max_unread) => {}
            () = self.connection.gone.cancelled() => {}
            () = tokio::time::sleep(PATIENCE) => {
                tracing::warn!(channel = self.number, "channel ended: too much of its input is unread");
                self.feed.lose();
            }
        }
        !self.feed.is_lost()
    }
}

//! The one task of an SFTP channel: it sends what was handed over, and hands each answer to whoever waits for it.

mod table;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustle_sftp_proto::{Answer, ExtendedRequest, Framer, Request, ServerLimits};
use tokio::sync::{mpsc, oneshot};

use self::table::{Table, Wanted};
use crate::engine::{Failure, NO_LIMITS, Shared, Waiter, seconds};
use crate::error::ErrorKind;
use crate::link::{Far, Incoming, Link, Outgoing};
use crate::shown::Shown;

/// What is asked of the driver.
pub(crate) enum Job {
    /// A request, and who waits. Nobody any more: it is not sent, unless it closes something.
    Ask { request: Request, waiter: Waiter },
    /// The server's limits, for all.
    Limits,
    /// A request whose answer nobody wants.
    Tell(Request),
    /// Somebody waits until all that was handed over before is answered.
    Settle(oneshot::Sender<()>),
    /// The channel's end, after what was handed over before.
    End,
}

/// All that the driver needs.
pub(crate) struct Stream {
    pub(crate) link: Link,
    pub(crate) framer: Framer,
    pub(crate) shared: Arc<Shared>,
    pub(crate) patience: Duration,
}

/// Starts the task, which takes what is sent here.
pub(crate) fn start(stream: Stream) -> mpsc::UnboundedSender<Job> {
    let (sender, queue) = mpsc::unbounded_channel();
    // Owner: the channel's clones, which hold the sender. Ends: when the last of them is gone, on `Job::End`, or when the
    // stream ends, fails or falls silent. Waited for: by `Engine::ended`.
    tokio::spawn(run(stream, queue));
    sender
}

async fn run(stream: Stream, mut queue: mpsc::UnboundedReceiver<Job>) {
    let Stream { link: Link { mut incoming, mut outgoing, mut far }, framer, shared, patience } = stream;
    let table = Table::new(&framer);
    let (over, is_wanted) = {
        let read = receive(&mut incoming, framer, &table, &shared);
        let listen = async {
            far.listen().await;
            std::future::pending().await
        };
        let both = async {
            tokio::pin!(read);
            let written = tokio::select! {
                over = &mut read => return (over, false),
                written = send(&mut queue, &mut outgoing, &table, &shared) => written,
            };
            if let Err(error) = written {
                return (Over::Lost(error), false);
            }
            // Nothing more will be asked: what is unanswered is waited for, for a moment at least.
            let last = async {
                tokio::select! {
                    over = &mut read => over,
                    error = finish(&mut outgoing, &table, &shared) => Over::Lost(error),
                }
            };
            (tokio::time::timeout(LAST_ANSWERS, last).await.unwrap_or(Over::Ended), true)
        };
        tokio::select! {
            over = both => over,
            () = table.silence(patience) => (Over::Silent(patience), false),
            never = listen => never,
        }
    };
    let failure = over.into_failure(&mut far).await;
    let failure = if is_wanted { failure.wanted() } else { failure };
    shared.fail(failure.clone());
    shared.set_ended();
    drop(outgoing);
    queue.close();
    let mut waiters = table.give_up();
    // Closed above: this ends once those who are handing something over right now have done so.
    while let Some(job) = queue.recv().await {
        if let Job::Ask { waiter, .. } = job {
            waiters.push(waiter);
        }
    }
    for waiter in waiters {
        let _ = waiter.tell(Err(failure.clone()));
    }
}

/// Why the conversation is over.
enum Over {
    /// The server closed the stream.
    Closed,
    /// This side ended it.
    Ended,
    Lost(io::Error),
    Broken(rustle_sftp_proto::Error),
    Silent(Duration),
}

impl Over {
    async fn into_failure(self, far: &mut Far) -> Failure {
        match self {
            Self::Ended => closed_here(),
            Self::Broken(error) => Failure::new(ErrorKind::Protocol, error.to_string())
                .with_hint("the channel cannot be used any more; another one may be opened"),
            Self::Silent(patience) => Failure::new(
                ErrorKind::Timeout,
                format!("the server answered nothing for {}", seconds(patience)),
            ),
            Self::Lost(error) => {
                Failure::new(ErrorKind::Disconnected, format!("the SFTP stream was lost: {error}"))
            }
            Self::Closed => {
                let (status, said) = far.account().await;
                let mut text = "the server ended the SFTP channel".to_owned();
                if let Some(status) = status {
                    text.push_str(&format!(" ({status})"));
                }
                if !said.is_empty() {
                    text.push_str(&format!("; it said {}", Shown::of(&said)));
                }
                Failure::new(ErrorKind::Disconnected, text)
            }
        }
    }
}

fn closed_here() -> Failure {
    Failure::new(ErrorKind::Disconnected, "the SFTP channel was closed on this side").wanted()
}

/// Sends what is handed over, until all who could are gone.
async fn send(
    queue: &mut mpsc::UnboundedReceiver<Job>,
    outgoing: &mut Outgoing,
    table: &Table,
    shared: &Shared,
) -> io::Result<()> {
    let mut batch = Vec::with_capacity(BATCH);
    let mut head = BytesMut::new();
    loop {
        let goes_on = tokio::select! {
            biased;
            count = queue.recv_many(&mut batch, BATCH) => count > 0,
            () = table.stray.notified() => true,
        };
        let mut ends = !goes_on;
        for job in batch.drain(..).chain(table.strays().into_iter().map(Job::Tell)) {
            let (request, wanted) = match job {
                Job::Ask { request, waiter } if waiter.is_gone() && !must_be_sent(&request) => continue,
                Job::Ask { request, waiter } => (request, Wanted::By(waiter)),
                Job::Limits => (Request::Extended(ExtendedRequest::Limits), Wanted::Limits),
                Job::Tell(request) => (request, Wanted::Nobody),
                Job::Settle(waiter) => {
                    table.tell_when_settled(waiter);
                    continue;
                }
                Job::End => {
                    ends = true;
                    continue;
                }
            };
            let Some(payload) = table.begin(&request, wanted, &mut head) else { continue };
            if !payload.is_empty() {
                outgoing.send(head.split().freeze()).await?;
                outgoing.send(payload).await?;
            } else if head.len() >= COALESCED {
                outgoing.send(head.split().freeze()).await?;
            }
        }
        if !head.is_empty() {
            outgoing.send(head.split().freeze()).await?;
        }
        outgoing.flush().await?;
        table.tell_if_settled();
        if ends {
            queue.close();
            shared.fail(closed_here());
            return Ok(());
        }
    }
}

/// Ends what is sent, once all that was asked for is answered and what was opened for somebody who has gone is closed.
///
/// The server may end as soon as it sees the end, and leave undone what came before it: OpenSSH's does. A temporary file
/// would not be removed, nor a file be renamed. And the channel may be one of a session that lives on, with handles that
/// its server keeps. Comes back only with an error.
async fn finish(outgoing: &mut Outgoing, table: &Table, shared: &Shared) -> io::Error {
    let ended = async {
        let mut head = BytesMut::new();
        loop {
            for stray in table.strays() {
                table.begin(&stray, Wanted::Nobody, &mut head);
            }
            if !head.is_empty() {
                outgoing.send(head.split().freeze()).await?;
                outgoing.flush().await?;
            }
            if table.is_settled() {
                shared.set_answered();
                return outgoing.finish().await;
            }
            table.settled.notified().await;
        }
    };
    match ended.await {
        Ok(()) => std::future::pending().await,
        Err(error) => error,
    }
}

/// Takes answers to those who wait, until the stream ends or makes no sense.
async fn receive(incoming: &mut Incoming, mut framer: Framer, table: &Table, shared: &Shared) -> Over {
    let mut pieces = Vec::new();
    loop {
        // What came together with VERSION is here already.
        if let Err(error) = take(&mut framer, table, shared) {
            return Over::Broken(error);
        }
        match incoming.pieces(&mut pieces).await {
            Ok(0) => return framer.finish().map_or_else(Over::Broken, |()| Over::Closed),
            Ok(_) => {}
            Err(error) => return Over::Lost(error),
        }
        table.hear();
        for piece in pieces.drain(..) {
            framer.push(piece);
        }
    }
}

/// Hands over every whole answer.
fn take(framer: &mut Framer, table: &Table, shared: &Shared) -> Result<(), rustle_sftp_proto::Error> {
    while let Some(packet) = framer.next_segmented()? {
        let answered = table.answer(packet)?;
        match answered.waiter {
            Wanted::By(waiter) => {
                // Nobody waits for it any more: what was opened for them is closed.
                if let Err(Ok(Answer::Handle(handle))) = waiter.tell(Ok(answered.reply)) {
                    table.close_stray(handle);
                }
            }
            Wanted::Limits => shared.set_limits(limits_of(answered.reply, framer)),
            Wanted::Nobody => {}
        }
        if table.is_settled() {
            // Behind the strays, of which it may be the last.
            table.settled.notify_one();
            table.tell_if_settled();
        }
    }
    Ok(())
}

/// The server's limits, within what this side reads; a server that has none, or says 0, is taken for one that never said. One
/// that takes a few bytes at a time is taken to mean more: the requests of a small file would fill the memory.
fn limits_of(answer: Answer, framer: &Framer) -> ServerLimits {
    let Answer::Extended(body) = answer else { return NO_LIMITS };
    let Ok(said) = ServerLimits::decode(body) else { return NO_LIMITS };
    let ours = framer.limits().max_packet().saturating_sub(ROUND_DATA) as u64;
    let within = |value: u64, otherwise: u64, most: u64| match value {
        0 => otherwise,
        value => value.clamp(LEAST_DATA, most),
    };
    ServerLimits {
        max_packet: within(said.max_packet, NO_LIMITS.max_packet, u64::from(u32::MAX)),
        max_read: within(said.max_read, NO_LIMITS.max_read, ours),
        max_write: within(said.max_write, NO_LIMITS.max_write, LARGEST_WRITE),
        max_handles: said.max_handles,
    }
}

/// Whoever closes a file and does not wait for the answer has given the handle away with the request.
fn must_be_sent(request: &Request) -> bool {
    matches!(request, Request::Close { .. })
}

/// How many requests are taken from the queue in one go.
const BATCH: usize = 64;

/// Requests without data are sent together up to this: one SSH packet's worth.
const COALESCED: usize = 32 * 1024;

/// How long answers are waited for once nothing more will be asked.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What a packet holds beside its data, at most (OpenSSH's allowance).
const ROUND_DATA: usize = 1024;

/// No packet need hold less data.
const LEAST_DATA: u64 = 512;

/// No server needs to be sent more at once, whatever it says it takes.
const LARGEST_WRITE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[tokio::test]
    async fn each_request_of_a_flow_is_told_though_the_channel_ends_while_it_is_full() {
        use rustle_sftp_proto::{Handle, Hello, ServerPacket};
        use tokio::io::AsyncWriteExt as _;

        // What is sent after INIT stays in a pipe that nobody empties.
        let (near, mut far) = tokio::io::duplex(64);
        let hello = ServerPacket::Version(Hello::new()).encode().unwrap().to_bytes();
        far.write_all(&hello).await.unwrap();
        let (reader, writer) = tokio::io::split(near);
        let sftp = crate::Sftp::over(reader, writer).await.unwrap();
        let (answers, mut arrived) = mpsc::unbounded_channel();
        for tag in 0..10 {
            let data = Bytes::from_static(&[0; 1000]);
            let request = Request::Write { handle: Handle::new("h"), offset: 0, data };
            sftp.engine().submit_to(&answers, tag, request);
        }
        tokio::task::yield_now().await;
        drop(far);
        let mut tags = Vec::new();
        while tags.len() < 10 {
            let told = tokio::time::timeout(Duration::from_secs(60), arrived.recv()).await;
            let told = told.expect("each is told").unwrap();
            assert!(told.answer.is_err());
            tags.push(told.tag);
        }
        tags.sort_unstable();
        assert_eq!(tags, (0..10).collect::<Vec<_>>());
    }

    /// A channel, and its other end, which has been asked to remove a file under this number and has not answered.
    async fn asked_to_remove() -> (crate::Sftp, tokio::io::DuplexStream, u32) {
        use rustle_sftp_proto::{Hello, ServerPacket};
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let (near, mut far) = tokio::io::duplex(64 * 1024);
        let hello = ServerPacket::Version(Hello::new()).encode().unwrap().to_bytes();
        far.write_all(&hello).await.unwrap();
        let (reader, writer) = tokio::io::split(near);
        let sftp = crate::Sftp::over(reader, writer).await.unwrap();
        sftp.engine().tell(Request::Remove { path: Bytes::from_static(b"/temporary") });
        let mut heard = BytesMut::new();
        while !heard.ends_with(b"/temporary") {
            assert!(far.read_buf(&mut heard).await.unwrap() > 0, "the end before the request");
        }
        // Its number stands behind its kind, with the path's length between it and the path.
        let number = heard.len() - b"/temporary".len() - 8;
        let id = u32::from_be_bytes(heard[number..number + 4].try_into().unwrap());
        (sftp, far, id)
    }

    fn done(id: u32) -> Bytes {
        use rustle_sftp_proto::{Reply, ServerPacket, Status, StatusCode};

        let reply = Reply::Status(Status::new(StatusCode::OK, ""));
        ServerPacket::Reply { id, reply }.encode().unwrap().to_bytes()
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_not_sent_before_all_that_was_asked_for_is_answered() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let (sftp, mut far, id) = asked_to_remove().await;
        drop(sftp);
        let mut heard = BytesMut::new();
        let end = far.read_buf(&mut heard);
        let soon = tokio::time::timeout(Duration::from_secs(1), end).await;
        assert!(soon.is_err(), "the end came before the answer");
        far.write_all(&done(id)).await.unwrap();
        assert_eq!(far.read_buf(&mut heard).await.unwrap(), 0, "the end");
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_settles_when_all_is_answered_and_lives_on() {
        use tokio::io::AsyncWriteExt as _;

        let (sftp, mut far, id) = asked_to_remove().await;
        let soon = tokio::time::timeout(Duration::from_secs(1), sftp.settled()).await;
        assert!(soon.is_err(), "it settled before the answer");
        let answered = async {
            tokio::task::yield_now().await;
            far.write_all(&done(id)).await.unwrap();
        };
        tokio::join!(sftp.settled(), answered);
        sftp.settled().await;
        assert!(!sftp.is_closed());
        drop(far);
        sftp.settled().await;
    }

    #[test]
    fn a_server_s_limits_are_taken_within_our_own() {
        let framer = Framer::new(rustle_sftp_proto::Limits::default());
        let said = ServerLimits { max_packet: 0, max_read: u64::MAX, max_write: 0, max_handles: 7 };
        let limits = limits_of(Answer::Extended(said.encode()), &framer);
        assert_eq!((limits.max_read, limits.max_write), (255 * 1024, 32 * 1024));
        assert_eq!((limits.max_packet, limits.max_handles), (34_000, 7));
        let tiny = ServerLimits { max_packet: 1, max_read: 1, max_write: 2, max_handles: 1 };
        let limits = limits_of(Answer::Extended(tiny.encode()), &framer);
        assert_eq!((limits.max_read, limits.max_write), (512, 512));
        assert_eq!(limits_of(Answer::Extended(Bytes::from_static(b"short")), &framer), NO_LIMITS);
    }
}

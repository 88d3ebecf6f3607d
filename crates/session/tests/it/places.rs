//! Channels whose connection somebody else chooses, and places that are taken until the server has no channel in them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustle_session::{
    BoxFuture, BufferLimits, ChannelUse, Error, ErrorKind, Lane, OpenedAhead, Place, Places, Result, Session,
    TransportOptions,
};
use rustle_testserver::{Fault, RawPeer, RawSession, Reply, TestServer, message};
use tokio::sync::watch;

use crate::support::{close_and_check, drop_when_struck, login, login_with, server, server_shows};

/// Gives places on sessions in turn, and writes down what happens.
#[derive(Clone)]
struct Chooser {
    /// The first is for those who come first, the others for those who were refused.
    sessions: Vec<Session>,
    asked: Arc<Mutex<Vec<ChannelUse>>>,
    taken: Arc<watch::Sender<usize>>,
    opened: Arc<watch::Sender<usize>>,
    given_up: Arc<watch::Sender<usize>>,
}

struct Chosen {
    chooser: Chooser,
    number: usize,
}

impl Chooser {
    fn new(sessions: &[&Session]) -> Self {
        Self {
            sessions: sessions.iter().map(|session| (*session).clone()).collect(),
            asked: Arc::default(),
            taken: Arc::default(),
            opened: Arc::default(),
            given_up: Arc::default(),
        }
    }

    fn place(&self, number: usize) -> Box<dyn Place> {
        self.taken.send_modify(|taken| *taken += 1);
        Box::new(Chosen { chooser: self.clone(), number })
    }

    fn handle(&self) -> Session {
        self.sessions[0].with_places(Arc::new(self.clone()))
    }

    fn asked(&self) -> Vec<ChannelUse> {
        self.asked.lock().unwrap().clone()
    }

    fn numbers(&self) -> (usize, usize) {
        (*self.taken.borrow(), *self.opened.borrow())
    }

    fn given_up(&self) -> usize {
        *self.given_up.borrow()
    }

    async fn all_free(&self) {
        self.taken.subscribe().wait_for(|taken| *taken == 0).await.unwrap();
    }
}

impl Places for Chooser {
    fn take(&self, purpose: ChannelUse) -> BoxFuture<'_, Result<Box<dyn Place>>> {
        self.asked.lock().unwrap().push(purpose);
        Box::pin(std::future::ready(Ok(self.place(0))))
    }
}

impl Place for Chosen {
    fn session(&self) -> &Session {
        &self.chooser.sessions[self.number]
    }

    fn opened(&mut self) {
        self.chooser.opened.send_modify(|opened| *opened += 1);
    }

    fn given_up(&mut self) {
        self.chooser.given_up.send_modify(|given_up| *given_up += 1);
    }

    fn another(self: Box<Self>, error: Error) -> BoxFuture<'static, Result<Box<dyn Place>>> {
        let next = self.number + 1;
        let another = match next < self.chooser.sessions.len() {
            true => Ok(self.chooser.place(next)),
            false => Err(error),
        };
        Box::pin(std::future::ready(another))
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.chooser.taken.send_modify(|taken| *taken -= 1);
    }
}

#[tokio::test]
async fn each_channel_says_what_it_is_for_and_its_place_is_free_when_it_has_ended() {
    let server = server().direct_tcpip().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let session = login(&server).await;
    let chooser = Chooser::new(&[&session]);
    let handle = chooser.handle();
    assert_eq!(handle.output("hello").await.unwrap().stdout_text(), "hello\n");
    chooser.all_free().await;
    let child = handle.line("sleep 1000").spawn().await.unwrap();
    assert_eq!(chooser.numbers(), (1, 2));
    drop(child);
    chooser.all_free().await;
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    let forward = handle.direct_tcpip("127.0.0.1", server.port()).await.unwrap();
    drop(forward);
    chooser.all_free().await;
    assert_eq!(chooser.asked(), [ChannelUse::Collected, ChannelUse::Streamed, ChannelUse::Forward]);
    drop((handle, chooser));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn whoever_knows_the_reader_says_in_which_lane_it_is() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let session = login(&server).await;
    let chooser = Chooser::new(&[&session]);
    let handle = chooser.handle();
    let output = handle.line("hello").lane(Lane::Isolated).output().await.unwrap();
    assert_eq!(output.stdout_text(), "hello\n");
    drop(handle.line("sleep 1000").lane(Lane::Shared).spawn().await.unwrap());
    assert_eq!(chooser.asked(), [ChannelUse::Streamed, ChannelUse::Collected]);
    chooser.all_free().await;
    drop((handle, chooser));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_place_is_free_when_the_server_has_closed_the_channel_whoever_still_has_it() {
    let server = server().direct_tcpip().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let session = login(&server).await;
    let chooser = Chooser::new(&[&session]);
    let handle = chooser.handle();
    let mut waited = handle.line("hello").spawn().await.unwrap();
    assert!(waited.wait().await.unwrap().success());
    chooser.all_free().await;
    // Nobody has read it yet, or asked for its end.
    let mut unread = handle.line("hello").spawn().await.unwrap();
    chooser.all_free().await;
    let mut output = unread.take_stdout().unwrap();
    assert_eq!(output.chunk().await.unwrap().as_deref(), Some(b"hello\n".as_slice()));
    assert!(output.chunk().await.unwrap().is_none() && unread.wait().await.unwrap().success());
    // What runs keeps its place.
    let running = handle.line("sleep 1000").spawn().await.unwrap();
    assert_eq!(chooser.numbers(), (1, 3));
    drop((waited, output, unread));
    assert_eq!(chooser.numbers(), (1, 3), "none was given back twice");
    drop((running, handle));
    chooser.all_free().await;
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_place_is_free_when_the_server_has_closed_the_channel_without_another_word() {
    // The first is closed with its confirmation, before anybody here knows of it, and the next when the server is asked for a
    // sign of life.
    let script = |mut peer: RawSession| async move {
        peer.accept_login().await.expect("a login");
        let (mut is_first, mut open) = (true, None);
        while let Some(payload) = peer.next().await {
            let (confirmed, closed) = match payload[0] {
                message::CHANNEL_OPEN => {
                    // Behind the type's name stands the client's number.
                    let name = u32::from_be_bytes(payload[1..5].try_into().unwrap()) as usize;
                    let number = payload.slice(5 + name..9 + name);
                    if is_first { (Some(number.clone()), Some(number)) } else { (Some(number), None) }
                }
                message::GLOBAL_REQUEST => (None, open.take()),
                _ => continue,
            };
            if let Some(number) = &confirmed {
                let begin = [&[message::CHANNEL_OPEN_CONFIRMATION][..], &number[..], &number[..]].concat();
                peer.send([&begin[..], &[0, 16, 0, 0, 0, 0, 128, 0]].concat()).await.unwrap();
            } else {
                peer.send(vec![message::REQUEST_FAILURE]).await.unwrap();
            }
            if let Some(number) = &closed {
                peer.send([&[message::CHANNEL_CLOSE][..], &number[..]].concat()).await.unwrap();
            }
            if confirmed.is_some() && !std::mem::replace(&mut is_first, false) {
                open = confirmed;
            }
        }
    };
    let server = TestServer::builder().raw_peer(RawPeer::new().script(script)).start().await.unwrap();
    let session = login(&server).await;
    let chooser = Chooser::new(&[&session]);
    let handle = chooser.handle();
    let at_once = handle.direct_tcpip("db", 5432).await.unwrap();
    chooser.all_free().await;
    let later = handle.direct_tcpip("db", 5432).await.unwrap();
    assert_eq!(chooser.numbers(), (1, 2));
    session.ping().await.unwrap();
    chooser.all_free().await;
    drop((at_once, later, handle, chooser));
    session.close(Duration::from_secs(5)).await;
    drop(session);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_place_is_free_when_this_side_has_closed_the_channel_whoever_still_has_it() {
    let server = server().start().await.unwrap();
    let buffers = BufferLimits::default().memory(64 * 1024).disk(0).pause(Duration::from_millis(100));
    let session = login_with(&server, TransportOptions::builder().buffers(buffers).build().unwrap()).await;
    let chooser = Chooser::new(&[&session]);
    let handle = chooser.handle();
    // Its output is not read and runs over.
    let mut flood = handle.line("yes").spawn().await.unwrap();
    let unread = flood.take_stdout().unwrap();
    chooser.all_free().await;
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    // Its reader went away, and it is ended for that.
    let mut cut_off = handle.line("yes").spawn().await.unwrap();
    drop(cut_off.take_stdout());
    chooser.all_free().await;
    assert!(handle.output("true").await.unwrap().status.success());
    assert_eq!(flood.wait().await.unwrap_err().kind(), ErrorKind::Overrun);
    drop((flood, unread, cut_off));
    assert_eq!(chooser.numbers(), (0, 3), "none was given back twice");
    drop((handle, chooser));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_command_that_one_connection_has_no_place_for_goes_over_another_and_runs_once() {
    let server = server().max_sessions(1).command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let (full, free) = (login(&server).await, login(&server).await);
    let holder = full.line("sleep 1000").spawn().await.unwrap();
    let chooser = Chooser::new(&[&full, &free]);
    assert_eq!(chooser.handle().output("hello").await.unwrap().stdout_text(), "hello\n");
    chooser.all_free().await;
    assert_eq!(chooser.numbers(), (0, 1));
    let record = server.record();
    let ran: Vec<_> = record.commands().iter().filter(|command| command.text() == "hello").collect();
    assert_eq!(ran.len(), 1);
    // With nowhere else to go the refusal is the answer.
    let alone = Chooser::new(&[&full]);
    assert_eq!(alone.handle().output("hello").await.unwrap_err().kind(), ErrorKind::ChannelLimit);
    assert_eq!(alone.numbers(), (0, 0));
    holder.end().await;
    drop((chooser, alone, free));
    close_and_check(full, server).await;
}

#[tokio::test]
async fn where_a_connection_is_gone_a_command_goes_over_another() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let (gone, there) = (login(&server).await, login(&server).await);
    gone.abort();
    let chooser = Chooser::new(&[&gone, &there]);
    assert_eq!(chooser.handle().output("hello").await.unwrap().stdout_text(), "hello\n");
    chooser.all_free().await;
    drop((gone, chooser));
    close_and_check(there, server).await;
}

#[tokio::test]
async fn a_place_is_taken_until_the_server_has_answered_an_open_that_nobody_waits_for_any_more() {
    let late = Fault::withhold_channel_open().for_time(Duration::from_secs(5)).nth(1);
    let server = server().fault(late).start().await.unwrap();
    let session = login(&server).await;
    let chooser = Chooser::new(&[&session]);
    let handle = chooser.handle();
    drop_when_struck(&server, handle.line("sleep 1000").spawn()).await;
    assert_eq!(chooser.numbers(), (1, 0));
    chooser.all_free().await;
    assert_eq!(server.record().channels_opened_total(), 1);
    drop((handle, chooser));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_place_is_free_in_the_end_where_the_server_never_answers() {
    let never = Fault::withhold_channel_open().nth(1);
    let server = server().fault(never).start().await.unwrap();
    let session = login(&server).await;
    let chooser = Chooser::new(&[&session]);
    let handle = chooser.handle();
    drop_when_struck(&server, handle.line("sleep 1000").spawn()).await;
    assert_eq!((chooser.numbers(), chooser.given_up()), ((1, 0), 1));
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(29)).await;
    assert_eq!(chooser.numbers(), (1, 0));
    chooser.all_free().await;
    tokio::time::resume();
    drop((handle, chooser));
    session.abort();
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_channel_that_was_opened_ahead_is_used_unless_it_is_gone() {
    let server = server().command("hello", Reply::stdout("hello\n")).start().await.unwrap();
    let session = login(&server).await;
    let ahead = Arc::new(Mutex::new(None));
    let places = Ahead { session: session.clone(), ahead: Arc::clone(&ahead) };
    let placed = session.with_places(Arc::new(places));
    *ahead.lock().unwrap() = Some(session.open_ahead().await.unwrap());
    for opened in [1, 2] {
        assert_eq!(placed.output("hello").await.unwrap().stdout_text(), "hello\n");
        assert_eq!(server.record().channels_opened_total(), opened);
    }
    // One whose connection is gone is no use, and no harm: the place says where else.
    let gone = login(&server).await;
    *ahead.lock().unwrap() = Some(gone.open_ahead().await.unwrap());
    gone.close(Duration::from_secs(5)).await;
    assert_eq!(placed.output("hello").await.unwrap().stdout_text(), "hello\n");
    drop(placed);
    close_and_check(session, server).await;
}

/// Has a channel for the next one, if there is one.
struct Ahead {
    session: Session,
    ahead: Arc<Mutex<Option<OpenedAhead>>>,
}

impl Places for Ahead {
    fn take(&self, _purpose: ChannelUse) -> BoxFuture<'_, Result<Box<dyn Place>>> {
        let place: Box<dyn Place> =
            Box::new(Self { session: self.session.clone(), ahead: Arc::clone(&self.ahead) });
        Box::pin(std::future::ready(Ok(place)))
    }
}

impl Place for Ahead {
    fn session(&self) -> &Session {
        &self.session
    }

    fn opened_ahead(&mut self) -> Option<OpenedAhead> {
        self.ahead.lock().unwrap().take()
    }

    fn opened(&mut self) {}

    fn another(self: Box<Self>, error: Error) -> BoxFuture<'static, Result<Box<dyn Place>>> {
        Box::pin(std::future::ready(Err(error)))
    }
}

#[tokio::test]
async fn a_listener_and_who_came_in_there_have_one_place_until_the_last_is_gone() {
    let server = server().tcpip_forward().start().await.unwrap();
    let session = login(&server).await;
    let chooser = Chooser::new(&[&session]);
    let handle = chooser.handle();
    let mut listener = handle.listen_tcpip("127.0.0.1", 0).await.unwrap();
    assert_eq!((chooser.asked(), chooser.numbers()), (vec![ChannelUse::Forward], (1, 1)));
    let visitor = tokio::net::TcpStream::connect(("127.0.0.1", listener.port().unwrap()));
    let (visitor, incoming) = tokio::join!(visitor, listener.accept());
    listener.close().await.unwrap();
    assert_eq!(chooser.numbers(), (1, 1), "who came in is still there");
    drop((visitor, incoming));
    chooser.all_free().await;
    let dropped = handle.listen_tcpip("127.0.0.1", 0).await.unwrap();
    drop(dropped);
    chooser.all_free().await;
    drop((handle, chooser));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn where_a_connection_is_gone_the_server_listens_on_another() {
    let server = server().tcpip_forward().start().await.unwrap();
    let (gone, there) = (login(&server).await, login(&server).await);
    gone.close(Duration::from_secs(5)).await;
    let chooser = Chooser::new(&[&gone, &there]);
    let mut listener = chooser.handle().listen_tcpip("127.0.0.1", 0).await.unwrap();
    let visitor = tokio::net::TcpStream::connect(("127.0.0.1", listener.port().unwrap()));
    let (visitor, incoming) = tokio::join!(visitor, listener.accept());
    assert!(visitor.is_ok() && incoming.is_some());
    drop((listener, incoming));
    chooser.all_free().await;
    close_and_check(there, server).await;
}

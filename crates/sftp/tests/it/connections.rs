//! One file over several connections.

use std::future::{Future, IntoFuture as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustle_session::{BoxFuture, ChannelUse, Place, Places, Session};
use rustle_sftp::{ErrorKind, Sftp, Summary, Transfer};
use rustle_testserver::{Fault, Network, SftpFault, SftpRequest, TestServer};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::here::{Here, content};
use crate::support::{OnlyOn, WAYS, Way, login, no_handles, serve_with};

const LENGTH: usize = 20 << 20;
/// Longer than any of the tests may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// Each connection carries so much that all channels are open long before the end of a file.
fn slow() -> Network {
    Network::new().round_trip(Duration::from_millis(2)).rate(8_000_000)
}

/// A server that has `content` under `/there` for what is fetched.
async fn serve(way: Way, content: &[u8]) -> TestServer {
    let files = match way {
        Way::Get => rustle_testserver::Sftp::memory().file("/there", content.to_vec()),
        Way::PutInPlace | Way::PutAtomic => rustle_testserver::Sftp::memory(),
    };
    serve_with(TestServer::builder().sftp(files).network(slow())).await
}

/// So many bytes more went over it, either way.
async fn carries(session: &Session, bytes: u64) {
    let carried = || session.stats().bytes_sent + session.stats().bytes_received;
    let until = carried() + bytes;
    while carried() < until {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// With one channel for each connection, however long the round trip seemed on a busy machine.
fn transfer(way: Way, sftp: &Sftp, here: &Here) -> Transfer {
    let transfer = match way {
        Way::Get => sftp.get("/there", here.path("back")),
        Way::PutInPlace => sftp.put(here.path("from"), "/there"),
        Way::PutAtomic => sftp.put(here.path("from"), "/there").atomic(),
    };
    transfer.channels(NonZeroUsize::MIN)
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, Box::pin(work)).await.expect("it ends")
}

/// Connections that were cut left theirs to the server; the others closed them.
async fn none_open(server: &TestServer) {
    server.wait_until(|record| record.handles_open() == 0, DEADLINE).await.unwrap();
}

/// What was moved is the content, and nothing else is there.
async fn is_whole(way: Way, session: &Session, here: &Here, content: &[u8]) {
    let sftp = Sftp::open(session).await.unwrap();
    match way {
        Way::Get => assert!(here.read("back") == content, "{way:?}"),
        Way::PutInPlace | Way::PutAtomic => {
            assert!(sftp.read("/there").await.unwrap() == content, "{way:?}");
        }
    }
    let mut listed = sftp.read_dir("/").await.unwrap();
    let mut names = Vec::new();
    while let Some(entry) = listed.next_entry().await.unwrap() {
        names.push(entry.name().clone());
    }
    assert_eq!(names, ["there"], "{way:?}");
    sftp.close().await;
}

#[tokio::test]
async fn two_connections_carry_a_file_together() {
    for way in WAYS {
        let (here, bytes) = (Here::new(), content(LENGTH));
        here.file("from", &bytes);
        let server = serve(way, &bytes).await;
        let (first, second) = (login(&server).await, login(&server).await);
        let sftp = Sftp::open(&first).await.unwrap();
        let moved = within(transfer(way, &sftp, &here).also_over(&second).into_future()).await.unwrap();
        assert_eq!((moved.channels, moved.length), (2, LENGTH as u64), "{way:?}");
        let carried = [first.stats(), second.stats()].map(|stats| stats.bytes_received + stats.bytes_sent);
        assert!(carried.iter().all(|bytes| *bytes > 1_000_000), "{way:?}: {carried:?}");
        is_whole(way, &second, &here, &bytes).await;
        no_handles(&server).await;
        sftp.close().await;
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_is_lost_midway_is_done_without_whichever_it_is() {
    for way in WAYS {
        for lost in [0, 1] {
            let (here, bytes) = (Here::new(), content(LENGTH));
            here.file("from", &bytes);
            let server = serve(way, &bytes).await;
            let (first, second) = (login(&server).await, login(&server).await);
            let sftp = Sftp::open(&first).await.unwrap();
            let loss = async {
                carries(&second, 1_000_000).await;
                [&first, &second][lost].abort();
                std::future::pending().await
            };
            let moved = within(async {
                tokio::select! {
                    moved = transfer(way, &sftp, &here).also_over(&second).into_future() => moved,
                    never = loss => never,
                }
            });
            let moved = moved.await.unwrap_or_else(|error| panic!("{way:?}, lost {lost}: {error}"));
            assert_eq!(moved.channels, 1, "{way:?}, lost {lost}");
            let left = [&first, &second][1 - lost];
            is_whole(way, left, &here, &bytes).await;
            none_open(&server).await;
            server.stop().await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_transfer_dropped_after_its_first_channel_was_lost_leaves_no_temporary_file() {
    let here = Here::new();
    here.file("from", &content(LENGTH));
    let server = serve(Way::PutAtomic, b"").await;
    let (first, second) = (login(&server).await, login(&server).await);
    let sftp = Sftp::open(&first).await.unwrap();
    let lost = async {
        carries(&second, 1_000_000).await;
        first.abort();
        // The one that is left goes on alone, which shows that the loss was noticed.
        carries(&second, 3_000_000).await;
    };
    let put = transfer(Way::PutAtomic, &sftp, &here).also_over(&second).into_future();
    tokio::select! {
        ended = put => panic!("it was not dropped: {ended:?}"),
        () = lost => {}
    }
    let sftp = Sftp::open(&second).await.unwrap();
    none_open(&server).await;
    within(async {
        while sftp.read_dir("/").await.unwrap().next_entry().await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    server.stop().await.unwrap();
}

/// The first connection is lost while the only other channel is still being opened.
#[tokio::test]
async fn the_last_channel_s_loss_waits_for_one_that_is_being_opened() {
    for way in WAYS {
        let (here, bytes) = (Here::new(), content(LENGTH));
        here.file("from", &bytes);
        let files = rustle_testserver::Sftp::memory().file("/got", bytes.clone());
        let late = Fault::withhold_channel_open().on_connection(2).nth(1).for_time(Duration::from_secs(5));
        let server = serve_with(TestServer::builder().sftp(files).network(slow()).fault(late)).await;
        let (first, second) = (login(&server).await, login(&server).await);
        let sftp = Sftp::open(&first).await.unwrap();
        let transfer = match way {
            Way::Get => sftp.get("/got", here.path("back")).channels(NonZeroUsize::MIN),
            Way::PutInPlace | Way::PutAtomic => transfer(way, &sftp, &here),
        };
        let loss = async {
            carries(&first, 1_000_000).await;
            while server.faults_fired() < 1 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            first.abort();
        };
        let both = Box::pin(async { tokio::join!(transfer.also_over(&second).into_future(), loss) });
        let (moved, ()) = within(both).await;
        let sftp = Sftp::open(&second).await.unwrap();
        match way {
            Way::Get => {
                assert_eq!(moved.unwrap().channels, 1);
                assert!(here.read("back") == bytes);
            }
            Way::PutAtomic => {
                assert_eq!(moved.unwrap().channels, 1);
                assert!(sftp.read("/there").await.unwrap() == bytes);
            }
            // Nobody can show any more that the name is still the file's.
            Way::PutInPlace => {
                let error = moved.map(|_| "it went on").unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
            }
        }
        none_open(&server).await;
        sftp.close().await;
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_channel_that_is_never_opened_is_waited_for_no_longer_than_one_may_take() {
    let (here, bytes) = (Here::new(), content(LENGTH));
    let files = rustle_testserver::Sftp::memory().file("/there", bytes);
    let never = Fault::withhold_channel_open().on_connection(2).nth(1);
    let server = serve_with(TestServer::builder().sftp(files).network(slow()).fault(never)).await;
    let (first, second) = (login(&server).await, login(&server).await);
    let soon = Sftp::builder().open_timeout(Duration::from_secs(3));
    let sftp = soon.open(&first).await.unwrap();
    let get = transfer(Way::Get, &sftp, &here).also_over(&second).into_future();
    let loss = async {
        carries(&first, 1_000_000).await;
        first.abort();
    };
    // Far less than the time that a channel may take unless something else was said.
    let both = Box::pin(async { tokio::join!(get, loss) });
    let (got, ()) = timeout(Duration::from_secs(25), both).await.expect("it waits for ever");
    assert_eq!(got.unwrap_err().kind(), ErrorKind::Disconnected);
    second.abort();
    none_open(&server).await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn channels_that_help_to_send_are_opened_while_the_file_is() {
    let here = Here::new();
    let from = here.file("from", &content(LENGTH));
    let unanswered = Fault::sftp(SftpRequest::Open, SftpFault::lose_reply());
    let files = rustle_testserver::Sftp::memory();
    let server = serve_with(TestServer::builder().sftp(files).fault(unanswered)).await;
    let session = login(&server).await;
    let sftp = Sftp::open(&session).await.unwrap();
    let put = sftp.put(from, "/there").channels(NonZeroUsize::new(2).unwrap());
    tokio::select! {
        ended = Box::pin(put.into_future()) => panic!("nobody answered: {ended:?}"),
        open = server.wait_until(|record| record.channels_open() == 2, DEADLINE) => open.unwrap(),
    }
    session.abort();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn channels_that_help_have_the_time_limits_of_the_first() {
    let (here, bytes) = (Here::new(), content(LENGTH));
    let from = here.file("from", &bytes);
    // The second OPEN is that of the channel which is to help.
    let unanswered = Fault::sftp(SftpRequest::Open, SftpFault::lose_reply()).nth(2);
    let files = rustle_testserver::Sftp::memory();
    let server = serve_with(TestServer::builder().sftp(files).fault(unanswered)).await;
    let session = login(&server).await;
    let sftp = Sftp::builder().answer_timeout(Duration::from_secs(4)).open(&session).await.unwrap();
    let slowly = std::num::NonZeroU64::new(100_000).unwrap();
    let put = sftp.put(from, "/there").channels(NonZeroUsize::new(2).unwrap()).limit(slowly);
    let given_up = async {
        while server.faults_fired() < 1 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        server.wait_until(|record| record.channels_open() == 1, DEADLINE).await.unwrap();
    };
    tokio::select! {
        ended = Box::pin(put.into_future()) => panic!("it was not so slow: {ended:?}"),
        () = given_up => {}
    }
    sftp.close().await;
    session.abort();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn what_a_lost_connection_leaves_on_the_server_is_named() {
    for resumed in [false, true] {
        let (here, bytes) = (Here::new(), content(LENGTH));
        let from = here.file("from", &bytes);
        let server = serve(Way::PutAtomic, b"").await;
        let (first, second) = (login(&server).await, login(&server).await);
        let sftp = Sftp::open(&first).await.unwrap();
        let put = sftp.put(from, "/there").atomic().channels(NonZeroUsize::MIN);
        let put = if resumed { put.resume() } else { put };
        let loss = async {
            carries(&first, 1_000_000).await;
            first.abort();
        };
        let both = Box::pin(async { tokio::join!(put.into_future(), loss) });
        let (put, ()) = within(both).await;
        let error = put.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
        none_open(&server).await;
        let sftp = Sftp::open(&second).await.unwrap();
        let left = sftp.read_dir("/").await.unwrap().next_entry().await.unwrap().unwrap();
        let name = String::from_utf8(left.name().to_vec()).unwrap();
        let hint = error.hint().unwrap();
        assert!(
            name.starts_with(".there.rustle-") && hint.contains(&format!("\"/{name}\"")),
            "{name}: {hint}"
        );
        assert_eq!(hint.contains("resume"), resumed, "{hint}");
        sftp.close().await;
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_to_another_machine_is_left_alone() {
    for way in WAYS {
        let (here, bytes) = (Here::new(), content(LENGTH));
        let mut theirs = bytes.clone();
        theirs.reverse();
        here.file("from", &bytes);
        let server = serve(way, &bytes).await;
        // As long and as old: machines that were installed from one image differ in neither.
        let files = rustle_testserver::Sftp::memory().file("/there", theirs.clone());
        let other = serve_with(TestServer::builder().sftp(files).network(slow())).await;
        let (first, second) = (login(&server).await, login(&other).await);
        let sftp = Sftp::open(&first).await.unwrap();
        let elsewhere = Sftp::open(&second).await.unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        if way == Way::Get {
            sftp.set_times("/there", then, then).await.unwrap();
        }
        elsewhere.set_times("/there", then, then).await.unwrap();
        let moved = within(transfer(way, &sftp, &here).also_over(&second).into_future()).await.unwrap();
        assert_eq!(moved.channels, 1, "{way:?}");
        is_whole(way, &first, &here, &bytes).await;
        assert!(elsewhere.read("/there").await.unwrap() == theirs, "{way:?}");
        let names = elsewhere.metadata("/").await;
        assert!(names.is_ok(), "the other connection is as it was");
        for sftp in [sftp, elsewhere] {
            sftp.close().await;
        }
        server.stop().await.unwrap();
        other.stop().await.unwrap();
    }
}

/// A connection on which channels are opened once they may be.
struct Gate {
    session: Session,
    may_open: Semaphore,
}

impl Places for Gate {
    fn take(&self, _purpose: ChannelUse) -> BoxFuture<'_, rustle_session::Result<Box<dyn Place>>> {
        Box::pin(async move {
            drop(self.may_open.acquire().await);
            let place: Box<dyn Place> = Box::new(OnlyOn(self.session.clone()));
            Ok(place)
        })
    }
}

#[tokio::test]
async fn a_file_that_takes_the_name_of_one_that_is_sent_in_place_is_not_written_to() {
    let (here, bytes) = (Here::new(), content(LENGTH));
    let from = here.file("from", &bytes);
    let mut theirs = bytes.clone();
    theirs.reverse();
    let files = rustle_testserver::Sftp::memory().file("/other", theirs.clone());
    let server = serve_with(TestServer::builder().sftp(files).network(slow())).await;
    let sftp = Sftp::open(&login(&server).await).await.unwrap();
    // Logged in before, since that takes a busy machine longer than anything else here.
    let theirs_too = Sftp::open(&login(&server).await).await.unwrap();
    let gate = Arc::new(Gate { session: login(&server).await, may_open: Semaphore::new(0) });
    let places: Arc<dyn Places> = Arc::<Gate>::clone(&gate);
    let second = gate.session.with_places(places);
    let others = async {
        server.wait_until(|record| record.handles_open() > 0, DEADLINE).await.unwrap();
        theirs_too.rename("/there", "/aside").await.unwrap();
        theirs_too.rename("/other", "/there").await.unwrap();
        theirs_too.close().await;
        // The second channel of the put comes when the name is another file's: there are two others before it.
        gate.may_open.add_permits(1);
        server.wait_until(|record| record.channels_opened_total() == 3, DEADLINE).await.unwrap();
    };
    let put = sftp.put(from, "/there").channels(NonZeroUsize::MIN).also_over(&second);
    let both = Box::pin(async { tokio::join!(put.into_future(), others) });
    let (put, ()) = within(both).await;
    assert_eq!(put.unwrap().channels, 1);
    assert!(sftp.read("/aside").await.unwrap() == bytes, "all of it is in the file that was opened");
    assert!(sftp.read("/there").await.unwrap() == theirs, "and none in the other");
    sftp.close().await;
    server.stop().await.unwrap();
}

async fn put(
    sftp: &Sftp,
    from: &Path,
    connecting: impl Future<Output = rustle_session::Result<Session>> + Send + 'static,
) -> Summary {
    within(sftp.put(from, "/there").channels(NonZeroUsize::MIN).also_connecting(connecting).into_future())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_connection_that_cannot_be_made_holds_nothing_up() {
    let here = Here::new();
    // A connection is made for the one and not for the other.
    let mut bytes = content(64 << 20);
    let long = here.file("long", &bytes);
    bytes.truncate((64 << 20) - 1);
    let short = here.file("short", &bytes);
    let server = serve_with(TestServer::builder().sftp(rustle_testserver::Sftp::memory())).await;
    let session = login(&server).await;
    let sftp = Sftp::open(&session).await.unwrap();
    let closed = login(&server).await;
    closed.close(Duration::from_secs(5)).await;
    assert_eq!(put(&sftp, &long, std::future::pending()).await.channels, 1);
    assert_eq!(put(&sftp, &long, std::future::ready(Ok(closed))).await.channels, 1);
    assert_eq!(put(&sftp, &short, async { panic!("nobody asked for it") }).await.channels, 1);
    assert_eq!(put(&sftp, &long, std::future::ready(Ok(session.clone()))).await.channels, 2);
    sftp.close().await;
    server.stop().await.unwrap();
}

//! Transfers that go on over another connection when theirs is lost.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustle_session::{
    AgentSource, BoxFuture, ChannelUse, Connector, Credentials, PinnedHostKey, Place, Places, SecretString,
    Session, Target,
};
use rustle_sftp::{ErrorKind, Sftp, Transfer};
use rustle_testserver::{Builder, Cut, Fault, HostKeyKind, TestServer};
use tokio::sync::{Notify, watch};

use crate::here::{Here, content};
use crate::resume::hashing;
use crate::support::serve_with;

const LENGTH: usize = 64 << 20;
/// Somewhere in the middle of it.
const MIDWAY: u64 = 40 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Get,
    PutInPlace,
    PutAtomic,
}

const WAYS: [Way; 3] = [Way::Get, Way::PutInPlace, Way::PutAtomic];

/// Makes a connection when the one before is gone.
struct Line {
    connector: Connector,
    credentials: Credentials,
    session: tokio::sync::Mutex<Option<Session>>,
    made: AtomicUsize,
    /// Whether there is a way to the server.
    is_there: watch::Sender<bool>,
    /// Somebody waits for that.
    waits: Notify,
}

impl Line {
    fn to(server: &TestServer) -> Arc<Self> {
        let target = Target::new("127.0.0.1").and_then(|target| target.with_user("alice")).unwrap();
        let connector = Connector::new(target.with_port(server.port()).unwrap())
            .host_trust(PinnedHostKey::new(&server.host_key_fingerprint()).unwrap());
        let credentials = Credentials::new()
            .password(SecretString::from("wonderland"))
            .without_default_keys()
            .agent(AgentSource::None);
        let (session, made) = (tokio::sync::Mutex::default(), AtomicUsize::new(0));
        let (is_there, waits) = (watch::Sender::new(true), Notify::new());
        Arc::new(Self { connector, credentials, session, made, is_there, waits })
    }

    async fn connection(&self) -> rustle_session::Result<Session> {
        let mut session = self.session.lock().await;
        if let Some(session) = session.as_ref().filter(|session| session.is_open()) {
            return Ok(session.clone());
        }
        if !*self.is_there.borrow() {
            self.waits.notify_one();
            let _ = self.is_there.subscribe().wait_for(|is_there| *is_there).await;
        }
        let made = self.connector.connect().await?.authenticate(&self.credentials).await?;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(session.insert(made).clone())
    }

    async fn session(self: &Arc<Self>) -> Session {
        let places: Arc<dyn Places> = Arc::<Self>::clone(self);
        self.connection().await.unwrap().with_places(places)
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

impl Places for Line {
    fn take(&self, _purpose: ChannelUse) -> BoxFuture<'_, rustle_session::Result<Box<dyn Place>>> {
        Box::pin(async move {
            let place: Box<dyn Place> = Box::new(OnLine(self.connection().await?));
            Ok(place)
        })
    }
}

struct OnLine(Session);

impl Place for OnLine {
    fn session(&self) -> &Session {
        &self.0
    }

    fn opened(&mut self) {}

    fn another(
        self: Box<Self>,
        error: rustle_session::Error,
    ) -> BoxFuture<'static, rustle_session::Result<Box<dyn Place>>> {
        Box::pin(std::future::ready(Err(error)))
    }
}

/// The connection of this number is cut midway.
fn cut(way: Way, connection: usize, midway: u64) -> Fault {
    let fault = match way {
        Way::Get => Fault::cut_after(midway, Cut::Rst),
        Way::PutInPlace | Way::PutAtomic => Fault::cut_after_received(midway, Cut::Rst),
    };
    fault.on_connection(connection)
}

/// A server of files in `there`, which makes no SHA-256.
fn plain(there: &Here) -> Builder {
    TestServer::builder().sftp(rustle_testserver::Sftp::directory(there.path("")))
}

fn transfer(way: Way, sftp: &Sftp, here: &Here) -> Transfer {
    match way {
        Way::Get => sftp.get("app", here.path("back")).atomic(),
        Way::PutInPlace => sftp.put(here.path("from"), "app"),
        Way::PutAtomic => sftp.put(here.path("from"), "app").atomic(),
    }
}

/// Both sides, with `content` where it is moved from and something older where it is moved to.
fn sides(way: Way, content: &[u8]) -> (Here, Here) {
    let (here, there) = (Here::new(), Here::new());
    match way {
        Way::Get => {
            there.file("app", content);
            here.file("back", b"older");
        }
        Way::PutInPlace | Way::PutAtomic => {
            here.file("from", content);
            there.file("app", b"older");
        }
    }
    (here, there)
}

fn target(way: Way, here: &Here, there: &Here) -> Vec<u8> {
    if way == Way::Get { here.read("back") } else { there.read("app") }
}

async fn end(sftp: Sftp, session: Session, server: TestServer) {
    sftp.settled().await;
    drop((sftp, session));
    server.wait_until(|record| record.handles_open() == 0, Duration::from_secs(60)).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_cut_midway_is_replaced_and_the_transfer_goes_on() {
    for way in WAYS {
        let bytes = content(LENGTH);
        let (here, there) = sides(way, &bytes);
        let server = serve_with(plain(&there).fault(cut(way, 1, MIDWAY))).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        let moved = transfer(way, &sftp, &here).await.unwrap();
        assert_eq!((moved.losses, moved.length, line.made()), (1, LENGTH as u64, 2), "{way:?}");
        assert!(target(way, &here, &there) == bytes, "{way:?}");
        assert_eq!(there.names(), ["app"], "{way:?}");
        // What was confirmed is not moved again.
        let stats = line.connection().await.unwrap().stats();
        let carried = stats.bytes_sent.max(stats.bytes_received);
        assert!(carried < LENGTH as u64, "{way:?}: {carried}");
        end(sftp, session, server).await;
    }
}

#[tokio::test]
async fn what_the_server_confirmed_is_proved_by_its_hash_before_it_is_built_upon() {
    let bytes = content(8 << 20);
    let (here, there) = sides(Way::PutAtomic, &bytes);
    let server = serve_with(hashing(&there.path("")).fault(cut(Way::PutAtomic, 1, 4 << 20))).await;
    let line = Line::to(&server);
    let session = line.session().await;
    let sftp = Sftp::open(&session).await.unwrap();
    let moved = transfer(Way::PutAtomic, &sftp, &here).await.unwrap();
    assert_eq!(moved.losses, 1);
    assert!(there.read("app") == bytes);
    let asked = |text: &str| text.contains("rustle-sha256:");
    assert!(server.record().commands().iter().any(|command| asked(command.text())), "{:#?}", server.record());
    end(sftp, session, server).await;
}

#[tokio::test]
async fn a_server_that_forgot_what_it_confirmed_is_found_out() {
    for (way, hashes) in [(Way::PutInPlace, true), (Way::PutAtomic, true), (Way::PutAtomic, false)] {
        let bytes = content(8 << 20);
        let (here, there) = sides(way, &bytes);
        let builder = if hashes { hashing(&there.path("")) } else { plain(&there) };
        let server = serve_with(builder.fault(cut(way, 1, 4 << 20))).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        line.is_there.send_replace(false);
        let power_failure = async {
            line.waits.notified().await;
            server_is_left(&server).await;
            let named = |name: &String| name.starts_with(".app");
            let name = there.names_now().into_iter().find(named).unwrap_or_else(|| "app".to_owned());
            // As long as it was, and nothing in it.
            there.file(&name, &vec![0; there.read(&name).len()]);
            line.is_there.send_replace(true);
        };
        let (moved, ()) = tokio::join!(transfer(way, &sftp, &here).into_future(), power_failure);
        let error = moved.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        assert!(error.to_string().contains("confirmed is not there"), "{error}");
        assert!(error.hint().unwrap().contains(" bytes of the file"), "{:?}", error.hint());
        if way == Way::PutAtomic {
            assert_eq!(there.read("app"), b"older");
        }
        end(sftp, session, server).await;
    }
}

async fn server_is_left(server: &TestServer) {
    server.wait_until(|record| record.connections_open() == 0, Duration::from_secs(60)).await.unwrap();
}

#[tokio::test]
async fn another_file_that_has_the_name_meanwhile_is_left_alone() {
    for way in [Way::Get, Way::PutInPlace] {
        let bytes = content(8 << 20);
        let (here, there) = sides(way, &bytes);
        let server = serve_with(plain(&there).fault(cut(way, 1, 4 << 20))).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        line.is_there.send_replace(false);
        let others = vec![7; 5 << 20];
        let rename = async {
            line.waits.notified().await;
            server_is_left(&server).await;
            std::fs::rename(there.path("app"), there.path("aside")).unwrap();
            there.file("app", &others);
            line.is_there.send_replace(true);
        };
        let (moved, ()) = tokio::join!(transfer(way, &sftp, &here).into_future(), rename);
        assert_eq!(moved.unwrap_err().kind(), ErrorKind::Changed, "{way:?}");
        assert!(there.read("app") == others, "{way:?}");
        end(sftp, session, server).await;
    }
}

#[tokio::test]
async fn it_ends_after_so_many_losses_and_says_how_far_it_came() {
    for way in WAYS {
        let bytes = content(LENGTH);
        let (here, there) = sides(way, &bytes);
        let faults = plain(&there).fault(cut(way, 1, 16 << 20)).fault(cut(way, 2, 16 << 20));
        let server = serve_with(faults).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        let error = transfer(way, &sftp, &here).survive(1).await.unwrap_err();
        assert_eq!((error.kind(), line.made()), (ErrorKind::Disconnected, 2), "{way:?}: {error}");
        let text = error.to_string();
        let far = text.split_once("2 connections were lost, the last one after ").expect(&text).1;
        let far: u64 = far.split_once(' ').unwrap().0.parse().unwrap();
        assert!((16 << 20..33 << 20).contains(&far), "{way:?}: {text}");
        match way {
            Way::Get | Way::PutAtomic => assert_eq!(target(way, &here, &there), b"older", "{way:?}"),
            Way::PutInPlace => assert!(there.read("app").starts_with(&bytes[..16 << 20])),
        }
        end(sftp, session, server).await;
    }
}

#[tokio::test]
async fn a_loss_is_an_error_where_nobody_makes_another_connection_or_none_is_wanted() {
    for (way, is_several) in [(Way::Get, false), (Way::PutAtomic, false), (Way::PutAtomic, true)] {
        let bytes = content(8 << 20);
        let (here, there) = sides(way, &bytes);
        let server = serve_with(plain(&there).fault(cut(way, 1, 4 << 20))).await;
        let line = Line::to(&server);
        let session = if is_several { line.session().await } else { line.connection().await.unwrap() };
        assert_eq!(session.has_places(), is_several);
        let sftp = Sftp::open(&session).await.unwrap();
        let transfer = transfer(way, &sftp, &here);
        let transfer = if is_several { transfer.survive(0) } else { transfer };
        assert_eq!(transfer.await.unwrap_err().kind(), ErrorKind::Disconnected, "{way:?}");
        assert_eq!((target(way, &here, &there), line.made()), (b"older".to_vec(), 1), "{way:?}");
        end(sftp, session, server).await;
    }
}

#[tokio::test]
async fn another_host_key_at_the_next_connection_ends_it() {
    for way in [Way::Get, Way::PutAtomic] {
        let bytes = content(8 << 20);
        let (here, there) = sides(way, &bytes);
        let server = serve_with(plain(&there).fault(cut(way, 1, 4 << 20))).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        server.swap_host_key(HostKeyKind::Ed25519).unwrap();
        let error = transfer(way, &sftp, &here).await.unwrap_err();
        let mut causes = std::iter::successors(std::error::Error::source(&error), |cause| {
            std::error::Error::source(*cause)
        });
        let cause = causes.find_map(|cause| cause.downcast_ref::<rustle_session::Error>()).unwrap();
        assert_eq!(cause.code(), "SSH_HOST_KEY_CHANGED", "{cause}");
        assert_eq!((target(way, &here, &there), line.made()), (b"older".to_vec(), 1), "{way:?}");
        end(sftp, session, server).await;
    }
}

#[tokio::test]
async fn who_closes_the_channel_has_it_ended() {
    let bytes = content(LENGTH);
    let (here, there) = sides(Way::PutAtomic, &bytes);
    let server = serve_with(plain(&there)).await;
    let line = Line::to(&server);
    let session = line.session().await;
    let sftp = Sftp::open(&session).await.unwrap();
    let (connection, closing) = (line.connection().await.unwrap(), sftp.clone());
    let close = async {
        while connection.stats().bytes_sent < 1 << 20 {
            tokio::task::yield_now().await;
        }
        closing.close().await;
    };
    let put = transfer(Way::PutAtomic, &sftp, &here).into_future();
    let (moved, ()) = tokio::join!(put, close);
    assert_eq!(moved.unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!((there.read("app"), line.made()), (b"older".to_vec(), 1));
    drop(connection);
    end(sftp, session, server).await;
}

#[tokio::test]
async fn dropped_while_it_waits_for_a_connection_it_leaves_nothing_here() {
    for way in WAYS {
        let bytes = content(8 << 20);
        let (here, there) = sides(way, &bytes);
        let server = serve_with(plain(&there).fault(cut(way, 1, 4 << 20))).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        line.is_there.send_replace(false);
        let before = here.names();
        tokio::select! {
            biased;
            moved = transfer(way, &sftp, &here).into_future() => panic!("{way:?}: {moved:?}"),
            () = line.waits.notified() => {}
        }
        assert_eq!(here.names(), before, "{way:?}");
        line.is_there.send_replace(true);
        let next = Sftp::open(&session).await.unwrap();
        assert!(next.metadata("app").await.is_ok(), "{way:?}");
        next.close().await;
        end(sftp, session, server).await;
    }
}

#[tokio::test]
async fn several_channels_that_are_lost_together_are_replaced() {
    for way in WAYS {
        let mut bytes = content(LENGTH);
        // Holes, before the loss and behind it.
        for hole in [4 << 20, 15 << 20, 50 << 20] {
            bytes[hole..hole + (2 << 20)].fill(0);
        }
        let (here, there) = sides(way, &bytes);
        let server =
            serve_with(plain(&there).fault(cut(way, 1, 16 << 20)).fault(cut(way, 2, 16 << 20))).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        let moved = transfer(way, &sftp, &here).sparse().channels(3.try_into().unwrap()).await.unwrap();
        assert_eq!((moved.losses, line.made()), (2, 3), "{way:?}");
        assert!(target(way, &here, &there) == bytes, "{way:?}");
        end(sftp, session, server).await;
    }
}

/// Files that are small, large, and below one another.
fn plant(at: &Here) -> Vec<(String, Vec<u8>)> {
    std::fs::create_dir_all(at.path("tree/deep/deeper")).unwrap();
    let names = (0..40).map(|number| (format!("tree/deep/{number}"), 100_000 + number));
    let large = [("tree/a".to_owned(), 12 << 20), ("tree/deep/deeper/b".to_owned(), 12 << 20)];
    names.chain(large).map(|(name, length)| (name, content(length))).collect()
}

#[tokio::test]
async fn a_tree_whose_connection_is_cut_is_completed_over_another() {
    for (way, losses) in [(Way::Get, 5), (Way::PutInPlace, 5), (Way::PutAtomic, 5), (Way::PutAtomic, 0)] {
        let (here, there) = (Here::new(), Here::new());
        let from = if way == Way::Get { &there } else { &here };
        let files = plant(from);
        for (name, content) in &files {
            from.file(name, content);
        }
        // The first time many small files are under way, then large ones.
        let builder = plain(&there).fault(cut(way, 1, 2 << 20));
        // One that is made while the tree begins again may be dropped before it carries anything.
        let later = match way {
            Way::Get => Fault::cut_after(10 << 20, Cut::Rst).once(),
            Way::PutInPlace | Way::PutAtomic => Fault::cut_after_received(10 << 20, Cut::Rst).once(),
        };
        let builder = if losses == 0 { builder } else { builder.fault(later) };
        let server = serve_with(builder).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        let transfer = match way {
            Way::Get => sftp.get_dir("tree", here.path("back")),
            Way::PutInPlace => sftp.put_dir(here.path("tree"), "back"),
            Way::PutAtomic => sftp.put_dir(here.path("tree"), "back").atomic(),
        };
        let moved = transfer.survive(losses).await;
        if losses == 0 {
            let error = moved.unwrap_err();
            assert_eq!((error.kind(), line.made()), (ErrorKind::Disconnected, 1), "{error}");
            assert!(error.hint().unwrap().contains("files were whole"), "{:?}", error.hint());
        } else {
            let moved = moved.unwrap();
            assert!(moved.is_complete() && moved.losses >= 2, "{way:?}: {moved:?}");
            assert_eq!(moved.files + moved.unchanged, files.len() as u64, "{way:?}");
            let to = if way == Way::Get { &here } else { &there };
            for (name, content) in &files {
                assert!(to.read(&name.replacen("tree", "back", 1)) == *content, "{way:?}: {name}");
            }
            let left = |folder: &str| std::fs::read_dir(to.path(folder)).unwrap().count();
            assert_eq!((left("back"), left("back/deep"), left("back/deep/deeper")), (2, 41, 1), "{way:?}");
        }
        end(sftp, session, server).await;
    }
}

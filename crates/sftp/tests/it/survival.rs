//! Transfers that go on over another connection when theirs is lost.

mod drops;
mod late;
mod line;
mod proofs;
mod trees;

use std::fs::File;
use std::future::IntoFuture as _;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::Session;
use rustle_sftp::{ErrorKind, Sftp, Summary, Transfer};
use rustle_testserver::{Builder, Cut, Fault, HostKeyKind, Network, TestServer};

use self::line::Line;
use crate::here::{Here, content};
use crate::support::{WAYS, Way, serve_with};

const LENGTH: usize = 64 << 20;
/// Somewhere in the middle of it.
const MIDWAY: u64 = 40 << 20;

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

/// A transfer over connections that are lost, and both its sides: what is moved, and something older where it is moved to.
struct Scene {
    way: Way,
    here: Here,
    there: Here,
    server: TestServer,
    line: Arc<Line>,
    session: Session,
    sftp: Sftp,
}

impl Scene {
    /// With the server that `builder` makes of the files there.
    async fn new(way: Way, content: &[u8], builder: impl FnOnce(&Here) -> Builder) -> Self {
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
        let server = serve_with(builder(&there)).await;
        let line = Line::to(&server);
        let session = line.session().await;
        let sftp = Sftp::open(&session).await.unwrap();
        Self { way, here, there, server, line, session, sftp }
    }

    /// Over one channel: by itself it would take more where the round trip is long, as on a busy machine.
    fn transfer(&self) -> Transfer {
        let transfer = match self.way {
            Way::Get => self.sftp.get("app", self.here.path("back")).atomic(),
            Way::PutInPlace => self.sftp.put(self.here.path("from"), "app"),
            Way::PutAtomic => self.sftp.put(self.here.path("from"), "app").atomic(),
        };
        transfer.channels(NonZeroUsize::MIN)
    }

    /// Moves it, with something done on the server between the loss of its connection and the next one.
    async fn moved_while(
        &self,
        transfer: Transfer,
        meanwhile: impl FnOnce(),
    ) -> rustle_sftp::Result<Summary> {
        self.line.is_there.send_replace(false);
        let between = async {
            self.line.waits.notified().await;
            is_left(&self.server).await;
            meanwhile();
            self.line.is_there.send_replace(true);
        };
        tokio::join!(transfer.into_future(), between).0
    }

    /// What has the name now.
    fn target(&self) -> Vec<u8> {
        if self.way == Way::Get { self.here.read("back") } else { self.there.read("app") }
    }

    async fn end(self) {
        let Self { server, session, sftp, .. } = self;
        end(sftp, session, server).await;
    }

    /// The same where something was asked that is never answered.
    async fn end_unanswered(self) {
        let Self { server, session, sftp, .. } = self;
        drop((sftp, session));
        end_of(server).await;
    }
}

/// Waits until the server has seen the loss too.
async fn is_left(server: &TestServer) {
    server.wait_until(|record| record.connections_open() == 0, Duration::from_secs(60)).await.unwrap();
}

/// What a crash may do to a file that was not stored. The page is far before all that can be unconfirmed.
fn forget_a_page(path: &Path) {
    let mut file = File::options().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(5 << 20)).unwrap();
    file.write_all(&[0; 4096]).unwrap();
}

async fn end(sftp: Sftp, session: Session, server: TestServer) {
    sftp.settled().await;
    drop((sftp, session));
    end_of(server).await;
}

async fn end_of(server: TestServer) {
    server.wait_until(|record| record.handles_open() == 0, Duration::from_secs(60)).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_is_cut_midway_is_replaced_and_the_transfer_goes_on() {
    for way in WAYS {
        let bytes = content(LENGTH);
        let scene = Scene::new(way, &bytes, |there| plain(there).fault(cut(way, 1, MIDWAY))).await;
        let moved = scene.transfer().await.unwrap();
        assert_eq!((moved.losses, moved.length, scene.line.made()), (1, LENGTH as u64, 2), "{way:?}");
        assert!(scene.target() == bytes, "{way:?}");
        assert_eq!(scene.there.names(), ["app"], "{way:?}");
        // What was confirmed is not moved again.
        let stats = scene.line.connection().await.unwrap().stats();
        let carried = stats.bytes_sent.max(stats.bytes_received);
        assert!(carried < LENGTH as u64, "{way:?}: {carried}");
        scene.end().await;
    }
}

#[tokio::test]
async fn it_ends_after_so_many_losses_and_says_how_far_it_came() {
    for way in WAYS {
        let bytes = content(LENGTH);
        let twice = [1, 2].map(|connection| cut(way, connection, 16 << 20));
        let scene =
            Scene::new(way, &bytes, |there| twice.into_iter().fold(plain(there), Builder::fault)).await;
        let error = scene.transfer().survive(1).await.unwrap_err();
        assert_eq!((error.kind(), scene.line.made()), (ErrorKind::Disconnected, 2), "{way:?}: {error}");
        let text = error.to_string();
        let far = text.split_once("2 connections were lost, the last one after ").expect(&text).1;
        let far: u64 = far.split_once(' ').unwrap().0.parse().unwrap();
        assert!((16 << 20..33 << 20).contains(&far), "{way:?}: {text}");
        match way {
            Way::Get | Way::PutAtomic => assert_eq!(scene.target(), b"older", "{way:?}"),
            Way::PutInPlace => assert!(scene.target().starts_with(&bytes[..16 << 20])),
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn a_loss_is_an_error_where_nobody_makes_another_connection_or_none_is_wanted() {
    for (way, is_several) in [(Way::Get, false), (Way::PutAtomic, false), (Way::PutAtomic, true)] {
        let mut scene =
            Scene::new(way, &content(8 << 20), |there| plain(there).fault(cut(way, 1, 4 << 20))).await;
        if !is_several {
            scene.session = scene.line.connection().await.unwrap();
            scene.sftp = Sftp::open(&scene.session).await.unwrap();
        }
        assert_eq!(scene.session.has_places(), is_several);
        let transfer = scene.transfer();
        let transfer = if is_several { transfer.survive(0) } else { transfer };
        assert_eq!(transfer.await.unwrap_err().kind(), ErrorKind::Disconnected, "{way:?}");
        assert_eq!((scene.target(), scene.line.made()), (b"older".to_vec(), 1), "{way:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn another_host_key_at_the_next_connection_ends_it() {
    for way in [Way::Get, Way::PutAtomic] {
        let scene =
            Scene::new(way, &content(8 << 20), |there| plain(there).fault(cut(way, 1, 4 << 20))).await;
        scene.server.swap_host_key(HostKeyKind::Ed25519).unwrap();
        let error = scene.transfer().await.unwrap_err();
        let mut causes = std::iter::successors(std::error::Error::source(&error), |cause| {
            std::error::Error::source(*cause)
        });
        let cause = causes.find_map(|cause| cause.downcast_ref::<rustle_session::Error>()).unwrap();
        assert_eq!(cause.code(), "SSH_HOST_KEY_CHANGED", "{cause}");
        assert_eq!((scene.target(), scene.line.made()), (b"older".to_vec(), 1), "{way:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn who_closes_the_channel_has_it_ended() {
    // So slow that it is not over when the channel is closed.
    let slow = Network::new().rate(8_000_000);
    let scene = Scene::new(Way::PutAtomic, &content(LENGTH), |there| plain(there).network(slow)).await;
    let (connection, closing) = (scene.line.connection().await.unwrap(), scene.sftp.clone());
    let close = async {
        while connection.stats().bytes_sent < 1 << 20 {
            tokio::task::yield_now().await;
        }
        closing.close().await;
    };
    let (moved, ()) = tokio::join!(scene.transfer().into_future(), close);
    assert_eq!(moved.unwrap_err().kind(), ErrorKind::Disconnected);
    assert_eq!((scene.target(), scene.line.made()), (b"older".to_vec(), 1));
    drop(connection);
    scene.end().await;
}

#[tokio::test]
async fn several_channels_that_are_lost_together_are_replaced() {
    for way in WAYS {
        let mut bytes = content(LENGTH);
        // Holes, before the loss and behind it.
        for hole in [4 << 20, 15 << 20, 50 << 20] {
            bytes[hole..hole + (2 << 20)].fill(0);
        }
        let twice = [1, 2].map(|connection| cut(way, connection, 16 << 20));
        let scene =
            Scene::new(way, &bytes, |there| twice.into_iter().fold(plain(there), Builder::fault)).await;
        let moved = scene.transfer().sparse().channels(3.try_into().unwrap()).await.unwrap();
        assert_eq!((moved.losses, scene.line.made()), (2, 3), "{way:?}");
        assert!(scene.target() == bytes, "{way:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_disk_that_is_full_after_a_loss_is_told_as_such() {
    for way in [Way::PutInPlace, Way::PutAtomic] {
        let full = rustle_testserver::Sftp::memory().file("/app", "older").quota(24 << 20);
        let builder = TestServer::builder().sftp(full).fault(cut(way, 1, 16 << 20));
        let scene = Scene::new(way, &content(LENGTH), |_| builder).await;
        let error = scene.transfer().await.unwrap_err();
        assert_eq!((error.kind(), scene.line.made()), (ErrorKind::NoSpace, 2), "{way:?}: {error}");
        scene.end().await;
    }
}

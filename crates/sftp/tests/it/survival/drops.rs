//! What is left of transfers that are dropped when their connection is lost.

use std::future::IntoFuture as _;
use std::time::Duration;

use rustle_sftp::Sftp;
use rustle_testserver::{Fault, SftpFault, SftpRequest};
use tokio::time::timeout;

use super::{Scene, cut, is_left, plain};
use crate::here::{Here, content};
use crate::support::{WAYS, Way};

#[tokio::test]
async fn dropped_while_it_waits_for_a_connection_it_leaves_nothing_here() {
    for way in WAYS {
        let scene =
            Scene::new(way, &content(8 << 20), |there| plain(there).fault(cut(way, 1, 4 << 20))).await;
        scene.line.is_there.send_replace(false);
        let before = scene.here.names();
        tokio::select! {
            biased;
            moved = scene.transfer().into_future() => panic!("{way:?}: {moved:?}"),
            () = scene.line.waits.notified() => {}
        }
        assert_eq!(scene.here.names(), before, "{way:?}");
        // Nobody could tell the server.
        is_left(&scene.server).await;
        let mut there = scene.there.names_now();
        there.retain(|name| name != "app");
        let is_named =
            |name: &String| name.starts_with(".app.rustle-") && name.len() == ".app.rustle-".len() + 12;
        assert!(there.iter().all(is_named), "{way:?}: {there:?}");
        assert_eq!(there.len(), usize::from(way == Way::PutAtomic), "{way:?}: {there:?}");
        scene.line.is_there.send_replace(true);
        let next = Sftp::open(&scene.session).await.unwrap();
        assert!(next.metadata("app").await.is_ok(), "{way:?}");
        next.close().await;
        scene.end().await;
    }
}

/// It waits for answers of the connection that it goes on over: to what shows it that the file is the same, or to what it
/// writes there.
#[tokio::test]
async fn dropped_once_it_has_another_connection_it_leaves_no_temporary_file_there() {
    for unanswered in [SftpRequest::Read, SftpRequest::Write] {
        let way = Way::PutAtomic;
        let never = Fault::sftp(unanswered, SftpFault::lose_reply()).on_connection(2);
        let faulty = |there: &Here| plain(there).fault(cut(way, 1, 12 << 20)).fault(never);
        let scene = Scene::new(way, &content(16 << 20), faulty).await;
        let struck = async {
            // The loss, and an answer that does not come.
            while scene.server.faults_fired() < 2 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::select! {
            moved = scene.transfer().into_future() => panic!("{unanswered:?}: {moved:?}"),
            () = struck => {}
        }
        let removed = async {
            while scene.there.names_now() != ["app"] {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let removed = timeout(Duration::from_secs(60), removed).await;
        assert!(removed.is_ok(), "{unanswered:?}: {:?}", scene.there.names_now());
        assert_eq!((scene.target(), scene.line.made()), (b"older".to_vec(), 2), "{unanswered:?}");
        scene.end_unanswered().await;
    }
}

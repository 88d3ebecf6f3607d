//! What is left of transfers that are dropped when their connection is lost.

use std::future::IntoFuture as _;

use rustle_sftp::Sftp;

use super::{Scene, cut, plain};
use crate::here::content;
use crate::support::WAYS;

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
        scene.line.is_there.send_replace(true);
        let next = Sftp::open(&scene.session).await.unwrap();
        assert!(next.metadata("app").await.is_ok(), "{way:?}");
        next.close().await;
        scene.end().await;
    }
}

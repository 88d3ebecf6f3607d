//! Trees that begin again over another connection when theirs is lost.

use std::future::IntoFuture as _;

use rustle_sftp::{ErrorKind, Sftp};
use rustle_testserver::{Cut, Fault};

use super::line::Line;
use super::{LENGTH, cut, end, forget_a_page, is_left, plain};
use crate::here::{Here, content};
use crate::support::{Way, serve_with};

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

/// Where blocks are compared, a page is hardly ever in one of them.
#[tokio::test]
async fn a_tree_that_begins_again_builds_upon_nothing_that_the_server_forgot() {
    let (here, there, bytes) = (Here::new(), Here::new(), content(LENGTH));
    std::fs::create_dir(here.path("tree")).unwrap();
    here.file("tree/large", &bytes);
    let server = serve_with(plain(&there).fault(cut(Way::PutAtomic, 1, 60 << 20))).await;
    let line = Line::to(&server);
    let session = line.session().await;
    let sftp = Sftp::open(&session).await.unwrap();
    line.is_there.send_replace(false);
    let power_failure = async {
        line.waits.notified().await;
        is_left(&server).await;
        forget_a_page(&there.path("back/.large.rustle-part"));
        line.is_there.send_replace(true);
    };
    let put = sftp.put_dir(here.path("tree"), "back").atomic().survive(5);
    let (moved, ()) = tokio::join!(put.into_future(), power_failure);
    let moved = moved.unwrap();
    assert!(moved.is_complete() && (moved.files, moved.anew, moved.sampled) == (1, 1, 0), "{moved:?}");
    assert!(there.read("back/large") == bytes);
    end(sftp, session, server).await;
}

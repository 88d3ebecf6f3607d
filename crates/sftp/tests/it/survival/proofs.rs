//! What has to be shown of a file before a transfer goes on with it over another connection.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use rustle_sftp::ErrorKind;
use rustle_testserver::{Fault, SftpFault, SftpRequest};

use super::{LENGTH, Scene, cut, forget_a_page, plain};
use crate::here::{Here, content};
use crate::resume::hashing;
use crate::support::Way;

#[tokio::test]
async fn what_the_server_confirmed_is_proved_by_its_hash_before_it_is_built_upon() {
    let bytes = content(8 << 20);
    let hashes = |there: &Here| hashing(&there.path("")).fault(cut(Way::PutAtomic, 1, 4 << 20));
    let scene = Scene::new(Way::PutAtomic, &bytes, hashes).await;
    assert_eq!(scene.transfer().await.unwrap().losses, 1);
    assert!(scene.target() == bytes);
    let asked = |text: &str| text.contains("rustle-sha256:");
    let record = scene.server.record();
    assert!(record.commands().iter().any(|command| asked(command.text())), "{record:#?}");
    scene.end().await;
}

/// The name that what is sent has by now.
fn name_of_part(scene: &Scene) -> String {
    let named = |name: &String| name.starts_with(".app");
    scene.there.names_now().into_iter().find(named).unwrap_or_else(|| "app".to_owned())
}

/// As long as it was, and nothing in it.
fn empty(there: &Here, name: &str) {
    there.file(name, &vec![0; there.read(name).len()]);
}

fn shorten(there: &Here, name: &str) {
    there.file(name, b"");
}

fn remove(there: &Here, name: &str) {
    std::fs::remove_file(there.path(name)).unwrap();
}

/// Ways to send, and whether the server makes hashes.
const SENT: [(Way, bool); 3] = [(Way::PutInPlace, true), (Way::PutAtomic, true), (Way::PutAtomic, false)];

/// What a crash does to a file, and what is said of it then.
type Crash = (fn(&Here, &str), &'static str);

#[tokio::test]
async fn a_server_that_forgot_what_it_confirmed_is_found_out() {
    let crashes: [Crash; 3] = [
        (empty, "confirmed is not there: its "),
        (shorten, "confirmed is not there: the file has 0 bytes"),
        (remove, "confirmed is not there: the file is gone"),
    ];
    for ((way, hashes), (forget, said)) in SENT.into_iter().flat_map(|way| crashes.map(|crash| (way, crash)))
    {
        let serving = |there: &Here| if hashes { hashing(&there.path("")) } else { plain(there) };
        let faulty = |there: &Here| serving(there).fault(cut(way, 1, 4 << 20));
        let scene = Scene::new(way, &content(8 << 20), faulty).await;
        let power_failure = || forget(&scene.there, &name_of_part(&scene));
        let error = scene.moved_while(scene.transfer(), power_failure).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().unwrap().contains(" bytes of the file"), "{:?}", error.hint());
        if way == Way::PutAtomic {
            assert_eq!(scene.target(), b"older");
            scene.sftp.settled().await;
            assert_eq!(scene.there.names(), ["app"]);
        }
        scene.end().await;
    }
}

/// Where blocks are compared, a page is hardly ever in one of them.
#[tokio::test]
async fn a_page_that_a_server_forgot_in_the_middle_is_found_out_without_a_hash() {
    let way = Way::PutAtomic;
    let scene = Scene::new(way, &content(LENGTH), |there| plain(there).fault(cut(way, 1, 60 << 20))).await;
    let power_failure = || forget_a_page(&scene.there.path(&name_of_part(&scene)));
    let error = scene.moved_while(scene.transfer(), power_failure).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
    assert!(error.to_string().contains("confirmed is not there"), "{error}");
    assert_eq!(scene.target(), b"older");
    scene.end().await;
}

#[tokio::test]
async fn a_file_of_this_side_whose_name_another_has_got_is_sent_to_its_end() {
    for (way, hashes) in SENT {
        let bytes = content(8 << 20);
        let serving = |there: &Here| if hashes { hashing(&there.path("")) } else { plain(there) };
        let faulty = |there: &Here| serving(there).fault(cut(way, 1, 4 << 20));
        let scene = Scene::new(way, &bytes, faulty).await;
        let replace = || {
            std::fs::rename(scene.here.path("from"), scene.here.path("aside")).unwrap();
            scene.here.file("from", b"another");
        };
        let moved = scene.moved_while(scene.transfer(), replace).await.unwrap();
        assert_eq!(moved.losses, 1, "{way:?}");
        assert!(scene.target() == bytes, "{way:?}");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_file_of_this_side_that_was_written_to_is_told_as_that() {
    for (way, hashes) in SENT {
        let bytes = content(8 << 20);
        let serving = |there: &Here| if hashes { hashing(&there.path("")) } else { plain(there) };
        let faulty = |there: &Here| serving(there).fault(cut(way, 1, 4 << 20));
        let scene = Scene::new(way, &bytes, faulty).await;
        let from = scene.here.path("from");
        // The first byte is among those that were confirmed.
        let write = || File::options().write(true).open(&from).unwrap().write_all(&[!bytes[0]]).unwrap();
        let error = scene.moved_while(scene.transfer(), write).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{way:?}: {error}");
        assert_eq!(error.path(), Some(from.as_os_str().as_encoded_bytes()), "{way:?}: {error}");
        assert!(error.to_string().contains("it was written to"), "{way:?}: {error}");
        scene.end().await;
    }
}

#[tokio::test]
async fn a_file_of_which_nothing_was_confirmed_is_begun_again() {
    let way = Way::PutInPlace;
    let mut bytes = content(4 << 20);
    // It is left out, and what stands there would show.
    bytes[256 << 10..1 << 20].fill(0);
    let unanswered = Fault::sftp(SftpRequest::Write, SftpFault::lose_reply()).on_connection(1);
    let faulty = |there: &Here| plain(there).fault(cut(way, 1, 700_000)).fault(unanswered);
    let scene = Scene::new(way, &bytes, faulty).await;
    // No longer than what was sent, of which some may have arrived.
    let others = || drop(scene.there.file("app", &vec![7; 900_000]));
    let moved = scene.moved_while(scene.transfer().sparse(), others).await.unwrap();
    assert_eq!(moved.losses, 1);
    assert!(scene.target() == bytes);
    scene.end().await;
}

/// What the lost connection was told may be done late, behind what another one has written by then.
#[tokio::test]
async fn a_loss_before_the_file_is_known_to_be_cut_off_ends_the_transfer() {
    for way in [Way::PutInPlace, Way::PutAtomic] {
        let mut bytes = content(8 << 20);
        // It is left out, and what stands there would show.
        bytes[1 << 20..2 << 20].fill(0);
        let lost = Fault::sftp(SftpRequest::FsetStat, SftpFault::close_channel()).on_connection(2).once();
        let faulty = |there: &Here| plain(there).fault(cut(way, 1, 4 << 20)).fault(lost);
        let scene = Scene::new(way, &bytes, faulty).await;
        let error = scene.transfer().sparse().await.unwrap_err();
        assert_eq!((error.kind(), scene.line.made()), (ErrorKind::Disconnected, 2), "{way:?}: {error}");
        assert!(error.to_string().contains("before the server had said that the file is cut off"), "{error}");
        assert!(error.hint().unwrap().contains("has ended"), "{:?}", error.hint());
        if way == Way::PutAtomic {
            assert_eq!(scene.target(), b"older");
        }
        scene.end().await;
    }
}

#[tokio::test]
async fn nothing_is_cut_off_where_all_of_it_is_written_again() {
    let (way, bytes) = (Way::PutInPlace, content(8 << 20));
    let asked = Fault::sftp(SftpRequest::FsetStat, SftpFault::status(4, "refused")).on_connection(2);
    let faulty = |there: &Here| plain(there).fault(cut(way, 1, 4 << 20)).fault(asked);
    let scene = Scene::new(way, &bytes, faulty).await;
    assert_eq!(scene.transfer().await.unwrap().losses, 1);
    assert!(scene.target() == bytes);
    // That of the connection.
    assert_eq!(scene.server.faults_fired(), 1);
    scene.server.expect_unfired();
    scene.end().await;
}

#[tokio::test]
async fn a_file_that_is_not_as_long_as_what_was_sent_is_not_done() {
    let (way, bytes) = (Way::PutInPlace, content(8 << 20));
    let hashes = |there: &Here| hashing(&there.path("")).fault(cut(way, 1, 4 << 20));
    let scene = Scene::new(way, &bytes, hashes).await;
    scene.there.file("app", &bytes[..1 << 20]);
    // A part may be longer than what is built upon, so this is no other file yet.
    let grow = || {
        let file = File::options().write(true).open(scene.there.path("app")).unwrap();
        file.set_len(20 << 20).unwrap();
    };
    let error = scene.moved_while(scene.transfer().resume(), grow).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch, "{error}");
    let text = format!("its length is {} bytes after a lost connection, and {} bytes", 20 << 20, 8 << 20);
    assert!(error.to_string().contains(&text), "{error}");
    scene.end().await;
}

/// Written again with the same content, and with another of the same length and time.
#[tokio::test]
async fn a_file_that_was_written_to_meanwhile_is_not_fetched_any_further() {
    let (way, bytes) = (Way::Get, content(8 << 20));
    let others = vec![7; bytes.len()];
    for (now, later) in [(&bytes, Duration::from_secs(7)), (&others, Duration::ZERO)] {
        let scene = Scene::new(way, &bytes, |there| plain(there).fault(cut(way, 1, 4 << 20))).await;
        let path = scene.there.path("app");
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        let write = || {
            scene.there.file("app", now);
            File::options().write(true).open(&path).unwrap().set_modified(written + later).unwrap();
        };
        let error = scene.moved_while(scene.transfer(), write).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Changed, "{later:?}: {error}");
        assert_eq!(scene.target(), b"older");
        scene.end().await;
    }
}

#[tokio::test]
async fn another_file_that_has_the_name_meanwhile_is_left_alone() {
    for way in [Way::Get, Way::PutInPlace] {
        let scene =
            Scene::new(way, &content(8 << 20), |there| plain(there).fault(cut(way, 1, 4 << 20))).await;
        let others = vec![7; 5 << 20];
        let rename = || {
            std::fs::rename(scene.there.path("app"), scene.there.path("aside")).unwrap();
            scene.there.file("app", &others);
        };
        let moved = scene.moved_while(scene.transfer(), rename).await;
        assert_eq!(moved.unwrap_err().kind(), ErrorKind::Changed, "{way:?}");
        assert!(scene.there.read("app") == others, "{way:?}");
        scene.end().await;
    }
}

//! Trees of more directories than are known at once.

use rustle_testserver::{TestServer, User};

use super::*;

async fn served(files: rustle_testserver::Sftp) -> (TestServer, Sftp) {
    let user = User::new("alice").password("wonderland");
    let server = TestServer::builder().sftp(files).user(user).start().await.unwrap();
    let target = rustle_session::Target::new("127.0.0.1").unwrap().with_user("alice").unwrap();
    let known = rustle_session::PinnedHostKey::new(&server.host_key_fingerprint()).unwrap();
    let connector = rustle_session::Connector::new(target).host_trust(known);
    let password = rustle_session::SecretString::from("wonderland");
    let credentials = rustle_session::Credentials::new().password(password);
    let login = connector.connect_over(server.duplex()).await.unwrap();
    let sftp = Sftp::open(&login.authenticate(&credentials).await.unwrap()).await.unwrap();
    (server, sftp)
}

#[tokio::test]
async fn a_tree_of_more_directories_than_are_known_at_once_is_removed() {
    let mut files = rustle_testserver::Sftp::memory().file("/kept", "");
    for directory in 0..100 {
        let below = ["below"; 4][..directory % 5].join("/");
        files = files
            .file(format!("/t/{directory}/one/{below}/file"), "")
            .directory_entry(format!("/t/{directory}/other"));
    }
    let (server, sftp) = served(files).await;
    Removal::new(&sftp, "/t".into(), 6).run().await.unwrap();
    assert!(!sftp.exists("/t").await.unwrap() && sftp.exists("/kept").await.unwrap());
    sftp.close().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn long_paths_take_more_room_and_are_removed_all_the_same() {
    let name = "n".repeat(200);
    let mut files = rustle_testserver::Sftp::memory();
    for directory in 0..3 {
        files = files.directory_entry(format!("/t/{directory}/{}", [name.as_str(); 12].join("/")));
    }
    let (server, sftp) = served(files).await;
    Removal::new(&sftp, "/t".into(), 40).run().await.unwrap();
    assert!(!sftp.exists("/t").await.unwrap());
    sftp.close().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn directories_in_one_another_without_an_end_are_an_error_with_the_deepest() {
    let deep = format!("/t/{}", ["d"; 9].join("/"));
    let (server, sftp) = served(rustle_testserver::Sftp::memory().directory_entry(&deep)).await;
    let error = Removal::new(&sftp, "/t".into(), 3).run().await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::Failure, Some(&b"/t/d/d/d/d/d"[..])));
    Removal::new(&sftp, "/t".into(), 10).run().await.unwrap();
    assert!(!sftp.exists("/t").await.unwrap());
    sftp.close().await;
    server.stop().await.unwrap();
}

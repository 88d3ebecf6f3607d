//! Copies, by the server and through this side.

use rustle_sftp::ErrorKind;
use rustle_testserver::{Sftp as Tree, SftpEntry};

use crate::here::content;
use crate::support::{finish, open, serve};

const LENGTH: usize = 9_000_000;

fn trees() -> [Tree; 2] {
    let tree = || {
        Tree::memory()
            .entry("/f", SftpEntry::file(content(LENGTH)).mode(0o750))
            .file("/old", vec![1; 10_000_000])
            .directory_entry("/d")
            .symlink("/link", "f")
    };
    [tree(), tree().without_extension("copy-data")]
}

#[tokio::test]
async fn a_copy_has_the_content_and_the_permissions() {
    for tree in trees() {
        let server = serve(tree).await;
        let sftp = open(&server).await;
        for target in ["/new", "/old", "/d/new"] {
            assert_eq!(sftp.copy("/link", target).await.unwrap(), 9_000_000);
            assert!(server.sftp_content(target).unwrap() == content(LENGTH), "{target}");
            assert_eq!(sftp.metadata(target).await.unwrap().permissions(), Some(0o750));
        }
        sftp.write("/empty", "").await.unwrap();
        assert_eq!(sftp.copy("/empty", "/old").await.unwrap(), 0);
        assert_eq!(sftp.metadata("/old").await.unwrap().len(), Some(0));
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn a_file_is_not_copied_onto_itself_under_any_name() {
    for tree in trees() {
        let server = serve(tree).await;
        let sftp = open(&server).await;
        for same in ["/f", "/link", "f", "/d/../f"] {
            assert_eq!(sftp.copy("/f", same).await.unwrap_err().kind(), ErrorKind::InvalidArgument, "{same}");
        }
        sftp.hard_link("/f", "/hard").await.unwrap();
        let _ = sftp.copy("/f", "/hard").await;
        assert!(
            server.sftp_content("/f").unwrap() == content(LENGTH),
            "a second name of it costs nothing either"
        );
        assert_eq!(sftp.copy("/d", "/new").await.unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(sftp.copy("/f", "/d").await.unwrap_err().kind(), ErrorKind::IsADirectory);
        assert_eq!(sftp.copy("/none", "/new").await.unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!sftp.exists("/new").await.unwrap());
        finish(sftp, server).await;
    }
}

/// The server is asked for parts, so that it is never silent for as long as one that is dead.
#[tokio::test]
async fn a_long_copy_by_the_server_is_made_in_parts() {
    let len = (256 << 20) + 70_000;
    let server = serve(Tree::memory().entry("/long", SftpEntry::file("begin").size(len))).await;
    let sftp = open(&server).await;
    let file = rustle_sftp::OpenOptions::new().write().open(&sftp, "/long").await.unwrap();
    file.write_at((256 << 20) - 4, "across the border").await.unwrap();
    file.close().await.unwrap();
    assert_eq!(sftp.copy("/long", "/copy").await.unwrap(), len);
    let copy = rustle_sftp::File::open(&sftp, "/copy").await.unwrap();
    assert_eq!(copy.read_at((256 << 20) - 4, 17).await.unwrap(), "across the border");
    assert_eq!(copy.read_at(0, 5).await.unwrap(), "begin");
    copy.close().await.unwrap();
    finish(sftp, server).await;
}

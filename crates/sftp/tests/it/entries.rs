//! What is done to one name: each operation, its errors, and names of every sort.

use std::time::{Duration, UNIX_EPOCH};

use rustle_sftp::{ErrorKind, Extension, LinkOrder, SetMetadata, Sftp};
use rustle_testserver::{Fault, Sftp as Tree, SftpEntry, SftpFault, SftpRequest, TestServer};

use crate::support::{finish, login, open, serve, serve_with};

fn tree() -> Tree {
    Tree::memory()
        .file("/f", "0123456789")
        .directory_entry("/empty")
        .file("/full/f", "x")
        .symlink("/link", "f")
        .symlink("/dangling", "nowhere")
}

#[tokio::test]
async fn metadata_follows_links_and_symlink_metadata_does_not() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    let (file, link) = (sftp.metadata("/link").await.unwrap(), sftp.symlink_metadata("/link").await.unwrap());
    assert!(file.is_file() && link.is_symlink() && sftp.metadata("/full").await.unwrap().is_dir());
    assert_eq!((file.len(), file.permissions(), file.uid()), (Some(10), Some(0o644), Some(1000)));
    assert!(sftp.exists("/f").await.unwrap());
    assert!(!sftp.exists("/dangling").await.unwrap() && !sftp.exists("/none").await.unwrap());
    let error = sftp.metadata("/none").await.unwrap_err();
    assert_eq!((error.kind(), error.path()), (ErrorKind::NotFound, Some(&b"/none"[..])));
    assert_eq!(error.to_string(), "stat \"/none\": no such file or directory");
    finish(sftp, server).await;
}

#[tokio::test]
async fn what_is_set_is_what_is_read() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    let moment = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    sftp.set_permissions("/f", 0o600).await.unwrap();
    sftp.set_times("/f", moment(1), moment(4_000_000_000)).await.unwrap();
    sftp.set_metadata("/f", &SetMetadata::new().len(4)).await.unwrap();
    let file = sftp.metadata("/f").await.unwrap();
    assert_eq!((file.permissions(), file.len()), (Some(0o600), Some(4)));
    sftp.set_times("/f", moment(1), moment(4_000_000_000)).await.unwrap();
    let file = sftp.metadata("/f").await.unwrap();
    assert_eq!((file.accessed(), file.modified()), (Some(moment(1)), Some(moment(4_000_000_000))));
    let own = (file.uid().unwrap(), file.gid().unwrap());
    sftp.set_owner("/f", own.0, own.1).await.unwrap();
    let error = sftp.set_owner("/f", 0, 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    sftp.set_symlink_metadata("/link", &SetMetadata::new().times(moment(7), moment(8))).await.unwrap();
    assert_eq!(sftp.symlink_metadata("/link").await.unwrap().modified(), Some(moment(8)));
    assert_eq!(sftp.metadata("/link").await.unwrap().modified(), Some(moment(4_000_000_000)));
    finish(sftp, server).await;
}

#[tokio::test]
async fn whole_files_are_written_and_read() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    for content in [Vec::new(), b"x".to_vec(), (0..3_000_000_u32).map(|i| i.to_le_bytes()[1] ^ 7).collect()] {
        sftp.write("/new", content.clone()).await.unwrap();
        assert!(sftp.read("/new").await.unwrap() == content);
        assert!(server.sftp_content("/new").unwrap() == content);
    }
    let error = sftp.write("/none/new", "x").await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::NotFound, "open"));
    assert_eq!(sftp.read("/full").await.unwrap_err().kind(), ErrorKind::IsADirectory);
    finish(sftp, server).await;
}

#[tokio::test]
async fn every_bare_failure_about_a_name_is_explained() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    let kinds = [
        (sftp.create_dir("/f").await, ErrorKind::AlreadyExists),
        (sftp.create_dir("/none/d").await, ErrorKind::NotFound),
        (sftp.remove_dir("/full").await, ErrorKind::DirectoryNotEmpty),
        (sftp.remove_file("/empty").await, ErrorKind::IsADirectory),
        (sftp.write("/empty", "x").await, ErrorKind::IsADirectory),
        (sftp.symlink("f", "/link").await, ErrorKind::AlreadyExists),
        (sftp.hard_link("/f", "/link").await, ErrorKind::AlreadyExists),
        (sftp.rename("/f", "/empty").await, ErrorKind::AlreadyExists),
        (sftp.rename("/none", "/f2").await, ErrorKind::NotFound),
        (sftp.read_link("/f").await.map(|_| ()), ErrorKind::InvalidArgument),
        (sftp.create_dir("x".repeat(256)).await, ErrorKind::InvalidName),
    ];
    for (result, kind) in kinds {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.path().is_some(), "{error}");
    }
    sftp.create_dir("/empty/d").await.unwrap();
    sftp.remove_dir("/empty/d").await.unwrap();
    sftp.remove_file("/link").await.unwrap();
    assert!(sftp.exists("/f").await.unwrap(), "a link is removed, and not what it leads to");
    finish(sftp, server).await;
}

#[tokio::test]
async fn links_are_made_and_read_in_either_order_of_the_protocol() {
    use rustle_testserver::LinkOrder as Theirs;
    for (theirs, identification, ours) in [
        (Theirs::OpenSsh, "SSH-2.0-AsyncSSH_2.21.1", LinkOrder::OpenSsh),
        (Theirs::Draft, "SSH-2.0-OpenSSH_10.2", LinkOrder::Draft),
        (Theirs::OpenSsh, "SSH-2.0-OpenSSH_10.2", LinkOrder::Detected),
        (Theirs::Draft, "SSH-2.0-AsyncSSH_2.21.1", LinkOrder::Detected),
        (Theirs::Draft, "SSH-2.0-ssh2js1.17.0srv", LinkOrder::default()),
    ] {
        let files = tree().link_order(theirs);
        let server = serve_with(TestServer::builder().identification(identification).sftp(files)).await;
        let sftp = Sftp::builder().link_order(ours).open(&login(&server).await).await.unwrap();
        sftp.symlink("../f", "/full/l").await.unwrap();
        assert_eq!(sftp.read_link("/full/l").await.unwrap(), "../f");
        assert_eq!(sftp.read("/full/l").await.unwrap(), "0123456789");
        sftp.hard_link("/f", "/hard").await.unwrap();
        assert_eq!(sftp.read("/hard").await.unwrap(), "0123456789");
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn paths_are_made_absolute_and_homes_are_found() {
    let server = serve(tree()).await;
    let sftp = open(&server).await;
    assert_eq!(sftp.canonicalize("full/../link").await.unwrap(), "/f");
    assert_eq!(sftp.canonicalize("~/full").await.unwrap(), "/full");
    assert_eq!(sftp.home().await.unwrap(), "/");
    finish(sftp, server).await;
    let server = serve(tree().without_extension("expand-path@openssh.com")).await;
    let sftp = open(&server).await;
    assert_eq!(sftp.canonicalize("~").await.unwrap(), "/");
    assert_eq!(sftp.canonicalize("~/full").await.unwrap(), "/full");
    assert_eq!(sftp.canonicalize("~bob/x").await.unwrap_err().kind(), ErrorKind::Unsupported);
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_file_system_says_how_full_it_is() {
    let server = serve(tree().quota(1 << 20)).await;
    let sftp = open(&server).await;
    let before = sftp.statvfs("/").await.unwrap();
    sftp.write("/big", vec![1; 512 * 1024]).await.unwrap();
    let after = sftp.statvfs("/").await.unwrap();
    let bytes = (before.blocks_available - after.blocks_available) * before.fragment_size;
    assert!((512 * 1024..700 * 1024).contains(&bytes), "{bytes}");
    finish(sftp, server).await;
}

#[tokio::test]
async fn names_have_every_byte_but_slash_and_nul() {
    let name: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let halves = [&name[..127], &name[127..], &[b'n'; 255][..], &b" -"[..], &b"\xff\xfe"[..], &b"..."[..]];
    let server = serve(tree().binary_handles()).await;
    let sftp = open(&server).await;
    for name in halves {
        let path = [b"/", name].concat();
        sftp.write(&path, "content").await.unwrap();
        assert_eq!(sftp.read(&path).await.unwrap(), "content");
        assert!(sftp.canonicalize(&path).await.unwrap() == path);
        sftp.remove_file(&path).await.unwrap();
        assert!(!sftp.exists(&path).await.unwrap());
    }
    let error = sftp.write("/a\0b", "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidName);
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_server_without_extensions_does_all_that_the_protocol_has() {
    let server = serve(tree().extensions::<&str>([])).await;
    let sftp = open(&server).await;
    assert!(!sftp.has(Extension::PosixRename));
    sftp.create_dir("/d").await.unwrap();
    sftp.write("/d/f", vec![5; 200_000]).await.unwrap();
    assert_eq!(sftp.read("/d/f").await.unwrap(), vec![5; 200_000]);
    sftp.rename("/d/f", "/d/g").await.unwrap();
    sftp.symlink("g", "/d/l").await.unwrap();
    assert_eq!(sftp.canonicalize("/d/l").await.unwrap(), "/d/g");
    let unsupported = [
        sftp.hard_link("/d/g", "/d/h").await.unwrap_err(),
        sftp.statvfs("/").await.unwrap_err(),
        sftp.set_symlink_metadata("/d/l", &SetMetadata::new()).await.unwrap_err(),
    ];
    for error in unsupported {
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("does not have the extension"), "{error}");
    }
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_rename_replaces_a_file_with_the_extension_and_without() {
    for tree in [tree(), tree().without_extension("posix-rename@openssh.com")] {
        let server = serve(tree.file("/new", "new")).await;
        let sftp = open(&server).await;
        sftp.rename("/new", "/f").await.unwrap();
        assert_eq!(sftp.read("/f").await.unwrap(), "new");
        sftp.rename("/f", "/f").await.unwrap();
        sftp.rename("/f", "/link").await.unwrap();
        assert!(sftp.symlink_metadata("/link").await.unwrap().is_file(), "the link itself is replaced");
        assert!(!sftp.exists("/f").await.unwrap() && !sftp.exists("/new").await.unwrap());
        let rest = sftp.metadata("/empty").await.unwrap();
        assert!(rest.is_dir());
        finish(sftp, server).await;
    }
}

/// The n-th RENAME fails: whichever it is, no content is lost, and the error says where it is.
#[tokio::test]
async fn a_rename_that_fails_midway_loses_neither_file() {
    for nth in 1..=3 {
        let tree = tree().without_extension("posix-rename@openssh.com").file("/new", "new");
        let fails = Fault::sftp(SftpRequest::Rename, SftpFault::status(4, "on purpose")).nth(nth);
        let server = serve_with(TestServer::builder().sftp(tree).fault(fails)).await;
        let sftp = open(&server).await;
        let renamed = sftp.rename("/new", "/f").await;
        let contents = [server.sftp_content("/new"), server.sftp_content("/f")];
        match nth {
            1 => {
                renamed.unwrap();
                assert_eq!(contents[1].as_ref().unwrap(), b"new", "the first may fail: it replaces nothing");
            }
            _ => {
                let error = renamed.unwrap_err();
                assert!(error.to_string().contains("on purpose"), "{error}");
                assert_eq!(contents[0].as_ref().unwrap(), b"new");
                assert_eq!(contents[1].as_ref().unwrap(), b"0123456789");
            }
        }
        finish(sftp, server).await;
    }
}

#[tokio::test]
async fn a_rename_that_cannot_be_undone_says_where_the_old_file_is() {
    let tree = tree().without_extension("posix-rename@openssh.com").file("/new", "new");
    let fails = || Fault::sftp(SftpRequest::Rename, SftpFault::status(4, "on purpose"));
    let server =
        serve_with(TestServer::builder().sftp(tree).fault(fails().nth(3)).fault(fails().nth(4))).await;
    let sftp = open(&server).await;
    let error = sftp.rename("/new", "/f").await.unwrap_err();
    let hint = error.hint().unwrap();
    let aside = hint.split('"').nth(1).unwrap();
    assert_eq!(sftp.read(aside).await.unwrap(), "0123456789", "{hint}");
    assert_eq!(sftp.read("/new").await.unwrap(), "new");
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_read_only_server_and_its_file_system_are_told_apart_from_a_full_one() {
    let server = serve(tree().read_only()).await;
    let sftp = open(&server).await;
    let error = sftp.write("/new", "x").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnly), "{error}");
    finish(sftp, server).await;
    // One whose permission to write is there, and which fails on a file system that says that it is read-only.
    let fails = Fault::sftp(SftpRequest::MkDir, SftpFault::status(4, ""));
    let server = serve_with(TestServer::builder().sftp(tree().read_only()).fault(fails)).await;
    let sftp = open(&server).await;
    let error = sftp.create_dir("/new").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly, "{error}");
    finish(sftp, server).await;
}

#[tokio::test]
async fn a_full_disk_is_named_and_guessed_at_where_it_cannot_be_asked() {
    let full = || tree().quota(256 * 1024).entry("/fill", SftpEntry::file(vec![1; 128 * 1024]));
    let server = serve(full()).await;
    let sftp = open(&server).await;
    let error = sftp.write("/new", vec![0x55; 1 << 20]).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.operation(), error.path()),
        (ErrorKind::NoSpace, "write", Some(&b"/new"[..]))
    );
    finish(sftp, server).await;
    let server = serve(full().without_extension("statvfs@openssh.com")).await;
    let sftp = open(&server).await;
    let error = sftp.write("/new", vec![0x55; 1 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failure);
    let hint = error.hint().unwrap();
    assert!(hint.contains("used up") && hint.contains("statvfs@openssh.com"), "{hint}");
    finish(sftp, server).await;
}

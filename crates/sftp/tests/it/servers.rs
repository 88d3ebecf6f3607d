//! The same work at three servers: the embedded one's own engine, one that others wrote, and OpenSSH's `sftp-server`.

use std::path::Path;

#[cfg(unix)]
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use rustle_sftp::{ErrorKind, Extension, File, OpenOptions, Sftp};
use rustle_testserver::{Sftp as Tree, SftpEngine};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{open, serve};

#[tokio::test]
async fn the_embedded_server_does_the_work() {
    let server = serve(Tree::temp_dir()).await;
    let sftp = open(&server).await;
    work(&sftp, "/base", &server.directory().join("base")).await;
    sftp.close().await;
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_others_wrote_does_the_work() {
    let server = serve(Tree::temp_dir().engine(SftpEngine::Independent)).await;
    let sftp = open(&server).await;
    work(&sftp, "/base", &server.directory().join("base")).await;
    sftp.close().await;
    server.stop().await.unwrap();
}

/// Over a pipe, with no SSH between. Where it is installed, it is in one of these places.
#[cfg(unix)]
#[tokio::test]
async fn the_server_of_openssh_does_the_work() {
    let places = ["/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec"];
    let Some(program) =
        places.iter().map(|place| Path::new(place).join("sftp-server")).find(|path| path.exists())
    else {
        eprintln!("skipped: no sftp-server of OpenSSH is installed");
        return;
    };
    let root = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(program);
    command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
    let mut process = command.current_dir(root.path()).spawn().unwrap();
    let (stdout, stdin) = (process.stdout.take().unwrap(), process.stdin.take().unwrap());
    let sftp = Sftp::over(stdout, stdin).await.unwrap();
    let base = root.path().join("base");
    work(&sftp, base.to_str().unwrap(), &base).await;
    sftp.symlink("base", "link").await.unwrap();
    let root = root.path().canonicalize().unwrap();
    assert_eq!(sftp.canonicalize("link").await.unwrap(), root.join("base").to_str().unwrap());
    every_byte(&sftp).await;
    let files = (0..200).map(|i| File::create(&sftp, format!("many-{i}")));
    let files = futures_util::future::join_all(files.collect::<Vec<_>>()).await;
    assert!(files.iter().all(Result::is_ok), "handles that are no text are handles too");
    drop(files);
    let begun = std::time::Instant::now();
    sftp.close().await;
    assert!(begun.elapsed() < std::time::Duration::from_secs(4), "it hears that nothing more will come");
    assert!(process.wait().await.unwrap().success());
}

/// Relative to where the server is.
#[cfg(unix)]
async fn every_byte(sftp: &Sftp) {
    let name: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    for name in [&name[..100], &name[100..], b"\xff\xfe"] {
        sftp.write(name, "content").await.unwrap();
        assert_eq!(sftp.read(name).await.unwrap(), "content");
        let entries: Vec<_> = sftp.read_dir("").await.unwrap().try_collect().await.unwrap();
        assert!(entries.iter().any(|entry| entry.name() == name));
        sftp.remove_file(name).await.unwrap();
    }
}

async fn work(sftp: &Sftp, base: &str, here: &Path) {
    let at = |name: &str| format!("{base}/{name}");
    let content: Vec<u8> = (0..1_500_000_u64).map(|i| (i ^ (i >> 8)).to_le_bytes()[0]).collect();

    sftp.create_dir_all(at("deep/er/still")).await.unwrap();
    sftp.create_dir_all(at("deep/er/still")).await.unwrap();
    sftp.write(at("f"), content.clone()).await.unwrap();
    assert!(std::fs::read(here.join("f")).unwrap() == content);
    assert!(sftp.read(at("f")).await.unwrap() == content);

    let file = OpenOptions::new().read().write().create_new().open(sftp, at("g")).await.unwrap();
    tokio::try_join!(
        file.write_at(700_000, content[700_000..].to_vec()),
        file.write_at(0, content[..700_000].to_vec())
    )
    .unwrap();
    assert!(file.read_at(0, 2_000_000).await.unwrap() == content);
    assert_eq!(file.metadata().await.unwrap().len(), Some(1_500_000));
    file.close().await.unwrap();

    let mut cursor = File::create(sftp, at("h")).await.unwrap().cursor();
    cursor.write_all(&content).await.unwrap();
    cursor.shutdown().await.unwrap();
    let mut read = Vec::new();
    File::open(sftp, at("h")).await.unwrap().cursor().read_to_end(&mut read).await.unwrap();
    assert!(read == content);

    sftp.rename(at("h"), at("g")).await.unwrap();
    assert!(!here.join("h").exists() && std::fs::read(here.join("g")).unwrap() == content);
    assert_eq!(sftp.copy(at("g"), at("deep/copy")).await.unwrap(), 1_500_000);
    assert!(std::fs::read(here.join("deep/copy")).unwrap() == content);
    assert_eq!(sftp.copy(at("g"), at("g")).await.unwrap_err().kind(), ErrorKind::InvalidArgument);

    #[cfg(unix)]
    {
        sftp.symlink("f", at("link")).await.unwrap();
        assert_eq!(std::fs::read_link(here.join("link")).unwrap(), Path::new("f"));
        assert_eq!(sftp.read_link(at("link")).await.unwrap(), "f");
        assert!(sftp.symlink_metadata(at("link")).await.unwrap().is_symlink());
        sftp.symlink("..", at("deep/up")).await.unwrap();
        let walked: Vec<_> = sftp.walk(base).follow_links().start().collect().await;
        let loops: Vec<_> = walked.iter().filter_map(|entry| entry.as_ref().err()).collect();
        assert_eq!((loops.len(), loops[0].kind()), (1, ErrorKind::InvalidArgument), "{loops:?}");
        sftp.remove_file(at("deep/up")).await.unwrap();
        sftp.set_permissions(at("f"), 0o600).await.unwrap();
        assert_eq!(sftp.metadata(at("f")).await.unwrap().permissions(), Some(0o600));
        sftp.remove_file(at("link")).await.unwrap();
    }
    if sftp.has(Extension::HardLink) {
        sftp.hard_link(at("f"), at("second")).await.unwrap();
        sftp.remove_file(at("second")).await.unwrap();
    }
    let found = sftp.glob(at("**/co*")).unwrap().sorted().await.unwrap();
    assert_eq!(found.len(), 1);
    let walked: Vec<_> = sftp.walk(base).sorted().start().try_collect().await.unwrap();
    let names: Vec<_> = walked.iter().map(|entry| entry.name().clone()).collect();
    assert_eq!(names, ["deep", "copy", "er", "still", "f", "g"]);

    let kinds = [
        (sftp.metadata(at("none")).await.map(drop), ErrorKind::NotFound),
        (sftp.create_dir(at("deep")).await, ErrorKind::AlreadyExists),
        (sftp.create_dir_all(at("f")).await, ErrorKind::AlreadyExists),
        (sftp.write(at("deep"), "x").await, ErrorKind::IsADirectory),
        (sftp.remove_dir(at("deep")).await, ErrorKind::DirectoryNotEmpty),
    ];
    for (result, kind) in kinds {
        let error = result.unwrap_err();
        // The server that others wrote says of a directory there what Windows says.
        let is_denied = cfg!(windows) && error.kind() == ErrorKind::PermissionDenied;
        assert!(error.kind() == kind || is_denied && kind == ErrorKind::IsADirectory, "{error}");
    }
    sftp.remove_dir_all(base).await.unwrap();
    assert!(!here.exists());
}

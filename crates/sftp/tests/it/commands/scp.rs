//! scp's protocol, against OpenSSH's `scp` and against servers that do not keep to it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustle_sftp::{Error, ErrorKind, Files, Lack, Means, Verified};
use rustle_testserver::{Builder, Call, Exit, Reply, TestServer};

use crate::commands::host::Host;
use crate::support::{login, serve_with};

/// OpenSSH's `scp` behind each login shell of this machine.
#[allow(clippy::print_stderr, reason = "a test says what it leaves out")]
pub(crate) fn hosts() -> Vec<Arc<Host>> {
    if !std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join("scp").is_file()) {
        eprintln!("skipped: this machine has no scp");
        return Vec::new();
    }
    let shells = [Some(Host::new()), Host::with_shell("fish"), Host::with_shell("tcsh")];
    shells.into_iter().flatten().map(Arc::new).collect()
}

#[tokio::test]
async fn files_go_there_and_back_by_openssh_s_scp() {
    for host in hosts() {
        let server = host.serve().await;
        let files = Files::by_scp(&login(&server).await).await.unwrap();
        assert!(files.means() == Means::Scp && files.lacks().contains(&Lack::Operations));
        let here = tempfile::tempdir().unwrap();
        let (from, back) = (here.path().join("from"), here.path().join("back"));
        for (name, length) in [
            ("plain", 0),
            ("it's a \\ ! $HOME", 1),
            ("-x", 700_000),
            ("d/below", 65_536),
            ("a:b", 3),
            ("d/a:b:c", 3),
        ] {
            fs::create_dir_all(host.folder().join("d")).unwrap();
            let content: Vec<u8> = (0..length).map(|index: u32| (index % 251) as u8).collect();
            fs::write(&from, &content).unwrap();
            fs::set_permissions(&from, fs::Permissions::from_mode(0o751)).unwrap();
            let time = std::time::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
            fs::File::open(&from).unwrap().set_modified(time).unwrap();
            let put = files.put(&from, name).preserve().verify().await.unwrap();
            assert_eq!((put.moved, matches!(put.verified, Verified::Impossible(_))), (length.into(), true));
            let there = fs::metadata(host.folder().join(name)).unwrap();
            assert_eq!(
                (there.permissions().mode() & 0o7777, there.mtime()),
                (0o751, 1_500_000_000),
                "{name}"
            );
            assert!(fs::read(host.folder().join(name)).unwrap() == content, "{name}");
            for atomic in [false, true] {
                let get = files.get(name, &back).preserve();
                let got = if atomic { get.atomic() } else { get }.await.unwrap();
                assert_eq!(got.length, length.into());
                assert!(fs::read(&back).unwrap() == content, "{name}");
                assert_eq!(fs::metadata(&back).unwrap().mtime(), 1_500_000_000, "{name}");
            }
        }
        files.put(&from, "d").await.unwrap();
        assert!(host.folder().join("d/from").is_file(), "a directory takes it under its own name");
        let kind = |error: Error| error.kind();
        assert_eq!(files.get("none", &back).await.map_err(kind), Err(ErrorKind::NotFound));
        assert!(files.get("d", &back).await.is_err());
        assert_eq!(files.put(&from, "none/x").await.map_err(kind), Err(ErrorKind::NotFound));
        for refused in [files.put(&from, "x").atomic().await, files.put(&from, "x").resume().await] {
            assert_eq!(refused.map_err(kind), Err(ErrorKind::Unsupported));
        }
        assert_eq!(files.read("plain").await.map_err(kind), Err(ErrorKind::Unsupported));
        assert!(!host.folder().join("x").exists());
        // Nothing paces what the far side sends.
        assert!(files.lacks().contains(&Lack::Limit));
        let limited = files.get("plain", &back).limit(std::num::NonZeroU64::MIN).await;
        assert_eq!(limited.map_err(kind), Err(ErrorKind::Unsupported));
        server.stop().await.unwrap();
    }
}

/// What the far side says to `scp -f`, whatever is said here.
fn sends(said: &'static [u8]) -> Builder {
    device().command_fn("scp -f *", move |mut call: Call| async move {
        call.stdin().chunk().await;
        if call.stdout().send(Bytes::from_static(said)).await.is_err() {
            return Exit::Silent;
        }
        while call.stdin().chunk().await.is_some() {}
        Exit::SUCCESS
    })
}

/// A device that has scp, and a command line of its own for all else.
pub(crate) fn device() -> Builder {
    TestServer::builder().command_matching("*", Reply::stdout("% Invalid input\n")).command_fn(
        "scp -t .",
        async |mut call: Call| {
            let said = call.stdout().send("\0").await;
            while call.stdin().chunk().await.is_some() {}
            if said.is_ok() { Exit::SUCCESS } else { Exit::Silent }
        },
    )
}

#[tokio::test]
async fn a_device_that_has_only_scp_is_found_out() {
    let server = serve_with(sends(b"C0644 4 config\nabcd\0")).await;
    let files = Files::open(&login(&server).await).await.unwrap();
    assert_eq!(files.means(), Means::Scp);
    assert!(files.refusal().is_some());
    let here = tempfile::tempdir().unwrap();
    files.get("flash:config", here.path().join("config")).await.unwrap();
    assert_eq!(fs::read(here.path().join("config")).unwrap(), b"abcd");
    // How it would take quotes is not known.
    let error = files.get("flash:a b", here.path().join("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidName);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_breaks_the_protocol_writes_nothing_that_was_not_asked_for() {
    use ErrorKind::{Failure, InvalidName, IsADirectory, NotFound, Protocol};
    for (said, expected) in [
        (&b"C0644 1 other\nx\0"[..], InvalidName),
        (b"C0644 1 ../config\nx\0", InvalidName),
        (b"C0644 1 /etc/config\nx\0", InvalidName),
        (b"C0644 1 ..\nx\0", InvalidName),
        (b"D0755 0 config\nC0644 1 config\nx\0E\n", IsADirectory),
        (b"C0644 99999999999999999999 config\n", Protocol),
        (b"C0644 -1 config\n", Protocol),
        (b"T1 0 1 0\nC0644 1 config\nx\0", Protocol),
        (b"C0644 1 config\nx\0C0644 1 config\ny\0", Protocol),
        (b"C0644 1 config\nx\x01read failed\n", Failure),
        (b"\x01scp: \x1b[2Jconfig: No such file or directory\n", NotFound),
        (b"Welcome!\nC0644 1 config\nx\0", Protocol),
        (b"E\n", Protocol),
    ] {
        let server = serve_with(sends(said)).await;
        let files = Files::by_scp(&login(&server).await).await.unwrap();
        let here = tempfile::tempdir().unwrap();
        let error = files.get("config", here.path().join("config")).atomic().await.unwrap_err();
        assert_eq!(error.kind(), expected, "{:?}: {error}", Bytes::from_static(said));
        assert!(!error.to_string().contains('\x1b'), "{error}");
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0, "{:?}", Bytes::from_static(said));
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn one_that_ends_early_is_told_from_a_whole_file() {
    for said in [&b""[..], b"C0644 9", b"C0644 9 config\nabc", b"C0644 3 config\nabc"] {
        let server = serve_with(device().command_fn("scp -f *", move |mut call: Call| async move {
            call.stdin().chunk().await;
            let sent = call.stdout().send(Bytes::from_static(said)).await;
            if sent.is_ok() { Exit::Code(1) } else { Exit::Silent }
        }))
        .await;
        let files = Files::by_scp(&login(&server).await).await.unwrap();
        let here = tempfile::tempdir().unwrap();
        let error = files.get("config", here.path().join("config")).atomic().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Disconnected), "{error}");
        assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_put_that_the_far_side_gives_up_shows_its_reason() {
    let server = serve_with(device().command_fn("scp -t *", async |mut call: Call| {
        let sent = call.stdout().send("\0\x01scp: config: No space left on device\n").await;
        if sent.is_ok() { Exit::Code(1) } else { Exit::Silent }
    }))
    .await;
    let files = Files::by_scp(&login(&server).await).await.unwrap();
    let here = tempfile::NamedTempFile::new().unwrap();
    fs::write(here.path(), vec![0; 300_000]).unwrap();
    let error = files.put(here.path(), "config").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    server.stop().await.unwrap();
}

/// What is only about times does not hide that the disk was full.
#[tokio::test]
async fn of_what_is_said_behind_a_file_the_gravest_is_told() {
    for said in [
        "\x01scp: config: set times: no\n\x01scp: config: No space left on device\n",
        "\x01scp: config: No space left on device\n\x01scp: config: set mode: Permission denied\n",
        "\x01scp: config: set times: no\n\x02scp: config: No space left on device\n",
    ] {
        let server = serve_with(device().command_fn("scp -t c*", async move |mut call: Call| {
            let sent = call.stdout().send(["\0\0\0", said].concat()).await;
            while call.stdin().chunk().await.is_some() {}
            if sent.is_ok() { Exit::Code(1) } else { Exit::Silent }
        }))
        .await;
        let files = Files::by_scp(&login(&server).await).await.unwrap();
        let here = tempfile::NamedTempFile::new().unwrap();
        fs::write(here.path(), "a").unwrap();
        let error = files.put(here.path(), "config").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        server.stop().await.unwrap();
    }
}

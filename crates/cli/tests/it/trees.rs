//! `get -r` and `put -r`: where a directory goes, what is said of it, and what is left out.

use rustle_testserver::Sftp;
#[cfg(unix)]
use rustle_testserver::TestServer;

use crate::host::Host;

/// A host with these files, and here a directory `here`.
fn site() -> Sftp {
    Sftp::memory()
        .file("/srv/www/index", "index")
        .file("/srv/www/deep/page", "page")
        .directory_entry("/srv/www/empty")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_to_a_new_name_or_into_one_that_is_there_as_with_scp() {
    let host = Host::serving(site()).await;
    let here = host.path("here");
    for (from, to, top) in [
        ("web:/srv/www", host.path("new"), "new"),
        ("web:/srv/www", host.path("slash/"), "slash"),
        ("web:/srv/www", here.clone(), "here/www"),
        ("web:srv/www/", format!("{here}/"), "here/www"),
        ("web:/srv/www/.", here.clone(), "here"),
        ("web:/srv/w*", here.clone(), "here/www"),
    ] {
        let ran = host.run(&["get", "-r", from, &to]).await;
        assert_eq!((ran.code, ran.stdout()), (Some(0), ""), "{from} {to}: {}", ran.stderr);
        assert_eq!(host.read(&format!("{top}/index")), "index");
        assert_eq!(host.read(&format!("{top}/deep/page")), "page");
        assert!(std::path::Path::new(&host.path(&format!("{top}/empty"))).is_dir());
        std::fs::remove_dir_all(host.path(top)).unwrap();
        std::fs::create_dir_all(&here).unwrap();
    }
    std::fs::create_dir_all(host.path("up/deep")).unwrap();
    host.write("up/a", "a");
    host.write("up/deep/b", "b");
    let up = host.path("up");
    for (from, to, top) in [
        (up.clone(), "web:/new", "/new"),
        (up.clone(), "web:/slash/", "/slash"),
        (up.clone(), "web:/srv", "/srv/up"),
        (format!("{up}/"), "web:srv/", "/srv/up"),
        (format!("{up}/."), "web:/srv", "/srv"),
        (up.clone(), "web:", "/up"),
    ] {
        let ran = host.run(&["put", "-r", &from, to]).await;
        assert_eq!((ran.code, ran.stdout()), (Some(0), ""), "{from} {to}: {}", ran.stderr);
        assert_eq!(host.there(&format!("{top}/a")).as_deref(), Some("a"));
        assert_eq!(host.there(&format!("{top}/deep/b")).as_deref(), Some("b"));
    }
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_directories_go_together_and_each_failure_is_named() {
    let host = Host::serving(site().file("/motd", "motd").file("/srv/www/taken", "taken")).await;
    let here = host.path("here");
    // A file cannot take the place of a directory.
    std::fs::create_dir_all(host.path("here/www/taken")).unwrap();
    let typed = ["get", "-r", "--jobs", "1", "web:/motd", "web:/srv/www", "web:/missing", &here];
    let ran = host.run(&typed).await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("open \"/missing\": no such file"), "{}", ran.stderr);
    // Windows has a separator of its own.
    assert!(ran.stderr.replace('\\', "/").contains("here/www/taken"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\n3 files, 3 directories, 2 failed, 13 B in "), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("error: ").count(), 2, "{}", ran.stderr);
    assert_eq!((host.read("here/motd"), host.read("here/www/index")), ("motd".into(), "index".into()));
    let ran = host.run(&[&["--format", "json"], &typed[..]].concat()).await;
    assert_eq!(ran.code, Some(255));
    let lines: Vec<serde_json::Value> =
        ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert_eq!((count("file"), count("failed"), count("summary")), (3, 2, 1), "{}", ran.stdout());
    let sum = lines.last().unwrap();
    assert_eq!((&sum["files"], &sum["failed"], &sum["bytes"]), (&3.into(), &2.into(), &13.into()), "{sum}");
    let taken = lines.iter().find(|line| line["source"] == "/srv/www/taken").unwrap();
    assert_eq!(taken["error"]["code"], "SFTP_LOCAL", "{taken}");
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn links_are_left_out_followed_or_copied_as_typed() {
    let host = Host::serving(Sftp::memory()).await;
    std::fs::create_dir(host.path("up")).unwrap();
    host.write("up/a", "a");
    std::os::unix::fs::symlink("a", host.path("up/link")).unwrap();
    let up = host.path("up");
    let ran = host.run(&["put", "-r", &up, "web:/skip"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.starts_with("1 file, 1 directory, 1 left out (links and what is no file), 1 B in "),
        "{}",
        ran.stderr
    );
    assert!(host.server.sftp_content("/skip/link").is_err());
    let ran = host.run(&["put", "-r", "-v", "--links", "follow", &up, "web:/follow"]).await;
    assert_eq!((ran.code, host.there("/follow/link")), (Some(0), Some("a".into())), "{}", ran.stderr);
    assert!(ran.stderr.contains("up/link to /follow/link: 1 B\n"), "{}", ran.stderr);
    let ran = host.run(&["put", "-r", "--links", "copy", &up, "web:/copy"]).await;
    assert!(ran.stderr.starts_with("1 file, 1 directory, 1 link, 1 B in "), "{}", ran.stderr);
    let ran = host.run(&["get", "-r", "--links", "copy", "web:/copy", &host.path("back")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(std::fs::read_link(host.path("back/link")).unwrap().to_str(), Some("a"));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_files_can_have_is_refused_for_directories_before_anything_is_done() {
    let host = Host::serving(site()).await;
    let here = host.path("here");
    for typed in [
        &["get", "-r", "--mode", "640", "web:/srv", &here][..],
        &["get", "--jobs", "2", "web:/motd", &here],
        &["put", "--links", "copy", &here, "web:/x"],
        &["get", "-r", "--jobs", "0", "web:/srv", &here],
    ] {
        let ran = host.run(typed).await;
        assert_eq!((ran.code, ran.stdout()), (Some(255), ""), "{}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    assert_eq!(host.server.record().connections().len(), 0);
    let ran = host.run(&["get", "web:/srv", &here]).await;
    assert!(ran.stderr.contains("hint: -r moves directories"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_in_the_middle_leaves_no_temporary_file() {
    use tokio::io::{AsyncBufReadExt, BufReader};

    let mut files = Sftp::memory();
    for number in 0..2000 {
        files = files.file(format!("/many/{number}"), vec![b'x'; 3000]);
    }
    let host = Host::serving(files).await;
    let password = host.path("password");
    let options = ["-r", "--atomic", "--format", "json", "--password-file", &password];
    let mut command = host.command(&[&["get"][..], &options, &["web:/many/.", &host.path("here")]].concat());
    let mut child = crate::host::spawned(
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()),
    );
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
    assert!(line.starts_with('{'), "{line}");
    let ran = crate::host::wait(child).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(255), ""));
    let names = std::fs::read_dir(host.path("here")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "{left:?}");
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_gone_on_with_and_what_is_there_is_not_moved_again() {
    let host = Host::with(TestServer::builder().shell().sftp(Sftp::directory("/"))).await;
    let whole: String = (0..60_000).map(|line| format!("{line}\n")).collect();
    for name in ["from", "up", "down"] {
        std::fs::create_dir(host.path(name)).unwrap();
    }
    for name in ["done", "begun", "new", "other"] {
        host.write(&format!("from/{name}"), &format!("{name}{whole}"));
    }
    for (to, verb) in [("up", "put"), ("down", "get")] {
        host.write(&format!("{to}/done"), &format!("done{whole}"));
        host.write(&format!("{to}/begun"), &format!("begun{whole}")[..100_000]);
        host.write(&format!("{to}/other"), &"x".repeat(1000));
        let (from, to) = (format!("{}/.", host.path("from")), host.path(to));
        let (from, to) = match verb {
            "put" => (from, format!("web:{to}")),
            _ => (format!("web:{from}"), to),
        };
        let ran = host.run(&["--format", "json", verb, "-r", "--resume", &from, &to]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let lines: Vec<serde_json::Value> =
            ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let begun =
            lines.iter().find(|line| line["source"].as_str().is_some_and(|path| path.ends_with("begun")));
        assert_eq!(begun.unwrap()["resumed_from"], 100_000, "{lines:#?}");
        let sum = lines.last().unwrap();
        for (field, is) in
            [("files", 3), ("unchanged", 1), ("resumed", 1), ("not_resumed", 1), ("resumed_by_samples", 0)]
        {
            assert_eq!(sum[field], is, "{field}: {sum}");
        }
        assert_eq!(sum["bytes_found"], 100_000 + "done".len() + whole.len(), "{sum}");
        // All of it is there now.
        let ran = host.run(&[verb, "-r", "--resume", &from, &to]).await;
        assert!(
            ran.stderr.starts_with("0 files, 1 directory, 4 the same already, 0 B in "),
            "{}",
            ran.stderr
        );
        // A part that is whole has only to take its place: that changes the destination.
        let place = if verb == "put" { "up" } else { "down" };
        std::fs::rename(
            host.path(&format!("{place}/done")),
            host.path(&format!("{place}/.done.rustle-part")),
        )
        .unwrap();
        let ran = host.run(&["-v", verb, "-r", "--resume", "--atomic", &from, &to]).await;
        for said in [
            "340.7 KiB, all of it from a part that was there\n",
            "1 file, 1 directory, 3 the same already, 1 gone on with, 0 B in ",
        ] {
            assert!(ran.stderr.contains(said), "{said}: {}", ran.stderr);
        }
    }
    for name in ["done", "begun", "new", "other"] {
        assert_eq!(host.read(&format!("up/{name}")), format!("{name}{whole}"));
        assert_eq!(host.read(&format!("down/{name}")), format!("{name}{whole}"));
    }
    host.write("down/other", &"y".repeat(1000));
    let (from, to) = (format!("web:{}/.", host.path("from")), host.path("down"));
    let ran = host.run(&["get", "-r", "--resume", &from, &to]).await;
    assert!(ran.stderr.contains("of 1 files something was there that is not known"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn zeros_become_holes_where_that_is_asked_for() {
    use std::os::unix::fs::MetadataExt;

    let host = Host::with(TestServer::builder().sftp(Sftp::directory("/"))).await;
    let length = 8 << 20;
    for name in ["from", "back"] {
        std::fs::create_dir(host.path(name)).unwrap();
    }
    std::fs::write(host.path("from/zeros"), vec![0; length]).unwrap();
    let from = host.path("from");
    let web = |path: &str| format!("web:{}", host.path(path));
    for typed in [
        &["put", "--sparse", &host.path("from/zeros"), &web("one")][..],
        &["put", "-r", "--sparse", &from, &web("up")],
        &["get", "--sparse", &web("from/zeros"), &host.path("two")],
        &["get", "-r", "--sparse", &web("from"), &host.path("back")],
    ] {
        let ran = host.run(typed).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    for copy in ["one", "up/zeros", "two", "back/from/zeros"] {
        let metadata = std::fs::metadata(host.path(copy)).unwrap();
        assert_eq!(metadata.len(), length as u64, "{copy}");
        // In blocks of 512 bytes.
        assert!(metadata.blocks() < 1000, "{copy}: {}", metadata.blocks());
    }
    host.server.stop().await.unwrap();
}

//! `sync`: a directory made equal to one of the other side, and what is said of it.

use rustle_testserver::Sftp;

use crate::host::{Host, snapshot};

/// A host with these files, and here a directory in a directory.
async fn serving(files: Sftp) -> Host {
    let host = Host::serving(files).await;
    std::fs::create_dir(host.path("here/deep")).unwrap();
    host
}

/// Writes a file that was last changed long ago.
fn old(host: &Host, name: &str, text: &str) {
    host.write(name, text);
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    std::fs::File::options().write(true).open(host.path(name)).unwrap().set_modified(then).unwrap();
}

/// Windows has a separator of its own, which is shown escaped, and the path in quotes for that.
fn plain(text: &str) -> String {
    if cfg!(windows) { text.replace(r"\\", "/").replace('"', "") } else { text.to_owned() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_is_made_equal_in_either_direction() {
    let host = serving(Sftp::memory().file("/www/extra", "e").file("/www/keep.log", "k")).await;
    old(&host, "here/a", "first");
    old(&host, "here/deep/b", "second");
    let here = host.path("here");

    let ran = host.run(&["sync", "--dry-run", "--delete", "--exclude", "*.log", &here, "web:/www"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let mut lines: Vec<_> =
        plain(ran.stdout()).lines().map(|line| line.replace(&plain(&here), "HERE")).collect();
    lines.sort();
    assert_eq!(lines, ["move HERE/a", "move HERE/deep/b", "remove /www/extra"]);
    assert!(ran.stderr.starts_with("nothing was changed; it would be 2 files, "), "{}", ran.stderr);
    assert_eq!((host.there("/www/extra"), host.there("/www/a")), (Some("e".into()), None));

    let ran = host.run(&["sync", &here, "web:/www"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), ""), "{}", ran.stderr);
    assert_eq!(host.there("/www/deep/b").as_deref(), Some("second"));
    assert_eq!(host.there("/www/extra").as_deref(), Some("e"));

    let ran = host.run(&["sync", "-v", "--delete", "--exclude", "*.log", &here, "web:/www"]).await;
    assert!(plain(&ran.stderr).contains("/a: the same already\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("note: /www/extra: removed\n"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("\n0 files, 2 directories, 2 the same already, 1 removed, 0 B in "),
        "{}",
        ran.stderr
    );
    assert_eq!((host.there("/www/extra"), host.there("/www/keep.log")), (None, Some("k".into())));

    let back = host.path("back");
    let json = ["--format", "json", "sync", "web:/www", &back];
    let ran = host.run(&json).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines: Vec<serde_json::Value> =
        ran.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "{}", ran.stdout());
    let sum = lines.last().unwrap();
    assert_eq!((&sum["event"], &sum["files"], &sum["unchanged"]), (&"summary".into(), &3.into(), &0.into()));
    // Nothing of it was changed just now, so it is the same at once.
    let ran = host.run(&json).await;
    let sum: serde_json::Value = serde_json::from_str(ran.stdout().lines().last().unwrap()).unwrap();
    assert_eq!((&sum["unchanged"], &sum["failed"]), (&3.into(), &0.into()), "{}", ran.stdout());
    assert_eq!(std::fs::read_to_string(host.path("back/deep/b")).unwrap(), "second");
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_something_fails_nothing_is_removed_and_that_is_said() {
    let host = serving(Sftp::memory().file("/www/extra", "e").file("/www/a/in", "the way")).await;
    old(&host, "here/a", "first");
    let ran = host.run(&["sync", "--delete", &host.path("here"), "web:/www"]).await;
    assert_eq!(ran.code, Some(255));
    assert!(ran.stderr.contains("has something else in its place"), "{}", ran.stderr);
    assert!(ran.stderr.contains("warning: 1 that only the destination has stay"), "{}", ran.stderr);
    assert_eq!(host.there("/www/extra").as_deref(), Some("e"));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_the_two_is_on_a_host() {
    let host = serving(Sftp::memory()).await;
    let mut all = String::new();
    for typed in [&["sync", "x", "y"][..], &["sync", "web:x", "web:y"], &["sync", "web:x"]] {
        let ran = host.run(typed).await;
        all.push_str(&format!("$ {}\n{}", typed.join(" "), host.told(&ran)));
    }
    snapshot!("sync_usage", all);
    assert_eq!(host.server.record().connections().len(), 0);
    host.server.stop().await.unwrap();
}

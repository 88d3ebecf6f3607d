//! OpenSSH's `sftp` at the server's own engine and its tree in memory.

use std::{process::Stdio, time::Duration};

use rustle_testserver::{Fault, Sftp, SftpEntry, SftpFault, SftpRequest, TestServer};

use crate::{
    client::LIMIT,
    openssh::{Home, installed, text},
};

/// Runs these lines of `sftp`, and returns what it printed and whether it was content.
async fn batch(home: &Home, server: &TestServer, lines: &str) -> (String, bool) {
    std::fs::write(home.path("batch"), lines).unwrap();
    let script = format!("-b{}", home.path("batch").display());
    let output = home.run("sftp", server.port(), &[&script, "bob@127.0.0.1"], Stdio::null()).await;
    (text(&output.stdout) + &text(&output.stderr), output.status.success())
}

#[tokio::test]
async fn sftp_copies_trees_resumes_and_lists_as_with_openssh() {
    if !installed("sftp") {
        return;
    }
    let home = Home::new().await;
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let tree = Sftp::memory()
        .entry(b"/names/\xff", SftpEntry::file("x").mode(0o604).modified(old))
        .file("/first", "one")
        .file("/second", "two");
    let server = TestServer::builder().user(home.user()).sftp(tree).start().await.unwrap();
    home.trust(&server);

    // More files than OpenSSH has handles that are text, and one of several requests' length.
    let local = home.path("tree");
    std::fs::create_dir_all(local.join("inner")).unwrap();
    for n in 0..150 {
        std::fs::write(local.join(format!("inner/{n}")), format!("content {n}")).unwrap();
    }
    let long: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(local.join("long"), &long).unwrap();
    std::fs::write(home.path("resumed"), &long[..700_000]).unwrap();

    let lines = format!(
        "put -rp {tree} /copy\nget -rp /copy {back}\nreget /copy/long {resumed}\nrename /first /second\n\
         ln /second /third\nls -ln /\nls -l /names\ndf /\npwd\n",
        tree = local.display(),
        back = home.path("back").display(),
        resumed = home.path("resumed").display(),
    );
    let (printed, well) = batch(&home, &server, &lines).await;
    assert!(well, "{printed}");
    for n in 0..150 {
        let back = std::fs::read(home.path("back").join(format!("inner/{n}"))).unwrap();
        assert_eq!(back, format!("content {n}").into_bytes());
    }
    assert!(std::fs::read(home.path("back").join("long")).unwrap() == long);
    assert!(std::fs::read(home.path("resumed")).unwrap() == long);
    assert!(printed.contains("Remote working directory: /"), "{printed}");
    assert!(
        printed.lines().any(|line| line.starts_with("-rw----r--") && line.contains("Sep  9  2001")),
        "{printed}"
    );
    assert!(
        printed.lines().any(|line| line.starts_with("-rw-r--r--") && line.ends_with("third")),
        "{printed}"
    );
    let listed = |name: &str| printed.lines().any(|line| line.starts_with('-') && line.ends_with(name));
    assert!(listed("/second") && !listed("/first"), "posix-rename replaced the second: {printed}");
    // Of its numbers `users-groups-by-id@openssh.com` made names.
    assert!(printed.lines().any(|line| line.contains(" bob ")), "{printed}");
    assert!(printed.contains("%Capacity"), "{printed}");
    server.wait_until_idle(LIMIT).await.unwrap();
    server.assert_no_handles_open();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn sftp_refuses_hostile_names_and_lengths_and_shows_the_servers_status() {
    if !installed("sftp") {
        return;
    }
    let home = Home::new().await;
    let tree = Sftp::memory().file("/d/fine", "fine").file("/long", vec![7; 100_000]);
    let server = TestServer::builder()
        .user(home.user())
        .sftp(tree)
        .fault(Fault::sftp(SftpRequest::ReadDir, SftpFault::name("../escape")).on_connection(1).once())
        .fault(Fault::sftp(SftpRequest::Stat, SftpFault::packet_length(1 << 30)).on_connection(2).once())
        .fault(Fault::sftp(SftpRequest::Remove, SftpFault::status(3, "not yours")).on_connection(3))
        .fault(Fault::sftp(SftpRequest::Read, SftpFault::short_read(1000)).on_connection(4).times(3))
        .start()
        .await
        .unwrap();
    home.trust(&server);

    let (printed, _) = batch(&home, &server, &format!("get -r /d {}\n", home.path("into").display())).await;
    assert!(!home.path("escape").exists() && !home.path("into").join("../escape").exists(), "{printed}");
    let (printed, well) =
        batch(&home, &server, &format!("get /long {}\n", home.path("never").display())).await;
    assert!(!well && printed.contains("too long"), "{printed}");
    let (printed, well) = batch(&home, &server, "rm /long\n").await;
    assert!(!well && printed.to_lowercase().contains("permission denied"), "{printed}");
    let (printed, well) =
        batch(&home, &server, &format!("get /long {}\n", home.path("long").display())).await;
    assert!(well, "{printed}");
    assert_eq!(std::fs::read(home.path("long")).unwrap(), [7; 100_000]);
    server.stop().await.unwrap();
}

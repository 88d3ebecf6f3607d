//! `get`, `put` and `ls-remote` where the host has SFTP switched off, and by scp's protocol.

use rustle_testserver::{Reply, TestServer};

use crate::host::{Host, snapshot};

/// A host with a real shell and no SFTP.
async fn serving() -> Host {
    Host::with(TestServer::builder().shell()).await
}

fn there(host: &Host, name: &str) -> String {
    std::fs::read_to_string(host.server.directory().join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_moved_and_listed_by_commands_and_it_is_said_once() {
    let host = serving().await;
    host.write("up", "going up\n");
    std::fs::create_dir(host.server.directory().join("srv")).unwrap();
    for (to, name) in
        [("web:it's", "it's"), ("web:srv", "srv/up"), ("web:srv/", "srv/up"), ("web:~/home", "home")]
    {
        let ran = host.run(&["put", "--atomic", &host.path("up"), to]).await;
        assert_eq!((ran.code, ran.stdout()), (Some(0), ""), "{to}: {}", ran.stderr);
        assert_eq!(ran.stderr.matches("has no SFTP, so it goes by commands").count(), 1, "{}", ran.stderr);
        assert_eq!(there(&host, name), "going up\n");
    }
    let ran = host.run(&["get", "web:it's", "web:srv/up", &host.path("")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(host.path("it's")).unwrap(), "going up\n");
    let ran = host.run(&["ls-remote", "web:"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), "home\nit's\nsrv\n"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_commands_cannot_do_is_a_failure_before_anything_is_done() {
    let host = serving().await;
    host.write("up", "going up\n");
    std::fs::create_dir(host.server.directory().join("srv")).unwrap();
    for (arguments, said) in [
        (&["put", "--resume", &host.path("up"), "web:x"][..], "does not go on from a part"),
        (&["get", "-O", "web:*.gz", &host.path("down")], "patterns are taken as names"),
        (&["sync", &host.path(""), "web:srv"], "directories are made equal by SFTP"),
    ] {
        let ran = host.run(arguments).await;
        assert_eq!(ran.code, Some(255), "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    assert!(
        !host.server.directory().join("x").exists() && !std::path::Path::new(&host.path("down")).exists()
    );
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_and_patterns_work_by_commands_as_well() {
    let host = serving().await;
    std::fs::create_dir_all(host.path("tree/below")).unwrap();
    for name in ["one.gz", "two.gz", "below/it's", "other"] {
        host.write(&format!("tree/{name}"), name);
    }
    let ran = host.run(&["put", "-r", "--preserve", &host.path("tree"), "web:srv"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(there(&host, "srv/below/it's"), "below/it's");
    let ran = host.run(&["ls-remote", "web:srv/*.gz"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), "srv/one.gz\nsrv/two.gz\n"), "{}", ran.stderr);
    std::fs::create_dir(host.path("down")).unwrap();
    let ran = host.run(&["get", "web:srv/*.gz", &host.path("down")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let ran = host.run(&["get", "-r", "web:srv", &host.path("down")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for (path, content) in [("one.gz", "one.gz"), ("srv/below/it's", "below/it's"), ("srv/other", "other")] {
        assert_eq!(std::fs::read_to_string(host.path(&format!("down/{path}"))).unwrap(), content);
    }
    assert!(!std::path::Path::new(&host.path("down/other")).exists());
    let ran = host.run(&["get", "web:none*", &host.path("down")]).await;
    assert!(ran.code == Some(255) && ran.stderr.contains("no such file"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn scp_s_protocol_is_spoken_where_that_is_typed() {
    if !std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join("scp").is_file()) {
        println!("skipped: this machine has no scp");
        return;
    }
    let host = serving().await;
    host.write("up", "going up\n");
    std::fs::create_dir(host.server.directory().join("srv")).unwrap();
    for (to, name) in
        [("web:file", "file"), ("web:srv/", "srv/up"), ("web:srv", "srv/up"), ("web:~/below", "below")]
    {
        let ran = host.run(&["put", "-O", &host.path("up"), to]).await;
        assert_eq!((ran.code, ran.stdout()), (Some(0), ""), "{to}: {}", ran.stderr);
        assert_eq!(there(&host, name), "going up\n");
        std::fs::remove_file(host.server.directory().join("srv/up")).ok();
    }
    let ran = host.run(&["get", "-O", "--preserve", "web:file", &host.path("down")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stderr.contains("warning"), "it was asked for: {}", ran.stderr);
    assert_eq!(std::fs::read_to_string(host.path("down")).unwrap(), "going up\n");
    let ran = host.run(&["get", "-O", "web:~/below", &host.path("back")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(host.path("back")).unwrap(), "going up\n");
    std::fs::create_dir_all(host.path("tree/below")).unwrap();
    host.write("tree/below/it's", "deep\n");
    // To a name of its own, into a directory, and back again.
    for (to, name) in [("web:new", "new"), ("web:srv", "srv/tree")] {
        let ran = host.run(&["put", "-O", "-r", &host.path("tree"), to]).await;
        assert_eq!(ran.code, Some(0), "{to}: {}", ran.stderr);
        assert_eq!(there(&host, &format!("{name}/below/it's")), "deep\n");
    }
    let ran = host.run(&["get", "-O", "-r", "web:srv/tree", "web:file", &host.path("srv-here")]).await;
    assert!(ran.code == Some(255) && ran.stderr.contains("there is no such directory"), "{}", ran.stderr);
    std::fs::create_dir(host.path("here")).unwrap();
    let ran = host.run(&["get", "-O", "-r", "web:srv/tree", "web:file", &host.path("here")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for (path, content) in [("here/tree/below/it's", "deep\n"), ("here/file", "going up\n")] {
        assert_eq!(std::fs::read_to_string(host.path(path)).unwrap(), content);
    }
    let ran = host.run(&["get", "-O", "web:~root/x", &host.path("back")]).await;
    assert!(ran.code == Some(255) && ran.stderr.contains("does not say where homes are"), "{}", ran.stderr);
    let ran = host.run(&["put", "-O", "--atomic", &host.path("up"), "web:file"]).await;
    assert!(ran.code == Some(255) && ran.stderr.contains("no way to give a file its name"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_neither_says_what_answered() {
    let device = TestServer::builder().command_matching("*", Reply::stdout("% Invalid input\n"));
    let host = Host::with(device).await;
    let ran = host.run(&["get", "web:config", &host.path("down")]).await;
    snapshot!("without_sftp_device", host.told(&ran));
    host.server.stop().await.unwrap();
}

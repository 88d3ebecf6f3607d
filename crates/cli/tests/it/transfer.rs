//! `get` and `put`: which file goes where, what is said of it, and what is left when it ends early.

use rustle_testserver::{Fault, RequestKind, Sftp, SftpFault, SftpRequest, TestServer};

use crate::host::{Host, snapshot};

/// A host with these files, and here a directory `here`.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_to_the_name_that_is_given_or_into_a_directory_under_its_own() {
    let host = Host::serving(Sftp::memory().file("/etc/motd", "hello\n").directory_entry("/srv")).await;
    let here = host.path("here");
    for (to, name) in [
        (host.path("copy"), "copy"),
        (here.clone(), "here/motd"),
        (format!("{here}/"), "here/motd"),
        (format!("{here}/other"), "here/other"),
    ] {
        let ran = host.run(&["get", "web:/etc/motd", &to]).await;
        assert_eq!((ran.code, ran.stdout()), (Some(0), ""), "{}", ran.stderr);
        assert_eq!(host.read(name), "hello\n");
        std::fs::remove_file(host.path(name)).unwrap();
    }
    host.write("here/up", "going up\n");
    let from = host.path("here/up");
    for (to, path) in [
        ("web:/srv/there", "/srv/there"),
        ("web:/srv", "/srv/up"),
        ("web:srv/", "/srv/up"),
        ("web:", "/up"),
        ("web:~", "/up"),
        ("web:~/srv/tilde", "/srv/tilde"),
    ] {
        let ran = host.run(&["put", &from, to]).await;
        assert_eq!((ran.code, ran.stdout()), (Some(0), ""), "{to}: {}", ran.stderr);
        assert_eq!(host.there(path).as_deref(), Some("going up\n"));
    }
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_names_user_port_and_path() {
    let host = Host::serving(Sftp::memory().file("/a b", "spaced\n")).await;
    let url = format!("scp://test@127.0.0.1:{}//a%20b", host.server.port());
    let ran = host.run(&["get", &url, &host.path("copy")]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(host.read("copy"), "spaced\n");
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_path_with_a_colon_needs_a_slash_before_it() {
    let host = Host::serving(Sftp::memory()).await;
    let ran = host.run(&["put", "a:b", "web:/x"]).await;
    snapshot!("transfer_local_colon", host.told(&ran));
    #[cfg(unix)]
    {
        host.write("here/a:b", "colon\n");
        let password = host.path("password");
        let mut command = host.command(&["put", "--password-file", &password, "./a:b", "web:/x"]);
        command.current_dir(host.path("here"));
        let ran = crate::host::finish(command, b"").await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(host.there("/x").as_deref(), Some("colon\n"));
    }
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_fails_is_named_and_the_others_are_done() {
    let host =
        Host::serving(Sftp::memory().file("/one", "1").file("/two", "22").directory_entry("/dir")).await;
    let here = host.path("here");
    let sources =
        ["get", "web:/one", "web:/missing\u{1b}[2J", "web:/dir", "web:/dir/", "web:/one", "web:/two"];
    let ran = host.run(&[&sources[..], &[&here]].concat()).await;
    snapshot!("transfer_some_fail", host.told(&ran));
    assert_eq!((host.read("here/one"), host.read("here/two")), ("1".into(), "22".into()));
    let ran = host.run(&[&["--format", "json"], &sources[..], &[&here]].concat()).await;
    snapshot!("transfer_json", host.told(&ran));
    host.write("here/up", "up");
    let (up, nothing) = (host.path("here/up"), host.path("here/nothing"));
    let ran = host.run(&["put", &nothing, &here, &up, "web:/dir"]).await;
    assert_eq!(ran.code, Some(255));
    assert_eq!(host.there("/dir/up").as_deref(), Some("up"));
    assert!(ran.stderr.contains("1 of 3 files, 2 B in "), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("error: ").count(), 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("here/nothing\""), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_be_a_directory_and_is_none_is_told_before_anything_is_moved() {
    let host = Host::serving(Sftp::memory().file("/one", "1").file("/two", "2")).await;
    let (missing, slash) = (host.path("missing"), host.path("missing/"));
    host.write("here/up", "up");
    let up = host.path("here/up");
    for typed in [
        &["get", "web:/one", &slash][..],
        &["get", "web:/one", "web:/two", &missing],
        &["put", &up, "web:/missing/"],
        &["put", &up, &up, "web:/one"],
    ] {
        let ran = host.run(typed).await;
        assert_eq!(ran.code, Some(255));
        assert!(ran.stderr.contains("there is no such directory\nhint: "), "{}", ran.stderr);
        assert!(!ran.stderr.contains(" in "), "no summary: {}", ran.stderr);
    }
    assert!(!std::path::Path::new(&missing).exists());
    assert_eq!(host.there("/one").as_deref(), Some("1"));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_typed_the_wrong_way_round_is_told_with_the_right_way() {
    let host = Host::serving(Sftp::memory()).await;
    let mut all = String::new();
    for typed in [
        &["get", "x", "y"][..],
        &["get", "web:x", "web:y"],
        &["get", "web:x", "db:y", "."],
        &["put", "x", "y"],
        &["put", "https://web/x", "web:y"],
        &["get", "scp://web/%zz", "."],
    ] {
        let ran = host.run(typed).await;
        all.push_str(&format!("$ {}\n{}", typed.join(" "), host.told(&ran)));
    }
    snapshot!("transfer_usage", all);
    assert_eq!(host.server.record().connections().len(), 0);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_summary_is_for_people_and_quiet_leaves_it_out() {
    let host = Host::serving(Sftp::memory().file("/one", "1").file("/two", "22")).await;
    let here = host.path("here");
    let ran = host.run(&["get", "web:/one", "web:/two", &here]).await;
    snapshot!("transfer_summary", host.told(&ran));
    let ran = host.run(&["-q", "get", "web:/one", &here]).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "", ""));
    let ran = host.run(&["get", "-v", "web:/one", &here]).await;
    assert!(ran.stderr.contains("note: /one to "), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_cannot_compare_is_moved_and_said() {
    let host = Host::serving(Sftp::memory()).await;
    host.write("here/up", "up");
    let put = ["put", "--verify", "--atomic", &host.path("here/up"), "web:/up"];
    let ran = host.run(&put).await;
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr.starts_with("warning: ") && ran.stderr.contains("and not verified: "),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("\n1 file, 2 B in "), "{}", ran.stderr);
    let ran = host.run(&[&["--format", "json"], &put[..]].concat()).await;
    let value: serde_json::Value = serde_json::from_str(ran.stdout()).unwrap();
    let file = &value["files"][0];
    assert_eq!((ran.code, &file["verified"], &file["sha256"]), (Some(0), &false.into(), &().into()));
    assert!(file["not_verified_because"].is_string(), "{file}");
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn both_sides_are_compared_where_the_account_has_a_program_for_it() {
    let host = Host::with(TestServer::builder().shell().sftp(Sftp::directory("/"))).await;
    host.write("up", "up");
    let (up, there) = (host.path("up"), host.path("there"));
    let to = format!("web:{there}");
    let ran = host.run(&["put", "--verify", &up, &to]).await;
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.starts_with("1 file, verified, 2 B in "), "{}", ran.stderr);
    let ran = host.run(&["--format", "json", "get", "--verify", &to, &up]).await;
    let value: serde_json::Value = serde_json::from_str(ran.stdout()).unwrap();
    // Of the two bytes `up`, by sha256sum.
    assert_eq!(
        value["files"][0]["sha256"],
        "75a288c0d6898c5f7b054590845978a82a3ad79fcce3d43ff68a7501e5a91ee9"
    );
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pattern_is_looked_for_on_the_host_and_what_fits_none_is_a_name() {
    let files = Sftp::memory()
        .file("/log/a.gz", "a")
        .file("/log/b.gz", "b")
        .file("/log/c", "c")
        .file("/log/old/d.gz", "d")
        .file("/a[1]", "bracket");
    let host = Host::serving(files).await;
    let here = host.path("here");
    let ran = host.run(&["get", "web:/log/**/*.gz", "web:/a[1]", &here]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let mut names: Vec<_> = std::fs::read_dir(&here)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["a.gz", "a[1]", "b.gz", "d.gz"]);
    let ran = host.run(&["get", "web:/log/*.gz", &host.path("one")]).await;
    assert!(ran.stderr.contains("several files go to a directory"), "{}", ran.stderr);
    let ran = host.run(&["get", "web:/log/*.zip", &here]).await;
    assert!(ran.stderr.contains("\"/log/*.zip\": no such file"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(" in "), "no summary of nothing: {}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pattern_cannot_look_at_is_a_failure_beside_what_it_found() {
    let files = Sftp::memory().file("/log/a.gz", "a").file("/log/old/b.gz", "b");
    let refused = Fault::sftp(SftpRequest::OpenDir, SftpFault::status(3, "Permission denied"));
    // Of each run's listings the second.
    let server = TestServer::builder().sftp(files).fault(refused.clone().nth(2)).fault(refused.nth(4));
    let host = Host::with(server).await;
    let one = host.path("one");
    let ran = host.run(&["get", "web:/log/**/*.gz", &one]).await;
    assert_eq!(ran.code, Some(255), "{}", ran.stderr);
    assert!(ran.stderr.contains("\"/log/old\": permission denied"), "{}", ran.stderr);
    assert_eq!(host.read("one"), "a");
    let ran = host.run(&["ls-remote", "web:/log/**/*.gz"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), "/log/a.gz\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\"/log/old\": permission denied"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_gone_on_from_where_it_is_proved_and_thrown_away_where_it_is_not() {
    let host = Host::with(TestServer::builder().shell().sftp(Sftp::directory("/"))).await;
    let whole: String = (0..60_000).map(|line| format!("{line}\n")).collect();
    host.write("whole", &whole);
    let (from, copy) = (format!("web:{}", host.path("whole")), host.path("copy"));
    host.write("copy", &whole[..100_000]);
    let ran = host.run(&["--format", "json", "get", "--resume", &from, &copy]).await;
    let value: serde_json::Value = serde_json::from_str(ran.stdout()).unwrap();
    let file = &value["files"][0];
    assert_eq!((&file["resumed_from"], &file["resumed_by"]), (&100_000.into(), &"sha256".into()), "{file}");
    assert_eq!(file["bytes"], whole.len() - 100_000);
    assert_eq!(host.read("copy"), whole);
    host.write("copy", &"x".repeat(100_000));
    let ran = host.run(&["get", "--resume", &from, &copy]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains(": 97.7 KiB were there and not used: "), "{}", ran.stderr);
    assert_eq!(host.read("copy"), whole);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_kept() {
    let host = Host::serving(Sftp::memory().file("/one", vec![1; 600_000])).await;
    let ran =
        host.run(&["--format", "json", "get", "--limit", "1000K", "web:/one", &host.path("here")]).await;
    let value: serde_json::Value = serde_json::from_str(ran.stdout()).unwrap();
    // A request may be let through before its turn, and no more than one at a time.
    assert!(value["duration_ms"].as_f64().unwrap() > 200.0, "{value}");
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn permissions_and_times_are_kept_or_given() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::time::{Duration, UNIX_EPOCH};

    use rustle_testserver::SftpEntry;

    let then = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let host =
        Host::serving(Sftp::memory().entry("/run", SftpEntry::file("#!").mode(0o750).modified(then))).await;
    let copy = host.path("here/copy");
    let about = || {
        let metadata = std::fs::metadata(&copy).unwrap();
        (metadata.permissions().mode() & 0o777, metadata.mtime())
    };
    let ran = host.run(&["get", "--preserve", "web:/run", &copy]).await;
    assert_eq!((ran.code, about()), (Some(0), (0o750, 1_000_000_000)), "{}", ran.stderr);
    let ran = host.run(&["get", "--preserve", "--mode", "600", "web:/run", &copy]).await;
    assert_eq!((ran.code, about()), (Some(0), (0o600, 1_000_000_000)), "{}", ran.stderr);
    let ran = host.run(&["get", "--mode", "640", "web:/run", &copy]).await;
    assert_eq!((ran.code, about().0), (Some(0), 0o640), "{}", ran.stderr);
    assert!(about().1 > 1_000_000_000);
    let ran = host.run(&["get", "--mode", "u=rw", "web:/run", &copy]).await;
    assert!(ran.stderr.contains("not an octal number from 0 to 777"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_no_text_comes_as_it_is_and_is_base64_in_json() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let host = Host::serving(Sftp::memory().file(b"/caf\xe9", "latin")).await;
    let (password, here) = (host.path("password"), host.path("here"));
    let mut command = host.command(&["--format", "json", "get", "--password-file", &password]);
    command.arg(OsStr::from_bytes(b"web:/caf\xe9")).arg(&here);
    let ran = crate::host::finish(command, b"").await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let value: serde_json::Value = serde_json::from_str(ran.stdout()).unwrap();
    assert_eq!(value["files"][0]["source_base64"], "L2NhZuk=");
    let copy = std::path::Path::new(&here).join(OsStr::from_bytes(b"caf\xe9"));
    assert_eq!(std::fs::read(copy).unwrap(), b"latin");
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_sftp_is_told() {
    let refuse = Fault::refuse_request(RequestKind::Subsystem);
    let host = Host::with(TestServer::builder().builtins().fault(refuse)).await;
    let ran = host.run(&["get", "web:/x", &host.path("x")]).await;
    snapshot!("transfer_no_sftp", host.told(&ran));
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_fails_every_file_that_is_left_by_name() {
    let files = Sftp::memory().file("/one", "1").file("/two", vec![7; 400_000]).file("/three", "3");
    let lost = Fault::sftp(SftpRequest::Open, SftpFault::close_channel()).nth(2);
    let host = Host::with(TestServer::builder().sftp(files).fault(lost)).await;
    std::fs::create_dir(host.path("here")).unwrap();
    let here = host.path("here");
    let ran = host.run(&["get", "--atomic", "web:/one", "web:/two", "web:/three", &here]).await;
    assert_eq!(ran.code, Some(255));
    assert!(ran.stderr.contains("/two") && ran.stderr.contains("/three"), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 of 3 files, 1 B in "), "{}", ran.stderr);
    let names: Vec<_> = std::fs::read_dir(&here).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["one"]);
    host.server.stop().await.unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_was_named_as_the_destination_is_followed_whatever_named_the_source() {
    let files = Sftp::memory().file("/srv/app-1.tar", "new");
    let host = Host::with(TestServer::builder().builtins().sftp(files)).await;
    for options in [&[][..], &["--atomic"]] {
        host.write("app", "old");
        let latest = host.path("latest");
        let _ = std::fs::remove_file(&latest);
        std::os::unix::fs::symlink("app", &latest).unwrap();
        let ran = host.run(&[&["get"][..], options, &["web:/srv/app-*.tar", &latest]].concat()).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(std::fs::read_link(&latest).unwrap(), std::path::Path::new("app"));
        assert_eq!(std::fs::read_to_string(host.path("app")).unwrap(), "new");
    }
    host.server.stop().await.unwrap();
}

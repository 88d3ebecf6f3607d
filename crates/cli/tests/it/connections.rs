//! A long file over more than one connection.

use rustle_testserver::{Cut, Fault, Network, Sftp, TestServer};

use crate::host::Host;

/// A host with a file that is worth another connection, over a link that carries it in about two seconds.
async fn serving(fault: Option<Fault>) -> Host {
    let files = Sftp::memory().file("/long", vec![7; LENGTH]).file("/short", "short");
    let builder = TestServer::builder().sftp(files).network(Network::new().rate(32_000_000));
    Host::with(fault.into_iter().fold(builder, |builder, fault| builder.fault(fault))).await
}

const LENGTH: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn as_many_connections_are_made_as_were_asked_for_and_none_for_a_short_file() {
    let host = serving(None).await;
    let to = host.path("copy");
    let mut made = 0;
    for (connections, path, more) in [("1", "web:/long", 1), ("3", "web:/short", 1), ("2", "web:/long", 2)] {
        let ran = host.run(&["get", "--connections", connections, path, &to]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        made += more;
        assert_eq!(host.server.record().connections_accepted(), made, "{connections} for {path}");
    }
    assert!(std::fs::read(to).unwrap() == vec![7; LENGTH]);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_done_without_and_named_when_asked() {
    let host = serving(Some(Fault::cut_after(0, Cut::Rst).on_connection(2))).await;
    host.write("from", &"seven!!\n".repeat(LENGTH / 8));
    let ran = host.run(&["put", "-v", "--connections", "2", &host.path("from"), "web:/copy"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("a transfer goes on with the connections that it has"), "{}", ran.stderr);
    assert!(host.server.sftp_content("/copy").unwrap().len() == LENGTH);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_over_another_connection_too_once_it_is_long_enough() {
    let files = Sftp::memory().file("/few/short", "short");
    let files =
        (0..9).fold(files, |files, number| files.file(format!("/many/{number}"), vec![number; LENGTH / 8]));
    let host = Host::with(TestServer::builder().sftp(files).network(Network::new().rate(32_000_000))).await;
    for (path, made) in [("web:/few", 1), ("web:/many", 3)] {
        let ran = host.run(&["get", "-r", "--connections", "2", path, &host.path("copy")]).await;
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(host.server.record().connections_accepted(), made, "{path}");
    }
    for number in 0..9 {
        assert!(
            std::fs::read(host.path(&format!("copy/many/{number}"))).unwrap() == vec![number; LENGTH / 8]
        );
    }
    host.server.stop().await.unwrap();
}

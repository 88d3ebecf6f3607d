//! OpenSSH's other tools: `ssh-keyscan`, `scp -O` and connections shared by `ssh -S`.

use std::collections::BTreeSet;
use std::fs;

use rustle_tests::Bulk;
use rustle_testserver::{HostKeyKind, TestServer, User};
use tokio::process::Command;

use crate::bulk::{BULK, assert_whole, file};
use crate::frame::{LIMIT, LONG_LIMIT, clients, finish};
use crate::openssh::{self, Home};

#[test]
fn ssh_keyscan_reads_every_host_key() {
    clients(LIMIT, async |_| {
        let kinds = [HostKeyKind::Ed25519, HostKeyKind::EcdsaP256, HostKeyKind::Rsa];
        let server = kinds.into_iter().fold(TestServer::builder(), |builder, kind| builder.host_key(kind));
        let server = server.start().await.unwrap();
        let mut keyscan = Command::new("ssh-keyscan");
        keyscan.args(["-p", &server.port().to_string(), "-t", "ed25519,ecdsa,rsa", "127.0.0.1"]);
        keyscan.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
        let scanned = openssh::succeed(&mut keyscan).await;
        // The comment of a key, which the server's own lines have, is not on the wire.
        let fields = |line: &str| line.split(' ').take(3).map(str::to_owned).collect::<Vec<_>>();
        let found: BTreeSet<_> = scanned.lines().filter(|line| !line.starts_with('#')).map(fields).collect();
        let known: BTreeSet<_> = server.known_hosts_line().lines().map(fields).collect();
        assert_eq!(found, known);
        assert_eq!(found.len(), kinds.len());
        finish(server).await;
    });
}

/// By the old protocol: a real `scp` runs on the server's side.
#[test]
fn scp_copies_by_its_old_protocol() {
    clients(LONG_LIMIT, async |_| {
        let home = Home::new();
        let server = TestServer::builder().user(User::new("alice").none()).shell().start().await.unwrap();
        let scp = |arguments: &[&str]| {
            let mut scp = home.command("scp", &server, &["-O", "-q"]);
            scp.args(arguments);
            scp
        };
        let near = |name: &str| home.path(name).display().to_string();

        let bulk = file(&BULK);
        openssh::succeed(&mut scp(&[&bulk.display().to_string(), "alice@127.0.0.1:bulk"])).await;
        assert_whole(&server.directory().join("bulk"), &BULK);
        openssh::succeed(&mut scp(&["alice@127.0.0.1:bulk", &near("back")])).await;
        assert_whole(&home.path("back"), &BULK);

        fs::create_dir_all(home.path("tree/sub")).unwrap();
        home.folder().write("tree/empty", "");
        home.folder().write("tree/sub/na\u{ef}ve file", "text");
        openssh::succeed(&mut scp(&["-r", "-p", &near("tree"), "alice@127.0.0.1:there"])).await;
        openssh::succeed(&mut scp(&["-r", "-p", "alice@127.0.0.1:there", &near("again")])).await;
        assert_eq!(fs::read(home.path("again/sub/na\u{ef}ve file")).unwrap(), b"text");
        assert_eq!(fs::read(home.path("again/empty")).unwrap(), b"");
        let modified = |name: &str| fs::metadata(home.path(name)).unwrap().modified().unwrap();
        let seconds = |name: &str| modified(name).duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(seconds("again/empty"), seconds("tree/empty"));

        let output = openssh::run(&mut scp(&["alice@127.0.0.1:no-such-file", &near("nothing")])).await;
        assert_eq!(output.status.code(), Some(1), "{}", openssh::said(&output));
        assert!(openssh::said(&output).contains("No such file or directory"), "{}", openssh::said(&output));
        finish(server).await;
    });
}

#[test]
fn ssh_shares_one_connection() {
    clients(LIMIT, async |_| {
        let home = Home::new();
        let server = TestServer::builder()
            .user(User::new("alice").none())
            .shell()
            .sftp_temp_dir()
            .start()
            .await
            .unwrap();
        let socket = format!("-S{}", home.path("master").display());
        let control = |order: &str| {
            let mut ssh = home.command("ssh", &server, &[&socket, "-O", order]);
            ssh.arg("alice@127.0.0.1");
            ssh
        };
        let mut master = home.command("ssh", &server, &[&socket, "-M", "-N"]);
        let mut master = openssh::spawn(master.arg("alice@127.0.0.1"));
        server.wait_until(|record| record.connections_open() == 1, LIMIT).await.unwrap();
        while !home.path("master").exists() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(openssh::run(&mut control("check")).await.status.success());

        let run = async |word: &str| {
            let mut ssh = home.command("ssh", &server, &[&socket, "-T"]);
            openssh::succeed(ssh.arg("alice@127.0.0.1").arg(format!("echo {word}; cat"))).await
        };
        let (one, two, three) = tokio::join!(run("one"), run("two"), run("three"));
        assert_eq!([one, two, three], ["one\n", "two\n", "three\n"]);
        let bulk = Bulk::MIB_10;
        let batch = home.folder().write("batch", format!("put {} shared\n", file(&bulk).display()));
        let master_path = home.path("master");
        let mut sftp = home.command("sftp", &server, &[openssh::option("ControlPath", &master_path)]);
        openssh::succeed(sftp.arg("-b").arg(batch).arg("alice@127.0.0.1")).await;
        assert_whole(&server.directory().join("shared"), &bulk);

        assert_eq!(server.record().connections_accepted(), 1, "{}", server.record());
        assert!(openssh::run(&mut control("exit")).await.status.success());
        master.wait().await.unwrap();
        finish(server).await;
    });
}

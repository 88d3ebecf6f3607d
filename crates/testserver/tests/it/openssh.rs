//! OpenSSH's own clients, where they are installed; a test that cannot run says so.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::{Duration, SystemTime},
};

use rustle_testserver::{Algorithms, HostCertificate, HostKeyKind, Method, RawPeer, TestServer, User};
use tempfile::TempDir;
use tokio::process::Command;

use crate::client::LIMIT;

/// A directory with a key and a known_hosts for a server.
pub(crate) struct Home {
    directory: TempDir,
}

/// Says so if it is not.
#[expect(clippy::print_stdout, reason = "what was skipped, and why, is for the person who runs the tests")]
pub(crate) fn installed(program: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).exists()));
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

impl Home {
    pub(crate) async fn new() -> Self {
        let home = Self { directory: tempfile::tempdir().unwrap() };
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(home.path("key"))
            .status()
            .await
            .unwrap();
        assert!(made.success());
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn user(&self) -> User {
        User::new("bob").public_key(std::fs::read_to_string(self.path("key.pub")).unwrap())
    }

    pub(crate) fn trust(&self, server: &TestServer) {
        std::fs::write(self.path("known_hosts"), server.known_hosts_line()).unwrap();
    }

    /// Arguments that keep the user's own configuration out.
    pub(crate) fn options(&self, port: u16) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        vec![
            "-F/dev/null".into(),
            format!("-oPort={port}"),
            format!("-i{}", path("key")),
            "-oIdentitiesOnly=yes".into(),
            "-oBatchMode=yes".into(),
            "-oStrictHostKeyChecking=yes".into(),
            format!("-oUserKnownHostsFile={}", path("known_hosts")),
            "-oGlobalKnownHostsFile=/dev/null".into(),
        ]
    }

    pub(crate) async fn run(
        &self,
        program: &str,
        port: u16,
        args: &[&str],
        stdin: impl Into<Stdio>,
    ) -> Output {
        let run = Command::new(program)
            .args(self.options(port))
            .args(args)
            .stdin(stdin)
            .kill_on_drop(true)
            .output();
        tokio::time::timeout(LIMIT, run).await.expect("the client hangs").unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn file(path: &Path, data: &[u8]) -> std::fs::File {
    std::fs::write(path, data).unwrap();
    std::fs::File::open(path).unwrap()
}

#[tokio::test]
async fn ssh_logs_in_by_key_and_runs_a_command_with_input() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let server = TestServer::builder().user(home.user()).shell().start().await.unwrap();
    home.trust(&server);
    let input = file(&home.path("input"), b"three little words");
    let output =
        home.run("ssh", server.port(), &["bob@127.0.0.1", "wc -w; echo err >&2; exit 42"], input).await;
    assert_eq!((text(&output.stdout).trim(), text(&output.stderr).as_str()), ("3", "err\n"));
    assert_eq!(output.status.code(), Some(42));
    server.assert_logged_in("bob", Method::PublicKey);
    server.wait_until_idle(LIMIT).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn ssh_agrees_on_each_host_key_and_restriction() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let cases = [
        (HostKeyKind::EcdsaP256, Algorithms::new()),
        (HostKeyKind::Rsa, Algorithms::new()),
        (
            HostKeyKind::Ed25519,
            Algorithms::new()
                .key_exchange(["diffie-hellman-group14-sha256"])
                .ciphers(["aes128-ctr"])
                .macs(["hmac-sha2-256"])
                .without_strict_kex(),
        ),
        (HostKeyKind::Ed25519, Algorithms::new().ciphers(["chacha20-poly1305@openssh.com"])),
        (HostKeyKind::Ed25519, Algorithms::old_ctr_hmac()),
        (HostKeyKind::EcdsaP384, Algorithms::group14_only()),
        (HostKeyKind::Rsa, Algorithms::rsa_sha2_only()),
    ];
    for (kind, algorithms) in cases {
        let server = TestServer::builder()
            .user(home.user())
            .builtins()
            .host_key(kind)
            .algorithms(algorithms)
            .start()
            .await
            .unwrap();
        home.trust(&server);
        let output = home.run("ssh", server.port(), &["bob@127.0.0.1", "echo hello"], Stdio::null()).await;
        assert_eq!(text(&output.stdout), "hello\n", "{kind}: {}", text(&output.stderr));
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn ssh_moves_megabytes_both_ways_through_the_raw_peer() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let data: Vec<u8> = (0..500_000_u32).flat_map(u32::to_le_bytes).collect();
    for (cipher, mac) in [
        ("aes256-gcm@openssh.com", "hmac-sha2-256"),
        ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
        ("aes256-ctr", "hmac-sha2-256"),
    ] {
        let server = TestServer::builder()
            .user(home.user())
            .builtins()
            .algorithms(Algorithms::new().ciphers([cipher]).macs([mac]))
            .rekey_after(1_000_000)
            .raw_peer(RawPeer::new())
            .start()
            .await
            .unwrap();
        home.trust(&server);
        let input = file(&home.path("input"), &data);
        // The client rekeys as well, by its own count.
        let args = ["-oRekeyLimit=700K", "bob@127.0.0.1", "cat"];
        let output = home.run("ssh", server.port(), &args, input).await;
        assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(0)), "{cipher}");
        assert!(output.stdout == data, "{cipher}: {} bytes", output.stdout.len());
        server.assert_logged_in("bob", Method::PublicKey);
        server.wait_until_idle(LIMIT).await.unwrap();
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn ssh_refuses_the_key_of_a_host_installed_anew() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let server = TestServer::builder().user(home.user()).builtins().start().await.unwrap();
    home.trust(&server);
    server.restart_with(HostKeyKind::Ed25519).unwrap();
    let output = home.run("ssh", server.port(), &["bob@127.0.0.1", "true"], Stdio::null()).await;
    assert_eq!(output.status.code(), Some(255));
    assert!(
        text(&output.stderr).contains("REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "{}",
        text(&output.stderr)
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn process_and_its_children_die_with_the_client() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let server = TestServer::builder().user(home.user()).shell().start().await.unwrap();
    home.trust(&server);
    let mut client = Command::new("ssh")
        .args(home.options(server.port()))
        .args(["bob@127.0.0.1", "sleep 1000 & echo $!; sleep 1000"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = tokio::io::BufReader::new(client.stdout.take().unwrap());
    tokio::io::AsyncBufReadExt::read_line(&mut stdout, &mut line).await.unwrap();
    let child: i32 = line.trim().parse().unwrap();
    let shell = server.record().commands()[0].pid().unwrap();

    client.kill().await.unwrap();
    server.wait_until(|record| record.processes_running() == 0, LIMIT).await.unwrap();
    assert!(!alive(i32::try_from(shell).unwrap()), "the shell lives");
    // The background child belongs to init now, which reaps it when it gets to it.
    let reaped = async {
        while alive(child) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, reaped).await.expect("the background child lives");
    server.stop().await.unwrap();
}

/// Whether a process runs; one that is dead and not yet reaped does not.
fn alive(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => false,
    }
}

#[tokio::test]
async fn sftp_puts_and_gets_a_file_whole() {
    if !installed("sftp") {
        return;
    }
    let home = Home::new().await;
    let server = TestServer::builder().user(home.user()).sftp_temp_dir().start().await.unwrap();
    home.trust(&server);
    let data: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(home.path("up"), &data).unwrap();
    let batch = format!(
        "mkdir d\nput {up} d/file\nchmod 600 d/file\nln -s d/file link\nget link {down}\nrename d/file d/other\nls -l d\n",
        up = home.path("up").display(),
        down = home.path("down").display()
    );
    std::fs::write(home.path("batch"), batch).unwrap();
    let script = format!("-b{}", home.path("batch").display());
    let output = home.run("sftp", server.port(), &[&script, "bob@127.0.0.1"], Stdio::null()).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(std::fs::read(home.path("down")).unwrap() == data);
    assert!(std::fs::read(server.directory().join("d/other")).unwrap() == data);
    assert!(text(&output.stdout).contains("-rw-------"), "{}", text(&output.stdout));
    server.wait_until_idle(LIMIT).await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn ssh_trusts_a_host_by_its_certificate() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
    let cases = [
        (HostCertificate::signed(["127.0.0.1"]), None),
        (HostCertificate::signed(["web-1"]), Some("name is not a listed principal")),
        (HostCertificate::signed(["127.0.0.1"]).valid(SystemTime::UNIX_EPOCH, past), Some("expired")),
    ];
    for (certificate, complaint) in cases {
        let server = TestServer::builder()
            .user(home.user())
            .builtins()
            .host_certificate(certificate)
            .start()
            .await
            .unwrap();
        std::fs::write(home.path("known_hosts"), server.host_ca_known_hosts_line().unwrap()).unwrap();
        let output = home.run("ssh", server.port(), &["bob@127.0.0.1", "echo hello"], Stdio::null()).await;
        let said = text(&output.stderr);
        match complaint {
            None => assert_eq!(text(&output.stdout), "hello\n", "{said}"),
            Some(complaint) => assert!(!output.status.success() && said.contains(complaint), "{said}"),
        }
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn ssh_uses_no_rsa_key_where_no_extensions_are_told() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let rsa = home.path("rsa");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f"])
        .arg(&rsa)
        .status()
        .await
        .unwrap();
    assert!(made.success());
    let eve = User::new("eve").public_key(std::fs::read_to_string(home.path("rsa.pub")).unwrap());
    for (algorithms, rsa_is_used) in
        [(Algorithms::new(), true), (Algorithms::new().without_ext_info(), false)]
    {
        let server = TestServer::builder()
            .user(home.user())
            .user(eve.clone())
            .builtins()
            .raw_peer(RawPeer::new())
            .algorithms(algorithms)
            .start()
            .await
            .unwrap();
        home.trust(&server);
        let log_in = async |who: &str| {
            let args =
                [&format!("-i{}", rsa.display()), "-oPubkeyAcceptedAlgorithms=+ssh-rsa", who, "echo in"];
            let output = home.run("ssh", server.port(), &args, Stdio::null()).await;
            (text(&output.stdout) == "in\n", text(&output.stderr))
        };
        let (is_in, complaint) = log_in("eve@127.0.0.1").await;
        assert_eq!(is_in, rsa_is_used, "{complaint}");
        // Not told of anything newer it could sign by SHA-1 alone, as it was allowed to: that is taken nowhere any more.
        assert_eq!(complaint.contains("Permission denied"), !rsa_is_used, "{complaint}");
        let (is_in, complaint) = log_in("bob@127.0.0.1").await;
        assert!(is_in, "{complaint}");
        server.stop().await.unwrap();
    }
}

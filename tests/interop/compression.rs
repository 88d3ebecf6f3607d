//! `zlib@openssh.com` against OpenSSH's: text and noise in turn, both ways on eight channels, while keys change.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustle_session::{Algorithms, Compression, Session};
use rustle_tests::{Scratch, Server, interop, interop_within, text_of};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Four flows down and four up.
const FLOWS: usize = 4;
/// Rounds of each flow: about 8 MiB of text, then 8 MiB of noise.
const SHORT: usize = 2;
/// With `RUSTLE_SOAK=1`: 2 GiB in all.
const WHOLE: usize = 16;
const PART: usize = 8 << 20;

fn compressed() -> Algorithms {
    Algorithms::default().with_compression(Compression::On)
}

#[test]
fn text_and_noise_arrive_whole_both_ways_while_keys_change() {
    let rounds = if std::env::var_os("RUSTLE_SOAK").is_some_and(|soak| soak == "1") { WHOLE } else { SHORT };
    interop_within(Duration::from_secs(900), |interop| async move {
        let (server, folder) =
            (Server::configured(&interop, "Compression yes\nMaxSessions 20"), Scratch::new());
        let line = mixed(&folder, rounds);
        let wanted = text_of(Command::new("sh").args(["-c", &format!("{{ {line}; }} | sha256sum")]));
        let session = server.session_with(compressed()).await;
        assert_eq!(session.negotiated().unwrap().compression(), "zlib@openssh.com");

        let started = Instant::now();
        let (session, line, wanted) = (&session, &line, &wanted);
        let flows = (0..2 * FLOWS).map(|number| async move {
            let hash = if number % 2 == 0 { down(session, line).await } else { up(session, line).await };
            assert_eq!(hash.split_whitespace().next(), wanted.split_whitespace().next(), "flow {number}");
        });
        let total = (2 * FLOWS * rounds * 2 * PART) as u64;
        let keys = async {
            loop {
                session.rekey().await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::select! {
            _ = futures_util::future::join_all(flows) => {}
            () = keys => {}
        }
        let rekeys = session.stats().rekeys;
        println!("{total} bytes as {} in {:?}, {rekeys} key exchanges", moved(session), started.elapsed());
        assert!(rekeys >= if rounds == WHOLE { 3 } else { 1 }, "{rekeys} key exchanges");
        // Half of it is text of digits, which shrinks to less than half.
        assert!(moved(session) < total / 10 * 8, "{} of {total}", moved(session));
        assert!(session.output("true").await.unwrap().status.success());
    });
}

#[test]
fn keys_that_the_server_changes_often_lose_nothing() {
    interop_within(Duration::from_secs(300), |interop| async move {
        let (server, folder) =
            (Server::configured(&interop, "Compression yes\nRekeyLimit 2M"), Scratch::new());
        let line = mixed(&folder, 1);
        let wanted = text_of(Command::new("sh").args(["-c", &format!("{{ {line}; }} | sha256sum")]));
        let session = server.session_with(compressed()).await;
        let (there, back) = tokio::join!(up(&session, &line), down(&session, &line));
        assert_eq!(there.split_whitespace().next(), wanted.split_whitespace().next());
        assert_eq!(back.split_whitespace().next(), wanted.split_whitespace().next());
        let rekeys = session.stats().rekeys;
        assert!(rekeys >= 5, "{rekeys} key exchanges");
    });
}

#[test]
fn a_server_without_compression_is_spoken_to_without() {
    interop(|interop| async move {
        let server = Server::configured(&interop, "Compression no");
        let session = server.session_with(compressed()).await;
        assert_eq!(session.negotiated().unwrap().compression(), "none");
        assert_eq!(session.output("echo hello").await.unwrap().stdout_text(), "hello\n");
    });
}

/// The shell's line that writes text and noise in turn.
fn mixed(folder: &Scratch, rounds: usize) -> String {
    let mut noise = Vec::with_capacity(PART);
    let mut block = Sha256::digest(b"noise");
    while noise.len() < PART {
        noise.extend_from_slice(&block);
        block = Sha256::digest(block);
    }
    let noise = folder.write("noise", noise);
    for (path, mode) in [(folder.path(), 0o755), (noise.as_path(), 0o644)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let noise = noise.display();
    format!(
        "i=0; while [ $i -lt {rounds} ]; do seq 1 9999999 | head -c {PART}; cat {noise}; i=$((i+1)); done"
    )
}

fn moved(session: &Session) -> u64 {
    let stats = session.stats();
    stats.bytes_received + stats.bytes_sent
}

/// What the server writes, hashed here.
async fn down(session: &Session, line: &str) -> String {
    let mut child = session.line(line).spawn().await.unwrap();
    let mut output = child.take_stdout().unwrap();
    let mut hash = Sha256::new();
    while let Some(bytes) = output.chunk().await.unwrap() {
        hash.update(&bytes);
    }
    assert!(child.wait().await.unwrap().success());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a process here writes, hashed by the server.
async fn up(session: &Session, line: &str) -> String {
    let mut child = session.command("sha256sum").spawn().await.unwrap();
    let mut input = child.take_stdin().unwrap();
    let mut local = tokio::process::Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut source = local.stdout.take().unwrap();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match source.read(&mut piece).await.unwrap() {
            0 => break,
            read => input.write_bytes(Bytes::copy_from_slice(&piece[..read])).await.unwrap(),
        }
    }
    input.shutdown().await.unwrap();
    assert!(local.wait().await.unwrap().success());
    let mut answer = String::new();
    child.take_stdout().unwrap().read_to_string(&mut answer).await.unwrap();
    assert!(child.wait().await.unwrap().success());
    answer
}

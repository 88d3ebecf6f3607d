//! asyncssh's server, which shares no code with OpenSSH: the post-quantum exchange, and a login that asks nothing.

use std::process::Stdio;
use std::time::Duration;

use rustle_session::{Connector, PinnedHostKey, Session};
use rustle_tests::{Interop, KeyFile, KeyKind, Scratch, interop, no_credentials, target};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Serves echoes of what is asked for, to anybody, on a free port that it prints. The end of its standard input is
/// its end too.
const SERVER: &str = r#"
import asyncio, sys
import asyncssh

class Open(asyncssh.SSHServer):
    def begin_auth(self, username):
        return False

async def serve(process):
    process.stdout.write('asked for: ' + process.command)
    process.exit(7)

async def main():
    server = await asyncssh.listen(
        '127.0.0.1', 0, server_factory=Open, server_host_keys=[sys.argv[1]], process_factory=serve)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"#;

#[test]
fn the_post_quantum_exchange_is_agreed_on_and_carries_a_command() {
    interop(|interop| async move {
        let Some((_server, session)) = connected(&interop).await else { return };
        assert_eq!(session.negotiated().unwrap().kex(), "mlkem768x25519-sha256");
        let output = session.raw("anything").output().await.unwrap();
        assert_eq!(output.stdout_text(), "asked for: anything");
        assert_eq!(output.status.code(), Some(7));
    });
}

#[test]
fn an_account_that_needs_no_authentication_is_let_in_by_none() {
    interop(|interop| async move {
        let Some((_server, session)) = connected(&interop).await else { return };
        assert_eq!(session.method(), "none");
    });
}

#[test]
fn keys_are_exchanged_anew_by_the_post_quantum_exchange() {
    interop(|interop| async move {
        let Some((_server, session)) = connected(&interop).await else { return };
        for round in 1..=3 {
            session.rekey().await.unwrap();
            assert!(session.raw(format!("round {round}")).output().await.unwrap().status.code() == Some(7));
        }
        assert!(session.stats().rekeys >= 3, "{:?}", session.stats());
    });
}

/// The server's process and its key; it ends with its standard input, and is killed when dropped.
struct Server {
    _process: Child,
    _folder: Scratch,
}

async fn connected(interop: &Interop) -> Option<(Server, Session)> {
    let python = interop.python()?;
    let folder = Scratch::new();
    let host_key = KeyFile::generate(&folder, "host_key", KeyKind::Ed25519);
    let program = folder.write("server.py", SERVER);
    let mut process = Command::new(python)
        .arg(program)
        .arg(host_key.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap();
    let port = line.expect("the server prints its port").parse().unwrap();
    let trust = PinnedHostKey::new(&host_key.fingerprint()).unwrap();
    let connector = Connector::new(target("anybody", port)).host_trust(trust);
    let session = connector.connect().await.unwrap().authenticate(&no_credentials()).await.unwrap();
    Some((Server { _process: process, _folder: folder }, session))
}

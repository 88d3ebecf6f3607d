//! Faults of a script: each kind by its name, seen at a client.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use rustle_session::{ErrorKind, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::served::{LIMIT, Served, output};

/// Where nothing is to come, nothing comes for so long.
const SILENCE: Duration = Duration::from_millis(300);

const ALICE: &str = "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n";

async fn served(fault: &str) -> Served {
    Served::script(&format!("{ALICE}[[faults]]\n{fault}\n")).await
}

async fn alice(server: &Served) -> Session {
    server.session("alice", "wonderland").await
}

/// Every fault has happened, and the server says so.
async fn struck(server: Served) {
    let faults = server.get("/faults").await.json;
    let fired = faults["faults"].as_array().unwrap().iter().all(|fault| fault["fired"].as_u64().unwrap() > 0);
    assert!(fired, "{faults}");
    server.stop().await;
}

/// Returns when every fault has happened.
async fn strikes(server: &Served) {
    let all = async {
        loop {
            let faults = server.get("/faults").await.json;
            if faults["faults"].as_array().unwrap().iter().all(|fault| fault["fired"].as_u64().unwrap() > 0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, all).await.expect("it never happens");
}

/// Drops this when the faults have happened and it was seen to wait on.
async fn waits_once_struck<F: Future<Output: Debug>>(server: &Served, waiting: F) {
    let struck = async {
        strikes(server).await;
        tokio::time::sleep(SILENCE).await;
    };
    tokio::select! {
        ended = waiting => panic!("it did not wait: {ended:?}"),
        () = struck => {}
    }
}

/// How many bytes a new connection gets before it ends or falls silent; and which of the two. Silence counts once the
/// faults have happened and so many bytes have come; where none is given, the end has to come.
async fn greeting(server: &Served, silent_after: Option<usize>) -> (usize, &'static str) {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    // The server's next message answers this; it may be cut before it gets it.
    drop(stream.write_all(b"SSH-2.0-Test\r\n").await);
    let mut buffer = [0; 1024];
    let mut total = 0;
    let mut patience = LIMIT;
    loop {
        if patience == LIMIT && silent_after.is_some_and(|bytes| total >= bytes) {
            strikes(server).await;
            patience = SILENCE;
        }
        match tokio::time::timeout(patience, stream.read(&mut buffer)).await {
            Err(_) => return (total, "silence"),
            Ok(Ok(0)) => return (total, "fin"),
            Ok(Err(_)) => return (total, "rst"),
            Ok(Ok(count)) => total += count,
        }
    }
}

#[tokio::test]
async fn a_connection_is_cut_in_each_phase_by_its_name() {
    for (phase, how) in [("accept", "fin"), ("banner", "fin"), ("key_exchange", "silence")] {
        let server = served(&format!("kind = \"cut\"\nphase = \"{phase}\"\nhow = \"{how}\"")).await;
        let (bytes, end) = greeting(&server, (how == "silence").then_some(1)).await;
        assert_eq!((bytes == 0, end), (phase == "accept", how), "{phase}");
        struck(server).await;
    }
    let server = served("kind = \"cut\"\nphase = \"authentication\"\nhow = \"rst\"").await;
    let setup = server.setup("alice").password("wonderland".into()).resolve().unwrap();
    assert!(setup.connect().await.is_err());
    struck(server).await;
    for phase in ["channel_open", "request", "data", "close"] {
        let server = served(&format!("kind = \"cut\"\nphase = \"{phase}\"\nhow = \"rst\"")).await;
        let session = alice(&server).await;
        // A connection that is cut when its channel closes may have brought the command's end before.
        let ran = session.raw("echo a").output().await;
        assert!(ran.is_err() || phase == "close", "{phase}: {ran:?}");
        tokio::time::timeout(LIMIT, session.closed()).await.expect(phase);
        struck(server).await;
    }
}

#[tokio::test]
async fn a_connection_is_cut_or_stalls_after_so_many_bytes() {
    let server = served("kind = \"cut_after\"\nbytes = 10\nhow = \"fin\"").await;
    assert_eq!(greeting(&server, None).await, (10, "fin"));
    struck(server).await;
    let server = served("kind = \"stall_after\"\nbytes = \"10B\"").await;
    assert_eq!(greeting(&server, Some(10)).await, (10, "silence"));
    struck(server).await;
    let server = served("kind = \"stall\"\nphase = \"banner\"").await;
    assert_eq!(greeting(&server, Some(0)).await.1, "silence");
    struck(server).await;
    let server = served("kind = \"cut\"\nsent = 11\nhow = \"fin\"\ntimes = 2").await;
    assert_eq!(greeting(&server, None).await, (11, "fin"));
    assert_eq!(greeting(&server, None).await, (11, "fin"));
    alice(&server).await;
    struck(server).await;
    let server = served("kind = \"cut\"\nreceived = 4\nhow = \"fin\"").await;
    assert!(server.setup("alice").password("wonderland".into()).resolve().unwrap().connect().await.is_err());
    struck(server).await;
    let server = served("kind = \"cut_after_received\"\nbytes = \"64KiB\"\nhow = \"rst\"").await;
    let session = alice(&server).await;
    let cut = session.raw("wc -c").stdin(vec![0; 1 << 20]).output().await.unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Disconnected, "{cut}");
    struck(server).await;
    let server = served("kind = \"stall_after_received\"\nbytes = \"64KiB\"").await;
    let session = alice(&server).await;
    let counting = Box::pin(session.raw("wc -c").stdin(vec![0; 1 << 20]).output());
    waits_once_struck(&server, counting).await;
    struck(server).await;
}

#[tokio::test]
async fn answers_are_withheld_or_refusals() {
    for kind in ["withhold_channel_open", "withhold_request"] {
        let server = served(&format!("kind = \"{kind}\"\nonce = true")).await;
        let session = alice(&server).await;
        waits_once_struck(&server, Box::pin(session.raw("true").output())).await;
        // Once, so that the next is answered on the same connection.
        assert_eq!(output(&session, "echo next").await, "next\n", "{kind}");
        struck(server).await;
    }
    let server = served("kind = \"refuse_channel\"\nnth = 2").await;
    let session = alice(&server).await;
    assert_eq!(output(&session, "echo 1").await, "1\n");
    let refused = session.raw("true").output().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ChannelLimit, "{refused}");
    assert_eq!(output(&session, "echo 3").await, "3\n");
    struck(server).await;
    let server =
        served("kind = \"refuse_channel_with\"\ncode = 1\ntext = \"by policy\"\non_connection = 2").await;
    assert_eq!(output(&alice(&server).await, "echo first").await, "first\n");
    let refused = alice(&server).await.raw("true").output().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ChannelProhibited, "{refused}");
    struck(server).await;
}

#[tokio::test]
async fn time_brings_faults_and_ends_them() {
    for fault in [
        "kind = \"cut_at\"\ntime = \"100ms\"\nhow = \"fin\"",
        "kind = \"cut\"\nelapsed = \"100ms\"\nhow = \"fin\"",
    ] {
        let server = served(fault).await;
        assert_eq!(greeting(&server, None).await.1, "fin", "{fault}");
        struck(server).await;
    }
    let server = served("kind = \"stall_at\"\ntime = \"0s\"").await;
    let setup = server.setup("alice").password("wonderland".into()).resolve().unwrap();
    waits_once_struck(&server, Box::pin(setup.connect())).await;
    struck(server).await;
    for fault in [
        "kind = \"delay\"\nphase = \"request\"\ntime = \"250ms\"",
        "kind = \"stall\"\nphase = \"request\"\nfor_time = \"250ms\"",
        "kind = \"drip\"\nphase = \"request\"\ndirection = \"sent\"\nbytes = \"2kB\"\nevery = \"50ms\"",
    ] {
        let server = served(fault).await;
        let session = alice(&server).await;
        let start = Instant::now();
        assert_eq!(session.raw("bytes 20000").output().await.unwrap().stdout.len(), 20_000, "{fault}");
        assert!(start.elapsed() >= Duration::from_millis(250), "{fault}: {:?}", start.elapsed());
        struck(server).await;
    }
}

#[tokio::test]
async fn bytes_are_changed_and_goodbyes_said() {
    for kind in ["corrupt_sent", "corrupt_received"] {
        let server = served(&format!("kind = \"{kind}\"\noffset = 20000\nmask = 1")).await;
        let session = alice(&server).await;
        let echoed = session.raw("cat").stdin(vec![7; 100_000]).output().await;
        assert!(echoed.is_err(), "{kind}");
        struck(server).await;
    }
    let fault =
        "kind = \"disconnect\"\nphase = \"request\"\nreason = \"by_application\"\ntext = \"going down\"";
    let server = served(fault).await;
    let gone = alice(&server).await.raw("true").output().await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Disconnected);
    assert!(format!("{gone} {gone:?}").contains("going down"), "{gone:?}");
    struck(server).await;
}

#[tokio::test]
async fn logins_and_requests_are_refused_and_endings_left_out() {
    for fault in ["kind = \"refuse_login\"", "kind = \"refuse_login_with\"\nmethods = [\"publickey\"]"] {
        let server = served(&format!("{fault}\nonce = true")).await;
        let setup = server.setup("alice").password("wonderland".into()).resolve().unwrap();
        let refused = setup.connect().await.unwrap_err();
        let named = format!("{refused} {refused:?}").contains("publickey");
        assert_eq!(named, fault.contains("methods"), "{refused:?}");
        alice(&server).await;
        struck(server).await;
    }
    let server = served("kind = \"refuse_request\"\nrequest = \"exec\"\nonce = true").await;
    let session = alice(&server).await;
    assert!(session.raw("true").output().await.is_err());
    assert_eq!(output(&session, "echo next").await, "next\n");
    struck(server).await;
    let server = served("kind = \"omit_exit_status\"").await;
    let ended = alice(&server).await.raw("exit 3").output().await.unwrap();
    assert_eq!((ended.status.code(), ended.status.signal()), (None, None));
    struck(server).await;
    for kind in ["omit_eof", "omit_close"] {
        let server = served(&format!("kind = \"{kind}\"\nonce = true")).await;
        let session = alice(&server).await;
        // Whether the client minds is its own affair; the fault is the server's.
        tokio::select! {
            _ = session.raw("echo a").output() => {}
            () = async { strikes(&server).await; tokio::time::sleep(SILENCE).await } => {}
        }
        strikes(&server).await;
        assert_eq!(output(&session, "echo b").await, "b\n", "{kind}");
        struck(server).await;
    }
}

//! Ports and sockets here that lead to where the server can reach.

mod dynamic;
mod ends;
mod limits;
mod remote;
#[cfg(unix)]
mod shortage;
mod trouble;

use std::time::Duration;

#[cfg(unix)]
use rustle_pool::ForwardTarget;
use rustle_pool::{ErrorKind, Forward, ForwardBind, ForwardHandle, ForwardStats, Pool};
use rustle_testserver::{Builder, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::support::{pool, server, server_shows, shut_down_and_check};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

/// A server with scripted targets.
fn targets() -> Builder {
    server()
        .forward_target("*", None, Target::refuse(1, "not from here"))
        .forward_target("echo", None, Target::echo())
        .forward_target("motd", None, Target::reply("hello\n"))
        .forward_target("down", None, Target::refuse(2, "Connection refused"))
}

fn anywhere() -> ForwardBind {
    ForwardBind::loopback(0)
}

fn to(target: &str) -> Forward {
    Forward::local(anywhere(), (target, 80))
}

async fn connect(forward: &ForwardHandle) -> TcpStream {
    TcpStream::connect(forward.addresses()[0]).await.unwrap()
}

/// Waits until the numbers of a forward are such.
async fn until(forward: &ForwardHandle, what: &str, shown: impl Fn(&ForwardStats) -> bool) -> ForwardStats {
    let begun = std::time::Instant::now();
    loop {
        let stats = forward.stats();
        if shown(&stats) {
            return stats;
        }
        assert!(begun.elapsed() < LIMIT, "it never came to this: {what}\n{stats:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Somebody echoes, and the stream stays open.
async fn echoes(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut back = vec![0; text.len()];
    let read = tokio::time::timeout(LIMIT, stream.read_exact(&mut back)).await.expect("an echo comes");
    read.unwrap();
    assert_eq!(back, text.as_bytes());
}

/// All that comes until the end.
async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(LIMIT, stream.read_to_end(&mut all)).await.expect("an end comes");
    read.map(|_| all)
}

/// What came may not look like all that there was: the client sees a reset, and no end.
async fn is_reset(client: &mut TcpStream) {
    let read = rest(client).await;
    if std::env::var_os("RUSTLE_WINE").is_some() {
        println!("skipped: how a reset reads (wine shows it as the end of the stream)");
        return;
    }
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

fn is_balanced(stats: &ForwardStats) -> bool {
    stats.accepted == stats.parked as u64 + stats.open as u64 + stats.ended + stats.failed
}

#[tokio::test]
async fn a_port_leads_to_a_target_and_nothing_is_connected_before_somebody_comes() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo")).await.unwrap();
    assert_eq!(server.record().connections_accepted(), 0);
    let port = forward.port().unwrap();
    assert!(port != 0 && forward.path().is_none());
    for address in forward.addresses() {
        assert!(address.ip().is_loopback() && address.port() == port, "{address}");
        let mut client = TcpStream::connect(address).await.unwrap();
        echoes(&mut client, "over there").await;
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await.unwrap(), b"");
    }
    let count = forward.addresses().len() as u64;
    let stats = until(&forward, "all have ended", |stats| stats.ended == count).await;
    assert_eq!((stats.accepted, stats.open, stats.parked, stats.failed), (count, 0, 0, 0));
    assert_eq!((stats.bytes_to_server, stats.bytes_from_server), (10 * count, 10 * count));
    assert!(stats.last_error.is_none() && stats.accept_errors == 0);
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    forward.close().await;
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    shut_down_and_check(pool, server).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_leads_to_one_of_the_server() {
    let server = server().direct_streamlocal().start().await.unwrap();
    let there = server.directory().join("there.sock");
    let listener = tokio::net::UnixListener::bind(&there).unwrap();
    let pool = pool(&server);
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here.sock");
    let target = ForwardTarget::socket(there.to_str().unwrap());
    let forward = pool.forward("web", Forward::local(ForwardBind::unix(&here), target)).await.unwrap();
    assert_eq!((forward.path(), forward.port()), (Some(here.as_path()), None));
    let mut client = tokio::net::UnixStream::connect(&here).await.unwrap();
    let (mut accepted, _) = listener.accept().await.unwrap();
    let echo = async {
        let said = rest(&mut accepted).await.unwrap();
        accepted.write_all(&said).await.unwrap();
        drop(accepted);
    };
    let ask = async {
        client.write_all(b"by path").await.unwrap();
        client.shutdown().await.unwrap();
        rest(&mut client).await.unwrap()
    };
    assert_eq!(tokio::join!(ask, echo).0, b"by path");
    forward.close().await;
    assert!(!here.exists());
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn either_side_may_end_what_it_says_and_go_on_listening() {
    let (told, mut totals) = mpsc::unbounded_channel();
    let counts = Target::closure(async |mut stream| {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        stream.write_all(format!("{} bytes", said.len()).as_bytes()).await.unwrap();
    });
    let greets = Target::closure(move |mut stream| {
        let told = told.clone();
        async move {
            stream.write_all(b"hello").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).await.unwrap();
            told.send(said.len()).unwrap();
        }
    });
    let server = server().forward_target("counts", None, counts).forward_target("greets", None, greets);
    let server = server.start().await.unwrap();
    let pool = pool(&server);
    let said = vec![7; 300_000];

    let forward = pool.forward("web", to("counts")).await.unwrap();
    let mut client = connect(&forward).await;
    client.write_all(&said).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await.unwrap(), b"300000 bytes");
    forward.close().await;

    let forward = pool.forward("web", to("greets")).await.unwrap();
    let mut client = connect(&forward).await;
    assert_eq!(rest(&mut client).await.unwrap(), b"hello");
    assert_eq!(forward.stats().open, 1);
    client.write_all(&said).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(tokio::time::timeout(LIMIT, totals.recv()).await.unwrap(), Some(said.len()));
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn megabytes_come_back_as_they_went() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo")).await.unwrap();
    let said: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let (mut read, mut write) = connect(&forward).await.into_split();
    let says = async {
        write.write_all(&said).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let (heard, ()) = tokio::join!(rest(&mut read), says);
    assert!(heard.unwrap() == said);
    let stats = until(&forward, "it has ended", |stats| stats.ended == 1).await;
    assert_eq!((stats.bytes_to_server, stats.bytes_from_server), (4_000_000, 4_000_000));
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_target_that_hangs_up_ends_a_client_that_says_nothing() {
    let rude = Target::closure(async |mut stream| {
        let _ = stream.read_u8().await;
    });
    let server = server().forward_target("rude", None, rude).start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("rude")).await.unwrap();
    let mut client = connect(&forward).await;
    client.write_all(b"?").await.unwrap();
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    // The client holds its side open.
    until(&forward, "nobody is open", |stats| stats.ended == 1).await;
    drop(client);
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_client_that_breaks_off_closes_its_channel() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo")).await.unwrap();
    let mut client = connect(&forward).await;
    echoes(&mut client, "and then").await;
    client.set_zero_linger().unwrap();
    drop(client);
    server_shows(&server, "no channel left", |record| record.channels_open() == 0).await;
    until(&forward, "it has ended", |stats| stats.ended == 1).await;
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn who_cannot_listen_is_told_so() {
    let server = targets().start().await.unwrap();
    let pool = pool(&server);
    let forward = pool.forward("web", to("echo")).await.unwrap();
    let taken = ForwardBind::from(forward.addresses()[0]);
    let error = pool.forward("web", Forward::dynamic(taken.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Listen, "FORWARD_LISTEN_FAILED"), "{error}");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
    let error = pool.forward("wev", to("echo")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownHost);
    let error = pool.forward("web", to("echo").max_parked(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.to_string(), "a forward would have no clients that wait at all");
    forward.close().await;
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn a_forward_keeps_its_pool() {
    let server = targets().start().await.unwrap();
    let pool: Pool = pool(&server);
    let forward = pool.forward("web", to("echo")).await.unwrap();
    drop(pool);
    echoes(&mut connect(&forward).await, "still there").await;
    drop(forward);
    server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
    server.stop().await.unwrap();
}

//! A reader that stalls, with others beside it and apart from it.

use std::collections::BTreeSet;
use std::time::Duration;

use rustle_pool::{Pool, PoolBuilder, Stalls, Status};
use rustle_session::{BufferLimits, Child, ErrorKind, Lane, SecretString, Session};
use rustle_sftp::Sftp;
use rustle_testserver::{Cut, Exit, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{changes_until, in_fast_motion, pool_with, server, shut_down_and_check, way};

const MEMORY: u32 = 256 * 1024;
const DISK: u64 = 1 << 20;
/// More than is kept in memory, and less than with the disk.
const SPILLED: usize = 700_000;

/// A server whose `flood` sends so much as fits on the disk, says so, and sends without end once it is told to.
async fn flooding_server() -> TestServer {
    let server = server().command_fn("flood", |mut call| async move {
        let (stdin, stdout, stderr, _signals) = call.streams();
        if stdout.send(vec![b'x'; SPILLED]).await.is_ok() && stderr.send("sent").await.is_ok() {
            let mut told = [0];
            let _ = stdin.read_exact(&mut told).await;
            while stdout.send(vec![b'x'; 32 * 1024]).await.is_ok() {}
        }
        Exit::Code(0)
    });
    server.start().await.unwrap()
}

fn pool(server: &TestServer, builder: PoolBuilder, pause: Duration) -> Pool {
    let pool = builder.only_registered().build().unwrap();
    let buffers = BufferLimits::default().memory(MEMORY).disk(DISK).pause(pause);
    let way = way(server).password(SecretString::from("wonderland")).buffers(buffers);
    pool.register("web", way.resolve().unwrap());
    pool
}

/// One that nobody reads, with all on its way here that it has sent.
async fn stalled(web: &Session) -> Child {
    let mut flood = web.line("flood").spawn().await.unwrap();
    let mut said = [0; 4];
    flood.take_stderr().unwrap().read_exact(&mut said).await.unwrap();
    flood
}

/// Sends blocks and reads them back until it is told to end, three at least; how many, and the longest that one took.
async fn busy(
    web: Session,
    number: u8,
    begun: mpsc::Sender<()>,
    mut ends: watch::Receiver<bool>,
) -> (u64, Duration) {
    let mut cat = web.line("cat").spawn().await.unwrap();
    let (mut stdin, mut stdout) = (cat.take_stdin().unwrap(), cat.take_stdout().unwrap());
    let (mut rounds, mut slowest) = (0, Duration::ZERO);
    while rounds < 3 || !*ends.borrow_and_update() {
        let block: Vec<u8> =
            (0..32_768_u64).map(|at| ((at * 31 + rounds * 7) % 251) as u8 ^ number).collect();
        let sent = Instant::now();
        let mut back = vec![0; block.len()];
        let (written, read) = tokio::join!(stdin.write_all(&block), stdout.read_exact(&mut back));
        written.unwrap();
        read.unwrap();
        assert!(back == block, "flow {number}, block {rounds}");
        slowest = slowest.max(sent.elapsed());
        rounds += 1;
        if rounds == 1 {
            begun.send(()).await.unwrap();
        }
    }
    stdin.shutdown().await.unwrap();
    let mut rest = Vec::new();
    assert_eq!(stdout.read_to_end(&mut rest).await.unwrap(), 0);
    assert!(cat.wait().await.unwrap().success());
    (rounds, slowest)
}

/// Seven of them, all at work.
async fn seven_busy(web: &Session, ends: &watch::Receiver<bool>) -> JoinSet<(u64, Duration)> {
    let (begun, mut all_begun) = mpsc::channel(7);
    let mut flows = JoinSet::new();
    for number in 0..7 {
        flows.spawn(busy(web.clone(), number, begun.clone(), ends.clone()));
    }
    for _ in 0..7 {
        all_begun.recv().await.unwrap();
    }
    flows
}

/// The numbers of the connections that this command runs on.
fn connections_of(server: &TestServer, text: &str) -> BTreeSet<usize> {
    let record = server.record();
    let commands = record.commands().iter().filter(|command| command.text() == text);
    commands.map(|command| command.connection()).collect()
}

/// The one is let go, used up, and ended; with how the others fared meanwhile.
async fn overrun(mut flood: Child, web: &Session) -> Vec<(u64, Duration)> {
    let (end, ends) = watch::channel(false);
    let mut flows = seven_busy(web, &ends).await;
    let mut stdin = flood.take_stdin().unwrap();
    let unread = flood.take_stdout().unwrap();
    stdin.write_all(b"!").await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(60), flood.wait()).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overrun, "{error}");
    let (text, hint) = (error.to_string(), error.hint().unwrap_or_default().to_owned());
    assert!(text.contains("alice@127.0.0.1") && text.contains("channel "), "{text}");
    assert!(hint.contains("BufferLimits"), "{hint}");
    end.send_replace(true);
    let mut fared = Vec::new();
    while let Some(flow) = flows.join_next().await {
        fared.push(flow.unwrap());
    }
    drop((stdin, unread, flood));
    fared
}

/// What the one has cost.
async fn stalls(pool: &Pool, pause: Duration) -> Stalls {
    let stalls = pool.stats().await.hosts[0].stalls;
    assert_eq!((stalls.spills, stalls.pauses, stalls.overruns), (1, 1, 1), "{stalls:?}");
    assert!((pause / 2..pause * 5).contains(&stalls.paused), "{stalls:?}");
    stalls
}

#[tokio::test]
async fn in_one_login_a_stalled_reader_costs_the_others_one_pause_and_is_ended() {
    let pause = Duration::from_millis(600);
    let server = flooding_server().await;
    let pool = pool(&server, Pool::builder().one_login(), pause);
    let web = pool.get("web").await.unwrap();
    let flood = stalled(&web).await;
    // As long as there is room on the disk, they go on.
    let (_, ends) = watch::channel(true);
    let fared = seven_busy(&web, &ends).await.join_all().await;
    assert!(fared.iter().all(|(_, slowest)| *slowest < pause * 5), "{fared:?}");
    let fared = overrun(flood, &web).await;
    let slowest = fared.iter().map(|(_, slowest)| *slowest).max().unwrap();
    assert!(slowest >= pause / 2, "there was no pause: {fared:?}");
    assert!(slowest < pause * 5, "{fared:?}");
    // A person who would be asked for another login is not.
    assert_eq!(server.record().connections_accepted(), 1);
    let places = pool.stats().await.hosts[0].places;
    assert_eq!((places.connected, places.folded), (1, 14), "{places:?}");
    assert!(web.output("true").await.unwrap().status.success());
    // It is counted where it was, and remembered when that is gone.
    let told = stalls(&pool, pause).await;
    let of_session = web.stats().stalls;
    assert_eq!(
        (told.spills, told.pauses, told.overruns),
        (of_session.spills, of_session.pauses, of_session.overruns)
    );
    pool.disconnect(pool.list().await[0].id, Duration::from_secs(5)).await.unwrap();
    assert_eq!(pool.stats().await.connections, 0);
    assert_eq!(stalls(&pool, pause).await, told);
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn with_lanes_a_stalled_reader_costs_the_others_nothing() {
    let pause = Duration::from_secs(6);
    let server = flooding_server().await;
    let pool = pool(&server, Pool::builder(), pause);
    let web = pool.get("web").await.unwrap();
    let flood = stalled(&web).await;
    let fared = overrun(flood, &web).await;
    assert!(fared.iter().all(|(_, slowest)| *slowest < pause), "{fared:?}");
    let (stalled, busy) = (connections_of(&server, "flood"), connections_of(&server, "cat"));
    assert_eq!((stalled.len(), busy.len()), (1, 7));
    assert!(stalled.is_disjoint(&busy));
    assert!(web.output("true").await.unwrap().status.success());
    assert_eq!(pool.stats().await.hosts[0].places.folded, 0);
    stalls(&pool, pause).await;
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn whoever_knows_the_reader_chooses_the_lane() {
    let files = rustle_testserver::Sftp::memory().file("/there", b"small".to_vec());
    let server = server().sftp(files).start().await.unwrap();
    let pool = pool_with(&server, Pool::builder());
    let web = pool.get("web").await.unwrap();
    let shared = [
        web.line("sleep 1000").lane(Lane::Shared).spawn().await.unwrap(),
        web.line("sleep 1000").lane(Lane::Shared).spawn().await.unwrap(),
    ];
    let sftp = Sftp::builder().lane(Lane::Shared).open(&web).await.unwrap();
    assert_eq!(sftp.read("/there").await.unwrap(), b"small"[..]);
    assert_eq!(server.record().connections_accepted(), 1, "they need no connection of their own");
    let apart = web.line("sleep 1000").spawn().await.unwrap();
    assert_eq!(server.record().connections_accepted(), 2, "nobody knows its reader");
    assert!(web.line("true").lane(Lane::Isolated).output().await.unwrap().status.success());
    assert_eq!(server.record().connections_accepted(), 3, "it is kept from both");
    sftp.close().await;
    let transfer = Sftp::open(&web).await.unwrap();
    assert_eq!(transfer.read("/there").await.unwrap(), b"small"[..]);
    transfer.close().await;
    assert_eq!(server.record().connections_accepted(), 3, "the third was empty");
    let channels = server.record().channels().iter().map(|channel| channel.connection()).collect::<Vec<_>>();
    assert_eq!(channels, [1, 1, 1, 2, 3, 3]);
    drop((shared, apart, web));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn in_one_login_a_lost_connection_is_made_again_when_somebody_asks_for_it() {
    let server = server().start().await.unwrap();
    let pool = pool_with(&server, Pool::builder().one_login());
    let mut events = pool.events();
    let web = pool.get("web").await.unwrap();
    changes_until(&mut events, |status| *status == Status::Connected).await;
    in_fast_motion(async {
        // Old enough to be replaced, were it not for that.
        tokio::time::sleep(Duration::from_secs(11)).await;
        server.cut_all(Cut::Fin);
        let [Status::Failed { code, .. }] = &changes_until(&mut events, |_| true).await[..] else {
            panic!("it is made again");
        };
        assert_eq!(code, "SSH_DISCONNECTED");
    })
    .await;
    assert!(web.output("true").await.unwrap().status.success());
    assert_eq!(server.record().connections_accepted(), 2);
    drop(web);
    shut_down_and_check(pool, server).await;
}

//! Many servers and many connections in one process: all work, and nothing is left of them.
//!
//! A tenth of it by default; all with `RUSTLE_SOAK=1`. Each test runs in a process of its own, so that what it counts
//! is its own too.
#![expect(clippy::print_stderr, reason = "figures that gate nothing are for who reads the log")]

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use russh::ChannelMsg;
use rustle_testserver::{Cut, Record, Reply, TestServer};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Semaphore, task::JoinSet};

use crate::client::{Client, alice};

/// Nothing here takes a tenth of this on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many connections are there at once.
const AT_ONCE: usize = 32;

fn scaled(whole: usize) -> usize {
    if std::env::var_os("RUSTLE_SOAK").is_some_and(|soak| soak == "1") { whole } else { whole / 10 }
}

/// Runs the test of this name again, in a process where there is no other, and says whether this is that process.
fn is_alone(test: &str) -> bool {
    const MARK: &str = "RUSTLE_TEST_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let name = format!("scale::{test}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(MARK, "1")
        .output()
        .unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    eprintln!("{said}{complained}");
    // Of a name that no test has, none would run, and that well.
    let ran = said.contains("test result: ok. 1 passed");
    assert!(output.status.success() && ran, "{name}: {}", output.status);
    false
}

/// What a process holds that could leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    tasks: usize,
    /// Where the system tells.
    descriptors: Option<usize>,
}

impl Held {
    fn now() -> Self {
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let descriptors = own("fd").and_then(|fd| std::fs::read_dir(fd).ok()).map(Iterator::count);
        Self { tasks, descriptors }
    }

    /// Returns when the process holds no more than this again.
    async fn come_back(self) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while Self::now() != self {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{:?} is held, and {self:?} was before",
                Self::now()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// What Linux tells of this process. A program for Windows that wine runs there finds the same names, and behind them what
/// the process of wine holds that serves them all.
fn own(name: &str) -> Option<PathBuf> {
    cfg!(target_os = "linux").then(|| Path::new("/proc/self").join(name))
}

/// The memory that the process holds, in bytes, where the system tells.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string(own("status")?).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Lets the process have so many descriptors, or as many as the system gives it.
#[cfg(unix)]
fn descriptors(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    let soft = limit.current.unwrap_or(u64::MAX);
    if soft < wanted {
        let raised = Rlimit { current: Some(wanted.min(most)), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            return wanted.min(most);
        }
    }
    soft
}

/// Windows has no such limit.
#[cfg(not(unix))]
fn descriptors(_wanted: u64) -> u64 {
    u64::MAX
}

async fn start() -> TestServer {
    TestServer::builder().user(alice()).command("uname", Reply::stdout("Test\n")).start().await.unwrap()
}

async fn login(server: &TestServer, way: Way) -> Client {
    let mut client = match way {
        Way::Memory => Client::over(server.duplex()).await.unwrap(),
        Way::Socket => Client::connect(server).await.unwrap(),
    };
    assert!(client.password("alice", "wonderland").await.success());
    client
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Memory,
    Socket,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_servers_in_one_process() {
    if !is_alone("thousand_servers_in_one_process") {
        return;
    }
    // A listener each; and of each, one connection at a time, with a descriptor at both ends.
    let spare = 100 + 2 * AT_ONCE as u64;
    let wanted = scaled(1000);
    let granted =
        usize::try_from(descriptors(wanted as u64 + spare).saturating_sub(spare)).unwrap_or(usize::MAX);
    let count = wanted.min(granted);
    if count < wanted {
        eprintln!("only {count} of {wanted} servers: the system gives no more descriptors");
    }
    let before = Held::now();
    // The first of everything is made once: keys, tables, the allocator's arenas.
    let first = start().await;
    drop(login(&first, Way::Socket).await);
    first.stop().await.unwrap();
    before.come_back().await;

    let memory = resident();
    let mut servers = Vec::new();
    for _ in 0..count {
        servers.push(Arc::new(start().await));
    }
    if let (Some(before), Some(now)) = (memory, resident()) {
        let each = now.saturating_sub(before) / count as u64;
        eprintln!("{count} servers: {each} bytes of memory each");
        assert!(each < 100_000, "an idle server holds {each} bytes");
    }
    let ports: std::collections::HashSet<_> = servers.iter().map(|server| server.port()).collect();
    assert_eq!(ports.len(), count);

    // Each has a connection through memory that stays, and serves another by its socket.
    let mut staying = Vec::new();
    for servers in servers.chunks(AT_ONCE) {
        let mut tasks = JoinSet::new();
        for server in servers {
            let server = Arc::clone(server);
            tasks.spawn(async move {
                let staying = login(&server, Way::Memory).await;
                let passing = login(&server, Way::Socket).await;
                assert_eq!(passing.output("uname").await.text(), "Test\n");
                staying
            });
        }
        staying.extend(tasks.join_all().await);
    }
    if let (Some(before), Some(now)) = (memory, resident()) {
        let each = now.saturating_sub(before) / count as u64;
        eprintln!("{count} servers with a connection each, client and server: {each} bytes of memory");
    }
    for client in &staying {
        assert_eq!(client.output("uname").await.text(), "Test\n");
    }
    let directories: Vec<_> = servers.iter().map(|server| server.directory().to_owned()).collect();
    drop(staying);
    for server in servers {
        let record = server.record();
        assert_eq!((record.connections_accepted(), record.commands().len()), (2, 2));
        Arc::into_inner(server).unwrap().stop().await.unwrap();
    }
    before.come_back().await;
    assert!(directories.iter().all(|directory| !directory.exists()), "a temporary directory is left");
}

/// The ways in which a client comes and goes.
async fn visit(server: &TestServer, way: Way, number: usize) {
    match number % 5 {
        // As it should be.
        0 => {
            let client = login(server, way).await;
            assert_eq!(client.output("uname").await.text(), "Test\n");
            let goodbye = client.handle.disconnect(russh::Disconnect::ByApplication, "", "en").await;
            goodbye.unwrap();
        }
        // Without a goodbye, a channel open and a command under way.
        1 => {
            let client = login(server, way).await;
            let mut running = client.exec("stall").await;
            while !matches!(running.wait().await.unwrap(), ChannelMsg::Success) {}
            drop((running, client.open().await));
        }
        // With a password that is none.
        2 => {
            let mut client = match way {
                Way::Memory => Client::over(server.duplex()).await.unwrap(),
                Way::Socket => Client::connect(server).await.unwrap(),
            };
            assert!(!client.password("alice", "mirror").await.success());
        }
        // Gone in the middle of the handshake, or before it.
        3 => match way {
            Way::Memory => server.duplex().write_all(b"SSH-2.0-Visitor\r\n").await.unwrap(),
            Way::Socket => {
                let mut stream = TcpStream::connect(server.addr()).await.unwrap();
                stream.write_all(b"SSH-2.0-Visitor\r\n").await.unwrap();
            }
        },
        _ => match way {
            Way::Memory => drop(server.duplex()),
            Way::Socket => drop(TcpStream::connect(server.addr()).await.unwrap()),
        },
    }
}

async fn visits(server: &Arc<TestServer>, way: Way, count: usize, at_once: usize) {
    let room = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let permit = Arc::clone(&room).acquire_owned().await.unwrap();
        let server = Arc::clone(server);
        tasks.spawn(async move {
            visit(&server, way, number).await;
            drop(permit);
        });
        while let Some(visit) = tasks.try_join_next() {
            visit.unwrap();
        }
    }
    tasks.join_all().await;
}

/// So many connections leave the process as they found it, but for their record.
async fn nothing_is_left(way: Way, count: usize) {
    let server = TestServer::builder().user(alice()).builtins().command("uname", Reply::stdout("Test\n"));
    let server = Arc::new(server.start().await.unwrap());
    let before = Held::now();
    // The allocator keeps what a first wave takes.
    let warm = count / 5;
    visits(&server, way, warm, AT_ONCE).await;
    before.come_back().await;
    let memory = resident();
    let alone = count / 5;
    visits(&server, way, alone, 1).await;
    visits(&server, way, count - warm - alone, AT_ONCE).await;
    before.come_back().await;
    if let (Some(before), Some(now)) = (memory, resident()) {
        let (grown, visitors) = (now.saturating_sub(before), (count - warm) as u64);
        eprintln!(
            "{count} connections by {way:?}: the process has grown by {grown} bytes, their record included"
        );
        // What an allocator keeps to itself, and twice what the record of one takes, events and all. A connection that
        // stayed would be 150 000 bytes.
        assert!(grown < 8 * 1024 * 1024 + 4096 * visitors, "{visitors} connections leave {grown} bytes");
    }
    let over = |record: &Record| record.connections_accepted() == count && record.connections_open() == 0;
    server.wait_until(over, PATIENCE).await.unwrap();
    let record = server.record();
    server.assert_no_channels_open();
    server.assert_no_processes_running();
    // One that stalls may be gone with its client before it began.
    let whole = record.commands().iter().filter(|command| command.text() == "uname").count();
    assert_eq!(whole, count / 5);
    server.cut_all(Cut::Rst);
    Arc::into_inner(server).unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_connections_through_memory_leave_nothing() {
    if is_alone("ten_thousand_connections_through_memory_leave_nothing") {
        nothing_is_left(Way::Memory, scaled(10_000)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousand_connections_by_socket_leave_nothing() {
    if is_alone("thousand_connections_by_socket_leave_nothing") {
        nothing_is_left(Way::Socket, scaled(1000)).await;
    }
}

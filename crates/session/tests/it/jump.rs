//! Through one host to another: how far it leads, what fails on the way and where, and what is left at the end.

use std::net::Ipv4Addr;
use std::time::Duration;

use rustle_session::{
    BufferLimits, CloseReason, Connector, ErrorKind, JumpHost, PinnedHostKey, SecretString, Session,
    TransportOptions,
};
use rustle_testserver::{Call, Cut, Exit, HostKeyKind, Network, Reply, Target, TestServer};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket};

use crate::support::{connector, credentials, server, server_shows};

/// More than all windows and buffers on the way hold.
const BULK: usize = 48 << 20;

/// Three servers that let connections through, and one behind them.
struct Way {
    hops: Vec<TestServer>,
    web: TestServer,
}

impl Way {
    async fn new() -> Self {
        let mut hops = Vec::new();
        for name in ["a", "b", "c"] {
            hops.push(server().direct_tcpip().banner(format!("this is {name}\n")).start().await.unwrap());
        }
        // A key of its own, so that no other server passes for it.
        let web = server().fresh_host_key(HostKeyKind::Ed25519);
        let web = web.command("bulk", Reply::stdout(b"0123456\n".repeat(BULK / 8)));
        Self { hops, web: web.start().await.unwrap() }
    }

    /// The way through all of them, each changed by `with`.
    fn connector(&self, with: impl Fn(&str, Connector) -> Connector) -> Connector {
        let mut way: Option<Connector> = None;
        for (name, hop) in ["a", "b", "c"].into_iter().zip(&self.hops) {
            let connector = with(name, self.after(way.take(), connector(hop)));
            way = Some(connector);
        }
        self.after(way, with("web", connector(&self.web)))
    }

    fn after(&self, way: Option<Connector>, connector: Connector) -> Connector {
        match way {
            None => connector,
            Some(hop) => {
                let index = self.hops.iter().position(|server| hop.target().port() == Some(server.port()));
                let name = ["a", "b", "c"][index.unwrap()];
                connector.jump(JumpHost::new(hop, credentials()).name(name))
            }
        }
    }

    async fn session(&self) -> Session {
        log_in(&self.connector(|_, connector| connector)).await
    }

    fn all(&self) -> impl Iterator<Item = &TestServer> {
        self.hops.iter().chain([&self.web])
    }

    async fn nothing_is_left(self) {
        for server in self.all() {
            server_shows(server, "no connection left", |record| {
                record.connections_open() == 0 && record.channels_open() == 0
            })
            .await;
        }
        for server in self.hops.into_iter().chain([self.web]) {
            server.stop().await.unwrap();
        }
    }
}

async fn log_in(connector: &Connector) -> Session {
    connector.connect().await.unwrap().authenticate(&credentials()).await.unwrap()
}

#[tokio::test]
async fn three_hosts_lead_to_a_fourth_and_end_with_it() {
    let way = Way::new().await;
    let session = way.session().await;
    assert_eq!(session.output("echo through three").await.unwrap().stdout, "through three\n");
    assert_eq!(session.peer(), None, "nobody dialled it");
    let mut hop = &session;
    for name in ["c", "b", "a"] {
        hop = hop.jump_host().unwrap();
        assert_eq!(hop.banner(), format!("this is {name}\n"));
        assert_eq!(hop.stats().channels_open, 1);
    }
    assert!(hop.jump_host().is_none() && hop.peer().is_some());
    // The ports were reached from where they were meant to be.
    for (hop, next) in way.hops.iter().zip(way.all().skip(1)) {
        let opened = format!("{:?}", hop.record().channels());
        assert!(opened.contains(&format!("DirectTcpip(\"127.0.0.1\", {})", next.port())), "{opened}");
    }
    let hop = session.jump_host().unwrap().clone();
    assert_eq!(session.close(Duration::from_secs(20)).await, CloseReason::Local);
    // Whoever held it, it went with the session above.
    assert_eq!(hop.closed().await, CloseReason::Local);
    way.nothing_is_left().await;
}

#[tokio::test]
async fn a_dropped_session_and_an_aborted_one_leave_no_jump_host_behind() {
    let way = Way::new().await;
    let session = way.session().await;
    let hop = session.jump_host().unwrap().clone();
    drop(session);
    hop.closed().await;
    drop(hop);
    let session = way.session().await;
    session.abort();
    assert_eq!(session.closed().await, CloseReason::Aborted);
    assert!(session.jump_host().unwrap().closed().await == CloseReason::Aborted);
    drop(session);
    // Between keys and login.
    let unauthenticated = way.connector(|_, connector| connector).connect().await.unwrap();
    assert!(unauthenticated.jump_host().is_some());
    drop(unauthenticated);
    way.nothing_is_left().await;
}

#[tokio::test]
async fn the_host_that_fails_is_named_whatever_it_fails_at() {
    let way = Way::new().await;
    let web = format!("127.0.0.1:{}", way.web.port());
    let other = PinnedHostKey::new(&way.web.host_key_fingerprint()).unwrap();

    let wrong_key = way.connector(|name, connector| match name {
        "b" => connector.host_trust(other.clone()),
        _ => connector,
    });
    let error = wrong_key.connect().await.unwrap_err();
    assert_eq!(error.jump_host(), Some("b"));
    assert!(error.code() == "SSH_HOST_KEY_CHANGED" && !error.is_retryable(), "{error:?}");
    assert!(error.to_string().starts_with(&format!("{web}: through jump host b: ")), "{error}");

    let stranger = credentials().password(SecretString::from("looking glass"));
    let first = JumpHost::new(connector(&way.hops[0]), stranger).name("a");
    let wrong_password = connector(&way.hops[1]).jump(first);
    let above = connector(&way.web).jump(JumpHost::new(wrong_password, credentials()).name("b"));
    let error = above.connect().await.unwrap_err();
    assert_eq!((error.kind(), error.jump_host()), (ErrorKind::AuthenticationFailed, Some("a")));
    assert!(error.to_string().starts_with(&format!("{web}: through jump host a: ")), "{error}");

    // At the host itself no other is to blame.
    let wrong_key = way.connector(|name, connector| match name {
        "web" => connector.host_trust(PinnedHostKey::new(&way.hops[0].host_key_fingerprint()).unwrap()),
        _ => connector,
    });
    let error = wrong_key.connect().await.unwrap_err();
    assert_eq!((error.code(), error.jump_host()), ("SSH_HOST_KEY_CHANGED", None));
    way.nothing_is_left().await;
}

#[tokio::test]
async fn a_host_that_cannot_be_dialled_and_one_that_lets_nobody_through_are_told_apart() {
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let port = closed.local_addr().unwrap().port();
    let strict = server()
        .forward_target("*", None, Target::refuse(1, "not through here\u{1b}[2J"))
        .start()
        .await
        .unwrap();
    let open = server().direct_tcpip().start().await.unwrap();
    let at = |port: u16| {
        let target = connector(&open).target().clone().with_port(port).unwrap();
        Connector::new(target).host_trust(PinnedHostKey::new(&open.host_key_fingerprint()).unwrap())
    };
    let behind = |hop: Connector, port: u16| at(port).jump(JumpHost::new(hop, credentials()).name("hop"));

    let error = behind(at(port), open.port()).connect().await.unwrap_err();
    assert_eq!((error.kind(), error.jump_host()), (ErrorKind::HostUnreachable, Some("hop")));
    assert!(error.is_retryable() && error.hint().unwrap().contains("sshd"), "{error:?}");

    let error = behind(connector(&open), port).connect().await.unwrap_err();
    assert_eq!((error.kind(), error.jump_host()), (ErrorKind::ChannelTarget, Some("hop")));
    assert!(error.is_retryable() && error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");

    let error = behind(connector(&strict), port).connect().await.unwrap_err();
    assert_eq!((error.kind(), error.jump_host()), (ErrorKind::ChannelProhibited, Some("hop")));
    assert!(!error.is_retryable() && error.to_string().contains("not through here"), "{error}");
    assert!(!error.to_string().contains('\u{1b}'), "a jump host's words move no cursor: {error:?}");

    for server in [strict, open] {
        server_shows(&server, "no connection left", |record| record.connections_open() == 0).await;
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn each_host_has_its_own_deadline() {
    // The jump host answers, and what is behind it takes the connection and says nothing.
    let hop = server().direct_tcpip().start().await.unwrap();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let short = TransportOptions::builder().connect_timeout(Duration::from_secs(2)).build().unwrap();
    let target = connector(&hop).target().clone().with_port(port).unwrap();
    let above = Connector::new(target).transport(short.clone());
    let error =
        above.clone().jump(JumpHost::new(connector(&hop), credentials())).connect().await.unwrap_err();
    assert_eq!((error.kind(), error.jump_host()), (ErrorKind::ConnectTimeout, None));

    // The same one as the jump host itself.
    let first = Connector::new(connector(&hop).target().clone().with_port(port).unwrap()).transport(short);
    let error = connector(&hop).jump(JumpHost::new(first, credentials())).connect().await.unwrap_err();
    assert_eq!((error.kind(), error.jump_host()), (ErrorKind::ConnectTimeout, Some("127.0.0.1")));
    server_shows(&hop, "no connection left", |record| record.connections_open() == 0).await;
    hop.stop().await.unwrap();
}

#[tokio::test]
async fn a_jump_host_that_is_lost_is_the_reason_of_what_ends_above_it() {
    let way = Way::new().await;
    let session = way.session().await;
    let running = session.line("sleep 1000").spawn().await.unwrap();
    way.hops[1].cut_all(Cut::Rst);
    let mut running = running;
    let error = running.wait().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.starts_with("jump host b: "), "{cause}");
    drop((running, session));
    way.nothing_is_left().await;
}

#[tokio::test]
async fn a_reader_that_pauses_stops_the_way_and_loses_nothing() {
    let way = Way::new().await;
    let little = BufferLimits::default().memory(1 << 20).disk(0).pause(Duration::from_secs(600));
    let options = TransportOptions::builder().buffers(little).build().unwrap();
    let session = log_in(&way.connector(|name, connector| match name {
        "web" => connector.transport(options.clone()),
        _ => connector,
    }))
    .await;
    let mut child = session.line("bulk").spawn().await.unwrap();
    let mut stdout = child.take_stdout().unwrap();
    let first = stdout.chunk().await.unwrap().unwrap();
    // Until nothing moves any more: every window and buffer on the way is full.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let now = way.web.record().bytes_out();
        if now == before {
            break;
        }
        before = now;
    }
    let mut read = first.len();
    let mut line = 0usize;
    let mut check = |bytes: &[u8]| {
        for byte in bytes {
            assert_eq!(*byte, b"0123456\n"[line % 8], "at {line}");
            line += 1;
        }
    };
    check(&first);
    assert!(before < BULK as u64, "it did not stop: {before}");
    while let Some(chunk) = stdout.chunk().await.unwrap() {
        check(&chunk);
        read += chunk.len();
    }
    assert_eq!(read, BULK);
    assert!(child.wait().await.unwrap().success());
    drop((stdout, child));
    session.close(Duration::from_secs(20)).await;
    drop(session);
    way.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_full_flows_each_way_through_a_host_do_not_wait_for_each_other() {
    // More than the buffers on the way hold: 4 MiB of what is sent above the host, 8 MiB of what comes below.
    const WINDOW: u32 = 16 << 20;
    const DOWN: usize = 8 << 20;
    const UP: usize = 3 << 20;

    let slow = Network::new().rate_to_server(2_000_000);
    let hop = server().direct_tcpip().network(slow).start().await.unwrap();
    let (open, gate) = tokio::sync::watch::channel(false);
    let bulk = move |mut call: Call| {
        let mut gate = gate.clone();
        async move {
            gate.wait_for(|open| *open).await.unwrap();
            for _ in 0..DOWN >> 15 {
                call.stdout().send(vec![b'd'; 1 << 15]).await.unwrap();
            }
            Exit::Code(0)
        }
    };
    let web = server().fresh_host_key(HostKeyKind::Ed25519).command_fn("bulk", bulk).start().await.unwrap();
    let wide = || TransportOptions::builder().window(WINDOW).build().unwrap();
    let hop_connector = connector(&hop).transport(wide());
    let connector = connector(&web).transport(wide());
    let session = log_in(&connector.jump(JumpHost::new(hop_connector, credentials()).name("hop"))).await;

    let mut flows = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut child = session.line("bulk").spawn().await.unwrap();
        let mut stdout = child.take_stdout().unwrap();
        flows.spawn(async move {
            let mut read = 0;
            while let Some(chunk) = stdout.chunk().await.unwrap() {
                read += chunk.len();
            }
            assert_eq!(read, DOWN);
            assert!(child.wait().await.unwrap().success());
        });
    }
    // All of them are open before the first one sends: what is asked for behind their bytes waits as long as they do.
    let mut up = Vec::new();
    for _ in 0..8 {
        up.push(session.line("wc -c").spawn().await.unwrap());
    }
    for mut child in up {
        flows.spawn(async move {
            let mut stdin = child.take_stdin().unwrap();
            stdin.write_all(&vec![b'u'; UP]).await.unwrap();
            stdin.shutdown().await.unwrap();
            let count = child.take_stdout().unwrap().chunk().await.unwrap().unwrap();
            assert_eq!(String::from_utf8_lossy(&count).trim(), UP.to_string());
            assert!(child.wait().await.unwrap().success());
        });
    }
    // When so much has crept up, much more waits behind it.
    server_shows(&web, "the flows up", |record| record.bytes_in() > 1 << 20).await;
    open.send(true).unwrap();
    while let Some(done) = flows.join_next().await {
        if done.is_err() {
            let way = session.jump_host().unwrap();
            panic!("{done:?}: {:?}, {:?}", session.close(Duration::ZERO).await, way.closed().await);
        }
    }
    session.close(Duration::from_secs(20)).await;
    for server in [hop, web] {
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn seventeen_hosts_are_too_many() {
    let server = server().start().await.unwrap();
    let mut way = connector(&server);
    for _ in 0..17 {
        way = connector(&server).jump(JumpHost::new(way, credentials()));
    }
    let error = way.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("more than 16 jump hosts"), "{error}");
    assert_eq!(server.record().connections_accepted(), 0);
    server.stop().await.unwrap();
}

//! Those who work on the servers.

use std::sync::Arc;
use std::time::Duration;

use rustle_pool::{ErrorKind, ForwardHandle, HostResult, Pool};
use rustle_session::{ErrorKind as SessionErrorKind, Output, Session};
use rustle_testserver::TestServer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::chaos::draw::Draw;
use crate::chaos::tally::{GOOD, Tally};
use crate::chaos::{PATIENCE, SERVERS};

/// What a machine may be late that has other things to do.
const SLACK: Duration = Duration::from_secs(4);

/// A place, the channel's opening, and what is done in it: silence is over before.
const DEADLINE: Duration = Duration::from_secs(60);

/// One who does one thing after the other, whatever comes of it.
pub(super) struct User {
    pub(super) pool: Pool,
    pub(super) names: Arc<[String]>,
    pub(super) forwards: Arc<[ForwardHandle]>,
    /// What each server listens on, for those who come in there.
    pub(super) comings: Arc<Vec<(Arc<TestServer>, ForwardHandle)>>,
    /// What sends back whatever it gets.
    pub(super) target: u16,
    pub(super) draw: Draw,
    pub(super) tally: Tally,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Work {
    /// A connection and nothing else.
    Connect,
    Hello,
    /// Bytes there and back.
    Cat,
    /// The same, by the server's connection to somebody.
    Direct,
    /// The same, by a port here.
    Forward,
    /// The same, by a port at the server.
    ComeIn,
    /// A process that nobody waits for.
    Leave,
    /// All servers at once.
    All,
    Check,
    Meddle,
}

pub(super) const WORK: [Work; 10] = [
    Work::Connect,
    Work::Hello,
    Work::Cat,
    Work::Direct,
    Work::Forward,
    Work::ComeIn,
    Work::Leave,
    Work::All,
    Work::Check,
    Work::Meddle,
];

impl Work {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Hello => "hello",
            Self::Cat => "cat",
            Self::Direct => "direct",
            Self::Forward => "forward",
            Self::ComeIn => "come in",
            Self::Leave => "leave",
            Self::All => "all",
            Self::Check => "check",
            Self::Meddle => "meddle",
        }
    }
}

/// What came of it: an error by its code.
type Ended = Result<(), &'static str>;

impl User {
    pub(super) async fn work_until(mut self, until: Instant) -> Tally {
        while Instant::now() < until {
            let work = WORK[self.draw.index(WORK.len())];
            // A fifth goes away before it is done.
            let limit = if self.draw.below(5) == 0 { Some(self.draw.millis(400)) } else { None };
            let doing = self.work(work);
            let end = match timeout(limit.unwrap_or(DEADLINE), doing).await {
                Ok(Ok(())) => GOOD,
                Ok(Err(code)) => code,
                Err(_late) if limit.is_some() => "left",
                Err(_late) => panic!("{work:?} does not end"),
            };
            self.tally.count(work.name(), end);
            let pause = self.draw.millis(20);
            tokio::time::sleep(pause).await;
        }
        self.tally
    }

    async fn work(&mut self, work: Work) -> Ended {
        let number = self.draw.index(SERVERS);
        let size = self.draw.index(200_000);
        match work {
            Work::Connect => self.session(number).await.map(drop),
            Work::Hello => hello(&self.session(number).await?).await,
            Work::Cat => cat(&self.session(number).await?, size).await,
            Work::Direct => {
                let session = self.session(number).await?;
                let opened = session.direct_tcpip("127.0.0.1", self.target).await;
                let back = exchange(opened.map_err(|error| told(&error))?, size / 2).await?;
                assert_eq!(back, size / 2, "an end too early");
                Ok(())
            }
            Work::Forward => {
                let address = self.forwards[number].addresses()[0];
                let client = TcpStream::connect(address).await.expect("a forward listens whatever happens");
                match exchange(client, size / 2).await? {
                    back if back == size / 2 => Ok(()),
                    // There a reset reads as the end of the stream.
                    _ if std::env::var_os("RUSTLE_WINE").is_some() => Err("cut"),
                    back => panic!("an end after {back} bytes of {size} / 2"),
                }
            }
            Work::ComeIn => {
                let (server, coming) = &self.comings[number];
                let port = coming.port().ok_or("not listened on")?;
                let client = server.connect_to_forward(port).await.map_err(|_| "not let in")?;
                // What the server shows of a connection that is lost is an end.
                if exchange(client, size / 2).await? == size / 2 { Ok(()) } else { Err("cut") }
            }
            Work::Leave => {
                let session = self.session(number).await?;
                let child = session.line("sleep 1000").spawn().await.map_err(|error| told(&error))?;
                let moment = self.draw.millis(50);
                tokio::time::sleep(moment).await;
                drop(child);
                Ok(())
            }
            Work::All => self.all().await,
            Work::Check => {
                let id =
                    self.pool.connect(&self.names[number]).await.map_err(|error| told_by_pool(&error))?;
                let begun = Instant::now();
                let checked = self.pool.check(id).await.map(drop).map_err(|error| told_by_pool(&error));
                // One that does not answer within 5 s is gone.
                assert!(begun.elapsed() < Duration::from_secs(5) + SLACK, "{:?}", begun.elapsed());
                checked
            }
            Work::Meddle => self.meddle(number).await,
        }
    }

    /// In time, or a reason in time.
    async fn session(&self, number: usize) -> Result<Session, &'static str> {
        let begun = Instant::now();
        let session = self.pool.get(&self.names[number]).await.map_err(|error| told_by_pool(&error));
        assert!(begun.elapsed() < PATIENCE + SLACK, "{number}: {:?}", begun.elapsed());
        let is_changed = matches!(session, Err(code) if code == SessionErrorKind::HostKeyChanged.code());
        assert!(!is_changed || number == SERVERS - 1, "its key may be any");
        session
    }

    /// Each has a result, also where all is cancelled.
    async fn all(&mut self) -> Ended {
        let most = PATIENCE + self.draw.millis(4000);
        let is_cancelled = self.draw.below(4) == 0;
        let mut results = self.pool.on(self.names.iter()).at_once(3).timeout(most).output("hello");
        let (begun, mut seen, mut ended) = (Instant::now(), Vec::new(), Ok(()));
        while let Some(HostResult { host, outcome, .. }) = results.next().await {
            seen.push(host);
            match outcome {
                Ok(output) => is_hello(&output),
                Err(error) => ended = Err(told_by_pool(&error)),
            }
            if is_cancelled {
                results.cancel();
            }
        }
        assert!(begun.elapsed() < 2 * most + SLACK, "{:?}", begun.elapsed());
        seen.sort();
        assert_eq!(seen, *self.names);
        ended
    }

    /// What a program or a person does beside.
    async fn meddle(&mut self, number: usize) -> Ended {
        let name = &self.names[number];
        let Some(id) =
            self.pool.list().await.iter().rev().find(|shown| shown.name == *name).map(|shown| shown.id)
        else {
            return Err("not known yet");
        };
        let grace = self.draw.millis(100);
        match self.draw.below(3) {
            0 => self.pool.network_changed(),
            1 => drop(self.pool.retire_idle().await),
            _ => {
                let begun = Instant::now();
                self.pool.disconnect(id, grace).await.unwrap();
                // A goodbye has 3 s.
                assert!(begun.elapsed() < grace + Duration::from_secs(3) + SLACK, "{:?}", begun.elapsed());
            }
        }
        Ok(())
    }
}

fn is_hello(output: &Output) {
    assert_eq!((output.stdout_text().as_ref(), output.status.success()), ("hello\n", true));
}

async fn hello(session: &Session) -> Ended {
    is_hello(&session.output("hello").await.map_err(|error| told(&error))?);
    Ok(())
}

fn pattern(bytes: usize) -> Vec<u8> {
    (0..=250).cycle().take(bytes).collect()
}

async fn cat(session: &Session, bytes: usize) -> Ended {
    let sent = pattern(bytes);
    let output = session
        .line("cat")
        .stdin(sent.clone())
        .timeout(DEADLINE / 3)
        .output()
        .await
        .map_err(|error| told(&error))?;
    assert!(output.stdout == sent, "{} bytes of {bytes}", output.stdout.len());
    Ok(())
}

/// How much of what is sent comes back before the end; nothing else does.
async fn exchange(stream: impl AsyncRead + AsyncWrite, bytes: usize) -> Result<usize, &'static str> {
    let sent = pattern(bytes);
    let mut seen = Vec::new();
    let (mut from, mut to) = tokio::io::split(stream);
    let writes = async {
        to.write_all(&sent).await?;
        to.shutdown().await
    };
    let exchanged = async { tokio::join!(writes, from.read_to_end(&mut seen)) };
    // A stream has no deadline of its own.
    let exchanged = timeout(DEADLINE / 3, exchanged).await;
    assert!(sent.starts_with(&seen), "{} bytes of {bytes}, and others", seen.len());
    match exchanged {
        Ok((Ok(()), Ok(_))) => Ok(seen.len()),
        Ok(_) => Err("cut"),
        Err(_late) => Err("held back"),
    }
}

/// Sends back what comes.
pub(super) async fn echo_all(listener: TcpListener) {
    let mut clients = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        clients.spawn(async move {
            let (mut from, mut to) = client.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
            let _ = to.shutdown().await;
        });
        while clients.try_join_next().is_some() {}
    }
}

/// An error that may be told: nobody broke the protocol, and the pool is there.
fn told(error: &rustle_session::Error) -> &'static str {
    assert_ne!(error.kind(), SessionErrorKind::Protocol, "{error:?}");
    assert!(!error.to_string().contains("shutting down"), "{error:?}");
    error.code()
}

fn told_by_pool(error: &rustle_pool::Error) -> &'static str {
    let is_expected = matches!(error.kind(), ErrorKind::Session(_) | ErrorKind::NotRun | ErrorKind::TimedOut);
    assert!(is_expected && error.kind() != ErrorKind::Session(SessionErrorKind::Protocol), "{error:?}");
    assert!(!error.to_string().contains("shutting down"), "{error:?}");
    error.code()
}

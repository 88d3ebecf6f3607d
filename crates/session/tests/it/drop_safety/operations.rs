//! Each public asynchronous operation of the crate: what it needs, and how often it suspends at the least.

use std::fmt::{self, Debug, Display};
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use rustle_session::{HostSetup, JumpHost, Session, Terminal};

use super::stage::{Needs, Stage};

/// How one operation is tried.
#[derive(Clone)]
pub(super) struct Operation {
    /// As it stands in the list.
    pub(super) name: &'static str,
    /// What tells it from the same operation tried otherwise.
    pub(super) variant: &'static str,
    pub(super) needs: Needs,
    pub(super) clock: Clock,
    pub(super) after: After,
    pub(super) result: Expected,
    pub(super) recorded: Recorded,
    pub(super) begin: for<'a> fn(&'a mut Stage) -> Operating<'a>,
}

/// How many suspensions were recorded: with fewer of them something is no longer tried.
///
/// By paused time every run has the same. Where a socket or a thread takes part, some of them fall together on a
/// busy machine; there the record leaves room for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Recorded {
    /// When nothing stalls.
    pub(super) undisturbed: usize,
    /// Under all stalls that it meets together, and when nothing stalls.
    pub(super) everywhere: usize,
}

/// An operation under way.
pub(super) type Operating<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

/// Which clock it runs by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// Paused time, in memory: nothing but the code decides the order of events.
    Paused,
    /// Real time: where a socket takes part.
    Real,
}

/// What is left of the session when the operation was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// All of it.
    Session,
    /// All of it if the operation was never polled, and nothing otherwise.
    NothingOncePolled,
    /// Nothing.
    Nothing,
}

/// How it ends when nothing stalls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Done,
    Refused,
}

impl Operation {
    const fn new(
        name: &'static str,
        needs: Needs,
        (undisturbed, everywhere): (usize, usize),
        begin: for<'a> fn(&'a mut Stage) -> Operating<'a>,
    ) -> Self {
        Self {
            name,
            variant: "",
            needs,
            clock: Clock::Paused,
            after: After::Session,
            result: Expected::Done,
            recorded: Recorded { undisturbed, everywhere },
            begin,
        }
    }

    const fn variant(mut self, variant: &'static str) -> Self {
        self.variant = variant;
        self
    }

    const fn on_a_socket(mut self) -> Self {
        self.clock = Clock::Real;
        self
    }

    const fn after(mut self, after: After) -> Self {
        self.after = after;
        self
    }

    const fn refused(mut self) -> Self {
        self.result = Expected::Refused;
        self
    }
}

impl Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, " ({})", self.variant) }
    }
}

/// Before anybody is logged in.
pub(super) fn connecting() -> Vec<Operation> {
    vec![
        Operation::new("KnownHosts::remember", Needs::Nothing, (0, 0), |stage| {
            finish(stage.known_hosts.remember(&stage.offer))
        }),
        Operation::new("KnownHosts::remember", Needs::Nothing, (400, 400), |stage| {
            stage.lock_known_hosts();
            finish(stage.known_hosts.remember(&stage.offer))
        })
        .variant("behind another process's lock")
        .refused(),
        Operation::new("Connector::connect_over", Needs::Server, (3, 9), |stage| {
            let stream = stage.stream();
            finish(stage.connector.connect_over(stream))
        }),
        Operation::new("Connector::connect", Needs::Server, (2, 8), |stage| {
            finish(stage.connector.connect())
        })
        .on_a_socket(),
        Operation::new("Connector::connect", Needs::Server, (5, 15), |stage| {
            // The server is behind itself.
            let hop = JumpHost::new(stage.connector.clone(), stage.credentials.clone());
            stage.connector = stage.connector.clone().jump(hop);
            finish(stage.connector.connect())
        })
        .variant("through a jump host")
        .on_a_socket(),
        Operation::new("Connector::connect_through", Needs::Session, (3, 9), |stage| {
            let hop = stage.session.clone().unwrap();
            let connector = stage.connector.clone();
            finish(async move { connector.connect_through(&hop).await })
        })
        .on_a_socket(),
        Operation::new("HostSetup::connect_through", Needs::Session, (5, 13), |stage| {
            let hop = stage.session.clone().unwrap();
            let setup = stage.setup();
            finish(async move { setup.connect_through(&hop).await })
        })
        .on_a_socket(),
        Operation::new("Unauthenticated::authenticate", Needs::Unauthenticated, (2, 4), |stage| {
            let unauthenticated = stage.unauthenticated.take().unwrap();
            finish(unauthenticated.authenticate(&stage.credentials))
        })
        .variant("password"),
        Operation::new("Unauthenticated::authenticate", Needs::KeyFile, (4, 5), |stage| {
            let unauthenticated = stage.unauthenticated.take().unwrap();
            finish(unauthenticated.authenticate(&stage.credentials))
        })
        .variant("key file"),
        Operation::new("HostSetupBuilder::load", Needs::Nothing, (0, 0), |_| {
            let builder = HostSetup::builder("alice@web").without_config_files();
            finish(async move { builder.load().await })
        }),
        Operation::new("HostSetup::connect", Needs::Server, (4, 12), |stage| {
            let setup = stage.setup();
            finish(async move { setup.connect().await })
        })
        .on_a_socket(),
    ]
}

/// As [`connecting`], but it reads the home directory, so it needs one of its own.
pub(super) fn connecting_from_home() -> Vec<Operation> {
    vec![
        Operation::new("Session::connect", Needs::Server, (4, 12), |stage| {
            stage.make_home();
            stage.destination = format!("ssh://bob@127.0.0.1:{}", stage.server.port());
            finish(Session::connect(&stage.destination))
        })
        .on_a_socket(),
    ]
}

/// On a session.
pub(super) fn on_session() -> Vec<Operation> {
    vec![
        Operation::new("Session::output", Needs::Session, (3, 18), |stage| {
            finish(stage.session().output("late out"))
        }),
        Operation::new("Session::ping", Needs::Session, (1, 3), |stage| finish(stage.session().ping())),
        Operation::new("Session::rekey", Needs::Session, (4, 12), |stage| finish(stage.session().rekey())),
        Operation::new("Session::close", Needs::Session, (1, 3), |stage| {
            Box::pin(stage.session().close(Duration::from_secs(5)).map(|_| Ok(())))
        })
        .after(After::NothingOncePolled),
        Operation::new("Session::closed", Needs::Session, (1, 3), |stage| {
            // Asks for the end, and does not wait for it.
            let _ = stage.session().close(Duration::from_secs(5)).now_or_never();
            Box::pin(stage.session().closed().map(|_| Ok(())))
        })
        .after(After::Nothing),
        Operation::new("Session::lost", Needs::Session, (1, 3), |stage| {
            let _ = stage.session().close(Duration::from_secs(5)).now_or_never();
            Box::pin(stage.session().lost().map(|_| Ok(())))
        })
        .after(After::Nothing),
        Operation::new("Session::open_ahead", Needs::Session, (1, 5), |stage| {
            finish(stage.session().open_ahead())
        }),
        Operation::new("OpenedAhead::ended", Needs::Session, (2, 6), |stage| {
            let session = stage.session().clone();
            Box::pin(async move {
                let ahead = session.open_ahead().await.map_err(|error| error.to_string())?;
                let _ = tokio::time::timeout(Duration::from_secs(1), ahead.ended()).await;
                Ok(())
            })
        }),
        Operation::new("Command::spawn", Needs::Session, (2, 10), |stage| {
            finish(stage.session().line("sleep 1000").spawn())
        }),
        Operation::new("Command::spawn", Needs::Session, (3, 15), |stage| {
            let terminal = Terminal::new("xterm", 80, 24);
            finish(stage.session().line("sleep 1000").env("LANG", "C").terminal(terminal).spawn())
        })
        .variant("with a variable, on a terminal"),
        Operation::new("Command::output", Needs::Session, (7, 27), |stage| {
            finish(stage.session().line("cat").stdin(vec![7; 300_000]).output())
        })
        .variant("of its input"),
        Operation::new("Command::output", Needs::Session, (4, 20), |stage| {
            finish(stage.session().line("sleep 1000").timeout(Duration::from_secs(1)).output())
        })
        .variant("past its timeout"),
        Operation::new("Command::output", Needs::Session, (7, 15), |stage| {
            finish(stage.session().line("stubborn").timeout(Duration::from_secs(1)).output())
        })
        .variant("past its timeout, deaf to signals"),
        Operation::new("Child::wait", Needs::Child("sleep 1"), (1, 5), |stage| finish(stage.child().wait())),
        Operation::new("Child::signal", Needs::Child("sleep 1000"), (0, 1), |stage| {
            finish(stage.child().signal("USR1"))
        }),
        Operation::new("Child::resize", Needs::ChildOnTerminal("sleep 1000"), (0, 1), |stage| {
            finish(stage.child().resize(100, 50))
        }),
        Operation::new("Child::end", Needs::Child("sleep 1000"), (1, 9), |stage| {
            Box::pin(stage.child.take().unwrap().end().map(|_| Ok(())))
        }),
        Operation::new("Child::end", Needs::Child("stubborn"), (3, 7), |stage| {
            Box::pin(stage.child.take().unwrap().end().map(|_| Ok(())))
        })
        .variant("deaf to signals"),
        Operation::new("ChildStdin::write_bytes", Needs::Child("sha256sum"), (4, 8), |stage| {
            stage.stdin = stage.child().take_stdin();
            finish(stage.stdin.as_mut().unwrap().write_bytes(Bytes::from(vec![7; 300_000])))
        }),
        Operation::new("ChildStdout::chunk", Needs::Child("late out"), (1, 4), |stage| {
            stage.stdout = stage.child().take_stdout();
            finish(stage.stdout.as_mut().unwrap().chunk())
        }),
        Operation::new("ChildStdout::chunks", Needs::Child("late out"), (1, 4), |stage| {
            stage.stdout = stage.child().take_stdout();
            finish(stage.stdout.as_mut().unwrap().chunks(&mut stage.chunks, 1 << 20))
        }),
        Operation::new("ChildStderr::chunk", Needs::Child("late err"), (1, 4), |stage| {
            stage.stderr = stage.child().take_stderr();
            finish(stage.stderr.as_mut().unwrap().chunk())
        }),
        forward_to_port(),
        forward_to_socket(),
        Operation::new("ForwardStream::chunk", Needs::Forward, (1, 4), |stage| {
            stage.far_side_says_hello();
            finish(stage.forward.as_mut().unwrap().chunk())
        })
        .on_a_socket(),
        Operation::new("ForwardStream::write_bytes", Needs::Forward, (2, 5), |stage| {
            finish(stage.forward.as_mut().unwrap().write_bytes(Bytes::from(vec![7; 300_000])))
        })
        .on_a_socket(),
        Operation::new("Session::listen_tcpip", Needs::Session, (1, 3), |stage| {
            finish(stage.session().listen_tcpip("localhost", 0))
        }),
        Operation::new("Session::listen_streamlocal", Needs::Session, (1, 3), |stage| {
            finish(stage.session().listen_streamlocal("/run/socket"))
        }),
        Operation::new("RemoteListener::accept", Needs::Listener, (1, 3), |stage| {
            let accepted = stage.listener.as_mut().unwrap().accept();
            Box::pin(accepted.map(|incoming| incoming.map(drop).ok_or("it is over".to_owned())))
        }),
        Operation::new("RemoteListener::close", Needs::Listener, (1, 3), |stage| {
            finish(stage.listener.take().unwrap().close())
        }),
    ]
}

fn forward_to_port() -> Operation {
    Operation::new("Session::direct_tcpip", Needs::Session, (1, 5), |stage| {
        let port = stage.far_port();
        finish(stage.session().direct_tcpip("127.0.0.1", port))
    })
    .on_a_socket()
}

/// The server of the tests forwards to such sockets on Unix, and refuses elsewhere.
fn forward_to_socket() -> Operation {
    let operation = Operation::new("Session::direct_streamlocal", Needs::Session, (1, 5), |stage| {
        let path = stage.far_socket();
        finish(stage.session().direct_streamlocal(path))
    })
    .on_a_socket();
    if cfg!(unix) { operation } else { operation.refused() }
}

/// Drops what the operation gives as soon as it is there.
fn finish<'a, T, E: Display + Debug>(operation: impl Future<Output = Result<T, E>> + 'a) -> Operating<'a> {
    Box::pin(operation.map(|result| result.map(drop).map_err(|error| error.to_string())))
}

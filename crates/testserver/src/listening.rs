//! The port: listened on, or held and refused, without anybody else getting it in between.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    net::TcpSocket,
    sync::{Mutex, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    driver,
    error::Error,
    fault::Cut,
    listener::PortListener,
    server::{Shared, TestServer},
};

/// As many as OpenSSH's `sshd` lets wait.
const BACKLOG: u32 = 128;

/// A port that was let go is free after this at the latest, unless another process has it.
const FREE_WITHIN: Duration = Duration::from_secs(1);
const ASKED_EVERY: Duration = Duration::from_millis(10);

/// The server's port.
pub(crate) struct Port {
    addr: SocketAddr,
    state: Mutex<State>,
}

enum State {
    Listening(Accepting),
    /// Bound and not listening: the system refuses connections, and gives the port to nobody else.
    Held(TcpSocket),
    /// The port could not be held when listening ended.
    Lost,
}

/// The task that accepts.
pub(crate) struct Accepting {
    pub(crate) stop: CancellationToken,
    /// Resolves when the listener is closed.
    pub(crate) stopped: oneshot::Receiver<()>,
}

impl Port {
    /// Listens on 127.0.0.1, on a port of the system's choice.
    pub(crate) fn open() -> io::Result<(SocketAddr, PortListener)> {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.listen(BACKLOG)?;
        Ok((listener.local_addr()?, listener.into()))
    }

    pub(crate) fn new(addr: SocketAddr, accepting: Accepting) -> Self {
        Self { addr, state: Mutex::new(State::Listening(accepting)) }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Refuses connections from now on.
    async fn pause(&self) -> io::Result<()> {
        let mut state = self.state.lock().await;
        state.close().await;
        if matches!(*state, State::Lost) {
            *state = State::Held(bind_again(self.addr).await?);
        }
        Ok(())
    }

    /// Accepts connections again.
    async fn resume(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let mut state = self.state.lock().await;
        if matches!(&*state, State::Listening(accepting) if !accepting.stop.is_cancelled()) {
            return Ok(());
        }
        state.close().await;
        let socket = match std::mem::replace(&mut *state, State::Lost) {
            State::Held(socket) => socket,
            State::Listening(_) | State::Lost => bind_again(self.addr).await?,
        };
        *state = State::Listening(driver::accept(shared, socket.listen(BACKLOG)?.into()));
        Ok(())
    }
}

impl State {
    /// Closes the listener, if there is one. Dropped halfway, it may be called again.
    async fn close(&mut self) {
        if let Self::Listening(accepting) = self {
            accepting.stop.cancel();
            // The sender is dropped with the listener, whatever becomes of the task.
            drop((&mut accepting.stopped).await);
            *self = Self::Lost;
        }
    }
}

/// The same for an address that was this server's a moment ago. The system may close a listener later than it says so: until
/// then the port is in use, and it is asked for again.
async fn bind_again(addr: SocketAddr) -> io::Result<TcpSocket> {
    let begun = Instant::now();
    loop {
        match bind(addr) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && begun.elapsed() < FREE_WITHIN => {
                tokio::time::sleep(ASKED_EVERY).await;
            }
            bound => return bound,
        }
    }
}

/// A socket of its own on this address. On Unix, connections of before that linger there do not keep it from that; on
/// Windows they do not either, and the option would let others take the port.
fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    if cfg!(unix) {
        socket.set_reuseaddr(true)?;
    }
    socket.bind(addr)?;
    Ok(socket)
}

impl TestServer {
    /// Refuses new connections from now on, as a host whose `sshd` does not run; those there are stay. The port remains
    /// the server's. [`duplex`](Self::duplex) gives connections that are reset at once.
    ///
    /// # Errors
    /// Another process has taken the port in the moment in which it was free.
    ///
    /// # Cancel safety
    /// The server may go on accepting, or may have stopped, when this future is dropped; call it again, or
    /// [`resume_listening`](Self::resume_listening).
    pub async fn pause_listening(&self) -> Result<(), Error> {
        self.shared.close_door();
        let paused = self.port.pause().await;
        paused.map_err(|source| Error::io("hold the port while it is not listened on", source))
    }

    /// Accepts connections again, on the same port. Does nothing if the server listens.
    ///
    /// # Errors
    /// The port could not be had: [`pause_listening`](Self::pause_listening) had failed.
    ///
    /// # Cancel safety
    /// As with [`pause_listening`](Self::pause_listening).
    pub async fn resume_listening(&self) -> Result<(), Error> {
        let resumed = self.port.resume(&self.shared).await;
        resumed.map_err(|source| Error::io("listen on the port again", source))?;
        self.shared.open_door();
        Ok(())
    }

    /// As a host that is rebooted: every connection is reset, new ones are refused for so long (by tokio's clock), and
    /// are accepted then, on the same port. Returns when they are.
    ///
    /// The host key stays the same; for another, call [`swap_host_key`](Self::swap_host_key) before.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::{HostKeyKind, TestServer};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let server = TestServer::builder().start().await?;
    /// server.restart(Duration::from_millis(10)).await?;
    /// // As a host that was installed anew:
    /// server.swap_host_key(HostKeyKind::Ed25519)?;
    /// server.restart(Duration::ZERO).await?;
    /// server.stop().await?;
    /// # Ok::<(), rustle_testserver::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The port could not be had again: another process took it in the moment in which it was free.
    ///
    /// # Cancel safety
    /// The server may be left down when this future is dropped; [`resume_listening`](Self::resume_listening) brings it
    /// back.
    pub async fn restart(&self, down_for: Duration) -> Result<(), Error> {
        self.pause_listening().await?;
        self.cut_all(Cut::Rst);
        tokio::time::sleep(down_for).await;
        self.resume_listening().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_port_that_comes_free_a_moment_later_is_had_again() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap();
        assert_eq!(bind_again(addr).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let freed = async {
            tokio::time::sleep(FREE_WITHIN / 2).await;
            drop(taken);
        };
        let (bound, ()) = tokio::join!(bind_again(addr), freed);
        assert_eq!(bound.unwrap().local_addr().unwrap(), addr);
    }
}

//! A listening socket that is closed when it is dropped, whoever else has a descriptor of it.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpStream};

/// A listener whose port refuses connections from the moment in which it is dropped.
///
/// A program that the same process starts has a copy of every descriptor until it is executed, closed on exec or not.
/// Closing this one alone would leave the port listening for as long, and a test that has seen the server go away would
/// still be let in by the system, to be answered by nobody.
#[derive(Debug)]
pub(crate) struct PortListener(TcpListener);

impl PortListener {
    pub(crate) async fn bind(addr: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(addr).await.map(Self)
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The next who connects.
    ///
    /// # Cancel safety
    /// Nobody is lost when this future is dropped.
    pub(crate) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await
    }
}

impl From<TcpListener> for PortListener {
    fn from(listener: TcpListener) -> Self {
        Self(listener)
    }
}

impl Drop for PortListener {
    fn drop(&mut self) {
        // On Windows no process has another's sockets unless it was given them.
        #[cfg(unix)]
        if let Err(error) = rustix::net::shutdown(&self.0, rustix::net::Shutdown::Both) {
            // Linux stops to listen; elsewhere a socket without a peer may be refused, and closing it has to do.
            tracing::debug!(%error, "shutdown of a listening socket refused");
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[tokio::test]
    async fn port_refuses_though_another_descriptor_of_it_is_open() {
        let listener = PortListener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let copy = listener.0.as_fd().try_clone_to_owned().unwrap();
        assert!(TcpStream::connect(addr).await.is_ok());
        drop(listener);
        assert_eq!(TcpStream::connect(addr).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // The port can be had again, by this server above all.
        let again = PortListener::bind(addr).await.unwrap();
        drop(copy);
        assert!(TcpStream::connect(again.local_addr().unwrap()).await.is_ok());
    }
}

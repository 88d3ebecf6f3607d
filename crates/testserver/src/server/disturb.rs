//! What a test does to a running server: faults, cuts, stalls, another network, another host key.

use std::sync::PoisonError;

use crate::{
    error::{Error, ErrorKind},
    fault::{Cut, Fault},
    keys::HostKeyKind,
    network::Network,
    server::{TestServer, shared::Flow},
};

impl TestServer {
    /// Does this wrong from now on. Faults by bytes, by time since the connection was accepted, and those before the key
    /// exchange, strike new connections only.
    pub fn add_fault(&self, fault: Fault) {
        self.shared.faults.add(fault);
    }

    /// How often faults have struck so far.
    #[must_use]
    pub fn faults_fired(&self) -> usize {
        self.shared.faults.fired()
    }

    /// Faults that have not fired until now need not fire any more, and will not. Nor need anybody ask for what is
    /// scripted.
    pub fn expect_unfired(&self) {
        self.shared.faults.forgive();
        self.shared.settings.forgive();
    }

    /// Cuts every connection there is.
    pub fn cut_all(&self, how: Cut) {
        for link in self.shared.links() {
            link.cut(how);
        }
    }

    /// Falls silent on every connection, present and future, until [`resume`](Self::resume).
    pub fn stall(&self) {
        self.shared.live().flow = Flow::Stalled;
        for link in self.shared.links() {
            link.stall();
        }
    }

    /// Goes on where [`stall`](Self::stall) or a fault stopped it.
    pub fn resume(&self) {
        self.shared.live().flow = Flow::Flowing;
        for link in self.shared.links() {
            link.resume();
        }
    }

    /// From now on the network in front of the server behaves like this, for connections that are there too: what is
    /// under way keeps its time, what comes later follows the new rules.
    ///
    /// # Errors
    /// The server was not given a [`network`](crate::Builder::network) to begin with; `Network::new()` does nothing and
    /// will do.
    pub fn set_network(&self, network: Network) -> Result<(), Error> {
        match &self.shared.line {
            Some(line) => {
                line.set(network);
                Ok(())
            }
            None => Err(Error::new(
                ErrorKind::Configuration,
                "a server without a network cannot change it; start it with Builder::network(Network::new())",
            )),
        }
    }

    /// Shows another host key of this sort to new connections, on the same port: one that this server has not had.
    ///
    /// # Errors
    /// The key cannot be generated.
    pub fn swap_host_key(&self, kind: HostKeyKind) -> Result<(), Error> {
        let key = self.shared.keys.lock().unwrap_or_else(PoisonError::into_inner).another(kind)?;
        self.shared.live().host_keys = vec![key];
        Ok(())
    }

    /// As a host that was installed anew: every connection is reset, and new ones on the same port see another key.
    ///
    /// # Errors
    /// The key cannot be generated.
    pub fn restart_with(&self, kind: HostKeyKind) -> Result<(), Error> {
        self.swap_host_key(kind)?;
        self.cut_all(Cut::Rst);
        Ok(())
    }
}

//! Connections that may be gone.

use super::Policy;
use super::connection::State;
use super::event::{Action, ConnectionId};

impl Policy {
    pub(super) fn set_degraded(&mut self, id: ConnectionId, is_degraded: bool) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.is_degraded = is_degraded;
            self.touched.insert(connection.host);
        }
    }

    pub(super) fn network_changed(&mut self, out: &mut Vec<Action>) {
        for (&connection, of) in &self.connections {
            if matches!(of.state, State::Ready | State::Draining { .. }) {
                out.push(Action::Probe { connection });
            }
        }
        for (&id, host) in &mut self.hosts {
            // What failed before failed on another network.
            host.retry_at = None;
            host.refused = None;
            (host.refusals, host.at_peace) = (0, None);
            host.failures = 0;
            self.touched.insert(id);
        }
    }
}

//! Channels to somewhere else, and listening for the client.

use std::sync::Arc;

use russh::{
    Channel, ChannelOpenFailure,
    server::{ChannelOpenHandle, Handle, Msg},
};

use crate::{
    auth::certificate::Permit,
    driver,
    forward::{Forward, open::Opener, target::Found},
    handler::{Handler, HandlerError},
    record::{ChannelKind, ForwardPlace},
};

impl Handler {
    /// Opens a channel to somewhere else, if the server does that.
    pub(super) async fn forward(
        &self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        kind: ChannelKind,
    ) -> Result<(), HandlerError> {
        let Some((reply, delay)) = self.admit(reply).await? else { return Ok(()) };
        let settings = &self.connection.shared.settings;
        let allowed = match kind {
            ChannelKind::DirectTcpip(..) => settings.direct_tcpip,
            ChannelKind::DirectStreamlocal(_) => settings.direct_streamlocal,
            _ => false,
        };
        let target = settings
            .forwarding
            .targets
            .find(&kind)
            .or_else(|| allowed.then_some(Found::Real))
            .filter(|_| self.entrance.restrictions().permits(Permit::PortForwarding));
        match target {
            Some(target) => {
                let connection = Arc::clone(&self.connection);
                let forward = Forward { connection, channel, reply, kind, target };
                if delay.is_zero() {
                    driver::serve_channel(&self.connection, forward.serve());
                } else {
                    driver::later(&self.connection, delay, forward.serve());
                }
            }
            None => self.refuse(reply, ChannelOpenFailure::AdministrativelyProhibited, delay).await,
        }
        Ok(())
    }

    /// Listens for the client, if the server does that. The base answers with what this returns.
    pub(super) async fn listen(
        &self,
        name: &str,
        place: ForwardPlace,
        handle: Handle,
    ) -> Option<Option<u16>> {
        let shared = &self.connection.shared;
        shared.keeper.global_request(self.connection.number, name);
        if !self.entrance.restrictions().permits(Permit::PortForwarding) {
            shared.keeper.forward_refused(self.connection.number, place);
            return None;
        }
        let opener = Opener { connection: Arc::clone(&self.connection), handle: Some(handle) };
        shared.forwards.begin(opener, place).await
    }

    pub(super) async fn cancel(&self, name: &str, place: &ForwardPlace) -> bool {
        let shared = &self.connection.shared;
        shared.keeper.global_request(self.connection.number, name);
        shared.forwards.cancel(&self.connection, place).await
    }
}

//! The raw peer's default server above the transport: what each message from a client means, and what is answered.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    connection::Connection,
    handler::HandlerError,
    raw::{
        channels::Channels,
        line::Order,
        login::Login,
        message,
        peer::disconnect,
        transport::{Broken, Transport},
        wire::{Reader, Writer},
    },
};

/// SSH_DISCONNECT_SERVICE_NOT_AVAILABLE, RFC 4253 section 11.1.
const SERVICE_NOT_AVAILABLE: u32 = 7;

/// The forwards that a client may ask for, by the names under which the record has them.
const FORWARDS: [&str; 4] = [
    "tcpip-forward",
    "cancel-tcpip-forward",
    "streamlocal-forward@openssh.com",
    "cancel-streamlocal-forward@openssh.com",
];

/// One connection's server.
pub(crate) struct Conversation {
    connection: Arc<Connection>,
    login: Login,
    channels: Channels,
    /// Whether the client has asked for the authentication service.
    serves_login: bool,
}

/// What came of a message.
pub(crate) enum Heard {
    /// These messages are to be sent.
    Answers(Vec<Vec<u8>>),
    /// These, and then nothing more.
    Farewell(Vec<Vec<u8>>),
}

impl Heard {
    pub(crate) fn nothing() -> Self {
        Self::Answers(Vec::new())
    }

    pub(crate) fn one(payload: Vec<u8>) -> Self {
        Self::Answers(vec![payload])
    }
}

impl Conversation {
    pub(crate) fn new(connection: Arc<Connection>, orders: mpsc::Sender<Order>) -> Self {
        Self {
            login: Login::new(Arc::clone(&connection)),
            channels: Channels::new(Arc::clone(&connection), orders),
            connection,
            serves_login: false,
        }
    }

    pub(crate) fn is_logged_in(&self) -> bool {
        self.login.is_over()
    }

    /// Takes in a message from the client, which came in the packet of this number.
    pub(crate) async fn hear(
        &mut self,
        sequence: u32,
        payload: &[u8],
        transport: &Transport,
    ) -> Result<Heard, HandlerError> {
        let number = payload.first().copied().unwrap_or_default();
        if needs_login(number) && !self.login.is_over() {
            return Err(Broken::new(format!("message {number} before the login")).into());
        }
        // RFC 4253 section 10: a service is there once it has been accepted.
        if is_of_login(number) && !self.serves_login {
            return Err(Broken::new(format!("message {number} before the service it is of")).into());
        }
        let client = transport.their_identification();
        match number {
            message::DISCONNECT => Ok(Heard::Farewell(Vec::new())),
            message::IGNORE | message::DEBUG | message::UNIMPLEMENTED | message::EXT_INFO => {
                Ok(Heard::nothing())
            }
            message::SERVICE_REQUEST => self.service(payload),
            message::USERAUTH_REQUEST => {
                let session = transport.session().ok_or_else(|| Broken::new("a login before any keys"))?;
                self.login.request(payload, session, client).await
            }
            message::USERAUTH_INFO_RESPONSE => self.login.response(payload, client).await,
            message::GLOBAL_REQUEST => self.global_request(payload),
            // Answers to requests that a fault has sent.
            message::REQUEST_SUCCESS | message::REQUEST_FAILURE => Ok(Heard::nothing()),
            message::CHANNEL_OPEN => self.channels.open(payload),
            message::CHANNEL_OPEN_CONFIRMATION..=message::CHANNEL_FAILURE => {
                self.channels.hear(payload, self.login.entrance())
            }
            // RFC 4253 section 11.4.
            _ => Ok(Heard::one(Writer::message(message::UNIMPLEMENTED).u32(sequence).finish())),
        }
    }

    /// What is to be sent because a command has something to say.
    pub(crate) fn obey(&mut self, order: Order) -> Vec<Vec<u8>> {
        self.channels.obey(order)
    }

    /// No forwards here, and no keepalive that a failure would not answer as well.
    fn global_request(&self, payload: &[u8]) -> Result<Heard, HandlerError> {
        let mut reader = Reader::new(payload);
        reader.byte();
        let (Some(name), Some(wants_reply)) = (reader.text(), reader.boolean()) else {
            return Err(Broken::new("a GLOBAL_REQUEST cannot be read").into());
        };
        if FORWARDS.contains(&name) {
            self.connection.shared.keeper.global_request(self.connection.number, name);
        }
        let reply = wants_reply.then(|| vec![message::REQUEST_FAILURE]);
        Ok(Heard::Answers(reply.into_iter().collect()))
    }

    fn service(&mut self, payload: &[u8]) -> Result<Heard, HandlerError> {
        let mut reader = Reader::new(payload);
        reader.byte();
        match reader.string() {
            Some(b"ssh-userauth") => {
                self.serves_login = true;
                Ok(Heard::one(Writer::message(message::SERVICE_ACCEPT).string("ssh-userauth").finish()))
            }
            Some(_) => Ok(Heard::Farewell(vec![disconnect(SERVICE_NOT_AVAILABLE, "no such service")])),
            None => Err(Broken::new("a SERVICE_REQUEST cannot be read").into()),
        }
    }
}

/// The numbers of the authentication protocol, RFC 4251 section 7.
fn is_of_login(number: u8) -> bool {
    (message::USERAUTH_REQUEST..message::GLOBAL_REQUEST).contains(&number)
}

/// Whether a message may not pass before a login is over; RFC 4252 section 6 gives numbers from 80 on to what comes after.
fn needs_login(number: u8) -> bool {
    number >= message::GLOBAL_REQUEST
}

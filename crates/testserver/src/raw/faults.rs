//! What only the raw peer can do wrong: faults by SSH message, and those of channels and logins that no proper server
//! would be guilty of.

mod damage;

use std::fmt;

use crate::{
    fault::{Action, Fault, Trigger},
    raw::transport::{Cover, Emission, Tamper},
    server::Shared,
};

pub use damage::Damage;

/// The moments at which the raw peer asks for its faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// A message of this number is about to be sent.
    Message(u8),
    /// The client has shown a password that is right.
    Password,
    /// The client opens a channel: may it?
    Open,
    /// A channel is being opened: with which window and packets?
    Terms,
    /// The client asks for a command, a shell or a subsystem.
    Request,
}

/// What the raw peer does wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    Damage(Damage),
    ChangePassword { prompt: String },
    Refuse { code: u32, text: String, language: String },
    Window { bytes: u32, adjust: Adjust },
    MaxPacket(u32),
    DataPacket(usize),
    Answer(RequestAnswer),
}

/// When the client gets more window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adjust {
    AsUsed,
    Never,
    /// When the window is used up, so many bytes.
    By(u32),
}

/// How a request for a command, a shell or a subsystem that wants a reply is answered;
/// see [`Fault::answer_request`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestAnswer {
    /// `CHANNEL_FAILURE`, and nothing runs.
    Failure,
    /// No answer, while it runs as if there had been one.
    Nothing,
    /// `CHANNEL_SUCCESS` twice.
    Twice,
    /// `CHANNEL_SUCCESS`, then `CHANNEL_FAILURE`, while it runs.
    Both,
    /// `CHANNEL_SUCCESS` after all of the output, before the exit status.
    AfterOutput,
}

/// Faults of the raw peer. A server without [`Builder::raw_peer`](crate::Builder::raw_peer) refuses to start with
/// them; added to one that runs, they never fire.
///
/// ```
/// use rustle_testserver::{Fault, RequestAnswer};
///
/// let frozen = Fault::frozen_window(64 * 1024);
/// let drop_by_drop = Fault::tiny_window(1);
/// let crumbs = Fault::data_packets(7);
/// let small = Fault::max_packet(1024);
/// let polite = Fault::refuse_channel_in_language(1, "Heute nicht", "de").nth(2);
/// let late = Fault::answer_request(RequestAnswer::AfterOutput).once();
/// let expired = Fault::change_password("Your password has expired.\nNew password: ").once();
/// ```
impl Fault {
    /// Does this to each message of this number (see [`message`](crate::message)) that the server sends.
    ///
    /// `nth` counts the messages of that number on all connections, or on the one of `on_connection`. Several faults may
    /// meet in one message: each is done to what the ones before it left, and one that finds nothing to change there has
    /// not struck. Messages of a key exchange are messages too;
    /// whatever happens to a `NEWKEYS`, the server's new keys come into use where it would have been sent.
    #[must_use]
    pub fn message(number: u8, damage: Damage) -> Self {
        Self::raw(Point::Message(number), Wrong::Damage(damage))
    }

    /// Grants a channel this window, in bytes, and never any more.
    #[must_use]
    pub fn frozen_window(bytes: u32) -> Self {
        Self::raw(Point::Terms, Wrong::Window { bytes, adjust: Adjust::Never })
    }

    /// Grants a channel a window of so many bytes, and as many again each time it is used up.
    #[must_use]
    pub fn tiny_window(bytes: u32) -> Self {
        Self::raw(Point::Terms, Wrong::Window { bytes, adjust: Adjust::By(bytes) })
    }

    /// Says of a channel that the client may send at most so many bytes of data in one packet. OpenSSH says 32 KiB, and
    /// so does this server otherwise.
    #[must_use]
    pub fn max_packet(bytes: u32) -> Self {
        Self::raw(Point::Terms, Wrong::MaxPacket(bytes))
    }

    /// Sends at most so many bytes of data in one packet on a channel; at least one.
    #[must_use]
    pub fn data_packets(bytes: usize) -> Self {
        Self::raw(Point::Terms, Wrong::DataPacket(bytes))
    }

    /// Refuses a channel with this reason code (RFC 4254 section 5.1), text, and tag of the text's language (RFC 3066).
    #[must_use]
    pub fn refuse_channel_in_language(
        code: u32,
        text: impl Into<String>,
        language: impl Into<String>,
    ) -> Self {
        Self::raw(Point::Open, Wrong::Refuse { code, text: text.into(), language: language.into() })
    }

    /// Answers a request for a command, a shell or a subsystem in this way.
    #[must_use]
    pub fn answer_request(answer: RequestAnswer) -> Self {
        Self::raw(Point::Request, Wrong::Answer(answer))
    }

    /// Answers a right password by asking for a new one (`SSH_MSG_USERAUTH_PASSWD_CHANGEREQ`, RFC 4252 section 8).
    ///
    /// The change is accepted if it shows the right old password and a new one that is another and not empty, which then
    /// holds in its place; for a new one that will not do the server asks again. A password that has expired is asked
    /// for in this way by the raw peer without any fault.
    #[must_use]
    pub fn change_password(prompt: impl Into<String>) -> Self {
        Self::raw(Point::Password, Wrong::ChangePassword { prompt: prompt.into() })
    }

    fn raw(point: Point, wrong: Wrong) -> Self {
        Self::new(Trigger::Raw(point), Action::Raw(wrong))
    }
}

impl Shared {
    /// What the raw peer has to do wrong at this point.
    pub(crate) fn wrongs(&self, connection: usize, point: Point) -> Vec<Wrong> {
        let mut wrongs = Vec::new();
        self.strike_wrongs(connection, point, |wrong| {
            wrongs.push(wrong.clone());
            true
        });
        wrongs
    }

    /// Has `act` do what the raw peer has to do wrong at this point, one after the other; what it says it has not done
    /// has not struck.
    pub(crate) fn strike_wrongs(&self, connection: usize, point: Point, act: impl FnMut(&Wrong) -> bool) {
        if self.faults.strike_raw(connection, point, act) > 0 {
            self.keeper.touch();
        }
    }
}

/// Has the faults by message strike.
pub(crate) struct Saboteur {
    shared: std::sync::Arc<Shared>,
    connection: usize,
    /// What waits for the next message to go before it.
    swapped: Vec<Emission>,
}

impl Saboteur {
    pub(crate) fn new(shared: std::sync::Arc<Shared>, connection: usize) -> Self {
        Self { shared, connection, swapped: Vec::new() }
    }
}

impl Tamper for Saboteur {
    fn tamper(&mut self, payload: Vec<u8>, cover: Cover) -> Vec<Emission> {
        let number = payload.first().copied().unwrap_or_default();
        let mut emissions = vec![Emission::message(payload)];
        let waited = std::mem::take(&mut self.swapped);
        let mut swap = false;
        self.shared.strike_wrongs(self.connection, Point::Message(number), |wrong| match wrong {
            // One that another waits for has its place already.
            Wrong::Damage(damage) if damage.is_swap() => {
                let swaps = !swap && waited.is_empty() && !emissions.is_empty();
                swap |= swaps;
                swaps
            }
            Wrong::Damage(damage) => damage.apply(&mut emissions, cover),
            _ => false,
        });
        if swap {
            self.swapped = std::mem::take(&mut emissions);
        }
        // What waited is no longer the message of its moment: its keys, if it brought any, are in use already.
        emissions.extend(waited.into_iter().map(|one| Emission { origin: one.origin.late(), ..one }));
        emissions
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(number) => write!(f, "of message {number}"),
            Self::Password => f.write_str("at a right password"),
            Self::Open | Self::Terms => f.write_str("of a channel"),
            Self::Request => f.write_str("of a request"),
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damage(damage) => damage.fmt(f),
            Self::ChangePassword { prompt } => write!(f, "password change ({prompt:?})"),
            Self::Refuse { code, text, language } => {
                write!(f, "refusal (code {code}, {text:?}, language {language:?})")
            }
            Self::Window { bytes, adjust: Adjust::Never } => write!(f, "frozen window ({bytes} bytes)"),
            Self::Window { bytes, .. } => write!(f, "tiny window ({bytes} bytes)"),
            Self::MaxPacket(bytes) => write!(f, "packet limit ({bytes} bytes)"),
            Self::DataPacket(bytes) => write!(f, "small packets ({bytes} bytes)"),
            Self::Answer(answer) => write!(f, "answer {answer:?}"),
        }
    }
}

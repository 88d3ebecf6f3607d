//! Faults in what is answered: refused, withheld, left out.

use super::{Action, Ending, Fault, Phase, RequestKind, Trigger};
use crate::user::Method;

impl Fault {
    /// Leaves a channel open unanswered, while all else on the connection goes on.
    #[must_use]
    pub fn withhold_channel_open() -> Self {
        Self::new(Trigger::Phase(Phase::ChannelOpen), Action::Withhold(None))
    }

    /// Leaves a request for a command, shell or subsystem unanswered (and does not run it), while all else goes on.
    ///
    /// A late answer is as it would have been, yes or no. The base remembers one request per channel and whether it
    /// wants an answer: where the client sends another in the meantime that wants none (a signal, a new size of its
    /// terminal), the late one is not heard, though the command runs. The [raw peer](crate::RawPeer) answers each.
    ///
    /// ```
    /// use std::time::Duration;
    /// use rustle_testserver::Fault;
    ///
    /// let never = Fault::withhold_request();
    /// let late = Fault::withhold_request().for_time(Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn withhold_request() -> Self {
        Self::new(Trigger::Phase(Phase::Request), Action::Withhold(None))
    }

    /// Refuses a channel as OpenSSH does past its MaxSessions: reason code 2 and the text "open failed".
    #[must_use]
    pub fn refuse_channel() -> Self {
        Self::refuse_channel_with(2, "open failed")
    }

    /// Refuses a channel with this reason code (RFC 4254 section 5.1) and text.
    ///
    /// ```
    /// use rustle_testserver::{Fault};
    ///
    /// let refused = Fault::refuse_channel_with(4, "resource shortage").nth(2);
    /// let never_answered = Fault::withhold_channel_open().nth(3);
    /// ```
    #[must_use]
    pub fn refuse_channel_with(code: u32, text: impl Into<String>) -> Self {
        Self::new(Trigger::Phase(Phase::ChannelOpen), Action::Refuse { code, text: text.into() })
    }

    /// Turns away someone who has shown all there is to show, as a server does whose account database is out of reach.
    /// Its turn comes with each login that would succeed; attempts that fail anyway do not count.
    ///
    /// ```
    /// use rustle_testserver::{Fault, Method};
    ///
    /// let second_login_fails = Fault::refuse_login().nth(2);
    /// let suddenly_keys_only = Fault::refuse_login_with([Method::PublicKey]);
    /// ```
    #[must_use]
    pub fn refuse_login() -> Self {
        Self::new(Trigger::Login, Action::RefuseLogin(None))
    }

    /// As [`refuse_login`](Self::refuse_login), naming these as the methods that can continue (RFC 4252 section 5.1).
    #[must_use]
    pub fn refuse_login_with(methods: impl IntoIterator<Item = Method>) -> Self {
        Self::new(Trigger::Login, Action::RefuseLogin(Some(methods.into_iter().collect())))
    }

    /// Refuses such a request on a session channel.
    ///
    /// ```
    /// use rustle_testserver::{Fault, RequestKind};
    ///
    /// let no_terminal = Fault::refuse_request(RequestKind::Pty);
    /// let second_command_refused = Fault::refuse_request(RequestKind::Exec).nth(2);
    /// ```
    #[must_use]
    pub fn refuse_request(kind: RequestKind) -> Self {
        Self::new(Trigger::Request(kind), Action::RefuseRequest)
    }

    /// Says nothing of how a command ended: the channel is closed without `exit-status` and `exit-signal`.
    ///
    /// ```
    /// use rustle_testserver::{Fault};
    ///
    /// let endings = [Fault::omit_exit_status().nth(1), Fault::omit_eof().nth(2), Fault::omit_close().nth(3)];
    /// ```
    #[must_use]
    pub fn omit_exit_status() -> Self {
        Self::new(Trigger::Ending(Ending::ExitStatus), Action::Withhold(None))
    }

    /// Closes the channel of a command that has ended without an EOF before.
    #[must_use]
    pub fn omit_eof() -> Self {
        Self::new(Trigger::Ending(Ending::Eof), Action::Withhold(None))
    }

    /// Leaves the channel of a command that has ended open: EOF and exit status come, CLOSE does not.
    #[must_use]
    pub fn omit_close() -> Self {
        Self::new(Trigger::Ending(Ending::Close), Action::Withhold(None))
    }
}

//! Where the server was asked to listen: a channel that it opens for that finds its listener here, any other finds none.
//!
//! A listener stands here before the server is asked, since a channel may come right behind the answer. Where the port is
//! the server's to choose, such a channel is put aside until the answer was read, which another task does.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

/// How many channels of one listener may wait to be accepted; more are refused. OpenSSH's server lets as many
/// connections wait on a port itself (its backlog).
pub(super) const WAITING: usize = 128;

/// Where the server listens for this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// RFC 4254 section 7.1; port 0 until the server has chosen one.
    Tcpip { address: String, port: u16 },
    /// OpenSSH PROTOCOL section 2.4.
    Streamlocal { path: String },
}

/// The listeners of one connection, for channels of type `C`.
pub(super) struct Listeners<C> {
    table: Mutex<Table<C>>,
    freed: Notify,
}

struct Table<C> {
    entries: Vec<Entry<C>>,
    numbers: u64,
}

/// It stands here until the server has said that it no longer listens.
struct Entry<C> {
    number: u64,
    place: Place,
    /// Closed once nobody accepts any more.
    queue: mpsc::Sender<C>,
    /// What came while the port is not known, and for which port.
    early: Option<Vec<(Place, C)>>,
}

/// A channel that no listener takes, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turned<C> {
    pub(super) channel: C,
    pub(super) why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    NobodyAsked,
    /// The server has not heard yet that nobody accepts any more.
    Over,
    /// [`WAITING`] wait already.
    TooMany,
}

/// Why a place is not to be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotClaimed {
    /// Somebody accepts from there already.
    Taken,
    /// Nobody would accept from there.
    GivenUp,
}

impl<C> Listeners<C> {
    /// Puts a listener there; its number. Where one before it is being ended, waits until the server has said so.
    ///
    /// # Cancel safety
    /// Put there or not.
    pub(super) async fn claim(&self, place: &Place, queue: mpsc::Sender<C>) -> Result<u64, NotClaimed> {
        loop {
            let freed = self.freed.notified();
            {
                let mut table = self.table();
                match table.entries.iter().find(|entry| entry.is_at(place)) {
                    _ if queue.is_closed() => return Err(NotClaimed::GivenUp),
                    None => return Ok(table.put(place.clone(), queue)),
                    Some(entry) if !entry.queue.is_closed() => return Err(NotClaimed::Taken),
                    Some(_) => {}
                }
            }
            tokio::select! {
                () = freed => {}
                () = queue.closed() => return Err(NotClaimed::GivenUp),
            }
        }
    }

    /// The server has chosen this port; what came for another goes where it belongs. What belongs nowhere is given
    /// back.
    pub(super) fn settle(&self, number: u64, chosen: u16) -> Vec<Turned<C>> {
        let mut table = self.table();
        let Some(entry) = table.entries.iter_mut().find(|entry| entry.number == number) else {
            return Vec::new();
        };
        if let Place::Tcpip { port, .. } = &mut entry.place {
            *port = chosen;
        }
        let early = entry.early.take().unwrap_or_default();
        early.into_iter().filter_map(|(at, channel)| table.offer(&at, channel).err()).collect()
    }

    /// Hands a channel to the listener at this place.
    pub(super) fn offer(&self, at: &Place, channel: C) -> Result<(), Turned<C>> {
        self.table().offer(at, channel)
    }

    /// The server no longer listens for this one.
    pub(super) fn forget(&self, number: u64) {
        self.table().entries.retain(|entry| entry.number != number);
        self.freed.notify_waiters();
    }

    fn table(&self) -> MutexGuard<'_, Table<C>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Default for Listeners<C> {
    fn default() -> Self {
        Self { table: Mutex::new(Table { entries: Vec::new(), numbers: 0 }), freed: Notify::new() }
    }
}

impl<C> Table<C> {
    fn put(&mut self, place: Place, queue: mpsc::Sender<C>) -> u64 {
        let number = self.numbers;
        self.numbers += 1;
        let early = place.has_no_port_yet().then(Vec::new);
        self.entries.push(Entry { number, place, queue, early });
        number
    }

    fn offer(&mut self, at: &Place, channel: C) -> Result<(), Turned<C>> {
        let turned = |channel, why| Err(Turned { channel, why });
        if let Some(entry) = self.entries.iter().find(|entry| entry.is_at(at)) {
            return match entry.queue.try_send(channel) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(channel)) => turned(channel, Why::TooMany),
                Err(TrySendError::Closed(channel)) => turned(channel, Why::Over),
            };
        }
        match self.entries.iter_mut().find_map(|entry| entry.early_for(at)) {
            Some(early) if early.len() < WAITING => {
                early.push((at.clone(), channel));
                Ok(())
            }
            Some(_) => turned(channel, Why::TooMany),
            None => turned(channel, Why::NobodyAsked),
        }
    }
}

impl<C> Entry<C> {
    fn is_at(&self, place: &Place) -> bool {
        self.early.is_none() && self.place == *place
    }

    /// Where a channel for this place waits until the port is known, which may turn out to be its own.
    fn early_for(&mut self, at: &Place) -> Option<&mut Vec<(Place, C)>> {
        let may_be_its_own = match (&self.place, at) {
            (Place::Tcpip { address, .. }, Place::Tcpip { address: given, .. }) => address == given,
            _ => false,
        };
        if may_be_its_own && !self.queue.is_closed() { self.early.as_mut() } else { None }
    }
}

impl Place {
    /// Whether the server is still to choose the port.
    pub(super) fn has_no_port_yet(&self) -> bool {
        matches!(self, Self::Tcpip { port: 0, .. })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcpip { address, port } => {
                let address = if address.is_empty() { "*" } else { address };
                match port {
                    0 => write!(f, "a free port of {address}"),
                    port if address.contains(':') => write!(f, "[{address}]:{port}"),
                    port => write!(f, "{address}:{port}"),
                }
            }
            Self::Streamlocal { path } => write!(f, "the socket {path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn tcp(address: &str, port: u16) -> Place {
        Place::Tcpip { address: address.to_owned(), port }
    }

    fn unix(path: &str) -> Place {
        Place::Streamlocal { path: path.to_owned() }
    }

    /// A listener for which nobody has to wait.
    fn put(listeners: &Listeners<u32>, place: &Place) -> (u64, mpsc::Receiver<u32>) {
        let (queue, channels) = mpsc::channel(WAITING);
        (listeners.claim(place, queue).now_or_never().unwrap().unwrap(), channels)
    }

    fn why(offered: Result<(), Turned<u32>>) -> Why {
        offered.unwrap_err().why
    }

    fn all(channels: &mut mpsc::Receiver<u32>) -> Vec<u32> {
        std::iter::from_fn(|| channels.try_recv().ok()).collect()
    }

    #[test]
    fn a_channel_goes_to_the_listener_of_its_address_and_port_or_path_alone() {
        let listeners = Listeners::default();
        let (_, mut local) = put(&listeners, &tcp("localhost", 80));
        let (_, mut every) = put(&listeners, &tcp("", 80));
        let (_, mut socket) = put(&listeners, &unix("/run/a"));
        listeners.offer(&tcp("localhost", 80), 1).unwrap();
        listeners.offer(&tcp("", 80), 2).unwrap();
        listeners.offer(&unix("/run/a"), 3).unwrap();
        for stray in
            [tcp("localhost", 81), tcp("127.0.0.1", 80), tcp("localhost", 0), unix("/run/b"), unix("")]
        {
            assert_eq!(why(listeners.offer(&stray, 9)), Why::NobodyAsked, "{stray}");
        }
        assert_eq!((all(&mut local), all(&mut every), all(&mut socket)), (vec![1], vec![2], vec![3]));
    }

    #[test]
    fn no_more_wait_than_the_bound_and_each_that_is_accepted_makes_room() {
        let listeners = Listeners::default();
        let (_, mut channels) = put(&listeners, &tcp("", 80));
        for channel in 0..128 {
            listeners.offer(&tcp("", 80), channel).unwrap();
        }
        assert_eq!(
            listeners.offer(&tcp("", 80), 128).unwrap_err(),
            Turned { channel: 128, why: Why::TooMany }
        );
        assert_eq!(channels.try_recv(), Ok(0));
        listeners.offer(&tcp("", 80), 129).unwrap();
    }

    #[test]
    fn what_comes_before_the_port_is_known_goes_where_it_belongs_in_its_order() {
        let listeners = Listeners::default();
        let (first, mut first_channels) = put(&listeners, &tcp("", 0));
        let (second, mut second_channels) = put(&listeners, &tcp("", 0));
        assert_eq!(why(listeners.offer(&tcp("localhost", 5001), 9)), Why::NobodyAsked);
        for (port, channel) in [(5002, 1), (5001, 2), (5003, 3), (5002, 4), (0, 5)] {
            listeners.offer(&tcp("", port), channel).unwrap();
        }
        // For the second it is not yet known, so that what is not the first's may be the second's.
        assert!(listeners.settle(first, 5001).is_empty());
        assert_eq!(all(&mut first_channels), [2]);
        let turned: Vec<u32> =
            listeners.settle(second, 5002).into_iter().map(|turned| turned.channel).collect();
        assert_eq!(turned, [3, 5]);
        assert_eq!(all(&mut second_channels), [1, 4]);
        listeners.offer(&tcp("", 5001), 6).unwrap();
        assert_eq!(all(&mut first_channels), [6]);
        assert_eq!(why(listeners.offer(&tcp("", 5003), 7)), Why::NobodyAsked);
    }

    #[test]
    fn no_more_than_the_bound_come_before_the_port_is_known() {
        let listeners = Listeners::default();
        let (number, mut channels) = put(&listeners, &tcp("", 0));
        for channel in 0..128 {
            listeners.offer(&tcp("", 5001), channel).unwrap();
        }
        assert_eq!(why(listeners.offer(&tcp("", 5001), 128)), Why::TooMany);
        assert!(listeners.settle(number, 5001).is_empty());
        assert_eq!(all(&mut channels).len(), 128);
    }

    #[test]
    fn nobody_is_taken_for_one_that_accepts_no_more_and_its_place_comes_free_with_the_server_s_word() {
        let listeners = Listeners::default();
        let place = tcp("localhost", 80);
        let (number, channels) = put(&listeners, &place);
        let (queue, _later) = mpsc::channel(WAITING);
        assert_eq!(listeners.claim(&place, queue.clone()).now_or_never(), Some(Err(NotClaimed::Taken)));
        drop(channels);
        assert_eq!(why(listeners.offer(&place, 1)), Why::Over);
        let mut claim = Box::pin(listeners.claim(&place, queue));
        assert!(claim.as_mut().now_or_never().is_none());
        let (queue, given_up) = mpsc::channel(WAITING);
        let mut other = Box::pin(listeners.claim(&place, queue));
        assert!(other.as_mut().now_or_never().is_none());
        drop(given_up);
        assert_eq!(other.now_or_never(), Some(Err(NotClaimed::GivenUp)));
        listeners.forget(number);
        assert!(claim.now_or_never().is_some_and(|claimed| claimed.is_ok()));
        listeners.offer(&place, 2).unwrap();
    }

    #[test]
    fn one_that_is_given_up_before_its_port_is_known_takes_nothing() {
        let listeners = Listeners::default();
        let (number, channels) = put(&listeners, &tcp("", 0));
        listeners.offer(&tcp("", 5001), 1).unwrap();
        drop(channels);
        assert_eq!(why(listeners.offer(&tcp("", 5001), 2)), Why::NobodyAsked);
        assert_eq!(listeners.settle(number, 5001), [Turned { channel: 1, why: Why::Over }]);
    }

    #[test]
    fn places_are_named_as_a_person_would() {
        let named =
            [tcp("", 80), tcp("localhost", 0), tcp("::1", 80), unix("/run/a")].map(|place| place.to_string());
        assert_eq!(named, ["*:80", "a free port of localhost", "[::1]:80", "the socket /run/a"]);
    }
}

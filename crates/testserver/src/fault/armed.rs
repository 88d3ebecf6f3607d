//! All faults of one server: whose turn it is, and whether each has struck.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Action, Fault, Phase, SftpFault, SftpRequest, Trigger};
use crate::{
    live::FaultReport,
    raw::{Point, Wrong},
};

/// All faults of one server, and how often each has struck.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    faults: Vec<Armed>,
    added: usize,
}

#[derive(Debug)]
struct Armed {
    /// Its place in the order of adding, which forgiving others does not change.
    id: usize,
    fault: Fault,
    seen: usize,
    fired: usize,
}

/// A fault whose moment on one connection is known beforehand: so many bytes, so much time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due<T> {
    pub(crate) at: T,
    id: usize,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        let mut list = self.lock();
        let id = list.added;
        list.added += 1;
        list.faults.push(Armed { id, fault, seen: 0, fired: 0 });
    }

    /// Forgets faults that have not fired.
    pub(crate) fn forgive(&self) {
        self.lock().faults.retain(|armed| armed.fired > 0);
    }

    /// What to do now that `connection` (counted from 1) has come to a moment: the actions of all faults that wait for
    /// it and whose turn it is, in the order in which they were added.
    pub(crate) fn strike(&self, connection: usize, is_now: impl Fn(&Trigger) -> bool) -> Vec<Action> {
        let mut list = self.lock();
        list.faults
            .iter_mut()
            .filter(|armed| is_now(&armed.fault.trigger))
            .filter_map(|armed| armed.turn(connection))
            .collect()
    }

    /// As [`strike`](Self::strike), for the faults of an SFTP request: the turn comes to those that `concerns` takes,
    /// and `act` does what one asks for and says whether that made a difference. One that made none has had its turn
    /// and has not struck. Says how many have struck.
    pub(crate) fn strike_sftp(
        &self,
        connection: usize,
        request: SftpRequest,
        concerns: impl Fn(&SftpFault) -> bool,
        mut act: impl FnMut(&SftpFault) -> bool,
    ) -> usize {
        let mut struck = 0;
        for armed in &mut self.lock().faults {
            let (Trigger::Sftp(waits_for), Action::Sftp(fault)) = (&armed.fault.trigger, &armed.fault.action)
            else {
                continue;
            };
            if waits_for.covers(request)
                && concerns(fault)
                && is_its_turn(&armed.fault, &mut armed.seen, armed.fired, connection)
                && act(fault)
            {
                armed.fired += 1;
                struck += 1;
            }
        }
        struck
    }

    /// As [`strike`](Self::strike), for the faults of the raw peer: `act` does what one asks for, and says whether that
    /// changed anything. Says how many have struck.
    pub(crate) fn strike_raw(
        &self,
        connection: usize,
        point: Point,
        mut act: impl FnMut(&Wrong) -> bool,
    ) -> usize {
        let mut struck = 0;
        for armed in &mut self.lock().faults {
            let is_now = armed.fault.trigger == Trigger::Raw(point);
            let Action::Raw(wrong) = &armed.fault.action else { continue };
            if is_now && is_its_turn(&armed.fault, &mut armed.seen, armed.fired, connection) && act(wrong) {
                armed.fired += 1;
                struck += 1;
            }
        }
        struck
    }

    /// Whether a fault waits for such a moment on this connection, and may still strike.
    pub(crate) fn watches(&self, connection: usize, is_such: impl Fn(&Trigger) -> bool) -> bool {
        self.lock().faults.iter().any(|armed| {
            is_such(&armed.fault.trigger) && armed.fault.matches_connection(connection) && !armed.is_spent()
        })
    }

    /// The faults that strike `connection` at moments known beforehand, the first one first.
    pub(crate) fn schedule<T: Ord>(
        &self,
        connection: usize,
        moment: impl Fn(&Fault) -> Option<T>,
    ) -> Vec<Due<T>> {
        let mut due: Vec<Due<T>> = self
            .lock()
            .faults
            .iter()
            .filter(|armed| armed.fault.matches_connection(connection))
            .filter_map(|armed| Some(Due { at: moment(&armed.fault)?, id: armed.id }))
            .collect();
        due.sort_by(|one, other| one.at.cmp(&other.at));
        due
    }

    /// The faults that strike `connection` by bytes sent to it, given where its identification line ends.
    ///
    /// The phases before the key exchange are such: accept is 0 bytes, banner half a line, key exchange a whole one.
    pub(crate) fn by_bytes_sent(&self, connection: usize, identification: usize) -> Vec<Due<u64>> {
        let line = identification as u64;
        self.schedule(connection, |fault| match &fault.trigger {
            _ if fault.changes_a_byte() => None,
            Trigger::Phase(Phase::Accept) => Some(0),
            Trigger::Phase(Phase::Banner) => Some(line / 2),
            Trigger::Phase(Phase::KeyExchange) => Some(line),
            Trigger::BytesSent(bytes) => Some(*bytes),
            _ => None,
        })
    }

    /// The faults that strike `connection` by bytes received from it.
    pub(crate) fn by_bytes_received(&self, connection: usize) -> Vec<Due<u64>> {
        self.schedule(connection, |fault| match fault.trigger {
            Trigger::BytesReceived(bytes) if !fault.changes_a_byte() => Some(bytes),
            _ => None,
        })
    }

    /// The faults that change a byte sent to `connection`, each with that byte's place.
    pub(crate) fn changes_sent(&self, connection: usize) -> Vec<Due<u64>> {
        self.schedule(connection, |fault| match fault.trigger {
            Trigger::BytesSent(bytes) if fault.changes_a_byte() => Some(bytes),
            _ => None,
        })
    }

    /// The faults that change a byte received from `connection`, each with that byte's place.
    pub(crate) fn changes_received(&self, connection: usize) -> Vec<Due<u64>> {
        self.schedule(connection, |fault| match fault.trigger {
            Trigger::BytesReceived(bytes) if fault.changes_a_byte() => Some(bytes),
            _ => None,
        })
    }

    /// The faults that strike `connection` so long after it was accepted.
    pub(crate) fn by_time(&self, connection: usize) -> Vec<Due<Duration>> {
        self.schedule(connection, |fault| match fault.trigger {
            Trigger::Elapsed(time) => Some(time),
            _ => None,
        })
    }

    /// Notes that the turn of a fault known beforehand has come; says what it does, if it strikes.
    pub(crate) fn strike_due<T>(&self, due: &Due<T>, connection: usize) -> Option<Action> {
        let mut list = self.lock();
        list.faults.iter_mut().find(|armed| armed.id == due.id).and_then(|armed| armed.turn(connection))
    }

    /// Has `pass` let a byte pass that these faults change, given what it is to be changed by; 0 where it is none's turn.
    /// Only when it says that the byte has passed have they struck. Says how many have.
    pub(crate) fn change_byte(
        &self,
        changes: &[Due<u64>],
        connection: usize,
        pass: impl FnOnce(u8) -> bool,
    ) -> usize {
        let mut list = self.lock();
        let is_due = |armed: &Armed| changes.iter().any(|due| due.id == armed.id);
        let due = list.faults.iter().filter(|armed| is_due(armed));
        let mask = due.filter_map(|armed| armed.change(connection)).fold(0, |all, one| all ^ one);
        if !pass(mask) {
            return 0;
        }
        let mut struck = 0;
        for armed in list.faults.iter_mut().filter(|armed| is_due(armed)) {
            let strikes = is_its_turn(&armed.fault, &mut armed.seen, armed.fired, connection);
            // Two that undo each other have changed nothing.
            if strikes && mask != 0 {
                armed.fired += 1;
                struck += 1;
            }
        }
        struck
    }

    /// How many times faults have struck, all together.
    pub(crate) fn fired(&self) -> usize {
        self.lock().faults.iter().map(|armed| armed.fired).sum()
    }

    /// Each fault, and how often it has struck.
    pub(crate) fn reports(&self) -> Vec<FaultReport> {
        let list = self.lock();
        list.faults.iter().map(|armed| FaultReport::new(armed.fault.to_string(), armed.fired)).collect()
    }

    /// The faults that never struck.
    pub(crate) fn unfired(&self) -> Vec<String> {
        let list = self.lock();
        list.faults.iter().filter(|armed| armed.fired == 0).map(|armed| armed.fault.to_string()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn turn(&mut self, connection: usize) -> Option<Action> {
        if !is_its_turn(&self.fault, &mut self.seen, self.fired, connection) {
            return None;
        }
        self.fired += 1;
        Some(self.fault.action.clone())
    }

    /// What it would change a byte by, were this its moment.
    fn change(&self, connection: usize) -> Option<u8> {
        let mut seen = self.seen;
        match self.fault.action {
            Action::Corrupt(_, mask) => {
                is_its_turn(&self.fault, &mut seen, self.fired, connection).then_some(mask)
            }
            _ => None,
        }
    }

    /// Whether it will not strike any more, whatever comes.
    fn is_spent(&self) -> bool {
        self.fault.limit.is_some_and(|n| self.fired >= n) || self.fault.nth.is_some_and(|n| self.seen >= n)
    }
}

/// Counts the moment; says whether it is this fault's.
fn is_its_turn(fault: &Fault, seen: &mut usize, fired: usize, connection: usize) -> bool {
    if !fault.matches_connection(connection) {
        return false;
    }
    *seen += 1;
    fault.nth.is_none_or(|n| n == *seen) && fault.limit.is_none_or(|n| fired < n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Cut;

    fn at(phase: Phase) -> impl Fn(&Trigger) -> bool {
        move |trigger| *trigger == Trigger::Phase(phase)
    }

    #[test]
    fn fault_strikes_only_its_connection_and_turn() {
        let faults = Faults::default();
        faults.add(Fault::refuse_channel().on_connection(2).nth(2));
        assert_eq!(faults.strike(1, at(Phase::ChannelOpen)), []);
        assert_eq!(faults.strike(2, at(Phase::ChannelOpen)), []);
        assert!(matches!(faults.strike(2, at(Phase::ChannelOpen))[..], [Action::Refuse { code: 2, .. }]));
        assert_eq!(faults.strike(2, at(Phase::ChannelOpen)), []);
        assert!(faults.unfired().is_empty());
    }

    #[test]
    fn unfired_fault_is_named_until_forgiven() {
        let faults = Faults::default();
        faults.add(Fault::cut(Phase::Request, Cut::Rst).on_connection(3));
        assert_eq!(faults.unfired(), ["cut (RST) in phase request on connection 3"]);
        faults.forgive();
        assert!(faults.unfired().is_empty());
    }

    #[test]
    fn phases_before_the_key_exchange_are_byte_positions() {
        let faults = Faults::default();
        faults.add(Fault::stall(Phase::KeyExchange));
        faults.add(Fault::stall(Phase::Banner));
        let positions: Vec<u64> = faults.by_bytes_sent(1, 20).iter().map(|fault| fault.at).collect();
        assert_eq!(positions, [10, 20]);
    }

    #[test]
    fn faults_of_one_moment_all_strike() {
        let faults = Faults::default();
        faults.add(Fault::stall(Phase::Request));
        faults.add(Fault::withhold_request());
        faults.add(Fault::withhold_channel_open());
        assert_eq!(faults.strike(1, at(Phase::Request)), [Action::Stall(None), Action::Withhold(None)]);
        assert_eq!(faults.fired(), 2);
    }

    #[test]
    fn number_of_times_is_a_limit() {
        let faults = Faults::default();
        faults.add(Fault::withhold_request().times(2));
        let struck: usize = (0..5).map(|_| faults.strike(1, at(Phase::Request)).len()).sum();
        assert_eq!(struck, 2);
    }

    #[test]
    fn forgiving_one_fault_leaves_the_moment_of_another() {
        let faults = Faults::default();
        faults.add(Fault::cut(Phase::Close, Cut::Fin));
        faults.add(Fault::stall_after(9).times(2));
        let due = faults.by_bytes_sent(1, 20).remove(0);
        assert_eq!(faults.strike_due(&due, 1), Some(Action::Stall(None)));
        faults.forgive();
        assert_eq!(faults.strike_due(&due, 1), Some(Action::Stall(None)));
    }

    #[test]
    fn spent_fault_is_not_watched_for() {
        let faults = Faults::default();
        faults.add(Fault::stall(Phase::Data).times(1));
        faults.add(Fault::stall(Phase::Request).nth(2));
        assert!(faults.watches(1, at(Phase::Data)));
        faults.strike(1, at(Phase::Data));
        assert!(!faults.watches(1, at(Phase::Data)));
        faults.strike(1, at(Phase::Request));
        assert!(faults.watches(1, at(Phase::Request)));
        faults.strike(1, at(Phase::Request));
        assert!(!faults.watches(1, at(Phase::Request)));
    }

    #[test]
    fn byte_is_changed_when_it_passes_and_by_whose_turn_it_is() {
        let faults = Faults::default();
        faults.add(Fault::corrupt_sent(5, 0b01));
        faults.add(Fault::corrupt_sent(5, 0b10).nth(2));
        assert_eq!(faults.by_bytes_sent(1, 20), []);
        let changes = faults.changes_sent(1);
        assert!(changes.iter().all(|due| due.at == 5));
        // One that does not pass is no turn.
        for _ in 0..3 {
            let struck = faults.change_byte(&changes, 1, |mask| {
                assert_eq!(mask, 0b01);
                false
            });
            assert_eq!(struck, 0);
        }
        assert!(!faults.unfired().is_empty());
        assert_eq!(faults.change_byte(&changes, 1, |mask| mask == 0b01), 1);
        assert_eq!(faults.change_byte(&changes, 2, |mask| mask == 0b11), 2);
        assert_eq!(faults.change_byte(&changes, 3, |mask| mask == 0b01), 1);
        assert_eq!(faults.fired(), 4);
    }

    #[test]
    fn changes_that_undo_each_other_have_not_struck() {
        let faults = Faults::default();
        faults.add(Fault::corrupt_received(0, 7));
        faults.add(Fault::corrupt_received(0, 7));
        assert_eq!(faults.change_byte(&faults.changes_received(1), 1, |mask| mask == 0), 0);
        assert_eq!(faults.fired(), 0);
    }
}

//! Signals that end this program, so that it can end what it started first.

use std::io;

use crate::failure::{Failure, Stop};
use crate::printer::Printer;

/// Why the program is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    CtrlC,
    /// Ctrl-\ and `kill -QUIT`; Windows has no such.
    #[cfg_attr(windows, expect(dead_code, reason = "Windows has no such signal"))]
    Quit,
    Terminate,
    HangUp,
}

impl Interrupt {
    /// 128 + the signal's number, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::HangUp => 129,
            Self::CtrlC => 130,
            Self::Quit => 131,
            Self::Terminate => 143,
        }
    }

    /// What becomes of work that is done when this comes after it: nobody waits for those who have not read it yet.
    pub(crate) fn after<T>(self, done: Result<T, Stop>, printer: &Printer) -> Result<T, Stop> {
        match done {
            Ok(_) if printer.is_unread() => Err(Stop::Quietly(self.exit_code())),
            done => done,
        }
    }
}

/// The signals that are listened for, from now on and for the rest of the process.
pub(crate) struct Signals(imp::Signals);

impl Signals {
    /// # Errors
    /// The system does not let this program listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        imp::Signals::listen()
            .map(Self)
            .map_err(|error: io::Error| Failure::io("signals cannot be listened for", &error))
    }

    /// The next one.
    ///
    /// # Cancel safety
    /// No signal is lost.
    pub(crate) async fn next(&mut self) -> Interrupt {
        self.0.next().await
    }

    /// Carries out `work`, unless a signal comes first: then it is dropped, which ends what it began.
    ///
    /// # Cancel safety
    /// Dropped, so is the work.
    pub(crate) async fn unless_interrupted<T>(
        &mut self,
        work: impl Future<Output = Result<T, Stop>>,
    ) -> Result<T, Stop> {
        tokio::select! {
            result = work => result,
            signal = self.next() => Err(Stop::Quietly(signal.exit_code())),
        }
    }
}

#[cfg(unix)]
mod imp {
    use std::io;

    use tokio::signal::unix::{Signal, SignalKind, signal};

    use super::Interrupt;

    pub(super) struct Signals([(Option<Signal>, Interrupt); 4]);

    impl Signals {
        pub(super) fn listen() -> io::Result<Self> {
            let ignored = ignored();
            // What whoever started this program had it ignore stays ignored: `nohup`, and shells that put it in
            // the background.
            let listen = |kind: SignalKind| {
                let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(u32::MAX);
                match ignored.checked_shr(bit).is_some_and(|mask| mask & 1 == 1) {
                    true => Ok(None),
                    false => signal(kind).map(Some),
                }
            };
            Ok(Self([
                (listen(SignalKind::interrupt())?, Interrupt::CtrlC),
                (listen(SignalKind::quit())?, Interrupt::Quit),
                (listen(SignalKind::terminate())?, Interrupt::Terminate),
                (listen(SignalKind::hangup())?, Interrupt::HangUp),
            ]))
        }

        pub(super) async fn next(&mut self) -> Interrupt {
            std::future::poll_fn(|cx| {
                for (signal, meaning) in &mut self.0 {
                    if let Some(signal) = signal
                        && signal.poll_recv(cx).is_ready()
                    {
                        return std::task::Poll::Ready(*meaning);
                    }
                }
                std::task::Poll::Pending
            })
            .await
        }
    }

    /// The signals that this process ignores, as a mask; none where the system has no `/proc` to tell.
    pub(super) fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    }
}

#[cfg(windows)]
mod imp {
    use std::io;

    use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};

    use super::Interrupt;

    pub(super) struct Signals(CtrlC, CtrlBreak, CtrlClose);

    impl Signals {
        pub(super) fn listen() -> io::Result<Self> {
            Ok(Self(ctrl_c()?, ctrl_break()?, ctrl_close()?))
        }

        pub(super) async fn next(&mut self) -> Interrupt {
            tokio::select! {
                _ = self.0.recv() => Interrupt::CtrlC,
                _ = self.1.recv() => Interrupt::Terminate,
                _ = self.2.recv() => Interrupt::HangUp,
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_signal_that_comes_while_nobody_waits_is_there_for_whoever_waits_next() {
        if imp::ignored() >> (Signal::HUP.as_raw() - 1) & 1 == 1 {
            println!("skipped: SIGHUP is ignored here");
            return;
        }
        let (mut signals, mut another) = (Signals::listen().unwrap(), Signals::listen().unwrap());
        kill_process(getpid(), Signal::HUP).unwrap();
        let limit = Duration::from_secs(60);
        // It has come by the time that one listener has it.
        assert_eq!(tokio::time::timeout(limit, another.next()).await.unwrap(), Interrupt::HangUp);
        assert_eq!(tokio::time::timeout(limit, signals.next()).await.unwrap(), Interrupt::HangUp);
    }
}

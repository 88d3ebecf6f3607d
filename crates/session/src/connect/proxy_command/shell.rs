//! How the user's shell runs a line, and how what came of it is ended: the part that differs by system.

use tokio::process::Child;

pub(super) use imp::{Group, command};

#[cfg(unix)]
mod imp {
    use std::ffi::OsString;

    use rustix::process::{Pid, Signal, kill_process, kill_process_group};
    use tokio::process::Command;

    use super::Child;
    use crate::connect::proxy_command::TerminalUse;

    /// Whether the process leads a group.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(in super::super) enum OwnGroup {
        Yes,
        No,
    }

    /// Puts the user's shell (`$0`) in its own place, deaf to what the terminal's keys and its end send to everybody
    /// there. What is ignored stays so in all that it runs, but for what asks for it again.
    const DEAF_TO_THE_TERMINAL: &str = r#"trap '' HUP INT QUIT; exec "$0" -c "$1""#;

    /// The line as ssh has it run: the shell makes way for the command, so that this is what ends.
    pub(in super::super) fn command(line: &str, terminal: TerminalUse) -> (Command, OwnGroup) {
        let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        let shell = shell.unwrap_or_else(|| OsString::from("/bin/sh"));
        let line = format!("exec {line}");
        let at_terminal = || std::fs::File::open("/dev/tty").is_ok();
        if terminal == TerminalUse::Shared && at_terminal() {
            // Who interrupts this program would end the connection first, and with it the way to end what runs on the
            // far side.
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(DEAF_TO_THE_TERMINAL).arg(shell).arg(line);
            return (command, OwnGroup::No);
        }
        let mut command = Command::new(shell);
        command.arg("-c").arg(line).process_group(0);
        (command, OwnGroup::Yes)
    }

    /// The process, with the others of its group where that is its own. Dropped, what is left of the group is killed.
    pub(in super::super) struct Group {
        leader: Option<Pid>,
        own: OwnGroup,
    }

    impl Group {
        pub(in super::super) fn of(child: &Child, own: OwnGroup) -> Self {
            let id = child.id().and_then(|id| i32::try_from(id).ok());
            Self { leader: id.and_then(Pid::from_raw), own }
        }

        /// Asks it to end. Only while the process has not been waited for.
        pub(in super::super) fn ask_to_end(&self) {
            self.signal(match self.own {
                OwnGroup::Yes => Signal::HUP,
                // It was made deaf to the other.
                OwnGroup::No => Signal::TERM,
            });
        }

        /// Ends what is left of its own group; the process itself is its keeper's to end.
        pub(in super::super) fn kill(&self) {
            if self.own == OwnGroup::Yes {
                self.signal(Signal::KILL);
            }
        }

        /// It is over: its number may be another's from now on.
        pub(in super::super) fn forget(&mut self) {
            self.leader = None;
        }

        fn signal(&self, signal: Signal) {
            let Some(leader) = self.leader else { return };
            // One that is gone already is as good.
            let _ = match self.own {
                OwnGroup::Yes => kill_process_group(leader, signal),
                OwnGroup::No => kill_process(leader, signal),
            };
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            self.kill();
        }
    }
}

#[cfg(windows)]
mod imp {
    use std::ffi::OsString;

    use tokio::process::Command;

    use super::Child;
    use crate::connect::proxy_command::TerminalUse;

    /// Consoles have no groups that would matter here.
    pub(in super::super) struct OwnGroup;

    /// The line for the command processor: with `/s` it takes away the outer quotes and leaves all others.
    pub(in super::super) fn command(line: &str, _: TerminalUse) -> (Command, OwnGroup) {
        let shell = std::env::var_os("COMSPEC").filter(|shell| !shell.is_empty());
        let mut command = Command::new(shell.unwrap_or_else(|| OsString::from("cmd.exe")));
        command.raw_arg("/d").raw_arg("/s").raw_arg("/c").raw_arg(format!("\"{line}\""));
        (command, OwnGroup)
    }

    /// Nothing but the process itself, which its keeper terminates: what it started sees its streams end.
    pub(in super::super) struct Group;

    impl Group {
        pub(in super::super) fn of(_: &Child, _: OwnGroup) -> Self {
            Self
        }

        /// There is no such signal.
        pub(in super::super) fn ask_to_end(&self) {}

        pub(in super::super) fn kill(&self) {}

        pub(in super::super) fn forget(&mut self) {}
    }
}

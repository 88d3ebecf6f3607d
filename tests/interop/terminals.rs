//! What runs, and on what, as the configuration says: this program beside ssh.

use std::process::{Command, Output};

use rustle_tests::{Scratch, Server, interop_within, output_of};

use crate::cli::{WITH_BUILD, binary};

/// One configuration, read by both.
struct Both {
    server: Server,
    folder: Scratch,
}

impl Both {
    fn run(&self, lines: &str, flags: &[&str], command: Option<&str>) -> (Output, Output) {
        let port = self.server.sshd().port();
        let known = format!("[127.0.0.1]:{port} {}\n", self.server.sshd().host_key().public_line());
        let known = self.folder.write("known_hosts", known);
        let config = format!(
            "{lines}\nHost web\n HostName 127.0.0.1\n Port {port}\n User {}\n IdentityFile {}\n \
             UserKnownHostsFile {}\n GlobalKnownHostsFile none\n IdentityAgent none\n",
            self.server.user(),
            self.server.key().path().display(),
            known.display(),
        );
        let config = self.folder.write("config", config);
        let prepare = |mut program: Command, words: &[&str]| {
            program.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", self.folder.path());
            program
                .env("TERM", "vt220")
                .env("RUSTLE_A", "one")
                .env("RUSTLE_B", "two")
                .args(flags)
                .args(words);
            output_of(&mut program)
        };
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(&config);
        let theirs = prepare(ssh, &[&["web"], command.as_slice()].concat());
        let mut program = Command::new(binary());
        program.arg("--config").arg(&config).arg("exec");
        let words: &[&str] = if command.is_some() { &["web", "--"] } else { &["web"] };
        let ours = prepare(program, &[words, command.as_slice()].concat());
        (ours, theirs)
    }

    fn same(&self, lines: &str, flags: &[&str], command: Option<&str>) -> String {
        let (ours, theirs) = self.run(lines, flags, command);
        let shown = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            (shown(&ours), ours.status.code()),
            (shown(&theirs), theirs.status.code()),
            "{lines} {flags:?} {command:?}\n{}\n{}",
            String::from_utf8_lossy(&ours.stderr),
            String::from_utf8_lossy(&theirs.stderr)
        );
        shown(&ours)
    }
}

#[test]
fn commands_terminals_and_variables_of_the_configuration_are_as_with_ssh() {
    interop_within(WITH_BUILD, |interop| async move {
        let server = Server::configured(&interop, "AcceptEnv RUSTLE_A\nSubsystem greeter /bin/echo hello");
        let both = Both { server, folder: Scratch::new() };
        let tty = "tty >/dev/null && echo on $TERM || echo on nothing; stty size 2>/dev/null; exit 5";
        assert!(both.same("", &[], Some(tty)).starts_with("on nothing"));
        assert!(both.same("", &["-tt"], Some(tty)).starts_with("on vt220"));
        // Standard input is no terminal here.
        assert!(both.same("", &["-t"], Some(tty)).starts_with("on nothing"));
        assert!(both.same("RequestTTY force", &[], Some(tty)).starts_with("on vt220"));
        assert!(both.same("RequestTTY force", &["-T"], Some(tty)).starts_with("on nothing"));
        assert!(both.same("RequestTTY yes", &[], Some(tty)).starts_with("on nothing"));
        both.same("RequestTTY force", &[], Some("stty -a"));
        let command = "RemoteCommand echo %n %r %p; exit 3";
        assert!(both.same(command, &[], None).starts_with("web "));
        both.same("RemoteCommand echo x\nRequestTTY force", &[], None);
        both.same(command, &[], Some("echo y"));
        assert_eq!(both.same("SessionType subsystem", &[], Some("greeter")), "hello\n");
        both.same("SessionType subsystem", &[], Some("nobody-has-it"));
        let sent = "env | grep ^RUSTLE_ | sort";
        assert_eq!(both.same("SendEnv RUSTLE_*", &[], Some(sent)), "RUSTLE_A=one\n");
        assert_eq!(both.same("SendEnv RUSTLE_*\nSendEnv -RUSTLE_*", &[], Some(sent)), "");
    });
}

//! A host that nobody knew, met by many processes at once, and by a person.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustle_tests::{Scratch, Server, interop_within, output_of};

use crate::cli::{WITH_BUILD, binary, destination};

const PROCESSES: usize = 50;

/// The program in an empty home, with a file of known hosts that may not exist.
fn program(home: &Scratch, server: &Server, known_hosts: &Path, options: &[&str]) -> Command {
    let mut program = Command::new(binary());
    program.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", home.path());
    program.args(["-o", &format!("UserKnownHostsFile={}", known_hosts.display()), "-i"]);
    program.arg(server.key().path());
    for option in options {
        program.args(["-o", option]);
    }
    program
}

#[test]
fn fifty_processes_accept_the_same_new_host_at_once_and_write_one_line() {
    interop_within(WITH_BUILD, |interop| async move {
        let (server, home) = (Server::start(&interop), Scratch::new());
        let known_hosts = home.join("known_hosts");
        let start = || {
            let options = ["StrictHostKeyChecking=accept-new", "HashKnownHosts=no", "ConnectTimeout=120"];
            let mut program = program(&home, &server, &known_hosts, &options);
            program.args(["exec", &destination(server.user(), server.sshd()), "--", "echo in"]);
            program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let processes: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
        let outputs: Vec<Output> =
            processes.into_iter().map(|process| process.wait_with_output().unwrap()).collect();
        for output in outputs {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout, b"in\n");
        }
        let written = std::fs::read_to_string(&known_hosts).unwrap();
        let key = server.sshd().host_key().public_line();
        let key: Vec<&str> = key.split(' ').take(2).collect();
        assert_eq!(written, format!("[127.0.0.1]:{} {}\n", server.sshd().port(), key.join(" ")));
    });
}

#[test]
fn a_person_is_asked_with_the_picture_and_answers_with_the_fingerprint() {
    interop_within(WITH_BUILD, |interop| async move {
        let (server, home) = (Server::start(&interop), Scratch::new());
        let known_hosts = home.join("known_hosts");
        let fingerprint = server.sshd().host_key().fingerprint();
        let ask = home.write(
            "ask",
            format!(
                "#!/bin/sh\nprintf '%s\\n' \"$1\" > {}/asked\necho {fingerprint}\n",
                home.path().display()
            ),
        );
        std::fs::set_permissions(&ask, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut program = program(&home, &server, &known_hosts, &["VisualHostKey=yes", "HashKnownHosts=no"]);
        program.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force");
        let output =
            output_of(program.args(["exec", &destination(server.user(), server.sshd()), "--", "echo in"]));
        assert!(output.status.success(), "{output:?}");
        let asked = std::fs::read_to_string(home.join("asked")).unwrap();
        let drawn =
            Command::new("ssh-keygen").arg("-lvf").arg(server.sshd().host_key().public_path()).output();
        let drawn = String::from_utf8(drawn.unwrap().stdout).unwrap();
        let picture = drawn.split_once('\n').unwrap().1.trim_end();
        for part in [picture, &fingerprint, "known by no other name", "(yes/no/fingerprint)"] {
            assert!(asked.contains(part), "{part} is missing in:\n{asked}");
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(picture) && said.contains(&fingerprint), "{said}");
        assert_eq!(std::fs::read_to_string(known_hosts).unwrap().lines().count(), 1);
    });
}

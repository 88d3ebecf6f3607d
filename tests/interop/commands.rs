//! Commands: how they end, what they read and write, and where they run.

use rustle_session::{EnvFallback, ErrorKind, Reporting, Terminal, Until};
use rustle_tests::{Server, interop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn exit_codes_arrive_as_the_process_left_them() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        for code in [0, 1, 2, 127, 255] {
            let output = session.output(format!("exit {code}")).await.unwrap();
            assert_eq!(output.status.code(), Some(code), "{output:?}");
            assert_eq!(output.status.success(), code == 0);
            assert_eq!(output.status.signal(), None);
        }
    });
}

#[test]
fn death_by_a_signal_is_told_by_its_name() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        for signal in ["TERM", "KILL", "USR1", "HUP", "INT"] {
            let output = session.output(format!("kill -s {signal} $$; sleep 10")).await.unwrap();
            assert_eq!(output.status.signal(), Some(signal), "{output:?}");
            assert_eq!(output.status.code(), None, "a signal is no exit code");
            assert!(!output.status.success());
        }
    });
}

#[test]
fn every_byte_passes_both_ways_unchanged() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let all: Vec<u8> = (0..=255).cycle().take(256 * 300 + 7).collect();
        let output = session.command("cat").stdin(all.clone()).output().await.unwrap();
        assert!(output.stdout == all, "standard input and output");
        let output = session.line("cat >&2").stdin(all.clone()).output().await.unwrap();
        assert!(output.stderr == all, "standard error");
        let without_nul: Vec<u8> = (1..=255).collect();
        let output = session.command("printf").arg("%s").arg(&without_nul).output().await.unwrap();
        assert_eq!(output.stdout, without_nul, "an argument");
    });
}

#[test]
fn standard_error_holds_what_the_command_wrote_with_and_without_the_report() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        for reporting in [Reporting::ProcessGroup, Reporting::Nothing] {
            let command = session.line("echo one >&2; echo two; printf three >&2").reporting(reporting);
            let output = command.output().await.unwrap();
            assert_eq!(output.stderr, "one\nthree", "{reporting:?}");
            assert_eq!(output.stdout, "two\n", "{reporting:?}");
        }
    });
}

#[test]
fn variables_go_by_request_where_accepted_and_else_into_the_command_line() {
    interop(|interop| async move {
        let server = Server::configured(&interop, "AcceptEnv TAKEN_*");
        let session = server.session().await;
        let value = "it's \"two\"\nlines $HOME";
        let command = || session.command("printenv").env("TAKEN_ONE", value);
        let output = command().arg("TAKEN_ONE").output().await.unwrap();
        assert_eq!(output.stdout_text(), format!("{value}\n"));
        assert!(output.variables_in_command_line.is_empty(), "{output:?}");

        // Twice: the second time the refusal is known.
        for _ in 0..2 {
            let output = command().arg("OTHER").env("OTHER", value).output().await.unwrap();
            assert_eq!(output.stdout_text(), format!("{value}\n"));
            assert_eq!(output.variables_in_command_line, ["OTHER"]);
        }
        let refused = command().env("OTHER", value).env_fallback(EnvFallback::Fail).output().await;
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestRefused);
        assert!(
            error.to_string().contains("OTHER") && error.hint().unwrap().contains("AcceptEnv"),
            "{error:?}"
        );
        assert!(!format!("{error:?}").contains("two"), "a variable's value may be a secret: {error:?}");
    });
}

#[test]
fn a_command_runs_in_the_directory_asked_for() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let odd = server.sshd().folder().join("it's a $(folder)");
        std::fs::create_dir(&odd).unwrap();
        let output = session.command("pwd").dir(odd.to_str().unwrap()).output().await.unwrap();
        assert_eq!(output.stdout_text().trim_end(), odd.to_str().unwrap());
        let output = session.line("touch never").dir("/no/such/folder").output().await.unwrap();
        assert!(!output.status.success(), "a command without its directory must not run: {output:?}");
    });
}

#[test]
fn a_terminal_has_its_size_type_and_modes_and_follows_resizes() {
    const ECHO: u8 = 53; // RFC 4254 section 8
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let terminal = Terminal::new("xterm-256color", 120, 40).mode(ECHO, 0);
        let line = "stty size; echo $TERM; stty -a | grep -o -- '-echo '; read go; stty size; tty >&2";
        let mut child = session.line(line).terminal(terminal).spawn().await.unwrap();
        let (mut input, mut output) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
        let mut shown = String::new();
        while !shown.contains("-echo ") {
            let chunk = output.chunk().await.unwrap().unwrap_or_else(|| panic!("it ended after {shown:?}"));
            shown.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert!(shown.starts_with("40 120\r\nxterm-256color\r\n-echo "), "{shown:?}");
        child.resize(132, 50).await.unwrap();
        input.write_all(b"go\n").await.unwrap();
        let mut rest = String::new();
        output.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("50 132\r\n/dev/pts/"), "standard error comes with the rest: {rest:?}");
        assert!(child.wait().await.unwrap().success());
    });
}

#[test]
fn the_login_shell_takes_its_commands_from_standard_input() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let mut child = session.shell().spawn().await.unwrap();
        child.take_stdin().unwrap().write_all(b"echo $((6 * 7))\nexit 3\n").await.unwrap();
        let mut shown = String::new();
        child.take_stdout().unwrap().read_to_string(&mut shown).await.unwrap();
        assert_eq!(shown, "42\n");
        assert_eq!(child.wait().await.unwrap().code(), Some(3));
    });
}

#[test]
fn the_sftp_subsystem_answers_and_an_unknown_one_is_refused() {
    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let mut child = session.subsystem("sftp").spawn().await.unwrap();
        let (mut input, mut output) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
        // SSH_FXP_INIT, version 3 (draft-ietf-secsh-filexfer-02 section 4), answered by SSH_FXP_VERSION.
        input.write_all(&[0, 0, 0, 5, 1, 0, 0, 0, 3]).await.unwrap();
        let mut head = [0; 9];
        output.read_exact(&mut head).await.unwrap();
        assert_eq!(head[4..], [2, 0, 0, 0, 3]);
        input.shutdown().await.unwrap();
        assert!(child.wait().await.unwrap().success());

        let error = session.subsystem("no-such").spawn().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RequestRefused);
        assert!(error.to_string().contains("no-such"), "{error}");
    });
}

#[test]
fn a_process_left_behind_holds_the_channel_unless_only_the_exit_status_is_waited_for() {
    use rustle_tests::{processes, unique_number};
    use std::time::{Duration, Instant};

    interop(|interop| async move {
        let server = Server::start(&interop);
        let session = server.session().await;
        let start = Instant::now();
        let marker = format!("30.{}", unique_number());
        let line = format!("sleep {marker} & echo started");
        let output = session.line(&line).until(Until::ExitStatus).output().await.unwrap();
        assert_eq!((&output.stdout[..], output.status.code()), (&b"started\n"[..], Some(0)));
        assert!(start.elapsed() < Duration::from_secs(15), "it waited for {:?}", start.elapsed());
        processes::with_text(&marker).into_iter().for_each(processes::kill);

        let marker = format!("1.{}", unique_number());
        let start = Instant::now();
        let output = session.line(format!("sleep {marker} & echo started")).output().await.unwrap();
        assert_eq!(output.stdout, "started\n");
        assert!(start.elapsed() >= Duration::from_secs(1), "as ssh, it waits for who holds the output");
        // `sleep` closes its output a moment before it is gone.
        processes::assert_none_left(&marker).await;
    });
}

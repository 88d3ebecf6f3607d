//! What the configuration says about the command to run, and through which hosts.

use std::process::Stdio;

use rustle_testserver::{Builder, CommandKind, TestServer, User};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::host::{Host, finish};

/// The same arguments after these options of the configuration.
async fn exec(host: &Host, options: &[&str], arguments: &[&str]) -> crate::host::Ran {
    let mut all = vec!["exec", "-n"];
    for option in options {
        all.extend(["-o", option]);
    }
    all.extend(arguments);
    host.run(&all).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configurations_command_runs_where_none_is_typed() {
    let host = Host::start().await;
    let ran = exec(&host, &["RemoteCommand=echo at %n as %r"], &["web"]).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "at web as test\n", ""));

    let ran = exec(&host, &["RemoteCommand=echo x"], &["web", "--", "echo y"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), ""));
    assert!(ran.stderr.contains("RemoteCommand") && ran.stderr.contains("hint: "), "{}", ran.stderr);

    let ran = exec(&host, &[], &["web"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), ""));
    assert!(ran.stderr.contains("no command was given"), "{}", ran.stderr);
    assert_eq!(host.server.record().commands().len(), 1);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subsystem_is_named_in_place_of_a_command() {
    let host = Host::with(TestServer::builder().subsystem_fn("greeter", async |mut call| {
        drop(call.stdout().send("hello\n").await);
        rustle_testserver::Exit::Code(0)
    }))
    .await;
    let ran = exec(&host, &["SessionType=subsystem", "SetEnv=GREETING=x"], &["web", "--", "greeter"]).await;
    assert_eq!((ran.code, ran.stdout(), ran.stderr.as_str()), (Some(0), "hello\n", ""));
    assert_eq!(host.server.record().commands()[0].kind(), CommandKind::Subsystem);
    let ran = exec(&host, &["SessionType=subsystem"], &["web"]).await;
    assert!(ran.code == Some(255) && ran.stderr.contains("subsystem"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_for_nothing_runs_nothing_and_says_when_it_is_lost() {
    let host = Host::start().await;
    let ran = exec(&host, &["SessionType=none"], &["web", "--", "echo x"]).await;
    assert!(ran.code == Some(255) && ran.stderr.contains("SessionType"), "{}", ran.stderr);
    assert_eq!(host.server.record().connections_accepted(), 0);

    let password = host.path("password");
    let arguments = ["exec", "-vv", "--password-file", &password, "-o", "SessionType=none", "web"];
    let mut child = host.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        told.push_str(&line);
        if line.contains("authenticated") {
            host.server.cut_all(rustle_testserver::Cut::Rst);
        }
    }
    assert_eq!(child.wait().await.unwrap().code(), Some(255));
    assert!(told.contains("the connection is gone: "), "{told}");
    assert_eq!(host.server.record().channels_opened_total(), 0);
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn local_variables_are_sent_by_pattern_and_left_out_where_they_are_not_taken() {
    for (builder, expected) in [
        (TestServer::builder().builtins().accept_env(["RUSTLE_TEST_A", "RUSTLE_TEST_B"]), true),
        (TestServer::builder().builtins().accept_env(["OTHER"]), false),
    ] {
        let host = Host::with(builder).await;
        let password = host.path("password");
        let options = ["exec", "-n", "--password-file", &password, "-o", "SendEnv=RUSTLE_TEST_*", "--raw"];
        let mut command = host.command(&[&options[..], &["web", "--", "env"]].concat());
        command.env("RUSTLE_TEST_A", "one").env("RUSTLE_TEST_B", "two").env("RUSTLE_OTHER", "three");
        let ran = finish(command, b"").await;
        let mut lines: Vec<&str> = ran.stdout().lines().collect();
        lines.sort_unstable();
        let sent = ["RUSTLE_TEST_A=one", "RUSTLE_TEST_B=two"];
        assert_eq!(lines, if expected { &sent[..] } else { &[] }, "{}", ran.stderr);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        host.server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configurations_standard_input_and_voice_are_followed() {
    let host = Host::start().await;
    let password = host.path("password");
    let all = ["exec", "--password-file", &password, "-o", "StdinNull=yes", "--raw", "web", "--", "wc -c"];
    let ran = finish(host.command(&all), b"never read").await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), "0\n"));

    // Said with -v, by LogLevel as well; not where something else was typed.
    let idle = "ForwardX11=yes";
    let said = |ran: &crate::host::Ran| ran.stderr.contains("ForwardX11");
    assert!(!said(&exec(&host, &[idle], &["web", "--", "true"]).await));
    assert!(said(&exec(&host, &[idle, "LogLevel=VERBOSE"], &["web", "--", "true"]).await));
    assert!(!said(&exec(&host, &[idle, "LogLevel=VERBOSE"], &["-q", "web", "--", "true"]).await));
    let quiet = exec(&host, &["LocalForward=1 h:2", "LogLevel=QUIET"], &["web", "--", "true"]).await;
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""));
    let told = exec(&host, &["LocalForward=1 h:2"], &["web", "--", "true"]).await;
    assert!(told.code == Some(0) && told.stderr.contains("LocalForward"), "{}", told.stderr);
    host.server.stop().await.unwrap();
}

/// A host behind another one, which lets its key in and connections through.
async fn behind(bastion: Builder) -> (TestServer, Host) {
    let keys = TestServer::builder().start().await.unwrap();
    let (private, public) = (keys.host_private_key_openssh().unwrap(), keys.host_key_openssh());
    keys.stop().await.unwrap();
    let bastion = bastion.user(User::new("ops").public_key(&public)).start().await.unwrap();
    let host = Host::start().await;
    host.write("key", &private);
    host.write("known_hosts", &format!("{}{}", bastion.known_hosts_line(), host.server.known_hosts_line()));
    let config = std::fs::read_to_string(host.path("config")).unwrap();
    let block = format!(
        "Host bastion\n HostName 127.0.0.1\n Port {}\n User ops\n IdentityFile \"{}\"\n",
        bastion.port(),
        host.path("key")
    );
    host.write("config", &format!("{block}{config}"));
    (bastion, host)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_reached_through_another_by_that_ones_own_configuration() {
    let (bastion, host) =
        behind(TestServer::builder().direct_tcpip().banner("bastion\u{1b}[2J says hello\n")).await;
    let ran = exec(&host, &["ProxyJump=bastion"], &["--raw", "web", "--", "echo through"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), "through\n"), "{}", ran.stderr);
    assert_eq!(ran.stderr, "bastion[2J says hello\n", "shown, and it moves no cursor");
    assert_eq!(bastion.record().channels_opened_total(), 1);
    // The password is the target's: it was not shown to the host on the way.
    assert!(!bastion.record().transcript().to_string().contains("password"));

    let tested = host.run(&["-o", "ProxyJump=bastion", "test-connection", "web"]).await;
    assert_eq!(tested.code, Some(0), "{}", tested.told());

    // A host that does not let anybody through is named.
    bastion.stop().await.unwrap();
    host.server.stop().await.unwrap();
    let (bastion, host) = behind(TestServer::builder()).await;
    let ran = exec(&host, &["ProxyJump=bastion"], &["web", "--", "true"]).await;
    assert_eq!(ran.code, Some(255));
    let shown = &ran.stderr;
    assert!(shown.starts_with("error: test@127.0.0.1:") || shown.starts_with("error: 127.0.0.1:"), "{shown}");
    assert!(shown.contains("through jump host bastion: the server does not permit this channel"), "{shown}");
    let ran = exec(&host, &["ProxyJump=bastion"], &["--format", "json", "web", "--", "true"]).await;
    assert!(ran.stderr.contains("\"SSH_CHANNEL_ERROR\""), "{}", ran.stderr);
    bastion.stop().await.unwrap();
    host.server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_proxy_command_says_is_shown_and_its_end_explains_the_failure() {
    let host = Host::start().await;
    let line = if cfg!(windows) {
        "ProxyCommand=echo no way to %h 1>&2& exit 3"
    } else {
        "ProxyCommand=sh -c 'echo no way to %h >&2; exit 3'"
    };
    let ran = exec(&host, &[line], &["web", "--", "true"]).await;
    assert_eq!(ran.code, Some(255));
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines[0].trim(), "no way to 127.0.0.1", "{}", ran.stderr);
    assert!(lines[1].contains("ProxyCommand ended") && lines[1].contains("3: no way to"), "{}", ran.stderr);
    assert_eq!(host.server.record().connections_accepted(), 0);
    host.server.stop().await.unwrap();
}

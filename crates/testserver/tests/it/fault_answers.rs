//! Faults in what is answered, seen at the client: refused, late, or left out.

use std::time::Duration;

use russh::{ChannelMsg, MethodKind, client::AuthResult};
use rustle_testserver::{AuthOutcome, Cut, Exit, Fault, Method, Phase, Reply, RequestKind, TestServer, User};
use tokio::time::{Instant, timeout};

use crate::client::{Client, LIMIT, alice, collect};

const HOURS: Duration = Duration::from_secs(10_000);

async fn with(fault: Fault) -> TestServer {
    TestServer::builder().user(alice()).builtins().sftp_temp_dir().fault(fault).start().await.unwrap()
}

fn methods(result: &AuthResult) -> Vec<MethodKind> {
    match result {
        AuthResult::Failure { remaining_methods, .. } => remaining_methods.iter().copied().collect(),
        AuthResult::Success => panic!("logged in"),
    }
}

#[tokio::test(start_paused = true)]
async fn nth_login_is_refused_although_all_was_right() {
    let server = with(Fault::refuse_login().nth(2)).await;
    let first = Client::alice_in_memory(&server).await;
    assert_eq!(first.output("echo in").await.text(), "in\n");
    let mut second = Client::over(server.duplex()).await.unwrap();
    // Attempts that fail anyway are no logins.
    assert!(!second.password("alice", "wrong").await.success());
    assert_eq!(methods(&second.password("alice", "wonderland").await), [MethodKind::Password]);
    assert!(second.password("alice", "wonderland").await.success());
    let outcomes: Vec<_> =
        server.record().auth_attempts().iter().map(rustle_testserver::AuthAttempt::outcome).collect();
    assert_eq!(
        outcomes,
        [AuthOutcome::Accepted, AuthOutcome::Refused, AuthOutcome::Refused, AuthOutcome::Accepted]
    );
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_login_names_the_methods_it_was_told() {
    let server = with(Fault::refuse_login_with([Method::PublicKey, Method::KeyboardInteractive])).await;
    let mut client = Client::over(server.duplex()).await.unwrap();
    let refused = methods(&client.password("alice", "wonderland").await);
    assert_eq!(refused.len(), 2);
    assert!(refused.contains(&MethodKind::PublicKey) && refused.contains(&MethodKind::KeyboardInteractive));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn login_refused_at_its_last_step_begins_anew() {
    let dave = User::new("dave")
        .password("first")
        .keyboard_interactive([rustle_testserver::Round::new()])
        .steps([Method::Password, Method::KeyboardInteractive]);
    let server = TestServer::builder().user(dave).fault(Fault::refuse_login().once()).start().await.unwrap();
    let mut client = Client::over(server.duplex()).await.unwrap();
    assert_eq!(methods(&client.password("dave", "first").await), [MethodKind::KeyboardInteractive]);
    client.handle.authenticate_keyboard_interactive_start("dave", None::<String>).await.unwrap();
    let refused = client.handle.authenticate_keyboard_interactive_respond(Vec::new()).await.unwrap();
    assert!(
        matches!(
            &refused,
            russh::client::KeyboardInteractiveAuthResponse::Failure { remaining_methods, .. }
                if remaining_methods.iter().eq([&MethodKind::Password])
        ),
        "{refused:?}"
    );
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refused_requests_fail_and_the_channel_lives() {
    for (kind, name) in [
        (RequestKind::Exec, "exec"),
        (RequestKind::Subsystem, "subsystem"),
        (RequestKind::Pty, "pty-req"),
        (RequestKind::Env, "env"),
    ] {
        let server = with(Fault::refuse_request(kind).once()).await;
        let client = Client::alice_in_memory(&server).await;
        let mut channel = client.open().await;
        for _ in 0..2 {
            match kind {
                RequestKind::Exec => channel.exec(true, "echo x").await.unwrap(),
                RequestKind::Subsystem => channel.request_subsystem(true, "sftp").await.unwrap(),
                RequestKind::Pty => channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap(),
                _ => channel.set_env(true, "LANG", "C").await.unwrap(),
            }
        }
        assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)), "{name}");
        assert!(matches!(channel.wait().await, Some(ChannelMsg::Success)), "{name}");
        assert_eq!(server.record().channels()[0].refused_requests(), [name]);
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn refused_shell_fails() {
    let server = TestServer::builder()
        .user(alice())
        .login_shell(Reply::stdout("$ "))
        .fault(Fault::refuse_request(RequestKind::Shell).once())
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let mut channel = client.open().await;
    channel.request_shell(true).await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    channel.request_shell(true).await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Success)));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn withheld_answers_come_late_and_hold_up_nobody_else() {
    let minute = Duration::from_secs(60);
    for fault in [
        Fault::withhold_channel_open().for_time(minute).nth(1),
        Fault::withhold_request().for_time(minute).nth(1),
    ] {
        let named = fault.to_string();
        let server = with(fault).await;
        let client = Client::alice_in_memory(&server).await;
        let begin = Instant::now();
        let late = client.output("echo late");
        let other = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let output = client.output("echo on time").await;
            (output, begin.elapsed())
        };
        let (late, (other, then)) = tokio::join!(late, other);
        assert_eq!((late.text(), other.text()), ("late\n", "on time\n"));
        assert!(then < Duration::from_secs(2), "{named}: {then:?}");
        assert!((minute..minute * 2).contains(&begin.elapsed()), "{named}: {:?}", begin.elapsed());
        server.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn exit_status_eof_and_close_can_be_left_out() {
    let seen = async |fault: Fault| {
        let server = with(fault).await;
        let client = Client::alice_in_memory(&server).await;
        let mut channel = client.exec("echo hello").await;
        let mut seen = Vec::new();
        let mut silent = false;
        loop {
            match timeout(HOURS, channel.wait()).await {
                Ok(Some(ChannelMsg::ExitStatus { .. })) => seen.push("exit"),
                Ok(Some(ChannelMsg::Eof)) => seen.push("eof"),
                Ok(Some(ChannelMsg::Close)) => seen.push("close"),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => {
                    silent = true;
                    break;
                }
            }
        }
        if silent {
            assert_eq!(server.record().channels_open(), 1);
            channel.close().await.unwrap();
        }
        server.wait_until(|record| record.channels_open() == 0, LIMIT).await.unwrap();
        server.stop().await.unwrap();
        (seen, silent)
    };
    assert_eq!(seen(Fault::omit_exit_status()).await, (vec!["eof", "close"], false));
    assert_eq!(seen(Fault::omit_eof()).await, (vec!["exit", "close"], false));
    assert_eq!(seen(Fault::omit_close()).await, (vec!["exit", "eof"], true));
}

#[tokio::test(start_paused = true)]
async fn noise_comes_before_commands_shells_and_subsystems() {
    let server = TestServer::builder()
        .user(alice().startup_noise("hello alice\n"))
        .user(User::new("bob").password("builder"))
        .builtins()
        .sftp_temp_dir()
        .login_shell(Reply::stdout("$ "))
        .startup_noise("motd\n")
        .startup_noise_stderr("stdin: is not a tty\n")
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let output = client.output("echo done").await;
    assert_eq!(output.text(), "hello alice\nmotd\ndone\n");
    assert_eq!(output.errors(), "stdin: is not a tty\n");
    let channel = client.open().await;
    channel.request_shell(true).await.unwrap();
    channel.eof().await.unwrap();
    assert_eq!(collect(channel).await.text(), "hello alice\nmotd\n$ ");
    // What an SFTP client takes for a packet of 1.7 GB.
    let mut channel = client.open().await;
    channel.request_subsystem(true, "sftp").await.unwrap();
    let data = loop {
        match channel.wait().await.unwrap() {
            ChannelMsg::Data { data } => break data,
            ChannelMsg::Close => panic!("closed"),
            _ => {}
        }
    };
    assert_eq!(data.as_ref(), b"hello alice\nmotd\n");
    let mut bob = Client::over(server.duplex()).await.unwrap();
    assert!(bob.password("bob", "builder").await.success());
    assert_eq!(bob.output("true").await.text(), "motd\n");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_said_gives_nothing_to_strike_at() {
    // Without output there is no data, and who says nothing of its end has nothing to leave out.
    let server = TestServer::builder()
        .user(alice())
        .command("quiet", Reply::new())
        .command("silent", Reply::new().ends(Exit::Silent))
        .fault(Fault::cut(Phase::Data, Cut::Fin))
        .fault(Fault::omit_exit_status().on_connection(2))
        .start()
        .await
        .unwrap();
    assert_eq!(Client::alice_in_memory(&server).await.output("quiet").await.code, Some(0));
    assert_eq!(Client::alice_in_memory(&server).await.output("silent").await.code, None);
    assert_eq!(server.faults_fired(), 0);
    server.expect_unfired();
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn refusals_come_late_too() {
    let minute = Duration::from_secs(60);
    let server = TestServer::builder()
        .user(alice())
        .max_sessions(1)
        .fault(Fault::withhold_channel_open().for_time(minute).nth(2))
        .fault(Fault::withhold_request().for_time(minute).once())
        .start()
        .await
        .unwrap();
    let client = Client::alice_in_memory(&server).await;
    let mut channel = client.open().await;
    let begin = Instant::now();
    channel.request_subsystem(true, "unknown").await.unwrap();
    assert!(matches!(channel.wait().await, Some(ChannelMsg::Failure)));
    assert!((minute..minute * 2).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    let begin = Instant::now();
    assert!(client.handle.channel_open_session().await.is_err());
    assert!((minute..minute * 2).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    server.stop().await.unwrap();
}

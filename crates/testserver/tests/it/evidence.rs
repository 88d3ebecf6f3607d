//! The record, the waits on it, and what a test is told when it expected something else.

use std::{future::Ready, panic::AssertUnwindSafe, time::Duration};

use rustle_testserver::{
    Cut, ErrorKind, Exit, Fault, Method, Phase, RawPeer, RawScript, RawServer, Reply, Target, TestServer,
    User, Verdict,
};

use crate::client::{Client, LIMIT, alice, collect};
use russh::client::KeyboardInteractiveAuthResponse;

fn panic_text(run: impl FnOnce()) -> String {
    let payload = std::panic::catch_unwind(AssertUnwindSafe(run)).expect_err("did not panic");
    payload
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap()
}

#[tokio::test]
async fn fault_that_never_fired_is_an_error_of_stop() {
    let server =
        TestServer::builder().seed(17).fault(Fault::cut(Phase::Data, Cut::Fin)).start().await.unwrap();
    let error = server.stop().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expectation);
    assert!(error.to_string().contains("cut (FIN) in phase data"), "{error}");
    assert!(error.to_string().contains("seed: 17"), "{error}");
}

#[tokio::test]
async fn fault_that_never_fired_panics_on_drop_and_is_named() {
    let server = TestServer::builder().seed(5).fault(Fault::stall_after(7)).start().await.unwrap();
    let text = panic_text(|| drop(server));
    assert!(text.contains("stall after 7 bytes sent") && text.contains("seed: 5"), "{text}");
}

#[tokio::test]
async fn fault_that_may_stay_unfired_is_no_error() {
    let server = TestServer::builder().fault(Fault::stall(Phase::Close)).start().await.unwrap();
    server.expect_unfired();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn raw_script_that_was_never_played_is_an_error() {
    let server = RawServer::start(RawScript::silent()).await.unwrap();
    assert_eq!(server.stop().await.unwrap_err().kind(), ErrorKind::Expectation);
    let server = RawServer::start(RawScript::silent()).await.unwrap();
    assert!(panic_text(|| drop(server)).contains("never played"));
}

#[tokio::test]
async fn failed_assertion_shows_the_record() {
    let server = TestServer::builder().user(alice()).command("id", Reply::new()).start().await.unwrap();
    let client = Client::alice(&server).await;
    client.output("id").await;
    server.assert_logged_in("alice", Method::Password);
    server.assert_command_ran("id");
    let text = panic_text(|| server.assert_command_ran("whoami"));
    assert!(text.contains("\"whoami\"") && text.contains("\"id\"") && text.contains("exit code 0"), "{text}");
    let text = panic_text(|| server.assert_no_connections_open());
    assert!(text.contains("1 open"), "{text}");
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn wait_that_times_out_shows_the_record_and_the_seed() {
    let server = TestServer::builder().seed(99).start().await.unwrap();
    let error = server.wait_until(|record| record.eofs() > 0, Duration::from_secs(3600)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        error.to_string().contains("connections: 0 accepted") && error.to_string().contains("seed: 99"),
        "{error}"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn eof_close_and_end_are_recorded() {
    let server = TestServer::builder().user(alice()).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    let channel = client.exec("stall").await;
    channel.eof().await.unwrap();
    channel.close().await.unwrap();
    server.wait_until(|record| record.eofs() == 1 && record.closes() == 1, LIMIT).await.unwrap();
    client.handle.disconnect(russh::Disconnect::ByApplication, "", "").await.unwrap();
    drop(client);
    server.wait_until_idle(LIMIT).await.unwrap();
    let record = server.record();
    let connection = &record.connections()[0];
    assert_eq!(connection.ended(), Some(&rustle_testserver::End::Client));
    assert!(connection.client().unwrap().starts_with("SSH-2.0-russh"), "{:?}", connection.client());
    assert!(record.bytes_in() > 500 && record.bytes_out() > 500);
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_record_under_paused_time() {
    let mut records = Vec::new();
    for _ in 0..5 {
        let server = TestServer::builder().user(alice()).builtins().seed(3).start().await.unwrap();
        let client = Client::alice_in_memory(&server).await;
        // No EOF is sent: whether it comes before the command's own end is a race.
        collect(client.exec("echo hello").await).await;
        let channel = client.exec("sleep 5").await;
        collect(channel).await;
        drop(client);
        server.wait_until_idle(LIMIT).await.unwrap();
        records.push(server.record().to_string());
        server.stop().await.unwrap();
    }
    assert!(records.iter().all(|record| *record == records[0]), "{records:#?}");
}

/// Set in the process that [`seed_comes_from_the_environment`] starts.
const CHILD: &str = "RUSTLE_TEST_SEED_CHILD";

#[tokio::test]
async fn seed_of_a_child_is_that_of_its_environment() {
    if let Ok(expected) = std::env::var(CHILD) {
        let server = TestServer::builder().start().await.unwrap();
        assert_eq!(server.seed().to_string(), expected);
        let given = TestServer::builder().seed(5).start().await.unwrap();
        assert_eq!(given.seed(), 5, "what the test says goes before");
    }
}

#[test]
fn seed_comes_from_the_environment() {
    let run = |seed: &str| {
        std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "evidence::seed_of_a_child_is_that_of_its_environment"])
            .env("RUSTLE_TEST_SEED", seed)
            .env(CHILD, "123456789")
            .output()
            .unwrap()
    };
    let right = run("123456789");
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stdout));
    assert!(!run("4").status.success(), "a wrong seed passes: the child did not run");
    let nonsense = run("three");
    assert!(
        String::from_utf8_lossy(&nonsense.stdout).contains("is no number below 2^64"),
        "{}",
        String::from_utf8_lossy(&nonsense.stdout)
    );
}

#[tokio::test]
async fn condition_of_a_wait_may_ask_the_server_and_a_wait_may_be_without_end() {
    let server = TestServer::builder().user(alice()).start().await.unwrap();
    let client = async {
        let client = Client::alice(&server).await;
        drop(client);
    };
    let waited = server.wait_until(|_| server.record().connections_accepted() == 1, Duration::MAX);
    let (waited, ()) = tokio::time::timeout(LIMIT, async { tokio::join!(waited, client) }).await.unwrap();
    waited.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn scripted_commands_that_nobody_asked_for_are_an_error_where_they_are_expected() {
    let builder = || {
        TestServer::builder()
            .user(alice())
            .command("asked for", Reply::new())
            .command("df", Reply::new())
            .command_matching("systemctl * web", Reply::new())
            .login_shell(Reply::new())
            .subsystem_fn("netconf", async |_| Exit::SUCCESS)
    };
    builder().start().await.unwrap().stop().await.unwrap();

    let server = builder().expect_commands().start().await.unwrap();
    assert_eq!(Client::alice(&server).await.output("asked for").await.code, Some(0));
    server.add_command("df", Reply::new());
    let error = server.verify().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Expectation);
    // The second answer to it has taken the place of the first.
    let expected = "never happened: the command \"systemctl * web\"; the command \"df\"; the login shell; \
                    the subsystem \"netconf\"; drive";
    assert!(error.to_string().contains(expected), "{error}");
    server.expect_unfired();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn script_of_the_raw_peer_that_was_never_played_is_an_error() {
    let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
    let peer = RawPeer::new().script(move |mut peer| {
        begun.send(()).unwrap();
        async move { drop(peer.accept_login().await) }
    });
    let played = TestServer::builder().raw_peer(peer.clone()).start().await.unwrap();
    let client = Client::connect(&played).await.unwrap();
    begins.recv().await.unwrap();
    drop(client);
    played.stop().await.unwrap();
    let unplayed = TestServer::builder().raw_peer(peer).start().await.unwrap();
    let error = unplayed.stop().await.unwrap_err();
    assert!(error.to_string().contains("never happened: the script of the raw peer;"), "{error}");
}

#[tokio::test]
async fn assertion_in_code_of_the_test_fails_it_and_holds_up_nobody() {
    async fn panics_at(builder: rustle_testserver::Builder, what: &str, visit: impl AsyncFn(Client)) {
        let server = builder.user(alice()).start().await.unwrap();
        visit(Client::connect(&server).await.unwrap()).await;
        server.wait_until_idle(LIMIT).await.unwrap();
        let expected = format!("code of the test has panicked in the server: {what}: as asked");
        assert!(server.verify().unwrap_err().to_string().contains(&expected), "{what}");
        assert_eq!(server.stop().await.unwrap_err().kind(), ErrorKind::Expectation);
    }
    async fn logged_in(mut client: Client) -> Client {
        assert!(client.password("alice", "wonderland").await.success());
        client
    }

    let command = TestServer::builder().command_fn("deploy", async |_| panic!("as asked"));
    panics_at(command, "the answer to \"deploy\"", async |client| {
        let output = logged_in(client).await.output("deploy").await;
        assert_eq!((output.code, output.signal), (None, None));
    })
    .await;

    let target = TestServer::builder().forward_target("db", 1, Target::closure(async |_| panic!("as asked")));
    panics_at(target, "a target", async |client| {
        let client = logged_in(client).await;
        let channel = client.handle.channel_open_direct_tcpip("db", 1, "127.0.0.1", 1).await.unwrap();
        assert_eq!(collect(channel).await.stdout, b"");
    })
    .await;

    let asker = User::new("asker").keyboard_interactive_fn(async |_| panic!("as asked"));
    panics_at(TestServer::builder().user(asker), "a dialogue of keyboard-interactive", async |mut client| {
        let start = client.handle.authenticate_keyboard_interactive_start("asker", None).await.unwrap();
        assert!(matches!(start, KeyboardInteractiveAuthResponse::Failure { .. }), "{start:?}");
        logged_in(client).await;
    })
    .await;

    // Also before the first question, and before there is anything to wait for.
    let refuser = User::new("asker").keyboard_interactive_fn(|_| -> Ready<Verdict> { panic!("as asked") });
    panics_at(
        TestServer::builder().user(refuser),
        "a dialogue of keyboard-interactive",
        async |mut client| {
            let start = client.handle.authenticate_keyboard_interactive_start("asker", None).await.unwrap();
            assert!(matches!(start, KeyboardInteractiveAuthResponse::Failure { .. }), "{start:?}");
            logged_in(client).await;
        },
    )
    .await;

    let peer = RawPeer::new().script(async |_| panic!("{} asked", "as"));
    panics_at(TestServer::builder().raw_peer(peer), "the script of the raw peer", async |client| {
        client.ended().await;
    })
    .await;
}

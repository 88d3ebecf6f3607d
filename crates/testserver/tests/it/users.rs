//! Users with conversations, limits and habits of their own.

use std::{sync::Arc, time::Duration};

use russh::{
    MethodKind,
    client::{Handle, KeyboardInteractiveAuthResponse},
};
use rustle_testserver::{
    AuthOutcome, Dialog, ErrorKind, Method, OneTimeCodes, Round, TestServer, User, Verdict,
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    authentication::{outcomes, remaining},
    client::{Client, Trusting, alice},
};

/// What a conversation has come to.
#[derive(Debug, PartialEq, Eq)]
enum Came {
    In,
    Refused,
    To(String),
}

fn came(response: KeyboardInteractiveAuthResponse) -> Came {
    match response {
        KeyboardInteractiveAuthResponse::Success => Came::In,
        KeyboardInteractiveAuthResponse::Failure { .. } => Came::Refused,
        KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
            Came::To(prompts.into_iter().map(|prompt| prompt.prompt).collect())
        }
    }
}

/// Answers question by question, on a connection of its own, and tells what came of the last.
async fn converse(server: &TestServer, user: &str, answers: &[&str]) -> Came {
    let mut client = Client::connect(server).await.unwrap();
    converse_on(&mut client.handle, user, answers).await
}

/// As [`converse`], on this connection. (The base's client cannot leave questions open and begin anew.)
async fn converse_on(handle: &mut Handle<Trusting>, user: &str, answers: &[&str]) -> Came {
    let mut last = handle.authenticate_keyboard_interactive_start(user, None).await.unwrap();
    for answer in answers {
        last = handle.authenticate_keyboard_interactive_respond(vec![(*answer).to_owned()]).await.unwrap();
    }
    came(last)
}

#[tokio::test]
async fn expired_password_is_changed_as_pam_asks() {
    let server =
        TestServer::builder().user(User::new("alice").expired_password("old")).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    assert!(!client.password("alice", "old").await.success());
    assert_eq!(converse(&server, "alice", &[]).await, Came::To("Password: ".to_owned()));
    assert_eq!(converse(&server, "alice", &["wrong"]).await, Came::Refused);
    let Came::To(asked) = converse(&server, "alice", &["old"]).await else { panic!("nothing asked") };
    assert!(asked.starts_with("You are required to change your password immediately"), "{asked}");
    assert!(asked.ends_with("\nCurrent password: "), "{asked}");
    assert_eq!(converse(&server, "alice", &["old", "wrong"]).await, Came::Refused);
    let new = converse(&server, "alice", &["old", "old"]).await;
    assert_eq!(new, Came::To("New password: ".to_owned()));
    let again = converse(&server, "alice", &["old", "old", "new"]).await;
    assert_eq!(again, Came::To("Retype new password: ".to_owned()));
    let mismatch = converse(&server, "alice", &["old", "old", "new", "news"]).await;
    assert_eq!(mismatch, Came::To("Sorry, passwords do not match.\nNew password: ".to_owned()));
    let same = converse(&server, "alice", &["old", "old", "old"]).await;
    assert_eq!(same, Came::To("The password has not been changed.\nNew password: ".to_owned()));
    assert_eq!(converse(&server, "alice", &["old", "old", "", "", ""]).await, Came::Refused);
    // Nothing has changed until the change is whole.
    assert!(!client.password("alice", "new").await.success());

    let changed = ["old", "old", "new", "news", "new", "new"];
    assert_eq!(converse(&server, "alice", &changed).await, Came::In);
    for (password, welcome) in [("old", false), ("new", true)] {
        let mut client = Client::connect(&server).await.unwrap();
        assert_eq!(client.password("alice", password).await.success(), welcome, "{password}");
    }
    assert_eq!(converse(&server, "alice", &["new"]).await, Came::In);
    assert_eq!(outcomes(&server)[0], ("alice".to_owned(), Method::Password, AuthOutcome::Expired));
    server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn code_is_good_once_and_its_replay_shows() {
    let codes = OneTimeCodes::timed(3, Duration::from_secs(30));
    let server =
        TestServer::builder().user(User::new("alice").one_time_codes(codes.clone())).start().await.unwrap();
    let code = codes.current().unwrap();
    let mut client = Client::over(server.duplex()).await.unwrap();
    assert_eq!(converse_on(&mut client.handle, "alice", &["nonsense"]).await, Came::Refused);
    assert_eq!(converse_on(&mut client.handle, "alice", &[&code]).await, Came::In);
    let mut second = Client::over(server.duplex()).await.unwrap();
    assert_eq!(converse_on(&mut second.handle, "alice", &[&code]).await, Came::Refused);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(converse_on(&mut second.handle, "alice", &[&codes.current().unwrap()]).await, Came::In);
    let seen: Vec<_> = outcomes(&server).into_iter().map(|(_, _, outcome)| outcome).collect();
    let asked = AuthOutcome::Asked;
    assert_eq!(
        seen,
        [
            asked,
            AuthOutcome::Refused,
            asked,
            AuthOutcome::Accepted,
            asked,
            AuthOutcome::Replayed,
            asked,
            AuthOutcome::Accepted
        ]
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn code_asks_by_what_was_answered() {
    let user = User::new("alice").keyboard_interactive_fn(async |mut dialog: Dialog| {
        let mut sum = 0_u32;
        while sum < 10 {
            let asked = Round::new().name(dialog.user().to_owned()).question(format!("{sum} so far. Add: "));
            match dialog.ask(asked).await.text(0).parse::<u32>() {
                Ok(more) => sum += more,
                Err(_) => return Verdict::Wrong,
            }
        }
        // A round without questions, as some servers end with.
        assert!(dialog.ask(Round::new().instruction("Welcome.")).await.are_right());
        Verdict::Right
    });
    let server = TestServer::builder().user(user).user(alice_too()).start().await.unwrap();
    assert_eq!(converse(&server, "alice", &["x"]).await, Came::Refused);
    // Another user has other questions, and two conversations at once know nothing of each other.
    let mut client = Client::connect(&server).await.unwrap();
    let asked = converse_on(&mut client.handle, "alice", &["4", "5"]).await;
    assert_eq!(asked, Came::To("9 so far. Add: ".to_owned()));
    assert_eq!(converse(&server, "alice", &["1"]).await, Came::To("1 so far. Add: ".to_owned()));
    assert_eq!(converse(&server, "alice too", &["secret"]).await, Came::In);
    let handle = &mut client.handle;
    let welcome = handle.authenticate_keyboard_interactive_respond(vec!["9".to_owned()]).await.unwrap();
    assert_eq!(came(welcome), Came::To(String::new()));
    let done = handle.authenticate_keyboard_interactive_respond(Vec::new()).await.unwrap();
    assert_eq!(came(done), Came::In);
    server.stop().await.unwrap();
}

fn alice_too() -> User {
    User::new("alice too").password("secret").keyboard_interactive_password()
}

#[tokio::test]
async fn wrong_number_of_answers_is_refused() {
    let user = User::new("alice").keyboard_interactive([Round::new().question("a").question("b")]);
    let server = TestServer::builder().user(user).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    assert_eq!(converse_on(&mut client.handle, "alice", &["one"]).await, Came::Refused);
    let handle = &mut client.handle;
    handle.authenticate_keyboard_interactive_start("alice", None).await.unwrap();
    let answers = vec!["any".to_owned(), String::new()];
    let done = handle.authenticate_keyboard_interactive_respond(answers).await.unwrap();
    assert_eq!(came(done), Came::In);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn password_is_good_from_its_third_time() {
    let server = TestServer::builder()
        .user(User::new("alice").password_from_attempt("late", 3))
        .start()
        .await
        .unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    assert!(!client.password("alice", "late").await.success());
    assert!(!client.password("alice", "other").await.success());
    let mut client = Client::connect(&server).await.unwrap();
    assert!(!client.password("alice", "late").await.success());
    assert!(client.password("alice", "late").await.success());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn user_is_locked_after_refusals_on_any_connection() {
    let server = TestServer::builder().user(alice().lock_after(2)).user(bob()).start().await.unwrap();
    // A login in between starts the count anew.
    for password in ["wrong", "wonderland", "wrong", "wrong"] {
        let mut client = Client::connect(&server).await.unwrap();
        client.password("alice", password).await;
    }
    let mut client = Client::connect(&server).await.unwrap();
    assert!(!client.password("alice", "wonderland").await.success());
    assert_eq!(outcomes(&server).last().unwrap().2, AuthOutcome::Locked);
    assert!(client.password("bob", "builder").await.success());
    server.stop().await.unwrap();
}

/// The answer to one connection is on its way while another one's guesses have the user locked.
#[tokio::test]
async fn an_attempt_that_is_right_too_late_does_not_get_in() {
    for (limit, welcome) in [(2, false), (3, true)] {
        let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
            alice().lock_after(limit).keyboard_interactive_fn(move |_dialog: Dialog| {
                let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
                async move {
                    begun.notify_one();
                    go_on.notified().await;
                    Verdict::Right
                }
            })
        };
        let server = TestServer::builder().user(slow).start().await.unwrap();
        let mut first = Client::connect(&server).await.unwrap();
        let guesses = async {
            begun.notified().await;
            let mut second = Client::connect(&server).await.unwrap();
            for _ in 0..2 {
                assert!(!second.password("alice", "wrong").await.success());
            }
            go_on.notify_one();
        };
        let (answer, ()) =
            tokio::join!(first.handle.authenticate_keyboard_interactive_start("alice", None), guesses);
        assert_eq!(came(answer.unwrap()), if welcome { Came::In } else { Came::Refused });
        let last = outcomes(&server).pop().unwrap();
        let outcome = if welcome { AuthOutcome::Accepted } else { AuthOutcome::Locked };
        assert_eq!(last, ("alice".to_owned(), Method::KeyboardInteractive, outcome));
        // Whoever was let in has the count begin anew; whoever was not has left it as it was.
        let mut third = Client::connect(&server).await.unwrap();
        assert_eq!(third.password("alice", "wonderland").await.success(), welcome);
        server.stop().await.unwrap();
    }
}

fn bob() -> User {
    User::new("bob").password("builder")
}

#[tokio::test(start_paused = true)]
async fn delay_is_the_users_own() {
    let slow = bob().auth_delay(Duration::from_secs(60));
    let server = TestServer::builder()
        .user(alice())
        .user(slow)
        .auth_delay(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    for (user, password, seconds) in [("alice", "wonderland", 1), ("bob", "builder", 60)] {
        let mut client = Client::over(server.duplex()).await.unwrap();
        let begin = Instant::now();
        assert!(client.password(user, password).await.success());
        assert_eq!(begin.elapsed().as_secs(), seconds, "{user}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn methods_are_listed_in_the_users_order_and_no_others_taken() {
    let user = User::new("alice")
        .password("wonderland")
        .keyboard_interactive_password()
        .methods([Method::KeyboardInteractive, Method::Password]);
    let strict = bob().keyboard_interactive_password().methods([Method::KeyboardInteractive]);
    let server = TestServer::builder().user(user).user(strict).start().await.unwrap();
    let mut client = Client::connect(&server).await.unwrap();
    let listed = remaining(&client.password("alice", "wrong").await).0;
    assert_eq!(listed, [MethodKind::KeyboardInteractive, MethodKind::Password]);
    assert!(!client.password("bob", "builder").await.success());
    assert_eq!(converse_on(&mut client.handle, "bob", &["builder"]).await, Came::In);
    server.stop().await.unwrap();

    let error = TestServer::builder().user(bob().methods([Method::PublicKey])).start().await.unwrap_err();
    assert!(error.to_string().contains("bob"), "{error}");
}

#[tokio::test]
async fn commands_find_what_the_user_has_in_the_environment() {
    let user = alice().env("LANG", "C.UTF-8").env("EDITOR", "ed");
    let server = TestServer::builder().user(user).builtins().start().await.unwrap();
    let client = Client::alice(&server).await;
    let session = client.open().await;
    session.set_env(true, "EDITOR", "vi").await.unwrap();
    session.exec(true, "env").await.unwrap();
    let output = crate::client::collect(session).await;
    let text = output.text();
    assert!(text.contains("LANG=C.UTF-8\n") && text.contains("EDITOR=vi\n"), "{text}");
    // The record tells what the client has set, not what the server has.
    let set = [("EDITOR".to_owned(), "vi".to_owned())];
    assert_eq!(server.record().commands()[0].env(), set);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn two_users_of_one_name_are_refused() {
    let again = User::new("alice").password("other");
    let error = TestServer::builder().user(alice()).user(again).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("\"alice\""), "{error}");
}

//! What a running server is told: commands, users, and what has become of its faults.

use rustle_testserver::{ErrorKind, Fault, Method, Reply, TestServer, User};

use crate::client::{Client, alice};

#[tokio::test]
async fn command_added_to_a_running_server_is_answered_on_connections_there_are() {
    let server =
        TestServer::builder().user(alice()).command("deploy", Reply::stdout("first")).start().await.unwrap();
    let client = Client::alice(&server).await;
    assert_eq!(client.output("deploy").await.text(), "first");
    assert_eq!(client.output("df /").await.code, Some(127));
    server.add_command("deploy", Reply::stdout("second").exit(3));
    server.add_command_matching("df *", Reply::stdout("full"));
    let second = client.output("deploy").await;
    assert_eq!((second.text(), second.code), ("second", Some(3)));
    assert_eq!(client.output("df /").await.text(), "full");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn user_added_to_a_running_server_takes_the_place_of_the_one_of_that_name() {
    let server = TestServer::builder().user(User::new("alice").password("old")).start().await.unwrap();
    server.add_user(alice()).unwrap();
    let client = Client::alice(&server).await;
    assert_eq!(client.output("nothing").await.code, Some(127));
    server.assert_logged_in("alice", Method::Password);
    let error = server.add_user(User::new("bob").public_key("no key")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn faults_are_listed_with_how_often_they_struck() {
    let server =
        TestServer::builder().user(alice()).fault(Fault::refuse_channel().once()).start().await.unwrap();
    server.add_fault(Fault::withhold_request().on_connection(7));
    assert_eq!(server.faults().iter().map(|fault| fault.fired()).collect::<Vec<_>>(), [0, 0]);
    let client = Client::alice(&server).await;
    assert!(client.handle.channel_open_session().await.is_err());
    let faults = server.faults();
    assert_eq!(faults.iter().map(|fault| fault.fired()).collect::<Vec<_>>(), [1, 0]);
    assert!(faults[1].description().contains("on connection 7"), "{}", faults[1].description());
    let error = server.verify().unwrap_err();
    assert!(error.to_string().contains(faults[1].description()), "{error}");
    server.expect_unfired();
    server.verify().unwrap();
    server.stop().await.unwrap();
}

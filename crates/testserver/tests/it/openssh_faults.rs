//! Faults and limits as OpenSSH's own client tells its user of them.

use std::{process::Stdio, time::Duration};

use rustle_testserver::{Builder, Cut, DisconnectReason, End, Fault, Moment, Phase, RequestKind, TestServer};

use crate::{
    client::LIMIT,
    openssh::{Home, installed, text},
};

/// The exit code of `ssh` and what it says on standard error, for a run of `echo hello`.
async fn ssh(home: &Home, builder: Builder, options: &[&str]) -> (Option<i32>, String, TestServer) {
    let server = builder.user(home.user()).builtins().start().await.unwrap();
    home.trust(&server);
    let mut args = options.to_vec();
    args.extend(["bob@127.0.0.1", "echo hello"]);
    let output = home.run("ssh", server.port(), &args, Stdio::null()).await;
    (output.status.code(), text(&output.stderr), server)
}

#[tokio::test]
async fn ssh_prints_goodbyes_with_their_text() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    for phase in [Phase::KeyExchange, Phase::Authentication, Phase::ChannelOpen, Phase::Request] {
        let fault = Fault::disconnect(phase, DisconnectReason::TooManyConnections, "come back later");
        let (code, said, server) = ssh(&home, TestServer::builder().fault(fault), &[]).await;
        assert_eq!(code, Some(255), "{phase}");
        assert!(said.contains(":12: come back later"), "{phase}: {said}");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn ssh_finds_a_changed_byte() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let fault = Fault::corrupt_sent(100_000, 1);
    let server = TestServer::builder().fault(fault).user(home.user()).builtins().start().await.unwrap();
    home.trust(&server);
    let output = home.run("ssh", server.port(), &["bob@127.0.0.1", "bytes 1000000"], Stdio::null()).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(255), "{said}");
    assert!(output.stdout.len() < 110_000, "{}", output.stdout.len());
    // OpenSSH reads on for a while after a wrong code, so that it does not tell where it was wrong.
    assert!(said.contains("Corrupted MAC") || said.contains("message authentication code"), "{said}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn ssh_meets_the_limits_as_with_its_own_server() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let full = TestServer::builder().max_startups(0, 100, 0);
    let (code, said, server) = ssh(&home, full, &["-v"]).await;
    assert_eq!(code, Some(255));
    assert!(said.contains("banner line 0: Not allowed at this time"), "{said}");
    assert!(said.contains("kex_exchange_identification: Connection closed by remote host"), "{said}");
    server.stop().await.unwrap();

    // A client that has nothing left to try leaves at the refusal, before it reads the goodbye: this one has two keys.
    let other = Home::new().await;
    let other_key = format!("-i{}", other.path("key").display());
    let limited = TestServer::builder().fault(Fault::refuse_login()).max_auth_tries(1);
    let (code, said, server) = ssh(&home, limited, &[&other_key]).await;
    assert_eq!(code, Some(255));
    assert!(said.contains(":2: Too many authentication failures"), "{said}");
    server.stop().await.unwrap();

    // It is asked some five times, and an `ssh` that did not answer would be dropped before the command's end.
    let asked = TestServer::builder().client_alive(Duration::from_secs(1), 3);
    let server = asked.user(home.user()).builtins().start().await.unwrap();
    home.trust(&server);
    let output = home.run("ssh", server.port(), &["bob@127.0.0.1", "sleep 6"], Stdio::null()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn ssh_survives_a_storm_of_key_exchanges() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let (code, said, server) = ssh(&home, TestServer::builder().rekey_after(1), &[]).await;
    assert_eq!((code, said.as_str()), (Some(0), ""));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn ssh_reports_a_refused_command_and_a_missing_status() {
    if !installed("ssh") {
        return;
    }
    let home = Home::new().await;
    let refused = Fault::refuse_request(RequestKind::Exec);
    let (code, said, server) = ssh(&home, TestServer::builder().fault(refused), &[]).await;
    assert_eq!(code, Some(255));
    assert!(said.contains("exec request failed"), "{said}");
    server.stop().await.unwrap();

    let (code, _, server) = ssh(&home, TestServer::builder().fault(Fault::omit_exit_status()), &[]).await;
    assert_eq!(code, Some(255));
    server.stop().await.unwrap();

    let (code, said, server) =
        ssh(&home, TestServer::builder().fault(Fault::cut(Moment::received(2000), Cut::Rst)), &[]).await;
    assert_eq!(code, Some(255), "{said}");
    server.wait_until_idle(LIMIT).await.unwrap();
    assert_eq!(server.record().connections()[0].ended(), Some(&End::Cut(Cut::Rst)));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn sftp_stumbles_over_noise() {
    if !installed("sftp") {
        return;
    }
    let home = Home::new().await;
    let server = TestServer::builder()
        .user(home.user())
        .sftp_temp_dir()
        .startup_noise("Welcome to the machine!\n")
        .start()
        .await
        .unwrap();
    home.trust(&server);
    let output = home.run("sftp", server.port(), &["bob@127.0.0.1"], Stdio::null()).await;
    let said = text(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("Received message too long"), "{said}");
    server.stop().await.unwrap();
}

//! The agent lent to the far side, and channels that the server opens without being asked.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustle_session::{AgentSource, ErrorKind};
use rustle_testserver::{Call, ChannelStream, Exit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::fake_agent::{EXTENSION, FakeAgent, IDENTITIES_ANSWER, REQUEST_IDENTITIES, take};
use super::support::{close_and_check, login, server};

/// Asks the agent for its keys; whether it answered with a list.
async fn lists(agent: &mut ChannelStream) -> io::Result<bool> {
    agent.write_all(&[0, 0, 0, 1, REQUEST_IDENTITIES]).await?;
    let mut answer = [0; 9];
    agent.read_exact(&mut answer).await?;
    Ok(answer[4] == IDENTITIES_ANSWER)
}

/// 0: the agent listed its keys. 1: the channel was refused. 2: it broke.
async fn ask(call: Call) -> Exit {
    match call.open_agent().await {
        Ok(mut agent) => match lists(&mut agent).await {
            Ok(true) => Exit::SUCCESS,
            _ => Exit::Code(2),
        },
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Exit::Code(1),
        Err(_) => Exit::Code(3),
    }
}

#[tokio::test]
async fn channels_that_nobody_asked_for_are_refused() {
    let server = server()
        .agent_forwarding()
        .command_fn("agent", ask)
        .command_fn("others", async |call: Call| {
            let refused = |opened: io::Result<ChannelStream>| {
                matches!(opened, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused)
            };
            let tcpip = refused(call.open_forwarded_tcpip("localhost", 80).await);
            let unix = refused(call.open_forwarded_streamlocal("/tmp/x").await);
            let x11 = refused(call.open_x11("127.0.0.1", 6010).await);
            if tcpip && unix && x11 { Exit::SUCCESS } else { Exit::Code(1) }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    assert_eq!(session.output("agent").await.unwrap().status.code(), Some(1));
    assert_eq!(session.output("others").await.unwrap().status.code(), Some(0));
    assert_eq!(session.stats().channels_open, 0);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_program_on_the_far_side_reaches_the_agent_which_knows_whom_it_serves() {
    let (server, agent) =
        (server().agent_forwarding().command_fn("agent", ask).start().await.unwrap(), FakeAgent::start());
    let session = login(&server).await;
    let output = session.line("agent").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));

    let asked = agent.asked();
    let (binding, list) = (&asked[0], &asked[1]);
    assert_eq!(list, &[REQUEST_IDENTITIES]);
    let mut rest = &binding[1..];
    assert_eq!((binding[0], take(&mut rest)), (EXTENSION, &b"session-bind@openssh.com"[..]));
    let key = session.host_key().unwrap();
    assert_eq!(take(&mut rest), key.key_wire());
    let (session_id, signature) = (take(&mut rest), take(&mut rest));
    assert!(session_id.len() >= 32 && signature.len() > 64, "{binding:?}");
    assert_eq!(rest, [1], "a lent agent");

    // The command has ended, and with it the loan.
    assert_eq!(session.output("agent").await.unwrap().status.code(), Some(1));
    assert_eq!(agent.asked().len(), 2);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn an_agent_that_knows_no_binding_serves_all_the_same() {
    let agent = FakeAgent::answering(|request| {
        Some(if request == [REQUEST_IDENTITIES] { vec![IDENTITIES_ANSWER, 0, 0, 0, 0] } else { vec![5] })
    });
    let server = server().agent_forwarding().command_fn("agent", ask).start().await.unwrap();
    let session = login(&server).await;
    let output = session.line("agent").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn without_the_server_s_leave_the_command_runs_without_the_agent() {
    let (server, agent) = (server().command_fn("agent", ask).start().await.unwrap(), FakeAgent::start());
    let session = login(&server).await;
    let mut child = session.line("agent").forward_agent(agent.source()).spawn().await.unwrap();
    assert!(!child.agent_is_lent());
    assert_eq!(child.wait().await.unwrap().code(), Some(1));
    assert!(agent.asked().is_empty());
    close_and_check(session, server).await;
}

#[tokio::test]
async fn an_agent_out_of_reach_is_a_refused_channel_on_the_far_side() {
    let server = server().agent_forwarding().command_fn("agent", ask).start().await.unwrap();
    let session = login(&server).await;
    for source in [AgentSource::Path(PathBuf::from("/nonexistent/agent")), AgentSource::None] {
        let mut child = session.line("agent").forward_agent(source).spawn().await.unwrap();
        assert!(child.agent_is_lent());
        drop(child.take_stdin());
        assert_eq!(child.wait().await.unwrap().code(), Some(1));
    }
    close_and_check(session, server).await;
}

#[tokio::test]
async fn two_commands_share_one_agent_and_another_is_refused_meanwhile() {
    let go = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&go);
    let server = server()
        .agent_forwarding()
        .command_fn("agent", ask)
        .command_fn("wait", move |_: Call| {
            let gate = Arc::clone(&gate);
            async move {
                gate.acquire().await.unwrap().forget();
                Exit::SUCCESS
            }
        })
        .start()
        .await
        .unwrap();
    let (one, two) = (FakeAgent::start(), FakeAgent::start());
    let session = login(&server).await;
    let mut waiting = session.line("wait").forward_agent(one.source()).spawn().await.unwrap();
    let same = session.line("agent").forward_agent(one.source()).output().await.unwrap();
    assert_eq!(same.status.code(), Some(0));
    let error = session.line("agent").forward_agent(two.source()).output().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
    // The first loan goes on.
    assert_eq!(session.output("agent").await.unwrap().status.code(), Some(0));
    go.add_permits(1);
    assert_eq!(waiting.wait().await.unwrap().code(), Some(0));
    drop(waiting);
    let now = session.line("agent").forward_agent(two.source()).output().await.unwrap();
    assert_eq!((now.status.code(), two.asked().len()), (Some(0), 2));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn visitors_past_the_limit_are_refused_and_a_silent_agent_holds_nothing_up() {
    const AT_ONCE: usize = 64;
    let agent = FakeAgent::answering(|request| (request.first() == Some(&EXTENSION)).then(|| vec![6]));
    let server = server()
        .agent_forwarding()
        .command_fn("crowd", async |call: Call| {
            let mut visits = Vec::new();
            for _ in 0..AT_ONCE {
                match call.open_agent().await {
                    Ok(mut visit) => {
                        if visit.write_all(&[0, 0, 0, 1, REQUEST_IDENTITIES]).await.is_err() {
                            return Exit::Code(4);
                        }
                        visits.push(visit);
                    }
                    Err(_) => return Exit::Code(2),
                }
            }
            if call.open_agent().await.is_ok() {
                return Exit::Code(3);
            }
            // With one gone there is room for another.
            drop(visits.pop());
            let mut tries = 0;
            loop {
                // Made first and awaited then: the call itself must not be lent across an await.
                let visit = call.open_agent();
                match visit.await {
                    Ok(_) => return Exit::SUCCESS,
                    Err(_) if tries == 6000 => return Exit::Code(5),
                    Err(_) => tries += 1,
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("crowd").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(session.output("echo well").await.unwrap().stdout_text(), "well\n");
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_half_closed_visit_still_gets_its_answer() {
    let agent = FakeAgent::start();
    let server = server()
        .agent_forwarding()
        .command_fn("last", async |call: Call| {
            let Ok(mut visit) = call.open_agent().await else { return Exit::Code(1) };
            let asked = visit.write_all(&[0, 0, 0, 1, REQUEST_IDENTITIES]).await;
            if asked.is_err() || visit.shutdown().await.is_err() {
                return Exit::Code(2);
            }
            let mut answer = Vec::new();
            match visit.read_to_end(&mut answer).await {
                Ok(9) => Exit::SUCCESS,
                _ => Exit::Code(3),
            }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("last").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn requests_too_long_or_cut_short_end_their_visit_alone() {
    let agent = FakeAgent::start();
    let server = server()
        .agent_forwarding()
        .command_fn("broken", async |call: Call| {
            for nonsense in [&[0xff, 0xff, 0xff, 0xff, 11][..], &[0, 4, 0, 1, 11], &[0, 0, 0, 9, 11], &[0, 0]]
            {
                let Ok(mut visit) = call.open_agent().await else { return Exit::Code(1) };
                let mut answer = Vec::new();
                let sent = visit.write_all(nonsense).await.is_ok() && visit.shutdown().await.is_ok();
                if !sent || visit.read_to_end(&mut answer).await.is_ok_and(|read| read > 0) {
                    return Exit::Code(2);
                }
            }
            ask(call).await
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("broken").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    // The bindings of five visits, and one whole request.
    assert_eq!(agent.asked().len(), 6);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn several_requests_at_once_are_answered_in_turn() {
    let agent = FakeAgent::start();
    let server = server()
        .agent_forwarding()
        .command_fn("burst", async |call: Call| {
            let Ok(mut visit) = call.open_agent().await else { return Exit::Code(1) };
            let burst = [0, 0, 0, 1, REQUEST_IDENTITIES].repeat(50);
            if visit.write_all(&burst[..23]).await.is_err() || visit.write_all(&burst[23..]).await.is_err() {
                return Exit::Code(2);
            }
            let mut answers = [0; 9 * 50];
            match visit.read_exact(&mut answers).await {
                Ok(_) if answers.chunks(9).all(|answer| answer[4] == IDENTITIES_ANSWER) => Exit::SUCCESS,
                _ => Exit::Code(3),
            }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("burst").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn the_far_side_may_list_and_sign_and_nothing_more() {
    // An agent that would do anything.
    let agent = FakeAgent::answering(|_| Some(vec![6]));
    let server = server()
        .agent_forwarding()
        .command_fn("try", async |call: Call| {
            let Ok(mut visit) = call.open_agent().await else { return Exit::Code(255) };
            let extension = |name: &str| {
                [&[EXTENSION][..], &u32::try_from(name.len()).unwrap().to_be_bytes(), name.as_bytes()]
                    .concat()
            };
            // What it may first, then: remove one, all, add, lock, unlock, smart cards, and an extension by any name.
            let mut requests =
                vec![vec![11], vec![13], extension("session-bind@openssh.com"), extension("query")];
            requests.extend([18, 19, 17, 25, 22, 23, 20, 21, 26, 1, 9, 0, 255].map(|kind| vec![kind]));
            requests.extend([extension("restrict"), vec![EXTENSION], vec![]]);
            for (number, request) in requests.into_iter().enumerate() {
                let length = u32::try_from(request.len()).unwrap().to_be_bytes();
                if visit.write_all(&[&length[..], &request].concat()).await.is_err() {
                    return Exit::Code(254);
                }
                let mut answer = [0; 5];
                let expected = if number < 4 { 6 } else { 5 };
                if visit.read_exact(&mut answer).await.is_err() || answer != [0, 0, 0, 1, expected] {
                    return Exit::Code(u32::try_from(number + 1).unwrap());
                }
            }
            Exit::SUCCESS
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("try").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    // With the binding of the visit itself.
    assert_eq!(agent.asked().len(), 5);
    close_and_check(session, server).await;
}

#[tokio::test]
async fn visits_end_with_the_loan() {
    let agent = FakeAgent::start();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel::<bool>();
    let told = Arc::new(tokio::sync::Mutex::new(told));
    let server = server()
        .agent_forwarding()
        .command_fn("linger", move |call: Call| {
            let tell = tell.clone();
            async move {
                let Ok(mut visit) = call.open_agent().await else { return Exit::Code(1) };
                let listed = lists(&mut visit).await.is_ok_and(|listed| listed);
                // Left to itself, as a program is that outlives its command.
                tokio::spawn(async move {
                    let mut byte = [0];
                    let ended = !matches!(visit.read(&mut byte).await, Ok(1));
                    let _ = tell.send(ended);
                });
                if listed { Exit::SUCCESS } else { Exit::Code(2) }
            }
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("linger").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(told.lock().await.recv().await, Some(true));
    close_and_check(session, server).await;
}

#[tokio::test]
async fn a_visitor_who_floods_the_agent_ends_its_visit() {
    // It never answers, so that nothing is taken.
    let agent = FakeAgent::answering(|request| (request.first() == Some(&EXTENSION)).then(|| vec![6]));
    let server = server()
        .agent_forwarding()
        .command_fn("flood", async |call: Call| {
            let Ok(mut visit) = call.open_agent().await else { return Exit::Code(1) };
            let request = [0, 0, 0, 1, REQUEST_IDENTITIES].repeat(1000);
            // A GiB, if anybody took it.
            for _ in 0..200_000 {
                if visit.write_all(&request).await.is_err() {
                    return Exit::SUCCESS;
                }
            }
            Exit::Code(2)
        })
        .start()
        .await
        .unwrap();
    let session = login(&server).await;
    let output = session.line("flood").forward_agent(agent.source()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(session.output("echo well").await.unwrap().stdout_text(), "well\n");
    close_and_check(session, server).await;
}

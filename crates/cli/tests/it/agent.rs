//! The agent lent to a command on the host, as the configuration asks for it.

use rustle_testserver::{Call, Exit, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::host::Host;

/// Lists its keys to whoever asks, of which there are none, and knows nothing else.
async fn serve(listener: UnixListener) {
    while let Ok((mut visitor, _)) = listener.accept().await {
        let mut length = [0; 4];
        while visitor.read_exact(&mut length).await.is_ok() {
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            visitor.read_exact(&mut request).await.unwrap();
            let answer: &[u8] = match request[0] {
                11 => &[0, 0, 0, 5, 12, 0, 0, 0, 0],
                _ => &[0, 0, 0, 1, 5],
            };
            visitor.write_all(answer).await.unwrap();
        }
    }
}

async fn ask(call: Call) -> Exit {
    let Ok(mut agent) = call.open_agent().await else { return Exit::Code(1) };
    let mut answer = [0; 9];
    match (agent.write_all(&[0, 0, 0, 1, 11]).await, agent.read_exact(&mut answer).await) {
        (Ok(()), Ok(_)) if answer[4] == 12 => Exit::SUCCESS,
        _ => Exit::Code(2),
    }
}

#[tokio::test]
async fn the_agent_is_lent_where_the_configuration_says_so() {
    let host = Host::with(TestServer::builder().agent_forwarding().command_fn("ask", ask)).await;
    let socket = host.path("agent");
    let agent = tokio::spawn(serve(UnixListener::bind(&socket).unwrap()));
    let asked = |options: Vec<String>| {
        let mut arguments = vec!["exec".to_owned(), "--raw".to_owned()];
        arguments.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
        arguments.extend(["web", "--", "ask"].map(str::to_owned));
        let host = &host;
        async move {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            host.run(&arguments).await
        }
    };
    let lent = asked(vec![format!("ForwardAgent={socket}")]).await;
    assert_eq!((lent.code, lent.stderr.as_str()), (Some(0), ""));
    let lent = asked(vec!["ForwardAgent=yes".to_owned(), format!("IdentityAgent={socket}")]).await;
    assert_eq!((lent.code, lent.stderr.as_str()), (Some(0), ""));
    let kept = asked(vec![format!("IdentityAgent={socket}")]).await;
    assert_eq!((kept.code, kept.stderr.as_str()), (Some(1), ""));
    agent.abort();
    host.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_forwards_no_agent_is_told_of_and_the_command_runs() {
    let host = Host::start().await;
    let option = format!("ForwardAgent={}", host.path("agent"));
    let ran = host.run(&["exec", "-o", &option, "web", "--", "echo", "hello"]).await;
    assert_eq!((ran.code, ran.stdout()), (Some(0), "hello\n"));
    assert!(ran.stderr.contains("does not forward the agent"), "{}", ran.stderr);
    host.server.stop().await.unwrap();
}

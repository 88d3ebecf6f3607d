//! A pool of connections to a real server.

mod forwards;
mod slow_reader;

use rustle_pool::{Forward, ForwardBind, Pool, PoolBuilder};
use rustle_session::{AgentSource, ErrorKind, HostSetup};
use rustle_tests::{Server, interop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A pool that knows the server as `web`.
fn pool_with(server: &Server, builder: PoolBuilder) -> Pool {
    let setup = HostSetup::builder(format!("{}@127.0.0.1", server.user()))
        .without_config_files()
        .port(server.sshd().port())
        .agent(AgentSource::None)
        .identity(server.key().path())
        .option("StrictHostKeyChecking=no")
        .option("UserKnownHostsFile=/dev/null");
    let pool = builder.only_registered().build().unwrap();
    pool.register("web", setup.resolve().unwrap());
    pool
}

/// A port that says back whatever it is told, as long as the test runs.
async fn echo() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
    port
}

async fn echoes(stream: &mut TcpStream, text: &str) -> std::io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await?;
    assert_eq!(back, text.as_bytes());
    Ok(())
}

#[test]
fn fifty_commands_at_once_run_on_a_server_with_few_sessions_a_connection() {
    interop(|interop| async move {
        for (sessions, connections) in [(2, 10), (2, 1), (1, 10), (1, 1)] {
            let server = Server::configured(&interop, &format!("MaxSessions {sessions}"));
            let pool = pool_with(&server, Pool::builder().max_connections_per_host(connections));
            let web = pool.get("web").await.unwrap();
            let mut commands = JoinSet::new();
            for command in 0..50 {
                let web = web.clone();
                commands.spawn(async move {
                    let output = web.output(format!("echo {command}")).await.unwrap();
                    output.stdout_text().trim_end().parse::<usize>().unwrap()
                });
            }
            let mut outputs = commands.join_all().await;
            outputs.sort_unstable();
            assert_eq!(outputs, (0..50).collect::<Vec<_>>());
            pool.shutdown(std::time::Duration::from_secs(5)).await;
            server.sshd().wait_until_idle().await;
            let log = server.sshd().log();
            let logins = log.matches("Accepted publickey").count();
            println!("MaxSessions {sessions}: {logins} logins, {connections} allowed");
            assert!((1..=connections).contains(&logins), "{logins} logins\n{log}");
        }
    });
}

#[test]
fn a_server_without_sessions_says_so_and_forwards() {
    interop(|interop| async move {
        let server = Server::configured(&interop, "MaxSessions 0");
        let pool = pool_with(&server, Pool::builder());
        let web = pool.get("web").await.unwrap();
        let to = Forward::local(ForwardBind::loopback(0), ("127.0.0.1", echo().await));
        let forward = pool.forward("web", to).await.unwrap();
        for _ in 0..2 {
            let error = web.output("true").await.unwrap_err();
            assert_eq!((error.kind(), error.code()), (ErrorKind::NoPlace, "POOL_EXHAUSTED"), "{error}");
            assert!(error.to_string().contains("no session at all"), "{error}");
            let mut client = TcpStream::connect(forward.addresses()[0]).await.unwrap();
            echoes(&mut client, "over there").await.unwrap();
        }
        forward.close().await;
    });
}

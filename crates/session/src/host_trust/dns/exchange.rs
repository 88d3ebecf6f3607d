//! Asking a DNS server: a datagram, and a stream where the answer does not fit one.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::DnsResolver;
use super::message::{Answer, Question, Reply, UDP_SIZE};

/// Asks each server in turn, as often as the configuration says; the first whole answer counts.
///
/// # Cancel safety
/// Dropped, its sockets are closed.
pub(super) async fn ask(resolver: &DnsResolver, question: &Question) -> Result<Answer, String> {
    let mut why = "no server is known".to_owned();
    for _ in 0..resolver.attempts {
        for server in &resolver.nameservers {
            let asked = async {
                match by_datagram(*server, question).await? {
                    Reply::Truncated => by_stream(*server, question).await,
                    reply => Ok(reply),
                }
            };
            why = match timeout(resolver.timeout, asked).await {
                Ok(Ok(Reply::Answer(answer))) => return Ok(answer),
                Ok(Ok(Reply::Broken(why))) => format!("{server}: {why}"),
                Ok(Ok(Reply::Truncated | Reply::Foreign)) => format!("{server}: its answer is no answer"),
                Ok(Err(error)) => format!("{server}: {error}"),
                Err(_) => format!("{server} did not answer within {} s", resolver.timeout.as_secs()),
            };
            tracing::debug!(why, "SSHFP records not had");
        }
    }
    Err(why)
}

/// The first datagram that answers the question. A new socket each time has a port that nobody can foresee.
async fn by_datagram(server: SocketAddr, question: &Question) -> io::Result<Reply> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    // Connected, it takes nothing from anybody else.
    socket.connect(server).await?;
    let id = random_id()?;
    socket.send(&question.encode(id)).await?;
    let mut buffer = vec![0; usize::from(UDP_SIZE) + 1];
    loop {
        let count = socket.recv(&mut buffer).await?;
        if count > usize::from(UDP_SIZE) {
            return Ok(Reply::Broken("its answer is longer than was asked for".to_owned()));
        }
        match question.read(id, buffer.get(..count).unwrap_or_default()) {
            Reply::Foreign => {}
            reply => return Ok(reply),
        }
    }
}

/// RFC 1035 section 4.2.2: each message behind its length, which is at most 64 KiB.
async fn by_stream(server: SocketAddr, question: &Question) -> io::Result<Reply> {
    let mut stream = TcpStream::connect(server).await?;
    let id = random_id()?;
    let query = question.encode(id);
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat()).await?;
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(question.read(id, &message))
}

fn random_id() -> io::Result<u16> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(u16::from_be_bytes(id))
}

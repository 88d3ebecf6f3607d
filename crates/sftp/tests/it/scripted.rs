//! A server of which a test says every answer.

use bytes::Bytes;
use rustle_sftp::Sftp;
use rustle_sftp_proto::{ClientPacket, Framer, Hello, Limits, Reply, Request, ServerPacket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// Does work at a server that answers so.
pub(crate) async fn at<T>(answer: impl FnMut(Request) -> Reply, work: impl AsyncFnOnce(Sftp) -> T) -> T {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let work = async { work(over(near).await).await };
    tokio::join!(work, answering(far, answer)).0
}

pub(crate) async fn over(stream: DuplexStream) -> Sftp {
    let (reader, writer) = tokio::io::split(stream);
    Sftp::over(reader, writer).await.unwrap()
}

/// Answers one request after the other until the client goes, or leaves it unanswered.
pub(crate) async fn answering<R: Into<Option<Reply>>>(
    mut stream: DuplexStream,
    mut answer: impl FnMut(Request) -> R,
) {
    let mut framer = Framer::new(Limits::default());
    loop {
        while let Some(packet) = framer.next_packet().unwrap() {
            let packet = match ClientPacket::decode(packet, framer.limits()).unwrap() {
                ClientPacket::Init(_) => Some(ServerPacket::Version(Hello::new())),
                ClientPacket::Request { id, request } => {
                    answer(request).into().map(|reply| ServerPacket::Reply { id, reply })
                }
            };
            if let Some(packet) = packet
                && stream.write_all(&packet.encode().unwrap().to_bytes()).await.is_err()
            {
                return;
            }
        }
        let mut bytes = vec![0; 4096];
        let count = stream.read(&mut bytes).await.unwrap();
        if count == 0 {
            return;
        }
        framer.push(Bytes::from(bytes).slice(..count));
    }
}

//! The stream under the base, against a peer in memory.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::apart::counted;

fn wire(capacity: usize, deadline: Duration) -> (Wire, Arc<WireControl>, tokio::io::DuplexStream) {
    let (near, far) = tokio::io::duplex(capacity);
    let control = WireControl::new();
    (Wire::new(Box::new(near), Arc::clone(&control), deadline), control, far)
}

#[tokio::test(start_paused = true)]
async fn a_write_larger_than_the_socket_goes_out_while_reading() {
    let (mut wire, control, mut far) = wire(1024, Duration::from_secs(30));
    let data = vec![7u8; 200_000];
    wire.write_all(&data).await.unwrap();
    let peer = async {
        let mut got = vec![0; data.len()];
        far.read_exact(&mut got).await.unwrap();
        far.write_all(b"done").await.unwrap();
        got
    };
    let mut reply = [0; 4];
    let (got, read) = tokio::join!(peer, wire.read_exact(&mut reply));
    read.unwrap();
    assert_eq!(got, data);
    assert_eq!(&reply, b"done");
    assert_eq!((control.sent(), control.received()), (200_000, 4));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_ends_the_stream_at_the_write_deadline() {
    let (mut wire, control, _far) = wire(1024, Duration::from_secs(7));
    let start = Instant::now();
    wire.write_all(&[0; 5000]).await.unwrap();
    let error = wire.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    assert_eq!(start.elapsed().as_secs(), 7);
    assert_eq!(control.cut_reason(), Some(CutReason::WriteDeadline(Duration::from_secs(7))));
}

#[tokio::test(start_paused = true)]
async fn a_full_write_buffer_makes_the_writer_wait_but_not_for_ever() {
    let (mut wire, _control, _far) = wire(1024, Duration::from_secs(7));
    let error = wire.write_all(&vec![0; WRITE_BUFFER_LIMIT + 5000]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test(start_paused = true)]
async fn two_peers_that_only_write_do_not_wait_for_each_other() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let make = |io| Wire::new(Box::new(io), WireControl::new(), Duration::from_secs(30));
    let (mut left, mut right) = (make(near), make(far));
    // Each side writes more than socket and write buffer hold before it reads at all.
    let bulk = vec![1u8; WRITE_BUFFER_LIMIT + 1024 * 1024];
    let mut heard = (vec![0; bulk.len()], vec![0; bulk.len()]);
    let near = async {
        left.write_all(&bulk).await?;
        left.read_exact(&mut heard.0).await
    };
    let far = async {
        right.write_all(&bulk).await?;
        right.read_exact(&mut heard.1).await
    };
    let (near, far) = tokio::join!(near, far);
    near.unwrap();
    far.unwrap();
    assert!(heard.0 == bulk && heard.1 == bulk);
}

#[tokio::test]
async fn little_is_read_into_little_memory_much_into_much_and_none_is_kept_for_nothing() {
    let (mut wire, _control, mut far) = wire(1 << 20, Duration::from_secs(30));
    let mut some = vec![0; 1000];
    far.write_all(&some).await.unwrap();
    // One byte short of all, so that what is left keeps its memory.
    wire.read_exact(&mut some[1..]).await.unwrap();
    assert!(wire.incoming.capacity() <= FIRST_CHUNK, "{}", wire.incoming.capacity());
    wire.read_exact(&mut some[..1]).await.unwrap();

    let mut bulk = vec![0; FIRST_CHUNK + READ_CHUNK];
    far.write_all(&bulk).await.unwrap();
    wire.read_exact(&mut bulk[..FIRST_CHUNK + 1]).await.unwrap();
    assert!(wire.incoming.len() > FIRST_CHUNK, "{} at once", wire.incoming.len());
    wire.read_exact(&mut bulk[..READ_CHUNK - 1]).await.unwrap();

    // It stays for as long as much comes, and goes with the first pause after little.
    for bytes in [READ_CHUNK, 1] {
        assert!(futures_util::poll!(std::pin::pin!(wire.read_u8())).is_pending());
        assert!(wire.incoming.capacity() >= READ_CHUNK, "before {bytes}");
        far.write_all(&bulk[..bytes]).await.unwrap();
        wire.read_exact(&mut bulk[..bytes]).await.unwrap();
    }
    assert!(futures_util::poll!(std::pin::pin!(wire.read_u8())).is_pending());
    assert_eq!((wire.incoming.capacity(), wire.chunk), (0, FIRST_CHUNK));
}

#[tokio::test]
async fn a_cut_wakes_a_waiting_reader() {
    let (mut wire, control, _far) = wire(1024, Duration::from_secs(30));
    let mut buf = [0; 1];
    let (error, ()) = tokio::join!(wire.read_exact(&mut buf), async { control.cut(CutReason::Aborted) });
    assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    assert!(wire.write_all(b"x").await.is_err());
    wire.shutdown().await.unwrap();
    drop(wire);
    assert!(control.gone().is_cancelled());
}

#[tokio::test]
async fn held_bytes_go_out_in_one_piece_after_release() {
    let (mut wire, control, mut far) = wire(1024, Duration::from_secs(30));
    control.hold();
    wire.write_all(b"first").await.unwrap();
    wire.write_all(b"second").await.unwrap();
    wire.flush().await.unwrap();
    assert_eq!(control.held_bytes(), 11);
    assert_eq!(control.sent(), 0);
    control.release();
    wire.flush().await.unwrap();
    let mut got = [0; 11];
    far.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"firstsecond");
}

#[tokio::test(start_paused = true)]
async fn a_greeting_goes_out_at_once_and_its_answer_is_timed() {
    let (mut wire, control, mut far) = wire(1024, Duration::from_secs(30));
    let peer = async {
        let mut line = [0; 13];
        far.read_exact(&mut line).await.unwrap();
        tokio::time::sleep(Duration::from_millis(120)).await;
        far.write_all(b"SSH-2.0-far\r\n").await.unwrap();
        (line, far)
    };
    let (took, (line, mut far)) = tokio::join!(wire.greet("SSH-2.0-near"), peer);
    assert_eq!(took.unwrap().as_millis(), 120);
    assert_eq!(&line, b"SSH-2.0-near\r");

    // The base says the same line once more, in whatever pieces, and then what the peer has to hear.
    wire.write_all(b"SSH-2.0-").await.unwrap();
    wire.write_all(b"near\r\nkexinit").await.unwrap();
    let mut rest = [0; 8];
    far.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"\nkexinit");
    let mut heard = [0; 13];
    wire.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"SSH-2.0-far\r\n");
    assert_eq!(control.sent(), 14 + 7);
}

#[tokio::test]
async fn of_a_peer_that_is_known_no_more_is_kept_and_nobody_who_is_not_there_any_more() {
    let (mut wire, control, mut peer) = wire(1024, Duration::from_secs(3));
    let (nobody, waker) = counted::waker();
    let mut cx = Context::from_waker(&waker);
    {
        let mut greeting = std::pin::pin!(wire.greet("SSH-2.0-ours"));
        assert!(greeting.as_mut().poll(&mut cx).is_pending());
        peer.write_all(b"SSH-2.0-theirs\r\nand more").await.unwrap();
        assert!(greeting.as_mut().poll(&mut cx).is_ready());
    }
    drop(waker);
    assert!(nobody.is_kept());
    assert_eq!(control.preface(), b"SSH-2.0-theirs\r\nand more");
    control.known(b"SSH-2.0-theirs\r");
    assert!(!nobody.is_kept());
    peer.write_all(b"even more").await.unwrap();
    let mut said = [0; 33];
    wire.read_exact(&mut said).await.unwrap();
    assert_eq!(&said, b"SSH-2.0-theirs\r\nand moreeven more");
    assert_eq!(control.preface(), b"SSH-2.0-theirs\r");
}

#[tokio::test]
async fn a_peer_that_ends_before_it_speaks_ends_the_greeting() {
    let (mut wire, _control, far) = wire(1024, Duration::from_secs(30));
    drop(far);
    let _ = wire.greet("SSH-2.0-near").await;
    assert!(matches!(wire.read(&mut [0; 4]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_cut_ends_the_greeting() {
    let (mut wire, control, _far) = wire(1024, Duration::from_secs(30));
    let (greeted, ()) = tokio::join!(wire.greet("SSH-2.0-near"), async { control.cut(CutReason::Aborted) });
    assert_eq!(greeted.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn another_line_than_the_greeting_is_an_error() {
    let (mut wire, _control, mut far) = wire(1024, Duration::from_secs(30));
    far.write_all(b"SSH-2.0-far\r\n").await.unwrap();
    wire.greet("SSH-2.0-near").await.unwrap();
    assert_eq!(wire.write_all(b"SSH-2.0-other\r\n").await.unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

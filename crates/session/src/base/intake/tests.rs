//! The account by itself, message by message.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use russh::ChannelMsg;

use super::sorting::REPLIES_KEPT;
use super::{End, Intake, Stream, cost};
use crate::options::BufferLimits;

fn errors(bytes: &'static [u8]) -> ChannelMsg {
    ChannelMsg::ExtendedData { data: Bytes::from_static(bytes), ext: 1 }
}

#[test]
fn an_empty_message_is_no_end_of_a_stream() {
    let intake = Intake::new(BufferLimits::default());
    let mut cx = Context::from_waker(Waker::noop());
    for message in [ChannelMsg::Data { data: Bytes::new() }, errors(b"")] {
        intake.arrived(0);
        intake.sort(&mut intake.state(), message);
    }
    assert!(intake.poll_data(Stream::Out, &mut cx).is_pending());
    assert!(intake.poll_data(Stream::Err, &mut cx).is_pending());
    assert_eq!(intake.queued.load(Ordering::Acquire), 0, "what they cost is given back");
}

#[test]
fn answers_that_nobody_asked_for_take_no_more_than_so_much_memory() {
    let intake = Intake::new(BufferLimits::default());
    let mut cx = Context::from_waker(Waker::noop());
    for at in 0..REPLIES_KEPT * 2 {
        intake.arrived(0);
        let message = if at == 0 { ChannelMsg::Failure } else { ChannelMsg::Success };
        intake.sort(&mut intake.state(), message);
    }
    assert_eq!(intake.state().replies.len(), REPLIES_KEPT);
    assert_eq!(intake.queued.load(Ordering::Acquire), 0);
    assert_eq!(intake.poll_reply(&mut cx), Poll::Ready(Some(false)), "in their order");
}

#[test]
fn of_errors_that_nobody_reads_the_beginning_is_kept() {
    let intake = Intake::new(BufferLimits::default());
    let pieces: [&[u8]; 5] = [b"before", b"after", b"a piece too long", b"and", b"more"];
    for piece in pieces {
        intake.arrived(piece.len());
    }
    intake.sort(&mut intake.state(), errors(b"before"));
    intake.keep_errors(20);
    for piece in &pieces[1..] {
        intake.sort(&mut intake.state(), errors(piece));
    }
    assert_eq!(intake.peek_errors(100), b"beforeafter");
    assert_eq!(intake.peek_errors(8), b"beforeaf");
    assert_eq!(intake.queued.load(Ordering::Acquire), cost(6) + cost(5), "the rest is given back");
    intake.drop_stream(Stream::Err);
    assert_eq!(intake.queued.load(Ordering::Acquire), 0);
}

#[test]
fn errors_go_to_disk_last_and_are_seen_there_too() {
    let limits = BufferLimits::default().memory(1024);
    let intake = Intake::new(limits);
    let fill = |message: ChannelMsg, bytes: usize| {
        intake.arrived(bytes);
        intake.sort(&mut intake.state(), message);
    };
    fill(errors(b"report"), 6);
    fill(ChannelMsg::Data { data: Bytes::from(vec![0; 4096]) }, 4096);
    assert!(intake.spill().unwrap());
    assert_eq!(intake.state().err.memory.len(), 1, "there is room without it");
    fill(ChannelMsg::ExtendedData { data: Bytes::from(vec![b'x'; 4096]), ext: 1 }, 4096);
    assert!(intake.spill().unwrap());
    assert!(intake.state().err.memory.is_empty());
    assert_eq!(intake.peek_errors(8), b"reportxx");
    intake.keep_errors(100);
    assert_eq!(intake.peek_errors(8), b"reportxx");
}

#[tokio::test]
async fn what_goes_to_disk_comes_with_breaths_until_its_reader_has_caught_up() {
    let intake = Intake::new(BufferLimits::default().memory(1024));
    let all = 4096;
    assert!(!intake.is_due_for_a_breath(1 << 30), "nothing is on disk");
    intake.arrived(all);
    intake.sort(&mut intake.state(), ChannelMsg::Data { data: Bytes::from(vec![0; all]) });
    assert!(intake.spill().unwrap());
    let due = [100, 100, 100, 100, 100, 100].map(|kibibytes| intake.is_due_for_a_breath(kibibytes * 1024));
    assert_eq!(due, [false, false, true, false, false, true]);
    let mut read = 0;
    while read < all {
        let piece = std::future::poll_fn(|cx| intake.poll_data(Stream::Out, cx)).await.unwrap();
        read += piece.map_or(0, |piece| piece.len());
    }
    assert!(!intake.is_due_for_a_breath(1 << 30));
}

#[test]
fn many_small_pieces_are_taken_at_once_for_what_they_cost() {
    let intake = Intake::new(BufferLimits::default());
    for _ in 0..1000 {
        intake.arrived(1);
        intake.sort(&mut intake.state(), ChannelMsg::Data { data: Bytes::from_static(b"x") });
    }
    let (mut pieces, mut cx) = (Vec::new(), Context::from_waker(Waker::noop()));
    let limit = usize::try_from(10 * cost(1)).unwrap();
    let Poll::Ready(Ok(bytes)) = intake.poll_all_data(Stream::Out, &mut pieces, limit, &mut cx) else {
        panic!("there is something")
    };
    assert_eq!((bytes, pieces.len()), (10, 10));
}

#[test]
fn what_ran_over_is_given_back_at_once_and_what_was_closed_otherwise_is_not() {
    for (end, is_kept) in [(End::Overrun, false), (End::Released, true), (End::Closed, true)] {
        let intake = Intake::new(BufferLimits::default().memory(1024));
        let told = Arc::new(AtomicUsize::new(0));
        let tell = Arc::clone(&told);
        intake.when_closed(Box::new(move || {
            tell.fetch_add(1, Ordering::Relaxed);
        }));
        let data = |bytes: usize| ChannelMsg::Data { data: Bytes::from(vec![0; bytes]) };
        intake.arrived(4096);
        intake.sort(&mut intake.state(), data(4096));
        assert!(intake.spill().unwrap());
        intake.arrived(10);
        intake.sort(&mut intake.state(), data(10));
        if end == End::Closed {
            intake.sort(&mut intake.state(), ChannelMsg::Close);
        }
        drop(intake.end(if end == End::Closed { End::Overrun } else { end }));
        assert_eq!(intake.end_seen(), Some(end));
        assert_eq!(intake.is_on_disk(), is_kept, "{end:?}");
        assert_eq!(intake.state().out.memory.is_empty(), !is_kept, "{end:?}");
        assert_eq!(intake.queued.load(Ordering::Acquire) == 0, !is_kept, "{end:?}");
        assert_eq!(told.load(Ordering::Relaxed), 1, "{end:?}");
        // Who comes later for its place is told as well.
        let late = Intake::new(BufferLimits::default());
        drop(late.end(end));
        let tell = Arc::clone(&told);
        late.when_closed(Box::new(move || {
            tell.fetch_add(1, Ordering::Relaxed);
        }));
        assert_eq!(told.load(Ordering::Relaxed), if end == End::Closed { 1 } else { 2 });
    }
}

#[test]
fn a_reader_ahead_of_the_loops_count_leaves_no_orphan() {
    let intake = Intake::new(BufferLimits::default());
    let data = || ChannelMsg::Data { data: Bytes::from_static(b"ready\n") };
    intake.sort(&mut intake.state(), data());
    intake.drop_stream(Stream::Out);
    assert!(!intake.output_for_nobody(Stream::Out), "what it read, counted late");
    intake.sort(&mut intake.state(), data());
    assert!(intake.output_for_nobody(Stream::Out), "what came when it had gone");
    assert!(!intake.output_for_nobody(Stream::Out), "told once");
}

#[test]
fn output_that_was_there_when_its_reader_went_is_forgiven_and_the_next_is_not() {
    let intake = Intake::new(BufferLimits::default());
    assert!(!intake.output_for_nobody(Stream::Out));
    intake.drop_stream(Stream::Out);
    assert!(intake.output_for_nobody(Stream::Out));
}

//! What the base has queued for a channel, filed by what it is.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use russh::ChannelMsg;

use crate::base::channel;
use crate::base::intake::waiters::News;
use crate::base::intake::{End, Exit, Intake, MESSAGE_COST, State};
use crate::base::shared;

/// So many answers may wait for those who asked: more than there are requests for one command. What comes past it answers
/// nothing that was asked, and would take memory for as long as the channel is there.
pub(super) const REPLIES_KEPT: usize = 16 * 1024;

impl Intake {
    /// Sorts all that the base has queued, tells whom it concerns, and has the base wake all waiters for the next
    /// message. `true` when at least one was there.
    pub(super) fn sort_queue(&self, state: &mut State) -> bool {
        let waker = Waker::from(Arc::clone(&self.wakers));
        let mut cx = Context::from_waker(&waker);
        let (mut any, mut news) = (false, News::NONE);
        while state.end.is_none() {
            let Some(queue) = &mut state.queue else { break };
            let message = pin!(queue.wait()).poll(&mut cx);
            match message {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    state.end = Some(End::Lost);
                    news = News::ALL;
                }
                Poll::Ready(Some(message)) => news = news.and(self.sort(state, message)),
            }
            any = true;
        }
        if news != News::NONE {
            self.wakers.tell(news);
        }
        any
    }

    /// Files one message, and says whom it concerns.
    pub(super) fn sort(&self, state: &mut State, message: ChannelMsg) -> News {
        let news = match message {
            ChannelMsg::Data { data } => {
                if self.out_dropped.load(Ordering::Acquire) {
                    self.release(&data);
                    return News::NONE;
                }
                self.out_sorted.fetch_add(1, Ordering::AcqRel);
                if data.is_empty() {
                    // Allowed, and no end of file, which is what a reader would take it for.
                    self.release(&data);
                    return News::NONE;
                }
                state.out.memory.push_back(data);
                return News::OUT;
            }
            // Types other than stderr (1) are not defined; ssh drops them too.
            ChannelMsg::ExtendedData { data, ext } => {
                let has_room = state.err_room.is_none_or(|room| data.len() <= room);
                if ext != 1 || data.is_empty() || !has_room {
                    if ext == 1 && !has_room {
                        state.err_room = Some(0);
                    }
                    self.release(&data);
                    return News::NONE;
                }
                if let Some(room) = &mut state.err_room {
                    *room -= data.len();
                }
                state.err.memory.push_back(data);
                return News::ERR;
            }
            ChannelMsg::Eof => {
                state.eof = true;
                News::OUT.and(News::ERR)
            }
            ChannelMsg::ExitStatus { exit_status } => {
                state.exit.get_or_insert(Exit::Status(exit_status));
                News::EXIT
            }
            ChannelMsg::ExitSignal { signal_name, core_dumped, error_message, .. } => {
                state.exit.get_or_insert(Exit::Signal {
                    name: channel::signal_name(&signal_name),
                    core_dumped,
                    // It stands in one line of ours, on a terminal perhaps.
                    message: shared::sanitised(&error_message).replace(['\n', '\t'], " "),
                });
                News::EXIT
            }
            ChannelMsg::Success => state.replied(true),
            ChannelMsg::Failure => state.replied(false),
            ChannelMsg::Close => {
                state.end = Some(End::Closed);
                state.queue = None;
                self.ended.store(true, Ordering::Release);
                News::ALL
            }
            // Window adjustments reach the writer another way; the rest is never sent to a client.
            _ => News::NONE,
        };
        self.queued.fetch_sub(MESSAGE_COST, Ordering::AcqRel);
        news
    }
}

impl State {
    /// Files the answer to a request.
    fn replied(&mut self, agreed: bool) -> News {
        if self.replies.len() < REPLIES_KEPT {
            self.replies.push_back(agreed);
        }
        News::REPLY
    }
}

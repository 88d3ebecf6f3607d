//! Requests under any order of what happens, held against a model.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::Index,
};
use rustle_sftp_proto::{
    Answer, Asked, ClientPacket, ErrorKind, ExtendedRequest, Framer, Limits, Reply, Request, Requests,
    Segments, ServerPacket, StatusCode,
};

use crate::values;

/// What may happen next. An index chooses among those who wait, or among those who were answered.
#[derive(Debug, Clone)]
enum Step {
    Ask(Request),
    Answer(Index, Reply),
    AnswerRight(Index),
    AnswerAgain(Index, Reply),
    AnswerNobody(u32, Reply),
    Bytes(Bytes),
    Abandon,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => values::request().prop_map(Step::Ask),
        20 => any::<Index>().prop_map(Step::AnswerRight),
        2 => (any::<Index>(), values::reply()).prop_map(|(who, reply)| Step::Answer(who, reply)),
        1 => (any::<Index>(), values::reply()).prop_map(|(who, reply)| Step::AnswerAgain(who, reply)),
        1 => (any::<u32>(), values::reply()).prop_map(|(id, reply)| Step::AnswerNobody(id, reply)),
        1 => values::bytes(60).prop_map(Step::Bytes),
        1 => Just(Step::Abandon),
    ]
}

/// Who waits and who was answered.
#[derive(Debug, Default)]
struct Model {
    waiting: BTreeMap<u32, (usize, Request)>,
    answered: Vec<u32>,
    failed: bool,
}

impl Model {
    fn chosen(&self, index: Index) -> Option<(u32, usize, Request)> {
        let at = index.index(self.waiting.len().max(1));
        self.waiting.iter().nth(at).map(|(id, (waiter, request))| (*id, *waiter, request.clone()))
    }
}

/// Whether a reply may answer a request, from the draft's own words for each.
fn right(request: &Request, reply: &Reply) -> bool {
    let kind = Asked::of(request).to_string();
    let named = |names: &[&str]| names.iter().any(|name| kind.ends_with(name));
    let unknown =
        matches!(request, Request::Unknown { .. } | Request::Extended(ExtendedRequest::Unknown { .. }));
    let one_name = named(&["_REALPATH", "_READLINK", "expand-path@openssh.com", "home-directory"]);
    let status_only = named(&[
        "_CLOSE",
        "_WRITE",
        "SETSTAT",
        "_REMOVE",
        "_MKDIR",
        "_RMDIR",
        "_RENAME",
        "_SYMLINK",
        "posix-rename@openssh.com",
        "hardlink@openssh.com",
        "fsync@openssh.com",
        "lsetstat@openssh.com",
        "copy-data",
    ]);
    match reply {
        Reply::Status(status) => status.code() != StatusCode::OK || unknown || status_only,
        Reply::Handle(_) => unknown || named(&["_OPEN", "_OPENDIR"]),
        Reply::Data(data) => match request {
            Request::Read { length, .. } => data.len() <= usize::try_from(*length).unwrap(),
            _ => unknown,
        },
        Reply::Name(names) => unknown || named(&["_READDIR"]) || one_name && names.len() == 1,
        Reply::Attributes(_) => unknown || named(&["XP_STAT", "_LSTAT", "_FSTAT"]),
        Reply::Extended(_) => {
            unknown
                || named(&[
                    "vfs@openssh.com",
                    "limits@openssh.com",
                    "users-groups-by-id@openssh.com",
                    "check-file",
                ])
        }
        _ => false,
    }
}

fn same(answer: &Answer, reply: &Reply) -> bool {
    match (answer, reply) {
        (Answer::Status(a), Reply::Status(b)) => a == b,
        (Answer::Handle(a), Reply::Handle(b)) => a == b,
        (Answer::Data(a), Reply::Data(b)) => a.to_bytes() == b,
        (Answer::Names(a), Reply::Name(b)) => a == b,
        (Answer::Attributes(a), Reply::Attributes(b)) => a == b,
        (Answer::Extended(a), Reply::Extended(b)) => a == b,
        _ => false,
    }
}

/// As it comes from a framer that got it in pieces of so many bytes.
fn in_pieces(id: u32, reply: &Reply, cut: usize) -> Segments {
    let mut stream = ServerPacket::Reply { id, reply: reply.clone() }.encode().unwrap().to_bytes();
    let mut framer = Framer::new(Limits::default());
    while !stream.is_empty() {
        framer.push(stream.split_to(cut.min(stream.len())));
    }
    framer.next_segmented().unwrap().unwrap()
}

proptest! {
    #[test]
    fn every_answer_finds_who_waits_for_it_and_every_other_is_an_error(
        steps in vec(step(), 1..60),
        cut in 1..2000_usize,
    ) {
        let mut requests: Requests<usize> = Requests::new(Limits::default());
        let (mut model, mut back, mut begun) = (Model::default(), Vec::new(), 0);
        for step in steps {
            let (id, reply) = match step {
                Step::Ask(request) => {
                    let asked = requests.begin(&request, begun);
                    prop_assert_eq!(asked.is_err(), model.failed);
                    if let Ok(frame) = asked {
                        let packet = frame.to_bytes().slice(4..);
                        let ClientPacket::Request { id, request: read } =
                            ClientPacket::decode(packet, &Limits::default()).unwrap() else { panic!() };
                        prop_assert_eq!(&read, &request);
                        prop_assert!(model.waiting.insert(id, (begun, request)).is_none());
                        begun += 1;
                    }
                    continue;
                }
                Step::Abandon => {
                    let mut given: Vec<usize> = requests.abandon_all().collect();
                    given.sort_unstable();
                    let waiting = std::mem::take(&mut model.waiting);
                    prop_assert_eq!(&given, &waiting.values().map(|(waiter, _)| *waiter).collect::<Vec<_>>());
                    model.answered.extend(waiting.keys());
                    back.extend(given);
                    continue;
                }
                Step::Bytes(bytes) => {
                    let waiting = requests.outstanding();
                    match requests.answer(bytes.into()) {
                        Ok(answered) => {
                            prop_assert!(!model.failed);
                            let id = model.waiting.iter().find(|(_, (waiter, _))| *waiter == answered.waiter);
                            let id = *id.unwrap().0;
                            model.waiting.remove(&id);
                            model.answered.push(id);
                            back.push(answered.waiter);
                        }
                        Err(_) => {
                            model.failed = true;
                            prop_assert_eq!(requests.outstanding(), waiting);
                        }
                    }
                    continue;
                }
                Step::AnswerRight(who) => {
                    let Some((id, ..)) = model.chosen(who) else { continue };
                    (id, Reply::from(StatusCode::FAILURE))
                }
                Step::Answer(who, reply) => {
                    let Some((id, ..)) = model.chosen(who) else { continue };
                    (id, reply)
                }
                Step::AnswerAgain(who, reply) => {
                    if model.answered.is_empty() {
                        continue;
                    }
                    (model.answered[who.index(model.answered.len())], reply)
                }
                Step::AnswerNobody(id, reply) => (id, reply),
            };
            let found = requests.answer(in_pieces(id, &reply, cut));
            if model.failed {
                prop_assert!(found.is_err());
                continue;
            }
            match (model.waiting.get(&id), found) {
                (Some((waiter, request)), Ok(answered)) => {
                    prop_assert!(right(request, &reply), "{:?} answers {:?}", reply, request);
                    prop_assert_eq!(answered.waiter, *waiter);
                    prop_assert_eq!(answered.request, Asked::of(request));
                    prop_assert!(same(&answered.reply, &reply), "{:?} was {:?}", reply, answered.reply);
                    back.push(answered.waiter);
                    model.answered.push(id);
                    model.waiting.remove(&id);
                }
                (Some((_, request)), Err(error)) => {
                    prop_assert!(!right(request, &reply), "{:?} for {:?}: {}", reply, request, error);
                    prop_assert_eq!(error.request(), Some(Asked::of(request)));
                    prop_assert_eq!(error.id(), Some(id));
                    model.failed = true;
                }
                (None, Ok(answered)) => prop_assert!(false, "nobody waited: {answered:?}"),
                (None, Err(error)) => {
                    let twice = matches!(error.kind(), ErrorKind::AnsweredBefore { .. });
                    let never = matches!(error.kind(), ErrorKind::NeverAsked { .. });
                    prop_assert_eq!((twice, never), (model.answered.contains(&id), !model.answered.contains(&id)));
                    model.failed = true;
                }
            }
            prop_assert_eq!(requests.outstanding(), model.waiting.len());
        }
        back.extend(requests.abandon_all());
        back.sort_unstable();
        prop_assert_eq!(back, (0..begun).collect::<Vec<_>>(), "each waiter comes back once");
    }

    #[test]
    fn every_reply_is_the_answer_to_whatever_may_have_it(
        request in values::request(),
        reply in values::reply(),
        cut in 1..700_usize,
    ) {
        let mut requests = Requests::new(Limits::default());
        requests.begin(&request, ()).unwrap();
        match requests.answer(in_pieces(1, &reply, cut)) {
            Ok(answered) => prop_assert!(right(&request, &reply) && same(&answered.reply, &reply)),
            Err(error) => prop_assert!(!right(&request, &reply), "{}", error),
        }
    }

    #[test]
    fn no_bytes_panic_and_nobody_is_lost(
        asked in vec(values::request(), 1..8),
        packets in vec(crate::hostile::nearly(), 1..20),
        ids in vec(1..9_u8, 20),
    ) {
        let mut requests = Requests::new(Limits::default());
        let mut back = Vec::new();
        for (waiter, request) in asked.iter().enumerate() {
            requests.begin(request, waiter).unwrap();
        }
        for (packet, id) in packets.iter().zip(ids) {
            let mut packet = packet.to_vec();
            packet[4] = id;
            if let Ok(answered) = requests.answer(Bytes::from(packet).into()) {
                back.push(answered.waiter);
            }
        }
        back.extend(requests.abandon_all());
        back.sort_unstable();
        prop_assert_eq!(back, (0..asked.len()).collect::<Vec<_>>());
    }
}

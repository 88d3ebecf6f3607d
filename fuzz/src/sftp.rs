//! A client of SFTP whose server says anything.

use bytes::Bytes;
use rustle_sftp_proto::{
    Answer, Answered, Attributes, CheckFile, ExtendedRequest, FileHashes, FileSystem, Framer, Handle, Limits,
    OpenFlags, Opening, OwnerNames, Request, Requests, ServerLimits,
};

/// Of a READ, in bytes.
const LENGTH: u32 = 4096;

/// What a server sends: to the client's INIT and to a request of every kind. The first byte says how it is cut: its lower
/// seven bits how many bytes come at once (0: all), its highest that the stream is already open.
pub fn sftp_client(data: &[u8]) {
    let _ = sftp_answers(data);
}

/// The same, and how many requests were answered.
pub fn sftp_answers(data: &[u8]) -> usize {
    let Some((how, stream)) = data.split_first() else { return 0 };
    let cut = match usize::from(how & 0x7f) {
        0 => stream.len().max(1),
        cut => cut,
    };
    let mut pieces = stream.chunks(cut).map(Bytes::copy_from_slice);
    if how & 0x80 != 0 {
        return answers(Framer::new(Limits::default()), pieces);
    }
    match open(&mut pieces) {
        Some(framer) => answers(framer, pieces),
        None => 0,
    }
}

/// How many requests there are to answer.
pub fn sftp_requests() -> usize {
    requests().len()
}

fn open(pieces: &mut impl Iterator<Item = Bytes>) -> Option<Framer> {
    let (mut opening, mut pushed) = (Opening::new(Limits::default()), 0);
    for piece in pieces.by_ref() {
        pushed += piece.len();
        match opening.receive(piece) {
            Ok(None) => {}
            Ok(Some(hello)) => {
                assert_eq!(hello.version(), 3);
                let framer = opening.into_framer();
                assert!(framer.buffered() < pushed);
                return Some(framer);
            }
            Err(error) => {
                let shown = error.to_string();
                assert!(shown.len() <= 8 * 1024 && !shown.contains(char::is_control), "{shown:?}");
                assert_eq!(opening.finish(), Err(error), "it stays");
                assert_eq!(opening.into_framer().buffered(), 0);
                return None;
            }
        }
    }
    assert!(opening.finish().is_err(), "it is not open");
    None
}

fn answers(mut framer: Framer, pieces: impl Iterator<Item = Bytes>) -> usize {
    let mut waiting = Requests::new(Limits::default());
    let asked = requests();
    for (waiter, request) in asked.iter().enumerate() {
        assert!(waiting.begin(request, waiter).is_ok(), "{request:?}");
    }
    let mut joined = framer.clone();
    let mut back = Vec::new();
    // What came behind VERSION is there before the next piece.
    for piece in std::iter::once(Bytes::new()).chain(pieces) {
        let pushed = framer.buffered() + piece.len();
        joined.push(piece.clone());
        framer.push(piece);
        if let Err(()) = drain(&mut framer, &mut joined, &mut waiting, &mut back, pushed) {
            break;
        }
    }
    let answered = back.len();
    assert_eq!(waiting.outstanding(), asked.len() - answered);
    back.extend(waiting.abandon_all());
    back.sort_unstable();
    assert!(back.into_iter().eq(0..asked.len()), "each waiter comes back once");
    answered
}

/// All packets that are whole; an error ends the stream.
fn drain(
    framer: &mut Framer,
    joined: &mut Framer,
    waiting: &mut Requests<usize>,
    back: &mut Vec<usize>,
    pushed: usize,
) -> Result<(), ()> {
    let mut taken = 0;
    loop {
        let packet = framer.next_segmented();
        let whole = packet.clone().map(|packet| packet.map(|packet| packet.to_bytes()));
        assert_eq!(whole, joined.next_packet());
        let Some(packet) = packet.map_err(|_| ())? else { break };
        assert!(packet.pieces().count() <= packet.len() / 512 + 2, "{packet:?}");
        taken += packet.len() + 4;
        back.push(check(waiting.answer(packet).map_err(|_| ())?));
    }
    assert_eq!(framer.buffered() + taken, pushed);
    assert!(framer.buffered() < framer.limits().max_packet() + 4);
    Ok(())
}

/// What holds of each answer.
fn check(answered: Answered<usize>) -> usize {
    match answered.reply {
        Answer::Data(data) if answered.request.kind().value() == 5 => {
            assert!(data.len() <= LENGTH as usize);
        }
        Answer::Handle(handle) => assert!(handle.as_bytes().len() <= 256),
        Answer::Names(names) => assert!(names.len() <= 8192),
        Answer::Extended(body) => {
            let _ = (FileSystem::decode(body.clone()), ServerLimits::decode(body.clone()));
            let _ = OwnerNames::decode(body.clone(), &Limits::default());
            let _ = FileHashes::decode(body, &Limits::default());
        }
        Answer::Data(_) | Answer::Status(_) | Answer::Attributes(_) => {}
    }
    answered.waiter
}

/// One of each kind; their ids begin with 1.
fn requests() -> Vec<Request> {
    use ExtendedRequest as E;
    use Request as R;
    let path = || Bytes::from_static(b"/a");
    let handle = || Handle::new("h");
    let attributes = || Attributes::new().with_permissions(0o644);
    let check = || CheckFile { algorithms: "sha256".into(), offset: 0, length: 0, block_size: 0 };
    vec![
        R::Open { path: path(), flags: OpenFlags::READ, attributes: attributes() },
        R::Close { handle: handle() },
        R::Read { handle: handle(), offset: 0, length: LENGTH },
        R::Write { handle: handle(), offset: 0, data: path() },
        R::Lstat { path: path() },
        R::Fstat { handle: handle() },
        R::SetStat { path: path(), attributes: attributes() },
        R::FsetStat { handle: handle(), attributes: attributes() },
        R::OpenDir { path: path() },
        R::ReadDir { handle: handle() },
        R::Remove { path: path() },
        R::MkDir { path: path(), attributes: attributes() },
        R::RmDir { path: path() },
        R::RealPath { path: path() },
        R::Stat { path: path() },
        R::Rename { from: path(), to: path() },
        R::ReadLink { path: path() },
        R::Symlink { target: path(), link: path() },
        R::Extended(E::StatVfs { path: path() }),
        R::Extended(E::Fsync { handle: handle() }),
        R::Extended(E::Limits),
        R::Extended(E::HomeDirectory { user: path() }),
        R::Extended(E::UsersGroupsById { uids: vec![0], gids: vec![0] }),
        R::Extended(E::CheckFileHandle { handle: handle(), check: check() }),
        R::Extended(E::Unknown { name: path(), data: path() }),
    ]
}

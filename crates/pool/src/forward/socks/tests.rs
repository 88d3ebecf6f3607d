//! What clients say, whole, in pieces, and at random.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::{prop_assert, prop_assert_eq, proptest};

use super::{LONGEST, Reply, Socks, Verdict, Version, Wanted};

/// All that is to be done about these pieces, and what is left for the target.
fn heard<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Verdict>, Vec<u8>) {
    let (mut socks, mut verdicts) = (Socks::default(), Vec::new());
    let mut is_over = false;
    for piece in pieces {
        socks.push(piece);
        while !is_over {
            match socks.verdict() {
                Verdict::More => break,
                verdict => {
                    is_over = !matches!(verdict, Verdict::Answer(_));
                    verdicts.push(verdict);
                }
            }
        }
    }
    (verdicts, socks.rest())
}

fn connect(version: Version, host: &str, port: u16) -> Verdict {
    Verdict::Connect(Wanted { version, host: host.to_owned(), port })
}

/// A client of SOCKS 5 that wants no authentication.
fn five(request: &[u8]) -> Vec<u8> {
    [&[5, 1, 0], request].concat()
}

fn refusal(bytes: &[u8]) -> Vec<u8> {
    match heard([bytes]).0.pop() {
        Some(Verdict::Refuse { answer, .. }) => answer,
        other => panic!("{bytes:?}: {other:?}"),
    }
}

#[test]
fn each_way_to_name_a_target_is_understood_and_what_follows_is_left() {
    let greeted = Verdict::Answer(vec![5, 0]);
    let name = b"\x05\x01\0\x03\x0bexample.orgGET /";
    for (said, verdicts) in [
        (five(name), vec![greeted.clone(), connect(Version::Five, "example.org", 0x4745)]),
        (
            five(&[5, 1, 0, 1, 192, 0, 2, 7, 1, 187]),
            vec![greeted.clone(), connect(Version::Five, "192.0.2.7", 443)],
        ),
        (
            five(&[&[5, 1, 0, 4, 0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1, 0, 80]].concat()),
            vec![greeted, connect(Version::Five, "2001:db8::1", 80)],
        ),
        (b"\x04\x01\0\x50\xc0\0\x02\x07me\0".to_vec(), vec![connect(Version::Four, "192.0.2.7", 80)]),
        (
            b"\x04\x01\0\x50\0\0\0\x01me\0example.org\0".to_vec(),
            vec![connect(Version::Four, "example.org", 80)],
        ),
        // Not 4a: 0.0.0.0 names no name.
        (b"\x04\x01\0\x50\0\0\0\0\0".to_vec(), vec![connect(Version::Four, "0.0.0.0", 80)]),
    ] {
        assert_eq!(heard([&said[..]]).0, verdicts, "{said:?}");
        let followed = [&said[..], b"and more"].concat();
        let (found, rest) = heard([&followed[..]]);
        assert_eq!(found, verdicts, "{said:?}");
        assert!(rest.ends_with(b"and more"), "{rest:?}");
    }
    assert_eq!(heard([&five(name)[..]]).1, b"T /");
}

#[test]
fn what_there_is_not_is_refused_by_its_code() {
    let code = |bytes: &[u8]| refusal(bytes)[1];
    // BIND and UDP ASSOCIATE.
    assert_eq!(code(&five(&[5, 2, 0, 1, 1, 2, 3, 4, 0, 80])), 7);
    assert_eq!(code(&five(&[5, 3, 0, 1, 0, 0, 0, 0, 0, 0])), 7);
    assert_eq!(code(&five(&[5, 1, 0, 2])), 8);
    assert_eq!(code(&five(&[5, 1, 0, 3, 0, 0, 80])), 1, "no name at all");
    assert_eq!(code(&five(b"\x05\x01\0\x03\x04a\nbc\0\x50")), 1);
    assert_eq!(code(&five(b"\x05\x01\0\x03\x02\xff\xfe\0\x50")), 1);
    assert_eq!(code(&five(&[4])), 1);
    assert_eq!(refusal(&[5, 0]), [5, 0xff], "no method at all");
    assert_eq!(refusal(&[5, 2, 1, 2]), [5, 0xff], "GSSAPI or a password");
    assert_eq!(refusal(&[4, 2, 0, 80, 1, 2, 3, 4, 0]), [0, 0x5b, 0, 0, 0, 0, 0, 0]);
    assert_eq!(refusal(&[4, 1, 0, 80, 0, 0, 0, 1, 0, 0]), [0, 0x5b, 0, 0, 0, 0, 0, 0]);
    // An HTTP proxy is wanted: no answer of ours would be understood.
    assert_eq!(refusal(b"CONNECT"), []);
    assert_eq!(refusal(&[0]), []);
}

#[test]
fn texts_have_a_longest_length() {
    let of = |user: usize, name: usize| {
        let mut said = vec![4, 1, 0, 80, 0, 0, 0, 1];
        said.extend(std::iter::repeat_n(b'u', user));
        said.push(0);
        said.extend(std::iter::repeat_n(b'n', name));
        said.push(0);
        heard([&said[..]]).0.pop().unwrap()
    };
    assert_eq!(of(LONGEST, LONGEST), connect(Version::Four, &"n".repeat(LONGEST), 80));
    assert!(matches!(of(LONGEST + 1, 1), Verdict::Refuse { .. }));
    assert!(matches!(of(1, LONGEST + 1), Verdict::Refuse { .. }));
    // One that never ends is not waited for.
    let endless = [&[4, 1, 0, 80, 1, 2, 3, 4][..], &[b'u'; LONGEST + 1]].concat();
    assert!(matches!(heard([&endless[..]]).0[..], [Verdict::Refuse { .. }]));
}

#[test]
fn only_a_grant_looks_like_one() {
    let replies = [
        Reply::Granted,
        Reply::Failed,
        Reply::NotAllowed,
        Reply::NetworkUnreachable,
        Reply::HostUnreachable,
        Reply::Refused,
        Reply::CommandUnknown,
        Reply::AddressUnknown,
    ];
    let codes = |version: Version| replies.map(|reply| version.answer(reply)[1]);
    assert_eq!(codes(Version::Five), [0, 1, 2, 3, 4, 5, 7, 8]);
    assert_eq!(codes(Version::Four), [0x5a, 0x5b, 0x5b, 0x5b, 0x5b, 0x5b, 0x5b, 0x5b]);
}

/// Something like what a client says, right or wrong in few places.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let byte = || prop_oneof![0_u8..8, any::<u8>()];
    let four = (byte(), vec(byte(), 6), vec(any::<u8>(), 0..300), vec(1_u8..128, 0..300));
    let four = four.prop_map(|(command, place, user, name)| {
        [&[4, command][..], &place, &user, &[0], &name, &[0], b"rest"].concat()
    });
    let five = (vec(byte(), 0..4), byte(), byte(), vec(any::<u8>(), 0..300));
    let five = five.prop_map(|(methods, command, kind, rest)| {
        let count = u8::try_from(methods.len()).unwrap();
        [&[5, count][..], &methods, &[5, command, 0, kind], &rest].concat()
    });
    prop_oneof![four, five, vec(any::<u8>(), 0..600)]
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_gives_the_same(said in conversation(), cuts in vec(any::<proptest::sample::Index>(), 0..8)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(said.len() + 1)).collect();
        cuts.extend([0, said.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &said[ends[0]..ends[1]]);
        let whole = heard([&said[..]]);
        prop_assert_eq!(&heard(pieces), &whole);
        prop_assert_eq!(&heard(said.chunks(1)), &whole);
    }

    #[test]
    fn whatever_comes_little_is_waited_for(said in vec(any::<u8>(), 0..2000)) {
        let mut socks = Socks::default();
        for byte in said.chunks(1) {
            socks.push(byte);
            match socks.verdict() {
                Verdict::More | Verdict::Answer(_) => prop_assert!(socks.bytes.len() <= 8 + 2 * (LONGEST + 1)),
                Verdict::Connect(wanted) => {
                    prop_assert!(!wanted.host.is_empty() && wanted.host.len() <= LONGEST);
                    return Ok(());
                }
                Verdict::Refuse { .. } => return Ok(()),
            }
        }
    }
}

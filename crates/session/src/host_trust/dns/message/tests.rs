//! Messages, good and broken.

use super::*;

/// An answer to the question with these records: owner, type, data.
fn answer(question: &Question, flags: u16, records: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [7, RESPONSE | flags, 1, u16::try_from(records.len()).unwrap(), 0, 0] {
        out.extend(word.to_be_bytes());
    }
    out.extend(&question.name);
    out.extend(SSHFP.to_be_bytes());
    out.extend(IN.to_be_bytes());
    for (owner, kind, data) in records {
        out.extend(*owner);
        out.extend(kind.to_be_bytes());
        out.extend(IN.to_be_bytes());
        out.extend([0; 4]);
        out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(*data);
    }
    out
}

fn question() -> Question {
    Question::sshfp("Web-1.example.com.").unwrap()
}

fn records(reply: Reply) -> usize {
    match reply {
        Reply::Answer(answer) => answer.records.len(),
        other => panic!("{other:?}"),
    }
}

const POINTER: &[u8] = &[0xc0, 12];

#[test]
fn a_question_asks_for_sshfp_of_the_absolute_name_with_dnssec() {
    let encoded = question().encode(0x1234);
    let expected = b"\x12\x34\x01\x20\0\x01\0\0\0\0\0\x01\x05web-1\x07example\x03com\0\0\x2c\0\x01\0\0\x29\x04\xd0\0\0\x80\0\0\0";
    assert_eq!(encoded, expected);
    let long = vec!["a".repeat(60); 5].join(".");
    for bad in ["", ".", "a..b", "a b", "a\0b", "ä.example", &"a".repeat(64), &long, "[::1]", "a%b"] {
        assert!(Question::sshfp(bad).is_none(), "{bad}");
    }
}

#[test]
fn records_of_the_name_are_taken_and_others_are_not() {
    let question = question();
    let message = answer(
        &question,
        AUTHENTIC,
        &[(POINTER, SSHFP, &[4, 2, 9]), (b"\x05other\0", SSHFP, &[4, 2, 8]), (POINTER, 46, &[1; 40])],
    );
    match question.read(7, &message) {
        Reply::Answer(Answer { records, is_authentic: true }) => {
            assert_eq!(records, [SshfpRecord::from_rdata(&[4, 2, 9]).unwrap()]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn aliases_are_followed_and_a_ring_of_them_is_broken() {
    let question = question();
    let alias = (POINTER, CNAME, &b"\x01b\0"[..]);
    let message = answer(&question, 0, &[(b"\x01B\0", SSHFP, &[4, 2, 9]), alias]);
    assert_eq!(records(question.read(7, &message)), 1);
    let ring = answer(&question, 0, &[alias, (b"\x01b\0", CNAME, b"\xc0\x0c")]);
    assert!(matches!(question.read(7, &ring), Reply::Broken(_)));
    let nowhere = answer(&question, 0, &[(POINTER, CNAME, b"\x01b\0x")]);
    assert!(matches!(question.read(7, &nowhere), Reply::Broken(_)));
}

#[test]
fn an_answer_to_another_question_is_none() {
    let question = question();
    let good = answer(&question, 0, &[(POINTER, SSHFP, &[4, 2, 9])]);
    assert_eq!(records(question.read(7, &good)), 1);
    assert_eq!(question.read(8, &good), Reply::Foreign, "another id");
    let other = Question::sshfp("web-2.example.com").unwrap();
    assert_eq!(question.read(7, &answer(&other, 0, &[])), Reply::Foreign, "another name");
    for (at, byte, why) in [
        (2, 0x01, "a query"),
        (2, 0x88, "another operation"),
        (5, 2, "two questions"),
        (5, 0, "no question"),
        (12 + 19 + 1, 1, "another type"),
        (12 + 19 + 3, 3, "another class"),
    ] {
        let mut bent = good.clone();
        bent[at] = byte;
        assert_eq!(question.read(7, &bent), Reply::Foreign, "{why}");
    }
}

#[test]
fn errors_are_no_answers_and_no_such_name_has_no_records() {
    let question = question();
    for code in [1, 2, 4, 5, 15] {
        let message = answer(&question, AUTHENTIC | code, &[(POINTER, SSHFP, &[4, 2, 9])]);
        assert!(matches!(question.read(7, &message), Reply::Broken(_)), "{code}");
    }
    assert_eq!(
        records(question.read(7, &answer(&question, NO_SUCH_NAME, &[(POINTER, SSHFP, &[4, 2, 9])]))),
        0
    );
    let truncated = answer(&question, TRUNCATED, &[(POINTER, SSHFP, &[4, 2, 9])]);
    assert_eq!(question.read(7, &truncated), Reply::Truncated);
}

#[test]
fn a_name_of_pointers_alone_comes_to_an_end_soon() {
    let question = question();
    // Pointers, each to the one before it, and the record's owner at the last of them.
    let message = |pointers: u16| {
        let mut text = Vec::new();
        let start = 12 + u16::try_from(question.name.len()).unwrap() + 4 + 11;
        for number in 0..pointers {
            let target = if number == 0 { 12 } else { start + 2 * (number - 1) };
            text.extend((0xc000 | target).to_be_bytes());
        }
        let last = (0xc000 | (start + 2 * (pointers - 1))).to_be_bytes();
        answer(&question, 0, &[(b"\0", 16, &text), (&last, SSHFP, &[4, 2, 9])])
    };
    let most = u16::try_from(MOST_POINTERS).unwrap();
    assert_eq!(records(question.read(7, &message(most - 1))), 1);
    assert!(matches!(question.read(7, &message(most)), Reply::Broken(_)));
}

#[test]
fn damaged_answers_are_broken_and_never_endless() {
    let question = question();
    let good = answer(&question, 0, &[(POINTER, SSHFP, &[4, 2, 9]), (POINTER, SSHFP, &[4, 2, 8])]);
    for end in 0..good.len() {
        let cut = question.read(7, &good[..end]);
        assert!(matches!(cut, Reply::Broken(_) | Reply::Foreign), "{end}: {cut:?}");
    }
    for owner in [
        &b"\xc0\x23"[..],
        b"\xc0\xff",
        b"\xff\xff",
        b"\x40a",
        b"\x80",
        &[b"\x3f".as_slice(), &[b'a'; 63]].concat(),
    ] {
        let bent = answer(&question, 0, &[(owner, SSHFP, &[4, 2, 9])]);
        assert!(matches!(question.read(7, &bent), Reply::Broken(_)), "{owner:?}");
    }
    let short = answer(&question, 0, &[(POINTER, SSHFP, &[4])]);
    assert!(matches!(question.read(7, &short), Reply::Broken(_)), "a record that is none");
    // Any single byte bent: an answer or none, and no panic.
    for at in 0..good.len() {
        for byte in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
            let mut bent = good.clone();
            bent[at] = byte;
            let _ = question.read(7, &bent);
        }
    }
}

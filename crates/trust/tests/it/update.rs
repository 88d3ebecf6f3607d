//! What becomes of the user's files when a known host announces its keys.

use rustle_trust::{
    HostHashing, HostKeysUpdate, KnownHosts, KnownKey, PublicKey, UpdateRefusal, UpdateVerdict, entry_line,
};

use crate::support::{ECDSA_256, ED25519, ED25519_B, RSA, host, key, line};

fn update(announced: &[&str]) -> HostKeysUpdate {
    HostKeysUpdate::new(host("web-1"), 22, key(ED25519), announced.iter().map(|text| key(text)).collect())
}

fn judge(update: &HostKeysUpdate, text: &str) -> UpdateVerdict {
    update.judge(&KnownHosts::parse("f", text.as_bytes()).unwrap())
}

/// The file afterwards.
fn applied(update: &HostKeysUpdate, text: &str, hashing: HostHashing) -> String {
    let UpdateVerdict::Change { learned, deprecated } = judge(update, text) else {
        panic!("{:?}", judge(update, text))
    };
    String::from_utf8(rewritten(update, text, &learned, &deprecated, || hashing).unwrap()).unwrap()
}

fn rewritten(
    update: &HostKeysUpdate,
    text: &str,
    add: &[PublicKey],
    remove: &[KnownKey],
    mut hashing: impl FnMut() -> HostHashing,
) -> Option<Vec<u8>> {
    update.rewrite(text.as_bytes(), add, remove, || Ok::<_, ()>(hashing())).unwrap()
}

#[test]
fn new_keys_go_to_the_end_and_deprecated_lines_go_while_all_else_keeps_its_bytes() {
    let (old, kept) = (line("web-1", ED25519_B), line("web-1", ED25519));
    let others = format!(
        "\u{feff}# of mine\r\n\n  {}\t\r\nweb-2 {}{kept} a comment \u{1F511}\r\nweb-1 ssh-ed25519 damaged\n@marker web-1 x\n",
        line("|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=", RSA),
        ECDSA_256.trim_end().to_owned() + "\n",
    );
    let text = format!("{others}{old}\nweb-3 no newline");
    let update = update(&[ED25519, RSA]);
    // The hashed line is of another host, whose name nobody knows: its key is one that is announced.
    assert_eq!(judge(&update, &text), UpdateVerdict::Refused(UpdateRefusal::OtherName));
    let text = text
        .replace(&RSA.trim_end()["ssh-rsa ".len()..], &ECDSA_256.trim_end()["ecdsa-sha2-nistp256 ".len()..])
        .replace("ssh-rsa ", "ecdsa-sha2-nistp256 ");
    let others = others
        .replace(&RSA.trim_end()["ssh-rsa ".len()..], &ECDSA_256.trim_end()["ecdsa-sha2-nistp256 ".len()..])
        .replace("ssh-rsa ", "ecdsa-sha2-nistp256 ");
    match judge(&update, &text) {
        UpdateVerdict::Change { learned, deprecated } => {
            assert_eq!(learned, [key(RSA)]);
            assert_eq!(
                deprecated.iter().map(|known| known.key().clone()).collect::<Vec<_>>(),
                [key(ED25519_B)]
            );
        }
        other => panic!("{other:?}"),
    }
    let expected = format!("{others}web-3 no newline\nweb-1 {}\n", key(RSA).to_openssh());
    assert_eq!(applied(&update, &text, HostHashing::Plain), expected);
}

#[test]
fn files_that_say_what_the_host_says_are_left_alone() {
    let text = format!("{}{}", line("web-1", ED25519) + "\n", line("web-1", RSA));
    let update = update(&[RSA, ED25519]);
    assert_eq!(judge(&update, &text), UpdateVerdict::Unchanged);
    assert_eq!(rewritten(&update, &text, &[key(RSA)], &[], || HostHashing::Plain), None);
}

#[test]
fn hashed_names_are_found_and_written() {
    let hashing = HostHashing::Hashed { salt: [9; 20] };
    let text = entry_line(&host("web-1"), 22, &key(ED25519), hashing)
        + &entry_line(&host("web-1"), 22, &key(ED25519_B), hashing);
    let update = update(&[ED25519, RSA]);
    let known = KnownHosts::parse("f", text.as_bytes()).unwrap();
    assert!(update.is_hashed_in(&known));
    assert!(!update.is_hashed_in(&KnownHosts::parse("f", line("web-1", RSA).as_bytes()).unwrap()));
    let expected = entry_line(&host("web-1"), 22, &key(ED25519), hashing)
        + &entry_line(&host("web-1"), 22, &key(RSA), hashing);
    assert_eq!(applied(&update, &text, hashing), expected);
}

#[test]
fn what_a_person_wrote_is_left_alone() {
    let own = line("web-1", ED25519) + "\n";
    for (more, refusal) in [
        (line("@cert-authority *", RSA), UpdateRefusal::WrittenByHand),
        (line("@revoked web-1", RSA), UpdateRefusal::WrittenByHand),
        (line("web-*", ED25519_B), UpdateRefusal::WrittenByHand),
        (line("web-1,10.0.0.1,10.0.0.2", ED25519_B), UpdateRefusal::WrittenByHand),
        (line("web-2", ED25519), UpdateRefusal::OtherName),
        (line("web-2", RSA), UpdateRefusal::OtherName),
        (line("web-2", ED25519_B) + "\n" + &line("web-1", ED25519_B), UpdateRefusal::OtherName),
    ] {
        let text = format!("{own}{more}\n");
        assert_eq!(judge(&update(&[ED25519, RSA]), &text), UpdateVerdict::Refused(refusal), "{more}");
    }
}

#[test]
fn a_host_without_a_line_of_its_own_is_not_written_down() {
    for text in [String::new(), line("web-1", RSA), line("[web-1]:2222", ED25519)] {
        let verdict = judge(&update(&[ED25519, RSA]), &text);
        assert_eq!(verdict, UpdateVerdict::Refused(UpdateRefusal::NotRecorded), "{text}");
    }
}

#[test]
fn an_announcement_that_contradicts_itself_changes_nothing() {
    let text = line("web-1", ED25519);
    let verdict = judge(&update(&[ED25519, RSA, RSA]), &text);
    assert_eq!(verdict, UpdateVerdict::Refused(UpdateRefusal::Repeated));
    let verdict = judge(&update(&[RSA]), &text);
    assert_eq!(verdict, UpdateVerdict::Refused(UpdateRefusal::PresentedIsMissing));
}

#[test]
fn the_address_is_kept_with_its_host() {
    let with_address = update(&[ED25519, RSA]).address(host("10.0.0.7"), 22);
    let own = line("web-1,10.0.0.7", ED25519) + "\n";
    let expected = format!("{own}web-1,10.0.0.7 {}\n", key(RSA).to_openssh());
    assert_eq!(applied(&with_address, &own, HostHashing::Plain), expected);
    let text = format!("{own}{}\n", line("web-9,10.0.0.7", ED25519_B));
    assert_eq!(judge(&with_address, &text), UpdateVerdict::Refused(UpdateRefusal::OtherName));
    let mut salt = 0;
    let hashed = rewritten(&with_address, &own, &[key(RSA)], &[], || {
        salt += 1;
        HostHashing::Hashed { salt: [salt; 20] }
    });
    let known = KnownHosts::parse("f", &hashed.unwrap()).unwrap();
    let has = |name: &str| known.entries(&host(name), 22).iter().any(|entry| *entry.key() == key(RSA));
    assert!(has("web-1") && has("10.0.0.7") && salt == 2);
}

#[test]
fn an_address_has_the_port_that_was_connected_to_where_the_host_has_an_alias() {
    let with_address = update(&[ED25519, RSA]).address(host("10.0.0.7"), 2222);
    let own = line("web-1,[10.0.0.7]:2222", ED25519) + "\n";
    let expected = format!("{own}web-1,[10.0.0.7]:2222 {}\n", key(RSA).to_openssh());
    assert_eq!(applied(&with_address, &own, HostHashing::Plain), expected);
    let hashed = applied(&with_address, &own, HostHashing::Hashed { salt: [1; 20] });
    let known = KnownHosts::parse("f", hashed.as_bytes()).unwrap();
    let has = |port| known.entries(&host("10.0.0.7"), port).iter().any(|entry| *entry.key() == key(RSA));
    assert!(has(2222) && !has(22));
    // A line of the address at the alias's own port is another's.
    let foreign = format!("{own}{}\n", line("10.0.0.7", ED25519_B));
    assert!(
        matches!(judge(&with_address, &foreign), UpdateVerdict::Change { deprecated, .. } if deprecated.is_empty())
    );
}

#[test]
fn more_keys_than_any_host_has_change_nothing() {
    let announced = |count: usize| -> Vec<PublicKey> {
        let others = (1..count).map(|number| {
            let mut wire = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
            wire.extend([u8::try_from(number).unwrap(); 32]);
            PublicKey::from_wire(&wire).unwrap()
        });
        std::iter::once(key(ED25519)).chain(others).collect()
    };
    let update = |count| HostKeysUpdate::new(host("web-1"), 22, key(ED25519), announced(count));
    let text = line("web-1", ED25519);
    let most = HostKeysUpdate::MOST_KEYS;
    assert!(
        matches!(judge(&update(most), &text), UpdateVerdict::Change { learned, .. } if learned.len() == most - 1)
    );
    assert_eq!(judge(&update(most + 1), &text), UpdateVerdict::Refused(UpdateRefusal::TooMany));
}

#[test]
fn no_more_is_removed_than_was_agreed_on() {
    let text = [line("web-1", ED25519), line("web-1", ED25519_B), line("web-1", ECDSA_256)].join("\n") + "\n";
    let update = update(&[ED25519]);
    let UpdateVerdict::Change { deprecated, .. } = judge(&update, &text) else { panic!() };
    assert_eq!(deprecated.len(), 2);
    let plain = || HostHashing::Plain;
    let rest = rewritten(&update, &text, &[], &deprecated[..1], plain).unwrap();
    assert_eq!(String::from_utf8(rest).unwrap(), text.replace(&(line("web-1", ED25519_B) + "\n"), ""));
    assert_eq!(rewritten(&update, &text, &[], &[], plain), None);
    // Nor is what the host announces after all.
    let all = self::update(&[ED25519, ED25519_B, ECDSA_256]);
    assert_eq!(rewritten(&all, &text, &[], &deprecated, plain), None);
}

#[test]
fn where_no_salt_is_to_be_had_nothing_is_written() {
    let text = line("web-1", ED25519);
    let update = update(&[ED25519, RSA]);
    let failed = update.rewrite(text.as_bytes(), &[key(RSA)], &[], || Err::<HostHashing, _>("no salt"));
    assert_eq!(failed, Err("no salt"));
}

#[test]
fn the_other_names_of_a_key_are_told_with_their_lines() {
    let key: PublicKey = key(ED25519);
    let hashed = entry_line(&host("web-7"), 22, &key, HostHashing::Hashed { salt: [1; 20] });
    let text = [
        line("web-1", ED25519),
        line("web-2,10.0.0.2", ED25519),
        line("web-3", RSA),
        line("@cert-authority web-4", ED25519),
        hashed.trim_end().to_owned(),
    ]
    .join("\n");
    let known = KnownHosts::parse("f", text.as_bytes()).unwrap();
    let names: Vec<String> =
        known.other_names(&host("web-1"), 22, &key).iter().map(ToString::to_string).collect();
    assert_eq!(names, ["f:2: web-2,10.0.0.2", "f:5: [hashed name]"]);
}

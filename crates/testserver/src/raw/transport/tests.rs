//! Both sides of the transport against each other, byte by byte where that matters.

use russh::keys::{Algorithm, PrivateKey, ssh_key::rand_core::UnwrapErr};

use super::*;

fn host_key() -> PrivateKey {
    PrivateKey::random(&mut UnwrapErr(getrandom::SysRng), Algorithm::Ed25519).unwrap()
}

fn server(offer: impl FnOnce(Offer) -> Offer) -> Transport {
    let key = host_key();
    let offer = offer(offer_for(&key));
    Transport::server("SSH-2.0-Raw", key, offer, Box::new(Faithful)).unwrap()
}

fn client() -> Transport {
    Transport::client(Offer::new(vec!["ssh-ed25519".to_owned()]))
}

/// Carries bytes both ways until neither side has any.
fn settle(near: &mut Transport, far: &mut Transport) -> Result<(), Broken> {
    loop {
        let (up, down) = (std::mem::take(near.output()), std::mem::take(far.output()));
        if up.is_empty() && down.is_empty() {
            return Ok(());
        }
        far.receive(&up)?;
        near.receive(&down)?;
    }
}

fn messages(transport: &mut Transport) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| transport.event())
        .filter_map(|event| match event {
            Event::Message { payload, .. } => Some(payload),
            Event::Keyed => None,
        })
        .collect()
}

#[test]
fn each_cipher_and_mac_carries_messages_both_ways_through_rekeys_of_either_side() {
    for cipher in CIPHERS {
        for mac in MACS {
            for strict in [true, false] {
                let mut server = server(|offer| {
                    let offer =
                        Offer { ciphers: vec![cipher.to_owned()], macs: vec![mac.to_owned()], ..offer };
                    if strict { offer } else { offer.without_strict() }
                });
                let mut client = client();
                settle(&mut client, &mut server).unwrap();
                assert_eq!(client.session(), server.session());
                assert_eq!(messages(&mut client)[0][0], message::EXT_INFO);
                for turn in 0..6 {
                    match turn % 3 {
                        0 => server.rekey().unwrap(),
                        1 => client.rekey().unwrap(),
                        _ => {
                            server.rekey().unwrap();
                            server.rekey().unwrap();
                            client.rekey().unwrap();
                        }
                    }
                    client.send(b"\x50up".to_vec());
                    server.send(b"\x50down".to_vec());
                    settle(&mut client, &mut server).unwrap();
                    assert_eq!(messages(&mut server), [b"\x50up"]);
                    assert_eq!(messages(&mut client), [b"\x50down"]);
                }
                assert_eq!((server.exchanges(), client.exchanges()), (9, 9));
                assert_eq!(client.session(), server.session());
            }
        }
    }
}

#[test]
fn what_is_sent_during_a_key_exchange_waits_for_its_end() {
    let (mut client, mut server) = (client(), server(|offer| offer));
    settle(&mut client, &mut server).unwrap();
    messages(&mut client);
    server.rekey().unwrap();
    let before = server.output().len();
    server.send(b"\x50later".to_vec());
    assert_eq!(server.output().len(), before);
    server.send(vec![message::IGNORE, 0, 0, 0, 0]);
    assert!(server.output().len() > before);
    settle(&mut client, &mut server).unwrap();
    assert_eq!(messages(&mut client), [vec![message::IGNORE, 0, 0, 0, 0], b"\x50later".to_vec()]);
}

#[test]
fn a_message_slipped_into_a_strict_key_exchange_ends_it() {
    let (mut client, mut server) = (client(), server(|offer| offer));
    server.receive(&std::mem::take(client.output())).unwrap();
    client.send(vec![message::IGNORE, 0, 0, 0, 0]);
    let error = server.receive(&std::mem::take(client.output())).unwrap_err();
    assert!(error.to_string().contains("strict"), "{error}");
}

#[test]
fn strictness_lasts_until_the_new_keys() {
    let (mut client, mut server) = (client(), server(|offer| offer));
    client.receive(&std::mem::take(server.output())).unwrap();
    // KEXINIT and ECDH_INIT are out; the keys of what the client sends are not in use yet.
    client.emit(vec![message::IGNORE, 0, 0, 0, 0]);
    let error = server.receive(&std::mem::take(client.output())).unwrap_err();
    assert!(error.to_string().contains("strict"), "{error}");
}

#[test]
fn nothing_but_the_exchange_is_heard_before_the_first_keys_and_between_init_and_new_keys() {
    for payload in [vec![message::SERVICE_REQUEST], vec![message::USERAUTH_REQUEST], vec![80]] {
        let (mut client, mut server) = (client(), server(Offer::without_strict));
        client.emit(payload.clone());
        let error = server.receive(&std::mem::take(client.output())).unwrap_err();
        assert!(error.to_string().contains("in a key exchange"), "{error}");

        let (mut client, mut server) = (self::client(), self::server(Offer::without_strict));
        settle(&mut client, &mut server).unwrap();
        client.rekey().unwrap();
        client.emit(payload);
        let error = server.receive(&std::mem::take(client.output())).unwrap_err();
        assert!(error.to_string().contains("in a key exchange"), "{error}");
    }
}

#[test]
fn messages_of_one_read_have_each_its_number() {
    let (mut client, mut server) = (client(), server(Offer::without_strict));
    settle(&mut client, &mut server).unwrap();
    while server.event().is_some() {}
    client.send(vec![201]);
    client.send(vec![202]);
    server.receive(&std::mem::take(client.output())).unwrap();
    // KEXINIT, ECDH_INIT and NEWKEYS had 0 to 2.
    assert_eq!(server.event(), Some(Event::Message { sequence: 3, payload: vec![201] }));
    assert_eq!(server.event(), Some(Event::Message { sequence: 4, payload: vec![202] }));
}

#[test]
fn whatever_is_changed_on_the_way_is_refused_and_nothing_panics() {
    let (mut client, mut server) = (client(), server(|offer| offer));
    let mut up = std::mem::take(client.output());
    client.receive(&std::mem::take(server.output())).unwrap();
    up.extend(std::mem::take(client.output()));
    let mut refused = 0;
    for at in 0..up.len() {
        let mut hostile = up.clone();
        hostile[at] ^= 0x81;
        let mut victim = self::server(|offer| offer);
        let mut rest = hostile.as_slice();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(7));
            rest = more;
            if victim.receive(piece).is_err() {
                refused += 1;
                break;
            }
        }
    }
    // Changed cookies, points and names that are not used are no errors of their own.
    assert!(refused > 50, "{refused}");
    let mut victim = self::server(|offer| offer);
    assert!(victim.receive(&[b'x'; 300]).is_err());
    let mut victim = self::server(|offer| offer);
    assert!(victim.receive(&[b"SSH-2.0-".as_slice(), &[b'x'; 300], b"\n"].concat()).is_err());
    let mut victim = self::server(|offer| offer);
    assert!(victim.receive(b"GET / HTTP/1.1\r\n").is_err());
}

#[test]
fn a_new_keys_that_is_tampered_with_still_changes_the_keys() {
    struct Twice;
    impl Tamper for Twice {
        fn tamper(&mut self, payload: Vec<u8>, _cover: Cover) -> Vec<Emission> {
            let added = Emission::added(payload.clone());
            match payload.first() {
                Some(&message::NEWKEYS) => vec![Emission::message(payload), added],
                _ => vec![Emission::message(payload)],
            }
        }
    }
    let key = host_key();
    let mut server = Transport::server("SSH-2.0-Raw", key.clone(), offer_for(&key), Box::new(Twice)).unwrap();
    let error = settle(&mut client(), &mut server).unwrap_err();
    // The client could decipher the second one: it was sent under the new keys.
    assert!(error.to_string().contains("NEWKEYS without"), "{error}");
}

#[test]
fn a_new_keys_of_somebody_elses_changes_no_keys() {
    let (mut client, mut server) = (client(), server(|offer| offer));
    settle(&mut client, &mut server).unwrap();
    messages(&mut client);
    client.rekey().unwrap();
    for _ in 0..2 {
        server.receive(&std::mem::take(client.output())).unwrap();
        client.receive(&std::mem::take(server.output())).unwrap();
    }
    // The server's new keys are in use, the client's NEWKEYS has not arrived.
    assert!(server.is_exchanging() && !client.is_exchanging());
    server.send(vec![message::NEWKEYS]);
    server.send(b"\x50after".to_vec());
    let error = client.receive(&std::mem::take(server.output())).unwrap_err();
    assert!(error.to_string().contains("NEWKEYS without"), "{error}");
    // What follows is still under the keys that were there before.
    client.receive(&[]).unwrap();
    assert_eq!(messages(&mut client), [b"\x50after"]);
}

#[test]
fn an_identification_may_have_255_bytes_with_its_end() {
    let line = |length: usize| [b"SSH-2.0-".as_slice(), &vec![b'x'; length - 10], b"\r\n"].concat();
    let accepts = |bytes: &[u8]| server(|offer| offer).receive(bytes).is_ok();
    assert!(accepts(&line(255)));
    assert!(!accepts(&line(256)));
    // Where the end has not come there must be room for it.
    assert!(accepts(&line(300)[..254]));
    assert!(!accepts(&line(300)[..255]));
}

#[test]
fn a_server_without_extensions_tells_none() {
    let (mut client, mut server) = (client(), server(Offer::without_extensions));
    settle(&mut client, &mut server).unwrap();
    assert_eq!(messages(&mut client), Vec::<Vec<u8>>::new());
}

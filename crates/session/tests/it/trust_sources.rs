//! What is asked beside `known_hosts`: lists of revoked keys, a command, the address, and a person.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustle_session::{
    BoxFuture, ErrorKind, HostKeyAnswer, HostKeyOffer, HostKeyPrompter, HostSetup, HostTrust, KnownHosts,
    PromptError, TrustRules,
};

use crate::known_hosts_file::trust;

fn wire(seed: u8) -> Vec<u8> {
    let mut wire = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    wire.extend([seed; 32]);
    wire
}

fn offer(host: &str, seed: u8) -> HostKeyOffer {
    HostKeyOffer::from_wire(host, 22, &wire(seed)).unwrap()
}

fn key(seed: u8) -> String {
    ssh_key::PublicKey::from_bytes(&wire(seed)).unwrap().to_openssh().unwrap()
}

/// A directory with a `known_hosts` of these lines.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn holding(known_hosts: &str) -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        place.write("known_hosts", known_hosts);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn known_hosts(&self) -> String {
        fs::read_to_string(self.path("known_hosts")).unwrap()
    }

    fn trust(&self) -> KnownHosts {
        trust(&self.path("known_hosts"))
    }
}

mod revoked {
    use super::*;

    #[tokio::test]
    async fn a_key_on_a_list_is_refused_though_it_is_known_and_the_others_are_not() {
        let place = Place::holding(&format!("web-1 {}\nweb-2 {}\n", key(1), key(2)));
        let list = place.write("revoked", format!("# stolen\n{}\n", key(1)));
        let trust = place.trust().revoked_keys(&list).accept_new();
        let error = trust.check(&offer("web-1", 1)).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::HostKeyRevoked, "SSH_HOST_KEY_REVOKED"));
        assert!(error.to_string().contains(&format!("{}:2", list.display())), "{error}");
        trust.check(&offer("web-2", 2)).await.unwrap();
        trust.check(&offer("web-3", 3)).await.unwrap();
        let error = trust.remember(&offer("web-4", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRevoked, "nor is it remembered");
        // Each of several lists counts.
        let trust = place.trust().revoked_keys(place.write("first", "")).revoked_keys(&list);
        assert_eq!(trust.check(&offer("web-1", 1)).await.unwrap_err().kind(), ErrorKind::HostKeyRevoked);
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_used_refuses_every_host() {
        let place = Place::holding(&format!("web-1 {}\n", key(1)));
        let directory = place.path("directory");
        fs::create_dir(&directory).unwrap();
        for (list, part) in [
            (place.path("missing"), "missing"),
            (directory, "directory"),
            (place.write("damaged", format!("{}\nnonsense\n", key(2))), "damaged:2"),
            (place.write("cut", b"SSHKRL\n\0\0\0\0\x01"), "cut short"),
        ] {
            let error = place.trust().revoked_keys(&list).check(&offer("web-1", 1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyRejected, "{part}");
            let cause = std::error::Error::source(&error).unwrap();
            assert!(format!("{error}: {cause}").contains(part), "{part}: {error}: {cause}");
            assert!(error.hint().unwrap().contains("RevokedHostKeys"));
        }
    }

    #[tokio::test]
    async fn serial_numbers_of_certificates_are_revoked_by_the_lists_of_ssh_keygen() {
        let place = Place::holding("");
        let keygen = |arguments: &[&str]| {
            let mut keygen = Command::new("ssh-keygen");
            let output = keygen.current_dir(place.directory.path()).arg("-q").args(arguments).output();
            output.is_ok_and(|output| output.status.success())
        };
        let made = keygen(&["-t", "ed25519", "-N", "", "-f", "ca"])
            && keygen(&["-t", "ed25519", "-N", "", "-f", "host"])
            && keygen(&["-h", "-s", "ca", "-I", "id", "-n", "web-1", "-z", "7", "host.pub"]);
        if !made {
            return eprintln!("skipped: no ssh-keygen");
        }
        let authority = fs::read_to_string(place.path("ca.pub")).unwrap();
        place.write("known_hosts", format!("@cert-authority * {authority}"));
        let text = fs::read_to_string(place.path("host-cert.pub")).unwrap();
        let wire = ssh_key::Certificate::from_openssh(&text).unwrap().to_bytes().unwrap();
        let offer = HostKeyOffer::from_wire("web-1", 22, &wire).unwrap();
        for (serial, is_revoked) in [("8", false), ("7", true)] {
            place.write("spec", format!("serial: {serial}\n"));
            assert!(keygen(&["-k", "-f", "krl", "-s", "ca", "spec"]));
            let checked = place.trust().revoked_keys(place.path("krl")).check(&offer).await;
            match checked {
                Err(error) if is_revoked => {
                    assert_eq!(error.kind(), ErrorKind::HostKeyRevoked);
                    assert!(error.to_string().contains("serial number 7"), "{error}");
                }
                checked => assert!(checked.is_ok() && !is_revoked, "{serial}: {checked:?}"),
            }
        }
    }
}

#[cfg(unix)]
mod command {
    use rustle_session::KnownHostsCommand;

    use super::*;

    /// A script that is written, and closed, before anybody could run it.
    fn script(place: &Place, text: &str) -> String {
        // `sh` reads it: no thread of this process can hold it open for writing while another starts it.
        let path = place.write("script", text);
        format!("/bin/sh {} %I %H %t %f", path.display())
    }

    #[tokio::test]
    async fn what_it_prints_counts_as_a_file_of_known_hosts() {
        let place = Place::holding("");
        let log = place.path("log");
        let line = script(&place, &format!("echo \"$@\" >> {}\necho \"web-1 {}\"\n", log.display(), key(1)));
        let trust = place.trust().command(KnownHostsCommand::parse(&line).unwrap());
        assert_eq!(trust.known_algorithms("web-1", 22).await, ["ssh-ed25519"]);
        trust.check(&offer("web-1", 1)).await.unwrap();
        let error = trust.check(&offer("web-1", 2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
        let hint = error.hint().unwrap();
        assert!(hint.contains("have KnownHostsCommand print") && !hint.contains("ssh-keygen -f"), "{hint}");
        let error = trust.check(&offer("web-2", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyUnknown);
        let log = fs::read_to_string(log).unwrap();
        let first = offer("web-1", 1).fingerprint();
        let expected = format!("ORDER web-1 NONE NONE\nHOSTNAME web-1 ssh-ed25519 {first}\n");
        assert!(log.starts_with(&expected), "{log}");
    }

    #[tokio::test]
    async fn a_revoked_key_that_it_prints_is_refused() {
        let place = Place::holding(&format!("web-1 {}\n", key(1)));
        let line = script(&place, &format!("echo '@revoked * {}'\n", key(1)));
        let trust = place.trust().accept_new().command(KnownHostsCommand::parse(&line).unwrap());
        assert_eq!(trust.check(&offer("web-1", 1)).await.unwrap_err().kind(), ErrorKind::HostKeyRevoked);
        assert_eq!(trust.remember(&offer("web-2", 1)).await.unwrap_err().kind(), ErrorKind::HostKeyRevoked);
    }

    #[tokio::test]
    async fn its_failure_refuses_the_host() {
        let place = Place::holding(&format!("web-1 {}\n", key(1)));
        let printing = format!("echo 'web-1 {}'; exit 3\n", key(1));
        for (line, part) in [
            (script(&place, &printing), "exit status: 3"),
            ("/bin/sh -c 'kill -9 $$'".to_owned(), "signal: 9"),
            (place.path("missing").display().to_string(), "No such file"),
            ("/bin/sh -c 'exec yes'".to_owned(), "printed more than"),
        ] {
            let trust = place.trust().accept_new().command(KnownHostsCommand::parse(&line).unwrap());
            let error = trust.check(&offer("web-1", 1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyRejected, "{line}");
            assert!(error.to_string().contains(part), "{line}: {error}");
            assert!(trust.known_algorithms("web-1", 22).await.is_empty());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_end_refuses_the_host_and_is_killed() {
        let place = Place::holding(&format!("web-1 {}\n", key(1)));
        let line = script(
            &place,
            &format!("echo $$ > {}.new; mv {0}.new {0}; exec sleep 1000\n", place.path("pid").display()),
        );
        let trust = place.trust().command(KnownHostsCommand::parse(&line).unwrap());
        let offer = offer("web-1", 1);
        let mut check = trust.check(&offer);
        // It runs, by the machine's clock; then the paused one goes past the deadline by itself.
        while !place.path("pid").exists() {
            assert!(futures_util::poll!(&mut check).is_pending());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let error = check.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
        assert!(error.to_string().contains("30 s"), "{error}");
        let pid = fs::read_to_string(place.path("pid")).unwrap();
        let is_running = || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while is_running() {
            assert!(std::time::Instant::now() < patience, "it was not killed");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

mod addresses {
    use super::*;

    fn at(host: &str, seed: u8, address: &str) -> HostKeyOffer {
        offer(host, seed).with_address(format!("{address}:22").parse().unwrap())
    }

    #[tokio::test]
    async fn an_address_of_another_key_refuses_the_host() {
        let place = Place::holding(&format!("web-1 {}\n192.0.2.1 {}\n", key(1), key(2)));
        let trust = place.trust().accept_new();
        trust.check(&at("web-1", 1, "192.0.2.1")).await.unwrap();
        let trust = trust.check_addresses();
        for host in ["web-1", "web-new"] {
            let error = trust.check(&at(host, 1, "192.0.2.1")).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyChanged, "{host}");
            assert!(
                error.to_string().contains("192.0.2.1") && error.to_string().contains("known_hosts:2"),
                "{error}"
            );
        }
        assert_eq!(place.known_hosts().lines().count(), 2);
    }

    #[tokio::test]
    async fn a_new_address_is_written_down_beside_its_host() {
        let place = Place::holding(&format!("web-1 {}\n", key(1)));
        let trust = place.trust().check_addresses();
        for _ in 0..2 {
            trust.check(&at("web-1", 1, "192.0.2.1")).await.unwrap();
        }
        assert_eq!(place.known_hosts(), format!("web-1 {}\n192.0.2.1 {0}\n", key(1)));
        trust.accept_new().check(&at("web-2", 2, "192.0.2.2")).await.unwrap();
        assert!(place.known_hosts().ends_with(&format!("\nweb-2,192.0.2.2 {}\n", key(2))));
    }

    #[tokio::test]
    async fn an_address_has_the_port_that_was_connected_to_where_the_host_has_an_alias() {
        let place = Place::holding("");
        let trust = place.trust().accept_new().check_addresses().host_key_alias("cluster");
        let here = |seed| {
            let offer = HostKeyOffer::from_wire("web-1", 2222, &wire(seed)).unwrap();
            offer.with_address("192.0.2.1:2222".parse().unwrap())
        };
        for _ in 0..2 {
            trust.check(&here(1)).await.unwrap();
        }
        assert_eq!(place.known_hosts(), format!("cluster,[192.0.2.1]:2222 {}\n", key(1)));
        // The address is asked at that port too: the alias alone is not enough.
        place.write("known_hosts", format!("cluster {}\n[192.0.2.1]:2222 {}\n", key(1), key(2)));
        let error = trust.check(&here(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
    }

    #[tokio::test]
    async fn an_address_in_another_spelling_is_no_second_name() {
        let place = Place::holding("");
        let trust = place.trust().accept_new().check_addresses();
        let offer = offer("2001:DB8:0::1", 1).with_address("[2001:db8::1]:22".parse().unwrap());
        trust.check(&offer).await.unwrap();
        assert_eq!(place.known_hosts(), format!("2001:db8::1 {}\n", key(1)));
    }

    #[tokio::test]
    async fn this_machine_s_own_addresses_and_names_that_are_addresses_are_not_looked_at() {
        let place = Place::holding(&format!("web-1 {}\n127.0.0.1 {}\n::1 {1}\n", key(1), key(2)));
        let trust = place.trust().check_addresses();
        trust.check(&at("web-1", 1, "127.0.0.1")).await.unwrap();
        trust.check(&at("web-1", 1, "[::1]")).await.unwrap();
        trust.check(&at("web-1", 1, "[::ffff:127.0.0.1]")).await.unwrap();
        trust.check(&offer("web-1", 1)).await.unwrap();
        let before = place.known_hosts();
        trust.accept_new().check(&at("192.0.2.9", 3, "192.0.2.9")).await.unwrap();
        assert_eq!(place.known_hosts(), format!("{before}192.0.2.9 {}\n", key(3)));
    }

    #[tokio::test]
    async fn behind_an_alias_the_address_of_another_port_is_looked_at() {
        let place = Place::holding(&format!("lab {}\n[192.0.2.9]:2222 {}\n", key(1), key(2)));
        let trust = place.trust().check_addresses().host_key_alias("lab");
        trust.check(&at("192.0.2.9", 1, "192.0.2.9")).await.unwrap();
        let there = HostKeyOffer::from_wire("192.0.2.9", 2222, &wire(1)).unwrap();
        let error = trust.check(&there.with_address("192.0.2.9:2222".parse().unwrap())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged, "{error}");
    }
}

#[tokio::test]
async fn a_short_rsa_key_is_refused_by_its_own_words() {
    // A number of 1024 bits is as good as a key as far as trust goes.
    let mut wire = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\0\x81\0".to_vec();
    wire.extend([0xff; 128]);
    let place = Place::holding("");
    let offer = HostKeyOffer::from_wire("web-1", 22, &wire).unwrap();
    place.trust().accept_new().check(&offer).await.unwrap();
    let trust = place.trust().rules(TrustRules::new().required_rsa_bits(2048));
    let error = trust.check(&offer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
    assert!(
        error.to_string().contains("1024 bits") && error.hint().unwrap().contains("RequiredRSASize"),
        "{error}"
    );
}

mod configured {
    use super::*;

    /// Answers in turn, and keeps what it was shown.
    struct Person {
        answers: Mutex<Vec<HostKeyAnswer>>,
        shown: Mutex<Vec<HostKeyOffer>>,
    }

    impl HostKeyPrompter for Person {
        fn confirm<'a>(
            &'a self,
            offer: &'a HostKeyOffer,
        ) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
            self.shown.lock().unwrap().push(offer.clone());
            let answer = self.answers.lock().unwrap().pop().ok_or(PromptError::Unavailable);
            Box::pin(std::future::ready(answer))
        }
    }

    fn person(answers: &[HostKeyAnswer]) -> Arc<Person> {
        let answers = answers.iter().rev().cloned().collect();
        Arc::new(Person { answers: Mutex::new(answers), shown: Mutex::default() })
    }

    fn trust(place: &Place, person: &Arc<Person>, options: &[&str]) -> Arc<dyn HostTrust> {
        let quoted = |path: &Path| format!("\"{}\"", path.display());
        let mut setup = HostSetup::builder("web-1")
            .without_config_files()
            .host_key_prompter(Arc::<Person>::clone(person))
            .option(format!("UserKnownHostsFile={}", quoted(&place.path("known_hosts"))))
            .option(format!("GlobalKnownHostsFile={}", quoted(&place.path("none"))));
        for option in options {
            setup = setup.option(*option);
        }
        setup.resolve().unwrap().host_trust()
    }

    #[tokio::test]
    async fn a_person_sees_the_other_names_and_the_picture_and_decides() {
        let place = Place::holding(&format!("web-9,192.0.2.9 {}\n", key(1)));
        let asked = person(&[HostKeyAnswer::Unclear, HostKeyAnswer::Yes]);
        let ask = trust(&place, &asked, &["VisualHostKey=yes"]);
        ask.check(&offer("web-1", 1)).await.unwrap();
        ask.check(&offer("web-1", 1)).await.unwrap();
        let shown = asked.shown.lock().unwrap();
        assert_eq!(shown.len(), 2, "an unclear answer is asked again, a known host not at all");
        assert_eq!(
            shown[0].other_names(),
            [format!("{}:1: web-9,192.0.2.9", place.path("known_hosts").display())]
        );
        assert_eq!(shown[0].picture(), Some(offer("web-1", 1).randomart()));
        assert_eq!(shown[0].dns(), None);
        assert!(place.known_hosts().ends_with(&format!("\nweb-1 {}\n", key(1))));
    }

    #[tokio::test]
    async fn a_person_who_does_not_say_yes_leaves_the_host_unknown() {
        let place = Place::holding("");
        let fingerprint = |seed| HostKeyAnswer::Fingerprint(offer("web-1", seed).fingerprint());
        let unclear = || HostKeyAnswer::Unclear;
        for (answers, kind) in [
            (vec![HostKeyAnswer::No], ErrorKind::HostKeyUnknown),
            (vec![], ErrorKind::HostKeyUnknown),
            (vec![fingerprint(2)], ErrorKind::HostKeyRejected),
            (vec![unclear(), unclear(), unclear(), HostKeyAnswer::Yes], ErrorKind::HostKeyUnknown),
        ] {
            let error = trust(&place, &person(&answers), &[]).check(&offer("web-1", 1)).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{answers:?}");
        }
        assert_eq!(place.known_hosts(), "");
        trust(&place, &person(&[fingerprint(1)]), &[]).check(&offer("web-1", 1)).await.unwrap();
        assert_eq!(place.known_hosts(), format!("web-1 {}\n", key(1)));
    }

    #[tokio::test]
    async fn each_value_of_strict_host_key_checking_does_what_it_says() {
        for (value, new, changed, is_asked) in [
            ("yes", Err(ErrorKind::HostKeyUnknown), ErrorKind::HostKeyChanged, false),
            ("ask", Ok(()), ErrorKind::HostKeyChanged, true),
            ("accept-new", Ok(()), ErrorKind::HostKeyChanged, false),
            // Not as ssh, which connects to a changed host then: docs/decisions.md says why.
            ("no", Ok(()), ErrorKind::HostKeyChanged, false),
            ("off", Ok(()), ErrorKind::HostKeyChanged, false),
        ] {
            let place = Place::holding(&format!("web-2 {}\n", key(2)));
            let asked = person(&[HostKeyAnswer::Yes]);
            let trust = trust(&place, &asked, &[&format!("StrictHostKeyChecking={value}")]);
            let checked = trust.check(&offer("web-1", 1)).await.map_err(|error| error.kind());
            assert_eq!(checked, new, "{value}");
            assert_eq!(asked.shown.lock().unwrap().len(), usize::from(is_asked), "{value}");
            assert_eq!(place.known_hosts().contains("web-1"), new.is_ok(), "{value}");
            let error = trust.check(&offer("web-2", 1)).await.unwrap_err();
            assert_eq!(error.kind(), changed, "{value}");
        }
        // Nobody is asked in a batch.
        let (place, asked) = (Place::holding(""), person(&[HostKeyAnswer::Yes]));
        let error = trust(&place, &asked, &["BatchMode=yes"]).check(&offer("web-1", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyUnknown);
        assert!(asked.shown.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn lists_rules_and_addresses_come_from_the_configuration() {
        let place = Place::holding(&format!("web-1 {}\n192.0.2.1 {}\n", key(1), key(2)));
        let list = place.write("revoked", key(1));
        let nobody = person(&[]);
        let revoked = format!("RevokedHostKeys=\"{}\"", list.display());
        let error = trust(&place, &nobody, &[&revoked]).check(&offer("web-1", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRevoked);
        let here = offer("web-1", 1).with_address("192.0.2.1:22".parse().unwrap());
        trust(&place, &nobody, &[]).check(&here).await.unwrap();
        let error = trust(&place, &nobody, &["CheckHostIP=yes"]).check(&here).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
        let hashed = trust(&place, &nobody, &["StrictHostKeyChecking=accept-new", "HashKnownHosts=yes"]);
        hashed.check(&offer("web-5", 5)).await.unwrap();
        assert!(place.known_hosts().lines().last().unwrap().starts_with("|1|"));
        let aliased = trust(&place, &nobody, &["HostKeyAlias=web-1"]);
        aliased.check(&HostKeyOffer::from_wire("elsewhere", 2222, &wire(1)).unwrap()).await.unwrap();
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_command_of_the_configuration_gets_all_of_its_tokens() {
        let place = Place::holding("");
        let script = place.write(
            "script",
            format!("echo \"$@\" > {}; echo 'web-1 {}'", place.path("log").display(), key(1)),
        );
        let option = format!("KnownHostsCommand=/bin/sh {} %h %p %r %H %I %t %f '%%'", script.display());
        let nobody = person(&[]);
        trust(&place, &nobody, &[&option, "User=alice"]).check(&offer("web-1", 1)).await.unwrap();
        let log = fs::read_to_string(place.path("log")).unwrap();
        let expected =
            format!("web-1 22 alice web-1 HOSTNAME ssh-ed25519 {} %\n", offer("web-1", 1).fingerprint());
        assert_eq!(log, expected);
        for bad in ["KnownHostsCommand=keys %H", "KnownHostsCommand=/bin/keys %z"] {
            let error = HostSetup::builder("web-1").without_config_files().option(bad).resolve().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{bad}: {error}");
        }
    }

    #[tokio::test]
    async fn this_machine_s_own_server_goes_unchecked_only_where_that_is_asked_for_and_said_loudly() {
        let place = Place::holding(&format!("web-1 {}\nlocalhost {0}\n", key(1)));
        let nobody = person(&[]);
        let option = "NoHostAuthenticationForLocalhost=yes";
        let here = offer("localhost", 2).with_address("127.0.0.1:22".parse().unwrap());
        let error = trust(&place, &nobody, &[]).check(&here).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
        let unchecked = trust(&place, &nobody, &[option]);
        unchecked.check(&here).await.unwrap();
        let there = offer("web-1", 2).with_address("192.0.2.1:22".parse().unwrap());
        assert_eq!(unchecked.check(&there).await.unwrap_err().kind(), ErrorKind::HostKeyChanged);
        let aliased = trust(&place, &nobody, &[option, "HostKeyAlias=web-1"]);
        assert_eq!(aliased.check(&here).await.unwrap_err().kind(), ErrorKind::HostKeyChanged);
        let list = format!("RevokedHostKeys=\"{}\"", place.write("revoked", key(2)).display());
        let error = trust(&place, &nobody, &[option, &list]).check(&here).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRevoked);
        let mut rsa = b"\0\0\0\x07ssh-rsa\0\0\0\x03\x01\0\x01\0\0\x01\x01\0".to_vec();
        rsa.extend([0xc1; 256]);
        let short = HostKeyOffer::from_wire("localhost", 22, &rsa).unwrap();
        let short = short.with_address("127.0.0.1:22".parse().unwrap());
        unchecked.check(&short).await.unwrap();
        let error =
            trust(&place, &nobody, &[option, "RequiredRSASize=3072"]).check(&short).await.unwrap_err();
        assert!(error.to_string().contains("2048 bits"), "{error}");
        let setup = HostSetup::builder("x").without_config_files().option(option).resolve().unwrap();
        let warning = setup.warnings().iter().find(|warning| warning.is_notice()).unwrap();
        assert!(warning.to_string().contains("NoHostAuthenticationForLocalhost"), "{warning}");
    }
}

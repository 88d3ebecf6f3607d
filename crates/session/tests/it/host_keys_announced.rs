//! `UpdateHostKeys`, as it is configured, and hosts that announce what they do not have.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustle_session::{
    AgentSource, BoxFuture, HostKeyAnswer, HostKeyOffer, HostKeyPrompter, HostKeysChange, HostSetup,
    PromptError, SecretString, Session,
};
use rustle_testserver::{RawPeer, RawSession, TestServer, message};

const GLOBAL_REQUEST: u8 = 80;
const REQUEST_SUCCESS: u8 = 81;
const REQUEST_FAILURE: u8 = 82;
const OPEN_FAILURE: u8 = 92;
const PROVE: &str = "hostkeys-prove-00@openssh.com";

/// What the server answers when it is to prove that it has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Nothing,
    Refusal,
    Forged,
    CutShort,
}

/// A server that announces its own key, and these.
struct Site {
    server: TestServer,
    folder: tempfile::TempDir,
    /// The names of the requests that came.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    async fn announcing(others: Vec<Vec<u8>>, proof: Proof) -> Self {
        let plain = TestServer::builder().start().await.unwrap();
        let key = plain.host_private_key_openssh().unwrap();
        let own = ssh_key::PublicKey::from_openssh(plain.host_key_openssh().trim()).unwrap();
        plain.stop().await.unwrap();
        let wires = [vec![own.to_bytes().unwrap()], others].concat();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = Arc::clone(&asked);
        let script = move |peer| announce(peer, wires.clone(), proof, Arc::clone(&heard));
        let server = TestServer::builder().host_key_openssh(key).raw_peer(RawPeer::new().script(script));
        let server = server.start().await.unwrap();
        let site = Self { server, folder: tempfile::tempdir().unwrap(), asked };
        site.write(&site.own_line());
        site
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("known_hosts")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).unwrap();
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn own_line(&self) -> String {
        let key = self.server.host_key_openssh();
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        self.line(&key.join(" "))
    }

    fn line(&self, key: &str) -> String {
        format!("[127.0.0.1]:{} {key}\n", self.server.port())
    }

    /// A login by what `UpdateHostKeys` and the other options say.
    async fn login(&self, options: &[&str], person: Option<&Arc<Person>>) -> Session {
        let person = person.map(|person| Arc::<Person>::clone(person) as Arc<dyn HostKeyPrompter>);
        self.login_with(options, person).await
    }

    async fn login_with(&self, options: &[&str], person: Option<Arc<dyn HostKeyPrompter>>) -> Session {
        let quoted = format!("\"{}\"", self.path().display());
        let mut setup = HostSetup::builder("alice@127.0.0.1")
            .port(self.server.port())
            .without_config_files()
            .agent(AgentSource::None)
            .password(SecretString::from("any"))
            .option(format!("UserKnownHostsFile={quoted}"))
            .option(format!("GlobalKnownHostsFile={quoted}.none"))
            .option("StrictHostKeyChecking=yes");
        if let Some(person) = person {
            setup = setup.host_key_prompter(person);
        }
        for option in options {
            setup = setup.option(*option);
        }
        let setup = setup.resolve().unwrap();
        let connected = setup.connector().connect_over(self.server.duplex()).await.unwrap();
        connected.authenticate(setup.credentials()).await.unwrap()
    }

    /// A whole session: what there was to do about the announcement is done.
    async fn visit(&self, options: &[&str], person: Option<&Arc<Person>>) {
        let session = self.login(options, person).await;
        // The refusal of a channel comes behind the announcement.
        session.output("true").await.unwrap_err();
        session.close(Duration::from_secs(60)).await;
    }

    async fn is_asked_to_prove(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !self.was_asked_to_prove() {
            assert!(Instant::now() < deadline, "nobody asked for a proof");
            tokio::task::yield_now().await;
        }
    }

    fn was_asked_to_prove(&self) -> bool {
        self.asked.lock().unwrap().iter().any(|name| name == PROVE)
    }
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// Lets anybody in, announces the keys, refuses every channel, and proves as it is told to.
async fn announce(mut peer: RawSession, wires: Vec<Vec<u8>>, proof: Proof, heard: Arc<Mutex<Vec<String>>>) {
    if peer.accept_login().await.is_none() {
        return;
    }
    let mut announcement = [&[GLOBAL_REQUEST][..], &string(b"hostkeys-00@openssh.com"), &[0]].concat();
    wires.iter().for_each(|wire| announcement.extend(string(wire)));
    drop(peer.send(announcement).await);
    while let Some(payload) = peer.next().await {
        let answer = match payload[0] {
            message::CHANNEL_OPEN => {
                // The channel's number stands behind its type.
                let length = u32::from_be_bytes(payload[1..5].try_into().unwrap()) as usize;
                let number = &payload[5 + length..9 + length];
                [&[OPEN_FAILURE][..], number, &[0, 0, 0, 1], &string(b"no"), &string(b"")].concat()
            }
            GLOBAL_REQUEST => {
                let length = u32::from_be_bytes(payload[1..5].try_into().unwrap()) as usize;
                let name = String::from_utf8(payload[5..5 + length].to_vec()).unwrap();
                let is_proof = name == PROVE;
                heard.lock().unwrap().push(name);
                let signature = string(&[string(b"ssh-ed25519"), string(&[7; 64])].concat());
                match proof {
                    Proof::Nothing if is_proof => continue,
                    Proof::Forged if is_proof => {
                        // One for each key that was asked about.
                        [&[REQUEST_SUCCESS][..], &signature.repeat(wires.len() - 1)].concat()
                    }
                    Proof::CutShort if is_proof => vec![REQUEST_SUCCESS],
                    _ => vec![REQUEST_FAILURE],
                }
            }
            _ => continue,
        };
        drop(peer.send(answer).await);
    }
}

/// A key of nobody's.
fn wire(seed: u8) -> Vec<u8> {
    [string(b"ssh-ed25519"), string(&[seed; 32])].concat()
}

fn text_of(wire: &[u8]) -> String {
    ssh_key::PublicKey::from_bytes(wire).unwrap().to_openssh().unwrap()
}

/// Answers in turn, and keeps what was asked.
struct Person {
    answers: Mutex<Vec<HostKeyAnswer>>,
    shown: Mutex<Vec<String>>,
}

impl Person {
    fn answering(answers: &[HostKeyAnswer]) -> Arc<Self> {
        let answers = answers.iter().rev().cloned().collect();
        Arc::new(Self { answers: Mutex::new(answers), shown: Mutex::default() })
    }

    fn times_asked(&self) -> usize {
        self.shown.lock().unwrap().len()
    }
}

impl HostKeyPrompter for Person {
    fn confirm<'a>(&'a self, _: &'a HostKeyOffer) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        panic!("the host is known")
    }

    fn confirm_change<'a>(
        &'a self,
        _: &'a HostKeyOffer,
        change: &'a HostKeysChange,
    ) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        let shown: Vec<String> = change.learned().chain(change.deprecated()).collect();
        self.shown.lock().unwrap().push(shown.join(" and "));
        match self.answers.lock().unwrap().pop() {
            Some(answer) => Box::pin(std::future::ready(Ok(answer))),
            // Somebody who has gone for a coffee.
            None => Box::pin(std::future::pending()),
        }
    }
}

#[tokio::test]
async fn each_value_of_update_host_keys_does_what_it_says_of_a_key_that_the_host_has_no_more() {
    use HostKeyAnswer::{No, Unclear, Yes};

    let fingerprint = HostKeyAnswer::Fingerprint("SHA256:x".to_owned());
    for (options, answers, asked, is_followed) in [
        (&["UpdateHostKeys=yes"][..], vec![No], 0, true),
        (&["UpdateHostKeys=no"], vec![Yes], 0, false),
        (&["UpdateHostKeys=ask"], vec![Yes], 1, true),
        (&["UpdateHostKeys=ask"], vec![No], 1, false),
        (&["UpdateHostKeys=ask"], vec![Unclear, fingerprint.clone(), Yes], 3, true),
        (&["UpdateHostKeys=ask"], vec![Unclear, Unclear, Unclear, Yes], 3, false),
        (&["UpdateHostKeys=ask", "BatchMode=yes"], vec![Yes], 0, false),
        // Closing while somebody thinks about it takes the question back.
        (&["UpdateHostKeys=ask"], vec![], 1, false),
    ] {
        let site = Site::announcing(Vec::new(), Proof::Nothing).await;
        let before = format!("# mine\n{}{}", site.line(&text_of(&wire(9))), site.own_line());
        site.write(&before);
        let person = Person::answering(&answers);
        site.visit(options, Some(&person)).await;
        let case = format!("{options:?} {answers:?}");
        let expected = if is_followed { format!("# mine\n{}", site.own_line()) } else { before };
        assert_eq!(site.text(), expected, "{case}");
        assert_eq!(person.times_asked(), asked, "{case}");
        let shown = person.shown.lock().unwrap().clone();
        assert!(shown.iter().all(|shown| shown.contains("known_hosts:2")), "{case}: {shown:?}");
        site.server.stop().await.unwrap();
    }
    // Where there is nobody at all.
    let site = Site::announcing(vec![wire(1)], Proof::Nothing).await;
    let before = format!("{}{}", site.line(&text_of(&wire(9))), site.own_line());
    site.write(&before);
    site.visit(&["UpdateHostKeys=ask"], None).await;
    assert_eq!(site.text(), before);
    assert!(!site.was_asked_to_prove(), "what nobody can agree to need not be proved");
    site.server.stop().await.unwrap();
}

/// Says yes, after longer than a question stands.
struct Sleeper;

impl HostKeyPrompter for Sleeper {
    fn confirm<'a>(&'a self, _: &'a HostKeyOffer) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        panic!("the host is known")
    }

    fn confirm_change<'a>(
        &'a self,
        _: &'a HostKeyOffer,
        _: &'a HostKeysChange,
    ) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(200)).await;
            Ok(HostKeyAnswer::Yes)
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_stands_for_two_minutes() {
    let site = Site::announcing(Vec::new(), Proof::Nothing).await;
    let before = format!("{}{}", site.line(&text_of(&wire(9))), site.own_line());
    site.write(&before);
    let session = site.login_with(&["UpdateHostKeys=ask"], Some(Arc::new(Sleeper))).await;
    session.output("true").await.unwrap_err();
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(session.is_open());
    session.close(Duration::from_secs(60)).await;
    assert_eq!(site.text(), before);
    site.server.stop().await.unwrap();
}

#[tokio::test]
async fn keys_that_the_host_does_not_prove_are_not_written_down() {
    for proof in [Proof::Refusal, Proof::Forged, Proof::CutShort] {
        let site = Site::announcing(vec![wire(1), wire(2)], proof).await;
        let before = format!("{}{}", site.line(&text_of(&wire(9))), site.own_line());
        site.write(&before);
        let session = site.login(&["UpdateHostKeys=yes"], None).await;
        site.is_asked_to_prove().await;
        session.close(Duration::from_secs(60)).await;
        assert_eq!(site.text(), before, "{proof:?}");
        site.server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_host_that_announces_more_keys_than_any_has_changes_nothing() {
    let others = (1..=32).map(wire).collect();
    let site = Site::announcing(others, Proof::Refusal).await;
    site.visit(&["UpdateHostKeys=yes"], None).await;
    assert!(!site.was_asked_to_prove());
    assert_eq!(site.text(), site.own_line());
    site.server.stop().await.unwrap();
    // One less is asked about.
    let site = Site::announcing((1..=31).map(wire).collect(), Proof::Refusal).await;
    site.visit(&["UpdateHostKeys=yes"], None).await;
    assert!(site.was_asked_to_prove());
    site.server.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_never_comes_holds_up_no_end() {
    let site = Site::announcing(vec![wire(1)], Proof::Nothing).await;
    let session = site.login(&["UpdateHostKeys=yes"], None).await;
    site.is_asked_to_prove().await;
    let begun = tokio::time::Instant::now();
    session.close(Duration::from_secs(600)).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(site.text(), site.own_line());
    site.server.stop().await.unwrap();
}

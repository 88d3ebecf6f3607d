//! Logging in: each way in, by each client that has it. The table of ways and the clients that lack one are the
//! table in docs/testing.md.

use rustle_tests::{Agent, KeyFile, KeyKind};
use rustle_testserver::{AuthOutcome, Method, RawPeer, Round, TestServer, User};
use serde_json::{Value, json};

use crate::frame::{LIMIT, Prepared, clients, finish};
use crate::library::{Library, text};
use crate::openssh::{self, Home, option};

/// A way in. Its name is that of the user who has it.
struct Way {
    name: &'static str,
    /// What is shown, in this order.
    by: &'static [Proof],
    /// Whether that lets the user in.
    ends: Ends,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    None,
    Password,
    WrongPassword,
    Key(KeyKind),
    Certificate,
    Agent,
    Questions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    LetIn,
    Refused,
}

const WAYS: &[Way] = &[
    way("none", &[Proof::None]),
    way("password", &[Proof::Password]),
    way("ed25519", &[Proof::Key(KeyKind::Ed25519)]),
    way("ecdsa-p256", &[Proof::Key(KeyKind::EcdsaP256)]),
    way("ecdsa-p384", &[Proof::Key(KeyKind::EcdsaP384)]),
    way("ecdsa-p521", &[Proof::Key(KeyKind::EcdsaP521)]),
    way("rsa", &[Proof::Key(KeyKind::Rsa)]),
    way("certificate", &[Proof::Certificate]),
    way("agent", &[Proof::Agent]),
    way("questions", &[Proof::Questions]),
    way("key-then-password", &[Proof::Key(KeyKind::Ed25519), Proof::Password]),
    way("password-then-questions", &[Proof::Password, Proof::Questions]),
    way("key-then-questions", &[Proof::Key(KeyKind::Ed25519), Proof::Questions]),
    Way { name: "wrong-password", by: &[Proof::WrongPassword], ends: Ends::Refused },
    Way { name: "half-way", by: &[Proof::Key(KeyKind::Ed25519)], ends: Ends::Refused },
];

const fn way(name: &'static str, by: &'static [Proof]) -> Way {
    Way { name, by, ends: Ends::LetIn }
}

/// What a library has not at all.
const LACKS: &[(Library, Proof)] = &[(Library::Ssh2, Proof::Certificate)];

const PASSWORD: &str = "correct horse";
const NAME_PROMPT: &str = "Name: ";
const CODE_PROMPT: &str = "Code: ";

#[test]
fn openssh_logs_in_each_way() {
    clients(LIMIT, async |_| {
        let keys = Keys::new();
        let server = keys.server().await;
        let mut wrong = Vec::new();
        for way in WAYS {
            let mut ssh = keys.home.command("ssh", &server, &keys.options(way));
            ssh.arg(format!("{}@127.0.0.1", way.name)).arg("echo in as $USER");
            keys.home.answer_prompts(&mut ssh, &keys.answers_to_prompts(way));
            let output = openssh::run(&mut ssh).await;
            let expected = match way.ends {
                Ends::LetIn => (Some(0), format!("in as {}\n", way.name)),
                Ends::Refused => (Some(255), String::new()),
            };
            if (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()) != expected {
                wrong.push(format!("{}: {}", way.name, openssh::said(&output)));
            }
        }
        assert_seen(&server, WAYS.iter());
        assert!(wrong.is_empty(), "{wrong:#?}");
        finish(server).await;
    });
}

#[test]
fn asyncssh_logs_in_each_way() {
    clients(LIMIT, async |prepared| library_logs_in(Library::Asyncssh, &prepared).await);
}

#[test]
fn paramiko_logs_in_each_way() {
    clients(LIMIT, async |prepared| library_logs_in(Library::Paramiko, &prepared).await);
}

/// The base answers one request for the authentication service, and paramiko's older transport makes one for each
/// attempt: it gets no further than its first. OpenSSH's server answers all of them, and so does the raw peer.
#[test]
fn paramikos_older_transport_has_one_attempt() {
    clients(LIMIT, async |prepared| {
        let server = TestServer::builder().user(User::new("alice").password(PASSWORD)).start().await.unwrap();
        let ask = async |login: Value| {
            let answers = Library::Paramiko.ask(&prepared, &server, "alice", &login, &[]).await?;
            Some(answers[0]["logged_in"] == true)
        };
        let Some(in_one) =
            ask(json!({"by": ["password"], "password": PASSWORD, "older_transport": 30})).await
        else {
            return;
        };
        assert!(in_one);
        let in_two = json!({"by": ["none", "password"], "password": PASSWORD, "older_transport": 1});
        assert_eq!(ask(in_two).await, Some(false));
        finish(server).await;

        let raw = TestServer::builder().raw_peer(RawPeer::new()).user(User::new("alice").password(PASSWORD));
        let raw = raw.start().await.unwrap();
        let in_two = json!({"by": ["none", "password"], "password": PASSWORD, "older_transport": 30});
        let answers = Library::Paramiko.ask(&prepared, &raw, "alice", &in_two, &[]).await;
        assert!(answers.is_some_and(|answers| answers[0]["logged_in"] == true));
        finish(raw).await;
    });
}

#[test]
fn ssh2_logs_in_each_way() {
    clients(LIMIT, async |prepared| library_logs_in(Library::Ssh2, &prepared).await);
}

async fn library_logs_in(library: Library, prepared: &Prepared) {
    let keys = Keys::new();
    let server = keys.server().await;
    let step = json!({"do": "run", "command": "echo in as $USER"});
    let lacks = |way: &&Way| way.by.iter().any(|proof| LACKS.contains(&(library, *proof)));
    for way in WAYS.iter().filter(|way| !lacks(way)) {
        let login = keys.login(way);
        let Some(answers) =
            library.ask(prepared, &server, way.name, &login, std::slice::from_ref(&step)).await
        else {
            return;
        };
        match (way.ends, answers.as_slice()) {
            (Ends::LetIn, [login, ran]) => {
                assert_eq!(login["logged_in"], true, "{}: {login}", way.name);
                assert_eq!(text(&ran["stdout"]), format!("in as {}\n", way.name));
                if way.by.contains(&Proof::Questions) {
                    assert_eq!(
                        rounds_with_prompts(login),
                        json!([[NAME_PROMPT], [CODE_PROMPT]]),
                        "{library:?}"
                    );
                }
            }
            (Ends::Refused, [login]) => assert!(login["refused"].is_string(), "{}: {login}", way.name),
            (ends, other) => panic!("{}: not {ends:?}: {other:#?}", way.name),
        }
    }
    assert_seen(&server, WAYS.iter().filter(|way| !lacks(way)));
    finish(server).await;
}

/// The rounds that a client was asked; some show one without prompts to their user, some answer it themselves.
fn rounds_with_prompts(login: &Value) -> Value {
    let rounds = login["rounds"].as_array().unwrap();
    rounds.iter().filter(|round| !round.as_array().unwrap().is_empty()).cloned().collect()
}

/// That the server saw each step of each way, and let nobody in by another.
fn assert_seen<'a>(server: &TestServer, ways: impl Iterator<Item = &'a Way>) {
    let record = server.record();
    for way in ways {
        let attempts = record.auth_attempts().iter().filter(|attempt| attempt.user() == way.name);
        let passed: Vec<_> = attempts
            .filter(|attempt| matches!(attempt.outcome(), AuthOutcome::Partial | AuthOutcome::Accepted))
            .map(|attempt| (attempt.method(), attempt.outcome()))
            .collect();
        let mut expected: Vec<_> =
            way.by.iter().map(|proof| (proof.method(), AuthOutcome::Partial)).collect();
        match (way.ends, expected.last_mut()) {
            (Ends::LetIn, Some(last)) => last.1 = AuthOutcome::Accepted,
            _ if way.by == [Proof::WrongPassword] => expected.clear(),
            _ => {}
        }
        assert_eq!(passed, expected, "{}: {record}", way.name);
    }
}

impl Proof {
    fn method(self) -> Method {
        match self {
            Self::None => Method::None,
            Self::Password | Self::WrongPassword => Method::Password,
            Self::Key(_) | Self::Certificate | Self::Agent => Method::PublicKey,
            Self::Questions => Method::KeyboardInteractive,
        }
    }
}

/// The keys of all users: one of each kind, one in an agent, and one that is only good with its certificate.
struct Keys {
    home: Home,
    kinds: Vec<(KeyKind, KeyFile)>,
    authority: KeyFile,
    certified: KeyFile,
    agent: Agent,
    in_agent: KeyFile,
}

impl Keys {
    fn new() -> Self {
        let home = Home::new();
        let make = |name: &str, kind| KeyFile::generate(home.folder(), name, kind);
        let kinds = KeyKind::ALL.map(|kind| (kind, make(&format!("{kind:?}"), kind))).to_vec();
        let (authority, certified, in_agent) = (
            make("authority", KeyKind::Ed25519),
            make("certified", KeyKind::Ed25519),
            make("in_agent", KeyKind::EcdsaP256),
        );
        authority.sign(&certified, &["-I", "a test", "-n", "certificate"]);
        let agent = Agent::start();
        agent.add(&in_agent);
        Self { home, kinds, authority, certified, agent, in_agent }
    }

    fn key(&self, kind: KeyKind) -> &KeyFile {
        &self.kinds.iter().find(|(known, _)| *known == kind).unwrap().1
    }

    fn certificate(&self) -> std::path::PathBuf {
        self.home.path("certified-cert.pub")
    }

    async fn server(&self) -> TestServer {
        let users = WAYS.iter().map(|way| self.user(way));
        users.fold(TestServer::builder().shell(), rustle_testserver::Builder::user).start().await.unwrap()
    }

    fn user(&self, way: &Way) -> User {
        let user = way.by.iter().fold(User::new(way.name), |user, proof| match proof {
            Proof::None => user.none(),
            Proof::Password | Proof::WrongPassword => user.password(PASSWORD),
            Proof::Key(kind) => user.public_key(self.key(*kind).public_line()),
            Proof::Certificate => user.certificate_authority(self.authority.public_line()),
            Proof::Agent => user.public_key(self.in_agent.public_line()),
            Proof::Questions => user.keyboard_interactive([
                Round::new().name("Who").instruction("Two questions.").prompt(NAME_PROMPT, "carol"),
                Round::new().hidden_prompt(CODE_PROMPT, "123456"),
                Round::new().instruction("Welcome."),
            ]),
        });
        match way.name {
            "half-way" => user.password(PASSWORD).steps([Method::PublicKey, Method::Password]),
            _ if way.by.len() > 1 => user.steps(way.by.iter().map(|proof| proof.method())),
            _ => user,
        }
    }

    /// For the libraries.
    fn login(&self, way: &Way) -> Value {
        let mut login = json!({"by": []});
        for proof in way.by {
            let name = match proof {
                Proof::None => "none",
                Proof::Password | Proof::WrongPassword => "password",
                Proof::Key(_) | Proof::Certificate => "key",
                Proof::Agent => "agent",
                Proof::Questions => "answers",
            };
            login["by"].as_array_mut().unwrap().push(json!(name));
            match proof {
                Proof::None => {}
                Proof::Password => login["password"] = json!(PASSWORD),
                Proof::WrongPassword => login["password"] = json!("battery staple"),
                Proof::Key(kind) => login["key"] = json!(self.key(*kind).path()),
                Proof::Certificate => {
                    login["key"] = json!(self.certified.path());
                    login["certificate"] = json!(self.certificate());
                }
                Proof::Agent => login["agent"] = json!(self.agent.socket()),
                Proof::Questions => {
                    login["answers"] = json!({NAME_PROMPT: "carol", CODE_PROMPT: "123456"});
                }
            }
        }
        login
    }

    /// For OpenSSH.
    fn options(&self, way: &Way) -> Vec<String> {
        let methods: Vec<&str> = way.by.iter().map(|proof| proof.method().as_str()).collect();
        let mut options = vec![
            format!("-oPreferredAuthentications={}", methods.join(",")),
            "-oIdentitiesOnly=yes".to_owned(),
            "-oNumberOfPasswordPrompts=1".to_owned(),
        ];
        for proof in way.by {
            match proof {
                Proof::Key(kind) => options.push(option("IdentityFile", self.key(*kind).path())),
                Proof::Certificate => options.extend([
                    option("IdentityFile", self.certified.path()),
                    option("CertificateFile", &self.certificate()),
                ]),
                Proof::Agent => options.extend([
                    option("IdentityAgent", self.agent.socket()),
                    option("IdentityFile", &self.in_agent.public_path()),
                ]),
                Proof::None | Proof::Password | Proof::WrongPassword | Proof::Questions => {}
            }
        }
        if !way.by.iter().any(|proof| proof.method() == Method::PublicKey) {
            options.push("-oIdentityFile=none".to_owned());
        }
        options
    }

    fn answers_to_prompts(&self, way: &Way) -> [(&'static str, &'static str); 3] {
        let password = if way.by.contains(&Proof::WrongPassword) { "battery staple" } else { PASSWORD };
        [("password: ", password), (NAME_PROMPT, "carol"), (CODE_PROMPT, "123456")]
    }
}

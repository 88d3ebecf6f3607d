//! Secrets leave no trace: not in what a process prints and traces, not in errors, not in what others can see of it.
//!
//! The work is done by a child, this binary run again for one test, whose every line of every crate is traced to its
//! output. Its secrets come on standard input.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustle_session::{
    BoxFuture, Connector, Credentials, PromptError, PromptRequest, Prompter, SecretSlice, SecretString,
    Target, danger::AcceptAnyHostKey,
};
use rustle_tests::{
    Interop, KeyFile, KeyKind, Scratch, Sshd, forms_found, interop, interop_within, no_credentials,
    one_time_code, target, unique_number,
};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::questions::{Codes, pam_sshd};

const CHILD: &str = "RUSTLE_INTEROP_SECRETS_CHILD";
const READY: &str = "the work is done";

#[test]
fn no_secret_is_in_what_a_process_prints_traces_or_shows_of_itself() {
    interop_within(std::time::Duration::from_secs(120), |interop| async move {
        let Some(pam) = interop.pam() else { return };
        let folder = Scratch::new();
        let passphrase = format!("päss \"phrase\" {}", unique_number());
        let key = KeyFile::generate_as(&folder, "key", KeyKind::Ed25519, &[], &passphrase);
        let pem = KeyFile::generate_as(&folder, "pem", KeyKind::Rsa, &["-m", "PEM"], &passphrase);
        let sshd = Sshd::builder(interop.sshd())
            .config("PasswordAuthentication yes")
            .authorize(key.public_line())
            .authorize(pem.public_line())
            .start();
        let asking = pam_sshd(pam, "");
        let codes = Codes::of(pam);
        let (code, wrong_code) = (codes.next(), one_time_code(pam.oath_secret(), 1_000_000));
        let wrong = format!("wr\\öng% {}", unique_number());
        let wrong_phrase = format!("not <it> {}", unique_number());
        let secrets = [interop.account().password(), &wrong, &passphrase, &wrong_phrase, &code, &wrong_code];
        let ports = [sshd.port(), asking.port()].map(|port| port.to_string());
        let keys = [&key, &pem].map(|key| key.path().display().to_string());

        let errors = folder.join("stderr");
        let mut child = child(&interop, &errors);
        let mut input = child.stdin.take().unwrap();
        for line in ports.iter().chain(&keys).map(String::as_str).chain(secrets) {
            writeln!(input, "{line}").unwrap();
        }
        let mut output = child.stdout.take().unwrap();
        let printed = until_ready(&mut output);
        let process = child.id();
        if child.try_wait().unwrap().is_some() {
            let errors = std::fs::read(&errors).unwrap();
            panic!("the child failed:\n{}", String::from_utf8_lossy(&errors));
        }
        let mut seen = vec![("standard output and traces", printed)];
        for file in ["cmdline", "environ"] {
            seen.push((file, std::fs::read(format!("/proc/{process}/{file}")).unwrap()));
        }
        drop(input);
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
        seen.push(("rest of its output", rest));
        assert!(child.wait().unwrap().success());
        seen.push(("standard error", std::fs::read(&errors).unwrap()));

        // That the child did what it is for, and that the traces are there.
        let traces = String::from_utf8_lossy(&seen[0].1).into_owned();
        for part in
            ["TRACE", "russh", "rustle_session", "authenticated", "keyboard-interactive", "passphrase"]
        {
            assert!(traces.contains(part), "no {part:?} in the child's output:\n{traces}");
        }
        println!("{} bytes of traces searched", traces.len());
        for (place, text) in &seen {
            for (number, secret) in secrets.iter().enumerate() {
                let found = forms_found(secret, text);
                assert!(found.is_empty(), "secret {number} stands in the {place} as {found:?}");
            }
        }
        // A key's own bytes are a secret too: the seed of the ed25519 key, as its file holds it.
        assert!(!traces.contains("PRIVATE KEY"), "a private key stands in the output");
    });
}

/// The child's part; without its variable it is no test.
#[test]
fn child_that_logs_in_by_every_secret() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    trace_everything();
    interop(|_| async move {
        let mut lines = std::io::stdin().lock().lines().map(Result::unwrap);
        let mut next = || lines.next().expect("a line");
        let user = std::env::var("RUSTLE_INTEROP_USER").unwrap();
        let [sshd, asking] = [next(), next()].map(|port| {
            Connector::new(target(&user, port.parse().unwrap())).host_trust(AcceptAnyHostKey::new())
        });
        let (key, pem) = (next(), next());
        let (password, wrong, passphrase, wrong_phrase) = (next(), next(), next(), next());
        let (code, wrong_code) = (next(), next());
        let secret = |text: &str| SecretString::from(text);
        let person = |answers: &[&str]| Person::new(answers);

        let key_bytes = std::fs::read(&key).unwrap();
        let key_in_memory = || no_credentials().key_bytes(SecretSlice::from(key_bytes.clone()));
        let attempts = [
            (&sshd, true, no_credentials().password(secret(&password))),
            (&sshd, false, no_credentials().password(secret(&wrong))),
            (&asking, true, no_credentials().prompter(person(&[&password, &code]))),
            (&asking, false, no_credentials().prompter(person(&[&password, &wrong_code, &wrong]))),
            (&sshd, true, no_credentials().key_file(&key).passphrase(secret(&passphrase))),
            (&sshd, false, no_credentials().key_file(&key).passphrase(secret(&wrong_phrase))),
            (&sshd, true, no_credentials().key_file(&pem).passphrase(secret(&passphrase))),
            (&sshd, false, no_credentials().key_file(&pem).passphrase(secret(&wrong_phrase))),
            (&sshd, true, no_credentials().key_file(&key).prompter(person(&[&wrong_phrase, &passphrase]))),
            (&sshd, true, key_in_memory().passphrase(secret(&passphrase))),
            (&sshd, false, key_in_memory().passphrase(secret(&wrong_phrase))),
        ];
        for (number, (connector, is_right, credentials)) in attempts.iter().enumerate() {
            assert_eq!(attempt(connector, credentials).await, *is_right, "attempt {number}");
        }
        // A password given where it does not belong.
        for text in [format!("ssh://{user}:{wrong}@127.0.0.1"), format!("{user}@127.0.0.1:{wrong}")] {
            let error = Target::parse(&text).expect_err("no target");
            shown(&error);
            chain(&error);
        }
        println!("{READY}");
        // The parent looks at this process meanwhile, and lets it go by closing its input.
        assert!(lines.next().is_none());
    });
}

/// Tries, and prints everything that can be printed about it.
async fn attempt(connector: &Connector, credentials: &Credentials) -> bool {
    shown(credentials);
    shown(connector);
    let connected = connector.connect().await.expect("connected");
    shown(&connected);
    match connected.authenticate(credentials).await {
        Ok(session) => {
            shown(&session);
            let command = session.command("true").arg("harmless");
            shown(&command);
            shown(&command.output().await.expect("it runs"));
            shown(&session.stats());
            println!("{} {:?} {}", session.method(), session.method_detail(), session.target());
            shown(&session.close(std::time::Duration::from_secs(2)).await);
            true
        }
        Err(rejected) => {
            shown(&rejected);
            shown(&rejected.may_continue());
            chain(rejected.error());
            false
        }
    }
}

fn shown(value: &impl Debug) {
    println!("{value:?}\n{value:#?}");
}

fn chain(error: &rustle_session::Error) {
    let mut text = format!("{error}; {:?}; {error:?}", error.hint());
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, "; caused by {cause} {cause:?}").unwrap();
        source = cause.source();
    }
    println!("{text}");
}

/// All crates at the lowest level, those that use `log` too.
fn trace_everything() {
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stdout).with_ansi(false);
    // A time of day has six digits too, and would now and then be a one-time code.
    let layer = layer.without_time();
    tracing_subscriber::registry()
        .with(tracing_subscriber::filter::LevelFilter::TRACE)
        .with(layer)
        .try_init()
        .expect("the first subscriber");
}

/// This binary for the child's test, with no secret in its arguments or environment.
fn child(interop: &Interop, errors: &Path) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([
        "--exact",
        "secrets::child_that_logs_in_by_every_secret",
        "--nocapture",
        "--test-threads=1",
    ]);
    command.env_clear().env(CHILD, "1").env("RUSTLE_INTEROP", "1").env("PATH", "/usr/bin:/bin");
    command.env("RUSTLE_INTEROP_SSHD", interop.sshd()).env("RUSTLE_INTEROP_USER", interop.account().name());
    // The frame of a test wants one; the real one comes on standard input.
    command.env("RUSTLE_INTEROP_PASSWORD", "none").env("RUSTLE_INTEROP_OPEN_USER", interop.open_user());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(errors).unwrap());
    command.spawn().unwrap()
}

/// What it prints until it has done its work, or ends.
fn until_ready(output: &mut impl Read) -> Vec<u8> {
    let mut printed = Vec::new();
    let mut piece = [0; 16 * 1024];
    while !printed.windows(READY.len()).any(|window| window == READY.as_bytes()) {
        match output.read(&mut piece).unwrap() {
            0 => break,
            read => printed.extend_from_slice(&piece[..read]),
        }
    }
    printed
}

/// Gives prepared answers, and declines when there are none left.
struct Person {
    answers: Mutex<std::collections::VecDeque<String>>,
}

impl Person {
    fn new(answers: &[&str]) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.iter().map(|&answer| answer.to_owned()).collect()) })
    }
}

impl Prompter for Person {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        shown(&request);
        let mut answers = self.answers.lock().unwrap();
        let given = request.prompts().iter().map(|_| answers.pop_front().map(SecretString::from));
        let given = given.collect::<Option<Vec<_>>>().ok_or(PromptError::Cancelled);
        Box::pin(std::future::ready(given))
    }
}

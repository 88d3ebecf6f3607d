//! Users of a script: each way in that the keys describe.

use std::sync::Arc;

use rustle_session::{BoxFuture, Echo, PromptError, PromptRequest, Prompter, SecretString, Session};
use tempfile::TempDir;

use super::served::{Served, slashed};

/// An Ed25519 key of nobody, made for these tests.
const KEY: &str = include_str!("keys/user");
const PUBLIC: &str = include_str!("keys/user.pub");
/// The same key with a certificate for `alice`, and the public half of its authority.
const CERTIFICATE: &str = include_str!("keys/user-cert.pub");
const AUTHORITY: &str = include_str!("keys/authority.pub");

/// Answers each question by what its text asks for.
struct Answers;

impl Prompter for Answers {
    fn ask(&self, request: PromptRequest) -> BoxFuture<'_, Result<Vec<SecretString>, PromptError>> {
        let answers = request
            .prompts()
            .iter()
            .map(|prompt| {
                let text = format!("{} {} {}", request.name(), request.instruction(), prompt.text());
                // Both answers are right only where the keys of the round, and `echo`, have arrived.
                SecretString::from(match (text.as_str(), prompt.echo() == Echo::Visible) {
                    ("Door Say who. Name: ", true) => "carol",
                    ("Door Say who. Code: ", false) => "123456",
                    _ => "wrong",
                })
            })
            .collect();
        Box::pin(async move { Ok(answers) })
    }
}

fn with_key(name: &str, certificate: Option<&str>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(&directory, name, KEY);
    if let Some(certificate) = certificate {
        write(&directory, &format!("{name}-cert.pub"), certificate);
    }
    directory
}

fn write(directory: &TempDir, name: &str, text: &str) {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

/// The method by which a user gets in, with the key `id` and whatever a person answers.
async fn method(server: &Served, user: &str) -> Result<String, rustle_session::Error> {
    let key = server.directory.path().join("id");
    let setup = server.setup(user).identity(key).prompter(Arc::new(Answers)).resolve().unwrap();
    let session: Session = setup.connect().await?;
    drop(session);
    let record = server.record().await;
    let last = record["auth_attempts"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .find(|attempt| attempt["outcome"] == "accepted");
    Ok(last.unwrap()["method"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_in_that_a_script_can_name_lets_its_user_in() {
    let directory = with_key("id", None);
    write(&directory, "password", "from the file\n");
    write(&directory, "keys", &format!("# nobody\n\n{PUBLIC}\n"));
    let public = PUBLIC.trim();
    let script = format!(
        r#"
        [[users]]
        name = "open"
        none = true
        [[users]]
        name = "filed"
        password_file = "password"
        [[users]]
        name = "keyed"
        public_keys = ["{public}"]
        [[users]]
        name = "listed"
        authorized_keys = "keys"
        [[users]]
        name = "asked"
        [[users.rounds]]
        name = "Door"
        instruction = "Say who."
        prompts = [
          {{ text = "Name: ", answer = "carol", echo = true }},
          {{ text = "Code: ", answer = "123456" }},
        ]
        [[users]]
        name = "careful"
        password = "first"
        public_keys = ["{public}"]
        steps = ["publickey", "password"]
        "#
    );
    let server = Served::script_in(directory, &script, &[]).await;
    let names: Vec<&str> = server.announced["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["open", "filed", "keyed", "listed", "asked", "careful"]);
    assert!(server.announced["users"].as_array().unwrap().iter().all(|user| user["password"].is_null()));
    assert_eq!(method(&server, "open").await.unwrap(), "none");
    server.session("filed", "from the file").await;
    assert_eq!(method(&server, "keyed").await.unwrap(), "publickey");
    assert_eq!(method(&server, "listed").await.unwrap(), "publickey");
    assert_eq!(method(&server, "asked").await.unwrap(), "keyboard-interactive");
    // A key alone is not enough for who has to show a password after it.
    assert!(method(&server, "careful").await.is_err());
    let key = server.directory.path().join("id");
    let both = server.setup("careful").identity(key).password("first".into()).resolve().unwrap();
    both.connect().await.unwrap();
    let record = server.record().await;
    let outcomes: Vec<&str> = record["auth_attempts"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .take(2)
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["accepted", "partial"]);
    assert!(method(&server, "nobody").await.is_err());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_the_named_authority_lets_its_principal_in() {
    let directory = with_key("id", Some(CERTIFICATE));
    let authority = AUTHORITY.trim();
    let script = format!("[[users]]\nname = \"alice\"\ncertificate_authorities = [\"{authority}\"]\n");
    let server = Served::script_in(directory, &script, &[]).await;
    let certificate = slashed(&server.directory.path().join("id-cert.pub"));
    let key = server.directory.path().join("id");
    let setup = server
        .setup("alice")
        .identity(key)
        .option(format!("CertificateFile=\"{certificate}\""))
        .resolve()
        .unwrap();
    setup.connect().await.unwrap();
    server.stop().await;
}

/// As on the command line: a file that others can read is no place for a password.
#[cfg(unix)]
#[tokio::test]
async fn a_password_file_that_others_can_read_is_refused_in_a_script_too() {
    use std::os::unix::fs::PermissionsExt;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("password");
    write(&directory, "password", "x\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let script = directory.path().join("script.toml");
    std::fs::write(&script, "[[users]]\nname = \"a\"\npassword_file = \"password\"\n").unwrap();
    let ran = crate::host::finish(
        crate::host::program(&["test-server", "--script", &script.display().to_string()]),
        b"",
    )
    .await;
    assert_eq!(ran.code, Some(255));
    assert!(ran.stderr.contains("can be used by others (mode 0644)"), "{}", ran.stderr);
}

//! The protocol against a scripted agent, and against a real `ssh-agent` where there is one.

use tokio::io::{DuplexStream, duplex};

use super::*;

const PERSON: Duration = Duration::from_secs(77);

const ED25519: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

fn ed25519() -> Vec<u8> {
    crate::auth::offer::decode_base64(ED25519).unwrap()
}

/// An agent that gives `replies` in turn; it hands back the requests it got.
fn scripted(replies: Vec<Vec<u8>>) -> (Agent, tokio::task::JoinHandle<Vec<Vec<u8>>>) {
    let (ours, theirs) = duplex(4096);
    let script = tokio::spawn(async move { serve(theirs, replies).await });
    (Agent::new(ours), script)
}

async fn serve(mut stream: DuplexStream, replies: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    for reply in replies {
        let length = stream.read_u32().await.unwrap();
        let mut request = vec![0; length as usize];
        stream.read_exact(&mut request).await.unwrap();
        requests.push(request);
        stream.write_u32(u32::try_from(reply.len()).unwrap()).await.unwrap();
        stream.write_all(&reply).await.unwrap();
    }
    requests
}

fn list(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut reply = vec![IDENTITIES_ANSWER];
    reply.extend_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
    for (blob, comment) in entries {
        put(&mut reply, blob);
        put(&mut reply, comment);
    }
    reply
}

fn signature(name: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    put(&mut blob, name);
    put(&mut blob, b"signed");
    let mut reply = vec![SIGN_RESPONSE];
    put(&mut reply, &blob);
    reply
}

#[tokio::test]
async fn a_key_of_unknown_type_does_not_hide_the_others() {
    let mut unknown = Vec::new();
    put(&mut unknown, b"ssh-ed448");
    put(&mut unknown, &[7; 57]);
    let (mut agent, _script) =
        scripted(vec![list(&[(&unknown, b"new"), (b"", b"empty"), (&ed25519(), b"me\xff@here")])]);
    let identities = agent.identities().await.unwrap();
    assert_eq!(identities.len(), 1);
    assert_eq!(identities[0].blob, ed25519());
    assert_eq!(identities[0].comment, "me\u{fffd}@here");
}

#[tokio::test]
async fn signing_asks_for_the_hash_and_gives_the_blob() {
    let (mut agent, script) = scripted(vec![signature(b"rsa-sha2-512")]);
    let blob = agent.sign(b"key", b"data", SignFlags::RsaSha512, PERSON).await.unwrap();
    assert!(blob.ends_with(b"signed"));
    let mut expected = vec![SIGN_REQUEST];
    put(&mut expected, b"key");
    put(&mut expected, b"data");
    expected.extend_from_slice(&[0, 0, 0, 4]);
    assert_eq!(script.await.unwrap(), [expected]);
}

#[tokio::test]
async fn a_signature_with_sha1_where_sha2_was_asked_for_is_refused() {
    let (mut agent, _script) = scripted(vec![signature(b"ssh-rsa")]);
    let error = agent.sign(b"key", b"data", SignFlags::RsaSha256, PERSON).await.unwrap_err();
    assert!(matches!(error, AgentError::Nonsense(_)), "{error}");
}

#[tokio::test]
async fn a_refusal_is_told_from_nonsense() {
    let (mut agent, _script) = scripted(vec![vec![FAILURE], vec![FAILURE], vec![99]]);
    assert!(matches!(agent.sign(b"key", b"data", SignFlags::None, PERSON).await, Err(AgentError::Refused)));
    assert!(matches!(agent.identities().await, Err(AgentError::Refused)));
    assert!(matches!(agent.identities().await, Err(AgentError::Nonsense(_))));
}

#[tokio::test]
async fn an_agent_that_cannot_bind_is_used_all_the_same() {
    let binding =
        AgentBinding { host_key: b"host".to_vec(), session_id: b"id".to_vec(), signature: b"sig".to_vec() };
    let (mut agent, script) = scripted(vec![vec![FAILURE], list(&[])]);
    agent.bind(&binding, Lent::NotAtAll).await.unwrap();
    assert!(agent.identities().await.unwrap().is_empty());
    let request = &script.await.unwrap()[0];
    assert_eq!(request[0], EXTENSION);
    assert!(request.ends_with(b"\0\0\0\x03sig\0"), "{request:?}");
}

#[tokio::test]
async fn cut_and_swollen_replies_are_errors() {
    let whole = list(&[(&ed25519(), b"me")]);
    for length in 0..whole.len() {
        let error = parse_identities(&whole[..length]).unwrap_err();
        assert!(matches!(error, AgentError::Nonsense(_)), "{length}: {error}");
    }
    assert!(parse_identities(&[IDENTITIES_ANSWER, 255, 255, 255, 255]).is_err());
    let (mut agent, _script) = scripted(vec![vec![0; MAX_MESSAGE + 1]]);
    assert!(matches!(agent.identities().await, Err(AgentError::Nonsense(_))));
    let (mut agent, _script) = scripted(vec![]);
    assert!(matches!(agent.identities().await, Err(AgentError::Io(_))));
}

#[tokio::test(start_paused = true)]
async fn a_silent_agent_has_ten_seconds_for_a_list_and_a_persons_time_for_a_signature() {
    let (ours, _theirs) = duplex(4096);
    let mut agent = Agent::new(ours);
    let start = tokio::time::Instant::now();
    assert!(matches!(agent.identities().await, Err(AgentError::Silent)));
    assert_eq!(start.elapsed(), AGENT_LIMIT);
    let start = tokio::time::Instant::now();
    assert!(matches!(agent.sign(b"key", b"data", SignFlags::None, PERSON).await, Err(AgentError::Silent)));
    assert_eq!(start.elapsed(), PERSON);
}

/// A real agent, with keys that `ssh-add` put in: they sign, and their certificates are listed.
#[cfg(unix)]
#[tokio::test]
async fn a_real_agent_lists_and_signs() {
    use std::process::Command;

    use ssh_key::{Algorithm, Signature};

    use crate::auth::AgentSource;

    struct Running(std::process::Child);
    impl Drop for Running {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent");
    let Ok(child) = Command::new("ssh-agent")
        .args(["-D", "-a", socket.to_str().unwrap()])
        .stdout(std::process::Stdio::null())
        .spawn()
    else {
        eprintln!("skipped: ssh-agent is not installed");
        return;
    };
    let _running = Running(child);
    // Its socket's file is there a moment before it listens.
    let listens = async {
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(30), listens).await.expect("ssh-agent does not listen");
    for (name, arguments) in [("rsa", ["-t", "rsa", "-b", "2048"]), ("ecdsa", ["-t", "ecdsa", "-b", "384"])] {
        let path = directory.path().join(name);
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", name, "-f", path.to_str().unwrap()])
            .args(arguments)
            .status();
        assert!(made.unwrap().success());
        let added = Command::new("ssh-add").arg("-q").arg(&path).env("SSH_AUTH_SOCK", &socket).status();
        assert!(added.unwrap().success());
    }

    let mut agent = crate::base::agent::connect(&AgentSource::Path(socket)).await.unwrap().unwrap();
    let identities = agent.identities().await.unwrap();
    assert_eq!(
        identities.iter().map(|identity| identity.comment.as_str()).collect::<Vec<_>>(),
        ["rsa", "ecdsa"]
    );
    for identity in identities {
        let Offer::Key(public) = &identity.offer else { panic!() };
        let flags = match public.algorithm() {
            Algorithm::Rsa { .. } => SignFlags::RsaSha512,
            _ => SignFlags::None,
        };
        let blob = agent.sign(&identity.blob, b"data", flags, PERSON).await.unwrap();
        keys::verify(public, b"data", &Signature::try_from(&blob[..]).unwrap()).unwrap();
    }
}

//! Pageant, PuTTY's agent for Windows, by a fake at the pipe where it listens.
#![cfg(windows)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of tests fail by panicking, and say what is skipped"
)]

use std::path::{Path, PathBuf};

use rustle_session::{AgentSource, ErrorKind};
use rustle_testserver::{TestServer, User};
use sha2::{Digest, Sha256};
use signature::Signer;
use ssh_key::PrivateKey;
use ssh_key::private::Ed25519Keypair;

use super::auth::{bare, connect};
use super::fake_agent::{FAILURE, FakeAgent, IDENTITIES_ANSWER, REQUEST_IDENTITIES, take};

const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Where Pageant of this user listens. The last part hides its name behind `CryptProtectMemory`, whose key is the
/// system's: wine leaves the memory as it is, so there the name can be told.
fn pipe() -> Option<PathBuf> {
    if !Path::new(r"C:\windows\system32\winecfg.exe").exists() {
        eprintln!("skipped: the name of Pageant's pipe can be told under wine alone");
        return None;
    }
    let user = std::env::var("USERNAME").unwrap();
    let mut hidden = [0; 16];
    hidden[..7].copy_from_slice(b"Pageant");
    let hash = Sha256::new().chain_update(16u32.to_be_bytes()).chain_update(hidden).finalize();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(PathBuf::from(format!(r"\\.\pipe\pageant.{user}.{hash}")))
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

/// Lists one key, and signs with it.
fn holder(key: Ed25519Keypair) -> impl Fn(&[u8]) -> Option<Vec<u8>> {
    move |request| {
        let public = [string(b"ssh-ed25519"), string(&key.public.0)].concat();
        Some(match request.split_first() {
            Some((&REQUEST_IDENTITIES, _)) => {
                [&[IDENTITIES_ANSWER, 0, 0, 0, 1][..], &string(&public), &string(b"of pageant")].concat()
            }
            Some((&SIGN_REQUEST, mut rest)) => {
                assert_eq!(take(&mut rest), public);
                let signature: ssh_key::Signature = key.try_sign(take(&mut rest)).unwrap();
                let signature = [string(b"ssh-ed25519"), string(signature.as_bytes())].concat();
                [vec![SIGN_RESPONSE], string(&signature)].concat()
            }
            _ => vec![FAILURE],
        })
    }
}

#[tokio::test]
async fn a_key_in_pageant_logs_in_by_name_and_where_no_other_agent_is() {
    let Some(pipe) = pipe() else { return };
    let absent = bare().agent(AgentSource::Pageant);
    let key = Ed25519Keypair::from_seed(&[7; 32]);
    let public = PrivateKey::from(key.clone()).public_key().to_openssh().unwrap();
    let server = TestServer::builder().user(User::new("deploy").public_key(public)).start().await.unwrap();
    let rejected = connect(&server, "deploy").await.authenticate(&absent).await.unwrap_err();
    let said = format!("{:?}", rejected.error());
    assert!(said.to_lowercase().contains("pageant"), "{said}");
    let named = std::env::var_os("SSH_AUTH_SOCK").is_some();
    if !named {
        let none = connect(&server, "deploy").await.authenticate(&bare().agent(AgentSource::Env)).await;
        let error = none.unwrap_err();
        assert_ne!(error.error().kind(), ErrorKind::Agent, "no agent is no error: {:?}", error.error());
    }
    let agent = FakeAgent::at_pipe(pipe, holder(key));
    let usual = if named { AgentSource::Pageant } else { AgentSource::Env };
    for source in [AgentSource::Pageant, usual] {
        let session = connect(&server, "deploy").await.authenticate(&bare().agent(source)).await;
        let session = session.unwrap_or_else(|rejected| panic!("{}", rejected.error()));
        assert!(session.method_detail().unwrap().contains("(agent)"), "{:?}", session.method_detail());
    }
    let signed = agent.asked().iter().filter(|request| request.first() == Some(&SIGN_REQUEST)).count();
    assert_eq!(signed, 2);
}

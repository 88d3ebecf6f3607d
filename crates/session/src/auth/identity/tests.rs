//! The arrangement of keys, against OpenSSH's rules.

use std::path::Path;

use secrecy::SecretSlice;
use ssh_key::certificate::{Builder, CertType};
use ssh_key::private::Ed25519Keypair;
use ssh_key::{LineEnding, PrivateKey};

use super::super::credentials::MemoryKey;
use super::*;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(Ed25519Keypair::from_seed(&[seed; 32]).into(), "").unwrap()
}

fn certificate(seed: u8, kind: CertType) -> Certificate {
    let mut builder =
        Builder::new(vec![1; 16], key(seed).public_key().key_data().clone(), 0, u64::MAX - 1).unwrap();
    builder.cert_type(kind).unwrap();
    builder.valid_principal("me").unwrap();
    builder.sign(&key(200)).unwrap()
}

/// A key file; `beside` adds the certificate next to it.
fn file(label: &str, seed: u8, beside: bool) -> FoundKey {
    let text = key(seed).to_openssh(LineEnding::LF).unwrap();
    let origin = KeyOrigin::Memory(MemoryKey::new(SecretSlice::from(text.as_bytes().to_vec())));
    let opened = KeyFile::open(&origin).unwrap();
    let beside =
        beside.then(|| (PathBuf::from(format!("{label}-cert.pub")), certificate(seed, CertType::User)));
    FoundKey { label: label.to_owned(), opened, beside }
}

fn held(comment: &str, offer: Offer) -> AgentIdentity {
    let blob = match &offer {
        Offer::Key(key) => key.to_bytes().unwrap(),
        Offer::Certificate(certificate) => certificate.to_bytes().unwrap(),
    };
    AgentIdentity { blob, offer, comment: comment.to_owned() }
}

fn held_key(comment: &str, seed: u8) -> AgentIdentity {
    held(comment, Offer::Key(key(seed).public_key().clone()))
}

/// Each identity as `label via agent|file`.
fn shown(identities: &[Identity]) -> Vec<String> {
    let via = |signer: &Signer| match signer {
        Signer::Agent(_) => "agent",
        Signer::File(_) => "file",
    };
    identities.iter().map(|identity| format!("{} via {}", identity.label, via(&identity.signer))).collect()
}

fn found(keys: Vec<FoundKey>) -> Found {
    Found { keys, ..Found::default() }
}

#[test]
fn agent_keys_that_are_files_come_before_other_agent_keys_before_files() {
    let files = found(vec![file("one", 1, false), file("two", 2, false), file("three", 3, false)]);
    let agent = vec![held_key("other", 9), held_key("c", 3), held_key("a", 1)];
    let (identities, problems) = arrange(files, agent, false);
    assert!(problems.is_empty());
    // Those the agent holds come in the agent's order, as in ssh.
    assert_eq!(
        shown(&identities),
        ["three via agent", "one via agent", "other (agent) via agent", "two via file"]
    );
}

#[test]
fn identities_only_leaves_the_agents_other_keys_out() {
    let files = found(vec![file("one", 1, false)]);
    let (identities, _) = arrange(files, vec![held_key("other", 9), held_key("a", 1)], true);
    assert_eq!(shown(&identities), ["one via agent"]);
}

#[test]
fn the_certificate_beside_a_file_follows_it() {
    let (identities, _) =
        arrange(found(vec![file("one", 1, true), file("two", 2, false)]), Vec::new(), false);
    assert_eq!(shown(&identities), ["one via file", "one-cert.pub via file", "two via file"]);
}

#[test]
fn the_certificate_beside_a_file_is_signed_by_the_agent_where_it_holds_the_key() {
    let (identities, _) = arrange(found(vec![file("one", 1, true)]), vec![held_key("a", 1)], false);
    assert_eq!(shown(&identities), ["one via agent", "one-cert.pub via agent"]);
}

#[test]
fn named_certificates_come_first() {
    let mut files = found(vec![file("one", 1, false)]);
    files.certificates.push(("named".to_owned(), certificate(1, CertType::User)));
    let (identities, problems) = arrange(files, vec![held_key("other", 9)], false);
    assert!(problems.is_empty());
    assert_eq!(shown(&identities), ["named via file", "other (agent) via agent", "one via file"]);
}

#[test]
fn a_named_certificate_is_signed_by_an_agents_key_even_with_identities_only() {
    let mut files = found(Vec::new());
    files.certificates.push(("named".to_owned(), certificate(5, CertType::User)));
    let (identities, problems) = arrange(files, vec![held_key("x", 5)], true);
    assert!(problems.is_empty());
    assert_eq!(shown(&identities), ["named via agent"]);
}

#[test]
fn a_certificate_without_its_key_or_not_for_users_is_a_problem() {
    let mut files = found(Vec::new());
    files.certificates.push(("lonely".to_owned(), certificate(5, CertType::User)));
    files.certificates.push(("hosts".to_owned(), certificate(5, CertType::Host)));
    let agent = vec![held("host cert", Offer::Certificate(Box::new(certificate(6, CertType::Host))))];
    let (identities, problems) = arrange(files, agent, false);
    assert_eq!(shown(&identities), [""; 0]);
    let faults: Vec<_> = problems.iter().map(KeyProblem::fault).collect();
    assert!(matches!(faults[..], [Fault::NoPrivateKey, Fault::HostCertificate]), "{problems:?}");
}

#[test]
fn an_agents_certificate_is_offered_as_one() {
    let agent =
        vec![held("cert", Offer::Certificate(Box::new(certificate(4, CertType::User)))), held_key("k", 4)];
    let (identities, _) = arrange(found(Vec::new()), agent, false);
    assert_eq!(shown(&identities), ["cert (agent) via agent", "k (agent) via agent"]);
    assert!(identities[0].offer.as_ref().unwrap().is_certificate());
}

#[test]
fn the_same_key_is_offered_once() {
    let files = found(vec![file("one", 1, false), file("copy", 1, false)]);
    let (identities, _) = arrange(files, vec![held_key("x", 7), held_key("y", 7)], false);
    assert_eq!(shown(&identities), ["x (agent) via agent", "one via file"]);
}

#[test]
fn a_public_file_picks_the_agents_key_or_is_a_problem() {
    let public = |seed| FoundKey {
        label: "picked".to_owned(),
        opened: Opened::Public(key(seed).public_key().clone()),
        beside: None,
    };
    let (identities, problems) =
        arrange(found(vec![public(3)]), vec![held_key("c", 3), held_key("d", 4)], true);
    assert!(problems.is_empty());
    assert_eq!(shown(&identities), ["picked via agent"]);
    let (identities, problems) = arrange(found(vec![public(3)]), Vec::new(), true);
    assert!(identities.is_empty());
    assert!(matches!(problems[0].fault(), Fault::PublicFile));
}

#[test]
fn usual_files_that_are_missing_are_passed_over_and_named_ones_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { Path::join(directory.path(), name) };
    let mut credentials = Credentials::new();
    credentials.default_keys = vec![path("id_rsa"), path("id_ed25519")];
    let found = Found::from_files(&credentials);
    assert!(found.keys.is_empty() && found.problems.is_empty());

    let found = Found::from_files(&credentials.key_file(path("named")));
    assert!(matches!(found.problems[0].fault(), Fault::Missing));
}

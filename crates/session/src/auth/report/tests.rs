//! The words of failures.

use super::super::problem::Fault;
use super::*;

fn exhausted(report: Report, offered: &[&str]) -> Error {
    let offered = offered.iter().map(|name| (*name).to_owned()).collect();
    report.into_error(Ending::Exhausted { offered }, "deploy", "deploy@web-1")
}

#[test]
fn a_refusal_lists_what_was_tried_and_what_is_offered() {
    let mut report = Report::default();
    report.tried("publickey", "SHA256:abc (/home/me/.ssh/id_rsa)", Outcome::Refused);
    report.tried("password", "", Outcome::Refused);
    report.tried("password", "", Outcome::Refused);
    let error = exhausted(report, &["publickey", "password"]);
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert_eq!(error.code(), "SSH_AUTH_FAILED");
    assert!(!error.is_retryable());
    assert_eq!(
        error.to_string(),
        "deploy@web-1: the server did not let deploy in: publickey SHA256:abc (/home/me/.ssh/id_rsa) refused; \
         password refused; the server offers publickey, password"
    );
    assert!(error.hint().unwrap().contains("authorized_keys"));
}

#[test]
fn a_key_problem_is_the_error_if_nothing_else_was_refused() {
    let mut report = Report::default();
    report.problem(KeyProblem::new("id_gone", Fault::Missing));
    let error = exhausted(report, &["publickey"]);
    assert_eq!(error.kind(), ErrorKind::Key);
    assert_eq!(error.to_string(), "deploy@web-1: id_gone does not exist");

    let mut report = Report::default();
    report.problem(KeyProblem::new("id_gone", Fault::Missing));
    report.tried("publickey", "SHA256:abc (id)", Outcome::Refused);
    let error = exhausted(report, &["publickey"]);
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("id_gone does not exist"), "{error}");
}

#[test]
fn an_agent_out_of_reach_is_the_error_only_if_nothing_else_was_there() {
    let mut report = Report::default();
    report.agent_problem("the agent cannot be reached: no such file".to_owned());
    assert_eq!(exhausted(report, &["publickey"]).kind(), ErrorKind::Agent);

    let mut report = Report::default();
    report.agent_problem("the agent cannot be reached: no such file".to_owned());
    report.tried("password", "", Outcome::Refused);
    let error = exhausted(report, &["publickey"]);
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert!(error.to_string().contains("the agent cannot be reached"));
}

#[test]
fn too_many_keys_lead_to_identities_only() {
    let mut report = Report::default();
    for index in 0..6 {
        report.tried("publickey", format!("SHA256:{index} (agent)"), Outcome::Refused);
    }
    let reason =
        CloseReason::Disconnected { code: 2, message: "Too many authentication failures".to_owned() };
    let error = report.into_error(Ending::Lost(reason), "deploy", "deploy@web-1");
    assert_eq!(error.kind(), ErrorKind::AuthenticationFailed);
    assert!(error.hint().unwrap().contains("IdentitiesOnly"), "{error:?}");

    let mut report = Report::default();
    for index in 0..5 {
        report.tried("publickey", format!("SHA256:{index} (agent)"), Outcome::Refused);
    }
    assert!(exhausted(report, &["publickey"]).hint().unwrap().contains("IdentitiesOnly"));
}

#[test]
fn a_lost_connection_is_no_refusal() {
    let mut report = Report::default();
    report.tried("publickey", "SHA256:abc (id)", Outcome::Refused);
    let error = report.into_error(Ending::Lost(CloseReason::PeerClosed), "deploy", "web-1");
    assert_eq!(error.kind(), ErrorKind::Disconnected);
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "web-1: the connection was lost while logging in: the server closed it without a word"
    );
}

#[test]
fn silence_after_a_password_may_be_an_expired_one() {
    let limit = Duration::from_secs(10);
    let ending = |waiting_for| Ending::Deadline { limit, waiting_for };
    let error = Report::default().into_error(ending("password"), "deploy", "web-1");
    assert_eq!(error.kind(), ErrorKind::ConnectTimeout);
    assert!(error.hint().unwrap().contains("expired"));
    assert!(error.to_string().contains("within 10 s"), "{error}");
    let error = Report::default().into_error(ending("none"), "deploy", "web-1");
    assert!(!error.hint().unwrap().contains("expired"));
}

#[test]
fn nothing_to_try_says_so_and_what_would_help() {
    let error = exhausted(Report::default(), &["password"]);
    assert!(error.to_string().contains("there was nothing to try"), "{error}");
    assert!(error.hint().unwrap().contains("password"));
    let error = exhausted(Report::default(), &["publickey"]);
    assert!(error.hint().unwrap().contains("ssh-add"));
    let error = exhausted(Report::default(), &[]);
    assert!(error.to_string().ends_with("the server offers no other way"), "{error}");
}

#[test]
fn a_chain_names_each_method_that_was_needed() {
    let mut report = Report::default();
    assert_eq!(report.chain("publickey"), "publickey");
    report.tried("publickey", "SHA256:abc (id)", Outcome::Refused);
    report.tried("password", "", Outcome::Partial);
    assert_eq!(report.chain("keyboard-interactive"), "password,keyboard-interactive");
}

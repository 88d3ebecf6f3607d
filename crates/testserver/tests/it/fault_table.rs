//! The table of faults in the documentation: complete, and true of the tests it names.

use std::{collections::BTreeSet, path::Path, time::Duration};

use rustle_testserver::{
    Builder, Cut, Damage, Direction, DisconnectReason, Fault, Method, Moment, Phase, RawPeer, RequestAnswer,
    RequestKind, SftpFault, SftpRequest, TestServer,
};

const TABLE: &str = include_str!("../../docs/faults.md");

/// One of each constructor.
fn one_of_each() -> Vec<(&'static str, Fault)> {
    let second = Duration::from_secs(1);
    vec![
        ("cut", Fault::cut(Phase::Request, Cut::Rst)),
        ("cut_after", Fault::cut_after(1 << 30, Cut::Fin)),
        ("cut_after_received", Fault::cut_after_received(1 << 30, Cut::Fin)),
        ("cut_at", Fault::cut_at(second, Cut::Silence)),
        ("stall", Fault::stall(Phase::Data)),
        ("stall_after", Fault::stall_after(1 << 30)),
        ("stall_after_received", Fault::stall_after_received(1 << 30)),
        ("stall_at", Fault::stall_at(second)),
        ("delay", Fault::delay(Phase::Close, second)),
        ("drip", Fault::drip(Moment::sent(1 << 30), Direction::Both, 1, second)),
        ("corrupt_sent", Fault::corrupt_sent(1 << 30, 1)),
        ("corrupt_received", Fault::corrupt_received(1 << 30, 1)),
        ("disconnect", Fault::disconnect(Phase::Request, DisconnectReason::ByApplication, "bye")),
        ("withhold_channel_open", Fault::withhold_channel_open()),
        ("withhold_request", Fault::withhold_request()),
        ("refuse_channel", Fault::refuse_channel()),
        ("refuse_channel_with", Fault::refuse_channel_with(4, "no memory")),
        ("refuse_login", Fault::refuse_login()),
        ("refuse_login_with", Fault::refuse_login_with([Method::PublicKey])),
        ("refuse_request", Fault::refuse_request(RequestKind::Env)),
        ("omit_exit_status", Fault::omit_exit_status()),
        ("omit_eof", Fault::omit_eof()),
        ("omit_close", Fault::omit_close()),
        ("sftp", Fault::sftp(SftpRequest::Read, SftpFault::lose_reply())),
        ("message", Fault::message(94, Damage::dropped())),
        ("frozen_window", Fault::frozen_window(9)),
        ("tiny_window", Fault::tiny_window(9)),
        ("max_packet", Fault::max_packet(9)),
        ("data_packets", Fault::data_packets(9)),
        ("refuse_channel_in_language", Fault::refuse_channel_in_language(1, "non", "fr")),
        ("answer_request", Fault::answer_request(RequestAnswer::Both)),
        ("change_password", Fault::change_password("New: ")),
    ]
}

/// A builder of the personality that can do this: so says the table.
fn builder_for(name: &str) -> Builder {
    let row = TABLE.lines().find(|line| line.contains(&format!("`Fault::{name}("))).unwrap();
    if row.contains("| raw |") {
        TestServer::builder().raw_peer(RawPeer::new())
    } else {
        TestServer::builder()
    }
}

/// The sources of this package in a directory and those below it.
fn sources(directory: &str) -> Vec<String> {
    fn collect(directory: &Path, into: &mut Vec<String>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut found);
    found
}

/// The names of the public constructors in an `impl Fault`.
fn constructors(source: &str) -> Vec<String> {
    let blocks = source.split("\nimpl Fault {").skip(1);
    let lines = blocks.flat_map(|block| block.split("\n}\n").next().unwrap_or_default().lines());
    let functions = lines.filter_map(|line| line.strip_prefix("    pub fn "));
    functions
        .filter(|signature| !signature.contains("(self") && !signature.contains("(mut self"))
        .filter_map(|signature| signature.split(['(', '<']).next())
        .map(str::to_owned)
        .collect()
}

/// Without the sources, as where the test binary alone was brought, there is nothing to compare with.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn sources_are_here() -> bool {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").is_dir();
    if !here {
        println!("skipped: the sources are not on this machine");
    }
    here
}

#[test]
fn every_constructor_is_in_the_table_and_in_this_test() {
    if !sources_are_here() {
        return;
    }
    let in_code: BTreeSet<String> = sources("src").iter().flat_map(|source| constructors(source)).collect();
    let here: BTreeSet<String> = one_of_each().iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(in_code, here, "one_of_each() lacks a constructor, or has one too many");
    for name in &in_code {
        assert!(TABLE.contains(&format!("`Fault::{name}(")), "docs/faults.md has no row for Fault::{name}");
    }
}

#[test]
fn every_test_that_the_table_names_is_there() {
    if !sources_are_here() {
        return;
    }
    let tests = sources("tests").concat() + &sources("src").concat();
    let rows: Vec<&str> = TABLE.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in rows {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let named: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test in the last column of: {row}");
        for name in named {
            assert!(
                tests.contains(&format!("fn {name}(")),
                "no test is called {name}, which is named in: {row}"
            );
        }
    }
}

#[tokio::test]
async fn every_fault_is_an_error_when_it_never_struck() {
    for (name, fault) in one_of_each() {
        let said = fault.to_string();
        let server = builder_for(name).seed(23).fault(fault.clone()).start().await.unwrap();
        let error = server.stop().await.expect_err(name).to_string();
        assert!(error.contains(&said) && error.contains("seed: 23"), "{name}: {error}");
        // Added later, it is as good.
        let server = builder_for(name).start().await.unwrap();
        server.add_fault(fault.on_connection(9).nth(2));
        let error = server.stop().await.expect_err(name).to_string();
        assert!(error.contains(&format!("{said} on connection 9, time 2")), "{name}: {error}");
    }
}

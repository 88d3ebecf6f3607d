//! The page `docs/test-server.md` tells the truth: its keys are the program's, its example runs, and each key that it
//! describes has a test that sees it act.

use std::collections::BTreeSet;

use crate::host::{finish, program};

use super::served::{Served, output};

const PAGE: &str = include_str!("../../../../../docs/test-server.md");

/// Each table of the file: its prefix in the page's list of keys, and a script with a key in it that does not exist.
const TABLES: [(&str, &str); 20] = [
    ("", "no_such = 1"),
    ("host_keys[].", "host_keys = [{ no_such = 1 }]"),
    ("host_certificate.", "[host_certificate]\nno_such = 1"),
    ("algorithms.", "[algorithms]\nno_such = 1"),
    ("limits.", "[limits]\nno_such = 1"),
    ("limits.max_startups.", "[limits]\nmax_startups = { no_such = 1 }"),
    ("limits.client_alive.", "[limits]\nclient_alive = { no_such = 1 }"),
    ("network.", "[network]\nno_such = 1"),
    ("sftp.", "[sftp]\nno_such = 1"),
    ("sftp.files[].", "[sftp]\nfiles = [{ no_such = 1 }]"),
    ("forwards.", "[forwards]\nno_such = 1"),
    ("forwards.targets[].", "[forwards]\ntargets = [{ no_such = 1 }]"),
    ("users[].", "[[users]]\nno_such = 1"),
    ("users[].timed_codes.", "[[users]]\nname = \"a\"\ntimed_codes = { no_such = 1 }"),
    ("users[].rounds[].", "[[users]]\nname = \"a\"\nrounds = [{ no_such = 1 }]"),
    ("users[].rounds[].prompts[].", "[[users]]\nname = \"a\"\nrounds = [{ prompts = [{ no_such = 1 }] }]"),
    ("commands[].", "[[commands]]\nno_such = 1"),
    ("faults[].", "[[faults]]\nno_such = 1"),
    ("faults[].payload.", "[[faults]]\npayload = { no_such = 1 }"),
    ("faults[].payload.window_adjust.", "[[faults]]\npayload = { window_adjust = { no_such = 1 } }"),
];

/// Where each key is seen to act: the test, and its keys. Keys that only hold others are seen by those.
const SEEN: [(&str, &[&str]); 45] = [
    ("seed_banner_and_identification_are_those_of_the_script", &["seed", "banner", "identification"]),
    ("host_keys_are_of_the_kinds_or_from_the_files_named", &["host_keys[].kind", "host_keys[].file"]),
    (
        "algorithms_are_those_of_the_script",
        &[
            "algorithms.key_exchange",
            "algorithms.ciphers",
            "algorithms.macs",
            "algorithms.host_keys",
            "algorithms.strict_kex",
        ],
    ),
    (
        "sessions_and_attempts_have_their_limits",
        &["limits.max_sessions", "limits.auth_attempts", "limits.auth_delay"],
    ),
    ("windows_and_new_keys_come_as_often_as_the_script_says", &["limits.window", "limits.rekey_after"]),
    (
        "the_network_is_as_slow_as_the_script_says",
        &[
            "network.round_trip",
            "network.rate",
            "network.jitter",
            "network.rate_to_client",
            "network.rate_to_server",
            "network.loss_one_in",
            "network.loss_recovery",
        ],
    ),
    (
        "what_is_served_by_itself_can_be_switched_off",
        &["builtins", "accept_env", "sftp.serve", "forwards.direct_tcpip"],
    ),
    ("a_real_shell_and_unix_sockets_are_there_where_asked_for", &["shell", "forwards.direct_streamlocal"]),
    (
        "targets_answer_as_the_script_says",
        &[
            "forwards.targets[].host",
            "forwards.targets[].port",
            "forwards.targets[].path",
            "forwards.targets[].answer",
            "forwards.targets[].text",
            "forwards.targets[].code",
        ],
    ),
    (
        "openssh_has_granted_what_the_script_grants",
        &["forwards.remote_tcpip", "forwards.remote_streamlocal", "forwards.agent", "forwards.x11"],
    ),
    (
        "each_way_in_that_a_script_can_name_lets_its_user_in",
        &[
            "users[].name",
            "users[].none",
            "users[].password",
            "users[].password_file",
            "users[].public_keys",
            "users[].authorized_keys",
            "users[].steps",
            "users[].rounds[].name",
            "users[].rounds[].instruction",
            "users[].rounds[].prompts[].text",
            "users[].rounds[].prompts[].answer",
            "users[].rounds[].prompts[].echo",
        ],
    ),
    ("a_certificate_of_the_named_authority_lets_its_principal_in", &["users[].certificate_authorities"]),
    ("commands_that_nobody_asks_for_are_errors_where_they_are_expected", &["expect_commands"]),
    (
        "commands_answer_and_end_as_scripted",
        &[
            "commands[].exact",
            "commands[].pattern",
            "commands[].login_shell",
            "commands[].stdout",
            "commands[].stdout_base64",
            "commands[].stderr",
            "commands[].stderr_base64",
            "commands[].delay",
            "commands[].exit",
            "commands[].signal",
            "commands[].signal_message",
            "commands[].no_exit_status",
            "commands[].never_ends",
        ],
    ),
    ("a_connection_is_cut_in_each_phase_by_its_name", &["faults[].kind", "faults[].phase", "faults[].how"]),
    (
        "a_connection_is_cut_or_stalls_after_so_many_bytes",
        &["faults[].bytes", "faults[].sent", "faults[].received", "faults[].times"],
    ),
    (
        "answers_are_withheld_or_refusals",
        &["faults[].code", "faults[].text", "faults[].nth", "faults[].once", "faults[].on_connection"],
    ),
    (
        "strangers_and_failures_have_their_limits_as_with_sshd",
        &[
            "limits.max_auth_tries",
            "limits.login_grace",
            "limits.max_startups.start",
            "limits.max_startups.rate",
            "limits.max_startups.full",
            "limits.max_startups_text",
        ],
    ),
    (
        "noise_comes_before_what_a_command_says",
        &["startup_noise", "startup_noise_stderr", "users[].startup_noise"],
    ),
    (
        "time_brings_faults_and_ends_them",
        &["faults[].time", "faults[].elapsed", "faults[].for_time", "faults[].direction", "faults[].every"],
    ),
    ("bytes_are_changed_and_goodbyes_said", &["faults[].offset", "faults[].mask", "faults[].reason"]),
    ("logins_and_requests_are_refused_and_endings_left_out", &["faults[].methods", "faults[].request"]),
    (
        "files_are_there_as_the_script_says",
        &[
            "sftp.files[].path",
            "sftp.files[].text",
            "sftp.files[].base64",
            "sftp.files[].symlink",
            "sftp.files[].directory",
            "sftp.files[].mode",
        ],
    ),
    (
        "sftp_has_the_limits_of_the_script",
        &[
            "sftp.quota",
            "sftp.read_only",
            "sftp.binary_handles",
            "sftp.extensions",
            "sftp.max_packet",
            "sftp.max_read",
            "sftp.max_write",
            "sftp.max_handles",
        ],
    ),
    (
        "files_have_the_names_sizes_times_and_owners_of_the_script",
        &[
            "sftp.umask",
            "sftp.without_extensions",
            "sftp.files[].path_base64",
            "sftp.files[].size",
            "sftp.files[].modified",
            "sftp.files[].uid",
            "sftp.files[].gid",
        ],
    ),
    ("a_directory_of_the_scripts_is_served_by_either_engine", &["sftp.directory", "sftp.engine"]),
    ("noise_comes_before_the_first_packet_and_before_no_command", &["sftp.banner_noise"]),
    ("replies_are_other_than_they_should_be", &["faults[].sftp_request"]),
    ("lengths_lie_and_names_are_hostile", &["faults[].length", "faults[].name", "faults[].name_base64"]),
    (
        "a_client_that_does_not_answer_is_dropped",
        &["limits.client_alive.interval", "limits.client_alive.count"],
    ),
    ("what_nobody_reads_waits_up_to_its_limit", &["limits.max_unread"]),
    ("links_are_made_in_the_order_of_the_script", &["sftp.link_order"]),
    ("a_queue_holds_what_its_line_is_too_slow_for", &["network.queue"]),
    (
        "codes_let_in_once_and_expired_passwords_have_to_be_changed",
        &[
            "users[].one_time_codes",
            "users[].password_expired",
            "users[].keyboard_interactive_password",
            "users[].rounds[].prompts[].any_answer",
        ],
    ),
    ("codes_by_the_clock_are_told_by_the_control", &["users[].timed_codes.seed", "users[].timed_codes.step"]),
    (
        "passwords_come_late_and_users_are_locked_out",
        &["users[].password_from_attempt", "users[].lock_after", "users[].auth_delay"],
    ),
    (
        "users_have_their_own_methods_variables_and_no_files",
        &["users[].methods", "users[].env", "users[].sftp"],
    ),
    ("old_servers_can_be_had_by_their_names", &["algorithms.preset"]),
    (
        "host_keys_come_with_the_certificate_of_the_script",
        &[
            "host_certificate.file",
            "host_certificate.principals",
            "host_certificate.authority_file",
            "host_certificate.valid_from",
            "host_certificate.valid_until",
        ],
    ),
    (
        "the_raw_personality_serves_as_the_other_does",
        &["personality", "limits.rekey_messages", "algorithms.ext_info"],
    ),
    ("messages_are_lost_doubled_and_out_of_order", &["faults[].message"]),
    ("malformed_messages_end_a_client_and_do_not_hang_it", &["faults[].payload.base64"]),
    (
        "storms_come_before_and_after",
        &[
            "faults[].count",
            "faults[].payload.ignore",
            "faults[].payload.debug",
            "faults[].payload.global_request",
            "faults[].payload.window_adjust.channel",
            "faults[].payload.window_adjust.bytes",
            "faults[].payload.empty_kexinit",
        ],
    ),
    (
        "channels_requests_and_passwords_are_answered_as_no_other_server_does",
        &["faults[].language", "faults[].answer"],
    ),
    // Tables and lists, which are seen by the keys in them.
    (
        "",
        &[
            "host_keys",
            "host_certificate",
            "algorithms",
            "limits",
            "limits.max_startups",
            "limits.client_alive",
            "network",
            "sftp",
            "sftp.files",
            "forwards",
            "forwards.targets",
            "users",
            "users[].timed_codes",
            "users[].rounds",
            "users[].rounds[].prompts",
            "commands",
            "faults",
            "faults[].payload",
            "faults[].payload.window_adjust",
        ],
    ),
];

/// The tests themselves, in which the names above have to stand.
const TESTS: [&str; 9] = [
    include_str!("script.rs"),
    include_str!("users.rs"),
    include_str!("faults.rs"),
    include_str!("forwards.rs"),
    include_str!("sftp.rs"),
    include_str!("identity.rs"),
    include_str!("logins.rs"),
    include_str!("raw.rs"),
    include_str!("sftp_faults.rs"),
];

/// What the program says it knows, when it is shown a script with something that it does not know.
async fn known(script: &str) -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script.toml");
    std::fs::write(&path, script).unwrap();
    let ran = finish(program(&["test-server", "--script", &path.display().to_string()]), b"").await;
    assert_eq!(ran.code, Some(255), "{script}");
    let (_, names) = ran.stderr.split_once("known here: ").unwrap_or_else(|| panic!("{}", ran.stderr));
    names.trim().split(", ").map(str::to_owned).collect()
}

/// The names in backquotes in the first column of the table under this heading.
fn rows(heading: &str) -> BTreeSet<String> {
    let (_, section) = PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
    let section = section.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `"));
    cells.map(|rest| rest.split('`').next().unwrap().to_owned()).collect()
}

/// The first block of this language under this heading.
fn block(heading: &str, language: &str) -> String {
    let (_, section) = PAGE.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?}"));
    let (_, text) = section.split_once(&format!("```{language}\n")).unwrap();
    text.split_once("\n```").unwrap().0.to_owned()
}

#[tokio::test]
async fn the_page_lists_the_keys_that_the_program_knows() {
    let mut program_knows = BTreeSet::new();
    for (prefix, script) in TABLES {
        program_knows.extend(known(script).await.into_iter().map(|key| format!("{prefix}{key}")));
    }
    assert_eq!(program_knows, rows("### Every key"));
}

#[tokio::test]
async fn the_page_lists_the_faults_and_phases_that_the_program_knows() {
    assert_eq!(known("[[faults]]\nkind = \"no_such\"").await, rows("### Every fault"));
    let phases = known("[[faults]]\nkind = \"cut\"\nphase = \"no_such\"").await;
    assert_eq!(phases, rows("### Phases"));
    let requests = known("[[faults]]\nkind = \"sftp_delay\"\nsftp_request = \"no_such\"").await;
    assert_eq!(requests, rows("### SFTP requests"));
    let messages = known("[[faults]]\nkind = \"message_dropped\"\nmessage = \"no_such\"").await;
    assert_eq!(messages, rows("### Messages"));
}

#[test]
fn every_key_of_the_page_is_seen_to_act() {
    let seen: BTreeSet<String> =
        SEEN.iter().flat_map(|(_, keys)| *keys).map(|key| (*key).to_owned()).collect();
    let documented = rows("### Every key");
    let differing: Vec<_> = seen.symmetric_difference(&documented).collect();
    assert!(differing.is_empty(), "not in the list above, or not on the page: {differing:?}");
    for (test, keys) in SEEN.iter().filter(|(test, _)| !test.is_empty()) {
        let text = TESTS.iter().find(|text| text.contains(&format!("async fn {test}(")));
        let text = text.unwrap_or_else(|| panic!("there is no test {test}"));
        for key in *keys {
            let name = key.rsplit('.').next().unwrap().trim_end_matches("[]");
            assert!(text.contains(&format!("{name} = ")), "{key} does not stand in the file of {test}");
        }
    }
    for kind in rows("### Every fault") {
        let seen = [format!("\"{kind}\""), format!("\\\"{kind}\\\"")];
        let seen = TESTS.iter().any(|test| seen.iter().any(|text| test.contains(text)));
        assert!(seen, "no test of the fault {kind}");
    }
}

#[tokio::test]
async fn the_pages_example_runs() {
    let script = block("## The script", "toml");
    let directory = tempfile::tempdir().unwrap();
    let server = Served::script_in(directory, &script, &["--allow-unfired"]).await;
    let session = server.session("alice", "wonderland").await;
    assert_eq!(output(&session, "uname -a").await, "Linux web-1 6.1.0\n");
    let restart = session.raw("systemctl restart nginx").output().await.unwrap();
    assert_eq!(
        (restart.status.code(), restart.stderr_text().as_ref()),
        (Some(5), "Unit nginx.service not found.\n")
    );
    let ended = server.end().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn the_pages_example_of_the_raw_personality_runs() {
    let script = block("### The raw personality", "toml");
    let directory = tempfile::tempdir().unwrap();
    let server = Served::script_in(directory, &script, &["--allow-unfired"]).await;
    let session = server.session("alice", "wonderland").await;
    let upload = session.raw("wc -c").stdin(vec![0; 100_000]).output();
    assert!(tokio::time::timeout(std::time::Duration::from_millis(500), upload).await.is_err());
    drop(session);
    server.stop().await;
}

#[tokio::test]
async fn the_pages_places_are_the_controls() {
    let server = Served::start(&[]).await;
    let answer = server.get("/no-such").await;
    let hint = answer.json["error"]["hint"].as_str().unwrap();
    let known: BTreeSet<String> =
        hint.strip_prefix("known here: ").unwrap().split(", ").map(str::to_owned).collect();
    let told: BTreeSet<String> =
        rows("### Places").iter().map(|place| place.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(known, told);
    let waits = server.get("/wait?no_such=1").await;
    let hint = waits.json["error"]["hint"].as_str().unwrap();
    let known: BTreeSet<String> =
        hint.strip_prefix("known here: ").unwrap().split(", ").map(str::to_owned).collect();
    assert_eq!(known, rows("### What can be waited for"));
    server.stop().await;
}

#[tokio::test]
async fn the_pages_announcement_has_the_keys_of_the_real_one() {
    let server = Served::start(&[]).await;
    let shown: serde_json::Value = serde_json::from_str(&block("## The line", "json")).unwrap();
    let keys =
        |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(keys(&shown), keys(&server.announced));
    assert_eq!(keys(&shown["control"]), keys(&server.announced["control"]));
    assert_eq!(keys(&shown["users"][0]), keys(&server.announced["users"][0]));
    server.stop().await;
}

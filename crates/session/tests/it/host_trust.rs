//! Host trust with real files, several processes, and OpenSSH's own tools.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustle_session::danger::AcceptAnyHostKey;
use rustle_session::{ErrorKind, HostHashing, HostKeyOffer, HostTrust, KnownHosts, PinnedHostKey};

use crate::known_hosts_file::{Files, trust};

/// A host key of one's own per `seed`: any 32 bytes are an Ed25519 key as far as trust goes.
fn offer(host: &str, port: u16, seed: u8) -> HostKeyOffer {
    HostKeyOffer::from_wire(host, port, &wire(seed)).unwrap()
}

fn wire(seed: u8) -> Vec<u8> {
    let mut wire = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    wire.extend([seed; 32]);
    wire
}

/// What is told through `tracing`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Of this thread, until it is dropped.
    fn record(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What stands in the last pair of backquotes.
fn quoted(hint: &str) -> String {
    hint.rsplit('`').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn nobody_is_told_to_add_a_line_where_nothing_is_remembered() {
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let files = Files::new();
    let hint = |error: rustle_session::Error| error.hint().unwrap().to_owned();
    let only = trust(Path::new(null)).check(&offer("web-1", 22, 1)).await.unwrap_err();
    assert!(!hint(only).contains(null));
    let first = files.trust().user_files([Path::new(null), &files.path]);
    let first = hint(first.check(&offer("web-1", 22, 1)).await.unwrap_err());
    assert!(!first.contains(null) && first.contains(&files.path.display().to_string()), "{first}");
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_the_line_that_would_make_it_known() {
    let files = Files::new();
    let error = files.trust().check(&offer("web-1", 2222, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyUnknown);
    assert_eq!(error.target(), Some("web-1:2222"));
    assert!(error.to_string().contains(&offer("web-1", 2222, 1).fingerprint()), "{error}");
    assert!(!files.path.exists(), "a strict policy writes nothing");

    let line = quoted(error.hint().unwrap());
    assert!(line.starts_with("[web-1]:2222 ssh-ed25519 AAAA"), "{line}");
    fs::write(&files.path, line).unwrap();
    files.trust().check(&offer("web-1", 2222, 1)).await.unwrap();
}

#[tokio::test]
async fn accept_new_records_a_host_once_and_refuses_it_with_another_key() {
    let files = Files::holding("# no newline at the end");
    let accepting = files.trust().accept_new();
    for _ in 0..2 {
        accepting.check(&offer("web-1", 22, 1)).await.unwrap();
    }
    assert_eq!(files.text().lines().count(), 2, "{}", files.text());
    assert!(files.text().ends_with('\n'));
    files.trust().check(&offer("web-1", 22, 1)).await.unwrap();

    let error = accepting.check(&offer("web-1", 22, 2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
    assert_eq!(files.text().lines().count(), 2);
}

#[tokio::test]
async fn hashed_hosts_are_found_again_and_do_not_show_their_name() {
    let files = Files::new();
    let accepting = files.trust().accept_new().hash_new(HostHashing::Hashed);
    accepting.check(&offer("web-1", 22, 1)).await.unwrap();
    accepting.check(&offer("web-1", 22, 1)).await.unwrap();
    assert!(files.text().starts_with("|1|") && !files.text().contains("web-1"), "{}", files.text());
    assert_eq!(files.text().lines().count(), 1);
}

#[tokio::test]
async fn a_changed_key_is_told_with_both_fingerprints_the_place_and_the_command_that_removes_it() {
    // A name that a shell would do something about.
    let mut files = Files::new();
    files.path = files.directory.path().join("known $(hosts) 'of' mine");
    fs::write(&files.path, "# first line\n\n").unwrap();
    files.trust().accept_new().check(&offer("web-1", 2222, 1)).await.unwrap();
    let error = files.trust().check(&offer("web-1", 2222, 2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
    assert_eq!(error.code(), "SSH_HOST_KEY_CHANGED");
    assert!(!error.is_retryable());
    let text = error.to_string();
    let place = format!("{}:3", files.path.display());
    for part in [&offer("web-1", 2222, 1).fingerprint(), &offer("web-1", 2222, 2).fingerprint(), &place] {
        assert!(text.contains(part.as_str()), "{text} lacks {part}");
    }

    let command = quoted(error.hint().unwrap());
    assert!(command.starts_with("ssh-keygen -f ") && command.contains("[web-1]:2222"), "{command}");
    if cfg!(windows) || Command::new("ssh-keygen").arg("-?").output().is_err() {
        return eprintln!("skipped: running {command}: no ssh-keygen");
    }
    assert!(Command::new("sh").args(["-c", &command]).output().unwrap().status.success());
    let error = files.trust().check(&offer("web-1", 2222, 2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyUnknown, "after the command the host is new: {error}");
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_every_policy() {
    let line = format!("@revoked * {}", quoted_key(3));
    let files = Files::holding(&line);
    for trust in [files.trust(), files.trust().accept_new()] {
        let error = trust.check(&offer("web-1", 22, 3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRevoked);
        assert!(error.hint().unwrap().contains(":1"), "{error:?}");
        let error = trust.remember(&offer("web-1", 22, 3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRevoked);
    }
    assert_eq!(files.text(), line);
}

/// The key of a seed as `known_hosts` writes it.
fn quoted_key(seed: u8) -> String {
    let key = ssh_key::PublicKey::from_bytes(&wire(seed)).unwrap();
    format!("{}\n", key.to_openssh().unwrap())
}

#[tokio::test]
async fn a_line_whose_key_cannot_be_read_keeps_its_host_from_being_taken_for_new() {
    let files = Files::holding("web-1 ssh-ed25519 AAAAdamaged\n");
    let error = files.trust().accept_new().check(&offer("web-1", 22, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyUnknown);
    assert!(error.hint().unwrap().contains("known_hosts:1"), "{error:?}");
    assert_eq!(files.text().lines().count(), 1);
}

#[tokio::test]
async fn a_revoked_line_whose_key_is_damaged_refuses_its_hosts_and_is_told_loudly() {
    let damaged = quoted_key(3);
    let damaged = &damaged.trim_end()[..damaged.len() - 9];
    let files = Files::holding(&format!("web-1 {}@revoked web-* {damaged}\ndb-1 {0}", quoted_key(1)));
    let log = Log::default();
    let recording = log.record();
    for trust in [files.trust(), files.trust().accept_new()] {
        for host in ["web-1", "web-2"] {
            let error = trust.check(&offer(host, 22, 1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyRejected, "{host}: {error}");
            assert!(error.to_string().contains(":2"), "{error}");
            assert!(error.hint().unwrap().contains("repair or remove"), "{error:?}");
            let error = trust.remember(&offer(host, 22, 1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
        }
        trust.check(&offer("db-1", 22, 1)).await.unwrap();
    }
    drop(recording);
    let text = log.text();
    let place = format!("{}:2", files.path.display());
    assert!(text.lines().any(|line| line.contains("WARN") && line.contains(&place)), "{text}");
}

#[tokio::test]
async fn a_marker_that_nobody_knows_is_told_loudly_and_says_nothing() {
    let files = Files::holding(&format!("@revoke web-1 {}web-1 {0}", quoted_key(1)));
    let log = Log::default();
    let recording = log.record();
    files.trust().check(&offer("web-1", 22, 1)).await.unwrap();
    drop(recording);
    let text = log.text();
    assert!(text.lines().any(|line| line.contains("WARN") && line.contains("`@revoke`")), "{text}");
}

#[tokio::test]
async fn what_is_written_is_told_and_what_is_not_is_not() {
    let log = Log::default();
    let recording = log.record();
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    trust(Path::new(null)).accept_new().check(&offer("web-1", 22, 1)).await.unwrap();
    assert!(!log.text().contains("recorded"), "{}", log.text());
    let files = Files::new();
    files.trust().accept_new().check(&offer("web-1", 22, 1)).await.unwrap();
    drop(recording);
    assert!(log.text().contains("new host key recorded"), "{}", log.text());
}

#[tokio::test]
async fn a_directory_in_place_of_the_file_is_an_error_and_not_an_unknown_host() {
    let files = Files::new();
    fs::create_dir(&files.path).unwrap();
    for trust in [files.trust(), files.trust().accept_new()] {
        let error = trust.check(&offer("web-1", 22, 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
        assert!(error.to_string().contains(&*files.path.to_string_lossy()), "{error}");
        assert!(std::error::Error::source(&error).is_some());
        assert!(trust.known_algorithms("web-1", 22).await.is_empty());
    }
}

#[tokio::test]
async fn a_file_in_utf_16_is_an_error_and_not_an_empty_one() {
    let files = Files::new();
    fs::write(&files.path, [0xff, 0xfe, b'w', 0]).unwrap();
    let error = files.trust().accept_new().check(&offer("web-1", 22, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
}

#[cfg(unix)]
mod without_permission {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    use super::*;

    const NOBODY: u32 = 65_534;

    /// Root reads everything, so as root the check runs in a child process as `nobody`.
    #[test]
    fn an_unreadable_file_is_an_error_and_not_an_unknown_host() {
        let files = Files::holding("");
        fs::set_permissions(&files.path, PermissionsExt::from_mode(0o000)).unwrap();
        fs::set_permissions(files.directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "host_trust::without_permission::child_finds_the_file_unreadable", "--ignored"])
            .env("RUSTLE_TEST_KNOWN_HOSTS", &files.path);
        if fs::metadata(&files.path).unwrap().uid() == 0 {
            child.uid(NOBODY);
        }
        let output = match child.output() {
            Ok(output) => output,
            Err(error) => return eprintln!("skipped: an unreadable file as nobody: {error}"),
        };
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
    }

    #[tokio::test]
    #[ignore = "run as a child process by `an_unreadable_file_is_an_error_and_not_an_unknown_host`"]
    async fn child_finds_the_file_unreadable() {
        let path = std::env::var_os("RUSTLE_TEST_KNOWN_HOSTS").map(PathBuf::from).unwrap();
        for trust in [trust(&path), trust(&path).accept_new()] {
            let error = trust.check(&offer("web-1", 22, 1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::HostKeyRejected, "{error}");
            assert!(error.to_string().contains("cannot be read"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_host_that_cannot_be_recorded_is_refused() {
        let files = Files::new();
        fs::write(files.directory.path().join("file"), "").unwrap();
        let below = files.directory.path().join("file").join("known_hosts");
        let error = trust(&below).accept_new().check(&offer("web-1", 22, 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
        assert!(error.hint().is_some());
    }
}

const RACING_PROCESSES: u8 = 3;
const RACING_THREADS: u8 = 4;
const RACING_HOSTS: u8 = 250;
/// What all of it may take on a busy machine.
const PATIENT: std::time::Duration = std::time::Duration::from_secs(120);

/// Every thread of every process records the same hosts at the same moments, and one that nobody else does.
#[test]
fn processes_that_record_hosts_at_once_lose_and_double_none() {
    let files = Files::holding("# without a newline");
    let children: Vec<_> = (0..RACING_PROCESSES)
        .map(|process| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "host_trust::child_records_hosts", "--ignored"])
                .env("RUSTLE_TEST_KNOWN_HOSTS", &files.path)
                .env("RUSTLE_TEST_PROCESS", process.to_string())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && printed.contains("1 passed"),
            "{}: {printed}{complained}",
            output.status
        );
    }

    let text = files.text();
    let mut lines: Vec<_> = text.lines().skip(1).collect();
    let shared = usize::from(RACING_HOSTS);
    let own = usize::from(RACING_PROCESSES) * usize::from(RACING_THREADS);
    assert_eq!(lines.len(), shared + own, "{text}");
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), shared + own, "{text}");
    for line in lines {
        let (host, key) = line.split_once(' ').unwrap();
        assert!(key.starts_with("ssh-ed25519 AAAA") && key.len() == "ssh-ed25519 ".len() + 68, "{line}");
        assert!(host.starts_with("shared-") || host.starts_with("own-"), "{line}");
    }
}

#[test]
#[ignore = "run as a child process by `processes_that_record_hosts_at_once_lose_and_double_none`"]
fn child_records_hosts() {
    let path = std::env::var_os("RUSTLE_TEST_KNOWN_HOSTS").map(PathBuf::from).unwrap();
    let process = std::env::var("RUSTLE_TEST_PROCESS").unwrap();
    all_processes_are_there(&path, &process);
    let begun = std::time::Instant::now();
    // A thread that fails must not leave the others waiting for it; what it says must not go where a test's output is
    // kept to its end.
    std::panic::set_hook(Box::new(|why| {
        let _ = writeln!(std::io::stderr(), "{why}");
        std::process::exit(101);
    }));
    let together = std::sync::Barrier::new(usize::from(RACING_THREADS));
    std::thread::scope(|scope| {
        for thread in 0..RACING_THREADS {
            let (path, process, together) = (&path, &process, &together);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let accepting = trust(path).accept_new();
                let record = |host: String, seed| {
                    while let Err(error) = runtime.block_on(accepting.check(&offer(&host, 22, seed))) {
                        // Nothing makes the lock go round: on a busy machine the others may always be quicker.
                        assert!(is_timeout(&error) && begun.elapsed() < PATIENT, "{error}");
                    }
                };
                for host in 0..RACING_HOSTS {
                    together.wait();
                    record(format!("shared-{host}"), host);
                }
                record(format!("own-{process}-{thread}"), thread);
            });
        }
    });
}

fn is_timeout(error: &rustle_session::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut)
}

/// Each process leaves a file, and goes on when it sees those of all.
fn all_processes_are_there(path: &Path, process: &str) {
    fs::write(path.with_extension(process), "").unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !(0..RACING_PROCESSES).all(|other| path.with_extension(other.to_string()).exists()) {
        assert!(std::time::Instant::now() < deadline, "another process never came");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_person_who_was_asked_may_have_a_host_remembered() {
    let files = Files::new();
    let strict = files.trust().strict();
    strict.remember(&offer("web-1", 22, 1)).await.unwrap();
    strict.check(&offer("web-1", 22, 1)).await.unwrap();
    let error = strict.remember(&offer("web-1", 22, 2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
    let nowhere = KnownHosts::new().user_files(Vec::<PathBuf>::new());
    assert_eq!(
        nowhere.remember(&offer("web-1", 22, 1)).await.unwrap_err().kind(),
        ErrorKind::HostKeyRejected
    );
}

#[tokio::test]
async fn an_alias_stands_for_host_and_port() {
    let files = Files::new();
    files.trust().accept_new().host_key_alias("cluster").check(&offer("web-1", 2222, 1)).await.unwrap();
    assert!(files.text().starts_with("cluster ssh-ed25519 "), "{}", files.text());
    files.trust().host_key_alias("cluster").check(&offer("web-2", 22, 1)).await.unwrap();
    let error = files.trust().check(&offer("web-1", 2222, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyUnknown);
}

#[tokio::test]
async fn a_host_name_that_no_file_can_hold_is_refused() {
    let files = Files::new();
    let error = files.trust().accept_new().check(&offer("web-*", 22, 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
    assert!(!files.path.exists());
}

#[tokio::test]
async fn later_files_count_and_new_hosts_go_to_the_first() {
    let files = Files::new();
    let system = files.directory.path().join("system");
    fs::write(&system, format!("web-1 {}", quoted_key(1))).unwrap();
    let trust = files.trust().system_files([&system]).accept_new();
    trust.check(&offer("web-1", 22, 1)).await.unwrap();
    assert!(!files.path.exists());
    assert_eq!(trust.known_algorithms("web-1", 22).await, ["ssh-ed25519"]);
    trust.check(&offer("web-2", 22, 1)).await.unwrap();
    assert!(files.text().starts_with("web-2 "));
}

#[cfg(unix)]
#[tokio::test(start_paused = true)]
async fn whoever_locks_a_file_of_the_system_holds_up_nobody() {
    let files = Files::new();
    let system = files.directory.path().join("system");
    // The last line has no end, as if it was just being written.
    fs::write(&system, format!("web-1 {}", quoted_key(1))).unwrap();
    let holder = fs::File::open(&system).unwrap();
    holder.lock().unwrap();
    let trust = files.trust().system_files([&system]);
    trust.check(&offer("web-1", 22, 1)).await.unwrap();
    drop(holder);
}

#[tokio::test]
async fn a_pinned_key_is_trusted_and_no_other() {
    let first = offer("web-1", 22, 1).fingerprint();
    let second = offer("web-1", 22, 2).fingerprint();
    let pinned = PinnedHostKey::new(&first).unwrap();
    pinned.check(&offer("web-1", 22, 1)).await.unwrap();
    let error = pinned.check(&offer("web-1", 22, 2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
    assert!(error.to_string().contains(&first) && error.to_string().contains(&second), "{error}");
    pinned.or(&second).unwrap().check(&offer("web-1", 22, 2)).await.unwrap();
    assert_eq!(PinnedHostKey::new("MD5:aa").unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn accepting_any_key_leaves_a_warning_with_its_fingerprint() {
    let log = Log::default();
    let _recording = log.record();
    AcceptAnyHostKey::new().check(&offer("web-1", 22, 1)).await.unwrap();
    let text = log.text();
    assert!(text.contains("WARN") && text.contains(&offer("web-1", 22, 1).fingerprint()), "{text}");
}

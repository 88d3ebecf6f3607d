//! A table of logins, each made by `ssh` and by `rustle-connect exec` with the same files: who gets in, what a refusal is
//! about, what the command printed, and what is in the files of known hosts afterwards.
//!
//! Every row says what ssh does. Ours does the same, but for what [`STRICTER`] lists, where ssh gets in and ours does not,
//! and for [`MORE`], where ours does what ssh leaves. The words of both stand in tables of `docs/decisions.md`.

mod hosts;
mod login;
mod settings;
mod site;
mod ways;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustle_tests::interop;

use self::login::{Ending, Login, Otherwise, Program};
use self::site::Site;
use crate::cli::binary;

/// How many logins are made at once: as many as keep two cores busy while others wait for the network.
const AT_ONCE: usize = 4;

/// Fewer rows than this, and the table has lost some.
const AT_LEAST: usize = 500;

/// Where ours is stricter: the first column of the table in `docs/decisions.md` that gives both sides.
const STRICTER: [&str; 10] = [
    UNREADABLE_FILE,
    LONG_LINE,
    UNREADABLE_KEY,
    UNWRITTEN,
    CHANGED,
    REVOKED,
    REVOKED_AT_NO_PORT,
    NO_PRINCIPALS,
    BAD_CERTIFICATE,
    NO_COMMAND,
];
const UNREADABLE_FILE: &str =
    "a file that cannot be read, is no regular file, is UTF-16 or is larger than 16 MiB";
const LONG_LINE: &str = "a line longer than 128 KiB";
const UNREADABLE_KEY: &str = "a line of the host whose key cannot be read, under `accept-new`";
const UNWRITTEN: &str = "a new host whose line cannot be written, under `accept-new`";
const CHANGED: &str = "`StrictHostKeyChecking no` and a changed key";
const REVOKED: &str = "`StrictHostKeyChecking no` and a revoked key";
const REVOKED_AT_NO_PORT: &str = "`@revoked` for the bare name, at another port";
const NO_PRINCIPALS: &str = "a host certificate without principals";
const BAD_CERTIFICATE: &str = "a certificate that does not hold, under `accept-new` or `ask`";
const NO_COMMAND: &str = "`KnownHostsCommand` that cannot be started";

/// Where ours does more, in the table after that one.
const MORE: [&str; 3] = [MARKED_FILE, NO_FOLDER, NO_END_OF_LINE];
const MARKED_FILE: &str = "a file that begins with a mark of UTF-8";
const NO_END_OF_LINE: &str = "a new host after a line without an end, under `accept-new`";
const NO_FOLDER: &str = "a new host, and no folder for the file, under `accept-new`";

#[test]
fn the_same_files_let_in_and_keep_out_as_with_ssh() {
    // Nothing here is awaited: what ends a login that hangs is the limit of each.
    interop(|interop| async move {
        if !interop.is_pass_of_account() {
            return;
        }
        let (site, program) = (Site::new(&interop), binary());
        let rows = [hosts::rows(&site), settings::rows(&site), ways::rows(&site)].concat();
        let names: BTreeSet<&str> = rows.iter().map(Login::name).collect();
        assert_eq!(names.len(), rows.len(), "two rows have one name");
        assert!(rows.len() >= AT_LEAST, "{} rows", rows.len());

        let started = Instant::now();
        let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(row) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let ssh = row.ending(&site, Program::Ssh);
                        let ours = row.ending(&site, Program::Ours(program));
                        let verdict = judge(row, &ssh, &ours);
                        verdicts.lock().unwrap().push((row, ssh, verdict));
                    }
                });
            }
        });
        let verdicts = verdicts.into_inner().unwrap();
        let taken = verdicts.iter().filter(|(_, ssh, _)| ssh.is_in()).count();
        println!("{} logins each way, {taken} let in by ssh, in {:?}", rows.len(), started.elapsed());
        let wrong: Vec<&String> =
            verdicts.iter().filter_map(|(_, _, verdict)| verdict.as_ref().err()).collect();
        assert!(
            wrong.is_empty(),
            "{} rows:\n{}",
            wrong.len(),
            wrong.into_iter().cloned().collect::<String>()
        );
        let seen: BTreeSet<&str> =
            verdicts.iter().filter_map(|(.., verdict)| verdict.clone().ok().flatten()).collect();
        assert_eq!(seen, STRICTER.into_iter().chain(MORE).collect(), "what ours does otherwise");
    });
}

#[test]
fn what_is_done_otherwise_stands_in_the_decisions() {
    let decisions = include_str!("../../docs/decisions.md");
    for case in STRICTER.into_iter().chain(MORE) {
        assert!(decisions.contains(&format!("\n| {case} |")), "no row for {case}");
    }
}

/// What ours does otherwise here, if it does; else what is wrong with the row.
fn judge(row: &Login, ssh: &Ending, ours: &Ending) -> Result<Option<&'static str>, String> {
    let wrong = |what: &str| Err(format!("-- {}: {what}\nssh: {ssh}\nours: {ours}\n", row.name()));
    if ssh.is_in() != row.is_taken_by_ssh() {
        return wrong("not what ssh was thought to do");
    }
    if ssh.is_cut_off() || ours.is_cut_off() {
        return wrong("a program did not end by itself");
    }
    match row.otherwise() {
        Otherwise::Never if ssh != ours => wrong("differs"),
        Otherwise::Never => Ok(None),
        Otherwise::Stricter(_) if !ssh.is_in() || ours.is_in() => wrong("is listed as stricter, and is not"),
        Otherwise::Stricter(_) if !ours.is_about_host() => wrong("is stricter, and not because of the host"),
        Otherwise::Stricter(_) if ours.has_changed_files() => wrong("refused, and yet written down"),
        Otherwise::More(_) if !ours.is_in() || ssh == ours => wrong("is listed as more, and is not"),
        Otherwise::More(more) if !ours.has(more.file, &more.text) => wrong("is not what was to be written"),
        Otherwise::Stricter(reason) => Ok(Some(reason)),
        Otherwise::More(more) => Ok(Some(more.reason)),
    }
}

//! Files that are made, locked, appended to and replaced.

use std::io::Write;

use super::*;

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ssh").join("known_hosts");
    (directory, path)
}

#[tokio::test]
async fn a_line_is_put_behind_one_without_an_end() {
    let (_directory, path) = scratch();
    append(&path, || Ok(Some("one\n".into()))).await.unwrap();
    fs::write(&path, "one\ntwo").unwrap();
    append(&path, || Ok(Some("three".into()))).await.unwrap();
    append(&path, || Ok(None)).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_made_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let (_directory, path) = scratch();
    append(&path, || Ok(Some("one".into()))).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_replaced_while_it_was_locked_is_opened_anew() {
    let (_directory, path) = scratch();
    append(&path, || Ok(Some("old".into()))).await.unwrap();
    let holder = File::open(&path).unwrap();
    holder.lock().unwrap();
    let waiting = append(&path, || Ok(Some("new".into())));
    let replacing = async {
        let fresh = path.with_extension("fresh");
        fs::write(&fresh, "kept\n").unwrap();
        tokio::task::yield_now().await;
        fs::rename(&fresh, &path).unwrap();
        drop(holder);
    };
    let (appended, ()) = tokio::join!(waiting, replacing);
    appended.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "kept\nnew\n");
}

#[cfg(unix)]
#[tokio::test]
async fn a_copy_of_the_descriptor_does_not_keep_the_lock() {
    let (_directory, path) = scratch();
    append(&path, || Ok(None)).await.unwrap();
    let locked = Locked::open(&path, Locking::SYSTEM).await.unwrap();
    // The system makes no difference between this and the copy of a process that is being started.
    let copy = locked.file.try_clone().unwrap();
    assert!(File::open(&path).unwrap().try_lock().is_err());
    drop(locked);
    File::open(&path).unwrap().try_lock().unwrap();
    drop(copy);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_never_given_back_is_an_error_with_the_file() {
    let (_directory, path) = scratch();
    append(&path, || Ok(None)).await.unwrap();
    #[cfg(unix)]
    let holder = File::open(&path).unwrap();
    #[cfg(windows)]
    let holder = OpenOptions::new().write(true).open(path.with_file_name("known_hosts.lock")).unwrap();
    holder.lock().unwrap();
    let error = append(&path, || Ok(Some("one".into()))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
    assert!(error.to_string().contains("known_hosts"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[tokio::test]
async fn a_line_that_is_just_being_written_is_waited_for() {
    let (_directory, path) = scratch();
    append(&path, || Ok(Some("one".into()))).await.unwrap();
    let mut writer = Locked::open(&path, Locking::SYSTEM).await.unwrap();
    // What a reader sees of one write, where a page ends within the line.
    writer.file.write_all(b"tw").unwrap();
    let reading = read_whole_lines(&path);
    let writing = async {
        tokio::task::yield_now().await;
        writer.file.write_all(b"o\n").unwrap();
        drop(writer);
    };
    let (bytes, ()) = tokio::join!(reading, writing);
    assert_eq!(bytes.unwrap(), b"one\ntwo\n");
}

#[tokio::test]
async fn a_last_line_without_an_end_is_read_where_nobody_writes() {
    let (_directory, path) = held("one\ntwo");
    assert_eq!(read_whole_lines(&path).await.unwrap(), b"one\ntwo");
    let missing = path.with_extension("missing");
    assert_eq!(read_whole_lines(&missing).await.unwrap(), b"");
}

/// As on network file systems: the error that their locks end in.
const NO_LOCKS: Locking = Locking { alone: no_locks, shared: no_locks };

fn no_locks(_: &File) -> std::result::Result<(), fs::TryLockError> {
    #[cfg(unix)]
    let code = rustix::io::Errno::NOLCK.raw_os_error();
    // ERROR_NOT_SUPPORTED
    #[cfg(windows)]
    let code = 50;
    Err(fs::TryLockError::Error(io::Error::from_raw_os_error(code)))
}

#[tokio::test]
async fn where_locks_fail_a_file_is_read_and_a_line_put_behind_one_without_an_end() {
    let (_directory, path) = held("one\ntwo");
    assert_eq!(read_whole_lines_by(&path, NO_LOCKS).await.unwrap(), b"one\ntwo");
    let appended = append_by(&path, NO_LOCKS, || Ok(Some("three".into())));
    assert_eq!(appended.await.unwrap(), Outcome::Written);
    append_by(&path, NO_LOCKS, || Ok(Some("four\n".into()))).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\nfour\n");
}

#[tokio::test(start_paused = true)]
async fn where_locks_fail_a_line_that_is_just_being_written_has_a_moment() {
    let (_directory, path) = held("one\ntw");
    // What a writer leaves beside it on Windows: without that there is none.
    #[cfg(windows)]
    fs::write(path.with_added_extension("lock"), "").unwrap();
    let writing = async {
        tokio::task::yield_now().await;
        fs::write(&path, "one\ntwo\n").unwrap();
    };
    let (bytes, ()) = tokio::join!(read_whole_lines_by(&path, NO_LOCKS), writing);
    assert_eq!(bytes.unwrap(), b"one\ntwo\n");
}

#[tokio::test]
async fn where_locks_fail_nothing_is_rewritten() {
    let (_directory, path) = held("one\n");
    let error = rewrite_by(&path, NO_LOCKS, |bytes| with_line(bytes, "two\n")).await.unwrap_err();
    assert!(error.to_string().contains("has no locks"), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    assert_eq!(left_beside(&path), Vec::<String>::new());
}

#[tokio::test]
async fn a_lock_that_fails_for_another_reason_is_an_error() {
    const DAMAGED: Locking = Locking {
        alone: |_| Err(fs::TryLockError::Error(io::ErrorKind::PermissionDenied.into())),
        shared: |_| Err(fs::TryLockError::Error(io::ErrorKind::PermissionDenied.into())),
    };
    let (_directory, path) = held("one");
    assert!(append_by(&path, DAMAGED, || Ok(Some("two".into()))).await.is_err());
    assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    #[cfg(windows)]
    fs::write(path.with_file_name("known_hosts.lock"), "").unwrap();
    assert!(read_whole_lines_by(&path, DAMAGED).await.is_err());
}

#[cfg(windows)]
#[tokio::test]
async fn a_file_that_nobody_else_may_open_right_now_is_waited_for() {
    use std::os::windows::fs::OpenOptionsExt;

    let (_directory, path) = held("one\n");
    let alone = OpenOptions::new().read(true).share_mode(0).open(&path).unwrap();
    let letting_go = async {
        assert!(fs::read(&path).is_err(), "the test shows nothing");
        tokio::task::yield_now().await;
        drop(alone);
    };
    let (bytes, ()) = tokio::join!(read_whole_lines(&path), letting_go);
    assert_eq!(bytes.unwrap(), b"one\n");
}

#[cfg(windows)]
#[tokio::test(start_paused = true)]
async fn a_file_that_stays_somebody_else_s_is_an_error_with_the_file() {
    use std::os::windows::fs::OpenOptionsExt;

    let (_directory, path) = held("one\n");
    let _alone = OpenOptions::new().read(true).share_mode(0).open(&path).unwrap();
    let error = read_whole_lines(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
    assert!(error.to_string().contains("known_hosts"), "{error}");
}

#[test]
fn a_missing_file_is_empty_and_a_directory_is_an_error() {
    let (directory, path) = scratch();
    assert_eq!(read(&path).unwrap(), b"");
    let error = read(directory.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyRejected);
    assert!(error.hint().unwrap().contains("UserKnownHostsFile"));
}

#[tokio::test]
async fn the_null_device_is_empty_and_forgets() {
    let null = Path::new("/dev/null");
    assert_eq!(read(null).unwrap(), b"");
    append(null, || Ok(Some("one".into()))).await.unwrap();
}

#[test]
fn a_file_past_the_limit_is_an_error() {
    let (directory, _) = scratch();
    let path = directory.path().join("huge");
    File::create(&path).unwrap().set_len(MAX_FILE + 1).unwrap();
    assert_eq!(read(&path).unwrap_err().kind(), ErrorKind::HostKeyRejected);
}

fn held(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("known_hosts");
    fs::write(&path, text).unwrap();
    (directory, path)
}

/// What is in the directory beside the file, but for the lock's file on Windows.
fn left_beside(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| !name.ends_with("known_hosts") && !name.ends_with(".lock")).collect()
}

fn with_line(bytes: &[u8], line: &str) -> Result<Option<Vec<u8>>> {
    Ok(Some([bytes, line.as_bytes()].concat()))
}

#[tokio::test]
async fn a_file_is_rewritten_whole_and_nothing_is_left_beside_it() {
    let (_directory, path) = held("one\n");
    let outcome = rewrite(&path, |bytes| with_line(bytes, "two\n")).await.unwrap();
    assert_eq!(outcome, Outcome::Written);
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    assert_eq!(left_beside(&path), Vec::<String>::new());
    // And again: the lock was given back.
    rewrite(&path, |_| Ok(Some(Vec::new()))).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[tokio::test]
async fn a_file_that_does_not_change_or_is_not_there_is_not_written() {
    let (_directory, path) = held("one\n");
    let before = Stamp::of(&path).unwrap();
    assert_eq!(rewrite(&path, |_| Ok(None)).await.unwrap(), Outcome::AsItWas);
    assert_eq!(Stamp::of(&path).unwrap(), before);
    let refused = || Error::new(ErrorKind::HostKeyChanged, "test", "no");
    let error = rewrite(&path, |_| Err(refused())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyChanged);
    assert_eq!(Stamp::of(&path).unwrap(), before);

    let missing = path.with_file_name("missing");
    assert_eq!(rewrite(&missing, |bytes| with_line(bytes, "x")).await.unwrap(), Outcome::AsItWas);
    assert!(!missing.exists());
    let null = Path::new("/dev/null");
    assert_eq!(rewrite(null, |bytes| with_line(bytes, "x")).await.unwrap(), Outcome::AsItWas);
}

#[cfg(unix)]
#[tokio::test]
async fn a_rewritten_file_keeps_its_mode_and_a_link_stays_one() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let (directory, path) = held("one\n");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let link = elsewhere.join("link_to_known_hosts");
    symlink(&path, &link).unwrap();
    assert_eq!(rewrite(&link, |bytes| with_line(bytes, "two\n")).await.unwrap(), Outcome::Written);
    append(&link, || Ok(Some("three".into()))).await.unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
    // A link that leads to nothing yet.
    let (target, dangling) = (directory.path().join("later"), elsewhere.join("dangling"));
    symlink(&target, &dangling).unwrap();
    append(&dangling, || Ok(Some("four".into()))).await.unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "four\n");
}

#[cfg(windows)]
#[tokio::test]
async fn all_writers_lock_one_file_by_whatever_name_they_call_it() {
    let (directory, path) = held("one\n");
    let name = directory.path().join(".").join("KNOWN_HOSTS");
    rewrite(&path, |bytes| with_line(bytes, "two\n")).await.unwrap();
    append(&name, || Ok(Some("three".into()))).await.unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
    let entries = fs::read_dir(directory.path()).unwrap();
    let locks =
        entries.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "lock"));
    assert_eq!(locks.count(), 1);
}

#[test]
fn the_null_device_has_several_names() {
    for name in ["NUL", "nul", "nul:", r"\\.\NUL", "/dev/null"] {
        assert_eq!(is_null_device(Path::new(name)), cfg!(windows) || name == "/dev/null", "{name}");
    }
    assert!(!is_null_device(Path::new("known_hosts")));
}

#[tokio::test]
async fn lines_that_others_append_while_a_file_is_rewritten_are_kept() {
    let (_directory, path) = held("one\n");
    let mut calls = 0;
    let outcome = rewrite(&path, |bytes| {
        calls += 1;
        if calls == 1 {
            // As ssh does, without a lock.
            let mut file = OpenOptions::new().append(true).open(&path).unwrap();
            Write::write_all(&mut file, b"by ssh\n").unwrap();
        }
        with_line(bytes, "ours\n")
    });
    assert_eq!(outcome.await.unwrap(), Outcome::Written);
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\nby ssh\nours\n");
    assert_eq!((calls, left_beside(&path)), (2, Vec::new()));
}

#[tokio::test]
async fn a_file_that_is_never_at_rest_is_left_to_the_others() {
    let (_directory, path) = held("");
    let mut calls = 0;
    let error = rewrite(&path, |bytes| {
        calls += 1;
        fs::write(&path, "x\n".repeat(calls)).unwrap();
        with_line(bytes, "ours\n")
    });
    let error = error.await.unwrap_err();
    assert!(format!("{:?}", std::error::Error::source(&error)).contains("again and again"), "{error:?}");
    assert_eq!((fs::read_to_string(&path).unwrap(), calls), ("x\n".repeat(5), 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rewriting_and_appending_at_once_lose_no_line() {
    let (_directory, path) = held("");
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let path = path.clone();
        tasks.spawn(async move {
            match number % 4 {
                0 => rewrite(&path, |bytes| with_line(bytes, &format!("{number}\n"))).await,
                _ => append(&path, || Ok(Some(number.to_string()))).await,
            }
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        assert_eq!(outcome.unwrap().unwrap(), Outcome::Written);
    }
    let text = fs::read_to_string(&path).unwrap();
    let mut numbers: Vec<u32> = text.lines().map(|line| line.parse().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn no_file_grows_past_what_would_be_read_again() {
    let (_directory, path) = held("");
    let limit = usize::try_from(MAX_FILE).unwrap();
    fs::write(&path, [&vec![b'#'; limit - 5][..], b"\n"].concat()).unwrap();
    for line in ["1234", "1"] {
        let outcome = append(&path, || Ok(Some(line.into()))).await;
        assert_eq!(outcome.is_ok(), line == "1", "{outcome:?}");
    }
    assert_eq!(read(&path).unwrap().len(), limit - 2);
    let error = rewrite(&path, |bytes| with_line(bytes, "123")).await.unwrap_err();
    assert!(format!("{:?}", std::error::Error::source(&error)).contains("16 MiB"), "{error:?}");
    assert_eq!(read(&path).unwrap().len(), limit - 2);
    rewrite(&path, |bytes| with_line(bytes, "12")).await.unwrap();
    assert_eq!(read(&path).unwrap().len(), limit);
}

#[test]
fn half_a_line_is_taken_back_and_nothing_that_others_wrote_behind_it() {
    let (_directory, path) = held("one\nhal");
    let file = options().open(&path).unwrap();
    assert!(locked::take_back(&file, 4, 3).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    fs::write(&path, "one\nhalby ssh\n").unwrap();
    assert!(!locked::take_back(&file, 4, 3).unwrap());
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\nhalby ssh\n");
}

#[cfg(unix)]
mod as_somebody_else {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    const NOBODY: u32 = 65_534;
    /// A group that nobody is in.
    const OTHERS: u32 = 54_321;

    /// Only root can make a file whose group the user is not in; everybody else sees nothing of it here.
    #[test]
    fn no_other_group_gets_the_rights_of_the_file_s_own() {
        let (directory, path) = held("one\n");
        if fs::metadata(&path).unwrap().uid() != 0 {
            return eprintln!("skipped: a file of a group that the user is not in: not root");
        }
        fs::set_permissions(&path, PermissionsExt::from_mode(0o664)).unwrap();
        chown(&path, Some(NOBODY), Some(OTHERS)).unwrap();
        chown(directory.path(), Some(NOBODY), None).unwrap();
        let output = child(&path, "child_rewrites");
        assert!(output.contains("1 passed"), "{output}");
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (NOBODY, 0o600));
        assert_ne!(metadata.gid(), OTHERS, "the test shows nothing");
    }

    #[test]
    fn a_directory_that_cannot_be_written_to_leaves_the_file_as_it_is() {
        let (directory, path) = held("one\n");
        let is_root = fs::metadata(&path).unwrap().uid() == 0;
        if is_root {
            chown(&path, Some(NOBODY), None).unwrap();
        }
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o555)).unwrap();
        let output = child(&path, "child_fails_to_rewrite");
        fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
        assert!(output.contains("1 passed"), "{output}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
        assert_eq!(left_beside(&path), Vec::<String>::new());
    }

    /// Runs one of the tests below as `nobody`, where this is root.
    fn child(path: &Path, test: &str) -> String {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
        child.args(["--exact", &name, "--ignored"]).env("RUSTLE_TEST_KNOWN_HOSTS", path);
        child.current_dir("/");
        if fs::metadata("/proc/self").map_or(0, |own| own.uid()) == 0 {
            child.uid(NOBODY);
        }
        let output = child.output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    fn path() -> PathBuf {
        std::env::var_os("RUSTLE_TEST_KNOWN_HOSTS").map(PathBuf::from).unwrap()
    }

    #[tokio::test]
    #[ignore = "run as a child process by `no_other_group_gets_the_rights_of_the_file_s_own`"]
    async fn child_rewrites() {
        let outcome = rewrite(&path(), |bytes| with_line(bytes, "two\n")).await.unwrap();
        assert_eq!(outcome, Outcome::Written);
    }

    #[tokio::test]
    #[ignore = "run as a child process by `a_directory_that_cannot_be_written_to_leaves_the_file_as_it_is`"]
    async fn child_fails_to_rewrite() {
        let error = rewrite(&path(), |bytes| with_line(bytes, "two\n")).await.unwrap_err();
        assert!(error.to_string().contains("cannot be written"), "{error}");
        assert!(error.hint().unwrap().contains("UpdateHostKeys no"), "{error:?}");
    }
}

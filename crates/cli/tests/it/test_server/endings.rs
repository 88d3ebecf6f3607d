//! How the server ends: with its parent, and not before.

use crate::host::{finish, program, snapshot};

use super::served::Served;

const FAULT: &str = "[[faults]]\nkind = \"refuse_channel\"\n";

#[tokio::test]
async fn a_fault_that_never_happened_makes_it_end_with_an_error() {
    let ended = Served::script(FAULT).await.end().await;
    assert_eq!(ended.code, Some(255));
    assert!(ended.stderr.contains("never happened: refusal"), "{}", ended.stderr);

    let server = Served::script(FAULT).await;
    let answer = server.post("/stop", "").await;
    assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (409, Some("UNFIRED")));
    let ended = server.ended().await;
    assert_eq!(ended.code, Some(255));
    assert!(ended.stderr.contains("never happened: refusal"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_fault_need_not_happen_where_that_was_said() {
    let ended =
        Served::script_in(tempfile::tempdir().unwrap(), FAULT, &["--allow-unfired"]).await.end().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    Served::script_in(tempfile::tempdir().unwrap(), FAULT, &["--allow-unfired"]).await.stop().await;
    let server = Served::script(FAULT).await;
    assert_eq!(server.post("/expect-unfired", "").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_kept_outlives_its_input_and_stops_when_told() {
    let mut server = Served::start(&["--keep"]).await;
    server.close_input();
    // Long enough for one that ends with its input, which takes milliseconds.
    let still = server.get("/wait?connections=1&timeout=500ms").await;
    assert_eq!(still.status, 409);
    server.stop().await;
}

#[tokio::test]
async fn a_script_that_cannot_be_read_is_told() {
    let ran = finish(program(&["test-server", "--script", "no-such.toml"]), b"").await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), ""));
    assert!(
        ran.stderr.starts_with("error: the script no-such.toml cannot be read\ncaused by: "),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn what_a_script_has_wrong_is_told_with_its_place_in_either_format() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("script.toml");
    std::fs::write(&path, "[[users]]\nname = \"a\"\npasword = \"secret\"\n").unwrap();
    let path = path.display().to_string();
    let normal =
        |text: String| text.replace(&path.replace('\\', "\\\\"), "script.toml").replace(&path, "script.toml");
    let ran = finish(program(&["test-server", "--script", &path]), b"").await;
    snapshot!("test_server_script", normal(ran.told()));
    let ran = finish(program(&["test-server", "--format", "json", "--script", &path]), b"").await;
    snapshot!("test_server_script_json", normal(ran.told()));
    let server = Served::script(&format!("seed = 7\n{FAULT}")).await;
    let ran = server.end().await;
    snapshot!("test_server_unfired", ran.told());
}

/// What cannot be had there is not promised there.
#[cfg(windows)]
#[tokio::test]
async fn on_windows_it_does_not_start_where_it_would_outlive_its_parent() {
    use std::process::Stdio;

    let mut command = program(&["test-server"]);
    let child =
        crate::host::spawned(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let ran = crate::host::wait(child).await;
    assert_eq!((ran.code, ran.stdout()), (Some(255), ""));
    assert!(ran.stderr.contains("with --keep"), "{}", ran.stderr);
}

/// Windows has no such signals, and no way to watch a parent.
#[cfg(unix)]
mod of_the_parent {
    use std::process::Stdio;
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal, kill_process, test_kill_process};
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
    use tokio::net::TcpStream;
    use tokio::process::{Child, ChildStdout, Command};

    use crate::host::program;
    use crate::test_server::served::LIMIT;

    /// For so long one is watched that does not end with its parent, which would take milliseconds.
    const WATCHED: Duration = Duration::from_secs(2);

    /// A shell that started the server, and what the server says.
    struct Family {
        parent: Child,
        output: BufReader<ChildStdout>,
        port: u16,
        server: Pid,
    }

    /// A shell in this setting that starts the server and waits for it.
    async fn family(redirection: &str, option: &str) -> Family {
        let program = program(&[]).as_std().get_program().to_owned();
        let mut shell = Command::new("/bin/sh");
        // `echo` at the end keeps the shell from putting the server in its own place.
        let line = format!("\"$0\" test-server {option} {redirection} & echo $!; wait; echo over");
        let mut parent = shell
            .args(["-c", &line])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut output = BufReader::new(parent.stdout.take().unwrap());
        let mut lines = [String::new(), String::new()];
        for line in &mut lines {
            tokio::time::timeout(LIMIT, output.read_line(line)).await.unwrap().unwrap();
        }
        // The shell and the server write in whichever order.
        lines.sort_by_key(|line| line.starts_with('{'));
        let server = Pid::from_raw(lines[0].trim().parse().unwrap()).unwrap();
        let told: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        let port = u16::try_from(told["port"].as_u64().unwrap()).unwrap();
        Family { parent, output, port, server }
    }

    async fn is_served(port: u16) -> bool {
        TcpStream::connect(("127.0.0.1", port)).await.is_ok()
    }

    /// Whether nothing of a process runs any more. Init, or whoever takes orphans, need not have waited for it.
    fn is_over(process: Pid) -> bool {
        // On Linux: its number, its name in parentheses, its state.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero()));
        let is_zombie =
            stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')));
        is_zombie || test_kill_process(process).is_err()
    }

    async fn kill(parent: &mut Child) -> Instant {
        let id = Pid::from_raw(i32::try_from(parent.id().unwrap()).unwrap()).unwrap();
        kill_process(id, Signal::KILL).unwrap();
        parent.wait().await.unwrap();
        Instant::now()
    }

    #[tokio::test]
    async fn it_does_not_outlive_a_parent_that_is_killed_whatever_its_input_is() {
        for redirection in ["< /dev/null", "< /bin/sh", "<&-"] {
            let mut family = family(redirection, "").await;
            assert!(is_served(family.port).await, "{redirection}");
            let since = kill(&mut family.parent).await;
            let mut rest = String::new();
            // Its standard output is at its end when nobody has it any more.
            let ended = tokio::time::timeout(LIMIT, family.output.read_to_string(&mut rest)).await;
            assert!(ended.is_ok(), "{redirection}: it lives on after {:?}", since.elapsed());
            assert!(!is_served(family.port).await, "{redirection}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_kept_outlives_its_parent_until_it_is_signalled() {
        let mut family = family("< /dev/null", "--keep").await;
        kill(&mut family.parent).await;
        let mut rest = String::new();
        let ended = tokio::time::timeout(WATCHED, family.output.read_to_string(&mut rest)).await;
        assert!(ended.is_err() && is_served(family.port).await);
        kill_process(family.server, Signal::TERM).unwrap();
        tokio::time::timeout(LIMIT, family.output.read_to_string(&mut rest)).await.unwrap().unwrap();
        let over = async {
            while !is_over(family.server) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, over).await.expect("it lives on");
        assert!(!is_served(family.port).await);
    }
}

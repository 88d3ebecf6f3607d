//! What the keys of a script do, one after the other; `documented.rs` holds that no key is without its test.

use std::time::{Duration, Instant};

use rustle_session::{ErrorKind, Session};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::served::{LIMIT, Served, hello, output};

const ALICE: &str = "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n";

async fn alice(server: &Served) -> Session {
    server.session("alice", "wonderland").await
}

#[tokio::test]
async fn seed_banner_and_identification_are_those_of_the_script() {
    let script =
        format!("seed = 77\nbanner = \"Be kind.\\n\"\nidentification = \"SSH-2.0-Old_1.0\"\n{ALICE}");
    let server = Served::script(&script).await;
    assert_eq!(server.told("seed"), "77");
    assert_eq!(hello(&server).await.0, "SSH-2.0-Old_1.0\r\n");
    assert_eq!(alice(&server).await.banner(), "Be kind.\n");
    server.stop().await;
}

#[tokio::test]
async fn host_keys_are_of_the_kinds_or_from_the_files_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("host"), include_str!("keys/user")).unwrap();
    let script = "host_keys = [{ kind = \"ecdsa-p384\" }, { file = \"host\" }]\n";
    let server = Served::script_in(directory, script, &[]).await;
    let keys: Vec<&str> = server.told("host_key").lines().collect();
    assert!(keys[0].starts_with("ecdsa-sha2-nistp384 "), "{keys:?}");
    let public = include_str!("keys/user.pub").split(' ').take(2).collect::<Vec<_>>().join(" ");
    assert!(keys[1].starts_with(&public), "{keys:?}");
    assert_eq!(output(&server.own_session().await, "echo in").await, "in\n");
    server.stop().await;
}

#[tokio::test]
async fn algorithms_are_those_of_the_script() {
    let usual = Served::start(&[]).await;
    let (_, offered) = hello(&usual).await;
    for absent in
        ["diffie-hellman-group14-sha256", "aes128-ctr", "hmac-sha2-256", "kex-strict-s-v00@openssh.com"]
    {
        assert!(offered.contains(absent), "{absent} should be usual: {offered}");
    }
    usual.stop().await;
    let script = "
        host_keys = [{ kind = \"rsa\" }]
        [algorithms]
        key_exchange = [\"diffie-hellman-group14-sha256\"]
        ciphers = [\"aes128-ctr\"]
        macs = [\"hmac-sha2-256\"]
        host_keys = [\"rsa-sha2-256\"]
        strict_kex = false
    ";
    let server = Served::script(script).await;
    let (_, offered) = hello(&server).await;
    // RFC 4253 section 7.1: each list with its length before it, so that nothing else is in it.
    for list in ["diffie-hellman-group14-sha256", "aes128-ctr", "hmac-sha2-256", "rsa-sha2-256"] {
        let length = u32::try_from(list.len()).unwrap().to_be_bytes();
        let field = [std::str::from_utf8(&length).unwrap(), list].concat();
        assert!(offered.contains(&field), "{list}: {offered:?}");
    }
    assert!(!offered.contains("kex-strict"), "{offered:?}");
    server.stop().await;
}

#[tokio::test]
async fn sessions_and_attempts_have_their_limits() {
    let script = format!("{ALICE}[limits]\nmax_sessions = 1\nauth_delay = \"150ms\"\n");
    let server = Served::script(&script).await;
    let start = Instant::now();
    let session = alice(&server).await;
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    let first = session.raw("stall").spawn().await.unwrap();
    let second = session.raw("true").output().await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::ChannelLimit, "{second}");
    drop(first);
    server.stop().await;
    // The client's probe by `none` is refused, and that is one; the right password comes too late.
    let server = Served::script(&format!("{ALICE}[limits]\nauth_attempts = 1\n")).await;
    let setup = server.setup("alice").password("wonderland".into()).resolve().unwrap();
    assert!(setup.connect().await.is_err());
    let record = server.record().await;
    let outcomes: Vec<&str> = record["auth_attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["refused"]);
    server.stop().await;
}

#[tokio::test]
async fn strangers_and_failures_have_their_limits_as_with_sshd() {
    let script = "
        [limits]
        max_startups = { start = 1, rate = 100, full = 1 }
        max_startups_text = \"Exceeded MaxStartups\"
        login_grace = \"3s\"
    ";
    let server = Served::script(script).await;
    let mut first = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    assert_eq!(server.get("/wait?connections=1").await.status, 200);
    let mut second = TcpStream::connect(("127.0.0.1", server.port())).await.unwrap();
    let mut said = String::new();
    tokio::time::timeout(LIMIT, second.read_to_string(&mut said)).await.unwrap().unwrap();
    assert_eq!(said.trim_end(), "Exceeded MaxStartups");
    // Nobody logs in on the first, which is ended for it.
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(LIMIT, first.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() && rest.starts_with(b"SSH-2.0-"));
    server.stop().await;

    // A key that is not the user's is one failure, after which the right password comes too late.
    for (limits, comes_in) in [("max_auth_tries = 1", false), ("", true)] {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("id");
        std::fs::write(&key, include_str!("keys/user")).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let stranger = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let script = format!("{ALICE}public_keys = [\"{stranger}\"]\n[limits]\n{limits}\n");
        let server = Served::script_in(directory, &script, &[]).await;
        let setup = server.setup("alice").identity(&key).password("wonderland".into()).resolve().unwrap();
        let connected = setup.connect().await;
        assert_eq!(connected.is_ok(), comes_in, "{:?}", connected.err());
        server.stop().await;
    }
}

#[tokio::test]
async fn noise_comes_before_what_a_command_says() {
    let script = format!(
        "startup_noise = \"Welcome!\\n\"\nstartup_noise_stderr = \"no tty\\n\"\n{ALICE}
        [[users]]\nname = \"bob\"\npassword = \"builder\"\nstartup_noise = \"Bob's own\\n\"\n"
    );
    let server = Served::script(&script).await;
    let said = alice(&server).await.raw("echo a").output().await.unwrap();
    assert_eq!((said.stdout_text().as_ref(), said.stderr_text().as_ref()), ("Welcome!\na\n", "no tty\n"));
    assert_eq!(output(&server.session("bob", "builder").await, "echo b").await, "Bob's own\nWelcome!\nb\n");
    server.stop().await;
}

/// What a connection sends back while it takes 1 MiB.
async fn bytes_out_for_one_mebibyte(limits: &str) -> u64 {
    let server = Served::script(&format!("{ALICE}[limits]\n{limits}\n")).await;
    let session = alice(&server).await;
    let counted = session.raw("wc -c").stdin(vec![b'x'; 1 << 20]).output().await.unwrap();
    assert_eq!(counted.stdout_text(), "1048576\n");
    let out = server.record().await["bytes_out"].as_u64().unwrap();
    server.stop().await;
    out
}

#[tokio::test]
async fn windows_and_new_keys_come_as_often_as_the_script_says() {
    let usual = bytes_out_for_one_mebibyte("").await;
    // A small window is granted again and again, at 30 bytes or more a time.
    let small = bytes_out_for_one_mebibyte("window = \"8KiB\"").await;
    assert!(small > usual + 64 * 30, "{small} and usually {usual}");
    // One exchange of keys at least, which sends a kilobyte of names and a key; how many more, depends on how much is
    // under way during one.
    let renewed = bytes_out_for_one_mebibyte("rekey_after = \"128KiB\"").await;
    assert!(renewed > usual + 800, "{renewed} and usually {usual}");
}

#[tokio::test]
async fn the_network_is_as_slow_as_the_script_says() {
    let script = format!("{ALICE}[network]\nround_trip = \"60ms\"\nrate = \"2MB/s\"\n");
    let server = Served::script(&script).await;
    let start = Instant::now();
    let session = alice(&server).await;
    // Identification, keys, service and password are four round trips at least.
    assert!(start.elapsed() >= Duration::from_millis(240), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(session.raw("bytes 1000000").output().await.unwrap().stdout.len(), 1_000_000);
    assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
    server.stop().await;
    let script = format!("{ALICE}[network]\nrate_to_client = \"8MB/s\"\nrate_to_server = \"200kB/s\"\n");
    let server = Served::script(&script).await;
    let session = alice(&server).await;
    let start = Instant::now();
    assert_eq!(
        session.raw("wc -c").stdin(vec![0; 400_000]).output().await.unwrap().stdout_text(),
        "400000\n"
    );
    let there = start.elapsed();
    assert!(there >= Duration::from_millis(1800), "{there:?}");
    let start = Instant::now();
    assert_eq!(session.raw("bytes 400000").output().await.unwrap().stdout.len(), 400_000);
    let back = start.elapsed();
    assert!(back >= Duration::from_millis(45) && back < there, "{back:?} and {there:?}");
    server.stop().await;
    // Each piece is lost, and comes so much later.
    let script = format!("{ALICE}[network]\nloss_one_in = 1\nloss_recovery = \"50ms\"\n");
    let server = Served::script(&script).await;
    let start = Instant::now();
    alice(&server).await;
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    server.stop().await;
    // With this seed the delays of a login add up to more than this; without jitter it takes milliseconds.
    let server = Served::script(&format!("seed = 5\n{ALICE}[network]\njitter = \"200ms\"\n")).await;
    let start = Instant::now();
    alice(&server).await;
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn a_queue_holds_what_its_line_is_too_slow_for() {
    // 300 kB at this rate take half a minute; with room for all of them the server's router has them at once.
    for (queue, status) in [("\"1MiB\"", 200), ("4096", 409)] {
        let script = format!(
            "{ALICE}[network]\nrate_to_client = \"100MB/s\"\nrate_to_server = \"10kB/s\"\nqueue = {queue}\n"
        );
        let server = Served::script(&script).await;
        let session = alice(&server).await;
        let limit = if status == 200 { "25s" } else { "2s" };
        let taken = format!("/wait?bytes_in=300000&running=1&timeout={limit}");
        tokio::select! {
            answer = server.get(&taken) => assert_eq!(answer.status, status, "{queue}: {answer:?}"),
            counted = session.raw("wc -c").stdin(vec![0; 300_000]).output() => panic!("{queue}: {counted:?}"),
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn what_nobody_reads_waits_up_to_its_limit() {
    for (limits, status) in [("", 200), ("max_unread = \"64KiB\"", 409)] {
        let server = Served::script(&format!("{ALICE}[limits]\n{limits}\n")).await;
        let session = alice(&server).await;
        let limit = if status == 200 { "25s" } else { "2s" };
        let taken = format!("/wait?bytes_in=8000000&running=1&timeout={limit}");
        tokio::select! {
            answer = server.get(&taken) => assert_eq!(answer.status, status, "{limits}: {answer:?}"),
            ended = session.raw("stall").stdin(vec![0; 8_000_000]).output() => panic!("{limits}: {ended:?}"),
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_answer_is_dropped() {
    // What the client says crawls, so that it seems dead; one that answers stays.
    let deaf = "[[faults]]\nkind = \"drip\"\nphase = \"request\"\ndirection = \"received\"\nbytes = 1\nevery = \"1h\"\n";
    for (fault, ended) in [(deaf, Some("unresponsive")), ("", None)] {
        let script = format!("{ALICE}[limits]\nclient_alive = {{ interval = \"1s\", count = 3 }}\n{fault}");
        let server = Served::script(&script).await;
        let session = alice(&server).await;
        // Longer than one that does not answer is let live.
        let ran = session.raw("sleep 6").output().await;
        assert_eq!(ran.is_err(), ended.is_some(), "{ran:?}");
        if ended.is_some() {
            assert_eq!(server.get("/wait?connections_open=0").await.status, 200);
        }
        assert_eq!(server.record().await["connections"][0]["ended"]["by"].as_str(), ended);
        server.stop().await;
    }
}

#[tokio::test]
async fn what_is_served_by_itself_can_be_switched_off() {
    let usual = Served::script(ALICE).await;
    let session = alice(&usual).await;
    let env = session.raw("env").env("A", "1").env("B", "2").output().await.unwrap();
    assert_eq!(env.stdout_text(), "A=1\nB=2\n");
    let sftp = session.subsystem("sftp").spawn().await;
    assert!(sftp.is_ok(), "{:?}", sftp.err());
    let echo = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = echo.local_addr().unwrap().port();
    session.direct_tcpip("127.0.0.1", port).await.unwrap();
    drop(sftp);
    usual.stop().await;

    let script = format!(
        "builtins = false\naccept_env = [\"B\"]\n{ALICE}[sftp]\nserve = \"none\"\n[forwards]\ndirect_tcpip = false\n"
    );
    let server = Served::script(&script).await;
    let session = alice(&server).await;
    assert_eq!(session.raw("echo a").output().await.unwrap().status.code(), Some(127));
    assert!(session.subsystem("sftp").spawn().await.is_err());
    assert!(session.direct_tcpip("127.0.0.1", port).await.is_err());
    // The client puts what is refused into the command line.
    session.line("env").env("A", "1").env("B", "2").output().await.unwrap();
    let record = server.record().await;
    let last = record["commands"].as_array().unwrap().last().unwrap();
    assert_eq!(last["env"], serde_json::json!([["B", "2"]]));
    server.stop().await;
}

/// Neither is there on Windows, where the server says so and does not start.
#[cfg(unix)]
#[tokio::test]
async fn a_real_shell_and_unix_sockets_are_there_where_asked_for() {
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("s");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let script = format!("shell = true\n{ALICE}[forwards]\ndirect_streamlocal = true\n");
    let server = Served::script(&script).await;
    let session = alice(&server).await;
    assert_eq!(output(&session, "echo $((6 * 7)) | cat").await, "42\n");
    let (forward, accepted) =
        tokio::join!(session.direct_streamlocal(path.to_str().unwrap()), listener.accept());
    assert!(forward.is_ok() && accepted.is_ok());
    drop(forward);
    server.stop().await;
    let server = Served::script(ALICE).await;
    let session = alice(&server).await;
    assert_eq!(session.raw("echo $((6 * 7))").output().await.unwrap().status.code(), Some(127));
    assert!(session.direct_streamlocal(path.to_str().unwrap()).await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn commands_answer_and_end_as_scripted() {
    let script = format!(
        r#"
        {ALICE}
        [[commands]]
        pattern = "systemctl * nginx"
        stdout = "done\n"
        stderr = "a warning\n"
        exit = 3
        [[commands]]
        exact = "systemctl stop nginx"
        stdout_base64 = "AP8="
        stderr_base64 = "/w=="
        signal = "SEGV"
        signal_message = "out of bounds"
        [[commands]]
        exact = "slow"
        delay = "120ms"
        [[commands]]
        exact = "mute"
        no_exit_status = true
        [[commands]]
        exact = "forever"
        stdout = "begun\n"
        never_ends = true
        [[commands]]
        login_shell = true
        stdout = "Welcome.\n"
        "#
    );
    let server = Served::script(&script).await;
    let session = alice(&server).await;
    let run = async |line: &str| session.raw(line).output().await.unwrap();
    let pattern = run("systemctl restart nginx").await;
    assert_eq!((pattern.stdout_text().as_ref(), pattern.stderr_text().as_ref()), ("done\n", "a warning\n"));
    assert_eq!(pattern.status.code(), Some(3));
    let exact = run("systemctl stop nginx").await;
    assert_eq!((exact.stdout.as_ref(), exact.stderr.as_ref()), (&[0, 255][..], &[255][..]));
    assert_eq!((exact.status.code(), exact.status.signal()), (None, Some("SEGV")));
    let record = server.get("/record").await.json;
    let killed = &record["commands"][1]["exit"];
    assert_eq!(*killed, serde_json::json!({ "signal": "SEGV", "message": "out of bounds" }), "{record}");
    let start = Instant::now();
    assert!(run("slow").await.status.success());
    assert!(start.elapsed() >= Duration::from_millis(120));
    let mute = run("mute").await;
    assert_eq!((mute.status.code(), mute.status.signal()), (None, None));
    let mut forever = session.raw("forever").spawn().await.unwrap();
    let begun = forever.take_stdout().unwrap().chunk().await.unwrap();
    assert_eq!(begun.as_deref(), Some(&b"begun\n"[..]));
    assert_eq!(server.get("/wait?running=1&timeout=1s").await.status, 200);
    drop(forever);
    let shell = session.shell().output().await.unwrap();
    assert_eq!(shell.stdout_text(), "Welcome.\n");
    server.stop().await;
}

#[tokio::test]
async fn commands_that_nobody_asks_for_are_errors_where_they_are_expected() {
    let commands = "[[commands]]\nexact = \"deploy\"\n[[commands]]\nexact = \"restart\"\n";
    for (expecting, status) in [("expect_commands = true\n", 409), ("", 200)] {
        let server = Served::script(&format!("{expecting}{ALICE}{commands}")).await;
        output(&alice(&server).await, "deploy").await;
        let answer = server.post("/stop", "").await;
        let told = answer.json.to_string();
        assert_eq!(answer.status, status, "{told}");
        assert_eq!(told.contains("restart"), status == 409, "{told}");
        assert!(!told.contains("deploy"), "{told}");
        let code = if status == 409 { 255 } else { 0 };
        assert_eq!(server.ended().await.code, Some(code));
    }
}

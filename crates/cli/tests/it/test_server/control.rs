//! The control: who may ask, what may be asked, and what comes of it.

use std::time::Duration;

use rustle_session::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::served::{Answer, LIMIT, Served, output};

const PLACES: [(&str, &str); 17] = [
    ("GET", "/record"),
    ("GET", "/transcript"),
    ("GET", "/wait"),
    ("GET", "/code"),
    ("GET", "/faults"),
    ("POST", "/faults"),
    ("POST", "/commands"),
    ("POST", "/users"),
    ("POST", "/network"),
    ("POST", "/stall"),
    ("POST", "/resume"),
    ("POST", "/cut"),
    ("POST", "/pause-listening"),
    ("POST", "/resume-listening"),
    ("POST", "/restart"),
    ("POST", "/expect-unfired"),
    ("POST", "/stop"),
];

fn code(answer: &Answer) -> &str {
    answer.json["error"]["code"].as_str().unwrap_or_else(|| panic!("no code: {answer:?}"))
}

#[tokio::test]
async fn nobody_without_the_token_or_by_another_name_gets_anything() {
    let server = Served::start(&[]).await;
    let (address, token) = (server.control(), server.token().to_owned());
    assert_eq!(token.len(), 32, "128 bits");
    for (method, place) in PLACES {
        let request = |host: &str, token: &str| {
            format!("{method} {place} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nContent-Length: 2\r\n\r\n{{}}")
                .into_bytes()
        };
        let wrong = server.send(request(&address, &"0".repeat(32))).await;
        assert_eq!((wrong.status, code(&wrong)), (401, "UNAUTHORIZED"), "{place}");
        assert!(wrong.head.contains("www-authenticate: bearer"), "{wrong:?}");
        let bare = format!("{method} {place} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(server.send(bare.into_bytes()).await.status, 401, "{place}");
        let rebound = server.send(request("rebound.example", &token)).await;
        assert_eq!((rebound.status, code(&rebound)), (403, "HOST_NOT_LOOPBACK"), "{place}");
    }
    // Nothing of it was done: the server neither stopped nor fell silent.
    assert_eq!(output(&server.own_session().await, "echo here").await, "here\n");
    server.stop().await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_code_and_text() {
    let server = Served::start(&[]).await;
    let refused = async |method: &str, place: &str, body: &str| {
        let answer = server.request(method, place, body).await;
        assert!(!answer.json["error"]["message"].as_str().unwrap().is_empty());
        assert!(answer.head.contains("content-type: application/json"), "{answer:?}");
        (answer.status, code(&answer).to_owned(), answer.json["error"].to_string())
    };
    assert_eq!(refused("GET", "/nothing", "").await.0, 404);
    let answer = server.get("/stop").await;
    assert_eq!((answer.status, code(&answer)), (405, "METHOD_NOT_ALLOWED"));
    assert!(answer.head.contains("allow: post"), "{answer:?}");
    assert_eq!(refused("DELETE", "/faults", "").await.0, 405);
    for (place, body, told) in [
        ("/commands", "", "`exact`"),
        ("/commands", "{", "line 1 column 1"),
        ("/commands", "[]", "body"),
        ("/commands", "{\"exact\":\"a\",\"stdot\":\"b\"}", "did you mean `stdout`?"),
        ("/commands", "{\"exact\":\"a\"} {}", "trailing"),
        ("/faults", "{\"kind\":\"cut\"}", "needs one of the keys `phase`, `sent`"),
        ("/users", "{\"name\":\"a\",\"public_keys\":[\"no key\"]}", "not one line"),
        ("/users", "{\"name\":\"a\",\"password_file\":\"/etc/shadow\"}", "only a script may"),
        ("/users", "{\"name\":\"a\",\"steps\":[\"publickey\"]}", "no publickey"),
        ("/cut", "{\"how\":\"softly\"}", "there is no `softly` here"),
        ("/restart", "{\"kind\":\"rsa\"}", "another host key"),
    ] {
        let (status, _, error) = refused("POST", place, body).await;
        assert!(status == 400 && error.contains(told), "{place} {body}: {status} {error}");
    }
    for query in ["nonsense=1", "connections=some", "timeout=5", "timeout=1h", "running=-1"] {
        let (status, _, error) = refused("GET", &format!("/wait?{query}"), "").await;
        assert!(
            status == 400 && error.contains("known here: timeout, command, connections"),
            "{query}: {error}"
        );
    }
    let (status, code, _) = refused("POST", "/commands", "{\"login_shell\":true}").await;
    assert_eq!((status, code.as_str()), (409, "NOT_WHILE_RUNNING"));
    let secret = refused("POST", "/users", "{\"name\":\"a\",\"password\":31337}").await.2;
    assert!(!secret.contains("31337"), "{secret}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let server = Served::start(&[]).await;
    let body = |bytes: usize| {
        let frame = "{\"exact\":\"large\",\"stdout\":\"\"}";
        frame.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - frame.len())))
    };
    assert_eq!(server.post("/commands", &body(1 << 20)).await.status, 200);
    let large = server.post("/commands", &body((1 << 20) + 1)).await;
    assert_eq!((large.status, code(&large)), (413, "BODY_TOO_LARGE"));
    let length = output(&server.own_session().await, "large").await.len();
    assert_eq!(length, (1 << 20) - "{\"exact\":\"large\",\"stdout\":\"\"}".len());
    server.stop().await;
}

#[tokio::test]
async fn commands_and_users_are_added_while_it_runs() {
    let server = Served::start(&[]).await;
    let session = server.own_session().await;
    let deploy = |body: &'static str| server.post("/commands", body);
    assert_eq!(deploy("{\"exact\":\"deploy\",\"stdout\":\"one\\n\"}").await.status, 200);
    assert_eq!(output(&session, "deploy").await, "one\n");
    assert_eq!(deploy("{\"pattern\":\"dep*\",\"stderr_base64\":\"//4=\",\"exit\":9}").await.status, 200);
    let second = session.raw("deploy").output().await.unwrap();
    assert_eq!(
        (second.status.code(), second.stdout.len(), second.stderr.as_ref()),
        (Some(9), 0, &[0xff, 0xfe][..])
    );
    assert_eq!(server.post("/users", "{\"name\":\"bob\",\"password\":\"builder\"}").await.status, 200);
    assert_eq!(output(&server.session("bob", "builder").await, "echo bob").await, "bob\n");
    server.stop().await;
}

#[tokio::test]
async fn the_record_shows_what_a_client_did_and_never_its_password() {
    let server = Served::start(&[]).await;
    let password = server.announced["users"][0]["password"].as_str().unwrap().to_owned();
    let session = server.own_session().await;
    let ran = session.raw("exit 3").env("LANG", "C").output().await.unwrap();
    assert_eq!(ran.status.code(), Some(3));
    session.close(Duration::from_secs(5)).await;
    let shown = server.get("/wait?connections=1&connections_open=0&command=exit+3").await;
    assert_eq!(shown.status, 200);
    let record = server.record().await;
    assert_eq!(record, shown.json);
    assert!(!record.to_string().contains(&password));
    let connection = &record["connections"][0];
    assert_eq!((&connection["number"], &connection["user"]), (&1.into(), &"test".into()));
    assert!(connection["client"].as_str().unwrap().starts_with("SSH-2.0-"), "{connection}");
    assert_eq!(connection["ended"]["by"], "client");
    assert!(connection["bytes_in"].as_u64().unwrap() > 100);
    let accepted = record["auth_attempts"].as_array().unwrap().last().unwrap();
    let expected = serde_json::json!({
        "connection": 1, "user": "test", "method": "password", "outcome": "accepted",
    });
    assert_eq!(*accepted, expected);
    assert_eq!(record["channels"][0]["kind"], serde_json::json!({ "type": "session" }));
    let command = &record["commands"][0];
    assert_eq!(
        (&command["kind"], &command["text"], &command["running"]),
        (&"exec".into(), &"exit 3".into(), &false.into())
    );
    assert_eq!(
        (&command["exit"], &command["env"]),
        (&serde_json::json!({ "code": 3 }), &serde_json::json!([["LANG", "C"]]))
    );
    assert_eq!((&record["running"], &record["channels_open"]), (&0.into(), &0.into()));
    server.stop().await;
}

#[tokio::test]
async fn a_wait_answers_when_it_happens_and_gives_up_in_its_time() {
    let server = Served::start(&[]).await;
    let nothing = server.get("/wait?connections=1&timeout=20ms").await;
    assert_eq!((nothing.status, code(&nothing)), (409, "TIMEOUT"));
    let text = nothing.json["error"]["message"].as_str().unwrap();
    assert!(text.contains("connections: 0 accepted"), "{text}");
    let (answer, session) = tokio::join!(server.get("/wait?logins=1"), server.own_session());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json["auth_attempts"].as_array().unwrap().last().unwrap()["outcome"], "accepted");
    let sleeping = session.raw("sleep 1000").output();
    let seen = async {
        let running =
            server.get("/wait?running=1&commands=1&channels=1&channels_open=1&command=sleep%201000").await;
        assert_eq!(running.status, 200);
        assert_eq!(server.post("/cut", "{}").await.status, 200);
        assert_eq!(server.get("/wait?running=0&connections_open=0").await.status, 200);
    };
    let (ended, ()) = tokio::join!(sleeping, seen);
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Disconnected);
    // One that waits when the server stops is told.
    let mut waiting = TcpStream::connect(server.control()).await.unwrap();
    let request = server.request_text("GET", "/wait?connections=9&timeout=600s", "");
    waiting.write_all(request.as_bytes()).await.unwrap();
    for _ in 0..3 {
        // Answered after the request that came before.
        server.record().await;
    }
    server.post("/stop", "").await;
    let mut answer = Vec::new();
    tokio::time::timeout(LIMIT, waiting.read_to_end(&mut answer)).await.unwrap().unwrap();
    let stopping = Answer::parse(answer);
    assert_eq!((stopping.status, code(&stopping)), (503, "STOPPING"));
    assert_eq!(server.ended().await.code, Some(0));
}

#[tokio::test]
async fn faults_are_added_listed_and_told_apart() {
    let server = Served::start(&[]).await;
    let added = server
        .post("/faults", "{\"kind\":\"refuse_channel_with\",\"code\":4,\"text\":\"no room\",\"once\":true}")
        .await;
    assert_eq!((added.status, &added.json["faults"][0]["fired"]), (200, &0.into()));
    let session = server.own_session().await;
    let refused = session.raw("true").output().await.unwrap_err();
    assert!(
        refused.to_string().contains("no room") || format!("{refused:?}").contains("no room"),
        "{refused:?}"
    );
    assert!(session.raw("true").output().await.unwrap().status.success());
    server.post("/faults", "{\"kind\":\"stall\",\"phase\":\"close\",\"on_connection\":99}").await;
    let faults = server.get("/faults").await.json;
    assert_eq!((&faults["faults"][0]["fired"], &faults["faults"][1]["fired"]), (&1.into(), &0.into()));
    assert_eq!(faults["faults"][1]["description"], "stall in phase close on connection 99");
    assert_eq!(server.post("/expect-unfired", "").await.status, 200);
    server.stop().await;
}

#[tokio::test]
async fn the_network_changes_while_it_runs_where_there_is_one() {
    let server = Served::start(&[]).await;
    let none = server.post("/network", "{}").await;
    assert_eq!(none.status, 409);
    assert!(none.json["error"]["hint"].as_str().unwrap().contains("[network]"), "{none:?}");
    server.stop().await;
    let server = Served::script("[network]\n").await;
    let session = server.own_session().await;
    assert_eq!(server.post("/network", "{\"round_trip\":\"300ms\"}").await.status, 200);
    let start = std::time::Instant::now();
    assert_eq!(output(&session, "echo slow").await, "slow\n");
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn it_stalls_resumes_cuts_and_restarts() {
    let server = Served::start(&[]).await;
    let session = server.own_session().await;
    server.post("/stall", "").await;
    let silent = tokio::time::timeout(Duration::from_millis(100), session.raw("echo a").output()).await;
    assert!(silent.is_err());
    server.post("/resume", "").await;
    assert_eq!(tokio::time::timeout(LIMIT, output(&session, "echo b")).await.unwrap(), "b\n");
    server.post("/cut", "{\"how\":\"fin\"}").await;
    tokio::time::timeout(LIMIT, session.closed()).await.unwrap();

    let session = server.own_session().await;
    let same = server.post("/restart", "{\"host_key\":\"same\"}").await;
    assert_eq!(same.json["known_hosts"], server.announced["known_hosts"]);
    tokio::time::timeout(LIMIT, session.closed()).await.unwrap();
    let session = server.own_session().await;
    let other = server.post("/restart", "{\"host_key\":\"other\",\"kind\":\"ecdsa-p256\"}").await;
    assert!(other.json["host_key"].as_str().unwrap().starts_with("ecdsa-sha2-nistp256 "), "{other:?}");
    tokio::time::timeout(LIMIT, session.closed()).await.unwrap();
    let password = server.announced["users"][0]["password"].as_str().unwrap();
    let setup = server.setup("test").password(password.into()).resolve().unwrap();
    assert_eq!(setup.connect().await.unwrap_err().kind(), ErrorKind::HostKeyChanged);
    let ended = &server.record().await["connections"];
    assert_eq!(ended[0]["ended"], serde_json::json!({ "by": "cut", "how": "fin" }));
    assert_eq!(ended[1]["ended"], serde_json::json!({ "by": "cut", "how": "rst" }));
    server.stop().await;
}

#[tokio::test]
async fn the_transcript_is_the_same_for_the_same_work_where_it_is_normalised() {
    let mut normalised = Vec::new();
    for _ in 0..2 {
        let server = Served::start(&[]).await;
        let session = server.own_session().await;
        // One that reads to the end: of another the client's end of data may come before or after that of the command.
        let echoed = session.raw("cat").stdin("a\n").output().await.unwrap();
        assert_eq!(echoed.stdout_text(), "a\n");
        session.close(Duration::from_secs(5)).await;
        assert_eq!(server.get("/wait?connections=1&connections_open=0").await.status, 200);
        let whole = server.get("/transcript").await;
        let text = whole.json["transcript"].as_str().unwrap();
        assert!(text.starts_with("connection 1\n") && text.contains("channel 1: Session\n"), "{text}");
        assert!(text.contains(" s ") && text.contains("in 1 piece"), "{text}");
        assert_eq!(server.get("/transcript?normalised=false").await.json, whole.json);
        normalised.push(server.get("/transcript?normalised=true").await.json);
        for query in ["normalised=yes", "normalized=true"] {
            let refused = server.get(&format!("/transcript?{query}")).await;
            assert_eq!((refused.status, code(&refused)), (400, "BAD_REQUEST"), "{query}");
        }
        server.stop().await;
    }
    assert_eq!(normalised[0], normalised[1]);
    let text = normalised[0]["transcript"].as_str().unwrap();
    assert!(text.contains("channel 1: Session\n") && !text.contains(" in 1 piece"), "{text}");
}

#[tokio::test]
async fn it_refuses_connections_for_as_long_as_it_is_told() {
    let server = Served::start(&[]).await;
    let session = server.own_session().await;
    assert_eq!(server.post("/pause-listening", "").await.status, 200);
    assert!(TcpStream::connect(("127.0.0.1", server.port())).await.is_err());
    assert_eq!(output(&session, "echo stays").await, "stays\n");
    assert_eq!(server.post("/resume-listening", "").await.status, 200);
    server.own_session().await;
    let start = std::time::Instant::now();
    let restarted = server.post("/restart", "{\"host_key\": \"other\", \"down_for\": \"200ms\"}").await;
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    assert_ne!(restarted.json["known_hosts"], server.announced["known_hosts"]);
    tokio::time::timeout(LIMIT, session.closed()).await.unwrap();
    assert!(TcpStream::connect(("127.0.0.1", server.port())).await.is_ok());
    server.stop().await;
}

#[tokio::test]
async fn a_restart_that_nobody_waits_for_comes_to_its_end() {
    let server = Served::start(&[]).await;
    let session = server.own_session().await;
    {
        let asked = server.post("/restart", "{\"down_for\": \"500ms\"}");
        tokio::pin!(asked);
        tokio::select! {
            // The request is under way: it has cut the connection. Now its socket is closed.
            _ = session.closed() => {}
            answer = &mut asked => panic!("{answer:?}"),
        }
    }
    let up = async {
        while TcpStream::connect(("127.0.0.1", server.port())).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, up).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_place_without_keys_takes_none() {
    let server = Served::start(&[]).await;
    for place in ["/stall", "/resume", "/pause-listening", "/resume-listening", "/expect-unfired", "/stop"] {
        let answer = server.post(place, "{\"for_time\": \"2s\"}").await;
        assert_eq!(answer.status, 400, "{place}: {answer:?}");
    }
    server.own_session().await;
    server.stop().await;
}

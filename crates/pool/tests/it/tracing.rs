//! What a pool tells of its doings while it is at it.

use std::time::Duration;

use rustle_pool::Pool;
use rustle_session::SecretString;
use rustle_testserver::{Cut, Network, Reply, TestServer};

use crate::support::{in_fast_motion, server, server_shows, setup, shut_down_and_check, way};
use crate::traced::{Logged, Traced};

/// A pool that knows the server by this name, and nothing of others is logged under it.
fn pool_of(server: &TestServer, name: &str, builder: rustle_pool::PoolBuilder) -> Pool {
    let pool = builder.only_registered().build().unwrap();
    pool.register(name, setup(server));
    pool
}

/// Those with this message.
fn told(traced: &Traced, host: &str, message: &str) -> Vec<Logged> {
    traced.of(host).into_iter().filter(|logged| logged.message == message).collect()
}

/// A field that is a duration, as it is shown.
fn seconds(logged: &Logged, field: &str) -> f64 {
    let shown = &logged.fields[field];
    let (number, unit) = shown.split_at(shown.find(|c: char| c.is_alphabetic() || c == 'µ').unwrap());
    let scale = match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" => 1e-6,
        "ns" => 1e-9,
        _ => panic!("{shown}"),
    };
    number.parse::<f64>().unwrap() * scale
}

#[tokio::test]
async fn logins_are_told_with_their_phases_and_places_with_their_lanes_and_waits() {
    const HOST: &str = "told-web";
    let traced = Traced::begin();
    let network = Network::new().round_trip(Duration::from_millis(20));
    let server = server().max_sessions(1).network(network).command("hello", Reply::stdout("hello\n"));
    let server = server.start().await.unwrap();
    let limits = Pool::builder().max_connections_per_host(1).patience(Duration::from_secs(30));
    let pool = pool_of(&server, HOST, limits);
    let web = pool.get(HOST).await.unwrap();
    let [connecting, connected] =
        ["connecting", "connected"].map(|message| told(&traced, HOST, message).remove(0));
    assert_eq!(connecting.fields["attempt"], "1");
    assert_eq!(connecting.fields["connection"], connected.fields["connection"]);
    let phases =
        ["resolve", "connect", "handshake", "authentication"].map(|field| seconds(&connected, field));
    let took = seconds(&connected, "took");
    assert!(phases.iter().sum::<f64>() <= took && phases[2] >= 0.02 && phases[3] >= 0.02, "{connected:?}");
    assert!((0.02..took).contains(&seconds(&connected, "round_trip")), "{connected:?}");

    let (first, second) = tokio::join!(web.output("hello"), web.output("hello"));
    assert!(first.unwrap().status.success() && second.unwrap().status.success());
    let places = told(&traced, HOST, "a place is given");
    assert_eq!((&*places[0].fields["lane"], &*places[0].fields["how"]), ("Bare", "connected"));
    assert!(seconds(&places[0], "waited") >= took, "{places:?}");
    let waited = places.iter().filter(|place| place.fields["how"] == "queued");
    let waited: Vec<_> =
        waited.map(|place| (place.fields["lane"].clone(), seconds(place, "waited"))).collect();
    assert!(waited.iter().any(|(lane, waited)| lane == "Shared" && *waited >= 0.01), "{places:?}");
    let refused = &told(&traced, HOST, "the server refused a channel")[0];
    assert!(refused.fields["error"].contains("no further session"), "{refused:?}");

    let holder = web.line("sleep 1000").spawn().await.unwrap();
    let id = pool.connect(HOST).await.unwrap();
    assert!(pool.check(id).await.unwrap() >= Duration::from_millis(20));
    while told(&traced, HOST, "the server answers").is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let answers = told(&traced, HOST, "the server answers");
    assert!(seconds(&answers[0], "took") >= 0.02, "{answers:?}");
    let waiting = tokio::time::timeout(Duration::from_millis(300), web.output("hello"));
    assert!(waiting.await.is_err(), "one session is the limit");
    assert!(told(&traced, HOST, "no place").is_empty(), "who goes away is told nothing");
    server.cut_all(Cut::Rst);
    server_shows(&server, "no connection", |record| record.connections_open() == 0).await;
    drop(holder);
    let status = web.output("hello").await.unwrap().status;
    assert!(status.success());
    let gone = &told(&traced, HOST, "the connection is gone")[0];
    assert_eq!((&*gone.fields["was_wanted"], &*gone.fields["spills"]), ("false", "0"), "{gone:?}");
    for (field, least) in [("bytes_sent", 1000), ("bytes_received", 1000), ("channels_opened", 3)] {
        assert!(gone.fields[field].parse::<u64>().unwrap() >= least, "{gone:?}");
    }
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn what_fails_is_told_with_its_reason_and_what_comes_next() {
    let traced = Traced::begin();
    let server = server().max_sessions(1).start().await.unwrap();
    let limits = Pool::builder().max_connections_per_host(1).patience(Duration::from_secs(60)).attempts(50);
    let pool = pool_of(&server, "told-full", limits);
    let web = pool.get("told-full").await.unwrap();
    let holder = web.line("sleep 1000").spawn().await.unwrap();
    Box::pin(in_fast_motion(web.output("true"))).await.unwrap_err();
    let no_place = &told(&traced, "told-full", "no place")[0];
    assert_eq!((&*no_place.fields["lane"], &*no_place.fields["code"]), ("Shared", "POOL_EXHAUSTED"));
    assert_eq!(no_place.fields["waiting"], "1", "{no_place:?}");

    let wrong = way(&server).password(SecretString::from("mirror")).resolve().unwrap();
    pool.register("told-wrong", wrong);
    pool.get("told-wrong").await.unwrap_err();
    let not_connected = &told(&traced, "told-wrong", "not connected")[0];
    let fields = &not_connected.fields;
    assert_eq!((&*fields["code"], &*fields["failure"]), ("SSH_AUTH_FAILED", "Final"), "{fields:?}");

    // It comes to an end with the time of who asks.
    server.pause_listening().await.unwrap();
    pool.register("told-away", setup(&server));
    Box::pin(in_fast_motion(pool.get("told-away"))).await.unwrap_err();
    let away = told(&traced, "told-away", "not connected");
    assert_eq!(away[0].fields["failure"], "Transient", "{away:?}");
    let again = &told(&traced, "told-away", "another attempt comes")[0];
    assert!(
        seconds(again, "wait") > 0.0 && again.fields["after"] == away[0].fields["connection"],
        "{again:?}"
    );
    server.resume_listening().await.unwrap();
    drop((holder, web));
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn each_look_and_each_silence_is_told() {
    const HOST: &str = "told-silent";
    let traced = Traced::begin();
    let server = server().start().await.unwrap();
    let pool = Pool::builder().probe_every(Duration::from_secs(20)).only_registered().build().unwrap();
    let way = way(&server).option("ServerAliveInterval=0").option("TCPKeepAlive=no");
    pool.register(HOST, way.password(SecretString::from("wonderland")).resolve().unwrap());
    let web = pool.get(HOST).await.unwrap();
    let tells = async |message: &str| {
        while told(&traced, HOST, message).is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let all = in_fast_motion(async {
        let telling = async {
            tells("looked at").await;
            tells("the server answers").await;
            server.stall();
            tells("the server answers late").await;
            server.resume();
            tells("the server answers again").await;
            server.stall();
            tells("the server does not answer: the connection is ended").await;
            tells("the connection is gone").await;
            server.resume();
        };
        tokio::time::timeout(Duration::from_secs(600), telling).await
    });
    all.await.unwrap();
    let look = &told(&traced, HOST, "looked at")[0];
    assert_eq!((look.level, &*look.fields["connection"]), (::tracing::Level::TRACE, "0"));
    assert!(look.fields["bytes_received"].parse::<u64>().unwrap() > 500, "{look:?}");
    drop(web);
    shut_down_and_check(pool, server).await;
}

#[tokio::test]
async fn who_was_asked_and_did_not_answer_is_told_to_answer_no_more_than_to_be_silent() {
    const HOST: &str = "told-check";
    let traced = Traced::begin();
    // What a channel's window holds takes 40 seconds: the answer stands behind it.
    let server = server().network(Network::new().rate(50_000)).start().await.unwrap();
    let pool = pool_of(&server, HOST, Pool::builder());
    let web = pool.get(HOST).await.unwrap();
    let id = pool.connect(HOST).await.unwrap();
    let mut moving = web.line("yes").spawn().await.unwrap();
    let mut output = moving.take_stdout().unwrap();
    let reading = async { while let Ok(Some(_)) = output.chunk().await {} };
    in_fast_motion(async {
        let asking = async {
            server_shows(&server, "a full link", |record| record.bytes_out() > 1 << 20).await;
            assert_eq!(
                pool.check(id).await.unwrap(),
                Duration::from_secs(5),
                "that is when it is no longer waited for"
            );
            let lost = async {
                tokio::time::sleep(Duration::from_secs(2)).await;
                server.cut_all(Cut::Rst);
            };
            server.stall();
            let (checked, ()) = tokio::join!(pool.check(id), lost);
            checked.unwrap_err();
        };
        tokio::join!(asking, reading)
    })
    .await;
    server.resume();
    while told(&traced, HOST, "the connection is gone").is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for message in ["the server answers", "the server does not answer: the connection is ended"] {
        assert!(told(&traced, HOST, message).is_empty(), "{message}");
    }
    drop((output, moving, web));
    shut_down_and_check(pool, server).await;
}

//! Keys renewed by what the options say: after so many bytes, after so long.

use std::time::Duration;

use rustle_session::TransportOptions;

use super::support::{close_and_check, login_in_memory, login_with, server};

#[tokio::test]
async fn keys_are_renewed_after_so_many_bytes_either_way() {
    let server = server().start().await.unwrap();
    let options = TransportOptions::builder().rekey_bytes(Some(100_000)).build().unwrap();
    let session = login_with(&server, options).await;
    assert!(session.key_use() < 0.5, "{}", session.key_use());
    assert!(session.output(format!("echo {}", "x".repeat(60_000))).await.unwrap().status.success());
    assert!(session.stats().rekeys > 0 || session.key_use() > 0.5, "{}", session.key_use());
    for _ in 0..3 {
        let rekeys = session.stats().rekeys;
        let text = "x".repeat(300_000);
        let output = session.line("cat").stdin(text.clone()).output().await.unwrap();
        assert_eq!(output.stdout_text(), text);
        // The last exchange may still be under way.
        let renewed = async {
            while session.stats().rekeys == rekeys {
                session.ping().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), renewed).await.expect("no new keys");
    }
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn keys_are_renewed_after_so_long() {
    let server = server().start().await.unwrap();
    let hour = Duration::from_secs(3600);
    let options = TransportOptions::builder().rekey_interval(Some(hour)).build().unwrap();
    let session = login_in_memory(&server, options).await;
    tokio::time::sleep(Duration::from_secs(3590)).await;
    assert_eq!(session.stats().rekeys, 0);
    assert!((0.99..1.0).contains(&session.key_use()), "{}", session.key_use());
    for count in 1..4 {
        tokio::time::sleep(hour).await;
        assert_eq!(session.stats().rekeys, count);
    }
    // One begun for another reason counts too.
    session.rekey().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3590)).await;
    assert_eq!(session.stats().rekeys, 4);
    close_and_check(session, server).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_limit_by_time_a_year_passes_with_the_same_keys() {
    let server = server().start().await.unwrap();
    let options = TransportOptions::builder().keepalive_interval(None).build().unwrap();
    let session = login_in_memory(&server, options).await;
    tokio::time::sleep(Duration::from_secs(365 * 86_400)).await;
    assert_eq!((session.stats().rekeys, session.is_open()), (0, true));
    close_and_check(session, server).await;
}

#[test]
fn an_interval_of_nothing_is_refused_and_few_bytes_become_more() {
    assert!(TransportOptions::builder().rekey_interval(Some(Duration::ZERO)).build().is_err());
    let options = TransportOptions::builder().rekey_bytes(Some(16)).build().unwrap();
    assert_eq!(options.rekey_bytes(), Some(64 * 1024));
}

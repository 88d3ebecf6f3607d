//! Key exchanges after the first.

use super::{HI, Probe, Told, builder};
use crate::raw::message;

#[tokio::test(start_paused = true)]
async fn small_rekeys_begin_at_the_login_and_end_with_what_is_said() {
    let server = builder().rekey_after(1).start().await.unwrap();
    let mut probe = Probe::login(&server).await;
    assert_eq!(probe.next().await, Told::Silence);
    assert_eq!(probe.transport.exchanges(), 1);
    probe.open().await;
    probe.until(message::CHANNEL_OPEN_CONFIRMATION).await;
    assert_eq!(probe.next().await, Told::Silence);
    let exchanges = probe.transport.exchanges();
    assert!((2..10).contains(&exchanges), "{exchanges}");
    probe.exec("hi").await;
    assert_eq!(probe.numbers().await, HI);
    server.stop().await.unwrap();
}

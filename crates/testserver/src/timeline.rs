//! What happens on a connection by time: faults, the end of stalls and drips, the grace of a login, and goodbyes.

use std::{convert::Infallible, sync::Arc};

use tokio::time::Instant;

use crate::{connection::Connection, fault::Cut, record::End};

/// Lets everything happen when it is due, for as long as it is polled.
pub(crate) async fn follow(connection: &Arc<Connection>) -> Infallible {
    tokio::join!(by_time(connection), login_grace(connection), goodbye(connection)).0
}

async fn by_time(connection: &Connection) -> Infallible {
    let link = &connection.link;
    loop {
        link.tick();
        match link.next_tick() {
            Some(at) => {
                tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = link.rescheduled() => {}
                }
            }
            None => link.rescheduled().await,
        }
    }
}

async fn login_grace(connection: &Connection) -> Infallible {
    if let Some(grace) = connection.shared.settings.limits.login_grace
        && let Some(end) = Instant::now().checked_add(grace)
    {
        tokio::time::sleep_until(end).await;
        if connection.is_starting() {
            connection.ends_as(End::LoginGrace);
            connection.link.cut(Cut::Fin);
        }
    }
    std::future::pending().await
}

/// Hands a goodbye to the engine as soon as there are both.
async fn goodbye(connection: &Connection) -> Infallible {
    let (engine, farewell) = loop {
        if let (Some(engine), Some(farewell)) = (connection.engine.get(), connection.link.goodbye()) {
            break (engine, farewell);
        }
        connection.link.goodbye_due().await;
    };
    // A cut at the same moment was first.
    if connection.link.was_cut().is_none() {
        connection.ends_as(End::Disconnected(farewell.reason));
    }
    engine.disconnect(farewell.reason, farewell.text).await;
    std::future::pending().await
}

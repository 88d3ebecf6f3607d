//! SFTP over a directory, spoken by russh-sftp's server half.

use crate::{call::Call, connection::Connection};
use tokio_util::sync::CancellationToken;

pub(crate) async fn serve(_connection: &Connection, _call: Call, _hangup: &CancellationToken) {}

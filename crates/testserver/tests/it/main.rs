//! The test server, driven by a client of its own base and by OpenSSH.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail there too")]

mod authentication;
mod builtins;
mod certificates;
mod channels;
mod client;
mod commands;
mod documentation;
mod evidence;
mod fault_answers;
mod fault_table;
mod fault_wire;
mod faults;
mod forwards;
mod host_certificates;
mod limits;
mod live;
mod network;
#[cfg(unix)]
mod openssh;
#[cfg(unix)]
mod openssh_faults;
#[cfg(unix)]
mod openssh_forwards;
mod raw;
mod raw_faults;
mod raw_peer;
mod remote_forwards;
mod restart;
mod scale;
mod server_opened;
mod sftp;
mod sftp_client;
mod sftp_faults;
mod sftp_limits;
mod sftp_native;
#[cfg(unix)]
mod sftp_openssh;
mod targets;
mod transcript;
mod users;

//! Files by plain commands: real shells behind a server without SFTP.

mod drops;
mod host;
mod opening;
mod operations;
mod scp;
mod transfers;
mod trees;

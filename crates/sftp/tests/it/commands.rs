//! Files by plain commands: real shells behind a server without SFTP.

mod drops;
mod host;
mod opening;
mod operations;
mod patterns;
mod scp;
mod transfers;
mod trees;

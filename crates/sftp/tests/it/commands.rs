//! Files by plain commands: real shells behind a server without SFTP.

mod beside_sftp;
mod drops;
mod host;
mod opening;
mod operations;
mod patience;
mod patterns;
mod read_only;
mod scp;
mod scp_liars;
mod scp_trees;
mod transfers;
mod trees;

//! Assertions on the record that say what they found.

use std::time::Duration;

use crate::{AuthOutcome, error::Error, record::Record, server::TestServer, user::Method};

/// Each of these panics with the record when it does not hold. They look at this moment; to wait for a moment, use
/// [`wait_until`](TestServer::wait_until) or [`wait_until_idle`](TestServer::wait_until_idle).
impl TestServer {
    /// No channel is open.
    #[track_caller]
    pub fn assert_no_channels_open(&self) {
        self.assert_record("no open channel", |record| record.channels_open() == 0);
    }

    /// No connection is open.
    #[track_caller]
    pub fn assert_no_connections_open(&self) {
        self.assert_record("no open connection", |record| record.connections_open() == 0);
    }

    /// No file or directory is open over SFTP, and none was left open by a session that ended.
    #[track_caller]
    pub fn assert_no_handles_open(&self) {
        self.assert_record("no open SFTP handle, and none left behind", |record| {
            record.handles_open() == 0 && record.handles_left() == 0
        });
    }

    /// No command, shell or subsystem is running.
    #[track_caller]
    pub fn assert_no_processes_running(&self) {
        self.assert_record("no running process", |record| record.processes_running() == 0);
    }

    /// This command was run, at least once.
    #[track_caller]
    pub fn assert_command_ran(&self, command: &str) {
        self.assert_record(&format!("the command {command:?}"), |record| record.command(command).is_some());
    }

    /// This user has logged in by this method, as the last step if there were several.
    #[track_caller]
    pub fn assert_logged_in(&self, user: &str, method: Method) {
        self.assert_record(&format!("a login of {user:?} by {method}"), |record| {
            record.auth_attempts().iter().any(|attempt| {
                attempt.user() == user
                    && attempt.method() == method
                    && attempt.outcome() == AuthOutcome::Accepted
            })
        });
    }

    /// The record shows this; `what` names it for the message.
    #[track_caller]
    pub fn assert_record(&self, what: &str, shows: impl FnOnce(&Record) -> bool) {
        let record = self.record();
        assert!(
            shows(&record),
            "expected {what} in the server's record, which shows:\n{record}seed: {}",
            self.seed()
        );
    }

    /// Returns when there is no connection, channel or running command left. That is so too before the first client has
    /// come; where it may still be on its way, wait for it before.
    ///
    /// # Errors
    /// Something was still there after `limit`; the error prints the record.
    ///
    /// # Cancel safety
    /// Nothing changes when this future is dropped.
    pub async fn wait_until_idle(&self, limit: Duration) -> Result<(), Error> {
        let idle = |record: &Record| {
            record.connections_open() == 0 && record.channels_open() == 0 && record.processes_running() == 0
        };
        self.wait_until(idle, limit).await
    }
}

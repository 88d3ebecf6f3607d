//! `-v`: what the libraries say of themselves, on standard error.

use tracing_subscriber::EnvFilter;

use crate::plan::{Output, Voice};
use crate::streams::Lines;

/// Starts logging where it was asked for: `-v` says what happens to the connection, `-vv` how, `-vvv` all of it,
/// the SSH base's own words included.
pub(crate) fn start(output: Output) {
    let filter = match output.voice {
        Voice::Quiet | Voice::Normal => return,
        Voice::Verbose(1) => "rustle_session=info,rustle_sftp=info,rustle_testserver=info",
        Voice::Verbose(2) => "rustle_session=debug,rustle_sftp=debug,rustle_testserver=debug",
        Voice::Verbose(_) => "trace",
    };
    let ansi = anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never;
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(|| Lines)
        .with_ansi(ansi)
        .init();
}

//! An agent of the tests' own, at a socket or a pipe: it writes down what it is asked, and answers as it is told.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use rustle_session::AgentSource;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinHandle;

pub(crate) const FAILURE: u8 = 5;
pub(crate) const SUCCESS: u8 = 6;
pub(crate) const REQUEST_IDENTITIES: u8 = 11;
pub(crate) const IDENTITIES_ANSWER: u8 = 12;
pub(crate) const ADD_IDENTITY: u8 = 17;
pub(crate) const ADD_ID_CONSTRAINED: u8 = 25;
pub(crate) const EXTENSION: u8 = 27;

/// What it answers; `None` is silence.
type Answer = dyn Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync;

/// Ended when it is dropped.
pub(crate) struct FakeAgent {
    path: PathBuf,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    task: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl FakeAgent {
    /// One that holds no keys, takes every key and knows every extension.
    pub(crate) fn start() -> Self {
        Self::answering(|request| {
            Some(match request.first() {
                Some(&REQUEST_IDENTITIES) => vec![IDENTITIES_ANSWER, 0, 0, 0, 0],
                Some(&(ADD_IDENTITY | ADD_ID_CONSTRAINED | EXTENSION)) => vec![SUCCESS],
                _ => vec![FAILURE],
            })
        })
    }

    /// At this pipe, as the agents of Windows have theirs.
    #[cfg(windows)]
    pub(crate) fn at_pipe(
        path: PathBuf,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let task = listen_at(&path, Arc::clone(&asked), Arc::new(answer));
        Self { path, asked, task, _folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn answering(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let answer: Arc<Answer> = Arc::new(answer);
        let (path, task) = listen(&folder, Arc::clone(&asked), answer);
        Self { path, asked, task, _folder: folder }
    }

    pub(crate) fn source(&self) -> AgentSource {
        AgentSource::Path(self.path.clone())
    }

    /// What it was asked so far, in order, over all connections.
    pub(crate) fn asked(&self) -> Vec<Vec<u8>> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(unix)]
fn listen(
    folder: &tempfile::TempDir,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    answer: Arc<Answer>,
) -> (PathBuf, JoinHandle<()>) {
    let path = folder.path().join("agent");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let task = tokio::spawn(async move {
        let mut visits = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            visits.spawn(serve(stream, Arc::clone(&asked), Arc::clone(&answer)));
        }
    });
    (path, task)
}

#[cfg(windows)]
fn listen(
    folder: &tempfile::TempDir,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    answer: Arc<Answer>,
) -> (PathBuf, JoinHandle<()>) {
    let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
    let path = PathBuf::from(format!(r"\\.\pipe\rustle-agent-{name}"));
    let task = listen_at(&path, asked, answer);
    (path, task)
}

#[cfg(windows)]
fn listen_at(path: &std::path::Path, asked: Arc<Mutex<Vec<Vec<u8>>>>, answer: Arc<Answer>) -> JoinHandle<()> {
    use tokio::net::windows::named_pipe::ServerOptions;

    let mut pipe = ServerOptions::new().first_pipe_instance(true).create(path).unwrap();
    let at = path.to_owned();
    tokio::spawn(async move {
        let mut visits = tokio::task::JoinSet::new();
        while pipe.connect().await.is_ok() {
            let next = ServerOptions::new().create(&at).unwrap();
            let visitor = std::mem::replace(&mut pipe, next);
            visits.spawn(serve(visitor, Arc::clone(&asked), Arc::clone(&answer)));
        }
    })
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    asked: Arc<Mutex<Vec<Vec<u8>>>>,
    answer: Arc<Answer>,
) {
    let mut length = [0; 4];
    while stream.read_exact(&mut length).await.is_ok() {
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        if stream.read_exact(&mut request).await.is_err() {
            return;
        }
        asked.lock().unwrap().push(request.clone());
        let Some(reply) = answer(&request) else { continue };
        let mut message = u32::try_from(reply.len()).unwrap().to_be_bytes().to_vec();
        message.extend_from_slice(&reply);
        if stream.write_all(&message).await.is_err() {
            return;
        }
    }
}

/// The next string of a message (RFC 4251 section 5).
pub(crate) fn take<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let (length, after) = rest.split_first_chunk::<4>().unwrap();
    let (field, after) = after.split_at(u32::from_be_bytes(*length) as usize);
    *rest = after;
    field
}

//! A port here that a client forwards to one behind the server, where something waits that sends much or sends all back.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::Failure;
use crate::shell;

/// A login and a bind.
const STANDS_WITHIN: Duration = Duration::from_secs(10);
const BLOCK: usize = 256 * 1024;

/// What is behind the server. It listens for as long as this process is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Service {
    /// Sends so many bytes to whoever connects.
    Source(u64),
    /// Sends back what comes.
    Echo,
}

impl Service {
    /// The port it is at.
    pub(super) fn start(self) -> Result<u16, Failure> {
        let listener =
            TcpListener::bind(("127.0.0.1", 0)).map_err(|error| failed("cannot listen", &error))?;
        let port = listener.local_addr().map_err(|error| failed("no port", &error))?.port();
        thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                // Whoever leaves early needs no more.
                thread::spawn(move || drop(self.serve(client)));
            }
        });
        Ok(port)
    }

    fn serve(self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        match self {
            Self::Source(bytes) => {
                let block = vec![7; BLOCK];
                let mut left = bytes;
                while left > 0 {
                    let part = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
                    client.write_all(&block[..part])?;
                    left -= part as u64;
                }
                client.shutdown(Shutdown::Write)
            }
            Self::Echo => {
                let mut block = vec![0; BLOCK];
                loop {
                    match client.read(&mut block)? {
                        0 => return Ok(()),
                        count => client.write_all(&block[..count])?,
                    }
                }
            }
        }
    }
}

/// A client that forwards, until it is dropped.
pub(super) struct Tunnel {
    client: Child,
    shown: String,
    port: u16,
}

impl Tunnel {
    /// The client is to listen at this port; see [`connect`](Self::connect).
    pub(super) fn start(mut command: Command, port: u16) -> Result<Self, Failure> {
        let shown = shell::shown(&command);
        let client = command.spawn().map_err(|error| failed(&shown, &error))?;
        Ok(Self { client, shown, port })
    }

    /// A connection through it, as soon as it listens.
    pub(super) fn connect(&mut self) -> Result<TcpStream, Failure> {
        let deadline = Instant::now() + STANDS_WITHIN;
        loop {
            match TcpStream::connect(("127.0.0.1", self.port)) {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(|error| failed(&self.shown, &error))?;
                    return Ok(stream);
                }
                Err(error) if Instant::now() > deadline => return Err(failed(&self.shown, &error)),
                Err(_) if self.client.try_wait().is_ok_and(|ended| ended.is_some()) => {
                    return Err(Failure::new(format!("`{}` has ended and forwards nothing", self.shown)));
                }
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Takes all that a [`Service::Source`] of so many bytes sends.
    pub(super) fn drain(&mut self, bytes: u64) -> Result<(), Failure> {
        let mut stream = self.connect()?;
        let (mut block, mut count) = (vec![0; BLOCK], 0);
        loop {
            match stream.read(&mut block).map_err(|error| failed(&self.shown, &error))? {
                0 if count == bytes => return Ok(()),
                0 => return Err(Failure::new(format!("`{}` gave {count} of {bytes} bytes", self.shown))),
                part => count += part as u64,
            }
        }
    }

    /// What each of so many round trips of so many bytes takes to a [`Service::Echo`], in seconds.
    pub(super) fn echo(&mut self, count: usize, bytes: usize) -> Result<Vec<f64>, Failure> {
        let mut stream = self.connect()?;
        let (block, mut back) = (vec![7; bytes], vec![0; bytes]);
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let sent = Instant::now();
            let round = stream.write_all(&block).and_then(|()| stream.read_exact(&mut back));
            round.map_err(|error| failed(&self.shown, &error))?;
            times.push(sent.elapsed().as_secs_f64());
        }
        Ok(times)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

fn failed(what: &str, error: &io::Error) -> Failure {
    Failure::new(format!("{what}: {error}"))
}

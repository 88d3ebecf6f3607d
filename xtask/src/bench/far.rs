//! A long link to the server of a run: a relay on loopback that holds back what passes by a time and a rate.
//!
//! It is what a link does to one who is alone on it: each byte arrives half a round trip after it was sent, no faster than
//! the rate, and a queue in front of it fills up before the sender is stopped. Nothing is lost and nothing comes out of
//! order.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::bench::server::Server;
use crate::outcome::Failure;
use crate::shell;

/// What a link does to bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) round_trip: Duration,
    /// In each direction.
    pub(super) bytes_per_second: f64,
}

/// The link, and a configuration by which the name of the server leads over it.
pub(super) struct Far {
    config: PathBuf,
}

/// One direction of the link, shared by all connections.
struct Direction {
    link: Link,
    /// When all that has gone in so far is through.
    busy_until: Mutex<Instant>,
}

/// What is under way; nothing for the end of the stream.
struct Parcel {
    due: Instant,
    bytes: Vec<u8>,
}

impl Far {
    /// Begins to listen. The relay's threads end with the connections they carry, and the one that listens with the process.
    pub(super) fn start(server: &Server, name: &str, link: Link) -> Result<Self, Failure> {
        let listener = TcpListener::bind(("127.0.0.1", 0));
        let listener = listener.map_err(|error| Failure::new(format!("the relay cannot listen: {error}")))?;
        let port = listener.local_addr().map_err(|error| Failure::new(error.to_string()))?.port();
        let to = server.port();
        let directions = [Direction::new(link), Direction::new(link)];
        thread::spawn(move || {
            for near in listener.incoming().filter_map(Result::ok) {
                // Who connects sees that nothing is behind it.
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let _ = carry(near, far, &directions);
            }
        });
        let config = server.folder().join(format!("ssh_config_{name}"));
        write_config(server, port, &config)?;
        Ok(Self { config })
    }

    /// The clients' configuration.
    pub(super) fn ssh_config(&self) -> &Path {
        &self.config
    }
}

/// As that of the server, with the relay's port, under which its key is known as well.
fn write_config(server: &Server, port: u16, config: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(format!("{}: {error}", config.display()));
    let near = shell::read(&server.ssh_config())?;
    let lines: Vec<String> = near
        .lines()
        .map(|line| match line.split_whitespace().next() {
            Some("Port") => format!("  Port {port}"),
            _ => line.to_owned(),
        })
        .collect();
    fs::write(config, lines.join("\n") + "\n").map_err(failed)?;
    let known_hosts = server.folder().join("known_hosts");
    let known = shell::read(&known_hosts)?;
    let key = known.lines().next().and_then(|line| line.split_once(' ')).map_or("", |(_, key)| key);
    let mut known_hosts = OpenOptions::new().append(true).open(known_hosts).map_err(failed)?;
    writeln!(known_hosts, "[127.0.0.1]:{port} {key}").map_err(failed)
}

/// Both directions of a connection, with two threads each.
fn carry(near: TcpStream, far: TcpStream, [there, back]: &[Arc<Direction>; 2]) -> io::Result<()> {
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let copies = (near.try_clone()?, far.try_clone()?);
    one_way(near, far, Arc::clone(there));
    one_way(copies.1, copies.0, Arc::clone(back));
    Ok(())
}

fn one_way(from: TcpStream, to: TcpStream, direction: Arc<Direction>) {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || direction.take(from, &send));
    thread::spawn(move || give(to, &receive));
}

impl Direction {
    fn new(link: Link) -> Arc<Self> {
        Arc::new(Self { link, busy_until: Mutex::new(Instant::now()) })
    }

    /// Reads until the end, and says of each piece when it is through.
    fn take(&self, mut from: TcpStream, send: &mpsc::Sender<Parcel>) {
        let mut buffer = vec![0; PIECE];
        loop {
            // A connection that is reset ends on the other side as well.
            let read = from.read(&mut buffer).unwrap_or(0);
            let parcel = Parcel { due: self.through(read), bytes: buffer[..read].to_vec() };
            if send.send(parcel).is_err() || read == 0 {
                return;
            }
        }
    }

    /// Waits until there is room in the queue, and says when these bytes have arrived.
    fn through(&self, bytes: usize) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.link.bytes_per_second);
        let (sent, waits) = {
            let mut busy_until = self.busy_until.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            *busy_until = (*busy_until).max(now) + takes;
            (*busy_until, busy_until.saturating_duration_since(now).saturating_sub(QUEUE))
        };
        thread::sleep(waits);
        sent + self.link.round_trip / 2
    }
}

fn give(mut to: TcpStream, receive: &mpsc::Receiver<Parcel>) {
    for Parcel { due, bytes } in receive {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() {
            let _ = to.shutdown(Shutdown::Write);
            return;
        }
        if to.write_all(&bytes).is_err() {
            let _ = to.shutdown(Shutdown::Both);
            return;
        }
    }
}

/// What is read at a time: at 1 Gb/s half a millisecond.
const PIECE: usize = 64 * 1024;

/// What a router keeps before it stops the sender.
const QUEUE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_take_half_a_round_trip_and_their_time_on_the_wire() {
        let link = Link { round_trip: Duration::from_millis(200), bytes_per_second: 1e6 };
        let direction = Direction::new(link);
        let begun = Instant::now();
        let (first, second) = (direction.through(10_000), direction.through(5_000));
        assert!(first >= begun + Duration::from_millis(110));
        assert!(second - first >= Duration::from_millis(5));
        let far = direction.through(100_000);
        assert!(far - second >= Duration::from_millis(100));
        assert!(begun.elapsed() >= Duration::from_millis(95), "the sender waits for room in the queue");
    }

    #[test]
    fn what_goes_in_comes_out_and_so_does_the_end() {
        let link = Link { round_trip: Duration::from_millis(20), bytes_per_second: 1e9 };
        let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let far = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let mut served = server.accept().unwrap().0;
        carry(listener.accept().unwrap().0, far, &[Direction::new(link), Direction::new(link)]).unwrap();
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(300_000).collect();
        let begun = Instant::now();
        let echoing = thread::spawn(move || {
            let mut all = Vec::new();
            served.read_to_end(&mut all).unwrap();
            served.write_all(&all).unwrap();
        });
        near.write_all(&bytes).unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        near.read_to_end(&mut back).unwrap();
        assert!(back == bytes && begun.elapsed() >= link.round_trip);
        echoing.join().unwrap();
    }
}

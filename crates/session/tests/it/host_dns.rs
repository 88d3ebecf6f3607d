//! Host keys in DNS, with a responder of the suite's own: what it says wrong never turns into trust.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustle_session::{
    BoxFuture, DnsFinding, DnsResolver, ErrorKind, HostKeyAnswer, HostKeyOffer, HostKeyPrompter, HostSetup,
    HostTrust, PromptError,
};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::known_hosts_file::Files;

const AD: u16 = 0x20;
const TRUNCATED: u16 = 0x200;
const SSHFP: u16 = 44;
const CNAME: u16 = 5;
/// The name of the question, told by its place.
const SAME_NAME: &[u8] = &[0xc0, 12];

fn wire(seed: u8) -> Vec<u8> {
    let mut wire = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
    wire.extend([seed; 32]);
    wire
}

fn offer(seed: u8) -> HostKeyOffer {
    HostKeyOffer::from_wire("web-1.example.com", 22, &wire(seed)).unwrap()
}

/// A record of a key.
fn sshfp(seed: u8) -> Vec<u8> {
    [&[4, 2][..], &Sha256::digest(wire(seed))].concat()
}

/// An answer: the flags beside "response", and records as owner, type and data.
#[derive(Clone)]
struct Says {
    flags: u16,
    records: Vec<(Vec<u8>, u16, Vec<u8>)>,
    /// Changes the whole message.
    bend: fn(&mut Vec<u8>),
    is_bent: bool,
}

impl Says {
    fn keys(flags: u16, seeds: &[u8]) -> Self {
        let records = seeds.iter().map(|seed| (SAME_NAME.to_vec(), SSHFP, sshfp(*seed))).collect();
        Self { flags, records, bend: |_| {}, is_bent: false }
    }

    fn bent(flags: u16, bend: fn(&mut Vec<u8>)) -> Self {
        Self { bend, is_bent: true, ..Self::keys(flags, &[1]) }
    }

    fn to(&self, query: &[u8]) -> Vec<u8> {
        // The question ends where EDNS begins, eleven bytes from the end.
        let question = &query[12..query.len() - 11];
        let mut out = query[..2].to_vec();
        let count = u16::try_from(self.records.len()).unwrap();
        for word in [0x8180 | self.flags, 1, count, 0, 0] {
            out.extend(word.to_be_bytes());
        }
        out.extend(question);
        for (owner, kind, data) in &self.records {
            out.extend(owner);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60]);
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(data);
        }
        (self.bend)(&mut out);
        out
    }
}

/// Answers over UDP and TCP at one port, until it is dropped.
struct Responder {
    address: SocketAddr,
    queries: Arc<Mutex<Vec<Vec<u8>>>>,
    _tasks: JoinSet<()>,
}

impl Responder {
    /// Each question over UDP gets all of these, each over TCP the last.
    async fn saying(udp: Vec<Says>, tcp: Option<Says>) -> Self {
        let (socket, listener) = loop {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // The same port may be taken for TCP.
            if let Ok(listener) = TcpListener::bind(socket.local_addr().unwrap()).await {
                break (socket, listener);
            }
        };
        let address = socket.local_addr().unwrap();
        let queries = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&queries);
        tasks.spawn(async move {
            let mut query = [0; 512];
            while let Ok((count, from)) = socket.recv_from(&mut query).await {
                seen.lock().unwrap().push(query[..count].to_vec());
                for says in &udp {
                    socket.send_to(&says.to(&query[..count]), from).await.unwrap();
                }
            }
        });
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let Some(says) = &tcp else { continue };
                let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
                stream.read_exact(&mut query).await.unwrap();
                let answer = says.to(&query);
                stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        });
        Self { address, queries, _tasks: tasks }
    }

    /// The first question that came, as soon as it has.
    async fn query(&self) -> Vec<u8> {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(query) = self.queries.lock().unwrap().first() {
                return query.clone();
            }
            assert!(Instant::now() < deadline, "nobody asked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// With one attempt: what is broken stays so. It may take as long as a busy machine takes, unless the options say
    /// otherwise.
    fn resolver(&self, options: &str) -> DnsResolver {
        let text = format!("options attempts:1 timeout:30 {options}\n");
        DnsResolver::from_resolv_conf(&text).with_nameserver(self.address)
    }
}

async fn checked(says: Vec<Says>, tcp: Option<Says>, options: &str) -> Result<(), ErrorKind> {
    let sent = says.clone();
    let responder = Responder::saying(says, tcp).await;
    let files = Files::new();
    let trust = files.trust().trust_dns(responder.resolver(options));
    let checked = trust.check(&offer(1)).await.map_err(|error| error.kind());
    assert!(!files.path.exists(), "DNS writes nothing down");
    let query = responder.query().await;
    for says in sent {
        // What is bent on purpose is bent indeed.
        let straight = Says { bend: |_| {}, ..says.clone() };
        let is_bent = says.to(&query) != straight.to(&query);
        assert_eq!(is_bent, says.is_bent, "the test does not bend what it means to");
    }
    checked
}

const UNKNOWN: Result<(), ErrorKind> = Err(ErrorKind::HostKeyUnknown);

#[tokio::test]
async fn a_secure_record_of_the_key_is_trust_without_known_hosts() {
    assert_eq!(checked(vec![Says::keys(AD, &[1])], None, "trust-ad").await, Ok(()));
    let alias = Says {
        records: vec![
            (SAME_NAME.to_vec(), CNAME, b"\x01b\0".to_vec()),
            (b"\x01b\0".to_vec(), SSHFP, sshfp(1)),
        ],
        ..Says::keys(AD, &[])
    };
    assert_eq!(checked(vec![alias], None, "trust-ad").await, Ok(()), "under an alias");
}

#[tokio::test]
async fn a_record_counts_only_where_the_server_verified_it_and_is_believed() {
    assert_eq!(checked(vec![Says::keys(0, &[1])], None, "trust-ad").await, UNKNOWN, "no AD");
    assert_eq!(checked(vec![Says::keys(AD, &[1])], None, "").await, UNKNOWN, "no trust-ad");
    // `ask` never takes DNS for trust.
    let responder = Responder::saying(vec![Says::keys(AD, &[1])], None).await;
    let trust = Files::new().trust().look_up_in_dns(responder.resolver("trust-ad"));
    assert_eq!(trust.check(&offer(1)).await.unwrap_err().kind(), ErrorKind::HostKeyUnknown);
}

#[tokio::test]
async fn records_of_other_keys_are_no_trust() {
    for seeds in [&[][..], &[2], &[1, 2], &[2, 1]] {
        assert_eq!(checked(vec![Says::keys(AD, seeds)], None, "trust-ad").await, UNKNOWN, "{seeds:?}");
    }
    let others = Says {
        records: vec![(b"\x05other\0".to_vec(), SSHFP, sshfp(1)), (SAME_NAME.to_vec(), 16, sshfp(1))],
        ..Says::keys(AD, &[])
    };
    assert_eq!(checked(vec![others], None, "trust-ad").await, UNKNOWN, "another name, another type");
}

#[tokio::test]
async fn no_broken_answer_turns_into_trust() {
    for (why, says) in [
        ("a format error", Says::keys(AD | 1, &[1])),
        ("a failure", Says::keys(AD | 2, &[1])),
        ("no such name", Says::keys(AD | 3, &[1])),
        ("a refusal", Says::keys(AD | 5, &[1])),
        ("another id", Says::bent(AD, |message| message[1] ^= 1)),
        ("a query", Says::bent(AD, |message| message[2] &= 0x7f)),
        ("another operation", Says::bent(AD, |message| message[2] |= 0x28)),
        ("another question", Says::bent(AD, |message| message[13] ^= 1)),
        ("no question", Says::bent(AD, |message| message[5] = 0)),
        ("more records than there are", Says::bent(AD, |message| message[7] = 9)),
        ("cut short", Says::bent(AD, |message| message.truncate(message.len() - 1))),
        ("a header alone", Says::bent(AD, |message| message.truncate(12))),
        ("nothing", Says::bent(AD, Vec::clear)),
        (
            "a digest cut short",
            Says {
                records: vec![(SAME_NAME.to_vec(), SSHFP, sshfp(1)[..20].to_vec())],
                ..Says::keys(AD, &[])
            },
        ),
        (
            "a record without a digest",
            Says { records: vec![(SAME_NAME.to_vec(), SSHFP, vec![4, 2])], ..Says::keys(AD, &[1]) },
        ),
        (
            "a ring of aliases",
            Says { records: vec![(SAME_NAME.to_vec(), CNAME, SAME_NAME.to_vec())], ..Says::keys(AD, &[]) },
        ),
        (
            "a name that points at itself",
            Says { records: vec![(vec![0xc0, 35], SSHFP, sshfp(1))], ..Says::keys(AD, &[]) },
        ),
        ("longer than it may be", Says::bent(AD, |message| message.resize(4000, 0))),
        ("truncated, and nobody at TCP", Says::keys(AD | TRUNCATED, &[1])),
    ] {
        // What is passed over as somebody's guess is waited behind.
        assert_eq!(checked(vec![says], None, "trust-ad timeout:1").await, UNKNOWN, "{why}");
    }
    assert_eq!(checked(Vec::new(), None, "trust-ad timeout:1").await, UNKNOWN, "silence");
    // The same without anything broken is trust.
    assert_eq!(checked(vec![Says::keys(AD, &[1])], None, "trust-ad").await, Ok(()));
}

#[tokio::test]
async fn a_truncated_answer_is_asked_for_again_over_tcp() {
    let truncated = || vec![Says::keys(AD | TRUNCATED, &[1])];
    assert_eq!(checked(truncated(), Some(Says::keys(AD, &[1])), "trust-ad").await, Ok(()));
    assert_eq!(checked(truncated(), Some(Says::keys(AD, &[2])), "trust-ad").await, UNKNOWN);
    assert_eq!(checked(truncated(), Some(Says::keys(AD | TRUNCATED, &[1])), "trust-ad").await, UNKNOWN);
    assert_eq!(
        checked(truncated(), Some(Says::bent(AD, |message| message[0] ^= 1)), "trust-ad").await,
        UNKNOWN
    );
}

#[tokio::test]
async fn guesses_at_the_answer_are_passed_over() {
    let guess = Says::bent(AD, |message| message[1] ^= 0x55);
    let true_answer = Says::keys(AD, &[2]);
    assert_eq!(checked(vec![guess.clone(), guess, true_answer], None, "trust-ad").await, UNKNOWN);
    let guess = Says { bend: |message| message[0] ^= 0x55, is_bent: true, ..Says::keys(AD, &[2]) };
    assert_eq!(checked(vec![guess, Says::keys(AD, &[1])], None, "trust-ad").await, Ok(()));
}

#[tokio::test]
async fn each_question_has_an_id_of_its_own() {
    let responder = Responder::saying(vec![Says::keys(0, &[1])], None).await;
    let trust = Files::new().trust().trust_dns(responder.resolver(""));
    for _ in 0..20 {
        let _ = trust.check(&offer(1)).await;
    }
    let queries = responder.queries.lock().unwrap();
    let mut ids: Vec<&[u8]> = queries.iter().map(|query| &query[..2]).collect();
    ids.sort_unstable();
    ids.dedup();
    assert!(queries.len() == 20 && ids.len() > 15, "{ids:?}");
}

#[tokio::test]
async fn dns_does_not_undo_what_the_files_say() {
    let responder = Responder::saying(vec![Says::keys(AD, &[1])], None).await;
    let files = Files::new();
    let key = |seed| ssh_key::PublicKey::from_bytes(&wire(seed)).unwrap().to_openssh().unwrap();
    std::fs::write(&files.path, format!("web-1.example.com {}\n", key(2))).unwrap();
    let insecure = files.trust().accept_new().trust_dns(responder.resolver(""));
    assert_eq!(insecure.check(&offer(1)).await.unwrap_err().kind(), ErrorKind::HostKeyChanged);
    insecure.check(&offer(2)).await.unwrap();
    // As ssh: a secure record goes before the files, and only a list of revoked keys before that.
    let secure = files.trust().trust_dns(responder.resolver("trust-ad"));
    secure.check(&offer(1)).await.unwrap();
    let list = files.directory.path().join("revoked");
    std::fs::write(&list, key(1)).unwrap();
    let error = secure.revoked_keys(list).check(&offer(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostKeyRevoked);
}

#[tokio::test]
async fn an_address_is_not_looked_up() {
    let responder = Responder::saying(vec![Says::keys(AD, &[1])], None).await;
    let trust = Files::new().trust().trust_dns(responder.resolver("trust-ad"));
    for host in ["192.0.2.1", "::1"] {
        let offer = HostKeyOffer::from_wire(host, 22, &wire(1)).unwrap();
        assert_eq!(trust.check(&offer).await.unwrap_err().kind(), ErrorKind::HostKeyUnknown);
    }
    assert!(responder.queries.lock().unwrap().is_empty());
}

#[derive(Default)]
struct Shown(Mutex<Vec<Option<DnsFinding>>>);

impl HostKeyPrompter for Shown {
    fn confirm<'a>(&'a self, offer: &'a HostKeyOffer) -> BoxFuture<'a, Result<HostKeyAnswer, PromptError>> {
        self.0.lock().unwrap().push(offer.dns());
        Box::pin(std::future::ready(Ok(HostKeyAnswer::No)))
    }
}

#[tokio::test]
async fn a_person_is_told_what_dns_says() {
    for (option, says, finding) in [
        ("ask", vec![Says::keys(AD, &[1])], Some(DnsFinding::Matching)),
        ("yes", vec![Says::keys(0, &[1])], Some(DnsFinding::Matching)),
        ("yes", vec![Says::keys(AD, &[2])], Some(DnsFinding::NotMatching)),
        ("yes", vec![Says::keys(AD | 2, &[1])], Some(DnsFinding::NotMatching)),
        ("no", vec![Says::keys(AD, &[1])], None),
    ] {
        let responder = Responder::saying(says, None).await;
        let (files, shown) = (Files::new(), Arc::new(Shown::default()));
        let setup = HostSetup::builder("web-1.example.com")
            .without_config_files()
            .option(format!("VerifyHostKeyDNS={option}"))
            .option(format!("UserKnownHostsFile=\"{}\"", files.path.display()))
            .option(format!("GlobalKnownHostsFile=\"{}\"", files.path.display()))
            .resolver(responder.resolver("trust-ad"))
            .host_key_prompter(Arc::<Shown>::clone(&shown));
        let error = setup.resolve().unwrap().host_trust().check(&offer(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HostKeyUnknown);
        assert_eq!(*shown.0.lock().unwrap(), [finding], "{option}");
    }
}

#[test]
fn the_system_s_servers_are_those_of_resolv_conf() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("resolv.conf");
    let missing = DnsResolver::from_file(&path).unwrap();
    assert_eq!(missing.nameservers()[0].to_string(), "127.0.0.1:53");
    std::fs::write(&path, "nameserver 192.0.2.53\n").unwrap();
    assert_eq!(DnsResolver::from_file(&path).unwrap().nameservers()[0].to_string(), "192.0.2.53:53");
    assert_eq!(DnsResolver::from_file(directory.path()).unwrap_err().kind(), ErrorKind::Configuration);
    let system = DnsResolver::system();
    assert_eq!(system.is_err(), cfg!(windows), "{system:?}");
    if let Err(error) = system {
        assert!(error.hint().unwrap().contains("VerifyHostKeyDNS no"));
    }
}

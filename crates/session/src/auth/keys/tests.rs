//! Key files as `ssh-keygen` and `puttygen` write them, and what can be wrong with them.
//!
//! Keys are made for each run; where a tool is missing its tests say so and pass.

use std::fs;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::super::credentials::{Credentials, MemoryKey};
use super::*;
use crate::error::ErrorKind;

const PASSPHRASE: &str = "correct horse";

/// Runs a tool; `false` if it is not installed.
fn ran(tool: &str, arguments: &[&str]) -> bool {
    let output = match Command::new(tool).args(arguments).stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("skipped: {tool} is not installed");
            return false;
        }
        Err(error) => panic!("{tool}: {error}"),
    };
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// Makes a key by `ssh-keygen`; `None` if it is not installed.
fn generate(directory: &TempDir, name: &str, arguments: &[&str]) -> Option<PathBuf> {
    let path = directory.path().join(name);
    let mut all = vec!["-q", "-f", path.to_str().unwrap(), "-C", "me@test"];
    all.extend_from_slice(arguments);
    ran("ssh-keygen", &all).then_some(path)
}

fn open(path: &Path) -> Result<Arc<KeyFile>, KeyProblem> {
    match KeyFile::open(&KeyOrigin::File(path.to_owned()))? {
        Opened::Private(file) => Ok(file),
        Opened::Public(key) => panic!("{} is a public key: {key:?}", path.display()),
    }
}

fn public_of(path: &Path) -> PublicKey {
    read_public(&with_suffix(path, ".pub")).unwrap()
}

/// The key unlocks with `passphrase`, signs, and the signature fits the public key that `ssh-keygen` wrote.
fn assert_usable(path: &Path, passphrase: Option<&str>, public: &PublicKey) {
    use ssh_key::{HashAlg, Signature};

    let file = open(path).unwrap();
    if let Some(known) = file.public() {
        assert_eq!(known.key_data(), public.key_data(), "{}", path.display());
    }
    let passphrase = passphrase.map(SecretString::from);
    let key = file.unlock(passphrase.as_ref()).unwrap_or_else(|problem| panic!("{problem}: {problem:?}"));
    assert_eq!(key.public_key().key_data(), public.key_data());
    let hash = matches!(key.algorithm(), Algorithm::Rsa { .. }).then_some(HashAlg::Sha512);
    let blob = keys::sign(&key, hash, b"to be signed").unwrap();
    let signature = Signature::try_from(&blob[..]).unwrap();
    keys::verify(public, b"to be signed", &signature).unwrap();
}

/// Encrypted: the wrong passphrase and none are told apart, and neither looks like damage.
fn assert_locked(path: &Path) {
    let file = open(path).unwrap();
    assert!(file.unlock(None).unwrap_err().needs_passphrase(), "{}", path.display());
    let wrong = SecretString::from("battery staple");
    let problem = file.unlock(Some(&wrong)).unwrap_err();
    assert!(problem.is_wrong_passphrase(), "{problem:?}");
    assert!(!format!("{problem} {problem:?}").contains("battery"));
}

const TYPES: [(&str, &[&str]); 5] = [
    ("ed25519", &["-t", "ed25519"]),
    ("ecdsa256", &["-t", "ecdsa", "-b", "256"]),
    ("ecdsa384", &["-t", "ecdsa", "-b", "384"]),
    ("ecdsa521", &["-t", "ecdsa", "-b", "521"]),
    ("rsa", &["-t", "rsa", "-b", "2048"]),
];

#[test]
fn openssh_files_of_every_type_are_read_plain_and_encrypted() {
    let directory = TempDir::new().unwrap();
    for (name, arguments) in TYPES {
        let Some(path) = generate(&directory, name, &[arguments, &["-N", ""]].concat()) else { return };
        assert_usable(&path, None, &public_of(&path));
        let locked = format!("{name}-locked");
        let all = [arguments, &["-N", PASSPHRASE, "-a", "4"]].concat();
        let path = generate(&directory, &locked, &all).unwrap();
        assert_locked(&path);
        assert_usable(&path, Some(PASSPHRASE), &public_of(&path));
    }
}

#[test]
fn openssh_files_are_read_with_every_cipher_of_ssh_keygen() {
    let directory = TempDir::new().unwrap();
    for cipher in [
        "aes128-cbc",
        "aes192-cbc",
        "aes256-cbc",
        "aes128-ctr",
        "aes192-ctr",
        "aes256-ctr",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ] {
        let arguments = ["-t", "ed25519", "-N", PASSPHRASE, "-a", "2", "-Z", cipher];
        let Some(path) = generate(&directory, cipher, &arguments) else { return };
        assert_locked(&path);
        assert_usable(&path, Some(PASSPHRASE), &public_of(&path));
    }
}

#[test]
fn pem_and_pkcs8_files_are_read_plain() {
    let directory = TempDir::new().unwrap();
    for (name, arguments) in &TYPES[1..] {
        for format in ["PEM", "PKCS8"] {
            let all = [arguments, &["-N", "", "-m", format][..]].concat();
            let Some(path) = generate(&directory, &format!("{name}-{format}"), &all) else { return };
            assert_usable(&path, None, &public_of(&path));
        }
    }
}

#[test]
fn encrypted_pem_and_pkcs8_files_are_read() {
    let directory = TempDir::new().unwrap();
    for (name, arguments) in &TYPES[1..] {
        for format in ["PEM", "PKCS8"] {
            let all = [arguments, &["-N", PASSPHRASE, "-m", format][..]].concat();
            let Some(path) = generate(&directory, &format!("{name}-{format}"), &all) else { return };
            assert_locked(&path);
            assert_usable(&path, Some(PASSPHRASE), &public_of(&path));
        }
    }
}

#[test]
fn pem_files_are_read_with_every_length_of_aes_that_openssl_writes() {
    let directory = TempDir::new().unwrap();
    let passphrase = format!("pass:{PASSPHRASE}");
    for (name, arguments) in &TYPES[1..] {
        let all = [arguments, &["-N", "", "-m", "PEM"][..]].concat();
        let Some(source) = generate(&directory, name, &all) else { return };
        let tool = if *name == "rsa" { &["rsa", "-traditional"][..] } else { &["ec"] };
        for cipher in ["-aes128", "-aes192", "-aes256", "-des3"] {
            let path = directory.path().join(format!("{name}{cipher}"));
            let files = ["-in", source.to_str().unwrap(), "-out", path.to_str().unwrap()];
            if !ran("openssl", &[tool, &files, &[cipher, "-passout", &passphrase]].concat()) {
                return;
            }
            close(&path);
            if cipher == "-des3" {
                let error = open(&path).unwrap_err().into_error();
                assert!(error.to_string().contains("DES-EDE3-CBC"), "{error}");
                assert!(error.hint().unwrap().contains("ssh-keygen -p"), "{error:?}");
            } else {
                assert_locked(&path);
                assert_usable(&path, Some(PASSPHRASE), &public_of(&source));
            }
        }
    }
}

#[test]
fn an_encrypted_key_without_its_public_file_is_opened_all_the_same() {
    let directory = TempDir::new().unwrap();
    let arguments = ["-t", "ecdsa", "-N", PASSPHRASE, "-m", "PKCS8"];
    let Some(path) = generate(&directory, "hidden", &arguments) else { return };
    let public = public_of(&path);
    fs::remove_file(with_suffix(&path, ".pub")).unwrap();
    assert!(open(&path).unwrap().public().is_none());
    assert_usable(&path, Some(PASSPHRASE), &public);
}

#[test]
fn putty_files_of_both_versions_are_read_plain_and_encrypted() {
    let directory = TempDir::new().unwrap();
    let secret = directory.path().join("passphrase");
    fs::write(&secret, PASSPHRASE).unwrap();
    let secret = secret.to_str().unwrap();
    for (name, arguments) in TYPES {
        let Some(source) = generate(&directory, name, &[arguments, &["-N", ""]].concat()) else { return };
        for version in ["2", "3"] {
            for locked in [false, true] {
                let path = directory.path().join(format!("{name}-{version}-{locked}.ppk"));
                let parameters = format!("version={version}");
                let mut all = vec![source.to_str().unwrap(), "-O", "private", "-o", path.to_str().unwrap()];
                all.extend_from_slice(&["--ppk-param", &parameters, "--new-passphrase"]);
                all.push(if locked { secret } else { "/dev/null" });
                if !ran("puttygen", &all) {
                    return;
                }
                close(&path);
                if locked {
                    assert_locked(&path);
                }
                assert_usable(&path, locked.then_some(PASSPHRASE), &public_of(&source));
            }
        }
    }
}

#[test]
fn a_windows_line_ending_changes_nothing() {
    let directory = TempDir::new().unwrap();
    for format in ["RFC4716", "PKCS8"] {
        let arguments = ["-t", "ecdsa", "-N", PASSPHRASE, "-a", "2", "-m", format];
        let Some(path) = generate(&directory, format, &arguments) else { return };
        let text = fs::read_to_string(&path).unwrap().replace('\n', "\r\n");
        fs::write(&path, text).unwrap();
        assert_usable(&path, Some(PASSPHRASE), &public_of(&path));
    }
}

#[test]
fn a_key_in_memory_is_read_like_a_file() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    let bytes = secrecy::SecretSlice::from(fs::read(&path).unwrap());
    let Ok(Opened::Private(file)) = KeyFile::open(&KeyOrigin::Memory(MemoryKey::new(bytes))) else {
        panic!()
    };
    assert_eq!(file.label(), "key in memory");
    assert_eq!(file.unlock(None).unwrap().public_key().key_data(), public_of(&path).key_data());
    assert!(file.certificate_beside().unwrap().is_none());
}

#[test]
fn a_plain_key_in_memory_is_decoded_once_and_an_encrypted_one_stays_locked() {
    let directory = TempDir::new().unwrap();
    let Some(plain) = generate(&directory, "plain", &["-t", "ed25519", "-N", ""]) else { return };
    let Some(locked) = generate(&directory, "locked", &["-t", "ed25519", "-N", PASSPHRASE]) else { return };
    let open = |origin: &KeyOrigin| match KeyFile::open(origin).unwrap() {
        Opened::Private(file) => file,
        Opened::Public(_) => panic!(),
    };
    for (path, once) in [(plain, true), (locked, false)] {
        let bytes = secrecy::SecretSlice::from(fs::read(&path).unwrap());
        let credentials = Credentials::new().key_bytes(bytes);
        assert!(!credentials.keys_are_at_hand());
        let first = open(&credentials.keys[0]);
        first.unlock(Some(&PASSPHRASE.to_owned().into())).unwrap();
        let second = open(&credentials.clone().keys[0]);
        assert_eq!(Arc::ptr_eq(&first, &second), once);
        assert_eq!(second.unlocked().is_some(), once);
        assert_eq!(credentials.keys_are_at_hand(), once);
        assert!(!credentials.key_file("another").keys_are_at_hand());
    }
}

#[test]
fn a_public_file_is_taken_for_what_it_is() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    let origin = KeyOrigin::File(with_suffix(&path, ".pub"));
    let Ok(Opened::Public(key)) = KeyFile::open(&origin) else { panic!() };
    assert_eq!(key.key_data(), public_of(&path).key_data());
}

#[test]
fn the_certificate_beside_a_key_is_found() {
    let directory = TempDir::new().unwrap();
    let Some(key) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    assert!(open(&key).unwrap().certificate_beside().unwrap().is_none());
    let authority = generate(&directory, "ca", &["-t", "ed25519", "-N", ""]).unwrap();
    let public = with_suffix(&key, ".pub");
    let arguments =
        ["-q", "-s", authority.to_str().unwrap(), "-I", "id", "-n", "me", public.to_str().unwrap()];
    assert!(ran("ssh-keygen", &arguments));
    let (path, certificate) = open(&key).unwrap().certificate_beside().unwrap().unwrap();
    assert_eq!(path, with_suffix(&key, "-cert.pub"));
    assert_eq!(certificate.public_key(), public_of(&key).key_data());

    fs::write(&path, "ssh-ed25519-cert-v01@openssh.com AAAA broken\n").unwrap();
    let problem = open(&key).unwrap().certificate_beside().unwrap_err();
    assert!(matches!(problem.fault(), Fault::NoCertificate), "{problem:?}");
}

#[test]
fn every_cut_of_a_file_is_an_error_and_none_a_panic() {
    let directory = TempDir::new().unwrap();
    for (name, arguments) in [
        ("plain", ["-t", "ed25519", "-N", "", "-m", "RFC4716"]),
        ("locked", ["-t", "ed25519", "-N", PASSPHRASE, "-a", "1"]),
        ("pem", ["-t", "ecdsa", "-N", "", "-m", "PEM"]),
        ("locked-pem", ["-t", "ecdsa", "-N", PASSPHRASE, "-m", "PEM"]),
        ("pkcs8", ["-t", "ecdsa", "-N", PASSPHRASE, "-m", "PKCS8"]),
    ] {
        let Some(path) = generate(&directory, name, &arguments) else { return };
        let whole = fs::read(&path).unwrap();
        fs::remove_file(with_suffix(&path, ".pub")).unwrap();
        let end = whole.windows(8).position(|window| window == b"-----END").unwrap();
        for length in (0..end).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            let problem = open(&path).expect_err("a cut file").into_error();
            assert_eq!(problem.kind(), ErrorKind::Key);
            assert!(problem.to_string().contains(path.to_str().unwrap()), "{problem}");
        }
        fs::write(&path, &whole[..end]).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("truncated"));
    }
}

#[test]
fn a_changed_byte_never_gives_another_key_nor_a_panic() {
    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    let public = public_of(&path);
    fs::remove_file(with_suffix(&path, ".pub")).unwrap();
    let whole = fs::read(&path).unwrap();
    for index in (36..whole.len() - 36).step_by(3) {
        let mut changed = whole.clone();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        fs::write(&path, &changed).unwrap();
        let unlocked = open(&path).and_then(|file| file.unlock(None));
        if let Ok(key) = unlocked {
            // Bytes of the comment, of the padding and of the check number change no key.
            assert_eq!(key.public_key().key_data(), public.key_data(), "byte {index}");
        }
    }
}

#[test]
fn what_is_no_key_is_named_as_what_it_is() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("file");
    for (content, expected) in [
        ("", "is empty"),
        ("hello\n", "is in no known key format"),
        (
            "-----BEGIN DSA PRIVATE KEY-----\nAA\n-----END DSA PRIVATE KEY-----\n",
            "is a DSA key, which is not supported",
        ),
        ("-----BEGIN PUBLIC KEY-----\nAA\n-----END PUBLIC KEY-----\n", "is a public key file"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "is truncated"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "is damaged"),
        ("-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n", "is damaged"),
        ("-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n", "is damaged"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n", "is damaged"),
    ] {
        fs::write(&path, content).unwrap();
        close(&path);
        let error = open(&path).unwrap_err().into_error();
        assert_eq!(
            error.to_string(),
            format!("{} {}", path.display(), {
                if expected == "is truncated" {
                    "is truncated: it begins as a private key and never ends"
                } else if expected == "is a public key file" {
                    "is a public key file, and no agent holds its private key"
                } else {
                    expected
                }
            })
        );
        assert!(error.hint().is_some());
    }
    fs::write(&path, vec![b'x'; MAX_KEY_FILE + 1]).unwrap();
    assert!(matches!(open(&path).unwrap_err().fault(), Fault::TooLarge));
    assert!(matches!(open(directory.path()).unwrap_err().fault(), Fault::Directory | Fault::Unreadable(_)));
    let gone = directory.path().join("gone");
    assert!(matches!(open(&gone).unwrap_err().fault(), Fault::Missing));
    assert!(matches!(open(&path.join("below")).unwrap_err().fault(), Fault::Missing));
}

#[test]
fn a_public_file_of_another_key_is_found_out() {
    let directory = TempDir::new().unwrap();
    let arguments = ["-t", "ecdsa", "-N", PASSPHRASE, "-m", "PKCS8"];
    let Some(one) = generate(&directory, "one", &arguments) else { return };
    let two = generate(&directory, "two", &arguments).unwrap();
    fs::copy(with_suffix(&two, ".pub"), with_suffix(&one, ".pub")).unwrap();
    let passphrase = SecretString::from(PASSPHRASE);
    let problem = open(&one).unwrap().unlock(Some(&passphrase)).unwrap_err();
    assert!(matches!(problem.fault(), Fault::OtherPublic), "{problem:?}");
}

/// PuTTY leaves out zero bytes at the end of a seed, and a number that begins with one is read as it is written.
#[test]
fn putty_files_are_read_whatever_bytes_the_seed_begins_and_ends_with() {
    use ssh_key::private::Ed25519Keypair;

    let directory = TempDir::new().unwrap();
    let secret = directory.path().join("passphrase");
    fs::write(&secret, PASSPHRASE).unwrap();
    for (name, first, second, last) in [
        ("first", 0, 9, 7),
        ("high", 0, 0x91, 7),
        ("last", 7, 9, 0),
        ("both", 0, 9, 0),
        ("negative", 0x91, 9, 7),
    ] {
        let mut seed = [0x5a; 32];
        (seed[0], seed[1], seed[31]) = (first, second, last);
        let key = PrivateKey::new(Ed25519Keypair::from_seed(&seed).into(), "me").unwrap();
        let source = directory.path().join(name);
        fs::write(&source, key.to_openssh(ssh_key::LineEnding::LF).unwrap().as_bytes()).unwrap();
        close(&source);
        for (version, locked) in [(2, false), (2, true), (3, false), (3, true)] {
            let path = directory.path().join(format!("{name}-{version}-{locked}.ppk"));
            let mut arguments = vec![source.to_str().unwrap(), "-O", "private", "-o", path.to_str().unwrap()];
            let parameters = format!("version={version},memory=256,passes=2");
            arguments.extend_from_slice(&["--ppk-param", &parameters, "--new-passphrase"]);
            arguments.push(if locked { secret.to_str().unwrap() } else { "/dev/null" });
            if !ran("puttygen", &arguments) {
                return;
            }
            close(&path);
            if locked {
                assert_locked(&path);
            }
            assert_usable(&path, locked.then_some(PASSPHRASE), key.public_key());
        }
    }
}

#[cfg(unix)]
#[test]
fn a_key_open_to_others_is_refused_and_the_command_named() {
    use std::os::unix::fs::PermissionsExt;

    let directory = TempDir::new().unwrap();
    let Some(path) = generate(&directory, "key", &["-t", "ed25519", "-N", ""]) else { return };
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644, 0o777] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = open(&path).unwrap_err().into_error();
        assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        assert_eq!(error.hint(), Some(format!("close it to others: chmod 600 {}", path.display()).as_str()));
    }
    for mode in [0o600, 0o400, 0o700] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert!(open(&path).is_ok());
    }
}

#[cfg(unix)]
#[test]
fn our_own_user_is_the_one_whose_files_we_make() {
    use std::os::unix::fs::MetadataExt;

    let made = tempfile::NamedTempFile::new().unwrap();
    assert_eq!(own_user(), Some(made.as_file().metadata().unwrap().uid()));
}

fn close(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    #[cfg(not(unix))]
    let _ = path;
}

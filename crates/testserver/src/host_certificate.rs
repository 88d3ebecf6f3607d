//! Certificates for host keys (OpenSSH's PROTOCOL.certkeys): given, or signed here.

use std::{
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use russh::keys::{
    Algorithm, Certificate, PrivateKey, PublicKey,
    ssh_key::{
        self,
        certificate::{Builder, CertType},
        rand_core::UnwrapErr,
    },
};

use secrecy::{ExposeSecret, SecretString};

use crate::{
    error::{Error, ErrorKind},
    keys,
};

/// A certificate with which the server shows each of its host keys, for clients that trust an authority instead of keys.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use rustle_testserver::{HostCertificate, TestServer};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// let good = TestServer::builder().host_certificate(HostCertificate::signed(["127.0.0.1"])).start().await?;
/// let line = good.host_ca_known_hosts_line().unwrap();
/// assert!(line.starts_with("@cert-authority [127.0.0.1]:"));
///
/// let yesterday = SystemTime::now() - Duration::from_secs(86_400);
/// let expired = HostCertificate::signed(["127.0.0.1"]).valid(SystemTime::UNIX_EPOCH, yesterday);
/// let bad = TestServer::builder().host_certificate(expired).start().await?;
/// # bad.stop().await?;
/// # good.stop().await
/// # }).unwrap();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct HostCertificate {
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Given(String),
    Signed { authority: Option<SecretString>, principals: Vec<String>, from: u64, until: u64 },
}

impl HostCertificate {
    /// One for these host names (none at all is one for any host), good until the year 2106, signed by an authority that
    /// this process makes once and all its servers share.
    pub fn signed<S: Into<String>>(principals: impl IntoIterator<Item = S>) -> Self {
        let principals = principals.into_iter().map(Into::into).collect();
        let (from, until) = (0, u64::from(u32::MAX));
        Self { source: Source::Signed { authority: None, principals, from, until } }
    }

    /// This one, written as in a `-cert.pub` file. The server shows it with the host key it is for, and does not look
    /// whether it is good. One that is for none of the host keys at the start, or a user's, is an error of
    /// [`start`](crate::Builder::start).
    ///
    /// ```
    /// use rustle_testserver::{HostCertificate};
    ///
    /// let text = "ssh-ed25519-cert-v01@openssh.com AAAA…"; // a file that ssh-keygen -s -h has made
    /// let certificate = HostCertificate::given(text);
    /// ```
    pub fn given(openssh: impl Into<String>) -> Self {
        Self { source: Source::Given(openssh.into()) }
    }

    /// Signed by this authority instead: an unencrypted private key in OpenSSH's format. Changes nothing in a certificate
    /// that was given.
    pub fn authority(mut self, private_key: impl Into<String>) -> Self {
        if let Source::Signed { authority, .. } = &mut self.source {
            *authority = Some(private_key.into().into());
        }
        self
    }

    /// Good from this time on and until that one instead, in whole seconds. Changes nothing in a certificate that was
    /// given.
    pub fn valid(mut self, after: SystemTime, before: SystemTime) -> Self {
        if let Source::Signed { from, until, .. } = &mut self.source {
            (*from, *until) = (seconds(after), seconds(before));
        }
        self
    }

    pub(crate) fn load(&self) -> Result<Certifier, Error> {
        let issuer = match &self.source {
            Source::Given(line) => {
                let certificate = Certificate::from_openssh(line.trim());
                let certificate = certificate
                    .map_err(|source| Error::host_key("read the given host certificate", source))?;
                Issuer::Given(Box::new(certificate))
            }
            Source::Signed { authority, principals, from, until } => {
                let authority = match authority {
                    Some(pem) => keys::read(pem.expose_secret())?,
                    None => shared_authority()?,
                };
                let (principals, from, until) = (principals.clone(), *from, *until);
                Issuer::Signs(Box::new(Signing { authority, principals, from, until }))
            }
        };
        Ok(Certifier { issuer, issued: Mutex::default() })
    }
}

/// Has a certificate for each host key, also for those that come later.
pub(crate) struct Certifier {
    issuer: Issuer,
    issued: Mutex<Vec<Certificate>>,
}

enum Issuer {
    Given(Box<Certificate>),
    Signs(Box<Signing>),
}

struct Signing {
    authority: PrivateKey,
    principals: Vec<String>,
    from: u64,
    until: u64,
}

impl Certifier {
    pub(crate) fn certify(&self, keys: &[PrivateKey]) -> Result<Vec<Certificate>, Error> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| self.certificate(key.public_key(), &mut issued)).collect()
    }

    /// Whether clients will see a certificate: one that was given is for one of these keys, and a host's.
    pub(crate) fn check(&self, keys: &[PrivateKey]) -> Result<(), Error> {
        let refused = |why| Err(Error::new(ErrorKind::HostKey, format!("the given host certificate {why}")));
        let Issuer::Given(certificate) = &self.issuer else { return self.certify(keys).map(drop) };
        if !certificate.cert_type().is_host() {
            return refused("is that of a user");
        }
        if !keys.iter().any(|key| key.public_key().key_data() == certificate.public_key()) {
            return refused("is for none of the host keys; give the server the key that was signed");
        }
        Ok(())
    }

    pub(crate) fn authority(&self) -> PublicKey {
        match &self.issuer {
            Issuer::Given(certificate) => PublicKey::new(certificate.signature_key().clone(), ""),
            Issuer::Signs(signing) => signing.authority.public_key().clone(),
        }
    }

    fn certificate(&self, key: &PublicKey, issued: &mut Vec<Certificate>) -> Result<Certificate, Error> {
        let signing = match &self.issuer {
            // The base leaves it aside where it does not fit the key.
            Issuer::Given(certificate) => return Ok(certificate.as_ref().clone()),
            Issuer::Signs(signing) => signing,
        };
        if let Some(known) = issued.iter().find(|known| known.public_key() == key.key_data()) {
            return Ok(known.clone());
        }
        let certificate =
            signing.sign(key).map_err(|source| Error::host_key("sign the host certificate", source))?;
        issued.push(certificate.clone());
        Ok(certificate)
    }
}

impl Signing {
    fn sign(&self, key: &PublicKey) -> Result<Certificate, ssh_key::Error> {
        let random = &mut UnwrapErr(getrandom::SysRng);
        let mut builder =
            Builder::new_with_random_nonce(random, key.key_data().clone(), self.from, self.until)?;
        builder.cert_type(CertType::Host)?;
        builder.key_id("rustle-testserver")?;
        if self.principals.is_empty() {
            builder.all_principals_valid()?;
        }
        for principal in &self.principals {
            builder.valid_principal(principal.as_str())?;
        }
        builder.sign(&self.authority)
    }
}

/// Made once in a process.
fn shared_authority() -> Result<PrivateKey, Error> {
    static MADE: LazyLock<Mutex<Option<PrivateKey>>> = LazyLock::new(Mutex::default);

    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = made.as_ref() {
        return Ok(key.clone());
    }
    let key = PrivateKey::random(&mut UnwrapErr(getrandom::SysRng), Algorithm::Ed25519)
        .map_err(|source| Error::host_key("generate an authority for host certificates", source))?;
    *made = Some(key.clone());
    Ok(key)
}

/// A time before 1970 counts as 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_keeps_the_authority_secret() {
        let certificate = HostCertificate::signed(["db.test"]).authority("-----BEGIN of a private key");
        let text = format!("{certificate:?}");
        assert!(text.contains("db.test") && !text.contains("BEGIN"), "{text}");
    }
}

//! A dependant that needs the `ring` compiled from C, here for rustls, and says so by a feature. Both work in one
//! program: the SSH engine names what encrypts, and rustls writes a ClientHello.

use std::error::Error;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

fn main() -> Result<(), Box<dyn Error>> {
    println!("{}", rustle_session::crypto_backend());

    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), "host.invalid".try_into()?)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    // A TLS record of the type handshake, RFC 8446 section 5.1.
    if hello.first() != Some(&22) {
        return Err("rustls wrote no ClientHello".into());
    }
    println!("rustls with its ring provider: a ClientHello of {} bytes", hello.len());
    Ok(())
}

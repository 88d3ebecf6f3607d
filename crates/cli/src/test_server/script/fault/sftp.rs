//! Faults in the answers to SFTP requests.

use rustle_testserver::{Fault, SftpFault, SftpRequest};

use super::keys::Keys;
use super::kind::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new("sftp_lose_reply", |keys| to(keys, SftpFault::lose_reply())),
    Row::new("sftp_duplicate_reply", |keys| to(keys, SftpFault::duplicate_reply())),
    Row::new("sftp_hold_reply", |keys| to(keys, SftpFault::hold_reply())),
    Row::new("sftp_wrong_kind", |keys| to(keys, SftpFault::wrong_kind())),
    Row::new("sftp_wrong_id", |keys| to_one_with_an_id(keys, SftpFault::wrong_id())),
    Row::new("sftp_status", |keys| {
        let status = SftpFault::status(keys.code()?, keys.text()?);
        to_one_with_an_id(keys, status)
    }),
    Row::new("sftp_packet_length", |keys| {
        let length = SftpFault::packet_length(keys.length()?);
        to(keys, length)
    }),
    Row::new("sftp_length_past_end", |keys| to(keys, SftpFault::length_past_end())),
    Row::new("sftp_name", |keys| {
        let name = SftpFault::name(keys.name()?);
        let request = keys.sftp_request()?;
        match request {
            SftpRequest::Any | SftpRequest::ReadDir | SftpRequest::RealPath | SftpRequest::ReadLink => {
                Ok(Fault::sftp(request, name))
            }
            _ => Err("names are answered to `readdir`, `realpath` and `readlink` alone".to_owned()),
        }
    }),
    Row::new("sftp_short_read", |keys| {
        let short = SftpFault::short_read(keys.bytes_in_memory()?);
        let request = keys.sftp_request()?;
        match request {
            SftpRequest::Any | SftpRequest::Read => Ok(Fault::sftp(request, short)),
            _ => Err("a short read is for `read` alone".to_owned()),
        }
    }),
    Row::new("sftp_delay", |keys| {
        let delay = SftpFault::delay(keys.time()?);
        to(keys, delay)
    }),
    Row::new("sftp_close_channel", |keys| to(keys, SftpFault::close_channel())),
];

fn to(keys: &mut Keys, fault: SftpFault) -> Result<Fault, String> {
    Ok(Fault::sftp(keys.sftp_request()?, fault))
}

/// Draft section 4: INIT and VERSION have no id, and nothing but VERSION answers INIT.
fn to_one_with_an_id(keys: &mut Keys, fault: SftpFault) -> Result<Fault, String> {
    match keys.sftp_request()? {
        SftpRequest::Init => {
            Err("`init` is answered by a version, which has neither id nor status".to_owned())
        }
        request => Ok(Fault::sftp(request, fault)),
    }
}

//! Faults in what is answered: refused, withheld, left out.

use rustle_testserver::Fault;

use super::kind::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new("withhold_channel_open", |_| Ok(Fault::withhold_channel_open())),
    Row::new("withhold_request", |_| Ok(Fault::withhold_request())),
    Row::new("refuse_channel", |_| Ok(Fault::refuse_channel())),
    Row::new("refuse_channel_with", |keys| Ok(Fault::refuse_channel_with(keys.code()?, keys.text()?))),
    Row::new("refuse_login", |_| Ok(Fault::refuse_login())),
    Row::new("refuse_login_with", |keys| Ok(Fault::refuse_login_with(keys.methods()?))),
    Row::new("refuse_request", |keys| Ok(Fault::refuse_request(keys.request()?))),
    Row::new("omit_exit_status", |_| Ok(Fault::omit_exit_status())),
    Row::new("omit_eof", |_| Ok(Fault::omit_eof())),
    Row::new("omit_close", |_| Ok(Fault::omit_close())),
];

//! Faults of the wire: cuts, silence, bytes that come slowly or changed, and goodbyes.

use rustle_testserver::Fault;

use super::kind::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new("cut", |keys| Ok(Fault::cut(keys.moment()?, keys.how()?))),
    Row::new("stall", |keys| Ok(Fault::stall(keys.moment()?))),
    Row::new("cut_after", |keys| Ok(Fault::cut_after(keys.bytes()?, keys.how()?))),
    Row::new("stall_after", |keys| Ok(Fault::stall_after(keys.bytes()?))),
    Row::new("cut_after_received", |keys| Ok(Fault::cut_after_received(keys.bytes()?, keys.how()?))),
    Row::new("stall_after_received", |keys| Ok(Fault::stall_after_received(keys.bytes()?))),
    Row::new("cut_at", |keys| Ok(Fault::cut_at(keys.time()?, keys.how()?))),
    Row::new("stall_at", |keys| Ok(Fault::stall_at(keys.time()?))),
    Row::new("delay", |keys| Ok(Fault::delay(keys.moment()?, keys.time()?))),
    Row::new("drip", |keys| Ok(Fault::drip(keys.moment()?, keys.direction()?, keys.bytes()?, keys.every()?))),
    Row::new("corrupt_sent", |keys| Ok(Fault::corrupt_sent(keys.offset()?, keys.mask()?))),
    Row::new("corrupt_received", |keys| Ok(Fault::corrupt_received(keys.offset()?, keys.mask()?))),
    Row::new("disconnect", |keys| Ok(Fault::disconnect(keys.moment()?, keys.reason()?, keys.text()?))),
];

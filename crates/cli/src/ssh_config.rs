//! `ssh-config`: the settings for a host, without a connection to it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::failure::Stop;
use crate::plan::{Format, HostPlan};
use crate::printer::Printer;

/// A value and where it came from.
#[derive(Serialize)]
struct Value<'a> {
    value: &'a str,
    origin: &'a str,
}

/// Prints the settings, a line each, or as an object of lists.
pub(crate) fn run(plan: &HostPlan, printer: &mut Printer) -> Result<u8, Stop> {
    let settings = plan.settings()?;
    printer.setup_warnings(settings.warnings());
    match printer.format() {
        Format::Human => {
            let lines = settings.settings().iter();
            let text: String =
                lines.map(|setting| format!("{} {}\n", setting.name(), setting.value())).collect();
            printer.bytes(text)?;
        }
        Format::Json => {
            let mut told: BTreeMap<&str, Vec<Value<'_>>> = BTreeMap::new();
            for setting in settings.settings() {
                let value = Value { value: setting.value(), origin: setting.origin() };
                told.entry(setting.name()).or_default().push(value);
            }
            printer.json(&told)?;
        }
    }
    Ok(0)
}

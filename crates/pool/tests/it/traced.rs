//! What the product logs while a test watches.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber, set_global_default};
use tracing::{Event, Level, Metadata};

/// All that is logged from now on, in whatever task and on whatever thread. Other tests of this process are heard too:
/// whoever watches gives its hosts names of their own, and [asks by those](Self::of).
pub(crate) struct Traced(Log);

/// One thing that was logged.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) level: Level,
    /// The module it comes from, unless it says another.
    pub(crate) target: &'static str,
    pub(crate) message: String,
    /// The others, as they are shown.
    pub(crate) fields: BTreeMap<&'static str, String>,
}

type Log = Arc<Mutex<Vec<Logged>>>;

/// Those who watch.
static WATCHING: Mutex<Vec<Weak<Mutex<Vec<Logged>>>>> = Mutex::new(Vec::new());

impl Traced {
    pub(crate) fn begin() -> Self {
        static INSTALLED: Once = Once::new();

        INSTALLED
            .call_once(|| set_global_default(ToWatchers).expect("nobody else listens to what is logged"));
        let log = Log::default();
        let mut watching = lock(&WATCHING);
        watching.retain(|log| log.strong_count() > 0);
        watching.push(Arc::downgrade(&log));
        Self(log)
    }

    /// What was logged so far with this as its `host`, in its order.
    pub(crate) fn of(&self, host: &str) -> Vec<Logged> {
        let logged = lock(&self.0);
        let of_host =
            logged.iter().filter(|logged| logged.fields.get("host").is_some_and(|name| name == host));
        of_host.cloned().collect()
    }
}

/// Gives all that is logged to all who watch.
struct ToWatchers;

impl Subscriber for ToWatchers {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Whether anybody watches is another matter each time.
        if is_ours(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata) && lock(&WATCHING).iter().any(|log| log.strong_count() > 0)
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let metadata = event.metadata();
        let logged =
            Logged { level: *metadata.level(), target: metadata.target(), message, fields: fields.0 };
        for log in lock(&WATCHING).iter().filter_map(Weak::upgrade) {
            lock(&log).push(logged.clone());
        }
    }

    /// Nobody asks for spans.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.target().starts_with("rustle_")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fields, as they are shown.
#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

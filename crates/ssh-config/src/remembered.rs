//! The outside world, asked once for each thing that does not change while a configuration is read.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;

use crate::{AddressFamily, FoundHost, Source, SourceFile};

/// A source that remembers the local user, machine and services: a file may name them on every line, and each answer may
/// take a look into a file or over the network.
pub(crate) struct Remembered<'a> {
    source: &'a dyn Source,
    user: OnceCell<Option<String>>,
    user_id: OnceCell<Option<u32>>,
    host: OnceCell<Option<String>>,
    homes: RefCell<HashMap<Option<String>, Option<String>>>,
    services: RefCell<HashMap<String, Option<u16>>>,
}

impl<'a> Remembered<'a> {
    pub(crate) fn new(source: &'a dyn Source) -> Remembered<'a> {
        Remembered {
            source,
            user: OnceCell::new(),
            user_id: OnceCell::new(),
            host: OnceCell::new(),
            homes: RefCell::default(),
            services: RefCell::default(),
        }
    }
}

impl Source for Remembered<'_> {
    fn read(&self, path: &str, limit: u64) -> io::Result<Option<SourceFile>> {
        self.source.read(path, limit)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.source.list(directory)
    }

    fn env(&self, name: &str) -> Option<String> {
        self.source.env(name)
    }

    fn home(&self, user: Option<&str>) -> Option<String> {
        let user = user.map(str::to_owned);
        self.homes
            .borrow_mut()
            .entry(user)
            .or_insert_with_key(|user| self.source.home(user.as_deref()))
            .clone()
    }

    fn user(&self) -> Option<String> {
        self.user.get_or_init(|| self.source.user()).clone()
    }

    fn user_id(&self) -> Option<u32> {
        *self.user_id.get_or_init(|| self.source.user_id())
    }

    fn host(&self) -> Option<String> {
        self.host.get_or_init(|| self.source.host()).clone()
    }

    fn run(&self, line: &str) -> io::Result<bool> {
        self.source.run(line)
    }

    fn look_up(&self, name: &str, family: AddressFamily) -> io::Result<Option<FoundHost>> {
        self.source.look_up(name, family)
    }

    fn interface_addresses(&self) -> io::Result<Vec<IpAddr>> {
        self.source.interface_addresses()
    }

    fn ssh_version(&self) -> String {
        self.source.ssh_version()
    }

    fn service_port(&self, name: &str) -> Option<u16> {
        if let Some(port) = self.services.borrow().get(name) {
            return *port;
        }
        let port = self.source.service_port(name);
        self.services.borrow_mut().insert(name.to_owned(), port);
        port
    }

    fn system_directory(&self) -> String {
        self.source.system_directory()
    }
}

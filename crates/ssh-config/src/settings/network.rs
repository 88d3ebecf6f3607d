//! How the connection is made and kept.

use std::time::Duration;

use crate::settings::{Settings, unless_none};
use crate::{AddressFamily, ChannelTimeout, ControlMaster, ControlPersist, IpQos, JumpHost};

impl Settings {
    /// AddressFamily; any by default.
    #[must_use]
    pub fn address_family(&self) -> AddressFamily {
        self.options.address_family.unwrap_or(AddressFamily::Any)
    }

    /// BindAddress: the local address to connect from; the system's choice by default.
    #[must_use]
    pub fn bind_address(&self) -> Option<&str> {
        self.options.bind_address.as_deref()
    }

    /// BindInterface: the interface whose address to connect from; the system's choice by default.
    #[must_use]
    pub fn bind_interface(&self) -> Option<&str> {
        self.options.bind_interface.as_deref()
    }

    /// ConnectTimeout; `None` for the system's own.
    #[must_use]
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.options.connect_timeout.filter(|timeout| !timeout.is_zero())
    }

    /// ConnectionAttempts, one a second; 1 by default.
    #[must_use]
    pub fn connection_attempts(&self) -> u32 {
        self.options.connection_attempts.unwrap_or(1)
    }

    /// TCPKeepAlive; yes by default.
    #[must_use]
    pub fn tcp_keep_alive(&self) -> bool {
        self.options.tcp_keep_alive.unwrap_or(true)
    }

    /// ServerAliveInterval; `None`, the default, sends nothing.
    #[must_use]
    pub fn server_alive_interval(&self) -> Option<Duration> {
        self.options.server_alive_interval.filter(|interval| !interval.is_zero())
    }

    /// ServerAliveCountMax; 3 by default.
    #[must_use]
    pub fn server_alive_count_max(&self) -> u32 {
        self.options.server_alive_count_max.unwrap_or(3)
    }

    /// IPQoS; by default the classes `ef` and `cs0`, which ssh uses since 10.1.
    #[must_use]
    pub fn ip_qos(&self) -> IpQos {
        self.options.ip_qos.unwrap_or(IpQos::DEFAULT)
    }

    /// Compression; no by default.
    #[must_use]
    pub fn compression(&self) -> bool {
        self.options.compression == Some(crate::value::Compression::Yes)
    }

    /// ChannelTimeout: when idle channels are closed; never by default.
    #[must_use]
    pub fn channel_timeouts(&self) -> &[ChannelTimeout] {
        self.options.channel_timeouts.as_deref().unwrap_or_default()
    }

    /// ProxyJump: the hosts to go through, first hop first, with tokens expanded; none by default.
    ///
    /// ```
    /// use rustle_ssh_config::{MemorySource, Query, resolve};
    ///
    /// let query = Query::new("web").option("ProxyJump=bob@bastion:2222,ssh://inner");
    /// let settings = resolve(&query, &[], &MemorySource::new("alice", "/home/alice"))?;
    /// let hops = settings.proxy_jump();
    /// assert_eq!((hops[0].user(), hops[0].host(), hops[0].port()), (Some("bob"), "bastion", Some(2222)));
    /// assert_eq!((hops[1].user(), hops[1].host(), hops[1].port()), (None, "inner", None));
    /// # Ok::<(), rustle_ssh_config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn proxy_jump(&self) -> &[JumpHost] {
        &self.proxy_jump
    }

    /// ProxyCommand as it is written; `None`, the default, for `none` as well.
    /// [`proxy_command_line`](Settings::proxy_command_line) has its tokens expanded.
    #[must_use]
    pub fn proxy_command(&self) -> Option<&str> {
        unless_none(self.options.proxy_command.as_ref())
    }

    /// ProxyUseFdpass: whether ProxyCommand hands a connected socket back; no by default.
    #[must_use]
    pub fn proxy_use_fdpass(&self) -> bool {
        self.options.proxy_use_fdpass.unwrap_or(false)
    }

    /// ControlMaster; no by default.
    #[must_use]
    pub fn control_master(&self) -> ControlMaster {
        self.options.control_master.unwrap_or(ControlMaster::No)
    }

    /// ControlPath: the socket of a shared connection, with `~`, tokens and environment expanded.
    #[must_use]
    pub fn control_path(&self) -> Option<&str> {
        self.control_path.as_deref()
    }

    /// ControlPersist; no by default.
    #[must_use]
    pub fn control_persist(&self) -> ControlPersist {
        self.options.control_persist.unwrap_or(ControlPersist::No)
    }

    /// VersionAddendum: what is added to the version that this side sends; nothing by default.
    #[must_use]
    pub fn version_addendum(&self) -> Option<&str> {
        self.version_addendum.as_deref()
    }
}

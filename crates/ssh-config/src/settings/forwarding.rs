//! What is forwarded, and under which rules.

use std::time::Duration;

use crate::settings::Settings;
use crate::{Forward, PermitRemoteOpen, Tunnel, TunnelDevice};

impl Settings {
    /// LocalForward, in order, each once; none where ClearAllForwardings says so.
    ///
    /// ```
    /// use rustle_ssh_config::{ForwardListen, ForwardTarget, MemorySource, Query, resolve};
    ///
    /// let query = Query::new("web").option("LocalForward 127.0.0.1:8080 /run/web.sock");
    /// let settings = resolve(&query, &[], &MemorySource::new("alice", "/home/alice"))?;
    /// let forward = &settings.local_forwards()[0];
    /// assert_eq!(*forward.listen(), ForwardListen::Tcp { host: Some("127.0.0.1".to_owned()), port: 8080 });
    /// assert_eq!(*forward.target(), ForwardTarget::Unix("/run/web.sock".to_owned()));
    /// # Ok::<(), rustle_ssh_config::ConfigError>(())
    /// ```
    #[must_use]
    pub fn local_forwards(&self) -> &[Forward] {
        &self.options.local_forwards
    }

    /// RemoteForward, in order, each once; those that lead to where each client asks among them.
    #[must_use]
    pub fn remote_forwards(&self) -> &[Forward] {
        &self.options.remote_forwards
    }

    /// DynamicForward, in order, each once.
    #[must_use]
    pub fn dynamic_forwards(&self) -> &[Forward] {
        &self.options.dynamic_forwards
    }

    /// GatewayPorts: whether other machines may use local forwardings; no by default.
    #[must_use]
    pub fn gateway_ports(&self) -> bool {
        self.options.gateway_ports.unwrap_or(false)
    }

    /// ExitOnForwardFailure: whether a forwarding that cannot be made ends the connection; no by default.
    #[must_use]
    pub fn exit_on_forward_failure(&self) -> bool {
        self.options.exit_on_forward_failure.unwrap_or(false)
    }

    /// ClearAllForwardings: whether forwardings of the configuration are left out; no by default. Where it is yes,
    /// the accessors here are empty already.
    #[must_use]
    pub fn clear_all_forwardings(&self) -> bool {
        self.options.clear_all_forwardings.unwrap_or(false)
    }

    /// PermitRemoteOpen: where remote SOCKS forwardings may lead; anywhere by default.
    #[must_use]
    pub fn permit_remote_open(&self) -> &PermitRemoteOpen {
        self.options.permit_remote_open.as_ref().map_or(&PermitRemoteOpen::Any, |(places, _)| places)
    }

    /// StreamLocalBindMask: the umask of sockets that are made; 0o177 by default, from 0 to 0o777.
    #[must_use]
    pub fn stream_local_bind_mask(&self) -> u32 {
        self.options.stream_local_bind_mask.unwrap_or(0o177)
    }

    /// StreamLocalBindUnlink: whether a socket that is in the way is removed; no by default.
    #[must_use]
    pub fn stream_local_bind_unlink(&self) -> bool {
        self.options.stream_local_bind_unlink.unwrap_or(false)
    }

    /// Tunnel; no by default.
    #[must_use]
    pub fn tunnel(&self) -> Tunnel {
        self.options.tunnel.unwrap_or(Tunnel::No)
    }

    /// TunnelDevice; any on both sides by default.
    #[must_use]
    pub fn tunnel_device(&self) -> TunnelDevice {
        self.options.tunnel_device.unwrap_or_default()
    }

    /// ForwardX11; no by default.
    #[must_use]
    pub fn forward_x11(&self) -> bool {
        self.options.forward_x11.unwrap_or(false)
    }

    /// ForwardX11Trusted; no by default.
    #[must_use]
    pub fn forward_x11_trusted(&self) -> bool {
        self.options.forward_x11_trusted.unwrap_or(false)
    }

    /// ForwardX11Timeout; 20 minutes by default, zero for no limit.
    #[must_use]
    pub fn forward_x11_timeout(&self) -> Duration {
        self.options.forward_x11_timeout.unwrap_or(Duration::from_secs(1_200))
    }

    /// XAuthLocation; `None` leaves the default.
    #[must_use]
    pub fn xauth_location(&self) -> Option<&str> {
        self.options.xauth_location.as_deref()
    }
}

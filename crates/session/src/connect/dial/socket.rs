//! A socket with everything set that has to be set before it connects.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::net::TcpSocket;

use super::DialOptions;

/// The socket for one address. Both `socket2` and the standard library keep it from child processes.
pub(super) fn prepare(options: &DialOptions, address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Small packets are a shell's keystrokes and every request's last piece; Nagle would hold them for a
    // round trip.
    socket.set_tcp_nodelay(true)?;
    if let Some(interface) = &options.interface {
        bind_interface(&socket, interface)?;
    }
    if let Some(bind) = bind_for(options, address) {
        socket.bind(&SockAddr::from(SocketAddr::new(bind, 0)))?;
    }
    // What watches over the connection, and what routers on the way make of it, is worth a warning where the system
    // has it not, not the connection: the session has deadlines of its own.
    if let Err(error) = watch(options, &socket) {
        tracing::warn!(%address, %error, "TCP keepalive or user timeout could not be set");
    }
    if let Some(class) = options.traffic_class
        && let Err(error) = classify(&socket, address, class)
    {
        tracing::warn!(%address, class, %error, "the class of packets (IPQoS) could not be set");
    }
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// The local address for a connection to this one, where one was asked for.
pub(super) fn bind_for(options: &DialOptions, address: SocketAddr) -> Option<IpAddr> {
    options.bind.iter().copied().find(|bind| bind.is_ipv4() == address.is_ipv4())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn bind_interface(socket: &Socket, name: &str) -> io::Result<()> {
    socket.bind_device(Some(name.as_bytes())).map_err(|error| {
        io::Error::new(error.kind(), format!("the interface {name} cannot be used: {error}"))
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn bind_interface(_: &Socket, name: &str) -> io::Result<()> {
    let message = format!("the interface {name} cannot be chosen: only Linux has a way to (BindInterface)");
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

fn watch(options: &DialOptions, socket: &Socket) -> io::Result<()> {
    if let Some(keepalive) = options.keepalive {
        socket.set_tcp_keepalive(
            &socket2::TcpKeepalive::new()
                .with_time(keepalive.idle)
                .with_interval(keepalive.interval)
                .with_retries(keepalive.probes.get()),
        )?;
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(options.user_timeout)?;
    Ok(())
}

fn classify(socket: &Socket, address: SocketAddr, class: u8) -> io::Result<()> {
    if address.is_ipv4() {
        return socket.set_tos_v4(class.into());
    }
    #[cfg(unix)]
    return socket.set_tclass_v6(class.into());
    #[cfg(not(unix))]
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no such option for IPv6"))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[cfg(unix)]
    use socket2::SockRef;

    use super::*;

    const V4: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 22);
    const V6: (Ipv6Addr, u16) = (Ipv6Addr::LOCALHOST, 22);

    #[cfg(unix)]
    #[test]
    fn packets_of_either_family_carry_the_class() {
        let options = DialOptions::default().traffic_class(Some(0x48));
        let socket = prepare(&options, V4.into()).unwrap();
        assert_eq!(SockRef::from(&socket).tos_v4().unwrap(), 0x48);
        // A machine may have no IPv6.
        if let Ok(socket) = prepare(&options, V6.into()) {
            assert_eq!(SockRef::from(&socket).tclass_v6().unwrap(), 0x48);
        }
        let plain = prepare(&DialOptions::default(), V4.into()).unwrap();
        assert_eq!(SockRef::from(&plain).tos_v4().unwrap(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_interface_is_chosen_by_name_and_one_that_is_not_there_is_named() {
        let through = |name: &str| DialOptions::default().bind_interface(Some(name.to_owned()));
        let socket = prepare(&through("lo"), V4.into()).unwrap();
        let device = SockRef::from(&socket).device().unwrap();
        assert_eq!(device.as_deref(), Some(&b"lo"[..]));
        let error = prepare(&through("none-such0"), V4.into()).unwrap_err();
        assert!(error.to_string().contains("none-such0"), "{error}");
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    #[test]
    fn an_interface_cannot_be_chosen_here_and_that_is_said() {
        let options = DialOptions::default().bind_interface(Some("lo0".to_owned()));
        let error = prepare(&options, V4.into()).unwrap_err();
        assert!(error.to_string().contains("lo0"), "{error}");
    }

    #[test]
    fn of_several_local_addresses_the_first_of_the_family_counts() {
        let options = DialOptions::default().bind_addresses([
            IpAddr::from(Ipv6Addr::LOCALHOST),
            Ipv4Addr::new(127, 0, 0, 2).into(),
            Ipv4Addr::LOCALHOST.into(),
        ]);
        assert_eq!(bind_for(&options, V4.into()), Some(Ipv4Addr::new(127, 0, 0, 2).into()));
        assert_eq!(bind_for(&options, V6.into()), Some(Ipv6Addr::LOCALHOST.into()));
        assert_eq!(bind_for(&DialOptions::default(), V6.into()), None);
    }
}

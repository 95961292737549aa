//! Where a backend may be.

use std::net::{IpAddr, Ipv4Addr};

use sluice_ir::Host;

/// Why no backend may be at an address, `None` where one may. Whoever can write
/// a Service or an EndpointSlice could otherwise have gateways call themselves,
/// their node, or a cloud's metadata service on their behalf.
pub(crate) fn forbidden(ip: IpAddr, allow_loopback: bool) -> Option<&'static str> {
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if link_local {
        Some("link-local")
    } else if ip.is_unspecified() {
        Some("wildcard")
    } else if ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("multicast")
    } else if ip.is_loopback() && !allow_loopback {
        Some("loopback")
    } else {
        None
    }
}

/// Reads an endpoint's address; `None` for what is no IP, or where no backend
/// may be. An IPv4 address written as IPv6 is judged and dialled as IPv4.
pub(crate) fn endpoint_ip(text: &str, allow_loopback: bool) -> Option<IpAddr> {
    let ip = text.parse::<IpAddr>().ok()?.to_canonical();
    forbidden(ip, allow_loopback).is_none().then_some(ip)
}

/// Reads `spec.externalName`: a DNS name, or an IPv4 address. Addresses that a
/// name resolves to are the resolver's word; they are not checked here.
///
/// # Errors
/// What stands there, to complete "an externalName, which is …".
pub(crate) fn external_name(text: &str, allow_loopback: bool) -> Result<Host, String> {
    if text.is_empty() {
        return Err("empty".to_owned());
    }
    // `Host::parse` takes a port off, which no name may have here.
    let host = match Host::parse(text) {
        Ok(host) if !text.contains(':') => host,
        _ => return Err("no DNS name".to_owned()),
    };
    let name = host.as_str();
    let last = name.rsplit('.').next().unwrap_or(name);
    // Resolvers read `127.1`, `2130706433` and `0x7f.1` as addresses, too.
    let numeric = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
    if numeric {
        let Ok(ip) = name.parse::<Ipv4Addr>() else {
            return Err("a number, no DNS name".to_owned());
        };
        if let Some(kind) = forbidden(IpAddr::V4(ip), allow_loopback) {
            return Err(format!("a {kind} address"));
        }
    }
    let loopback = matches!(last, "localhost" | "localdomain");
    if loopback && !allow_loopback {
        return Err("a loopback name".to_owned());
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_an_address_that_a_pod_can_have() {
        let ip = |text| endpoint_ip(text, false).map(|ip| ip.to_string());
        assert_eq!(ip("10.0.0.1").as_deref(), Some("10.0.0.1"));
        assert_eq!(ip("fd00::1").as_deref(), Some("fd00::1"));
        assert_eq!(ip("::ffff:10.0.0.1").as_deref(), Some("10.0.0.1"));
        for text in [
            "",
            "pod-1",
            "10.0.0",
            "10.0.0.1:80",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(ip(text), None, "{text}");
        }
    }

    #[test]
    fn loopback_is_let_through_where_asked_and_nothing_else() {
        for text in ["127.0.0.1", "::1"] {
            assert!(endpoint_ip(text, true).is_some(), "{text}");
        }
        for text in ["169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1"] {
            assert!(endpoint_ip(text, true).is_none(), "{text}");
        }
    }

    #[test]
    fn an_external_name_is_a_name_or_a_routable_address() {
        let read = |text| external_name(text, false).map(|host| host.to_string());
        assert_eq!(read("Db.Example.com."), Ok("db.example.com".to_owned()));
        assert_eq!(read("203.0.113.7"), Ok("203.0.113.7".to_owned()));
        assert_eq!(read("mylocalhost"), Ok("mylocalhost".to_owned()));
        for (text, fault) in [
            ("", "empty"),
            ("a b", "no DNS name"),
            ("db.example.com:5432", "no DNS name"),
            ("::1", "no DNS name"),
            ("*.example.com", "no DNS name"),
            ("169.254.169.254", "a link-local address"),
            ("127.0.0.1", "a loopback address"),
            ("127.1", "a number, no DNS name"),
            ("2130706433", "a number, no DNS name"),
            ("0x7f.0x1", "a number, no DNS name"),
            ("0.0.0.0", "a wildcard address"),
            ("localhost", "a loopback name"),
            ("x.localhost", "a loopback name"),
            ("localhost.localdomain", "a loopback name"),
        ] {
            assert_eq!(read(text), Err(fault.to_owned()), "{text}");
        }
        for text in ["localhost", "127.0.0.1"] {
            assert!(external_name(text, true).is_ok(), "{text}");
        }
        assert!(external_name("169.254.169.254", true).is_err());
    }
}

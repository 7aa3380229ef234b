//! Who asks, when proxies stand in between.
//!
//! Each proxy appends to `X-Forwarded-For` whom it was asked by, so the list is read from its end, and
//! only as far as those who wrote are trusted: what is further left, anybody may have made up.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use ipnet::IpNet;

/// The address that a request comes from, as far as it is known for certain.
#[must_use]
pub fn client_address(request: &HttpRequest, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = request.peer_addr()?.ip();
    let lines = request.headers().get_all("x-forwarded-for");
    let lines: Vec<&str> = lines
        .map(|line| line.to_str().unwrap_or_default())
        .collect();
    Some(last_unknown(peer, &lines, trusted))
}

/// The last of the chain that is not one of the trusted; what cannot be read ends the chain.
fn last_unknown(peer: IpAddr, lines: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    let mut said = lines.iter().rev().flat_map(|line| line.rsplit(','));
    while is_trusted(&address)
        && let Some(before) = said.next().and_then(read)
    {
        address = before;
    }
    address
}

/// An address, with or without a port.
fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    Some(address.ok()?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "203.0.113.7";

    fn asks(peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"].map(|text| text.parse().unwrap());
        last_unknown(peer.parse().unwrap(), lines, &trusted).to_string()
    }

    #[test]
    fn what_a_stranger_says_is_not_believed() {
        for line in [
            "198.51.100.9",
            "10.0.0.1",
            "198.51.100.9, 10.0.0.1",
            "",
            "x",
        ] {
            assert_eq!(asks(CLIENT, &[line]), CLIENT, "{line}");
        }
        assert_eq!(asks(CLIENT, &[]), CLIENT);
    }

    #[test]
    fn a_trusted_proxy_tells_who_asked_it() {
        for line in [
            CLIENT,
            " 203.0.113.7 ",
            "203.0.113.7:4711",
            "::ffff:203.0.113.7",
            // What the client had sent along.
            "198.51.100.9, 203.0.113.7",
            "10.0.0.1, 192.0.2.1,203.0.113.7",
            "x,,203.0.113.7",
            // By way of two proxies.
            "198.51.100.9, 203.0.113.7, 192.0.2.1",
        ] {
            assert_eq!(asks("10.1.2.3", &[line]), CLIENT, "{line}");
        }
        assert_eq!(asks("::ffff:10.1.2.3", &[CLIENT]), CLIENT);
        for line in ["2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:4711"] {
            assert_eq!(asks("fd00::1", &[line]), "2001:db8::7");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        assert_eq!(asks("10.1.2.3", &["198.51.100.9", CLIENT]), CLIENT);
        assert_eq!(asks("10.1.2.3", &[CLIENT, "192.0.2.1"]), CLIENT);
    }

    #[test]
    fn a_proxy_that_tells_nothing_stands_for_who_asked_it() {
        for line in ["", "x", "203.0.113.7, unknown", "203.0.113.7,"] {
            assert_eq!(asks("10.1.2.3", &[line]), "10.1.2.3", "{line}");
        }
        assert_eq!(asks("10.1.2.3", &[]), "10.1.2.3");
        assert_eq!(asks("10.1.2.3", &["10.9.9.9"]), "10.9.9.9");
    }
}

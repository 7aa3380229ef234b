//! Lists of addresses and networks.

use std::net::IpAddr;

use ipnet::IpNet;

/// Reads networks and single addresses, separated by commas; none from an empty text. Says what is
/// none.
pub(super) fn parse(text: &str) -> Result<Vec<IpNet>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(|one| network(one.trim())).collect()
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| {
        format!("{text:?} is neither an address nor a network such as 10.0.0.0/8 or fd00::/8")
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn addresses_are_networks_of_one() {
        let read = |text: &str| {
            let networks = parse(text).unwrap();
            let texts: Vec<String> = networks.iter().map(ToString::to_string).collect();
            texts.join(" ")
        };
        assert_eq!(read(""), "");
        assert_eq!(read(" 10.0.0.0/8 ,192.0.2.1"), "10.0.0.0/8 192.0.2.1/32");
        assert_eq!(read("fd00::/8,::1"), "fd00::/8 ::1/128");
    }

    #[test]
    fn what_is_none_is_named() {
        for bad in [
            "x",
            "10.0.0.0/33",
            "10.0.0/8",
            "10.0.0.1,",
            "localhost",
            "*",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let error = parse("10.0.0.0/8, proxy").unwrap_err();
        assert!(error.starts_with("\"proxy\" is neither"), "{error}");
    }
}

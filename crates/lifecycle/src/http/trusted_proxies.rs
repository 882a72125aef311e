//! Which proxies are believed when they say whom a request comes from.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use settings::{Settings, table};

/// Each proxy adds whom it was called by, at the end.
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Networks whose `X-Forwarded-For` is believed; cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[Network]>);

/// Addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    /// Bits that count.
    bits: u32,
}

impl TrustedProxies {
    /// Reads `MILLRACE_TRUSTED_PROXIES`; faults are noted there.
    pub(crate) fn from_settings(settings: &mut Settings) -> Self {
        let text = settings.text(&table::TRUSTED_PROXIES);
        let mut networks = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match Network::parse(part) {
                Some(network) => networks.push(network),
                None => settings.fault(format!(
                    "{} must be networks such as 10.0.0.0/8 or ::1/128 separated by commas, which {part:?} is not",
                    table::TRUSTED_PROXIES.name
                )),
            }
        }
        Self(networks.into())
    }

    /// Whom a request comes from that `peer` has sent: of the addresses that `X-Forwarded-For` names, the
    /// last one that is no trusted proxy. What stands before that one may be anybody's invention.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut named = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .rev()
            .flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        while self.trusts(client) {
            // What is no address was written by nobody whom we trust to write any.
            let Some(before) = named.next().and_then(|text| address(text.trim())) else { break };
            client = before;
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

impl Network {
    /// `<address>/<bits>`, or an address alone.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = length(address);
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some(Self { address, bits })
    }

    fn holds(self, address: IpAddr) -> bool {
        let same = match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros()
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (own.to_bits() ^ other.to_bits()).leading_zeros()
            }
            _ => return false,
        };
        same >= self.bits
    }
}

fn length(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// An address as proxies write it: alone, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(text: &str) -> Result<TrustedProxies, Vec<String>> {
        let variable = (table::TRUSTED_PROXIES.name.to_owned(), text.to_owned());
        let mut settings = Settings::new([variable]);
        let proxies = TrustedProxies::from_settings(&mut settings);
        settings.finish(proxies).map_err(|error| error.0)
    }

    /// Who it comes from, where the peer and its networks are these and the header has these lines.
    fn client(trusted: &str, peer: &str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        read(trusted).unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn whoever_reaches_us_directly_is_the_client_whatever_they_say() {
        for lines in [&[][..], &["9.9.9.9"], &["9.9.9.9, 127.0.0.1"], &["127.0.0.1", "::1"]] {
            assert_eq!(client("127.0.0.1/32,::1/128", "198.51.100.7", lines), "198.51.100.7");
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_about_whoever_called_it_and_nobody_else() {
        let of = |lines: &[&str]| client("127.0.0.1/32,10.0.0.0/8", "127.0.0.1", lines);
        assert_eq!(of(&["198.51.100.7"]), "198.51.100.7");
        assert_eq!(of(&["9.9.9.9, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(of(&["9.9.9.9", "198.51.100.7"]), "198.51.100.7");
        assert_eq!(of(&["9.9.9.9, 198.51.100.7, 10.1.2.3"]), "198.51.100.7");
        assert_eq!(of(&["10.9.9.9, 198.51.100.7,10.1.2.3"]), "198.51.100.7");
        assert_eq!(of(&["9.9.9.9,2001:db8::7, 10.1.2.3"]), "2001:db8::7");
    }

    #[test]
    fn where_all_are_proxies_the_first_one_is_the_client() {
        let of = |lines: &[&str]| client("10.0.0.0/8", "10.0.0.1", lines);
        assert_eq!(of(&[]), "10.0.0.1");
        assert_eq!(of(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
    }

    #[test]
    fn what_is_no_address_hides_nobody_behind_it() {
        let of = |lines: &[&str]| client("127.0.0.1/32", "127.0.0.1", lines);
        for lines in [
            &["unknown"][..],
            &[""],
            &["9.9.9.9, "],
            &["9.9.9.9, _hidden"],
            &["9.9.9.9", "not an address"],
            &["9.9.9.9, 300.1.1.1"],
            &["9.9.9.9", "\u{fc}"],
        ] {
            assert_eq!(of(lines), "127.0.0.1", "{lines:?}");
        }
    }

    #[test]
    fn an_address_may_come_with_its_port_and_in_either_spelling() {
        let of = |line| client("127.0.0.1/32", "::ffff:127.0.0.1", &[line]);
        for (line, expected) in [
            ("198.51.100.7:4711", "198.51.100.7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
        ] {
            assert_eq!(of(line), expected, "{line}");
        }
    }

    #[test]
    fn a_network_holds_what_begins_with_its_bits() {
        for (network, holds, not) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.0.0.0/9", "10.127.0.1", "10.128.0.1"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
            ("::1/128", "::1", "::2"),
        ] {
            let network = Network::parse(network).unwrap();
            assert!(network.holds(holds.parse().unwrap()), "{network:?}");
            assert!(!network.holds(not.parse().unwrap()), "{network:?}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for text in ["localhost", "10.0.0.0/33", "::1/129", "10.0.0.0/", "10.0.0/8", "*"] {
            let faults = read(text).unwrap_err();
            let is_named = faults.len() == 1 && faults[0].contains("MILLRACE_TRUSTED_PROXIES");
            assert!(is_named, "{faults:?}");
        }
    }
}

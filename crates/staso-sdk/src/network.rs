//! What stands between a program and a server elsewhere: the proxy that the environment names, and the
//! certificates it trusts.
//!
//! The variables are those that other programs read, not ours, so they are read as those programs read
//! them: lower case before upper case, the variable of the address's own scheme before the one for all,
//! and `NO_PROXY` by host, domain, address or network.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::env;

/// The proxy and the certificates that the environment asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// What every request goes through; `None` for the direct way.
    pub proxy: Option<ProxyAddress>,
    /// The file that holds the trusted certificates, where one is named.
    pub ca_file: Option<String>,
}

/// A proxy, and which variable named it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyAddress {
    /// The variable.
    pub variable: &'static str,
    /// Its address. May hold a password.
    pub url: String,
}

impl ProxyAddress {
    /// The address without what should not stand in a log.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.url.rsplit_once('@').map_or(&self.url, |(_, address)| address)
    }
}

impl std::fmt::Debug for ProxyAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.variable, self.shown())
    }
}

impl Network {
    /// What the environment asks for on the way to this address.
    pub(crate) fn towards(url: &str, get: &dyn Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| get(name).filter(|text| !text.trim().is_empty());
        let uri = url.parse::<Uri>().ok();
        Self {
            proxy: uri.and_then(|uri| proxy_towards(&uri, &get)),
            ca_file: get(env::SSL_CERT_FILE),
        }
    }
}

fn proxy_towards(uri: &Uri, get: &dyn Fn(&str) -> Option<String>) -> Option<ProxyAddress> {
    let is_https = uri.scheme_str() == Some("https");
    // In a CGI program HTTP_PROXY holds what a stranger sent as the header `Proxy`.
    let is_cgi = get("REQUEST_METHOD").is_some();
    let names: &[&'static str] = match (is_https, is_cgi) {
        (true, _) => &["https_proxy", env::HTTPS_PROXY, "all_proxy", env::ALL_PROXY],
        (false, false) => &["http_proxy", env::HTTP_PROXY, "all_proxy", env::ALL_PROXY],
        (false, true) => &["http_proxy", "all_proxy", env::ALL_PROXY],
    };
    let named = names.iter().find_map(|variable| Some((*variable, get(variable)?)));
    let (variable, url) = named?;
    let direct = get("no_proxy").or_else(|| get(env::NO_PROXY)).unwrap_or_default();
    let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
    let is_direct = names_host(&direct, uri.host()?, port);
    (!is_direct).then(|| ProxyAddress { variable, url: url.trim().to_owned() })
}

/// Whether a `NO_PROXY` list names a host: itself, a domain it is in, a network, or everything.
fn names_host(list: &str, host: &str, port: u16) -> bool {
    let bare =
        |text: &str| text.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let host = bare(host);
    let address: Option<IpAddr> = host.parse().ok();
    let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
    entries.into_iter().any(|entry| {
        let (name, of_port) = split_port(entry);
        if of_port.is_some_and(|of_port| of_port != port) {
            return false;
        }
        if let (Some(address), Some((network, bits))) = (address, name.split_once('/')) {
            return is_within(address, &bare(network), bits);
        }
        let name = bare(name.trim_start_matches('*').trim_start_matches('.'));
        if name.is_empty() {
            return entry == "*";
        }
        let is_inside = host.strip_suffix(&name).is_some_and(|rest| rest.ends_with('.'));
        host == name || (address.is_none() && is_inside)
    })
}

/// An entry without its port; an IPv6 address has one only after its bracket.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let is_ipv6 = entry.matches(':').count() > 1 && !entry.contains("]:");
    match entry.rsplit_once(':') {
        Some((name, port)) if !is_ipv6 => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}

fn is_within(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) if bits <= 32 => {
            bits == 0 || (a.to_bits() ^ b.to_bits()) >> (32 - bits) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) if bits <= 128 => {
            bits == 0 || (a.to_bits() ^ b.to_bits()) >> (128 - bits) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, env: &[(&str, &str)]) -> Option<String> {
        let get = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Network::towards(url, &get).proxy.map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn the_variable_of_the_scheme_is_asked_first() {
        let env = [("ALL_PROXY", "http://all"), ("HTTPS_PROXY", "http://s"), ("HTTP_PROXY", "p:1")];
        assert_eq!(proxy("https://a.example", &env).unwrap(), "HTTPS_PROXY=http://s");
        assert_eq!(proxy("http://a.example", &env).unwrap(), "HTTP_PROXY=p:1");
        assert_eq!(proxy("https://a.example", &env[..1]).unwrap(), "ALL_PROXY=http://all");
        assert_eq!(proxy("https://a.example", &env[2..]), None);
        let lower = [("HTTPS_PROXY", "http://upper"), ("https_proxy", "http://lower")];
        assert_eq!(proxy("https://a.example", &lower).unwrap(), "https_proxy=http://lower");
        assert_eq!(proxy("https://a.example", &[("HTTPS_PROXY", " ")]), None);
    }

    #[test]
    fn a_stranger_cannot_name_the_proxy_of_a_cgi_program() {
        let env = [("HTTP_PROXY", "http://stranger"), ("REQUEST_METHOD", "GET")];
        assert_eq!(proxy("http://a.example", &env), None);
    }

    #[test]
    fn a_password_does_not_show_itself() {
        let env = [("HTTPS_PROXY", "http://user:pass@proxy:3128")];
        assert_eq!(proxy("https://a.example", &env).unwrap(), "HTTPS_PROXY=proxy:3128");
    }

    #[test]
    fn no_proxy_names_hosts_domains_networks_and_ports() {
        for (list, host, is_named) in [
            ("*", "a.example", true),
            ("a.example", "A.Example.", true),
            ("other, .example", "a.example", true),
            ("*.example", "a.example", true),
            ("example", "a.example", true),
            ("ample", "a.example", false),
            ("b.a.example", "a.example", false),
            ("a.example:8443", "a.example", true),
            ("a.example:443", "a.example", false),
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "11.1.2.3", true),
            ("10.0.0.0/99", "10.1.2.3", false),
            ("2.3", "10.1.2.3", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("fd00::/8", "[fd12::1]", true),
            ("[fd12::1]:8443", "[fd12::1]", true),
            ("fd12::1", "[fd12::1]", true),
            ("fe80::/10", "[fd12::1]", false),
            ("", "a.example", false),
            (".", "a.example", false),
        ] {
            assert_eq!(names_host(list, host, 8443), is_named, "{host} in {list:?}");
        }
    }
}

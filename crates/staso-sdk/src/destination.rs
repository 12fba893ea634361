//! Where spans go: the user's own server wherever it is found, or one that was named.

use std::net::IpAddr;

use ureq::http::Uri;

use crate::config::ConfigError;
use crate::env;

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The user's own server, found by its announcement in the state directory.
    Local,
    /// A named server on this machine; needs no key.
    Loopback {
        /// Its address, without a slash at the end.
        url: String,
    },
    /// A named server elsewhere; needs a key.
    Remote {
        /// Its address, without a slash at the end.
        url: String,
    },
}

impl Destination {
    /// The named address; `None` in local mode.
    #[must_use]
    pub fn url(&self) -> Option<&str> {
        match self {
            Self::Local => None,
            Self::Loopback { url } | Self::Remote { url } => Some(url),
        }
    }
}

/// Reads a server's address.
///
/// # Errors
/// [`ConfigError`] for one that is not http(s), carries credentials, a query or a fragment, or
/// sends content in the clear to another machine.
pub(crate) fn parse_base_url(text: &str, allow_http: bool) -> Result<Destination, ConfigError> {
    let refuse = |why: &str| Err(ConfigError(format!("base_url {why}.")));
    let text = text.trim();
    let Ok(uri) = text.parse::<Uri>() else {
        return refuse("is not an address: write it like https://staso.example.com");
    };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return refuse("has no scheme: write it like https://staso.example.com");
    };
    if scheme != "http" && scheme != "https" {
        return refuse("must begin with https:// or http://");
    }
    if authority.as_str().contains('@') {
        return refuse("holds credentials: pass them as api_key instead");
    }
    if uri.query().is_some() || text.contains('#') {
        return refuse("has a query or a fragment: leave only scheme, host, port and path");
    }
    if authority.host().is_empty() {
        return refuse("names no host");
    }
    let url = format!("{scheme}://{}{}", authority.as_str(), uri.path().trim_end_matches('/'));
    if is_loopback(authority.host()) {
        return Ok(Destination::Loopback { url });
    }
    if scheme == "http" && !allow_http {
        return Err(ConfigError(format!(
            "base_url {url} would send content unencrypted: use https, or set {}=1 inside a \
             private network.",
            env::ALLOW_HTTP
        )));
    }
    Ok(Destination::Remote { url })
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether an address that was announced is on this machine.
pub(crate) fn is_loopback_url(url: &str) -> bool {
    url.parse::<Uri>().ok().and_then(|uri| uri.host().map(is_loopback)).unwrap_or(false)
}

//! What a person can mend when nothing reaches the server: a certificate that is not trusted, a proxy that
//! does not let through. Told in words that name the variable to change.

use rustls::{CertificateError, Error as TlsError};

use crate::env;
use crate::network::{Network, ProxyAddress};

/// Why nothing reaches the server, where a person has to do something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The server's certificate, or the trusted ones.
    Certificate(String),
    /// The proxy on the way.
    Proxy(String),
}

impl Trouble {
    /// What an error of a request means, where a person can mend it.
    pub(crate) fn of(error: &ureq::Error, url: &str, network: &Network) -> Option<Self> {
        if let Some(error) = tls_error(error) {
            return Some(Self::Certificate(of_tls(error, url, network)));
        }
        let proxy = network.proxy.as_ref()?;
        let (shown, variable) = (proxy.shown(), proxy.variable);
        let why = match error {
            ureq::Error::ConnectProxyFailed(reason) if reason.contains("407") => format!(
                "the proxy {shown} wants a user and a password: write them into {variable} as \
                 http://user:password@host:port"
            ),
            ureq::Error::ConnectProxyFailed(reason) => format!(
                "the proxy {shown} that {variable} names does not connect to {url} ({reason})"
            ),
            ureq::Error::Io(_) | ureq::Error::HostNotFound | ureq::Error::Timeout(_) => format!(
                "{url} was not reached through the proxy {shown} that {variable} names ({error})"
            ),
            _ => return None,
        };
        Some(Self::Proxy(format!("{why}; hosts in {} are reached without it", env::NO_PROXY)))
    }

    /// A proxy that cannot be used as it is written. Going round it would take content where the
    /// network's owner does not want it.
    pub(crate) fn unusable(proxy: &ProxyAddress) -> Self {
        let ProxyAddress { variable, .. } = proxy;
        let shown = proxy.shown();
        Self::Proxy(format!(
            "{variable} names the proxy {shown}, but must be like http://host:port or \
             https://host:port"
        ))
    }

    /// One word, by which it is said once.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "certificate",
            Self::Proxy(_) => "proxy",
        }
    }

    /// The sentence.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Certificate(message) | Self::Proxy(message) => message,
        }
    }
}

/// The TLS error in an error of a request, which hides it in an error of reading or writing.
fn tls_error(error: &ureq::Error) -> Option<&TlsError> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

fn of_tls(error: &TlsError, url: &str, network: &Network) -> String {
    use CertificateError as Bad;
    let is_name = matches!(
        error,
        TlsError::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. })
    );
    let is_trust = matches!(error, TlsError::InvalidCertificate(_) | TlsError::General(_));
    let what = format!("no safe connection to {url} ({error})");
    match (is_name, is_trust) {
        (true, _) => format!("{what}; check the host in base_url"),
        (false, true) => format!("{what}; {}", advice(network.ca_file.as_deref())),
        (false, false) => format!("{what}; check that https is spoken at that port"),
    }
}

fn advice(ca_file: Option<&str>) -> String {
    let name = env::SSL_CERT_FILE;
    let Some(path) = ca_file else {
        return format!(
            "if a certificate authority of your own signed it, put that authority's certificate \
             into a file and name the file in {name}"
        );
    };
    match std::fs::File::open(path) {
        Ok(_) => format!(
            "{name} names {path}: put the certificate of the authority that signed it there"
        ),
        Err(error) => format!("{name} names {path}, which cannot be read ({error})"),
    }
}

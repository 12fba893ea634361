//! Who may speak to a server on the loopback without a key.
//!
//! The listener is reachable by every web page the user opens, so the rules keep pages and
//! proxies out: the `Host` must be a name of this machine (DNS rebinding), an `Origin` must be
//! our own (requests forged by other pages), and a request that passed a proxy is not the user.
//! [`check`] is a pure function of the request's head.

use std::net::Ipv4Addr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};

use crate::error::ApiError;

/// What is allowed beyond the loopback's own names, and the token that counts as a key.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessRules {
    /// More names for `Host`, with or without a port.
    pub(crate) allowed_hosts: Vec<String>,
    /// More values for `Origin`.
    pub(crate) allowed_origins: Vec<String>,
    /// The token that `server.json` tells the programs of this user.
    pub(crate) token: String,
}

/// Lets a request pass or says why not.
pub(crate) fn check(rules: &AccessRules, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let host = check_host(rules, uri, headers)?;
    check_origin(rules, &host, headers)?;
    check_proxy(rules, headers)
}

/// The one authority that the request names.
fn check_host(rules: &AccessRules, uri: &Uri, headers: &HeaderMap) -> Result<String, ApiError> {
    let mut named = headers.get_all(header::HOST).iter();
    let (first, second) = (named.next(), named.next());
    let host = match (first, second) {
        (Some(host), None) => host.to_str().unwrap_or_default().to_ascii_lowercase(),
        (None, _) => return Err(bad_host("the request has no Host header")),
        (Some(_), Some(_)) => return Err(bad_host("the request has more than one Host header")),
    };
    let target = uri.authority().map(Authority::as_str).map(str::to_ascii_lowercase);
    for name in [Some(&host), target.as_ref()].into_iter().flatten() {
        if !is_loopback_name(name) && !is_listed(&rules.allowed_hosts, name) {
            return Err(bad_host(format!("the name `{name}` is not one of this server's")));
        }
    }
    Ok(host)
}

fn bad_host(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "host_not_allowed", message)
        .hint("call it localhost, 127.0.0.1 or [::1], or start the server with --allowed-host NAME")
}

/// Whether a `host[:port]` names the loopback. Only whole, plain forms count: octal or shortened
/// addresses and names that merely begin or end like one do not.
fn is_loopback_name(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix("[::1]") {
        return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    }
    let name = match authority.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return false,
        None => authority,
    };
    name == "localhost" || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

/// Whether an allowed name, given with or without a port, covers this `host[:port]`.
fn is_listed(allowed: &[String], authority: &str) -> bool {
    let without_port = authority.rsplit_once(':').filter(|(_, port)| is_port(port));
    allowed.iter().any(|name| {
        name.eq_ignore_ascii_case(authority)
            || without_port.is_some_and(|(host, _)| name.eq_ignore_ascii_case(host))
    })
}

fn check_origin(rules: &AccessRules, host: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    for origin in headers.get_all(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or("null");
        let own = origin.to_ascii_lowercase();
        let is_own = own.strip_prefix("http://").is_some_and(|rest| rest == host);
        if !is_own && !is_allowed_origin(rules, origin) {
            let message = format!("a page of `{origin}` may not call this server");
            return Err(ApiError::new(StatusCode::FORBIDDEN, "origin_not_allowed", message)
                .hint("start the server with --allowed-origin ORIGIN if that page is yours"));
        }
    }
    Ok(())
}

/// Whether the operator listed this origin.
pub(crate) fn is_allowed_origin(rules: &AccessRules, origin: &str) -> bool {
    rules.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

fn check_proxy(rules: &AccessRules, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(name) = headers.keys().find(|name| is_proxy_header(name)) else { return Ok(()) };
    if has_token(rules, headers) {
        return Ok(());
    }
    let message = format!("the request came through a proxy (it carries `{name}`) without a key");
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "key_required", message)
        .hint("keys are not in this build yet; speak to the server directly on this machine"))
}

fn is_proxy_header(name: &HeaderName) -> bool {
    matches!(name.as_str(), "forwarded" | "via" | "x-real-ip")
        || name.as_str().starts_with("x-forwarded-")
}

/// Whether the request carries the token of `server.json`, which only this user can read.
fn has_token(rules: &AccessRules, headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    // The name of a scheme is the same in any case.
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let bearer = bearer.map(|(_, token)| token);
    let sent = text(HeaderName::from_static("x-api-key")).or(bearer).unwrap_or_default();
    !rules.token.is_empty() && is_same(sent.as_bytes(), rules.token.as_bytes())
}

/// Compares without telling by its duration where the first difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> AccessRules {
        AccessRules {
            allowed_hosts: vec!["staso.lan".into(), "other:99".into()],
            allowed_origins: vec!["http://localhost:5173".into()],
            token: "t0ken".into(),
        }
    }

    fn outcome(pairs: &[(&'static str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        match check(&rules(), &"/api/health".parse().unwrap(), &headers) {
            Ok(()) => 200,
            Err(error) => error.status().as_u16(),
        }
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in [
            "localhost",
            "LocalHost:7827",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:7827",
            "staso.lan",
            "staso.lan:7827",
            "STASO.LAN:1",
            "other:99",
        ] {
            assert_eq!(outcome(&[("host", host)]), 200, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7827",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "0177.0.0.1",
            "127.1",
            "2130706433",
            "0.0.0.0",
            "[::]",
            "[::1].evil",
            "[::1]evil",
            "localhost:",
            "localhost:port",
            "localhost:+1",
            "localhost:99999",
            "a@localhost",
            "localhost@evil",
            "other",
            "other:98",
            "[::ffff:127.0.0.1]",
            "128.0.0.1",
        ] {
            assert_eq!(outcome(&[("host", host)]), 403, "{host}");
        }
        assert_eq!(outcome(&[]), 403);
        assert_eq!(outcome(&[("host", "localhost"), ("host", "localhost")]), 403);
    }

    #[test]
    fn an_absolute_target_must_be_allowed_too() {
        let mut headers = HeaderMap::new();
        headers.insert("host", "localhost".parse().unwrap());
        let uri = "http://evil.example/api/traces".parse().unwrap();
        assert!(check(&rules(), &uri, &headers).is_err());
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let with = |origin| outcome(&[("host", "localhost:7827"), ("origin", origin)]);
        assert_eq!(with("http://localhost:7827"), 200);
        assert_eq!(with("http://localhost:5173"), 200);
        for origin in [
            "null",
            "",
            "https://localhost:7827",
            "http://localhost",
            "http://127.0.0.1:7827",
            "http://evil.example",
            "http://localhost:7827.evil.example",
            "http://localhost:78270",
        ] {
            assert_eq!(with(origin), 403, "{origin}");
        }
        let two = [("host", "localhost"), ("origin", "http://localhost"), ("origin", "http://e")];
        assert_eq!(outcome(&two), 403);
    }

    #[test]
    fn a_proxy_in_front_is_not_the_user() {
        for name in [
            "forwarded",
            "via",
            "x-real-ip",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-x",
        ] {
            assert_eq!(outcome(&[("host", "localhost"), (name, "1.1.1.1")]), 401, "{name}");
            let key = |header, key| outcome(&[("host", "localhost"), (name, "x"), (header, key)]);
            assert_eq!(key("x-api-key", "t0ken"), 200);
            assert_eq!(key("authorization", "Bearer t0ken"), 200);
            assert_eq!(key("authorization", "bearer t0ken"), 200);
            assert_eq!(key("authorization", "Basic t0ken"), 401);
            assert_eq!(key("x-api-key", "t0keN"), 401);
            assert_eq!(key("x-api-key", ""), 401);
        }
    }
}

//! Where we are, carried to other processes: W3C `traceparent`, and `baggage` on request.

use std::fmt::Write as _;

use crate::life::Place;
use crate::nesting;
use crate::spans::here::Thread;
use crate::spans::scope::{Remote, Scope};

const SESSION: &str = "staso.session_id";
const USER: &str = "staso.user_id";

/// Hands the header that carries the current span to `set`, which puts it on a request; nothing where
/// there is no span.
///
/// ```
/// let mut headers = Vec::new();
/// let _span = staso_sdk::span("call").start();
/// staso_sdk::inject(|name, value| headers.push((name, value)));
/// // Before `init` nothing is recorded, so that there is nothing to carry.
/// assert!(headers.is_empty());
/// ```
pub fn inject(set: impl FnOnce(&'static str, String)) {
    let innermost = nesting::innermost(Thread);
    if let (Some(place), _) = nesting::surroundings(Thread, innermost.as_ref()) {
        let (trace_id, span_id) = place.to_w3c();
        set("traceparent", format!("00-{trace_id}-{span_id}-{:02x}", u8::from(place.is_kept)));
    }
}

/// The value for a `baggage` header that carries conversation and user. It is a call of its own, because they
/// must not reach third parties by accident.
///
/// ```
/// let _within = staso_sdk::conversation("c").enter();
/// if let Some(value) = staso_sdk::baggage() {
///     println!("baggage: {value}");
/// }
/// ```
#[must_use]
pub fn baggage() -> Option<String> {
    let innermost = nesting::innermost(Thread);
    let around = nesting::surroundings(Thread, innermost.as_ref()).1?;
    let pairs = [(SESSION, &around.context.session_id), (USER, &around.context.user_id)];
    let members = pairs.into_iter().filter_map(|(name, value)| {
        value.as_deref().map(|value| format!("{name}={}", percent_encoded(value)))
    });
    let members = members.collect::<Vec<_>>().join(",");
    (!members.is_empty()).then_some(members)
}

/// The trace that a request's headers tell of, to be continued in a block. `get` answers the value of a
/// header by its name in lower case. Headers that say nothing make a scope that says nothing.
///
/// ```
/// let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let _within = staso_sdk::extract(|name| (name == "traceparent").then_some(parent)).enter();
/// drop(staso_sdk::span("handle").start());
/// ```
#[must_use = "a scope begins with `enter`"]
pub fn extract<'h>(get: impl Fn(&str) -> Option<&'h str>) -> Scope {
    let mut scope =
        Scope { remote: get("traceparent").and_then(remote_parent), ..Scope::default() };
    for member in get("baggage").unwrap_or_default().split(',') {
        let pair = member.split(';').next().and_then(|pair| pair.split_once('='));
        match pair.map(|(name, value)| (name.trim(), percent_decoded(value.trim()))) {
            Some((SESSION, value)) => scope.session_id = Some(value),
            Some((USER, value)) => scope.user_id = Some(value),
            _ => {}
        }
    }
    scope
}

/// The span that a `traceparent` names, with a clock of this process.
pub(crate) fn place_of(traceparent: &str) -> Option<Place> {
    remote_parent(traceparent).map(|remote| remote.place())
}

/// Reads a `traceparent`, as W3C Trace Context says: a later version may have more fields.
fn remote_parent(header: &str) -> Option<Remote> {
    let header = header.trim().to_ascii_lowercase();
    let mut fields = header.split('-');
    let mut hex = |length: usize| {
        let field = fields.next()?;
        let is_hex = field.len() == length && field.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| field.to_owned())
    };
    let (version, trace_id, span_id, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    let is_refused = version == "ff" || (version == "00" && fields.next().is_some());
    let is_nil = [&trace_id, &span_id].into_iter().any(|id| id.bytes().all(|digit| digit == b'0'));
    if is_refused || is_nil {
        return None;
    }
    let is_kept = u8::from_str_radix(&flags, 16).ok()? & 1 == 1;
    Some(Remote { trace_id: trace_id.parse().ok()?, span_id: span_id.parse().ok()?, is_kept })
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        let hex = (*first == b'%').then(|| rest.get(..2)).flatten();
        let hex = hex.and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes = if byte.is_some() { &rest[2..] } else { rest };
        out.push(byte.unwrap_or(*first));
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_traceparent_is_a_parent() {
        let (trace, span) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
        let kept = |header: String| remote_parent(&header).map(|remote| remote.is_kept);
        assert_eq!(kept(format!("00-{trace}-{span}-01")), Some(true));
        assert_eq!(kept(format!(" 00-{}-{span}-00 ", trace.to_uppercase())), Some(false));
        assert_eq!(kept(format!("01-{trace}-{span}-03-more")), Some(true));
        for header in [
            format!("00-{trace}-{span}-01-more"),
            format!("ff-{trace}-{span}-01"),
            format!("00-{}-{span}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}-{span}"),
            format!("00-{trace}-{span}-+1"),
            String::new(),
        ] {
            assert_eq!(kept(header.clone()), None, "{header}");
        }
    }

    #[test]
    fn baggage_comes_back_as_it_went() {
        for text in ["plain", "a b,c;d=e%20", "grün 😀", "100%", "%zz"] {
            assert_eq!(percent_decoded(&percent_encoded(text)), text);
        }
        assert_eq!(percent_decoded("100%"), "100%");
        let header = "other=1, staso.session_id = a%20b;x=y,staso.user_id=u";
        let scope = extract(|name| (name == "baggage").then_some(header));
        assert_eq!((scope.session_id(), scope.user_id.as_deref()), (Some("a b"), Some("u")));
    }
}

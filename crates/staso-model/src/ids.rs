//! Identities: who a trace, a span, a process and an annotation are.
//!
//! Every id is 16 bytes. A span id that came from W3C Trace Context or OpenTelemetry has 8; it
//! stands in the low half, the high half zero, so that both families share one key and neither
//! loses a byte. Text forms: UUID (existing clients) and plain hex (OpenTelemetry); both are read
//! everywhere, in either letter case.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// The id of no thing: sixteen zero bytes. Never a valid trace or span.
            pub const NIL: Self = Self([0; 16]);

            /// Whether this is the all-zero id.
            #[must_use]
            pub fn is_nil(&self) -> bool {
                self.0 == [0; 16]
            }

            /// UUID text, lower case, 36 characters: the form of the native wire.
            #[must_use]
            pub fn to_uuid_text(&self) -> String {
                Uuid::from_bytes(self.0).hyphenated().to_string()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            /// Reads UUID text or plain hex in either case. See [`parse_id`] for the widths.
            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_id(text).map(Self)
            }
        }
    };
}

id! {
    /// A trace: 16 random bytes (W3C Trace Context).
    TraceId
}
id! {
    /// A span, unique within its trace. See the module page for 64-bit ids.
    SpanId
}
id! {
    /// One run of one process that records spans; heartbeats and goodbyes name it.
    ProcessId
}
id! {
    /// One score or label.
    AnnotationId
}

macro_rules! hex32 {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            /// 32 lower-case hex digits.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }
    )*};
}
hex32!(TraceId, ProcessId, AnnotationId);

impl fmt::Display for SpanId {
    /// 16 hex digits for a 64-bit id, 32 for a whole one. Both read back to the same id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_w3c() {
            Some(low) => write!(f, "{:016x}", u64::from_be_bytes(low)),
            None => write!(f, "{:032x}", u128::from_be_bytes(self.0)),
        }
    }
}

impl SpanId {
    /// A 64-bit W3C id in the low half.
    #[must_use]
    pub fn from_w3c(low: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        bytes[8..].copy_from_slice(&low);
        Self(bytes)
    }

    /// The 64-bit id, where this is one: `None` when the high half holds anything.
    #[must_use]
    pub fn to_w3c(&self) -> Option<[u8; 8]> {
        (self.0[..8] == [0; 8]).then(|| self.low())
    }

    /// The low 8 bytes: what OTLP can carry of any span id.
    #[must_use]
    pub fn low(&self) -> [u8; 8] {
        let mut low = [0; 8];
        low.copy_from_slice(&self.0[8..]);
        low
    }

    /// The id of a span whose sender named it by other text: UUIDv5 of (trace id, text).
    #[must_use]
    pub fn from_foreign_text(trace_id: &TraceId, text: &str) -> Self {
        Self(*Uuid::new_v5(&Uuid::from_bytes(trace_id.0), text.as_bytes()).as_bytes())
    }
}

impl TraceId {
    /// The id of a trace whose sender named it by other text: UUIDv5 of (nil, text).
    #[must_use]
    pub fn from_foreign_text(text: &str) -> Self {
        Self(*Uuid::new_v5(&Uuid::nil(), text.as_bytes()).as_bytes())
    }
}

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: want UUID text, 32 or 16 hex digits, got {length} characters")]
pub struct IdError {
    /// How long the refused text was, in bytes. The text itself may be a secret and is not kept.
    pub length: usize,
}

/// Reads 36-character UUID text, 32 hex digits, or 16 hex digits (low half), in either case.
///
/// # Errors
/// [`IdError`] for any other text.
pub fn parse_id(text: &str) -> Result<[u8; 16], IdError> {
    let err = || IdError { length: text.len() };
    match text.len() {
        36 | 32 => Uuid::try_parse(text).map(|uuid| *uuid.as_bytes()).map_err(|_| err()),
        16 if text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            let low = u64::from_str_radix(text, 16).map_err(|_| err())?;
            Ok(u128::from(low).to_be_bytes())
        }
        _ => Err(err()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuid_and_hex_name_the_same_span() {
        let hex: SpanId = "00F067AA0BA902B7".parse().unwrap();
        let uuid: SpanId = "00000000-0000-0000-00f0-67aa0ba902b7".parse().unwrap();
        assert_eq!(hex, uuid);
        assert_eq!(hex.to_string(), "00f067aa0ba902b7");
        assert_eq!(hex.to_uuid_text(), "00000000-0000-0000-00f0-67aa0ba902b7");
    }

    #[test]
    fn a_whole_uuid_is_kept_whole() {
        let id: SpanId = "6f1c3a52-9d0e-4b7a-8f21-0c5d6e7f8a9b".parse().unwrap();
        assert_eq!(id.to_w3c(), None);
        assert_eq!(id.to_string().parse::<SpanId>().unwrap(), id);
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", "x", "g0f067aa0ba902b7", "+0f067aa0ba902b7", "{6f1c3a529d0e4b7a8f210c5d6e7f8a9b"]
        {
            assert!(text.parse::<TraceId>().is_err(), "{text}");
        }
    }
}

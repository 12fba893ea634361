//! Whose records a segment holds: only a process with the same destination may ship them.

use serde::{Deserialize, Serialize};

/// Whether a segment waits for the user's own server or for one that was named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The user's own server takes it, whichever it is.
    Local,
    /// Only the named server takes it.
    Remote,
}

/// Where the records of a segment go, as its header keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// Local or named.
    pub mode: Mode,
    /// The named server; empty in local mode.
    #[serde(default)]
    pub base_url: String,
    /// The workspace its traces belong to, where the program named one.
    #[serde(default)]
    pub workspace: Option<String>,
    /// The deployment environment, where the program named one.
    #[serde(default)]
    pub environment: Option<String>,
    /// A hash of the key, in hex; never the key. Empty without a key.
    #[serde(default)]
    pub key_fingerprint: String,
}

impl Destination {
    /// The user's own server, for any workspace and environment: what the server itself adopts.
    #[must_use]
    pub fn local() -> Self {
        Self {
            mode: Mode::Local,
            base_url: String::new(),
            workspace: None,
            environment: None,
            key_fingerprint: String::new(),
        }
    }

    /// Whether a shipper bound for `self` may ship what was recorded for `other`. Workspace and
    /// environment travel with the batch, so they need not be the same.
    #[must_use]
    pub fn may_ship(&self, other: &Self) -> bool {
        self.mode == other.mode
            && (self.mode == Mode::Local
                || (self.base_url == other.base_url
                    && self.key_fingerprint == other.key_fingerprint))
    }
}

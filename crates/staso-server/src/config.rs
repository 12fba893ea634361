//! What the server is told: defaults < `staso.toml` < `STASO_*` < flags.
//!
//! [`Config::merge`] is one pure function from layers to values that remembers where each came
//! from. Reading the file and the environment is the caller's; a key nobody knows is an error, so
//! that a typing mistake is not a silent default.

mod keys;
mod layer;
mod retention;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use keys::{KEYS, Key, Shape};
pub use layer::{ConfigError, Layer, Origin};
pub use retention::{Keeping, Retaining};

/// A merged configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The state directory.
    pub home: PathBuf,
    /// The address to listen on.
    pub host: IpAddr,
    /// The port to listen on; 0 takes a free one.
    pub port: u16,
    /// Where the data lives; `None` is `data` in the state directory.
    pub data_dir: Option<PathBuf>,
    /// Names a `Host` header may carry besides those of the loopback.
    pub allowed_hosts: Vec<String>,
    /// Origins that web pages may call from besides the server's own.
    pub allowed_origins: Vec<String>,
    /// What a request may ask for.
    pub limits: Limits,
    /// How long a process with open spans may be silent before they are given up.
    pub lost_after: Duration,
    /// What a query may use up.
    pub sql: SqlLimits,
    /// What runs queries: a program that has the engine, in a process per query. Not a setting; `None`
    /// where this build has none.
    pub sql_program: Option<staso_sql::Program>,
    /// What workspaces keep.
    pub retaining: Retaining,
    /// Where each value came from, by key.
    pub origins: BTreeMap<&'static str, (String, Origin)>,
}

/// What a request may ask for before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one request body, decompressed.
    pub max_body_bytes: usize,
    /// Spans of one request.
    pub max_spans: usize,
    /// Nesting of a JSON value; what is deeper is kept as text.
    pub max_depth: usize,
    /// Connections open at one time.
    pub max_connections: usize,
    /// Bytes of request bodies held in memory at one time, over all requests.
    pub max_inflight_bytes: usize,
    /// How long a connection may take for the head of its next request, idle time included.
    pub head_timeout: Duration,
    /// Silence after which a half-sent body is given up.
    pub body_idle_timeout: Duration,
    /// Searches at one time.
    pub max_searches: usize,
    /// How long one search may take before it says where to go on.
    pub search_timeout: Duration,
}

/// What queries in SQL may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Queries at one time.
    pub concurrent: usize,
    /// How long one may take.
    pub timeout: Duration,
    /// Memory of one query's process.
    pub memory_bytes: u64,
    /// Rows of one answer.
    pub max_rows: u64,
    /// Bytes of one answer, about.
    pub max_bytes: u64,
}

impl Config {
    /// Merges layers, the later the stronger. Defaults stand below them all.
    ///
    /// # Errors
    /// [`ConfigError`] for an unknown key or a value of the wrong shape; it names the origin.
    pub fn merge(home: PathBuf, layers: &[Layer]) -> Result<Self, ConfigError> {
        let values = layer::merge(layers)?;
        let read = layer::Reader(&values);
        Ok(Self {
            home,
            host: read.parsed("host")?,
            port: read.integer("port")?,
            data_dir: Some(read.text("data_dir")).filter(|dir| !dir.is_empty()).map(PathBuf::from),
            allowed_hosts: read.list("allowed_hosts"),
            allowed_origins: read.list("allowed_origins"),
            limits: Limits {
                max_body_bytes: read.integer("max_body_bytes")?,
                max_spans: read.integer("max_spans")?,
                max_depth: read.integer("max_depth")?,
                max_connections: read.integer("max_connections")?,
                max_inflight_bytes: read.integer("max_inflight_bytes")?,
                head_timeout: read.seconds("head_timeout_secs")?,
                body_idle_timeout: read.seconds("body_idle_timeout_secs")?,
                max_searches: read.integer("max_searches")?,
                search_timeout: read.seconds("search_timeout_secs")?,
            },
            lost_after: read.seconds("lost_after_secs")?,
            sql: SqlLimits {
                concurrent: read.integer("sql_concurrent")?,
                timeout: read.seconds("sql_timeout_secs")?,
                memory_bytes: read.integer("sql_memory_bytes")?,
                max_rows: read.integer("sql_max_rows")?,
                max_bytes: read.integer("sql_max_bytes")?,
            },
            sql_program: None,
            retaining: Retaining::read(&read)?,
            origins: read.origins(),
        })
    }

    /// Where the data lives.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.home.join("data"))
    }
}

#[cfg(test)]
mod tests;

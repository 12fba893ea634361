//! The registry of settings: one row each, from which flags' help and the reference are made.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in `staso.toml`.
    pub name: &'static str,
    /// Its name in the environment.
    pub env: &'static str,
    /// What values it takes.
    pub shape: Shape,
    /// Its value where nobody sets it; lists are comma-separated.
    pub default: &'static str,
    /// What it is for, in one sentence.
    pub about: &'static str,
}

/// What values a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Any text.
    Text,
    /// A whole number between these two, both included.
    Integer(u64, u64),
    /// A list of texts; comma-separated in the environment.
    List,
}

/// Every setting of the server.
pub const KEYS: &[Key] = &[
    Key {
        name: "host",
        env: "STASO_HOST",
        shape: Shape::Text,
        default: "127.0.0.1",
        about: "the address to listen on; this build serves the loopback only",
    },
    Key {
        name: "port",
        env: "STASO_PORT",
        shape: Shape::Integer(0, 65_535),
        default: "7827",
        about: "the port to listen on; 0 takes a free one",
    },
    Key {
        name: "data_dir",
        env: "STASO_DATA_DIR",
        shape: Shape::Text,
        default: "",
        about: "where the data lives; empty is `data` in the state directory",
    },
    Key {
        name: "allowed_hosts",
        env: "STASO_ALLOWED_HOSTS",
        shape: Shape::List,
        default: "",
        about: "names a Host header may carry besides localhost, 127.0.0.0/8 and [::1]",
    },
    Key {
        name: "allowed_origins",
        env: "STASO_ALLOWED_ORIGINS",
        shape: Shape::List,
        default: "",
        about: "origins that web pages may call from besides the server's own",
    },
    Key {
        name: "max_body_bytes",
        env: "STASO_MAX_BODY_BYTES",
        shape: Shape::Integer(1024, 1 << 30),
        default: "67108864",
        about: "bytes of one request body after decompression",
    },
    Key {
        name: "max_spans",
        env: "STASO_MAX_SPANS",
        shape: Shape::Integer(1, 1_000_000),
        default: "10000",
        about: "spans of one request",
    },
    Key {
        name: "max_depth",
        env: "STASO_MAX_DEPTH",
        shape: Shape::Integer(8, 512),
        default: "512",
        about: "nesting of a JSON value; what is deeper is kept as text",
    },
    Key {
        name: "max_connections",
        env: "STASO_MAX_CONNECTIONS",
        shape: Shape::Integer(1, 65_536),
        default: "512",
        about: "connections open at one time; more wait",
    },
    Key {
        name: "max_inflight_bytes",
        env: "STASO_MAX_INFLIGHT_BYTES",
        shape: Shape::Integer(1024, 1 << 36),
        default: "268435456",
        about: "bytes of request bodies held in memory at one time",
    },
    Key {
        name: "head_timeout_secs",
        env: "STASO_HEAD_TIMEOUT_SECS",
        shape: Shape::Integer(1, 3_600),
        default: "30",
        about: "seconds a connection may take for the head of its next request",
    },
    Key {
        name: "body_idle_timeout_secs",
        env: "STASO_BODY_IDLE_TIMEOUT_SECS",
        shape: Shape::Integer(1, 60),
        default: "10",
        about: "seconds of silence after which a half-sent body is given up",
    },
    Key {
        name: "max_searches",
        env: "STASO_MAX_SEARCHES",
        shape: Shape::Integer(1, 64),
        default: "4",
        about: "searches at one time; more are refused",
    },
    Key {
        name: "search_timeout_secs",
        env: "STASO_SEARCH_TIMEOUT_SECS",
        shape: Shape::Integer(1, 3_600),
        default: "30",
        about: "seconds one search may take before it says where to go on",
    },
    Key {
        name: "retention_days",
        env: "STASO_RETENTION_DAYS",
        shape: Shape::Integer(0, 36_500),
        default: "0",
        about: "whole days (UTC) that traces are kept, today not counted; 0 keeps them for ever",
    },
    Key {
        name: "retention_bytes",
        env: "STASO_RETENTION_BYTES",
        shape: Shape::Integer(0, 1 << 60),
        default: "0",
        about: "bytes of spans that each workspace keeps on disk, the newest; 0 is without a bound",
    },
    Key {
        name: "workspace_retention",
        env: "STASO_WORKSPACE_RETENTION",
        shape: Shape::List,
        default: "",
        about: "workspaces with bounds of their own, as `name=days` or `name=days/bytes`",
    },
    Key {
        name: "lost_after_secs",
        env: "STASO_LOST_AFTER_SECS",
        shape: Shape::Integer(1, 604_800),
        default: "300",
        about: "seconds of silence after which a process's open spans are closed; processes with \
                open spans speak every 15",
    },
    Key {
        name: "sql_concurrent",
        env: "STASO_SQL_CONCURRENT",
        shape: Shape::Integer(1, 64),
        default: "2",
        about: "queries in SQL at one time; further ones are told to come back",
    },
    Key {
        name: "sql_timeout_secs",
        env: "STASO_SQL_TIMEOUT_SECS",
        shape: Shape::Integer(1, 3_600),
        default: "30",
        about: "seconds that a query in SQL may take, and processor seconds per thread",
    },
    Key {
        name: "sql_memory_bytes",
        env: "STASO_SQL_MEMORY_BYTES",
        shape: Shape::Integer(256 << 20, 1 << 40),
        default: "1073741824",
        about: "bytes of memory that a query in SQL may take",
    },
    Key {
        name: "sql_max_rows",
        env: "STASO_SQL_MAX_ROWS",
        shape: Shape::Integer(1, 1 << 40),
        default: "1000000",
        about: "rows that an answer to SQL may be asked to have",
    },
    Key {
        name: "sql_max_bytes",
        env: "STASO_SQL_MAX_BYTES",
        shape: Shape::Integer(1024, 1 << 36),
        default: "268435456",
        about: "bytes of an answer to SQL, about; what is beyond is cut off, and said to be",
    },
];

/// The row of a setting.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

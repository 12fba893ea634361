//! Every environment variable the SDK reads: one registry, from which the reference is made.

/// One environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvVar {
    /// Its name.
    pub name: &'static str,
    /// The default, as text; empty where there is none.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

macro_rules! registry {
    ($($const:ident = $name:literal, $default:literal, $meaning:literal;)*) => {
        $(#[doc = $meaning] pub const $const: &str = $name;)*

        /// All of them, in the order of the reference page.
        pub const REGISTRY: &[EnvVar] = &[
            $(EnvVar { name: $name, default: $default, meaning: $meaning }),*
        ];
    };
}

registry! {
    API_KEY = "STASO_API_KEY", "", "The key sent to the server. Required when the server is not on this machine.";
    AGENT_NAME = "STASO_AGENT_NAME", "the script's name", "The agent that spans belong to unless they name another.";
    AGENT_VERSION = "STASO_AGENT_VERSION", "", "The version of that agent.";
    BASE_URL = "STASO_BASE_URL", "the local server", "Where spans are sent. Unset: nothing leaves the machine.";
    BATCH_SIZE = "STASO_BATCH_SIZE", "100", "The most spans in one request, 1 to 500.";
    FLUSH_INTERVAL = "STASO_FLUSH_INTERVAL", "0.5", "Seconds a finished span waits for others at most.";
    MAX_QUEUE_SIZE = "STASO_MAX_QUEUE_SIZE", "10000", "The most spans held in memory where there is no journal.";
    ENABLED = "STASO_ENABLED", "true", "Off: nothing is recorded, written or sent.";
    DEBUG = "STASO_DEBUG", "false", "Log what the SDK does.";
    ENVIRONMENT = "STASO_ENVIRONMENT", "", "The deployment environment, such as production.";
    WORKSPACE_SLUG = "STASO_WORKSPACE_SLUG", "", "The workspace that spans belong to.";
    SESSION_ID = "STASO_SESSION_ID", "", "The conversation of spans that are in none.";
    CAPTURE_MESSAGES = "STASO_CAPTURE_MESSAGES", "true", "Older name for CAPTURE_REQUEST and CAPTURE_SYSTEM_PROMPT together; either of them wins.";
    CAPTURE_REQUEST = "STASO_CAPTURE_REQUEST", "true", "Record what callers ask.";
    CAPTURE_SYSTEM_PROMPT = "STASO_CAPTURE_SYSTEM_PROMPT", "true", "Record system prompts.";
    CAPTURE_TOOL_SCHEMA = "STASO_CAPTURE_TOOL_SCHEMA", "true", "Record the tools offered to a model.";
    CAPTURE_TOOL_ARGUMENTS = "STASO_CAPTURE_TOOL_ARGUMENTS", "true", "Record what tools are called with.";
    CAPTURE_OUTPUT = "STASO_CAPTURE_OUTPUT", "true", "Record what comes back.";
    CAPTURE_GIT = "STASO_CAPTURE_GIT", "true", "Put commit, branch and repository on root spans.";
    JOURNAL = "STASO_JOURNAL", "true", "Off: memory only. A path: keep the journal there.";
    SAMPLE_RATE = "STASO_SAMPLE_RATE", "1.0", "The share of traces that are kept, 0 to 1.";
    MAX_VALUE_BYTES = "STASO_MAX_VALUE_BYTES", "1048576", "The longest string kept whole inside a payload.";
    MAX_SPAN_BYTES = "STASO_MAX_SPAN_BYTES", "16777216", "The largest span kept whole.";
    PROPAGATE_THREADS = "STASO_PROPAGATE_THREADS", "true", "Carry the current span into threads and pools.";
    HOME = "STASO_HOME", "the XDG state directory", "Where the journal and the local server's announcement live.";
    ALLOW_HTTP = "STASO_ALLOW_HTTP", "false", "Allow plain http to another machine (containers).";
    VCS_COMMIT_SHA = "STASO_VCS_COMMIT_SHA", "found", "The commit put on root spans.";
    VCS_BRANCH = "STASO_VCS_BRANCH", "found", "The branch put on root spans.";
    VCS_REPO_URL = "STASO_VCS_REPO_URL", "found", "The repository put on root spans.";
}

// The names that are not ours: every program on the machine reads them, and in lower case too.

/// The span of another process that the first root span hangs under.
pub const TRACEPARENT: &str = "TRACEPARENT";
/// The proxy towards https addresses.
pub const HTTPS_PROXY: &str = "HTTPS_PROXY";
/// The proxy towards http addresses.
pub const HTTP_PROXY: &str = "HTTP_PROXY";
/// The proxy towards addresses that have none of their own.
pub const ALL_PROXY: &str = "ALL_PROXY";
/// The hosts that are reached without a proxy.
pub const NO_PROXY: &str = "NO_PROXY";
/// The file of trusted certificates.
pub const SSL_CERT_FILE: &str = "SSL_CERT_FILE";

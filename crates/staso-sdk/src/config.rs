//! The settings of a client: arguments over environment over defaults, checked once.
//!
//! A refused setting is the one thing that may raise in the user's program, so every message says
//! what to do about it.

use std::path::PathBuf;
use std::time::Duration;

use staso_journal::Home;
use staso_model::CaptureCategory;

use crate::destination::{Destination, parse_base_url};
use crate::env;
use crate::network::Network;
use crate::vcs::Vcs;

/// Keys that people leave in examples.
const PLACEHOLDER_KEYS: &[&str] =
    &["change-me", "changeme", "your-api-key", "your_api_key", "replace-me", "placeholder"];

/// Why a setting was refused, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// Where the journal lives, when the program says so itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalChoice {
    /// Memory only.
    Off,
    /// In the state directory.
    Default,
    /// In this state directory.
    At(PathBuf),
}

/// What the program passed to `init`; everything else comes from the environment or a default.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "each field is the setting of the same name in `Config`")]
pub struct Overrides {
    pub api_key: Option<String>,
    pub agent_name: Option<String>,
    pub agent_version: Option<String>,
    pub base_url: Option<String>,
    pub batch_size: Option<i64>,
    pub flush_interval: Option<f64>,
    pub max_queue_size: Option<i64>,
    pub enabled: Option<bool>,
    pub debug: Option<bool>,
    pub environment: Option<String>,
    pub workspace_slug: Option<String>,
    pub capture_messages: Option<bool>,
    pub capture_request: Option<bool>,
    pub capture_system_prompt: Option<bool>,
    pub capture_tool_schema: Option<bool>,
    pub capture_tool_arguments: Option<bool>,
    pub capture_output: Option<bool>,
    pub capture_git: Option<bool>,
    pub journal: Option<JournalChoice>,
    pub sample_rate: Option<f64>,
    pub max_value_bytes: Option<i64>,
    pub max_span_bytes: Option<i64>,
    pub propagate_threads: Option<bool>,
    /// The default agent name: the script, without directory and suffix.
    pub script_name: Option<String>,
}

/// Which content leaves the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturePolicy {
    /// What callers ask.
    pub request: bool,
    /// System prompts.
    pub system_prompt: bool,
    /// The tools offered to a model.
    pub tool_schema: bool,
    /// What tools are called with.
    pub tool_arguments: bool,
    /// What comes back.
    pub output: bool,
}

impl CapturePolicy {
    /// Everything.
    pub const ALL: Self = Self {
        request: true,
        system_prompt: true,
        tool_schema: true,
        tool_arguments: true,
        output: true,
    };

    /// Whether this category is recorded.
    #[must_use]
    pub fn allows(&self, category: CaptureCategory) -> bool {
        match category {
            CaptureCategory::Request => self.request,
            CaptureCategory::SystemPrompt => self.system_prompt,
            CaptureCategory::ToolSchema => self.tool_schema,
            CaptureCategory::ToolArguments => self.tool_arguments,
            CaptureCategory::Output => self.output,
        }
    }

    /// Whether every category is recorded: error texts need that.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        *self == Self::ALL
    }
}

/// The settings of a client, resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Sent as `X-API-Key` to an explicit server. Never written to disk.
    pub api_key: Option<ApiKey>,
    /// The agent that spans belong to unless they name another.
    pub agent_name: Option<String>,
    /// Its version.
    pub agent_version: Option<String>,
    /// Where spans go.
    pub destination: Destination,
    /// What stands between here and there.
    pub network: Network,
    /// The most spans in one request.
    pub batch_size: usize,
    /// The longest a finished span waits for others.
    pub flush_interval: Duration,
    /// The most records held in memory where there is no journal.
    pub max_queue_size: usize,
    /// Off: nothing is recorded, written or sent.
    pub enabled: bool,
    /// Log what the SDK does.
    pub debug: bool,
    /// The deployment environment.
    pub environment: Option<String>,
    /// The workspace.
    pub workspace_slug: Option<String>,
    /// The conversation of spans that are in none.
    pub session_id: Option<String>,
    /// Which content is recorded.
    pub capture: CapturePolicy,
    /// Whether root spans carry the commit.
    pub capture_git: bool,
    /// That commit, where the environment names it.
    pub vcs: Option<Vcs>,
    /// The W3C `traceparent` that this process was started with.
    pub traceparent: Option<String>,
    /// The state directory; `None` where the environment names no place.
    pub home: Option<Home>,
    /// Whether records go to a journal in `home`.
    pub journal: bool,
    /// The share of traces that are kept.
    pub sample_rate: f64,
    /// The longest string kept whole inside a payload, bytes.
    pub max_value_bytes: usize,
    /// The largest span kept whole, bytes.
    pub max_span_bytes: usize,
    /// Whether the current span travels into threads and pools.
    pub propagate_threads: bool,
}

/// A key that does not show itself in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(pub String);

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

impl Config {
    /// Resolves arguments over environment over defaults.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be meant.
    pub fn resolve(
        overrides: &Overrides,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let source = Source { env };
        let o = overrides.clone();
        let (journal, home) = source.journal(o.journal)?;
        let api_key = source.text(o.api_key, env::API_KEY).map(ApiKey);
        let enabled = source.boolean(o.enabled, env::ENABLED, true)?;
        let destination = match source.text(o.base_url, env::BASE_URL) {
            None => Destination::Local,
            Some(url) => {
                let allow_http = source.boolean(None, env::ALLOW_HTTP, false)?;
                parse_base_url(&url, allow_http)?
            }
        };
        if enabled {
            check_key(&destination, api_key.as_ref())?;
        }
        let capture = source.capture(overrides)?;
        let capture_git = source.boolean(o.capture_git, env::CAPTURE_GIT, true)?;
        let network = destination.url().map(|url| Network::towards(url, env)).unwrap_or_default();
        Ok(Self {
            api_key,
            agent_name: source.text(o.agent_name, env::AGENT_NAME).or(o.script_name),
            agent_version: source.text(o.agent_version, env::AGENT_VERSION),
            destination,
            network,
            batch_size: source.count(o.batch_size, env::BATCH_SIZE, 100, 1..=500)?,
            flush_interval: source.interval(o.flush_interval, env::FLUSH_INTERVAL, 0.5)?,
            max_queue_size: source.count(
                o.max_queue_size,
                env::MAX_QUEUE_SIZE,
                10_000,
                1..=i64::MAX,
            )?,
            enabled,
            debug: source.boolean(o.debug, env::DEBUG, false)?,
            environment: source.text(o.environment, env::ENVIRONMENT),
            workspace_slug: source.text(o.workspace_slug, env::WORKSPACE_SLUG),
            session_id: source.text(None, env::SESSION_ID),
            capture,
            capture_git,
            vcs: capture_git.then(|| Vcs::from_environment(env)).flatten(),
            traceparent: source.get(env::TRACEPARENT),
            home,
            journal,
            sample_rate: source.share(o.sample_rate, env::SAMPLE_RATE, 1.0)?,
            max_value_bytes: source.count(
                o.max_value_bytes,
                env::MAX_VALUE_BYTES,
                1 << 20,
                64..=i64::MAX,
            )?,
            max_span_bytes: source.count(
                o.max_span_bytes,
                env::MAX_SPAN_BYTES,
                16 << 20,
                1024..=(60 << 20),
            )?,
            propagate_threads: source.boolean(o.propagate_threads, env::PROPAGATE_THREADS, true)?,
        })
    }

    /// Whether spans go to the user's own server, wherever that is found.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.destination == Destination::Local
    }
}

fn check_key(destination: &Destination, key: Option<&ApiKey>) -> Result<(), ConfigError> {
    let Destination::Remote { url } = destination else { return Ok(()) };
    let problem = match key.map(|key| key.0.trim()) {
        None | Some("") => "api_key is missing",
        Some(key) if PLACEHOLDER_KEYS.contains(&key.to_ascii_lowercase().as_str()) => {
            "api_key is still the placeholder of an example"
        }
        Some(key) if !key.bytes().all(|b| (0x21..=0x7e).contains(&b)) => {
            "api_key holds characters that no key has"
        }
        Some(_) => return Ok(()),
    };
    Err(ConfigError(format!(
        "{problem}: {url} is not on this machine. Pass api_key=... or set {}, or leave base_url \
         unset to use the local server.",
        env::API_KEY
    )))
}

/// Where settings come from that were not passed.
struct Source<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
}

impl Source<'_> {
    fn text(&self, passed: Option<String>, name: &str) -> Option<String> {
        passed.filter(|text| !text.trim().is_empty()).or_else(|| self.get(name))
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn boolean(
        &self,
        passed: Option<bool>,
        name: &str,
        default: bool,
    ) -> Result<bool, ConfigError> {
        if let Some(value) = passed {
            return Ok(value);
        }
        match self.get(name) {
            None => Ok(default),
            Some(text) => parse_boolean(&text).ok_or_else(|| {
                ConfigError(format!(
                    "{name}={text:?} is neither yes nor no: use 1, true, yes or on; or 0, false, \
                     no or off."
                ))
            }),
        }
    }

    fn number<T: std::str::FromStr>(
        &self,
        passed: Option<T>,
        name: &str,
        default: T,
    ) -> Result<T, ConfigError> {
        if let Some(value) = passed {
            return Ok(value);
        }
        match self.get(name) {
            None => Ok(default),
            Some(text) => {
                text.parse().map_err(|_| ConfigError(format!("{name}={text:?} is not a number.")))
            }
        }
    }

    fn count(
        &self,
        passed: Option<i64>,
        name: &str,
        default: i64,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<usize, ConfigError> {
        let value = self.number(passed, name, default)?;
        if !range.contains(&value) {
            let limit = match *range.end() {
                i64::MAX => format!("at least {}", range.start()),
                end => format!("from {} to {end}", range.start()),
            };
            return Err(ConfigError(format!(
                "{} is {value}, but must be {limit}.",
                argument(name)
            )));
        }
        usize::try_from(value).map_err(|_| ConfigError(format!("{} is too large.", argument(name))))
    }

    fn interval(
        &self,
        passed: Option<f64>,
        name: &str,
        default: f64,
    ) -> Result<Duration, ConfigError> {
        let value = self.number(passed, name, default)?;
        Duration::try_from_secs_f64(value)
            .ok()
            .filter(|interval| *interval > Duration::ZERO && value <= 86_400.0)
            .ok_or_else(|| {
                ConfigError(format!(
                    "{} is {value}, but must be more than 0 seconds and at most a day.",
                    argument(name)
                ))
            })
    }

    fn share(&self, passed: Option<f64>, name: &str, default: f64) -> Result<f64, ConfigError> {
        let value = self.number(passed, name, default)?;
        if (0.0..=1.0).contains(&value) {
            return Ok(value);
        }
        Err(ConfigError(format!("{} is {value}, but must be from 0 to 1.", argument(name))))
    }

    /// An argument beats its variable, which beats the older name for two of them.
    fn capture(&self, o: &Overrides) -> Result<CapturePolicy, ConfigError> {
        let messages = self.boolean(o.capture_messages, env::CAPTURE_MESSAGES, true)?;
        Ok(CapturePolicy {
            request: self.boolean(o.capture_request, env::CAPTURE_REQUEST, messages)?,
            system_prompt: self.boolean(
                o.capture_system_prompt,
                env::CAPTURE_SYSTEM_PROMPT,
                messages,
            )?,
            tool_schema: self.boolean(o.capture_tool_schema, env::CAPTURE_TOOL_SCHEMA, true)?,
            tool_arguments: self.boolean(
                o.capture_tool_arguments,
                env::CAPTURE_TOOL_ARGUMENTS,
                true,
            )?,
            output: self.boolean(o.capture_output, env::CAPTURE_OUTPUT, true)?,
        })
    }

    /// Whether there is a journal, and the state directory. Without a journal the directory is
    /// still where a local server announces itself.
    fn journal(&self, passed: Option<JournalChoice>) -> Result<(bool, Option<Home>), ConfigError> {
        let located = || Home::locate(|name| (self.env)(name));
        let choice = passed.or_else(|| {
            let text = self.get(env::JOURNAL)?;
            Some(match parse_boolean(&text) {
                Some(true) => JournalChoice::Default,
                Some(false) => JournalChoice::Off,
                None => JournalChoice::At(PathBuf::from(text)),
            })
        });
        match choice {
            Some(JournalChoice::Off) => Ok((false, located())),
            Some(JournalChoice::At(path)) if path.as_os_str().is_empty() => {
                Err(ConfigError("journal is an empty path: name a directory.".to_owned()))
            }
            Some(JournalChoice::At(path)) => Ok((true, Some(Home::new(path)))),
            Some(JournalChoice::Default) | None => {
                let home = located();
                Ok((home.is_some(), home))
            }
        }
    }
}

fn parse_boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The argument a variable stands for: `STASO_BATCH_SIZE` is `batch_size`.
fn argument(name: &str) -> String {
    name.trim_start_matches("STASO_").to_ascii_lowercase()
}

//! `Engine`: the client as Python's `init`, `flush` and `shutdown` handle it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict};
use staso_sdk::record::SpanContext;
use staso_sdk::{
    CapturePolicy, Client, Config, DeliveryReport, FailureKind, JournalChoice, LogLevel, Overrides,
};

use crate::objects;
use crate::recorder::{self, Fixed, Recorder, Target};
use crate::value::{Limits, Walker};

/// A running client, or one that is switched off.
#[pyclass(frozen, module = "staso._core")]
pub(crate) struct Engine {
    config: Config,
    recorder: Option<&'static Recorder>,
}

/// What the engine has said and Python's logging has not yet taken.
static MESSAGES: Mutex<Vec<(LogLevel, String)>> = Mutex::new(Vec::new());

static HAS_MESSAGES: AtomicBool = AtomicBool::new(false);

/// The most messages that wait to be taken.
const MESSAGES_KEPT: usize = 100;

/// Keeps a message until a thread of Python's comes by: the engine's own threads never wait for
/// the interpreter.
fn keep_message(level: LogLevel, message: &str) {
    // Tried, not waited for: in a forked child the lock may be held by a thread that is not there.
    let Ok(mut messages) = MESSAGES.try_lock() else { return };
    if messages.len() < MESSAGES_KEPT {
        messages.push((level, message.to_owned()));
        HAS_MESSAGES.store(true, Ordering::Release);
    }
}

/// Lets Python's logging take what the engine has said since; nearly always that is nothing.
#[inline]
pub(crate) fn relay_messages(py: Python<'_>) {
    if HAS_MESSAGES.load(Ordering::Relaxed) {
        let relayed = objects::relay_messages(py).and_then(|relay| relay.call0());
        // Whatever a program's log handlers raise is not for the code that ends a span.
        drop(relayed);
    }
}

/// The messages of the engine since the last call, as `(level, text)`.
#[pyfunction]
pub(crate) fn take_messages() -> Vec<(&'static str, String)> {
    HAS_MESSAGES.store(false, Ordering::Relaxed);
    let taken = match MESSAGES.try_lock() {
        Ok(mut messages) => std::mem::take(&mut *messages),
        Err(_) => Vec::new(),
    };
    let word = |level| match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
    };
    taken.into_iter().map(|(level, text)| (word(level), text)).collect()
}

macro_rules! overrides {
    ($options:ident: $($name:ident),* $(,)?) => {
        Overrides {
            $($name: option($options, stringify!($name))?,)*
            journal: journal($options)?,
        }
    };
}

fn option<T>(options: &Bound<'_, PyDict>, name: &str) -> PyResult<Option<T>>
where
    T: for<'a, 'py> FromPyObject<'a, 'py, Error: Into<PyErr>>,
{
    let Some(value) = options.get_item(name)?.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    value.extract::<T>().map(Some).map_err(|_| {
        let given = crate::words::shown(&value);
        PyValueError::new_err(format!("{name} cannot be {given}"))
    })
}

fn journal(options: &Bound<'_, PyDict>) -> PyResult<Option<JournalChoice>> {
    let Some(value) = options.get_item("journal")?.filter(|value| !value.is_none()) else {
        return Ok(None);
    };
    if let Ok(choice) = value.cast::<PyBool>() {
        let choice = if choice.is_true() { JournalChoice::Default } else { JournalChoice::Off };
        return Ok(Some(choice));
    }
    option::<PathBuf>(options, "journal").map(|path| path.map(JournalChoice::At))
}

#[pymethods]
impl Engine {
    /// Resolves the settings and, unless recording is off, starts the client and puts it in force.
    #[new]
    fn new(
        options: &Bound<'_, PyDict>,
        redact: Option<Py<PyAny>>,
        remote: Option<(String, String, bool)>,
    ) -> PyResult<Self> {
        let overrides = overrides! { options:
            api_key, agent_name, agent_version, base_url, batch_size, flush_interval,
            max_queue_size, enabled, debug, environment, workspace_slug, capture_messages,
            capture_request, capture_system_prompt, capture_tool_schema, capture_tool_arguments,
            capture_output, capture_git, sample_rate, max_value_bytes, max_span_bytes,
            propagate_threads, script_name,
        };
        let environment = |name: &str| std::env::var(name).ok();
        let config = Config::resolve(&overrides, &environment)
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        staso_sdk::set_log_sink(keep_message);
        let recorder = config.enabled.then(|| {
            let context = SpanContext {
                agent_name: config.agent_name.clone(),
                agent_id: config.agent_name.as_deref().map(agent_id),
                agent_version: config.agent_version.clone(),
                session_id: config.session_id.clone(),
                user_id: None,
            };
            let limits =
                Limits { value_bytes: config.max_value_bytes, span_bytes: config.max_span_bytes };
            let target = Target::Engine(Client::start(config.clone()));
            let mut recorder = Recorder::new(target, limits, config.capture, context);
            recorder.redact = redact;
            recorder.sample_rate = config.sample_rate;
            recorder.await_first_root(remote);
            recorder.install()
        });
        if recorder.is_none() {
            recorder::reinstate(None);
        }
        Ok(Self { config, recorder })
    }

    /// Ships what was recorded before this call; answers the report as `(name, value)` pairs.
    fn flush(&self, py: Python<'_>, timeout: f64) -> PyResult<Py<PyDict>> {
        self.report(py, |client| client.flush(seconds(timeout)))
    }

    /// Flushes, stops recording and takes this client out of force.
    fn shutdown(&self, py: Python<'_>, timeout: f64) -> PyResult<Py<PyDict>> {
        self.retire();
        self.report(py, |client| client.shutdown(seconds(timeout)))
    }

    /// The shutdown of a program that ends: waits only while requests make progress.
    fn shutdown_at_exit(&self, py: Python<'_>, timeout: f64) -> PyResult<Py<PyDict>> {
        self.retire();
        self.report(py, |client| client.shutdown_at_exit(seconds(timeout)))
    }

    /// Every counter since the start.
    fn stats(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let stats = PyDict::new(py);
        if let Some(recorder) = self.recorder {
            if let Some(client) = recorder.client() {
                for (name, count) in client.stats().0 {
                    stats.set_item(name, count)?;
                }
            }
            let failed = recorder.redactions_failed.load(Ordering::Relaxed);
            stats.set_item("redactions_failed", failed)?;
        }
        Ok(stats.unbind())
    }

    /// The settings, resolved.
    fn config(&self, py: Python<'_>) -> PyResult<Py<PyDict>> {
        let config = &self.config;
        let dict = PyDict::new(py);
        dict.set_item("api_key", config.api_key.as_ref().map(|key| &key.0))?;
        dict.set_item("agent_name", &config.agent_name)?;
        dict.set_item("agent_id", config.agent_name.as_deref().map(agent_id))?;
        dict.set_item("agent_version", &config.agent_version)?;
        dict.set_item("base_url", config.destination.url())?;
        dict.set_item("batch_size", config.batch_size)?;
        dict.set_item("flush_interval", config.flush_interval.as_secs_f64())?;
        dict.set_item("max_queue_size", config.max_queue_size)?;
        dict.set_item("enabled", config.enabled)?;
        dict.set_item("debug", config.debug)?;
        dict.set_item("environment", &config.environment)?;
        dict.set_item("workspace_slug", &config.workspace_slug)?;
        dict.set_item("session_id", &config.session_id)?;
        dict.set_item("capture_policy", categories(config.capture))?;
        dict.set_item("capture_git", config.capture_git)?;
        dict.set_item("journal", config.journal)?;
        dict.set_item("sample_rate", config.sample_rate)?;
        dict.set_item("max_value_bytes", config.max_value_bytes)?;
        dict.set_item("max_span_bytes", config.max_span_bytes)?;
        dict.set_item("propagate_threads", config.propagate_threads)?;
        Ok(dict.unbind())
    }

    /// Sets what root spans carry besides their own metadata.
    fn set_root_attributes(&self, py: Python<'_>, attributes: &Bound<'_, PyDict>) {
        if let Some(recorder) = self.recorder {
            let mut json = Vec::new();
            let mut walker = Walker::of(py, &mut json, recorder);
            walker.enter_path("metadata");
            walker.dict_items(attributes.as_ptr(), true);
            walker.leave_path();
            walker.finish(recorder);
            recorder.set_root_attributes(&json);
        }
    }
}

impl Engine {
    fn retire(&self) {
        if let Some(recorder) = self.recorder {
            recorder::retire(recorder);
        }
    }

    fn report(
        &self,
        py: Python<'_>,
        ask: impl Send + FnOnce(&Client) -> DeliveryReport,
    ) -> PyResult<Py<PyDict>> {
        let report = match self.recorder.and_then(Recorder::client) {
            Some(client) => py.detach(|| ask(client)),
            None => DeliveryReport::disabled(),
        };
        let dict = PyDict::new(py);
        dict.set_item("accepted", report.accepted)?;
        dict.set_item("delivered", report.delivered)?;
        dict.set_item("failed", report.failed)?;
        dict.set_item("pending", report.pending)?;
        dict.set_item("rejected", report.rejected)?;
        dict.set_item("timed_out", report.timed_out)?;
        dict.set_item("last_failure", report.last_failure.map(FailureKind::as_str))?;
        dict.set_item("retryable", report.retryable)?;
        dict.set_item("last_rejection", report.last_rejection.map(FailureKind::as_str))?;
        dict.set_item("rejection_retryable", report.rejection_retryable)?;
        dict.set_item("journalled", report.journalled)?;
        dict.set_item("is_local", self.config.is_local())?;
        Ok(dict.unbind())
    }
}

/// Whole policies as the five booleans, in the order of the categories.
fn categories(policy: CapturePolicy) -> (bool, bool, bool, bool, bool) {
    (policy.request, policy.system_prompt, policy.tool_schema, policy.tool_arguments, policy.output)
}

fn seconds(timeout: f64) -> Duration {
    Duration::try_from_secs_f64(timeout.clamp(0.0, 1e6)).unwrap_or_default()
}

/// The stable id of an agent: the same name, the same id, everywhere.
#[pyfunction(name = "generate_agent_id")]
pub(crate) fn agent_id(name: &str) -> String {
    const NAMESPACE: uuid::Uuid = uuid::uuid!("a1b2c3d4-e5f6-7890-abcd-ef1234567890");
    uuid::Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
}

/// A random UUID, for a conversation that is given no id.
#[pyfunction]
pub(crate) fn fresh_uuid() -> String {
    uuid::Uuid::from_bytes(staso_sdk::ids::uuid_v4()).to_string()
}

/// Hands every record to `take(kind, trace_id, json)` instead of a client, until `restore`.
#[pyclass(frozen, module = "staso._core")]
pub(crate) struct Capture {
    own: &'static Recorder,
    before: Option<&'static Recorder>,
}

#[pymethods]
impl Capture {
    #[new]
    fn new(take: Py<PyAny>, start_ns: Option<i64>, redact: Option<Py<PyAny>>) -> Self {
        let limits = Limits { value_bytes: 1 << 20, span_bytes: 16 << 20 };
        let target = Target::Callable(take);
        let mut own = Recorder::new(target, limits, CapturePolicy::ALL, SpanContext::default());
        own.fixed = start_ns.map(Fixed::new);
        own.redact = redact;
        let before = recorder::active();
        Self { own: own.install(), before }
    }

    /// Puts back what was in force before.
    fn restore(&self) {
        if recorder::active().is_some_and(|active| std::ptr::eq(active, self.own)) {
            recorder::reinstate(self.before);
        }
    }
}

//! `Engine`: the client as Python's `init`, `flush` and `shutdown` handle it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString};
use staso_sdk::{
    Config, Host, Overrides, Place, RecordKind, Recorder, Setting, TraceId, recorder, seconds,
};

use crate::value::{Held, Redaction, Walker};
use crate::words::shown;

/// A running client, or one that is switched off.
#[pyclass(frozen, module = "staso._core")]
pub(crate) struct Engine {
    config: Config,
    recorder: Option<&'static Recorder>,
}

#[pymethods]
impl Engine {
    /// Resolves the settings and, unless recording is off, starts the client and puts it in force.
    #[new]
    fn new(
        options: &Bound<'_, PyDict>,
        redact: Option<Redaction>,
        remote: Option<(String, String, bool)>,
    ) -> PyResult<Self> {
        let mut overrides = Overrides::default();
        for (name, value) in options {
            let name = name.extract::<String>()?;
            if !setting(&value).is_some_and(|setting| overrides.set(&name, setting)) {
                return Err(PyValueError::new_err(format!("{name} cannot be {}", shown(&value))));
            }
        }
        let config = Config::resolve(&overrides, &|name| std::env::var(name).ok())
            .map_err(|error| PyValueError::new_err(error.to_string()))?;
        staso_sdk::keep_messages();
        let remote = remote.and_then(|remote| Place::of_remote(&remote));
        recorder::uninstall();
        let recorder = config.enabled.then(|| {
            let recorder = Recorder::start(&config, redact);
            recorder.with_first_parent(remote).install()
        });
        Ok(Self { config, recorder })
    }

    /// Ships what was recorded before this call; answers the report as JSON. `at_exit` is for a client that
    /// ends, which stops recording and goes out of force: at the program's exit it waits only while requests
    /// make progress.
    fn flush(&self, py: Python<'_>, timeout: f64, at_exit: Option<bool>) -> String {
        let report = py.detach(|| recorder::report(self.recorder, seconds(timeout), at_exit));
        Setting::to_json(report.settings(self.config.is_local()))
    }

    /// Every counter since the start.
    fn stats(&self) -> BTreeMap<&'static str, u64> {
        self.recorder.map(Recorder::stats).unwrap_or_default().0
    }

    /// The settings, resolved, as JSON.
    fn config(&self) -> String {
        Setting::to_json(self.config.settings())
    }

    /// Sets what root spans carry besides their own metadata.
    fn set_root_attributes(&self, attributes: &Bound<'_, PyDict>) {
        if let Some(recorder) = self.recorder {
            let mut walker = Walker::new(attributes.py(), recorder);
            walker.members("metadata", &Held::of(attributes), None, &mut true);
            recorder.set_root_attributes(&walker.pen().out);
        }
    }
}

/// What a program passed, as a setting; `None` for what no setting can be.
fn setting(value: &Bound<'_, PyAny>) -> Option<Setting> {
    Some(if let Ok(flag) = value.cast::<PyBool>() {
        Setting::Flag(flag.is_true())
    } else if value.is_instance_of::<PyInt>() {
        Setting::Count(value.extract().ok()?)
    } else if value.is_instance_of::<PyFloat>() {
        Setting::Number(value.extract().ok()?)
    } else if value.is_instance_of::<PyString>() {
        Setting::Text(value.extract().ok()?)
    } else {
        Setting::Path(value.extract::<PathBuf>().ok()?)
    })
}

/// Hands every record to `take(kind, trace_id, json)` instead of a client, until `restore`.
#[pyclass(module = "staso._core")]
pub(crate) struct Capture {
    own: &'static Recorder,
    before: Option<&'static Recorder>,
}

#[pymethods]
impl Capture {
    #[new]
    fn new(take: Py<PyAny>, start_ns: Option<i64>, redact: Option<Redaction>) -> Self {
        let list = move |kind, trace_id: &TraceId, json: &[u8]| {
            let kind = if kind == RecordKind::Annotation { "annotation" } else { "span" };
            Python::attach(|py| {
                let record = (kind, trace_id.to_uuid_text(), PyBytes::new(py, json));
                take.call1(py, record).is_ok()
            })
        };
        let before = recorder::active();
        let own = Recorder::to_list(Box::new(list)).with_fixed_clock(start_ns);
        Self { own: own.with_redaction(redact).install(), before }
    }

    /// Comes back into force, before a client that was started meanwhile.
    fn resume(&mut self) {
        self.before = recorder::resume(self.own);
    }

    /// Puts back what was in force before.
    fn restore(&self) {
        recorder::reinstate(self.own, self.before);
    }
}

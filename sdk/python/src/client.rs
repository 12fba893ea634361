//! `Engine`: the client as Python's `init`, `flush` and `shutdown` handle it.

use std::path::PathBuf;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyBool, PyBytes, PyDict, PyFloat, PyInt, PyString, PyTuple};
use staso_sdk::{
    Client, Config, DeliveryReport, Host, Overrides, Place, RecordKind, Recorder, Setting, TraceId,
    recorder, seconds,
};

use crate::value::{Held, Walker};
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
        redact: Option<Py<PyAny>>,
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

    /// Ships what was recorded before this call; answers the report by name.
    fn flush<'py>(&self, py: Python<'py>, timeout: f64) -> PyResult<Bound<'py, PyDict>> {
        self.report(py, |client| client.flush(seconds(timeout)))
    }

    /// Flushes, stops recording and takes this client out of force. `at_exit`: waits only while requests
    /// make progress.
    fn shutdown<'py>(
        &self,
        py: Python<'py>,
        timeout: f64,
        at_exit: bool,
    ) -> PyResult<Bound<'py, PyDict>> {
        self.recorder.inspect(|recorder| recorder::retire(recorder));
        self.report(py, |client| match at_exit {
            true => client.shutdown_at_exit(seconds(timeout)),
            false => client.shutdown(seconds(timeout)),
        })
    }

    /// Every counter since the start.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = self.recorder.map(Recorder::stats).unwrap_or_default();
        stats.0.into_py_dict(py)
    }

    /// The settings, resolved.
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        by_name(py, self.config.settings())
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

impl Engine {
    fn report<'py>(
        &self,
        py: Python<'py>,
        ask: impl Send + FnOnce(&Client) -> DeliveryReport,
    ) -> PyResult<Bound<'py, PyDict>> {
        let report = match self.recorder.and_then(Recorder::client) {
            Some(client) => py.detach(|| ask(client)),
            None => DeliveryReport::disabled(),
        };
        let dict = by_name(py, report.settings())?;
        dict.set_item("is_local", self.config.is_local())?;
        Ok(dict)
    }
}

/// What a program passed, as a setting; `None` for what no setting can be.
fn setting(value: &Bound<'_, PyAny>) -> Option<Setting> {
    Some(if value.is_none() {
        Setting::Unset
    } else if let Ok(flag) = value.cast::<PyBool>() {
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

fn by_name<'py>(
    py: Python<'py>,
    settings: Vec<(&'static str, Setting)>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, setting) in settings {
        match setting {
            Setting::Unset => dict.set_item(name, py.None())?,
            Setting::Flag(flag) => dict.set_item(name, flag)?,
            Setting::Count(count) => dict.set_item(name, count)?,
            Setting::Number(number) => dict.set_item(name, number)?,
            Setting::Text(text) => dict.set_item(name, text)?,
            Setting::Path(path) => dict.set_item(name, path)?,
            Setting::Flags(flags) => dict.set_item(name, PyTuple::new(py, flags)?)?,
        }
    }
    Ok(dict)
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

    /// Puts back what was in force before.
    fn restore(&self) {
        recorder::reinstate(self.own, self.before);
    }
}

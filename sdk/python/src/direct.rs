//! The calls that every span takes, answered without a look at signatures: `span(...)`, the two ends of a block,
//! and a decorated function. Every other shape of call is PyO3's.

use std::ffi::CStr;
use std::sync::atomic::AtomicPtr;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyModule};
use pyo3::{ffi, intern};
use staso_interpreter::{Arguments, Function, Method, replace_function};
use staso_sdk::SpanKind;

use crate::plan::Plan;
use crate::span::Span;
use crate::spare;
use crate::words::KindWord;

static BEGIN: Method = Method::new(begin);
static CALL: Method = Method::new(call);
static ENTER: Method = Method::new(enter);
static EXIT: Method = Method::new(exit);

/// Puts them in front of what PyO3 has made of the same names.
pub(crate) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let class = module.py().get_type::<Span>();
    let plan = module.py().get_type::<Plan>();
    BEGIN.replace(&plan, "begin")?;
    CALL.replace(&plan, "call")?;
    ENTER.replace(&class, "__enter__")?;
    EXIT.replace(&class, "__exit__")?;
    replace_function::<NewSpan>(module)
}

struct NewSpan;

impl Function for NewSpan {
    const NAME: &'static CStr = c"span";
    const DOC: &'static CStr =
        c"span(name, *, kind='chain')\n--\n\nOpens a span around a `with` block.";

    #[inline]
    fn call<'py>(arguments: &Arguments<'_, 'py>) -> Option<PyResult<Bound<'py, PyAny>>> {
        let (name, kind) = if let Some([name]) = arguments.only() {
            (name, SpanKind::Chain)
        } else {
            let kind = intern!(arguments.py(), "kind");
            let [name, kind] = arguments.one_and_named(kind)?;
            // What is no kind is refused by the original, in its own words.
            (name, kind.extract::<KindWord>().ok()?.0)
        };
        Some(spare::span(&name, kind, None).map(Bound::into_any))
    }

    fn original() -> &'static AtomicPtr<ffi::PyObject> {
        static ORIGINAL: AtomicPtr<ffi::PyObject> = AtomicPtr::new(std::ptr::null_mut());
        &ORIGINAL
    }
}

fn begin<'py>(
    plan: &Bound<'py, PyAny>,
    arguments: &Arguments<'_, 'py>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let [args, kwargs] = arguments.only()?;
    let (args, kwargs) = (args.cast().ok()?, kwargs.cast().ok()?);
    Some(plan.cast::<Plan>().ok()?.get().begin(&args, &kwargs).map(Bound::into_any))
}

fn call<'py>(
    plan: &Bound<'py, PyAny>,
    arguments: &Arguments<'_, 'py>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let [function, args, kwargs, captures_output] = arguments.only()?;
    let (args, kwargs) = (args.cast().ok()?, kwargs.cast().ok()?);
    let captures_output = captures_output.cast::<PyBool>().ok()?.is_true();
    Some(plan.cast::<Plan>().ok()?.get().call(&function, &args, &kwargs, captures_output))
}

fn enter<'py>(
    span: &Bound<'py, PyAny>,
    arguments: &Arguments<'_, 'py>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let [] = arguments.only()?;
    // SAFETY: the method is the class's own, and called for no other.
    Span::start(unsafe { span.cast_unchecked() });
    Some(Ok(span.clone()))
}

fn exit<'py>(
    span: &Bound<'py, PyAny>,
    arguments: &Arguments<'_, 'py>,
) -> Option<PyResult<Bound<'py, PyAny>>> {
    let [_, raised, _] = arguments.only()?;
    // SAFETY: as above.
    let span = unsafe { span.cast_unchecked() };
    Span::close(span, (!raised.is_none()).then_some(&*raised));
    Some(Ok(PyBool::new(span.py(), false).to_owned().into_any()))
}

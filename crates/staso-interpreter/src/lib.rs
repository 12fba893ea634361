//! What the Python interpreter offers beyond PyO3. Nothing here knows what Staso is.
//!
//! [`Function`] and [`Method`]: what a class of PyO3's offers is complete (keywords, defaults, messages), and that
//! is also what a call of a few nanoseconds spends most of its time on. Here the shapes of call that programs
//! really use are answered at once, and every other shape is handed to the original, which therefore says what it
//! has always said. [`Variable`] is a context variable without a call of a Python object for each look at it, and
//! [`greenlet`] tells which greenlet runs, [`Parameters`] bind arguments as Python does, [`with_text`] reads a `str`.

mod arguments;
mod function;
mod greenlet;
mod loaded;
mod method;
mod parameters;
mod raised;
mod text;
mod variable;

pub use arguments::Arguments;
pub use function::{Function, replace_function};
pub use greenlet::greenlet;
pub use method::Method;
pub use parameters::{Parameter, Parameters};
pub use raised::raised;
pub use text::{short_text, with_text};
pub use variable::Variable;

//! What a program says about a span: its payloads, fields, errors and scores.

use std::error::Error;
use std::sync::Arc;

use serde::Serialize;
use smol_str::SmolStr;
use staso_model::{SpanId, SpanKind, SpanStatus, TraceId};

use crate::annotation::Annotation;
use crate::field::Field;
use crate::held::Held;
use crate::host::Described;
use crate::life::{Identity, Phase};
use crate::nesting::{self, Node};
use crate::spans::Span;
use crate::spans::here::Thread;
use crate::spans::value::{self, Value, Writer};

/// The most errors beneath an error that are told.
const SOURCES_MAX: usize = 32;

macro_rules! texts {
    ($($setter:ident $field:ident $meaning:literal;)*) => {
        impl Span {
            $(
                #[doc = $meaning]
                ///
                /// ```
                #[doc = concat!("staso_sdk::span(\"call\").start().", stringify!($setter), "(\"…\");")]
                /// ```
                pub fn $setter(&self, text: impl Into<SmolStr>) -> &Self {
                    self.set_field(Field::$field, || Value::text(text))
                }
            )*
        }
    };
}

texts! {
    set_provider Provider "Who served the model.";
    set_requested_model RequestedModel "The model that was asked for.";
    set_reasoning_effort ReasoningEffort "How hard the model was told to think, as its provider names it.";
    set_agent_name AgentName "The agent.";
    set_agent_id AgentId "The agent's stable id.";
    set_agent_version AgentVersion "The agent's version.";
    set_session_id SessionId "The conversation of this span alone; see [`conversation`](crate::conversation).";
    set_user_id UserId "The end user.";
}

macro_rules! counts {
    ($($setter:ident $field:ident $meaning:literal;)*) => {
        impl Span {
            $(
                #[doc = $meaning]
                ///
                /// ```
                #[doc = concat!("staso_sdk::span(\"call\").start().", stringify!($setter), "(120);")]
                /// ```
                pub fn $setter(&self, count: u64) -> &Self {
                    let count = i64::try_from(count).unwrap_or(i64::MAX);
                    self.set_field(Field::$field, || Value::Whole(count))
                }
            )*
        }
    };
}

counts! {
    set_input_tokens InputTokens "Tokens that went in.";
    set_output_tokens OutputTokens "Tokens that came out.";
    set_total_tokens TotalTokens "Tokens in all, where the provider counts them so.";
}

impl Span {
    /// What went in. A value that refuses to be serialised leaves a marker that says why.
    ///
    /// ```
    /// staso_sdk::span("ask").start().set_input(&["what", "is", "a", "span?"]);
    /// ```
    pub fn set_input(&self, value: &(impl Serialize + ?Sized)) -> &Self {
        self.set(|| Value::json(value), |held, json| drop(held.set_input(json)))
    }

    /// What came out. A value that refuses to be serialised leaves a marker that says why.
    ///
    /// ```
    /// staso_sdk::span("ask").start().set_output(&Some("a piece of work"));
    /// ```
    pub fn set_output(&self, value: &(impl Serialize + ?Sized)) -> &Self {
        self.set(|| Value::json(value), |held, json| drop(held.set_output(json)))
    }

    /// One entry of metadata; the same key again replaces it.
    ///
    /// ```
    /// staso_sdk::span("search").start().set_metadata("hit_count", &3).set_metadata("cached", &true);
    /// ```
    pub fn set_metadata(&self, key: &str, value: &(impl Serialize + ?Sized)) -> &Self {
        self.set(
            || value::json(value),
            |held, json| Value::set_member(&mut held.metadata, key, json),
        )
    }

    /// Free labels, in the place of earlier ones.
    ///
    /// ```
    /// staso_sdk::span("search").start().set_tags(&["nightly", "eu"]);
    /// ```
    pub fn set_tags(&self, tags: &[&str]) -> &Self {
        self.set_metadata("tags", tags)
    }

    /// The model. The first time, it is also the model that was asked for.
    ///
    /// ```
    /// let call = staso_sdk::span("chat").kind(staso_sdk::SpanKind::Llm).start();
    /// call.set_model("large-1").set_input_tokens(120).set_output_tokens(40);
    /// ```
    pub fn set_model(&self, model: impl Into<SmolStr>) -> &Self {
        self.set(|| Value::text(model), |held, model| drop(held.set_model(Thread, Some(model))))
    }

    /// Whether the token counts are known. Of a model call they are not, until one is set.
    ///
    /// ```
    /// staso_sdk::span("chat").start().set_usage_available(false);
    /// ```
    pub fn set_usage_available(&self, is_available: bool) -> &Self {
        self.set_field(Field::UsageAvailable, || Value::Truth(is_available))
    }

    /// Another name.
    ///
    /// ```
    /// staso_sdk::span("route").start().set_name("GET /orders/{id}");
    /// ```
    pub fn set_name(&self, name: impl Into<SmolStr>) -> &Self {
        if let Some(node) = self.node() {
            let name = Value::text(name);
            drop(node.life(|life| std::mem::replace(&mut life.name, name)));
        }
        self
    }

    /// Another kind.
    ///
    /// ```
    /// staso_sdk::span("route").start().set_kind(staso_sdk::SpanKind::Agent);
    /// ```
    pub fn set_kind(&self, kind: SpanKind) -> &Self {
        if let Some(node) = self.node() {
            node.life(|life| life.kind = kind);
        }
        self
    }

    /// How it ends, and why; the last word wins, also over a panic.
    ///
    /// ```
    /// use staso_sdk::SpanStatus;
    ///
    /// staso_sdk::span("call").start().set_status(SpanStatus::Timeout, Some("no answer in 5 s"));
    /// ```
    pub fn set_status(&self, status: SpanStatus, description: Option<&str>) -> &Self {
        if let Some(node) = self.node() {
            node.life(|life| life.force(status));
        }
        self.set(
            || description.map(Value::text),
            |held, description| drop(held.describe(description)),
        )
    }

    /// It ended in this error: status, message, type, and the errors beneath it.
    ///
    /// ```
    /// let span = staso_sdk::span("parse").start();
    /// if let Err(error) = "x".parse::<i64>() {
    ///     span.record_error(&error);
    /// }
    /// ```
    pub fn record_error<E: Error + ?Sized>(&self, error: &E) -> &Self {
        if self.is_recording() {
            self.record_described(Described {
                kind: std::any::type_name::<E>().to_owned(),
                message: error.to_string(),
                stack: sources(error),
            });
        }
        self
    }

    pub(crate) fn record_described(&self, described: Described) {
        if let Some(node) = self.node() {
            nesting::record_exception(node, Value::Error(Arc::new(described)), Writer::new);
        }
    }

    /// A score (a number), a label (a text), or a yes or no on this span; also after its end. A number that is
    /// not finite, and an empty name, say nothing: they are counted as `annotations_left_out`.
    ///
    /// ```
    /// use staso_sdk::Score;
    ///
    /// let span = staso_sdk::span("answer").start();
    /// span.annotate("quality", 0.9).annotate("grounded", true);
    /// span.annotate("tone", Score::from("friendly").comment("by the reviewer"));
    /// ```
    pub fn annotate(&self, name: &str, score: impl Into<Score>) -> &Self {
        let (Some(node), Some(recorder)) = (self.node(), self.identity(|own| own.recorder)) else {
            return self;
        };
        let Score { value, data_type, is_sayable, comment } = score.into();
        if name.trim().is_empty() || !is_sayable {
            recorder.leave_out_annotation();
        } else {
            let comment = comment.map(Value::Text);
            let annotation = Annotation::new(Value::text(name), value, data_type, comment);
            annotation.map(|annotation| nesting::annotate(node, annotation, Writer::new));
        }
        self
    }

    /// Discards it: its children are shown under its parent.
    ///
    /// ```
    /// let poll = staso_sdk::span("poll").start();
    /// let found = Vec::<u8>::new();
    /// if found.is_empty() {
    ///     poll.discard();
    /// }
    /// ```
    pub fn discard(&self) -> &Self {
        self.set(|| (), |held, ()| held.is_dropped = true)
    }

    /// The trace it belongs to; `None` where nothing is recorded.
    ///
    /// ```
    /// assert!(staso_sdk::span("before init").start().trace_id().is_none());
    /// ```
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        self.identity(|own| own.place.trace_id)
    }

    /// Its id; `None` where nothing is recorded.
    ///
    /// ```
    /// assert!(staso_sdk::span("before init").start().span_id().is_none());
    /// ```
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        self.identity(|own| own.place.span_id)
    }

    /// Whether what is said about it goes anywhere: false before `init` and after its end. Values that are
    /// costly to make need not be made.
    ///
    /// ```
    /// let span = staso_sdk::span("render").start();
    /// if span.is_recording() {
    ///     span.set_output(&"a page that is costly to render twice");
    /// }
    /// ```
    #[must_use]
    pub fn is_recording(&self) -> bool {
        let is_open = |node: &Node<Value>| node.life(|life| life.phase() == Phase::Open);
        self.node().and_then(is_open) == Some(true)
    }

    pub(crate) fn identity<T>(&self, tell: impl FnOnce(&Identity) -> T) -> Option<T> {
        self.node()?.identity().map(tell)
    }

    /// The span as an entry of a context.
    #[cfg(feature = "tracing")]
    pub(crate) fn entry(&self) -> Option<Value> {
        self.entry.clone()
    }

    /// Now, on the clock of its trace.
    #[cfg(feature = "tracing")]
    pub(crate) fn now_ns(&self) -> Option<i64> {
        self.identity(|own| own.recorder.now_ns(&own.place.clock))
    }

    fn set_field(&self, field: Field, make: impl FnOnce() -> Value) -> &Self {
        self.set(make, |held, value| drop(held.set_field(field, Some(value))))
    }

    /// Makes a value, where it is recorded, and then puts it into the span: the program's own code runs before the
    /// lock is taken.
    pub(crate) fn set<T>(
        &self,
        make: impl FnOnce() -> T,
        put: impl FnOnce(&mut Held<Value>, T),
    ) -> &Self {
        if let Some(node) = self.node() {
            let value = make();
            node.change(|held| put(held, value));
        }
        self
    }
}

/// The errors beneath an error, the nearest first.
fn sources<E: Error + ?Sized>(error: &E) -> Option<String> {
    let chain =
        std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
    let lines: Vec<_> =
        chain.take(SOURCES_MAX).map(|error| format!("caused by: {error}")).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The value of an annotation: a number, a text, or yes or no.
///
/// ```
/// use staso_sdk::Score;
///
/// let scores: [Score; 4] = [0.5.into(), 3.into(), "good".into(), true.into()];
/// ```
#[derive(Debug, Clone)]
pub struct Score {
    value: Value,
    data_type: &'static str,
    is_sayable: bool,
    comment: Option<SmolStr>,
}

impl Score {
    fn new(value: Value, data_type: &'static str) -> Self {
        Self { value, data_type, is_sayable: true, comment: None }
    }

    /// Why.
    ///
    /// ```
    /// let score = staso_sdk::Score::from(0.2).comment("the answer names no source");
    /// ```
    #[must_use]
    pub fn comment(mut self, comment: impl Into<SmolStr>) -> Self {
        self.comment = Some(comment.into());
        self
    }
}

impl From<f64> for Score {
    fn from(score: f64) -> Self {
        Self { is_sayable: score.is_finite(), ..Self::new(Value::json(&score), "numeric") }
    }
}

impl From<i64> for Score {
    fn from(score: i64) -> Self {
        Self::new(Value::Whole(score), "numeric")
    }
}

impl From<i32> for Score {
    fn from(score: i32) -> Self {
        i64::from(score).into()
    }
}

impl From<bool> for Score {
    fn from(truth: bool) -> Self {
        Self::new(Value::Truth(truth), "boolean")
    }
}

impl From<&str> for Score {
    fn from(label: &str) -> Self {
        Self::new(Value::text(label), "categorical")
    }
}

impl From<String> for Score {
    fn from(label: String) -> Self {
        label.as_str().into()
    }
}

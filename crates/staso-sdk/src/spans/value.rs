//! What a span of a Rust program holds, and how it is written: values are serialised when they are given,
//! so that a record needs no more than copies, unless a redaction or a bound has to look inside.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value as Json;
use smol_str::SmolStr;

use crate::exclusion::ThreadLock;
use crate::host::{Described, Host, Object};
use crate::nesting::Node;
use crate::pen::Pen;
use crate::recorder::Recorder;
use crate::spans::here::Thread;
use crate::spans::redaction::Redaction;

/// An object of the language.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(SmolStr),
    Whole(i64),
    Truth(bool),
    Json(Vec<u8>),
    Members(Vec<(SmolStr, Vec<u8>)>),
    Error(Arc<Described>),
    Entry(Arc<Node<Value>>),
    /// What stood in the context of this number before an entry.
    Token {
        made_in: u64,
        before: Option<Arc<Node<Value>>>,
    },
}

impl Value {
    pub(crate) fn text(text: impl Into<SmolStr>) -> Self {
        Self::Text(text.into())
    }

    /// A value as JSON; where it refuses to be serialised, a marker that says why.
    pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Self {
        Self::Json(json(value))
    }

    pub(crate) fn as_text(&self) -> &str {
        if let Self::Text(text) = self { text } else { "" }
    }

    #[inline]
    pub(crate) fn entry(&self) -> Option<&Arc<Node<Self>>> {
        if let Self::Entry(node) = self { Some(node) } else { None }
    }

    #[inline]
    pub(crate) fn into_entry(self) -> Option<Arc<Node<Self>>> {
        if let Self::Entry(node) = self { Some(node) } else { None }
    }

    /// Sets one member of what is, or then becomes, a mapping.
    pub(crate) fn set_member(into: &mut Option<Self>, key: &str, value: Vec<u8>) {
        let Self::Members(members) = into.get_or_insert_with(|| Self::Members(Vec::new())) else {
            return;
        };
        match members.iter_mut().find(|(existing, _)| existing == key) {
            Some((_, existing)) => *existing = value,
            None => members.push((key.into(), value)),
        }
    }
}

pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| {
        let mut marker = Vec::new();
        crate::json::write_str(&mut marker, &format!("<not serialisable: {error}>"));
        marker
    })
}

impl Object for Value {
    type Lock = ThreadLock;

    #[inline]
    fn address(&self) -> usize {
        match self {
            Self::Entry(node) => Arc::as_ptr(node).addr(),
            Self::Error(error) => Arc::as_ptr(error).addr(),
            _ => std::ptr::from_ref(self).addr(),
        }
    }
}

/// Writes values into a record.
pub(crate) struct Writer {
    pen: Pen,
    recorder: &'static Recorder,
    redaction: Option<&'static Redaction>,
}

impl Writer {
    #[inline]
    pub(crate) fn new(recorder: &'static Recorder) -> Self {
        let redaction = if recorder.is_redacting() { recorder.redaction() } else { None };
        Self { pen: Pen::new(recorder.limits), recorder, redaction }
    }

    /// Copies JSON, or looks inside where something may have to be changed or cut.
    fn json(&mut self, path: &[&str], json: &[u8]) {
        let limits = self.pen.limits;
        let fits = json.len() <= limits.value_bytes && !self.pen.is_full_with(json.len());
        if self.redaction.is_none() && fits {
            return self.pen.raw(json);
        }
        match serde_json::from_slice(json) {
            Ok(value) => self.walk(&mut path.iter().map(|part| (*part).into()).collect(), &value),
            Err(_) if self.redaction.is_none() && !self.pen.is_full_with(json.len()) => {
                self.pen.raw(json);
            }
            Err(_) => self.pen.marker("<nested too deeply>"),
        }
    }

    fn walk(&mut self, path: &mut Vec<SmolStr>, value: &Json) {
        match value {
            Json::Null => self.pen.raw(b"null"),
            Json::String(text) => {
                let text = self.kept(path, text);
                self.pen.text(&text);
            }
            Json::Bool(_) | Json::Number(_) => {
                let text = value.to_string();
                match self.kept(path, &text) {
                    Cow::Borrowed(_) => self.pen.raw(text.as_bytes()),
                    Cow::Owned(changed) => self.pen.text(&changed),
                }
            }
            Json::Array(items) => self.within(value, (b"[", b"]"), |writer| {
                for (at, item) in items.iter().enumerate() {
                    writer.pen.raw(if at == 0 { b"" } else { b"," });
                    writer.below(path, at.to_string(), item);
                }
            }),
            Json::Object(members) => self.within(value, (b"{", b"}"), |writer| {
                for (at, (key, item)) in members.iter().enumerate() {
                    writer.pen.raw(if at == 0 { b"" } else { b"," });
                    let told = writer.kept(path, key);
                    writer.pen.text(&told);
                    writer.pen.raw(b":");
                    writer.below(path, key, item);
                }
            }),
        }
    }

    fn below(&mut self, path: &mut Vec<SmolStr>, part: impl Into<SmolStr>, value: &Json) {
        path.push(part.into());
        self.walk(path, value);
        path.pop();
    }

    fn within(
        &mut self,
        value: &Json,
        (open, close): (&[u8], &[u8]),
        write: impl FnOnce(&mut Self),
    ) {
        if self.pen.enter(std::ptr::from_ref(value).addr()) {
            self.pen.raw(open);
            write(self);
            self.pen.raw(close);
            self.pen.leave();
        }
    }

    /// What the redaction leaves of a text; borrowed where it is as it was.
    fn kept<'t>(&self, path: &[impl AsRef<str>], text: &'t str) -> Cow<'t, str> {
        let Some(redaction) = self.redaction else { return Cow::Borrowed(text) };
        let path: Vec<&str> = path.iter().map(AsRef::as_ref).collect();
        redaction.of(self.recorder, &path, text).map_or(Cow::Borrowed(text), Cow::Owned)
    }
}

impl Host for Writer {
    type Object = Value;
    type Context = Thread;

    fn context(&self) -> Thread {
        Thread
    }

    #[inline]
    fn pen(&mut self) -> &mut Pen {
        &mut self.pen
    }

    fn value(&mut self, path: &[&'static str], value: &Value) {
        match value {
            Value::Text(text) => {
                let text = self.kept(path, text);
                self.pen.text(&text);
            }
            Value::Whole(number) => self.pen.int(*number),
            Value::Truth(truth) => self.pen.boolean(*truth),
            Value::Json(json) => self.json(path, json),
            Value::Members(_) => {
                self.pen.raw(b"{");
                self.members(path.first().copied().unwrap_or_default(), value, None, &mut true);
                self.pen.raw(b"}");
            }
            Value::Error(_) | Value::Entry(_) | Value::Token { .. } => self.pen.raw(b"null"),
        }
    }

    fn members(
        &mut self,
        path: &'static str,
        mapping: &Value,
        tells: Option<fn(&str) -> bool>,
        is_first: &mut bool,
    ) {
        let Value::Members(members) = mapping else { return };
        for (key, json) in members.iter().filter(|(key, _)| tells.is_none_or(|tells| tells(key))) {
            self.pen.comma(is_first);
            let told = self.kept(&[path], key);
            self.pen.text(&told);
            self.pen.raw(b":");
            self.json(&[path, key], json);
        }
    }

    fn whole(&self, value: &Value) -> Option<i64> {
        if let Value::Whole(number) = value { Some(*number) } else { None }
    }

    fn truth(&self, value: &Value) -> Option<bool> {
        if let Value::Truth(truth) = value { Some(*truth) } else { None }
    }

    fn describe(&mut self, value: &Value, with_stack: bool) -> Described {
        match value {
            Value::Error(error) if with_stack => Described::clone(error),
            Value::Error(error) => {
                Described { kind: error.kind.clone(), message: error.message.clone(), stack: None }
            }
            other => Described {
                kind: "error".to_owned(),
                message: other.as_text().to_owned(),
                stack: None,
            },
        }
    }

    fn redact(&mut self, path: &[&'static str], text: &str) -> Option<String> {
        self.redaction.is_some().then(|| self.kept(path, text).into_owned())
    }
}

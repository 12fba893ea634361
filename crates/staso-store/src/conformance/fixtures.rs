//! Traces, queries and expected answers as data: `fixtures/*.json`.
//!
//! The files say in the grammar what is asked and by trace numbers what must be answered, so that
//! a case is added without writing code.

use std::collections::BTreeMap;

use serde::Deserialize;
use staso_model::{Payload, Span, SpanKind, SpanStatus, Value};

use super::StoreFactory;
use super::build::{append, batch, numbers, open_span, page, query, span};
use crate::query::parse::parse;
use crate::query::{FacetField, FacetQuery, Sort, TextField, TraceQuery};
use crate::traits::Store;

const FILES: [(&str, &str); 1] = [("support", include_str!("../../fixtures/support.json"))];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    spans: Vec<SpanCase>,
    queries: Vec<QueryCase>,
    facets: Vec<FacetCase>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SpanCase {
    trace: u8,
    id: u64,
    parent: u64,
    open: bool,
    dropped: bool,
    duration_ms: Option<i64>,
    name: String,
    kind: Option<String>,
    status: Option<String>,
    error: Option<String>,
    input: Option<String>,
    output: Option<String>,
    environment: Option<String>,
    service: Option<String>,
    agent: Option<String>,
    version: Option<String>,
    session: Option<String>,
    user: Option<String>,
    model: Option<String>,
    tags: Vec<String>,
    tokens: Option<i64>,
    cost_nano_usd: Option<i64>,
    metadata: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueryCase {
    filter: String,
    #[serde(default)]
    sort: String,
    /// Trace numbers, in order.
    expect: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FacetCase {
    field: String,
    #[serde(default)]
    filter: String,
    #[serde(default = "no_limit")]
    limit: usize,
    expect: Vec<(String, u64)>,
}

fn no_limit() -> usize {
    100
}

/// Every query and facet of every file.
pub async fn fixtures_answer_as_expected<F: StoreFactory>(factory: F) {
    let store = factory.open().await;
    for (name, text) in FILES {
        let fixture: Fixture = serde_json::from_str(text).expect(name);
        append(&store, batch(fixture.spans.into_iter().map(SpanCase::into_span).collect())).await;
        for case in fixture.queries {
            let filter = parse(&case.filter).expect(&case.filter);
            let list = TraceQuery { filter, sort: sort(&case.sort), ..query() };
            let found = numbers(&page(&store, &list).await.rows);
            assert_eq!(found, case.expect, "{name}: {} by {}", case.filter, case.sort);
        }
        for case in fixture.facets {
            let filter = parse(&case.filter).expect(&case.filter);
            let traces = TraceQuery { filter, ..query() };
            let facet = FacetQuery { traces, field: field(&case.field), limit: case.limit };
            let found = store.facet(&facet).await.unwrap();
            let found: Vec<_> = found.into_iter().map(|v| (v.value, v.count)).collect();
            assert_eq!(found, case.expect, "{name}: facet {} of {}", case.field, case.filter);
        }
    }
}

impl SpanCase {
    fn into_span(self) -> Span {
        let base = if self.open { open_span } else { span };
        let mut span = base(self.trace, self.id, self.parent);
        if let (Some(end_ns), Some(ms)) = (&mut span.end_ns, self.duration_ms) {
            *end_ns = span.start_ns + ms * 1_000_000;
        }
        span.usage.output = self.tokens;
        Span {
            name: self.name,
            kind: self.kind.map_or(SpanKind::Chain, |kind| SpanKind::parse(&kind).unwrap()),
            status: self.status.map_or(SpanStatus::Unset, |s| SpanStatus::parse(&s).unwrap()),
            dropped: self.dropped,
            error_message: self.error,
            input: self.input.map(Payload::text),
            output: self.output.map(Payload::text),
            environment: self.environment,
            service: self.service,
            agent_name: self.agent,
            agent_version: self.version,
            session_id: self.session,
            user_id: self.user,
            model: self.model,
            tags: self.tags,
            cost_nano_usd: self.cost_nano_usd,
            attributes: self.metadata.into_iter().map(|(k, v)| (k, value(v))).collect(),
            ..span
        }
    }
}

fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(b) => Value::Bool(b),
        serde_json::Value::Number(n) => {
            n.as_i64().map_or_else(|| Value::Double(n.as_f64().unwrap()), Value::Int)
        }
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(items) => Value::Array(items.into_iter().map(value).collect()),
        serde_json::Value::Object(map) => {
            Value::Map(map.into_iter().map(|(k, v)| (k, value(v))).collect())
        }
    }
}

fn sort(name: &str) -> Sort {
    let sorts = BTreeMap::from([
        ("", Sort::Start),
        ("start", Sort::Start),
        ("duration", Sort::Duration),
        ("cost", Sort::Cost),
        ("tokens", Sort::Tokens),
        ("spans", Sort::Spans),
    ]);
    sorts[name]
}

fn field(name: &str) -> FacetField {
    let fields = BTreeMap::from([
        ("kind", FacetField::Kind),
        ("status", FacetField::Status),
        ("state", FacetField::State),
        ("name", FacetField::Text(TextField::Name)),
        ("agent", FacetField::Text(TextField::Agent)),
        ("version", FacetField::Text(TextField::AgentVersion)),
        ("service", FacetField::Text(TextField::Service)),
        ("environment", FacetField::Text(TextField::Environment)),
        ("session", FacetField::Text(TextField::Session)),
        ("user", FacetField::Text(TextField::User)),
        ("model", FacetField::Text(TextField::Model)),
        ("tag", FacetField::Text(TextField::Tag)),
    ]);
    fields[name]
}

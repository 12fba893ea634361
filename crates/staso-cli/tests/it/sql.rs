//! SQL through the real server and the command line, in the child that the server starts.

mod answers;
mod forgetting;
mod formats;
mod greedy;
mod hostile;
mod limits;
mod under_way;

use serde_json::{Value as Json, json};

use crate::program::{Serving, span};

/// A query's answer: status, headers that say how it was cut, body.
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) cut: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Answered {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Asks with these fields.
pub(crate) fn ask(server: &Serving, question: &Json) -> Answered {
    let (status, headers, body) = server.post("/api/sql", question);
    let cut = headers.get("staso-cut").map(|value| value.to_str().unwrap().to_owned());
    Answered { status, cut, body }
}

/// The rows of an answer that must come.
pub(crate) fn rows(server: &Serving, sql: &str) -> Json {
    let answered = ask(server, &json!({ "sql": sql }));
    let text = String::from_utf8_lossy(&answered.body).into_owned();
    assert_eq!(answered.status, 200, "{sql}: {text}");
    answered.json()["rows"].take()
}

/// A run of an agent with a model call, in its own trace.
pub(crate) fn turn(n: u64) -> Json {
    let mut root = span(1, None, "turn", n * 1000, 500);
    root["kind"] = "agent".into();
    root["agent_name"] = "support".into();
    let mut call = span(2, Some(1), "call", n * 1000 + 10, 100);
    call["kind"] = "llm".into();
    call["model"] = format!("m-{}", n % 2).into();
    call["input_tokens"] = (100 + n).into();
    call["output_tokens"] = n.into();
    call["tags"] = json!(["hot", format!("n{n}")]);
    call["attributes"] = json!({"tier": "gold", "user": {"plan": n}});
    call["input"] = json!({"question": "多少？ ما هذا؟"});
    if n == 3 {
        root["status"] = "error".into();
        root["error_message"] = "no answer".into();
    }
    json!({"trace_id": format!("{n:032x}"), "session_id": format!("c-{}", n % 2), "user_id": "ann",
           "spans": [call, root]})
}

pub(crate) fn accept(server: &Serving, key: &str, traces: &[Json]) {
    let (status, answer) = server.ingest(key, &json!({ "traces": traces }));
    assert_eq!(status, 200, "{answer}");
}

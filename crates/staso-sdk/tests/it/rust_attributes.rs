//! Functions whose calls are spans: what an attribute records, and that it changes nothing else.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

use serde_json::{Value, json};
use staso_sdk::{agent, span, tool, trace};

use crate::tape::Tape;

#[tool(input(query, limit), output)]
fn search(query: &str, limit: usize, _secret: &str) -> Vec<String> {
    drop(span("within").start());
    vec![query.to_owned(); limit]
}

#[trace(name = "cut short", kind = "LLM", input(text), output)]
fn shorten(mut text: String) -> String {
    text.truncate(2);
    text
}

#[tool(err, output)]
fn divide(a: i64, b: i64) -> Result<i64, String> {
    let quotient = a.checked_div(b).ok_or_else(|| "divided by zero".to_owned())?;
    if quotient > 10 {
        return Err(format!("{quotient} is too much"));
    }
    Ok(quotient)
}

#[trace]
fn early(is_early: bool) -> impl Display {
    if is_early {
        return "early";
    }
    "late"
}

struct Counter(u32);

impl Counter {
    #[trace(output)]
    fn shown(&self, _other: &str) -> &u32 {
        &self.0
    }

    /// The documentation stays.
    #[trace(input(by), output)]
    #[must_use]
    fn add<'c, T: Into<u32> + serde::Serialize + Copy>(&'c mut self, by: T) -> &'c u32 {
        self.0 += by.into();
        &self.0
    }

    #[agent(name = "planner", input(r#type), output, err)]
    async fn plan(&mut self, r#type: &str) -> Result<u32, std::io::Error> {
        tokio::task::yield_now().await;
        let found = look_up(self.0).await?;
        self.0 = found;
        Ok(found)
    }
}

#[tool(err)]
async fn look_up(id: u32) -> Result<u32, std::io::Error> {
    tokio::task::yield_now().await;
    if id == 13 { Err(std::io::Error::other("there is no 13")) } else { Ok(id + 1) }
}

#[trace(input(depth))]
fn boxed(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move { depth })
}

#[test]
fn a_call_is_a_span_with_what_was_asked_for() {
    let tape = Tape::start();
    assert_eq!(search("q", 2, "hidden"), ["q", "q"]);
    let found = tape.span("search");
    assert_eq!((&found["kind"], &found["status"]), (&json!("tool"), &json!("ok")));
    assert_eq!(found["input"], json!({"query": "q", "limit": 2}));
    assert_eq!(found["output"], json!({"result": ["q", "q"]}));
    let metadata = &found["attributes"];
    assert_eq!(metadata["tool_name"], "search");
    assert_eq!(metadata["code.function"], "it::rust_attributes::search");
    assert_eq!(metadata["code.filepath"], file!());
    assert!(metadata["code.lineno"].as_u64().unwrap() > 10);
    assert!(!found.to_string().contains("hidden"));
    assert_eq!(tape.parent_of("within").as_deref(), Some("search"));

    // What went in is what it was on entry.
    assert_eq!(shorten("long".to_owned()), "lo");
    let found = tape.span("cut short");
    assert_eq!(found["kind"], "llm");
    assert_eq!(
        (&found["input"], &found["output"]),
        (&json!({"text": "long"}), &json!({"result": "lo"}))
    );

    assert_eq!(
        (early(true).to_string(), early(false).to_string()),
        ("early".to_owned(), "late".to_owned())
    );
    let plain: Vec<Value> =
        tape.spans().into_iter().filter(|span| span["name"] == "early").collect();
    assert_eq!(plain.len(), 2);
    assert!(plain.iter().all(|span| span.get("input").is_none() && span.get("output").is_none()));

    let mut counter = Counter(1);
    assert_eq!(*counter.add(2_u8), 3);
    assert_eq!(tape.span("add")["input"], json!({"by": 2}));
    assert_eq!((*counter.shown(""), &tape.span("shown")["output"]), (3, &json!({"result": 3})));
    tape.decoded();
}

#[test]
fn an_error_that_is_returned_ends_the_span_as_one() {
    let tape = Tape::start();
    assert_eq!(divide(6, 3), Ok(2));
    assert_eq!(divide(1, 0), Err("divided by zero".to_owned()));
    assert_eq!(divide(99, 1), Err("99 is too much".to_owned()));
    let spans = tape.spans();
    let told: Vec<_> = spans.iter().map(|span| (&span["status"], &span["error_message"])).collect();
    let (ok, error) = (json!("ok"), json!("error"));
    let (none, first, second) = (Value::Null, json!("divided by zero"), json!("99 is too much"));
    assert_eq!(told, [(&ok, &none), (&error, &first), (&error, &second)]);
    assert!(spans[1].get("output").is_none());
    assert_eq!(spans[0]["output"], json!({"result": 2}));
}

#[test]
fn async_functions_nest_and_an_agent_owns_what_is_within() {
    let tape = Tape::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let mut counter = Counter(6);
        assert_eq!(counter.plan("short").await.unwrap(), 7);
        let failed = tokio::spawn(async { Counter(13).plan("long").await });
        assert_eq!(failed.await.unwrap().unwrap_err().to_string(), "there is no 13");
        assert_eq!(boxed(4).await, 4);
    });
    let spans = tape.spans();
    let of = |name: &str| spans.iter().filter(|span| span["name"] == name).collect::<Vec<_>>();
    let (agents, tools) = (of("planner"), of("look_up"));
    assert_eq!((agents.len(), tools.len(), of("boxed").len()), (2, 2, 1));
    for (agent, tool) in agents.iter().zip(&tools) {
        assert_eq!(tool["parent_span_id"], agent["span_id"]);
        assert_eq!((&agent["kind"], &tool["agent_name"]), (&json!("agent"), &json!("planner")));
        assert_eq!(agent["agent_id"], tool["agent_id"]);
        assert!(agent["attributes"].get("staso.cancelled").is_none());
    }
    assert_eq!(agents[0]["input"], json!({"agent_name": "planner", "type": "short"}));
    assert_eq!(agents[0]["output"], json!({"result": 7}));
    for failed in [&agents[1], &tools[1]] {
        assert_eq!(
            (&failed["status"], &failed["error_message"]),
            (&json!("error"), &json!("there is no 13"))
        );
    }
    assert!(of("boxed")[0].get("agent_name").is_none());
    tape.decoded();
}

#[test]
fn a_panic_and_a_program_that_records_nothing_are_as_before() {
    let tape = Tape::start();
    #[trace]
    fn panics() -> u32 {
        panic!("no");
    }
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(tape.span("panics")["status"], "error");
    drop(tape);
    let _alone = crate::tape::alone();
    assert_eq!(search("q", 1, ""), ["q"]);
    assert_eq!(divide(1, 0), Err("divided by zero".to_owned()));
}

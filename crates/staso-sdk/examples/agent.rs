//! A support agent in Rust, with made-up tools and a made-up model: what a program that records looks like.
//!
//! Run `staso serve`, then `cargo run -p staso-sdk --example agent`, and look at the trace. Without a server,
//! everything waits in the journal until one is started.
#![expect(clippy::print_stdout, reason = "a program that talks to its user")]

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use staso_sdk::{Config, Instrument, Overrides, SpanKind, agent, conversation, span, tool, trace};

/// An order of the shop.
#[derive(Debug, Serialize)]
struct Order {
    id: u32,
    state: &'static str,
}

fn main() -> Result<()> {
    let overrides = Overrides { agent_name: Some("support".to_owned()), ..Overrides::default() };
    let config = Config::resolve(&overrides, &|name| std::env::var(name).ok())?;
    let client = staso_sdk::init_with_redaction(&config, hide_addresses);

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build()?;
    {
        // Both turns belong to one conversation, and each is a trace of its own.
        let _conversation = conversation("support-4711").user_id("u-17").enter();
        for question in ["Where is order 7?", "And order 13? Write to me@example.org"] {
            match runtime.block_on(answer(question)) {
                Ok(answer) => println!("{question}\n  {answer}"),
                Err(error) => println!("{question}\n  failed: {error:#}"),
            }
        }
    }
    let report = client.flush(Duration::from_secs(5));
    println!("{} records taken, {} delivered", report.accepted, report.delivered);
    staso_sdk::shutdown(Duration::from_secs(2));
    Ok(())
}

/// One turn: plan, look both things up at once, and write the answer.
#[agent(name = "support", input(question), output, err)]
async fn answer(question: &'static str) -> Result<String> {
    let id = plan(question)?;
    // Tasks are children of the span in which they were made, whatever thread runs them.
    let order = span("look-up").detach();
    let order = tokio::spawn(look_up(id).instrument(order));
    let policy = tokio::spawn(policy().instrument(span("find-policy").kind(SpanKind::Retriever)));
    let (order, policy) = (order.await??, policy.await?);
    let answer = chat(&format!("{question} {order:?} {policy}"));
    staso_sdk::current().annotate("grounded", true);
    Ok(answer)
}

/// The number in a question.
#[trace(input(question), output, err)]
fn plan(question: &str) -> Result<u32> {
    let digits: String = question.chars().filter(char::is_ascii_digit).collect();
    digits.parse().context("no order is named")
}

#[tool(name = "order", input(id), output, err)]
async fn look_up(id: u32) -> Result<Order> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    if id == 13 {
        bail!("there is no order 13");
    }
    Ok(Order { id, state: "shipped" })
}

async fn policy() -> &'static str {
    tokio::time::sleep(Duration::from_millis(10)).await;
    "Parcels arrive within three days."
}

/// Stands in for a model.
fn chat(prompt: &str) -> String {
    let call = span("chat").kind(SpanKind::Llm).start();
    let answer = "It was shipped, and arrives within three days.".to_owned();
    call.set_provider("example").set_model("small-1").set_input(prompt).set_output(&answer);
    call.set_input_tokens(prompt.split_whitespace().count() as u64);
    call.set_output_tokens(answer.split_whitespace().count() as u64);
    answer
}

/// Addresses never leave the program.
fn hide_addresses(_path: &[&str], text: &str) -> Option<String> {
    text.contains('@').then(|| {
        let words = text.split(' ').map(|word| if word.contains('@') { "[address]" } else { word });
        words.collect::<Vec<_>>().join(" ")
    })
}

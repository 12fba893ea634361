//! The project's own chores: `cargo xtask tidy | gen | conformance | count`.
//!
//! A chore lives here rather than in a shell script when it has rules worth a test. `tidy` says what
//! the house looks like, `gen` writes the files that are made from others, `count` adds up what the
//! test runners reported. Start at [`tidy::run`].

// A chore talks to the person who called it: printing is what it is for.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod conformance;
mod count;
mod generated;
mod repo;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;

use crate::repo::Repo;

const MENU: &str = "\
cargo xtask <chore>

  tidy              edges, openings, sizes, words, links, conformance: what reads the tree and nothing else
  tidy --generated  that every generated file equals what its command makes now
  gen               write every generated file (the list is xtask/generated.toml)
  conformance       print the contract's lines beside their tests (docs/reference/conformance.md)
  count <dir>       add up the test reports (JUnit XML, cargo test logs) in a directory
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<ExitCode> {
    match words {
        ["tidy"] => tidy::run(&Repo::find()?),
        ["tidy", "--generated"] => generated::compare(&Repo::find()?),
        ["gen"] => generated::write(&Repo::find()?),
        ["conformance"] => conformance::print(&Repo::find()?),
        ["count", dir] => count::run(dir.as_ref()),
        [] | ["help" | "--help" | "-h"] => {
            println!("{MENU}");
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!("xtask: no chore `{}`\n\n{MENU}", words.join(" "));
            Ok(ExitCode::FAILURE)
        }
    }
}

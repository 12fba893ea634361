//! The page that shows each line of the contract beside its tests.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::markers::Marked;
use super::{Contract, LIST, Line, lines};

const HEAD: &str = "\
# What holds the Python package to its contract

Each line of the package's contract, and the tests that would fail without it. All of them run through the
installed wheel; those of `tests/e2e` also through a running server. Made by `cargo xtask gen` from";

/// The whole page.
pub(super) fn render(contract: &Contract, tests: &BTreeMap<&str, Vec<&Marked>>) -> String {
    let all = lines(contract).count();
    let untested = lines(contract).filter(|(_, line)| line.untested.is_some()).count();
    let mut page = format!(
        "{HEAD}\n[{LIST}](conformance.toml) and the markers `@pytest.mark.spec` of the tests:\n\
         {all} lines, {untested} of them untested, each with the reason.\n"
    );
    for section in &contract.section {
        let head = format!(
            "\n## {} {}\n\n| line | rule | tests |\n|---|---|---|\n",
            section.number, section.title
        );
        page.push_str(&head);
        for line in &section.line {
            let proof = proof(line, tests.get(line.id.as_str()).map_or(&[], Vec::as_slice));
            // Writing to a String cannot fail.
            let _ = writeln!(page, "| `{}` | {} | {proof} |", line.id, cell(&line.rule));
        }
    }
    page
}

fn proof(line: &Line, tests: &[&Marked]) -> String {
    if let Some(reason) = &line.untested {
        return format!("**untested**: {}", cell(reason));
    }
    let links: Vec<String> = tests.iter().map(|test| link(test)).collect();
    links.join("<br>")
}

fn link(test: &Marked) -> String {
    let file = test.path.rsplit('/').next().unwrap_or(&test.path);
    format!("[{file}::{}](../../{})", test.name, test.path)
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', " ")
}

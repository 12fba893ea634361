//! The lines of the Python package's contract and the tests that hold it to them.
//!
//! `docs/reference/conformance.toml` lists the lines; a test names those it proves with
//! `@pytest.mark.spec("5.size")`. Joined, they are the page `docs/reference/conformance.md`. A marker
//! nobody knows and a line nobody proves are findings of `tidy`, unless the list says why there is no test.

mod markers;
mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::repo::Repo;
use crate::tidy::Finding;
use markers::Marked;

const LIST: &str = "docs/reference/conformance.toml";
const TESTS: [&str; 2] = ["sdk/python/tests/", "tests/e2e/"];

/// The contract, cut into lines.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contract {
    section: Vec<Section>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    number: u32,
    title: String,
    line: Vec<Line>,
}

/// One promise of the contract.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: String,
    rule: String,
    /// Why no test through the wheel proves it; absent where one does.
    untested: Option<String>,
}

/// Prints the page.
pub(crate) fn print(repo: &Repo) -> Result<ExitCode> {
    let (contract, marked) = read(repo)?;
    print!("{}", page::render(&contract, &by_line(&marked)));
    Ok(ExitCode::SUCCESS)
}

/// Finds what does not fit together.
pub(crate) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    if !repo.files.iter().any(|file| file.path == LIST) {
        return Ok(vec![Finding::new(LIST, "does not exist", "it lists the contract's lines")]);
    }
    let (contract, marked) = read(repo)?;
    let mut findings = misnamed(&contract);
    findings.extend(unread(repo));
    findings.extend(unknown(&contract, &marked));
    findings.extend(unproven(&contract, &by_line(&marked)));
    Ok(findings)
}

fn read(repo: &Repo) -> Result<(Contract, Vec<Marked>)> {
    let file = repo.files.iter().find(|file| file.path == LIST);
    let text = &file.with_context(|| format!("there is no {LIST}"))?.text;
    let contract = toml::from_str(text).with_context(|| format!("{LIST} does not parse"))?;
    let marked = test_files(repo).flat_map(|file| markers::read(file).0).collect();
    Ok((contract, marked))
}

fn test_files(repo: &Repo) -> impl Iterator<Item = &crate::repo::SourceFile> {
    repo.files.iter().filter(|file| {
        file.extension() == "py" && TESTS.iter().any(|folder| file.path.starts_with(folder))
    })
}

/// The tests of each line, in the order of their files.
fn by_line(marked: &[Marked]) -> BTreeMap<&str, Vec<&Marked>> {
    let mut tests: BTreeMap<&str, Vec<&Marked>> = BTreeMap::new();
    for test in marked {
        tests.entry(&test.id).or_default().push(test);
    }
    tests
}

fn lines(contract: &Contract) -> impl Iterator<Item = (&Section, &Line)> {
    contract.section.iter().flat_map(|section| section.line.iter().map(move |line| (section, line)))
}

/// An id belongs to its section and to one line only.
fn misnamed(contract: &Contract) -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (section, line) in lines(contract) {
        if !line.id.starts_with(&format!("{}.", section.number)) {
            let problem = format!("`{}` stands in section {}", line.id, section.number);
            findings.push(Finding::new(LIST, problem, "an id begins with its section's number"));
        }
        if !seen.insert(&line.id) {
            let problem = format!("`{}` is there twice", line.id);
            findings.push(Finding::new(LIST, problem, "give each line an id of its own"));
        }
    }
    findings
}

/// A marker that stands where this reader does not look would count for nothing.
fn unread(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in test_files(repo) {
        findings.extend(markers::read(file).1.into_iter().map(|line| {
            Finding::new(
                format!("{}:{line}", file.path),
                "a marker `spec` that marks no test",
                "write `@pytest.mark.spec(\"id\")` above a test function of the module",
            )
        }));
    }
    findings
}

fn unknown(contract: &Contract, marked: &[Marked]) -> Vec<Finding> {
    let known: BTreeSet<&str> = lines(contract).map(|(_, line)| line.id.as_str()).collect();
    let strangers = marked.iter().filter(|test| !known.contains(test.id.as_str()));
    strangers
        .map(|test| {
            Finding::new(
                format!("{}:{}", test.path, test.line),
                format!("{} proves `{}`, which is no line of the contract", test.name, test.id),
                format!("the lines are in {LIST}"),
            )
        })
        .collect()
}

fn unproven(contract: &Contract, tests: &BTreeMap<&str, Vec<&Marked>>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (_, line) in lines(contract) {
        let is_proven = tests.contains_key(line.id.as_str());
        let said = line.untested.as_ref().map(|reason| !reason.trim().is_empty());
        match (is_proven, said) {
            (true, None) | (false, Some(true)) => {}
            (true, Some(_)) => findings.push(Finding::new(
                LIST,
                format!("`{}` has a test and is said to have none", line.id),
                "take `untested` out, or split what is tested from what is not",
            )),
            (false, _) => findings.push(Finding::new(
                LIST,
                format!("`{}` has no test: {}", line.id, line.rule),
                "mark the test that proves it, or say `untested = \"why\"`",
            )),
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{LIST, by_line, check, page, read};
    use crate::repo::Repo;

    const CONTRACT: &str = "\
[[section]]
number = 5
title = 'Never lose'
line = [
  { id = '5.size', rule = 'A long text is cut.' },
  { id = '5.proxies', rule = 'A|B', untested = 'no proxy here' },
]
";
    const PROOF: &str = "@pytest.mark.spec('5.size')\ndef test_cut() -> None:\n";

    fn tree(contract: &str, test: &str) -> Repo {
        Repo::of(&[(LIST, contract), ("tests/e2e/test_a.py", test)])
    }

    fn problems(contract: &str, test: &str) -> Vec<String> {
        check(&tree(contract, test)).unwrap().into_iter().map(|found| found.problem).collect()
    }

    #[test]
    fn a_list_whose_lines_are_proven_or_excused_is_in_order() {
        assert_eq!(problems(CONTRACT, PROOF), Vec::<String>::new());
    }

    #[test]
    fn a_line_without_a_test_is_found() {
        let found = problems(CONTRACT, "def test_cut() -> None:\n");
        assert_eq!(found, ["`5.size` has no test: A long text is cut."]);
        let empty = CONTRACT.replace("no proxy here", " ");
        assert_eq!(problems(&empty, PROOF), ["`5.proxies` has no test: A|B"]);
    }

    #[test]
    fn an_unknown_id_and_a_needless_excuse_are_found() {
        let test = PROOF.replace("'5.size'", "'5.size', '5.proxies', '5.sise'");
        let found = problems(CONTRACT, &test);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], "test_cut proves `5.sise`, which is no line of the contract");
        assert_eq!(found[1], "`5.proxies` has a test and is said to have none");
    }

    #[test]
    fn ids_out_of_place_or_twice_and_lost_markers_are_found() {
        let moved = CONTRACT.replace("number = 5", "number = 4");
        assert_eq!(problems(&moved, PROOF)[0], "`5.size` stands in section 4");
        let twice = CONTRACT.replace("'5.proxies'", "'5.size'");
        assert_eq!(problems(&twice, PROOF)[0], "`5.size` is there twice");
        let lost = format!("{PROOF}pytestmark = pytest.mark.spec('5.size')\n");
        assert_eq!(problems(CONTRACT, &lost), ["a marker `spec` that marks no test"]);
        assert_eq!(check(&Repo::of(&[])).unwrap()[0].problem, "does not exist");
    }

    #[test]
    fn the_page_links_each_test_and_says_what_is_untested() {
        let (contract, marked) = read(&tree(CONTRACT, PROOF)).unwrap();
        let page = page::render(&contract, &by_line(&marked));
        assert!(page.contains("## 5 Never lose\n"), "{page}");
        let row =
            "| `5.size` | A long text is cut. | [test_a.py::test_cut](../../tests/e2e/test_a.py) |";
        assert!(page.contains(row), "{page}");
        assert!(page.contains("| `5.proxies` | A\\|B | **untested**: no proxy here |"), "{page}");
        assert!(page.contains("2 lines, 1 of them untested"), "{page}");
    }
}

//! Adds up what the test runners reported: `cargo xtask count <dir>`.
//!
//! The directory holds JUnit XML (nextest, pytest, vitest, Playwright all write it) and logs of
//! `cargo test` (doc tests have no XML). The last line printed is `N passed, N failed, N skipped`,
//! and it is computed from single test cases, never from a runner's exit code: a report that cannot
//! be read is an error, not a zero.

use std::ops::AddAssign;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use quick_xml::Reader;
use quick_xml::events::Event;

/// How many test cases came out which way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Prints one line per report and the sum; fails when a test failed or none ran.
pub(crate) fn run(dir: &Path) -> Result<ExitCode> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    let mut sum = Tally::default();
    for path in &paths {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
        let tally = match extension {
            "xml" => junit(&text).with_context(|| path.display().to_string())?,
            "log" => cargo_test(&text).with_context(|| path.display().to_string())?,
            "failed" => Tally { failed: 1, ..Tally::default() },
            _ => continue,
        };
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("?");
        println!("{name:>24}: {}", line(tally));
        sum += tally;
    }
    println!("{}", line(sum));
    let good = sum.failed == 0 && sum.passed > 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(tally: Tally) -> String {
    let Tally { passed, failed, skipped } = tally;
    if skipped == 0 {
        format!("{passed} passed, {failed} failed")
    } else {
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// Counts the `<testcase>` elements of a JUnit report by the verdict inside them.
fn junit(text: &str) -> Result<Tally> {
    let mut reader = Reader::from_str(text);
    let mut tally = Tally::default();
    let mut depth = 0_usize;
    // The verdict of the case being read: `None` between cases.
    let mut verdict: Option<Tally> = None;
    loop {
        match reader.read_event().context("the XML does not parse")? {
            Event::Start(tag) => {
                depth += 1;
                judge(tag.local_name().as_ref(), &mut verdict);
            }
            Event::Empty(tag) if tag.local_name().as_ref() == "testcase" => tally.passed += 1,
            Event::Empty(tag) => judge(tag.local_name().as_ref(), &mut verdict),
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                if tag.local_name().as_ref() == "testcase" {
                    tally += verdict.take().unwrap_or_default();
                }
            }
            Event::Eof if depth > 0 => bail!("the report ends in the middle"),
            Event::Eof => return Ok(tally),
            _ => {}
        }
    }
}

/// Takes a tag into the verdict of the case it stands in.
fn judge(tag: &str, verdict: &mut Option<Tally>) {
    match (tag, verdict.as_mut()) {
        ("testcase", _) => *verdict = Some(Tally { passed: 1, ..Tally::default() }),
        // One test can both fail and error (in its teardown): still one test.
        ("failure" | "error", Some(case)) => *case = Tally { failed: 1, ..Tally::default() },
        ("skipped", Some(case)) if case.failed == 0 => {
            *case = Tally { skipped: 1, ..Tally::default() };
        }
        _ => {}
    }
}

/// Adds the `test result:` lines of a `cargo test` log.
fn cargo_test(text: &str) -> Result<Tally> {
    let mut tally = Tally::default();
    for line in text.lines() {
        let Some(result) = line.trim().strip_prefix("test result: ") else { continue };
        let figure = |word: &str| -> Result<u64> {
            let part = result
                .split([';', '.'])
                .find_map(|part| part.trim().strip_suffix(word))
                .with_context(|| format!("no `{word}` in `{line}`"))?;
            part.trim().parse().with_context(|| format!("no number before `{word}` in `{line}`"))
        };
        tally += Tally {
            passed: figure(" passed")?,
            failed: figure(" failed")?,
            skipped: figure(" ignored")?,
        };
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::{Tally, cargo_test, junit, run};

    const MIXED: &str = r#"<?xml version="1.0"?><testsuites><testsuite name="a" tests="99">
        <testcase name="one"/>
        <testcase name="two"><system-out><![CDATA[<failure>]]></system-out></testcase>
        <testcase name="three"><failure message="no">a &lt; b</failure></testcase>
        <testcase name="four"><error/><failure/></testcase>
        <testcase name="five"><skipped/></testcase>
    </testsuite></testsuites>"#;

    #[test]
    fn cases_are_counted_by_their_own_verdict() {
        assert_eq!(junit(MIXED).unwrap(), Tally { passed: 2, failed: 2, skipped: 1 });
    }

    #[test]
    fn a_torn_report_is_an_error() {
        assert!(junit("<testsuites><testcase>").is_err());
        assert!(junit("<testsuites></other>").is_err());
    }

    #[test]
    fn cargo_test_lines_add_up() {
        let log = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s\n\
            test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(cargo_test(log).unwrap(), Tally { passed: 5, failed: 4, skipped: 1 });
        assert!(cargo_test("test result: ok. some passed; 0 failed; 0 ignored").is_err());
    }

    #[test]
    fn nothing_run_is_a_failure_and_so_is_a_stage_that_fell_over() {
        let dir = tempfile::tempdir().unwrap();
        let failure = std::process::ExitCode::FAILURE;
        assert_eq!(run(dir.path()).unwrap(), failure);
        std::fs::write(dir.path().join("a.xml"), "<t><testcase name='x'/></t>").unwrap();
        assert_eq!(run(dir.path()).unwrap(), std::process::ExitCode::SUCCESS);
        std::fs::write(dir.path().join("lint.failed"), "").unwrap();
        assert_eq!(run(dir.path()).unwrap(), failure);
    }
}

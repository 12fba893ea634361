//! `cargo xtask tidy`: what the house must look like, checked.
//!
//! Each check is a function from the tree to findings; this file runs them all and prints every
//! finding with its place and the way to mend it, so that one run shows the whole bill.

mod absences;
mod edges;
mod links;
mod openings;
mod sizes;
mod words;

use std::process::ExitCode;

use anyhow::Result;

use crate::conformance;
use crate::generated;
use crate::repo::Repo;

/// One thing that is not as it should be.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, with `:line` where one line is meant.
    pub(crate) place: String,
    /// What is wrong.
    pub(crate) problem: String,
    /// What to do about it.
    pub(crate) hint: String,
}

impl Finding {
    pub(crate) fn new(
        place: impl Into<String>,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { place: place.into(), problem: problem.into(), hint: hint.into() }
    }
}

/// Runs every check that needs nothing but the tree.
pub(crate) fn run(repo: &Repo) -> Result<ExitCode> {
    let generated = generated::paths(repo)?;
    let is_generated = |path: &str| generated.iter().any(|known| known == path);
    let mut findings = edges::check(repo)?;
    findings.extend(absences::check(repo)?);
    findings.extend(conformance::check(repo)?);
    findings.extend(links::check(repo));
    findings.extend(openings::check(repo, &is_generated));
    findings.extend(sizes::check(repo, &is_generated));
    findings.extend(words::check(repo));
    sizes::print_largest(repo, &is_generated);
    Ok(report(findings, repo.files.len()))
}

/// Prints what was found and says whether that is a failure.
pub(crate) fn report(mut findings: Vec<Finding>, looked_at: usize) -> ExitCode {
    findings.sort();
    for finding in &findings {
        eprintln!("{}: {}\n    fix: {}", finding.place, finding.problem, finding.hint);
    }
    if findings.is_empty() {
        println!("tidy: {looked_at} files, nothing to mend");
        return ExitCode::SUCCESS;
    }
    eprintln!("tidy: {} to mend", findings.len());
    ExitCode::FAILURE
}

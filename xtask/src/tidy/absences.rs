//! Invariants told as absences: text that must not occur in a part of the tree.
//!
//! `xtask/absences.toml` holds them, each with its reason and the files where the thing belongs. They
//! are plain substrings on purpose: a reader can check one with `git grep`.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Finding;
use crate::repo::{Repo, SourceFile};

const LIST: &str = "xtask/absences.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Absences {
    absence: Vec<Absence>,
}

/// `patterns` do not occur under `under`, save in `except`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Absence {
    patterns: Vec<String>,
    /// The folders the rule is about; `*` stands for any one name.
    under: Vec<String>,
    /// How the names of the files end that it is about.
    extensions: Vec<String>,
    /// Files where the thing belongs; each must exist and contain a pattern.
    #[serde(default)]
    except: Vec<String>,
    why: String,
}

/// Looks for every forbidden text.
pub(super) fn check(repo: &Repo) -> Result<Vec<Finding>> {
    let list: Absences =
        toml::from_str(&repo.read(LIST)?).with_context(|| format!("{LIST} does not parse"))?;
    Ok(list.absence.iter().flat_map(|absence| check_one(repo, absence)).collect())
}

fn check_one(repo: &Repo, absence: &Absence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &repo.files {
        if absence.covers(file) && !absence.except.contains(&file.path) {
            findings.extend(occurrences(file, absence));
        }
    }
    for exception in &absence.except {
        let used = repo.files.iter().any(|file| &file.path == exception && absence.occurs_in(file));
        if !used {
            findings.push(Finding::new(
                LIST,
                format!("{exception} is excepted but holds none of {:?}", absence.patterns),
                "take the exception out",
            ));
        }
    }
    findings
}

fn occurrences(file: &SourceFile, absence: &Absence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        let Some(pattern) = absence.patterns.iter().find(|p| line.contains(p.as_str())) else {
            continue;
        };
        if is_comment(line) {
            continue;
        }
        findings.push(Finding::new(
            format!("{}:{}", file.path, index + 1),
            format!("`{pattern}` must not occur here: {}", absence.why),
            format!("move it to where it belongs; the rule and its exceptions are in {LIST}"),
        ));
    }
    findings
}

/// Prose may name what code may not use.
fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    ["//", "#", "/*", "* "].iter().any(|opening| line.starts_with(opening))
        && !line.starts_with("#[")
}

impl Absence {
    fn covers(&self, file: &SourceFile) -> bool {
        self.under.iter().any(|folder| is_below(folder, &file.path))
            && self.extensions.iter().any(|extension| extension == file.extension())
    }

    fn occurs_in(&self, file: &SourceFile) -> bool {
        self.patterns.iter().any(|pattern| file.text.contains(pattern.as_str()))
    }
}

/// Whether `path` lies in `folder`, whose parts may be `*`.
fn is_below(folder: &str, path: &str) -> bool {
    let mut names = path.split('/');
    folder
        .trim_end_matches('/')
        .split('/')
        .all(|part| names.next().is_some_and(|name| part == "*" || part == name))
}

#[cfg(test)]
mod tests {
    use super::{Absence, check_one, is_below};
    use crate::repo::Repo;

    fn rule(except: &[&str]) -> Absence {
        Absence {
            patterns: vec!["std::env".to_owned()],
            under: vec!["crates/model/".to_owned()],
            extensions: vec!["rs".to_owned()],
            except: except.iter().map(|path| (*path).to_owned()).collect(),
            why: "the model reads no environment".to_owned(),
        }
    }

    #[test]
    fn a_forbidden_text_is_found_with_its_line() {
        let repo = Repo::of(&[("crates/model/src/a.rs", "//! A.\nlet x = std::env::var(\"A\");")]);
        let found = check_one(&repo, &rule(&[]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "crates/model/src/a.rs:2");
    }

    #[test]
    fn prose_other_rooms_and_exceptions_are_left_alone() {
        let repo = Repo::of(&[
            ("crates/model/src/a.rs", "//! Never std::env here."),
            ("crates/model/src/env.rs", "use std::env;"),
            ("crates/other/src/a.rs", "use std::env;"),
            ("crates/model/notes.md", "std::env"),
        ]);
        assert_eq!(check_one(&repo, &rule(&["crates/model/src/env.rs"])), []);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_found() {
        let repo = Repo::of(&[("crates/model/src/env.rs", "//! Nothing.")]);
        let found = check_one(&repo, &rule(&["crates/model/src/env.rs"]));
        assert_eq!(found.len(), 1);
        assert!(found[0].problem.contains("is excepted but holds none"));
    }

    #[test]
    fn a_star_stands_for_one_name() {
        assert!(is_below("crates/*/src/", "crates/model/src/deep/a.rs"));
        assert!(!is_below("crates/*/src/", "crates/model/tests/src/a.rs"));
        assert!(!is_below("crates/model", "crates/model-two/a.rs"));
    }

    #[test]
    fn an_attribute_is_code_not_prose() {
        let repo = Repo::of(&[("crates/model/src/a.rs", "#[path = std::env!()]")]);
        assert_eq!(check_one(&repo, &rule(&[])).len(), 1);
    }
}

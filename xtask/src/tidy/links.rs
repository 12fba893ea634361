//! Pages point at things that exist: every relative link, and every name that a link gives.
//!
//! A link whose text is code, such as `` [`Journal::append`](../crates/…/journal.rs) ``, promises that the
//! file holds those names. The promise is kept by this check, so a page that follows a span through
//! named functions cannot fall behind the code unnoticed.

use std::path::Path;

use super::Finding;
use crate::repo::{Repo, SourceFile};

/// One `[text](target)` of a page.
struct Link<'a> {
    text: &'a str,
    target: &'a str,
}

/// Finds links to nothing and names that their file does not hold.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let pages = repo.files.iter().filter(|file| file.extension() == "md");
    pages.flat_map(|page| check_page(repo, page)).collect()
}

fn check_page(repo: &Repo, page: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_code = false;
    for (index, line) in page.text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for link in links(line) {
            let problem = problem(repo, page, &link);
            findings.extend(problem.map(|(what, hint)| {
                Finding::new(format!("{}:{}", page.path, index + 1), what, hint)
            }));
        }
    }
    findings
}

fn problem(repo: &Repo, page: &SourceFile, link: &Link<'_>) -> Option<(String, &'static str)> {
    let target = link.target.split('#').next().unwrap_or("");
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let path = resolve(&page.path, target);
    let Some(file) = repo.files.iter().find(|file| file.path == path) else {
        // A folder, or a file that is not text (a picture).
        let exists = repo.root.join(&path).exists() && !path.is_empty();
        return (!exists).then(|| {
            (format!("links to {target}, which is not there"), "mend or remove the link")
        });
    };
    // A module is named by its file, not in it.
    let is_module = |name: &str| path.split(['/', '.']).any(|part| part == name);
    let missing =
        names(link.text).find(|name| !is_module(name) && !holds_word(&file.text, name))?;
    Some((
        format!("says that {path} holds `{missing}`"),
        "follow the code: name what is there now, and the file it is in",
    ))
}

/// The links of one line, pictures included.
fn links(line: &str) -> impl Iterator<Item = Link<'_>> {
    line.match_indices("](").filter_map(|(at, _)| {
        let text_start = line[..at].rfind('[')? + 1;
        let rest = &line[at + 2..];
        let target = rest[..rest.find(')')?].split_whitespace().next()?;
        Some(Link { text: &line[text_start..at], target })
    })
}

/// The names in a link whose text is code; none where it is prose.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let code = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
    // A path, a page's name or a command is not a name in a file.
    let code =
        code.filter(|code| !code.contains(['/', ' ']) && !code.contains(".md")).unwrap_or("");
    code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|name| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_') && !is_module_word(name)
    })
}

/// Crates and file endings stand in a name but not in the file.
fn is_module_word(name: &str) -> bool {
    name.starts_with("staso")
        || matches!(name, "rs" | "py" | "ts" | "tsx" | "toml" | "crate" | "self")
}

fn holds_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

/// The path of `target` as seen from the folder of `page`.
fn resolve(page: &str, target: &str) -> String {
    let folder = Path::new(page).parent().and_then(Path::to_str).unwrap_or("");
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::repo::Repo;

    const CODE: (&str, &str) = ("crates/a/src/journal.rs", "impl Journal { fn append() {} }");

    fn problems(page: &str) -> Vec<String> {
        let repo = Repo::of(&[("docs/internals/page.md", page), CODE]);
        check(&repo).into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn a_link_to_nothing_is_found() {
        let found = problems("see [the plan](../plan.md)");
        assert_eq!(found, ["links to ../plan.md, which is not there"]);
        assert_eq!(problems("see [the code](../../crates/a/src/journal.rs#L3)"), [""; 0]);
        assert_eq!(problems("see [there](https://example.com/x) and [here](#below)"), [""; 0]);
    }

    #[test]
    fn a_name_that_its_file_lacks_is_found() {
        assert_eq!(problems("[`Journal::append`](../../crates/a/src/journal.rs)"), [""; 0]);
        assert_eq!(problems("[`journal::append`](../../crates/a/src/journal.rs)"), [""; 0]);
        let found = problems("[`Journal::appended`](../../crates/a/src/journal.rs)");
        assert_eq!(found, ["says that crates/a/src/journal.rs holds `appended`"]);
    }

    #[test]
    fn prose_paths_and_code_blocks_promise_nothing() {
        assert_eq!(problems("[append it twice](../../crates/a/src/journal.rs)"), [""; 0]);
        assert_eq!(problems("[`crates/a/other`](../../crates/a/src/journal.rs)"), [""; 0]);
        assert_eq!(problems("```\n[x](nowhere.md)\n```\n"), [""; 0]);
    }
}

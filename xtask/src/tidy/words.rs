//! Words and names that do not belong in the tree.
//!
//! A marker for later is a decision put off where nobody looks. A machine's path or a registry's host
//! works on one desk only. A module called after nothing collects everything. The forbidden words are
//! put together from pieces here, so that this file passes its own check.

use super::Finding;
use crate::repo::{Repo, SourceFile};

const MARKERS: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

const HOSTS: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npm", "js.org"),
    concat!("registry.yarn", "pkg.com"),
    concat!("npm", "js.com"),
    concat!("deb.debian", ".org"),
    concat!("proxy.golang", ".org"),
];

const HOMES: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

/// Package managers write their registries into these.
const LOCK_FILES: [&str; 4] = ["Cargo.lock", "package-lock.json", "uv.lock", "pnpm-lock.yaml"];

const GRAB_BAGS: [&str; 5] = ["common", "util", "utils", "helper", "helpers"];
const VAGUE_SUFFIXES: [&str; 4] = ["Manager", "Helper", "Util", "Utils"];
const TYPE_WORDS: [&str; 6] = ["struct", "enum", "trait", "class", "interface", "type"];

/// Finds forbidden words, names of files and names of types.
pub(super) fn check(repo: &Repo) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &repo.files {
        findings.extend(check_name(file));
        if LOCK_FILES.iter().any(|name| file.path.ends_with(name)) {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            // Made-up homes are good test data.
            let home = if file.path.contains("/tests/") { None } else { home(line) };
            let problems = [marker(line), host(line), home, vague_type(file, line)];
            let place = format!("{}:{}", file.path, index + 1);
            findings.extend(
                problems
                    .into_iter()
                    .flatten()
                    .map(|(p, hint)| Finding::new(place.clone(), p, hint)),
            );
        }
    }
    findings
}

type Problem = Option<(String, &'static str)>;

fn check_name(file: &SourceFile) -> Option<Finding> {
    if !["rs", "py", "ts", "tsx"].contains(&file.extension()) {
        return None;
    }
    let part = file
        .path
        .split('/')
        .map(|part| part.split('.').next().unwrap_or(part))
        .find(|part| GRAB_BAGS.contains(part))?;
    Some(Finding::new(
        &file.path,
        format!("`{part}` names nothing: everything fits in"),
        "name the file or folder after what it holds",
    ))
}

fn marker(line: &str) -> Problem {
    let found = MARKERS.iter().find(|marker| has_word(line, marker))?;
    Some((format!("the marker `{found}`"), "do it now, or write it into docs/plan.md"))
}

fn host(line: &str) -> Problem {
    let found = HOSTS.iter().find(|host| line.contains(**host))?;
    Some((
        format!("names the registry host `{found}`"),
        "name the package; the client knows where its registry is",
    ))
}

fn home(line: &str) -> Problem {
    let found = HOMES.iter().find(|home| {
        line.match_indices(**home).any(|(at, _)| {
            let starts_path =
                !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-$}~".contains(c));
            let goes_on =
                line[at + home.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '.');
            starts_path && goes_on
        })
    })?;
    Some((
        format!("an absolute path under `{found}`"),
        "use a path relative to the repository, or a temporary directory",
    ))
}

fn vague_type(file: &SourceFile, line: &str) -> Problem {
    if !["rs", "py", "pyi", "ts", "tsx"].contains(&file.extension()) {
        return None;
    }
    let mut words =
        line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|w| !w.is_empty());
    words.find(|word| TYPE_WORDS.contains(word))?;
    let name = words.next()?;
    let is_vague = VAGUE_SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
    (is_vague && !name.ends_with("ContextManager"))
        .then(|| (format!("`{name}` says nothing about what it does"), "name it after its one job"))
}

/// Whether `word` stands in `line` with no letter or digit on either side.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_edge = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        is_edge(line[..at].chars().next_back()) && is_edge(line[at + word.len()..].chars().next())
    })
}

#[cfg(test)]
mod tests {
    use super::{HOMES, HOSTS, MARKERS, check};
    use crate::repo::Repo;

    fn finds(path: &str, text: &str) -> bool {
        !check(&Repo::of(&[(path, text)])).is_empty()
    }

    #[test]
    fn every_marker_is_found_as_a_word() {
        for marker in MARKERS {
            assert!(finds("a.rs", &format!("// {marker}: later")), "{marker}");
            assert!(!finds("a.sh", &format!("mktemp /tmp/a.{marker}{marker}")), "{marker}");
        }
    }

    #[test]
    fn every_registry_host_is_found_but_not_in_lock_files() {
        for host in HOSTS {
            assert!(finds("a.md", &format!("see https://{host}/x")), "{host}");
            assert!(!finds("web/package-lock.json", &format!("https://{host}/x")), "{host}");
        }
    }

    #[test]
    fn a_path_of_one_desk_is_found_and_a_route_is_not() {
        for home in HOMES {
            assert!(finds("a.py", &format!("open('{home}someone/x')")), "{home}");
            assert!(!finds("a.py", &format!("url = base{home}x")), "{home}");
            assert!(!finds("a/tests/b.py", &format!("'{home}someone/x'")), "{home}");
        }
    }

    #[test]
    fn files_named_after_nothing_are_found() {
        assert!(finds("crates/a/src/utils.rs", "//! x"));
        assert!(finds("web/src/common/list.ts", "// x"));
        assert!(finds("a/tests/helpers.py", ""));
        assert!(!finds("crates/a/src/utilisation.rs", "//! x"));
    }

    #[test]
    fn types_named_after_nothing_are_found() {
        assert!(finds("a.rs", concat!("pub struct Span", "Manager;")));
        assert!(finds("a.py", concat!("class Span", "Helper:")));
        assert!(!finds("a.py", "class SpanContextManager:"));
        assert!(!finds("a.md", concat!("class Span", "Helper:")));
    }
}

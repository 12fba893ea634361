//! How long a file may be, and the ten longest, shown on each run.
//!
//! The caps are where reading a file in one sitting stops. A Rust file may pass its cap when its first
//! line says why (the word `because`); Python, TSX and the bindings may not.

use super::Finding;
use crate::repo::{Repo, SourceFile};

const RUST_MAX: usize = 500;
const PYTHON_MAX: usize = 400;
const TSX_MAX: usize = 300;
/// A second language must cost little: what is not about its objects belongs to the engine.
const BINDINGS_MAX: usize = 1_500;
const BINDINGS: &str = "sdk/python/src/";
const SHOWN: usize = 10;
const COUNTED: [&str; 8] = ["rs", "py", "ts", "tsx", "js", "mjs", "css", "sh"];

/// Finds the files over their cap.
pub(super) fn check(repo: &Repo, is_generated: &dyn Fn(&str) -> bool) -> Vec<Finding> {
    let written = repo.files.iter().filter(|file| !is_generated(&file.path));
    let mut findings: Vec<Finding> = written.filter_map(check_file).collect();
    findings.extend(check_bindings(repo));
    findings
}

/// Prints the longest files, so that growth is seen before it is a problem.
pub(super) fn print_largest(repo: &Repo, is_generated: &dyn Fn(&str) -> bool) {
    println!("the {SHOWN} largest files:");
    for (lines, path) in largest(repo, is_generated) {
        println!("{lines:>6}  {path}");
    }
}

fn largest<'a>(repo: &'a Repo, is_generated: &dyn Fn(&str) -> bool) -> Vec<(usize, &'a str)> {
    let mut sizes: Vec<(usize, &str)> = repo
        .files
        .iter()
        .filter(|file| COUNTED.contains(&file.extension()) && !is_generated(&file.path))
        .map(|file| (file.line_count(), file.path.as_str()))
        .collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.truncate(SHOWN);
    sizes
}

fn check_file(file: &SourceFile) -> Option<Finding> {
    let (max, hint) = match file.extension() {
        "rs" if gives_reason(file) => return None,
        "rs" => {
            (RUST_MAX, "split it by purpose, or say in the first line that it is long because …")
        }
        "py" => (PYTHON_MAX, "split it by purpose"),
        "tsx" => (TSX_MAX, "move a part of the screen, or the logic, to a file of its own"),
        _ => return None,
    };
    let lines = file.line_count();
    (lines > max)
        .then(|| Finding::new(&file.path, format!("{lines} lines; the cap is {max}"), hint))
}

fn gives_reason(file: &SourceFile) -> bool {
    file.text.lines().next().is_some_and(|line| line.contains("because"))
}

fn check_bindings(repo: &Repo) -> Option<Finding> {
    let lines: usize = repo
        .files
        .iter()
        .filter(|file| file.path.starts_with(BINDINGS) && file.extension() == "rs")
        .map(SourceFile::line_count)
        .sum();
    (lines > BINDINGS_MAX).then(|| {
        Finding::new(
            BINDINGS,
            format!("the bindings have {lines} lines in all; the cap is {BINDINGS_MAX}"),
            "move what is not about Python objects to crates/staso-sdk",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{BINDINGS_MAX, check, largest};
    use crate::repo::Repo;

    fn problems(path: &str, text: &str) -> Vec<String> {
        let found = check(&Repo::of(&[(path, text)]), &|_| false);
        found.into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn each_language_has_its_cap() {
        assert_eq!(problems("a.rs", &"\n".repeat(500)), Vec::<String>::new());
        assert_eq!(problems("a.rs", &"\n".repeat(501)), ["501 lines; the cap is 500"]);
        assert_eq!(problems("a.py", &"\n".repeat(401)), ["401 lines; the cap is 400"]);
        assert_eq!(problems("a.tsx", &"\n".repeat(301)), ["301 lines; the cap is 300"]);
        assert_eq!(problems("a.json", &"\n".repeat(9_000)), Vec::<String>::new());
    }

    #[test]
    fn a_reason_in_the_first_line_excuses_rust_only() {
        let text = format!("//! Long because it is one table.\n{}", "\n".repeat(600));
        assert_eq!(problems("a.rs", &text), Vec::<String>::new());
        assert_eq!(problems("a.py", &text), ["601 lines; the cap is 400"]);
        let late = format!("//! A table.\n//! Long because.\n{}", "\n".repeat(600));
        assert_eq!(problems("a.rs", &late), ["602 lines; the cap is 500"]);
    }

    #[test]
    fn the_bindings_have_a_cap_in_all() {
        let part = "\n".repeat(400);
        let paths: Vec<String> =
            (0..BINDINGS_MAX / 400).map(|number| format!("sdk/python/src/{number}.rs")).collect();
        let mut files: Vec<(&str, &str)> =
            paths.iter().map(|path| (path.as_str(), part.as_str())).collect();
        assert_eq!(check(&Repo::of(&files), &|_| false), []);
        files.push(("sdk/python/src/last.rs", &part));
        assert_eq!(check(&Repo::of(&files), &|_| false).len(), 1);
    }

    #[test]
    fn the_largest_come_first_and_generated_files_do_not_count() {
        let files = [("a.rs", "\n\n"), ("b.py", "\n\n\n"), ("c.ts", "\n\n\n\n"), ("d.md", "\n")];
        let repo = Repo::of(&files);
        assert_eq!(largest(&repo, &|path| path == "c.ts"), [(3, "b.py"), (2, "a.rs")]);
        assert!(
            check(&Repo::of(&[("g.py", &"\n".repeat(900))]), &|path| path == "g.py").is_empty()
        );
    }
}

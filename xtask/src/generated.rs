//! Files that are made from others: written by `gen`, compared by `tidy --generated`.
//!
//! `xtask/generated.toml` says for each file which command makes it. Comparing runs the very same
//! command, so a file can be stale but never wrong in a way of its own, and leaves the tree as it was.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::repo::Repo;
use crate::tidy::{self, Finding};

const LIST: &str = "xtask/generated.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generated {
    #[serde(default)]
    file: Vec<Recipe>,
}

/// How one file is made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipe {
    path: String,
    command: Vec<String>,
    /// Where the command runs, relative to the root.
    #[serde(default)]
    dir: String,
    /// Whether the file is what the command prints; else the command writes it.
    stdout: bool,
}

/// The paths of all generated files.
pub(crate) fn paths(repo: &Repo) -> Result<Vec<String>> {
    Ok(list(repo)?.file.into_iter().map(|recipe| recipe.path).collect())
}

/// Makes every file anew.
pub(crate) fn write(repo: &Repo) -> Result<ExitCode> {
    for recipe in list(repo)?.file {
        let (before, after) = make(&repo.root, &recipe)?;
        let changed = before.as_deref() != Some(after.as_slice());
        if changed {
            put(&repo.root, &recipe.path, &after)?;
        }
        println!("gen: {} {}", recipe.path, if changed { "written" } else { "was current" });
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes every file anew and reports those that differ; the tree stays as it is.
pub(crate) fn compare(repo: &Repo) -> Result<ExitCode> {
    let recipes = list(repo)?.file;
    let mut findings = Vec::new();
    for recipe in &recipes {
        let (before, after) = make(&repo.root, recipe)?;
        if before.as_deref() == Some(after.as_slice()) {
            continue;
        }
        let problem = if before.is_some() { "is stale" } else { "does not exist" };
        restore(&repo.root, &recipe.path, before.as_deref())?;
        findings.push(Finding::new(
            &recipe.path,
            format!("{problem}: `{}` makes something else now", recipe.command.join(" ")),
            "run `cargo xtask gen` and commit what it writes",
        ));
    }
    Ok(tidy::report(findings, recipes.len()))
}

fn list(repo: &Repo) -> Result<Generated> {
    toml::from_str(&repo.read(LIST)?).with_context(|| format!("{LIST} does not parse"))
}

/// Runs the recipe; answers what the file held before and what it should hold.
fn make(root: &Path, recipe: &Recipe) -> Result<(Option<Vec<u8>>, Vec<u8>)> {
    let target = root.join(&recipe.path);
    let before = std::fs::read(&target).ok();
    let printed = run(&root.join(&recipe.dir), recipe)?;
    let after = if recipe.stdout {
        printed
    } else {
        std::fs::read(&target)
            .with_context(|| format!("`{}` made no {}", recipe.command.join(" "), recipe.path))?
    };
    if after.is_empty() {
        bail!("`{}` made an empty {}", recipe.command.join(" "), recipe.path);
    }
    Ok((before, after))
}

fn run(dir: &Path, recipe: &Recipe) -> Result<Vec<u8>> {
    let line = recipe.command.join(" ");
    let Some((program, args)) = recipe.command.split_first() else {
        bail!("{LIST}: {} has an empty command", recipe.path);
    };
    let output = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("`{line}` did not start"))?;
    if !output.status.success() {
        bail!("`{line}` failed with {}", output.status);
    }
    Ok(output.stdout)
}

fn restore(root: &Path, path: &str, before: Option<&[u8]>) -> Result<()> {
    match before {
        Some(bytes) => put(root, path, bytes),
        // A file that was not there and that a command wrote goes away again.
        None if root.join(path).exists() => std::fs::remove_file(root.join(path))
            .with_context(|| format!("cannot take {path} away again")),
        None => Ok(()),
    }
}

fn put(root: &Path, path: &str, bytes: &[u8]) -> Result<()> {
    let target = root.join(path);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {parent:?}"))?;
    }
    std::fs::write(&target, bytes).with_context(|| format!("cannot write {path}"))
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use super::{compare, paths, write};
    use crate::repo::Repo;

    /// A tree with one file that a command prints and one that a command writes.
    fn tree(made: &str) -> (tempfile::TempDir, Repo) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("xtask")).unwrap();
        let list = format!(
            "[[file]]\npath = 'api/printed'\ncommand = ['echo', '{made}']\nstdout = true\n\
             [[file]]\npath = 'api/written'\ndir = 'api'\nstdout = false\n\
             command = ['sh', '-c', 'echo {made} > written']\n"
        );
        std::fs::write(dir.path().join("xtask/generated.toml"), list).unwrap();
        let repo = Repo { root: dir.path().to_owned(), files: Vec::new() };
        (dir, repo)
    }

    fn failed(code: ExitCode) -> bool {
        code != ExitCode::SUCCESS
    }

    #[test]
    fn what_gen_wrote_is_current() {
        let (_dir, repo) = tree("one");
        assert_eq!(paths(&repo).unwrap(), ["api/printed", "api/written"]);
        assert!(!failed(write(&repo).unwrap()));
        assert!(!failed(compare(&repo).unwrap()));
    }

    #[test]
    fn a_stale_file_fails_and_stays_as_it_is() {
        let (dir, repo) = tree("one");
        write(&repo).unwrap();
        for name in ["api/printed", "api/written"] {
            std::fs::write(dir.path().join(name), "by hand").unwrap();
            assert!(failed(compare(&repo).unwrap()), "{name}");
            assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), "by hand");
            write(&repo).unwrap();
        }
    }

    #[test]
    fn a_missing_file_fails_and_stays_missing() {
        let (dir, repo) = tree("one");
        std::fs::create_dir(dir.path().join("api")).unwrap();
        assert!(failed(compare(&repo).unwrap()));
        assert!(!dir.path().join("api/written").exists());
        assert!(!dir.path().join("api/printed").exists());
    }

    #[test]
    fn a_command_that_makes_nothing_is_an_error() {
        let (_dir, repo) = tree("");
        let list = "[[file]]\npath = 'x'\ncommand = ['true']\nstdout = true\n";
        std::fs::write(repo.root.join("xtask/generated.toml"), list).unwrap();
        assert!(compare(&repo).unwrap_err().to_string().contains("made an empty x"));
    }
}

//! The tree under inspection: where it is, which files belong to it, what they say.
//!
//! Only files that git knows (or would know: new and not ignored) are the project's. Tests build a
//! [`Repo`] from files in memory, so that every check can be shown a tree that breaks it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The project's files, read once.
#[derive(Debug, Default)]
pub(crate) struct Repo {
    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Every text file, by path; binary files are left out.
    pub(crate) files: Vec<SourceFile>,
}

/// One text file of the tree.
#[derive(Debug)]
pub(crate) struct SourceFile {
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// The whole text.
    pub(crate) text: String,
}

impl SourceFile {
    /// What follows the last dot of the file's name; empty where there is none.
    pub(crate) fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or("");
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The number of lines.
    pub(crate) fn line_count(&self) -> usize {
        self.text.lines().count()
    }
}

impl Repo {
    /// Reads the working tree that this program was built from.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .context("xtask stands at the root of the file system")?
            .to_owned();
        let mut repo = Self { files: Vec::new(), root };
        for path in repo.list()? {
            // A file deleted but still in the index, or one that is not text, has nothing to check.
            if let Ok(text) = std::fs::read_to_string(repo.root.join(&path)) {
                repo.files.push(SourceFile { path, text });
            }
        }
        Ok(repo)
    }

    fn list(&self) -> Result<Vec<String>> {
        let output = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&self.root)
            .output()
            .context("git ls-files did not start; is git installed?")?;
        if !output.status.success() {
            bail!("git ls-files failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let names = String::from_utf8(output.stdout).context("a file name is not UTF-8")?;
        let mut paths: Vec<String> =
            names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Reads a file of the tree as text, with the path in the error.
    pub(crate) fn read(&self, path: &str) -> Result<String> {
        let full = self.root.join(path);
        std::fs::read_to_string(&full).with_context(|| format!("cannot read {path}"))
    }

    /// A tree made of `(path, text)` pairs.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).to_owned() })
            .collect();
        Self { root: PathBuf::new(), files }
    }
}

//! The commit that runs, for root spans to carry: from the environment at once, else from the `git` command
//! in a thread of its own, so that neither `init` nor a span waits for it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::json;
use crate::recorder::Recorder;
use crate::spans::redaction::Redaction;
use crate::vcs::Vcs;

/// How long one question to `git` may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Lets root spans carry what there is to tell.
pub(crate) fn carry(recorder: &'static Recorder, told: Option<Vcs>) {
    if let Some(told) = told {
        return tell(recorder, &told);
    }
    let Ok(directory) = std::env::current_dir() else { return };
    let look = move || {
        if let Some(found) = from_command(&directory) {
            tell(recorder, &found);
        }
    };
    // Without a thread root spans carry no commit, which is no fault of the program.
    let _ = std::thread::Builder::new().name("staso-git".to_owned()).spawn(look);
}

fn tell(recorder: &Recorder, vcs: &Vcs) {
    let redaction = recorder.redaction::<Redaction>();
    let mut items = Vec::new();
    for (name, text) in vcs.texts() {
        let redacted = redaction.and_then(|rule| rule.of(recorder, &["metadata", name], text));
        member(&mut items, name);
        json::write_str(&mut items, redacted.as_deref().unwrap_or(text));
    }
    if let Some(is_dirty) = vcs.is_dirty {
        member(&mut items, "vcs.is_dirty");
        json::write_bool(&mut items, is_dirty);
    }
    recorder.set_root_attributes(&items);
}

fn member(items: &mut Vec<u8>, name: &str) {
    if !items.is_empty() {
        items.push(b',');
    }
    json::write_str(items, name);
    items.push(b':');
}

fn from_command(directory: &Path) -> Option<Vcs> {
    let ask = |arguments: &[&str]| git(directory, arguments);
    let commit_sha = ask(&["rev-parse", "HEAD"]).filter(|sha| !sha.is_empty())?;
    let changes = ask(&["status", "--porcelain", "--untracked-files=no"]);
    Some(Vcs {
        commit_sha,
        branch: ask(&["rev-parse", "--abbrev-ref", "HEAD"]),
        repo_url: ask(&["config", "--get", "remote.origin.url"]).map(|url| Vcs::public(&url)),
        is_dirty: changes.map(|changes| !changes.is_empty()),
    })
}

/// What `git` answers about a directory; `None` where it fails or takes too long.
fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.arg("--no-optional-locks").args(arguments).current_dir(directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().ok()?;
    let (said, answer) = mpsc::channel();
    let wait = move || drop(said.send(child.wait_with_output()));
    std::thread::Builder::new().name("staso-git-answer".to_owned()).spawn(wait).ok()?;
    let answer = answer.recv_timeout(PATIENCE).ok()?.ok().filter(|done| done.status.success())?;
    Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a person would, with nothing of this machine's own settings.
    fn run(directory: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]);
        let done = command.args(arguments).current_dir(directory).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    #[test]
    fn git_tells_commit_branch_repository_and_changes() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(from_command(dir.path()), None);
        let file = dir.path().join("file");
        std::fs::write(&file, "1").unwrap();
        run(dir.path(), &["init", "--quiet", "--initial-branch=trunk"]);
        run(dir.path(), &["remote", "add", "origin", "https://user:token@host/o/r.git"]);
        assert_eq!(from_command(dir.path()), None, "there is no commit yet");
        run(dir.path(), &["add", "file"]);
        run(dir.path(), &["commit", "--quiet", "-m", "first"]);
        let found = from_command(dir.path()).unwrap();
        assert_eq!(found.commit_sha.len(), 40);
        assert_eq!(found.branch.as_deref(), Some("trunk"));
        assert_eq!(found.repo_url.as_deref(), Some("https://host/o/r.git"));
        assert_eq!(found.is_dirty, Some(false));
        std::fs::write(&file, "2").unwrap();
        assert_eq!(from_command(dir.path()).unwrap().is_dirty, Some(true));
    }
}

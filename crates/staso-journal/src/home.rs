//! The state directory: where the journal and the local server's announcement live.
//!
//! Everything here is a function of a path; the environment is read by the caller and handed in.
//! Directories are 0700 and files 0600: what programs record is private to their user.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The largest announcement that is read; a bigger file is not ours.
const SERVER_JSON_MAX_BYTES: u64 = 64 * 1024;

/// The state directory of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The state directory at this path; nothing is created.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// `STASO_HOME`, else `$XDG_STATE_HOME/staso`, else `~/.local/state/staso` (on Windows
    /// `%LOCALAPPDATA%\staso`). `None` when the environment names no place at all.
    pub fn locate(get_env: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let set = |name: &str| get_env(name).filter(|text| !text.is_empty()).map(PathBuf::from);
        set("STASO_HOME")
            .or_else(|| set("XDG_STATE_HOME").map(|base| base.join("staso")))
            .or_else(|| set("HOME").map(|home| home.join(".local/state/staso")))
            .or_else(|| set("LOCALAPPDATA").map(|base| base.join("staso")))
            .map(Self)
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where segments are written.
    #[must_use]
    pub fn journal_dir(&self) -> PathBuf {
        self.0.join("journal")
    }

    /// Where the local server announces itself.
    #[must_use]
    pub fn server_json(&self) -> PathBuf {
        self.0.join("server.json")
    }

    /// Makes the directory, private to this user.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(&self) -> io::Result<()> {
        create_private_dir(&self.0)
    }
}

/// What a running local server tells the programs of its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Where it listens, such as `http://127.0.0.1:7827`.
    pub url: String,
    /// Its process.
    pub pid: u32,
    /// What to send as `X-API-Key`.
    #[serde(default)]
    pub token: String,
    /// What it understands beyond the base contract: the words of `Staso-Capabilities`.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// When it started, Unix nanoseconds.
    #[serde(default)]
    pub started_ns: i64,
}

impl ServerInfo {
    /// Writes the announcement so that a reader sees the old one or the new one, whole.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, home: &Home) -> io::Result<()> {
        home.create()?;
        let temporary = home.0.join(format!("server.json.{}.tmp", std::process::id()));
        let mut file =
            private_options().create(true).truncate(true).write(true).open(&temporary)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&temporary, home.server_json())
    }

    /// The announcement of a server that lives and belongs to this user; `None` otherwise.
    ///
    /// A file of another user is ignored: its listener would be handed this user's data.
    #[must_use]
    pub fn read(home: &Home) -> Option<Self> {
        let file = File::open(home.server_json()).ok()?;
        if !is_owned(&file) {
            return None;
        }
        let mut text = String::new();
        file.take(SERVER_JSON_MAX_BYTES).read_to_string(&mut text).ok()?;
        let info: Self = serde_json::from_str(&text).ok()?;
        is_pid_alive(info.pid).then_some(info)
    }

    /// Takes the announcement back, if it is still this server's.
    pub fn remove(&self, home: &Home) {
        if Self::read(home).is_some_and(|found| found.pid == self.pid && found.token == self.token)
        {
            let _ = fs::remove_file(home.server_json());
        }
    }
}

/// Makes a directory and its parents; the last one is 0700 when it is new.
///
/// # Errors
/// What the file system says.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Open options whose new files are 0600.
pub(crate) fn private_options() -> fs::OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has file modes"))]
    let mut options = fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn is_owned(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: geteuid only reads the credentials of this process and cannot fail.
    let user = unsafe { libc::geteuid() };
    file.metadata().is_ok_and(|data| data.uid() == user)
}

#[cfg(not(unix))]
fn is_owned(_file: &File) -> bool {
    true
}

#[cfg(unix)]
fn is_pid_alive(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else { return false };
    if pid <= 0 {
        return false;
    }
    // SAFETY: signal 0 delivers nothing; it only asks whether the process exists.
    let answer = unsafe { libc::kill(pid, 0) };
    answer == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

#[cfg(not(unix))]
fn is_pid_alive(_pid: u32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(pairs: &[(&str, &str)]) -> Option<PathBuf> {
        let get = |name: &str| {
            pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Home::locate(get).map(|home| home.path().to_owned())
    }

    #[test]
    fn the_nearest_setting_wins() {
        let all = [("STASO_HOME", "/s"), ("XDG_STATE_HOME", "/x"), ("HOME", "/h")];
        assert_eq!(home(&all), Some("/s".into()));
        assert_eq!(home(&all[1..]), Some("/x/staso".into()));
        assert_eq!(home(&all[2..]), Some("/h/.local/state/staso".into()));
        assert_eq!(home(&[("STASO_HOME", "")]), None);
    }

    #[test]
    fn an_announcement_is_read_while_its_server_lives() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("state"));
        let mut info = ServerInfo {
            url: "http://127.0.0.1:1".into(),
            pid: std::process::id(),
            token: "t".into(),
            capabilities: vec!["values".into()],
            started_ns: 7,
        };
        assert_eq!(ServerInfo::read(&home), None);
        info.write(&home).unwrap();
        assert_eq!(ServerInfo::read(&home).as_ref(), Some(&info));
        info.pid = u32::MAX - 1;
        info.write(&home).unwrap();
        assert_eq!(ServerInfo::read(&home), None);
    }
}

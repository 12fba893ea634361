//! What workspaces keep: one bound for all, and bounds of their own for some.

use std::collections::BTreeMap;

use super::layer::{ConfigError, Reader};

/// How long a workspace keeps what it has, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keeping {
    /// Whole days, today not counted; `None`: for ever.
    pub days: Option<u32>,
    /// Bytes of spans on disk; `None`: without a bound.
    pub bytes: Option<u64>,
}

/// What workspaces keep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retaining {
    /// Those without bounds of their own.
    pub all: Keeping,
    /// Those with, by name.
    pub of_workspace: BTreeMap<String, Keeping>,
}

impl Keeping {
    fn of(days: u32, bytes: u64) -> Self {
        Self { days: Some(days).filter(|days| *days > 0), bytes: Some(bytes).filter(|n| *n > 0) }
    }

    /// `days` or `days/bytes`, where 0 is without a bound.
    fn parse(text: &str) -> Option<Self> {
        let (days, bytes) = text.split_once('/').unwrap_or((text, "0"));
        Some(Self::of(days.trim().parse().ok()?, bytes.trim().parse().ok()?))
    }
}

impl Retaining {
    /// What a workspace keeps.
    #[must_use]
    pub fn of(&self, workspace: &str) -> Keeping {
        self.of_workspace.get(workspace).copied().unwrap_or(self.all)
    }

    /// Whether any workspace keeps less than everything.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let all = self.of_workspace.values().chain([&self.all]);
        all.into_iter().any(|keeping| *keeping != Keeping::default())
    }

    pub(super) fn read(read: &Reader<'_>) -> Result<Self, ConfigError> {
        let key = "workspace_retention";
        let mut of_workspace = BTreeMap::new();
        for entry in read.list(key) {
            let known = entry.rsplit_once('=').and_then(|(name, keeping)| {
                Some((name.trim().to_owned(), Keeping::parse(keeping)?))
            });
            let wanted = "entries such as `name=30` (days) or `name=30/10000000000` (days/bytes)";
            let (name, keeping) = known.ok_or_else(|| read.bad(key, wanted, &entry))?;
            of_workspace.insert(name, keeping);
        }
        let all = Keeping::of(read.integer("retention_days")?, read.integer("retention_bytes")?);
        Ok(Self { all, of_workspace })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::{Config, Layer};
    use super::*;

    fn read(text: &str) -> Result<Retaining, ConfigError> {
        let layer = Layer::from_toml("test", text)?;
        Config::merge(PathBuf::from("home"), &[layer]).map(|config| config.retaining)
    }

    #[test]
    fn a_workspace_may_have_bounds_of_its_own() {
        let text = "retention_days = 30\nworkspace_retention = ['a=b=7', 'big=0/500', 'all=0']";
        let retaining = read(text).unwrap();
        assert!(retaining.is_bounded());
        assert_eq!(retaining.of("other"), Keeping { days: Some(30), bytes: None });
        assert_eq!(retaining.of("a=b"), Keeping { days: Some(7), bytes: None });
        assert_eq!(retaining.of("big"), Keeping { days: None, bytes: Some(500) });
        assert_eq!(retaining.of("all"), Keeping::default());
        assert!(!read("").unwrap().is_bounded());
    }

    #[test]
    fn a_bound_that_is_none_is_told() {
        for entry in ["a", "a=", "a=x", "a=-1", "a=1/x"] {
            let error = read(&format!("workspace_retention = ['{entry}']")).unwrap_err();
            let told = error.to_string();
            assert!(told.contains("workspace_retention") && told.contains("name=30"), "{told}");
        }
    }
}

//! From flags, environment and file to the server's configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use staso_journal::Home;
use staso_server::config::{Config, Layer};

use crate::environment;
use crate::output::WithHint as _;

/// Where to look, as the global flags say it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) home: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
}

impl Place {
    /// The state directory.
    pub(crate) fn home(&self) -> anyhow::Result<Home> {
        let named = self.home.clone().map(Home::new);
        named
            .or_else(|| Home::locate(environment::get))
            .ok_or_else(|| anyhow!("the environment names no place for the state directory"))
            .hint("set STASO_HOME or HOME, or use --home")
    }

    /// The configuration: defaults < file < environment < these flags.
    pub(crate) fn config(&self, flags: Layer) -> anyhow::Result<Config> {
        let home = self.home()?;
        let environment = Layer::from_environment(environment::get);
        let layers: Vec<Layer> =
            self.file(&home)?.into_iter().chain([environment, flags]).collect();
        Config::merge(home.path().to_owned(), &layers)
            .context("the configuration makes no sense")
            .hint("`staso config show --origins` lists every setting and where it comes from")
    }

    /// A file that was asked for must be there; the usual one may be missing.
    fn file(&self, home: &Home) -> anyhow::Result<Option<Layer>> {
        let asked =
            self.config.clone().or_else(|| environment::get("STASO_CONFIG").map(Into::into));
        let path = asked.clone().unwrap_or_else(|| home.path().join("staso.toml"));
        match std::fs::read_to_string(&path) {
            Ok(text) => read(&path, &text).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && asked.is_none() => {
                Ok(None)
            }
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

fn read(path: &Path, text: &str) -> anyhow::Result<Layer> {
    Layer::from_toml(&path.display().to_string(), text)
        .context("the configuration makes no sense")
        .hint("correct the file; nothing in it was used")
}

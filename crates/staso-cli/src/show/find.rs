//! From what the user typed to one trace, by a running server or a data directory at rest.

use std::path::Path;

use anyhow::{anyhow, bail};
use staso_server::offline::Offline;
use staso_server::view::trace::{TraceAnswer, TraceList};

use crate::client::Client;
use crate::output::WithHint as _;
use crate::settings::Place;

/// The fewest digits that name a trace.
const MIN_PREFIX: usize = 6;

/// How many of the newest traces a prefix is looked for in.
const MAX_PAGES: usize = 20;

/// Where traces come from.
pub(super) enum Source {
    Server(Client),
    Directory(Offline),
}

impl Source {
    pub(super) fn open(
        place: &Place,
        url: Option<&str>,
        data_dir: Option<&Path>,
    ) -> anyhow::Result<Self> {
        match data_dir {
            None => Ok(Self::Server(Client::find(url, &place.home()?)?)),
            Some(dir) if !dir.is_dir() => {
                Err(anyhow!("there is no data directory {}", dir.display()))
                    .hint("`staso doctor` says where it is")
            }
            Some(dir) => Offline::open(dir)
                .map(Self::Directory)
                .map_err(anyhow::Error::new)
                .hint("while a server runs on that directory, ask it: leave --data-dir out"),
        }
    }

    /// The trace that `id` names.
    pub(super) fn trace(&self, workspace: &str, id: &str) -> anyhow::Result<TraceAnswer> {
        let id = if id == "latest" { self.latest(workspace)? } else { self.whole(workspace, id)? };
        match self {
            Self::Server(client) => client.get(
                &format!("/api/traces/{id}"),
                &[("workspace", workspace), ("payloads", "false")],
            ),
            Self::Directory(offline) => {
                offline.trace(workspace, &id)?.ok_or_else(|| anyhow!("no trace {id}"))
            }
        }
    }

    pub(super) fn close(&self) -> anyhow::Result<()> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Directory(offline) => Ok(offline.close()?),
        }
    }

    fn page(&self, workspace: &str, limit: usize, cursor: &str) -> anyhow::Result<TraceList> {
        match self {
            Self::Server(client) => client.get(
                "/api/traces",
                &[("workspace", workspace), ("limit", &limit.to_string()), ("cursor", cursor)],
            ),
            Self::Directory(offline) => Ok(offline.traces(workspace, limit, cursor)?),
        }
    }

    fn latest(&self, workspace: &str) -> anyhow::Result<String> {
        let page = self.page(workspace, 1, "")?;
        let newest = page.traces.into_iter().next().map(|row| row.trace_id);
        newest
            .ok_or_else(|| anyhow!("the workspace `{workspace}` has no trace yet"))
            .hint("record one, or name another workspace with --workspace")
    }

    /// The whole id for an id in any form, or for the beginning of one.
    fn whole(&self, workspace: &str, id: &str) -> anyhow::Result<String> {
        let digits: String = id.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) || digits.len() > 32 {
            return Err(anyhow!("not a trace id"))
                .hint("ids are hex digits; `latest` is the newest");
        }
        match digits.len() {
            32 => Ok(digits),
            0..MIN_PREFIX => Err(anyhow!("{} digits are too few to name a trace", digits.len()))
                .hint(format!("give at least {MIN_PREFIX}")),
            _ => self.by_prefix(workspace, &digits),
        }
    }

    fn by_prefix(&self, workspace: &str, prefix: &str) -> anyhow::Result<String> {
        let mut found: Vec<String> = Vec::new();
        let mut cursor = String::new();
        for _ in 0..MAX_PAGES {
            let page = self.page(workspace, 1000, &cursor)?;
            let ids = page.traces.into_iter().map(|row| row.trace_id);
            found.extend(ids.filter(|id| id.starts_with(prefix)));
            match page.next_cursor {
                Some(next) => cursor = next,
                None => break,
            }
        }
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(anyhow!("no recent trace begins with {prefix}"))
                .hint("give the whole id for an older one, or --workspace for another workspace"),
            many => bail!("{} traces begin with {prefix}: {}", many.len(), many.join(", ")),
        }
    }
}

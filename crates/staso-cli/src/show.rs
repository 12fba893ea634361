//! `staso show`: one trace as a tree in the terminal.

mod find;
mod format;
mod tree;

use std::path::PathBuf;

use clap::Args;

use crate::output;
use crate::settings::Place;

pub(crate) use format::utc;

/// What `show` can be told.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// A trace id, the first 6 or more of its hex digits, or `latest`
    id: String,
    /// The server to ask [default: the one that runs for the state directory]
    #[arg(long, conflicts_with = "data_dir")]
    url: Option<String>,
    /// Read this data directory instead, while no server runs on it
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The workspace
    #[arg(long, default_value = "default")]
    workspace: String,
}

pub(crate) fn run(place: &Place, args: &ShowArgs) -> anyhow::Result<()> {
    let source = find::Source::open(place, args.url.as_deref(), args.data_dir.as_deref())?;
    let found = source.trace(&args.workspace, &args.id);
    source.close()?;
    let palette = format::Palette { is_colorful: output::is_colorful() };
    output::print(&tree::render(&found?, palette))
}

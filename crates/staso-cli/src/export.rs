//! `staso export`: recorded traces into a file of lines, which `staso import` and any program reads.
//!
//! The file grows under the name `FILE.partial`, page by page; `FILE.partial.state` beside it says how far it
//! is whole and where the next page begins. The same command again goes on from there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::output::WithHint as _;
use crate::progress::Progress;
use crate::settings::Place;

/// Traces of one request.
const PAGE: &str = "100";

/// What `export` can be told.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// The file to write, a JSON object per line; - writes to standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The workspace [default: default]
    #[arg(long)]
    workspace: Option<String>,
    /// Only traces of this environment
    #[arg(long)]
    environment: Option<String>,
    /// Only traces that began at this time or later, such as 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only traces that began before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only traces that match, such as 'status:error agent:billing'
    #[arg(long)]
    filter: Option<String>,
    /// The server [default: $STASO_BASE_URL, else the one of the state directory]
    #[arg(long)]
    url: Option<String>,
}

impl ExportArgs {
    fn query(&self) -> Vec<(String, String)> {
        let named = [
            ("workspace", &self.workspace),
            ("environment", &self.environment),
            ("from", &self.from),
            ("to", &self.to),
            ("filter", &self.filter),
        ];
        let said = |(name, value): (&str, &Option<String>)| {
            Some((name.to_owned(), value.clone()?)).filter(|(_, value)| !value.is_empty())
        };
        let page = ("limit".to_owned(), PAGE.to_owned());
        named.into_iter().filter_map(said).chain([page]).collect()
    }
}

/// How far a file has come.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// What was asked for.
    query: Vec<(String, String)>,
    /// Where the next page begins; none before the first.
    cursor: Option<String>,
    /// The bytes of the pages before it.
    bytes: u64,
}

pub(crate) fn run(place: &Place, args: &ExportArgs) -> anyhow::Result<()> {
    let client = Client::find(args.url.as_deref(), &place.home()?)?;
    let state = State { query: args.query(), ..State::default() };
    if args.file == Path::new("-") {
        return to_standard_output(&client, state);
    }
    let exported = to_file(&client, &args.file, state)?;
    crate::output::print(&format!("{exported} bytes in {}\n", args.file.display()))
}

fn to_standard_output(client: &Client, mut state: State) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    while page(client, &mut state, &mut out)? {}
    Ok(())
}

fn to_file(client: &Client, file: &Path, fresh: State) -> anyhow::Result<u64> {
    if file.symlink_metadata().is_ok() {
        return Err(anyhow::anyhow!("{} exists already", file.display()))
            .hint("name another file, or move this one away");
    }
    let (partial, notes) = (beside(file, ".partial"), beside(file, ".partial.state"));
    let mut state = read_state(&notes).filter(|it| it.query == fresh.query).unwrap_or(fresh);
    let mut out = resume(&partial, state.bytes)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    let mut progress = Progress::begin();
    let again = "run the same command again: it goes on where it stopped";
    while page(client, &mut state, &mut out).hint(again)? {
        // The pages before the next one are safe before the note says so.
        out.sync_data().and_then(|()| write_state(&notes, &state)).hint_io(again)?;
        progress.show(|| format!("{} MB", state.bytes / 1_000_000));
    }
    out.sync_data().and_then(|()| fs::rename(&partial, file)).hint_io(again)?;
    // A note without its file is passed over.
    let _ = fs::remove_file(&notes);
    Ok(state.bytes)
}

/// The file, cut back to what is whole in it.
fn resume(partial: &Path, bytes: u64) -> io::Result<File> {
    let mut out =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(partial)?;
    if out.metadata()?.len() < bytes {
        return Err(io::Error::other("it is shorter than it was: remove it to begin again"));
    }
    out.set_len(bytes)?;
    out.seek(io::SeekFrom::End(0))?;
    Ok(out)
}

/// Copies one page; answers whether there is another.
fn page(client: &Client, state: &mut State, out: &mut impl Write) -> anyhow::Result<bool> {
    let cursor = state.cursor.iter().map(|cursor| ("cursor".to_owned(), cursor.clone()));
    let query: Vec<(String, String)> = state.query.iter().cloned().chain(cursor).collect();
    let mut answer = client.stream("/api/export", &query)?;
    let copied = io::copy(&mut answer.body, out).context("the export was cut off")?;
    state.bytes += copied;
    state.cursor = answer.next_cursor;
    Ok(state.cursor.is_some())
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A note that is not there, or that nobody can read, is none.
fn read_state(notes: &Path) -> Option<State> {
    serde_json::from_slice(&fs::read(notes).ok()?).ok()
}

/// Replaces the note in one step.
fn write_state(notes: &Path, state: &State) -> io::Result<()> {
    let fresh = beside(notes, ".new");
    fs::write(&fresh, serde_json::to_vec(state)?)?;
    fs::rename(&fresh, notes)
}

trait HintIo {
    fn hint_io(self, hint: &str) -> anyhow::Result<()>;
}

impl HintIo for io::Result<()> {
    fn hint_io(self, hint: &str) -> anyhow::Result<()> {
        self.context("the file cannot be written").hint(hint)
    }
}

//! `staso import`: lines that `staso export` wrote, or any program, into a running server.
//!
//! Each line is an element of `traces` as the server's ingest takes it. Lines are sent in batches, one after the other,
//! each under a key made from its content, so that what is sent again counts once. `FILE.imported` beside the
//! file says how far it is taken; the same command again goes on from there.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::{Client, Sent};
use crate::output::WithHint as _;
use crate::progress::Progress;
use crate::settings::Place;

/// A batch is sent when it has this many lines or bytes. Lines that `export` wrote have up to 500 spans,
/// and the server takes 10,000 spans at once.
const BATCH_LINES: usize = 20;
const BATCH_BYTES: usize = 4 << 20;
/// The longest line: the server takes no longer body.
const LINE_BYTES: u64 = 64 << 20;
/// How often a server that is busy, or away for a moment, is asked again.
const ATTEMPTS: u32 = 30;

/// What `import` can be told.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file, a JSON object per line as `staso export` writes them
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Put the traces into this workspace, not into the one that each line names
    #[arg(long)]
    workspace: Option<String>,
    /// The server [default: $STASO_BASE_URL, else the one of the state directory]
    #[arg(long)]
    url: Option<String>,
}

/// How far a file is taken.
#[derive(Debug, Default, Serialize, Deserialize)]
struct State {
    bytes: u64,
    lines: u64,
    traces: u64,
}

pub(crate) fn run(place: &Place, args: &ImportArgs) -> anyhow::Result<()> {
    let client = Client::find(args.url.as_deref(), &place.home()?)?;
    let shown = args.file.display();
    let mut file = File::open(&args.file).with_context(|| format!("cannot read {shown}"))?;
    let length = file.metadata()?.len();
    let mut notes = args.file.as_os_str().to_owned();
    notes.push(".imported");
    let notes = PathBuf::from(notes);
    let mut state = read_state(&notes).filter(|it| it.bytes <= length).unwrap_or_default();
    file.seek(SeekFrom::Start(state.bytes))?;
    let mut lines = BufReader::with_capacity(1 << 20, file);
    let mut progress = Progress::begin();
    while let Some(batch) = next_batch(&mut lines, &state, args.workspace.as_deref())? {
        send(&client, &batch.body).with_context(|| {
            format!("lines {} to {} were not taken", state.lines + 1, state.lines + batch.lines)
        })?;
        state.bytes += batch.bytes;
        state.lines += batch.lines;
        state.traces += batch.traces;
        // Without a note the next attempt begins at the beginning, and does no harm.
        let _ = write_state(&notes, &state);
        progress.show(|| format!("{} of {} MB", state.bytes / 1_000_000, length / 1_000_000));
    }
    drop(progress);
    // It is taken whole: the next import of it is a new one.
    let _ = fs::remove_file(&notes);
    crate::output::print(&format!("{} lines of {shown} are stored\n", state.traces))
}

/// Lines as one body for ingest.
#[derive(Debug)]
struct Batch {
    body: Vec<u8>,
    bytes: u64,
    /// Empty ones included.
    lines: u64,
    traces: u64,
}

/// The next lines; `None` at the end of the file.
fn next_batch(
    from: &mut impl BufRead,
    state: &State,
    workspace: Option<&str>,
) -> anyhow::Result<Option<Batch>> {
    let mut batch = Batch { body: b"{\"traces\":[".to_vec(), bytes: 0, lines: 0, traces: 0 };
    while batch.traces < BATCH_LINES as u64 && batch.body.len() < BATCH_BYTES {
        let mut line = Vec::new();
        let read = from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        let number = state.lines + batch.lines + 1;
        let trace = checked(&line, read as u64, workspace)
            .with_context(|| format!("line {number} cannot be imported"))
            .hint(
                "all lines before it are stored; mend or remove it and run the same command again",
            )?;
        batch.bytes += read as u64;
        batch.lines += 1;
        if let Some(trace) = trace {
            if batch.traces > 0 {
                batch.body.push(b',');
            }
            batch.body.extend(trace);
            batch.traces += 1;
        }
    }
    batch.body.extend(b"]}");
    Ok((batch.lines > 0).then_some(batch))
}

/// One line, checked and put into its workspace; `None` where it is empty.
fn checked(line: &[u8], read: u64, workspace: Option<&str>) -> anyhow::Result<Option<Vec<u8>>> {
    if read == LINE_BYTES && !line.ends_with(b"\n") {
        return Err(anyhow!("it is longer than {LINE_BYTES} bytes"));
    }
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let raw: Members<'_> = serde_json::from_slice(line).context("it is no JSON object")?;
    if raw.spans.is_none() && raw.annotations.is_none() {
        return Err(anyhow!("it has neither spans nor annotations"));
    }
    let Some(workspace) = workspace else { return Ok(Some(line.to_vec())) };
    // Values are passed on as they stand: numbers of any size and keys in any order.
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_slice(line)?;
    let slug = serde_json::value::to_raw_value(workspace)?;
    members.insert("workspace_slug".to_owned(), &slug);
    Ok(Some(serde_json::to_vec(&members)?))
}

/// What every line has to have.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    spans: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

/// Sends a batch until the server has it, or refuses it for good.
fn send(client: &Client, body: &[u8]) -> anyhow::Result<()> {
    let key = format!("import-{:032x}", fingerprint(body));
    for _ in 0..ATTEMPTS {
        match client.ingest(&key, body)? {
            Sent::Taken => return Ok(()),
            Sent::Later(wait) => std::thread::sleep(wait.min(Duration::from_secs(10))),
        }
    }
    Err(anyhow!("the server has been too busy for a while"))
        .hint("run the same command again later: it goes on where it stopped")
}

/// Tells batches apart for their receipts. It need not withstand anybody: the server compares contents.
fn fingerprint(body: &[u8]) -> u128 {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, body).as_u128()
}

fn read_state(notes: &Path) -> Option<State> {
    serde_json::from_slice(&fs::read(notes).ok()?).ok()
}

fn write_state(notes: &Path, state: &State) -> std::io::Result<()> {
    let mut fresh = notes.as_os_str().to_owned();
    fresh.push(".new");
    fs::write(&fresh, serde_json::to_vec(state)?)?;
    fs::rename(&fresh, notes)
}

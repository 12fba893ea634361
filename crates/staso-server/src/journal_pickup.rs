//! Taking in what programs left in the journal while no server ran, or when they died.
//!
//! About once a second: segments whose process is gone are locked, read batch by batch, and sent
//! the way of every other batch, under the key their process would have used; what the store has
//! acknowledged is acknowledged in the segment, and an empty segment is deleted. A process whose
//! presence lock is free is given its goodbye, which closes its open spans as interrupted. A batch
//! that can never be accepted, or a segment whose front is damaged, is set aside and reported;
//! nothing is tried for ever in a circle.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::http::{StatusCode, Uri};
use staso_journal::{
    Adopted, Batch, BatchLimits, Destination, JournalError, Mode, ProcessState, Trouble,
    Unreadable, WireForm, adopt_where, process_state, set_aside, set_segment_aside, unreadable,
};
use staso_model::ProcessId;
use staso_store::{Appended, ProcessSign, Sign};

use crate::app::App;
use crate::body::{Encoding, Share};
use crate::error::ApiError;
use crate::ingest::{self, Accepted, Incoming};
use crate::params::DEFAULT_WORKSPACE;

/// The pause between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// How much of a segment goes into one batch: what a request may carry, with room to spare.
const LIMITS: BatchLimits = BatchLimits { records: 500, bytes: 4 << 20 };

/// How much the journal directory may hold with what is set aside in it.
const SET_ASIDE_BUDGET_BYTES: u64 = 256 << 20;

/// What this run of the server remembers of the journal.
#[derive(Default)]
struct Memory {
    /// Processes that held their presence lock at the last look.
    alive: HashSet<ProcessId>,
    /// Processes that were given their goodbye and whose files still lie about.
    gone: HashSet<ProcessId>,
    /// Segments whose trouble was reported.
    reported: HashSet<uuid::Uuid>,
    /// Files that cannot be read and were reported.
    unreadable: HashSet<PathBuf>,
}

/// Looks until the server stops.
pub(crate) async fn pick_up(app: Arc<App>, dir: PathBuf, port: u16) {
    let mut memory = Memory::default();
    loop {
        look(&app, &dir, port, &mut memory).await;
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn look(app: &Arc<App>, dir: &Path, port: u16, memory: &mut Memory) {
    let place = dir.to_owned();
    let found = tokio::task::spawn_blocking(move || {
        // Before the segments: who is dead now has written its last record.
        let presences = presences(&place);
        let segments = adopt_where(&place, |destination| leads_here(destination, port));
        (segments, presences, unreadable(&place))
    });
    let Ok((segments, presences, lost)) = found.await else { return };
    report_unreadable(app, dir, lost, memory).await;
    let alive = presences.iter().filter(|(_, state, _)| *state == ProcessState::Alive);
    let alive: HashSet<ProcessId> = alive.map(|(process_id, ..)| *process_id).collect();
    let mut deaths = Deaths::of(&presences, &memory.alive, app.clock.now_ns());
    for header in segments.iter().map(Adopted::header) {
        if process_state(dir, header.process_id) != ProcessState::Alive {
            let is_new = alive.contains(&header.process_id);
            let at_ns = if is_new { deaths.now_ns } else { header.created_ns };
            deaths.lived_until(header.process_id, at_ns);
        }
    }
    // Before their segments: what comes out of those is heard of late.
    deaths.last_heard_of(app, &memory.gone).await;
    for segment in segments {
        let id = segment.header().segment_id;
        let taken = take_in(app, dir, segment, &mut deaths).await;
        if let Err(error) = taken
            && memory.reported.insert(id)
        {
            tracing::error!(segment = %id, %error, "a journal segment could not be taken in yet");
        }
        if app.stop.is_cancelled() {
            return;
        }
    }
    say_goodbye(app, &deaths, memory).await;
    memory.alive = alive;
}

/// The processes found dead in one look, and when each ended, as well as that is known.
///
/// Who was alive a look ago has ended by now. Of others (they died while no server ran) only this is
/// certain, that they still lived when they began, opened a segment, recorded a time, or were last
/// heard of.
struct Deaths {
    now_ns: i64,
    ended_ns: HashMap<ProcessId, i64>,
}

/// A process that recorded here, whether it lives, and when it began, Unix nanoseconds.
type Presence = (ProcessId, ProcessState, i64);

impl Deaths {
    fn of(presences: &[Presence], alive_before: &HashSet<ProcessId>, now_ns: i64) -> Self {
        let mut deaths = Self { now_ns, ended_ns: HashMap::new() };
        for (process_id, state, began_ns) in presences {
            if *state == ProcessState::Dead {
                let is_new = alive_before.contains(process_id);
                deaths.lived_until(*process_id, if is_new { now_ns } else { *began_ns });
            }
        }
        deaths
    }

    /// This process is dead, and still lived then.
    fn lived_until(&mut self, process_id: ProcessId, at_ns: i64) {
        let ended_ns = self.ended_ns.entry(process_id).or_insert(i64::MIN);
        *ended_ns = (*ended_ns).max(at_ns.min(self.now_ns));
    }

    /// What the store heard of those who were not given their goodbye yet.
    async fn last_heard_of(&mut self, app: &App, gone: &HashSet<ProcessId>) {
        let new: Vec<ProcessId> =
            self.ended_ns.keys().filter(|process_id| !gone.contains(process_id)).copied().collect();
        if new.is_empty() {
            return;
        }
        match app.store.lives(DEFAULT_WORKSPACE, &new).await {
            Ok(lives) => {
                lives.into_iter().for_each(|(id, life)| self.recorded(id, life.alive_ns));
            }
            Err(error) => tracing::debug!(%error, "deaths are dated without the store"),
        }
    }

    /// A process that recorded a time; it may be alive and well.
    fn recorded(&mut self, process_id: ProcessId, at_ns: Option<i64>) {
        if let Some(at_ns) = at_ns.filter(|_| self.ended_ns.contains_key(&process_id)) {
            self.lived_until(process_id, at_ns);
        }
    }
}

/// Whether what a program recorded for this destination is for the server on this loopback port: it
/// is the user's own server, or was named by this address. Such a server asks for no key, so that it
/// does not matter which one the program had.
fn leads_here(destination: &Destination, port: u16) -> bool {
    if destination.mode == Mode::Local {
        return true;
    }
    let Ok(url) = destination.base_url.parse::<Uri>() else { return false };
    let is_loopback = url.host().is_some_and(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    let is_http = url.scheme_str() == Some("http");
    is_http && is_loopback && url.path() == "/" && url.port_u16().unwrap_or(80) == port
}

/// Why a segment has to wait for the next look.
#[derive(Debug, thiserror::Error)]
enum Postponed {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("{0}")]
    Store(String),
    #[error("a task failed")]
    Task(#[from] tokio::task::JoinError),
}

/// Every batch of one segment; it is deleted after the last.
async fn take_in(
    app: &Arc<App>,
    dir: &Path,
    segment: Adopted,
    deaths: &mut Deaths,
) -> Result<(), Postponed> {
    let process_id = segment.header().process_id;
    let mut segment = segment;
    loop {
        let (same, batch) = blocking(segment, |segment| segment.next_batch(LIMITS)).await?;
        segment = same;
        let Some(batch) = batch else {
            tokio::task::spawn_blocking(move || segment.finish()).await??;
            return Ok(());
        };
        if app.stop.is_cancelled() {
            return Ok(());
        }
        match ingest_batch(app, &batch).await {
            Ok(accepted) => {
                app.counters.journal_batches.add(1);
                deaths.recorded(process_id, accepted.latest_ns);
            }
            Err(error) if is_final(&error) => refuse(app, dir, &batch, &error).await?,
            Err(error) => return Err(Postponed::Store(error.message().to_owned())),
        }
        let acknowledge = move |segment: &mut Adopted| Ok(segment.acknowledge(&batch).err());
        let (same, unnoted) = blocking(segment, acknowledge).await?;
        segment = same;
        if let Some(error) = unnoted {
            tracing::warn!(%error, "a journal cannot note what was read: a restart may read it again");
        }
    }
}

/// Runs one step of reading a segment where blocking is allowed.
async fn blocking<T: Send + 'static>(
    mut segment: Adopted,
    step: impl FnOnce(&mut Adopted) -> Result<T, JournalError> + Send + 'static,
) -> Result<(Adopted, T), Postponed> {
    let work = move || step(&mut segment).map(|value| (segment, value));
    Ok(tokio::task::spawn_blocking(work).await??)
}

async fn ingest_batch(app: &Arc<App>, batch: &Batch) -> Result<Accepted, ApiError> {
    let bytes = batch.body(WireForm::Values);
    let mut share = Share::new(Arc::clone(&app.inflight_kib));
    share.pay_up_to(bytes.len()).await?;
    let key = Some(batch.key.to_string());
    let incoming = Incoming { bytes, encoding: Encoding::Identity, key, share };
    ingest::accept(Arc::clone(app), incoming).await
}

/// Whether sending the same batch again can never succeed.
fn is_final(error: &ApiError) -> bool {
    error.status().is_client_error() && error.status() != StatusCode::TOO_MANY_REQUESTS
}

/// Keeps the bytes of a batch that cannot be read, beside the reason, and says so.
async fn refuse(app: &App, dir: &Path, batch: &Batch, error: &ApiError) -> Result<(), Postponed> {
    app.counters.journal_damaged.add(1);
    let (dir, batch) = (dir.to_owned(), batch.clone());
    let (key, records) = (batch.key, batch.records.len());
    let reason = error.message().to_owned();
    let told = reason.clone();
    let kept = tokio::task::spawn_blocking(move || {
        set_aside(&dir, &batch, &reason, SET_ASIDE_BUDGET_BYTES)
    });
    let path = kept.await??;
    tracing::error!(
        %key, records, reason = told, path = %path.display(),
        "a journal batch cannot be read and was set aside"
    );
    Ok(())
}

/// Says which segments cannot be read, each once, and sets the damaged ones aside.
async fn report_unreadable(app: &App, dir: &Path, found: Vec<Unreadable>, memory: &mut Memory) {
    let now: HashSet<PathBuf> = found.iter().map(|segment| segment.path.clone()).collect();
    memory.unreadable.retain(|path| now.contains(path));
    for Unreadable { path, trouble } in found {
        if !memory.unreadable.insert(path.clone()) {
            continue;
        }
        let file = path.display().to_string();
        if trouble != Trouble::Damaged {
            let remedy = trouble.remedy();
            tracing::error!(file, problem = %trouble, remedy, "a journal segment cannot be read");
            continue;
        }
        let place = dir.to_owned();
        let moved = tokio::task::spawn_blocking(move || {
            set_segment_aside(&place, &path, SET_ASIDE_BUDGET_BYTES)
        });
        match moved.await {
            Ok(Ok(Some(kept))) => {
                app.counters.journal_damaged.add(1);
                tracing::error!(
                    file, problem = %trouble, kept = %kept.display(),
                    remedy = "nothing can read its records; delete it when you need it no more",
                    "a journal segment cannot be read and was set aside"
                );
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                let remedy = "move it away or delete it";
                tracing::error!(file, problem = %trouble, %error, remedy,
                    "a journal segment cannot be read, nor set aside");
            }
            Err(error) => tracing::error!(file, %error, "a journal segment could not be looked at"),
        }
    }
}

/// The processes that recorded here and did not take their presence file away.
fn presences(dir: &Path) -> Vec<Presence> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let presence = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.ok()?;
        let name = entry.file_name().into_string().ok()?;
        let process_id = name.strip_suffix(".live")?.parse::<ProcessId>().ok()?;
        let began = entry.metadata().and_then(|data| data.modified()).ok();
        let began = began.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let began_ns = began.and_then(|since| i64::try_from(since.as_nanos()).ok());
        Some((process_id, process_state(dir, process_id), began_ns.unwrap_or_default()))
    };
    entries.filter_map(presence).collect()
}

/// Tells the store of processes that are gone, each once.
async fn say_goodbye(app: &App, deaths: &Deaths, memory: &mut Memory) {
    let new: Vec<ProcessSign> = deaths
        .ended_ns
        .iter()
        .filter(|(process_id, _)| !memory.gone.contains(process_id))
        .map(|(process_id, at)| ProcessSign { process_id: *process_id, sign: Sign::Goodbye(*at) })
        .collect();
    if !new.is_empty() {
        let batch = staso_store::Batch {
            workspace: DEFAULT_WORKSPACE.to_owned(),
            processes: new,
            received_ns: app.clock.now_ns(),
            ..Default::default()
        };
        match ingest::commit(app, batch).await {
            Ok(Appended::New { touched, .. }) => app.hub.mark(touched),
            Ok(Appended::Repeated { .. }) => {}
            Err(error) => {
                tracing::warn!(%error, "could not note processes that are gone");
                return;
            }
        }
    }
    memory.gone = deaths.ended_ns.keys().copied().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_dated_by_what_is_known_of_the_life() {
        let process = |n: u8| ProcessId([n; 16]);
        let presences = [
            (process(1), ProcessState::Dead, 10),
            (process(2), ProcessState::Dead, 10),
            (process(3), ProcessState::Alive, 10),
        ];
        let mut deaths = Deaths::of(&presences, &HashSet::from([process(1)]), 100);
        deaths.recorded(process(2), Some(40));
        deaths.recorded(process(2), Some(30));
        deaths.recorded(process(3), Some(50));
        deaths.lived_until(process(4), 20);
        deaths.recorded(process(4), Some(700));
        deaths.recorded(process(4), None);
        let wanted = [(process(1), 100), (process(2), 40), (process(4), 100)];
        assert_eq!(deaths.ended_ns, HashMap::from(wanted));
    }

    #[test]
    fn a_server_knows_the_names_of_its_own_address() {
        let named = |url: &str| Destination {
            mode: Mode::Remote,
            base_url: url.to_owned(),
            key_fingerprint: "ab".to_owned(),
            ..Destination::local()
        };
        assert!(leads_here(&Destination::local(), 4317));
        for url in [
            "http://127.0.0.1:4317",
            "http://127.8.9.1:4317/",
            "http://LocalHost:4317",
            "http://[::1]:4317",
        ] {
            assert!(leads_here(&named(url), 4317), "{url}");
        }
        assert!(leads_here(&named("http://localhost"), 80));
        for url in [
            "http://127.0.0.1:4318",
            "https://127.0.0.1:4317",
            "http://10.0.0.1:4317",
            "http://localhost.example:4317",
            "http://127.0.0.1:4317@elsewhere.example:4317",
            "http://127.0.0.1:4317/behind/a/proxy",
            "http://127.0.0.1",
            "",
        ] {
            assert!(!leads_here(&named(url), 4317), "{url}");
        }
    }
}

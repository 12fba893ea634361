//! Closing what dead processes left open.
//!
//! A process that is gone ends none of its spans, so the server does. How it learns of a death, the
//! surest first:
//!
//! 1. **A goodbye**: the process said so itself, or [`crate::journal_pickup`] found the lock of its
//!    presence file in the journal directory free. It is final, and kept by the store in
//!    [`DEFAULT_WORKSPACE`], so that it outlives the server. A goodbye names no workspace: it
//!    counts wherever the process holds a span open, and this task says it there should
//!    [`crate::ingest`] not have done so (a workspace made that very moment, a crash in between).
//! 2. **A held presence lock** is life, however silent the process is: stopped in a debugger, or
//!    kept from its network.
//! 3. **Silence.** A process with open spans says every 15 s that it lives. One that is not known
//!    here by a lock and was not heard of for `lost_after_secs` is given up
//!    ([`Sign::Lost`]). Silence counts only while somebody listens: from the server's start, and anew
//!    after a machine asleep. A process that was given up and comes back opens spans as before; what
//!    was closed stays so until its own end arrives, which wins.
//!
//! What a goodbye or a loss does to a span is the store's contract. Everything here is found again by
//! looking, so that nothing is lost by a crash, and a second look changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use staso_journal::{ProcessState, process_state};
use staso_model::ProcessId;
use staso_store::{Appended, Batch, OpenProcess, ProcessLife, ProcessSign, Sign, StoreError};

use crate::app::App;
use crate::params::DEFAULT_WORKSPACE;

/// The pause between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// A look that took long is followed by a pause this many times as long.
const PAUSE_PER_LOOK: u32 = 20;

/// A greater step of the clock between two looks means that the server was away itself.
const AWAY_NS: i64 = 30_000_000_000;

/// What this task remembers from one look to the next.
struct Memory {
    /// Since when the server has listened without a gap, Unix nanoseconds.
    listening_since_ns: i64,
    looked_ns: i64,
    /// What was said of processes that still hold spans open: those are damaged, and saying it again
    /// would not close them either.
    said: HashSet<(String, ProcessId, Sign)>,
}

impl Memory {
    fn new(now_ns: i64) -> Self {
        Self { listening_since_ns: now_ns, looked_ns: now_ns, said: HashSet::new() }
    }

    fn look_at(&mut self, now_ns: i64) {
        let step_ns = now_ns.saturating_sub(self.looked_ns);
        if !(0..=AWAY_NS).contains(&step_ns) {
            self.listening_since_ns = now_ns;
        }
        self.looked_ns = now_ns;
    }
}

/// Looks until the server stops.
pub(crate) async fn close_interrupted(app: Arc<App>, journal_dir: PathBuf) {
    let mut memory = Memory::new(app.clock.now_ns());
    let mut pause = INTERVAL;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let began = Instant::now();
        if let Err(error) = look(&app, &journal_dir, &mut memory).await {
            tracing::warn!(%error, "could not close what dead processes left open");
        }
        pause = INTERVAL.max(began.elapsed() * PAUSE_PER_LOOK);
    }
}

async fn look(app: &App, journal_dir: &Path, memory: &mut Memory) -> Result<(), StoreError> {
    let now_ns = app.clock.now_ns();
    memory.look_at(now_ns);
    let open = app.store.open_processes().await?;
    let home = lives_at_home(app, &open).await?;
    let lost_after_ns = i64::try_from(app.lost_after.as_nanos()).unwrap_or(i64::MAX);
    let mut signs = Vec::new();
    for held in &open {
        let life = in_all(held.life, home.get(&held.process_id).copied());
        let sign = verdict(life, memory.listening_since_ns, now_ns, lost_after_ns);
        signs.extend(sign.map(|sign| (held, sign)));
    }
    let signs = without_the_living(journal_dir, signs).await;
    let mut said = HashSet::new();
    let mut by_workspace = BTreeMap::<&str, Vec<ProcessSign>>::new();
    for (OpenProcess { workspace, process_id, .. }, sign) in signs {
        let key = (workspace.clone(), *process_id, sign);
        if !memory.said.contains(&key) {
            let sign = ProcessSign { process_id: *process_id, sign };
            by_workspace.entry(workspace).or_default().push(sign);
        }
        said.insert(key);
    }
    for (workspace, processes) in by_workspace {
        say(app, workspace, processes, now_ns).await?;
    }
    memory.said = said;
    Ok(())
}

/// What the default workspace knows of these processes, where they hold spans open elsewhere.
async fn lives_at_home(
    app: &App,
    open: &[OpenProcess],
) -> Result<HashMap<ProcessId, ProcessLife>, StoreError> {
    let elsewhere: Vec<ProcessId> = open
        .iter()
        .filter(|open| open.workspace != DEFAULT_WORKSPACE)
        .map(|open| open.process_id)
        .collect();
    if elsewhere.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(app.store.lives(DEFAULT_WORKSPACE, &elsewhere).await?.into_iter().collect())
}

/// One life from what two workspaces know of it.
fn in_all(own: ProcessLife, home: Option<ProcessLife>) -> ProcessLife {
    let home = home.unwrap_or_default();
    ProcessLife {
        alive_ns: own.alive_ns.max(home.alive_ns),
        goodbye_ns: own.goodbye_ns.max(home.goodbye_ns),
    }
}

/// What is to be said of a process that holds spans open; `None` while it may live.
fn verdict(
    life: ProcessLife,
    listening_since_ns: i64,
    now_ns: i64,
    lost_after_ns: i64,
) -> Option<Sign> {
    if let Some(ended_ns) = life.goodbye_ns {
        return Some(Sign::Goodbye(ended_ns));
    }
    let heard_ns = life.alive_ns.unwrap_or(i64::MIN);
    let silent_ns = now_ns.saturating_sub(heard_ns.max(listening_since_ns));
    (silent_ns >= lost_after_ns).then_some(Sign::Lost(heard_ns))
}

/// Leaves out the silent ones whose presence lock is held.
async fn without_the_living<'a>(
    dir: &Path,
    signs: Vec<(&'a OpenProcess, Sign)>,
) -> Vec<(&'a OpenProcess, Sign)> {
    let is_lost = |sign: &Sign| matches!(sign, Sign::Lost(_));
    let silent: HashSet<ProcessId> =
        signs.iter().filter(|(_, sign)| is_lost(sign)).map(|(open, _)| open.process_id).collect();
    if silent.is_empty() {
        return signs;
    }
    let dir = dir.to_owned();
    let look = move || {
        let is_alive = |process: &ProcessId| process_state(&dir, *process) == ProcessState::Alive;
        silent.into_iter().filter(is_alive).collect::<HashSet<_>>()
    };
    // Without an answer nobody is given up.
    let Ok(living) = tokio::task::spawn_blocking(look).await else { return Vec::new() };
    let stays =
        |(open, sign): &(&OpenProcess, Sign)| !(is_lost(sign) && living.contains(&open.process_id));
    signs.into_iter().filter(stays).collect()
}

async fn say(
    app: &App,
    workspace: &str,
    processes: Vec<ProcessSign>,
    received_ns: i64,
) -> Result<(), StoreError> {
    let workspace = workspace.to_owned();
    let batch = Batch { workspace, processes, received_ns, ..Batch::default() };
    if let Appended::New { touched, .. } = app.store.append(batch).await? {
        app.hub.mark(touched);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOST_AFTER: i64 = 300;

    fn life(alive_ns: Option<i64>, goodbye_ns: Option<i64>) -> ProcessLife {
        ProcessLife { alive_ns, goodbye_ns }
    }

    #[test]
    fn a_goodbye_counts_at_once_and_silence_in_its_time() {
        let at = |life, now_ns| verdict(life, 0, now_ns, LOST_AFTER);
        assert_eq!(at(life(Some(9), Some(5)), 9), Some(Sign::Goodbye(5)));
        assert_eq!(at(life(Some(10), None), 309), None);
        assert_eq!(at(life(Some(10), None), 310), Some(Sign::Lost(10)));
        assert_eq!(at(life(None, None), 299), None);
        assert_eq!(at(life(None, None), 300), Some(Sign::Lost(i64::MIN)));
        assert_eq!(at(life(Some(i64::MAX), None), i64::MIN), None);
    }

    #[test]
    fn silence_counts_only_while_somebody_listens() {
        let heard = life(Some(10), None);
        assert_eq!(verdict(heard, 1_000, 1_299, LOST_AFTER), None);
        assert_eq!(verdict(heard, 1_000, 1_300, LOST_AFTER), Some(Sign::Lost(10)));
        let mut memory = Memory::new(0);
        memory.look_at(AWAY_NS);
        assert_eq!(memory.listening_since_ns, 0);
        memory.look_at(2 * AWAY_NS + 1);
        assert_eq!(memory.listening_since_ns, 2 * AWAY_NS + 1, "the machine slept");
        memory.look_at(5);
        assert_eq!(memory.listening_since_ns, 5, "the clock was set back");
    }

    #[test]
    fn a_life_is_what_both_workspaces_know() {
        let both = in_all(life(Some(1), None), Some(life(Some(2), Some(3))));
        assert_eq!(both, life(Some(2), Some(3)));
        assert_eq!(in_all(life(Some(1), None), None), life(Some(1), None));
    }
}

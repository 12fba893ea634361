//! The worker: one thread that announces open spans, ships batches, and says that we are alive.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use staso_journal::{
    Adopted, Batch, BatchLimits, Journal, JournalError, JournalOptions, ProcessSign, RecordKind,
    WireForm, adopt, process_body, set_aside,
};

use crate::backoff::Backoff;
use crate::clock;
use crate::discovery::Discovery;
use crate::engine::{BATCH_BYTES, Engine, RoundEnd};
use crate::log::{LogLevel, log};
use crate::record::{Entry, write_provisional};
use crate::report::FailureKind;
use crate::transport::{Outcome, Transport};
use crate::trouble::Trouble;

const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
const ADOPT_EVERY: Duration = Duration::from_secs(30);
/// A journal that could not be opened or written to is looked after this often.
const JOURNAL_EVERY: Duration = Duration::from_secs(1);
/// At its end a process still ships for dead ones this long, well within the time that it is given
/// for its goodbye: where only short programs run, nobody else ever would.
const ADOPT_AT_END: Duration = Duration::from_millis(100);
/// While nothing can be sent, the worker looks no oftener than this.
const LEAST_WAIT: Duration = Duration::from_millis(50);

/// Starts the worker of an engine, once.
#[cold]
pub(crate) fn start(engine: &Arc<Engine>) {
    if !engine.wake.claim_start() {
        return;
    }
    let own = Arc::clone(engine);
    let signals = crate::signals::block_all();
    let started = std::thread::Builder::new()
        .name("staso-shipper".to_owned())
        .stack_size(512 << 10)
        .spawn(move || run(&own));
    drop(signals);
    if let Err(error) = started {
        engine.finish_worker();
        engine.said.warn(
            "no worker",
            &format!("the shipping thread could not start ({error}): spans stay in the journal"),
        );
    }
}

fn run(engine: &Arc<Engine>) {
    engine.wake.set_worker(std::thread::current());
    let work = std::panic::AssertUnwindSafe(|| Worker::new(Arc::clone(engine)).work());
    if std::panic::catch_unwind(work).is_err() {
        log(LogLevel::Warning, "the shipping thread failed: spans stay in the journal");
    }
    engine.let_go();
    engine.finish_worker();
}

struct Worker {
    engine: Arc<Engine>,
    discovery: Discovery,
    transport: Option<Transport>,
    backoff: Backoff,
    limits: BatchLimits,
    adopted: Vec<Adopted>,
    adopted_at: Option<Instant>,
    stopping_at: Option<Instant>,
    heartbeat_at: Option<Instant>,
    journal_seen_to_at: Option<Instant>,
    /// Annotations of the batch in flight that an older server has taken one by one, after its
    /// spans.
    taken: Option<(uuid::Uuid, usize)>,
}

impl Worker {
    fn new(engine: Arc<Engine>) -> Self {
        let limits = BatchLimits { records: engine.config.batch_size, bytes: BATCH_BYTES as usize };
        Self {
            discovery: Discovery::new(&engine.config),
            transport: None,
            backoff: Backoff::default(),
            limits,
            adopted: Vec::new(),
            adopted_at: None,
            stopping_at: None,
            heartbeat_at: None,
            journal_seen_to_at: None,
            taken: None,
            engine,
        }
    }

    fn work(mut self) {
        // The first records wait for company as all others do.
        let mut answered = 0;
        self.wait(answered, self.engine.config.flush_interval, false);
        loop {
            let is_stopping = self.engine.wake.is_stopping();
            let asked = self.engine.wake.begin_round();
            self.take_up_journal(is_stopping || asked > answered, is_stopping);
            if let Some(journal) = self.engine.journal() {
                journal.begin_round();
            }
            if asked > answered {
                self.backoff.try_now();
                // What only memory holds may not get another chance.
                if self.engine.queue.counts().waiting > 0 {
                    self.discovery.look_again();
                }
            }
            answered = asked;
            let end = self.round();
            self.engine.finish_round(asked, end);
            if is_stopping {
                if end == RoundEnd::Done {
                    self.say_goodbye();
                }
                return;
            }
            let interval = self.engine.config.flush_interval;
            let interval = if end == RoundEnd::Done { interval } else { interval.max(LEAST_WAIT) };
            let is_idle = end == RoundEnd::Done && self.engine.open.count() == 0;
            self.wait(answered, interval, is_idle);
        }
    }

    fn wait(&self, answered: u64, interval: Duration, is_idle: bool) {
        let journal = self.engine.journal();
        let waiting = || journal.map(Journal::waiting).unwrap_or_default();
        self.engine.wake.wait(answered, interval, is_idle, || self.make_room(), waiting);
    }

    /// Looks after a journal that could not be opened, and after what memory holds instead: now and then, and
    /// whenever somebody waits for it. At the end nobody else syncs what was taken over.
    fn take_up_journal(&mut self, is_awaited: bool, is_last: bool) {
        let is_due = self.journal_seen_to_at.is_none_or(|at| at.elapsed() >= JOURNAL_EVERY);
        if !is_awaited && !is_due {
            return;
        }
        self.journal_seen_to_at = Some(Instant::now());
        if self.engine.take_up_journal(is_last) && is_last {
            self.engine.sync_what_is_left();
        }
    }

    /// Makes room in the journal, so that the threads that record need not.
    fn make_room(&self) {
        if let Some(journal) = self.engine.journal() {
            journal.stay_ahead();
        }
    }

    /// One look at everything there is to do.
    fn round(&mut self) -> RoundEnd {
        self.announce();
        if let Err(end) = self.connect() {
            return end;
        }
        loop {
            if let Some(end) = self.backoff.blocks() {
                return end;
            }
            self.say_alive();
            self.announce();
            self.make_room();
            let noted = match self.next_own() {
                Ok(Some(batch)) => self.ship(&batch, None),
                Ok(None) => match self.next_adopted() {
                    Some((batch, index)) => self.ship(&batch, Some(index)),
                    None => return RoundEnd::Done,
                },
                Err(error) => {
                    let message = format!("the journal cannot be read: {error}");
                    self.engine.said.warn("journal", &message);
                    return RoundEnd::Waiting;
                }
            };
            if let Err(error) = noted {
                self.say_unnoted(&error);
            }
            self.engine.tell_progress();
        }
    }

    /// Finds the server and keeps one connection to it.
    fn connect(&mut self) -> Result<(), RoundEnd> {
        let Some(found) = self.discovery.find() else {
            self.transport = None;
            return Err(RoundEnd::NoServer);
        };
        if self.transport.as_ref().is_none_or(|transport| *transport.target() != found.target) {
            self.transport = Some(Transport::new(found.target, found.form));
            self.backoff = Backoff::default();
        }
        Ok(())
    }

    /// Writes down spans that have been open for longer than one interval.
    fn announce(&self) {
        let engine = &self.engine;
        let interval = u64::try_from(engine.config.flush_interval.as_nanos()).unwrap_or(u64::MAX);
        let opened_by = clock::mono_ns().saturating_sub(interval);
        let mut json = Vec::new();
        for due in engine.open.take_due(opened_by) {
            json.clear();
            write_provisional(&mut json, &due.head, engine.process_id);
            // A span that has ended meanwhile is told by its own record; being told late as open
            // does no harm, because a finished version always wins.
            if engine.open.is_open(due.token) {
                let head = &due.head;
                let (kind, ids) = (RecordKind::Provisional, (&head.trace_id, &head.span_id));
                engine.record(&Entry::whole(kind, ids.0, ids.1, &json));
                engine.counters.announced.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn next_own(&self) -> Result<Option<Batch>, JournalError> {
        let engine = &self.engine;
        if let Some(batch) =
            engine.queue.next_batch(&engine.destination, &engine.stamp, self.limits)
        {
            return Ok(Some(batch));
        }
        match engine.journal() {
            Some(journal) => journal.next_batch(self.limits),
            None => Ok(None),
        }
    }

    /// A batch of a dead process with the same destination. The local server takes local ones
    /// itself.
    fn next_adopted(&mut self) -> Option<(Batch, usize)> {
        let journal = self.engine.journal()?;
        if self.engine.config.is_local() {
            return None;
        }
        if self.engine.wake.is_stopping() {
            let since = *self.stopping_at.get_or_insert_with(Instant::now);
            if since.elapsed() >= ADOPT_AT_END {
                return None;
            }
        }
        if self.adopted.is_empty() && self.adopted_at.is_none_or(|at| at.elapsed() >= ADOPT_EVERY) {
            self.adopted_at = Some(Instant::now());
            self.adopted = adopt(journal.dir(), &self.engine.destination);
        }
        while let Some(mut segment) = self.adopted.pop() {
            if let Ok(Some(batch)) = segment.next_batch(self.limits) {
                self.adopted.push(segment);
                return Some((batch, self.adopted.len() - 1));
            }
            let _ = segment.finish();
        }
        None
    }

    /// The journal is full or cannot be written to: what has to be read from it goes on all the same.
    fn say_unnoted(&self, error: &JournalError) {
        let message = format!(
            "{error}: spans are delivered, but the journal cannot note how far that has come. None is lost; if \
             this process is killed, some are sent again, and the server knows them. To end this, make room."
        );
        self.engine.said.warn("journal progress", &message);
    }

    /// Sends one batch and does what the answer says. An error says that the journal could not note that.
    fn ship(&mut self, batch: &Batch, adopted: Option<usize>) -> Result<(), JournalError> {
        self.engine.counters.requests.fetch_add(1, Ordering::Relaxed);
        let outcome = self.send(batch);
        let counters = &self.engine.counters;
        match outcome {
            Outcome::Delivered => {
                self.backoff = Backoff::default();
                self.limits.records = (self.limits.records * 2).min(self.engine.config.batch_size);
                self.settle(batch, adopted, true)
            }
            Outcome::TooLarge if batch.records.len() > 1 => {
                self.limits.records = batch.records.len() / 2;
                self.abandon(adopted)
            }
            Outcome::TooLarge => self.give_up(batch, adopted, "413: too large on its own"),
            Outcome::Refused(reason) => self.give_up(batch, adopted, &reason),
            Outcome::Retry(kind, after) => {
                counters.failed(kind, true);
                self.backoff.failed(kind, after, self.engine.config.is_local());
                self.say_failure(kind);
                Ok(())
            }
            Outcome::Pause(kind) => {
                counters.failed(kind, false);
                self.backoff.pause();
                self.say_failure(kind);
                Ok(())
            }
        }
    }

    fn send(&mut self, batch: &Batch) -> Outcome {
        let Some(transport) = self.transport.as_mut() else {
            return Outcome::Retry(FailureKind::NetworkUnavailable, None);
        };
        let form = match transport.form() {
            Ok(form) => form,
            Err(outcome) => return outcome,
        };
        if form == WireForm::Values {
            return transport.send_batch(batch, form);
        }
        let mut done = match self.taken {
            Some((key, done)) if key == batch.key => done,
            _ => match transport.send_batch(batch, form) {
                Outcome::Delivered => 0,
                other => return other,
            },
        };
        for annotation in batch.annotations().skip(done) {
            let path = format!("/v1/traces/{}/annotations", annotation.trace_id.to_uuid_text());
            match transport.send(&path, &annotation.json, form) {
                Outcome::Delivered => done += 1,
                // One bad score does not cost the others.
                Outcome::Refused(reason) => {
                    self.engine.said.warn("annotation", &format!("refused: {reason}"));
                    done += 1;
                }
                other => {
                    self.taken = Some((batch.key, done));
                    return other;
                }
            }
        }
        self.taken = None;
        Outcome::Delivered
    }

    fn settle(
        &mut self,
        batch: &Batch,
        adopted: Option<usize>,
        is_delivered: bool,
    ) -> Result<(), JournalError> {
        match adopted.and_then(|index| self.adopted.get_mut(index)) {
            Some(segment) => {
                let count = batch.records.len() as u64;
                let counter = &self.engine.counters.adopted_delivered;
                counter.fetch_add(if is_delivered { count } else { 0 }, Ordering::Relaxed);
                segment.acknowledge(batch)
            }
            None => self.engine.settle(batch, is_delivered),
        }
    }

    fn abandon(&mut self, adopted: Option<usize>) -> Result<(), JournalError> {
        match adopted.and_then(|index| self.adopted.get_mut(index)) {
            Some(segment) => segment.abandon(),
            None => {
                self.engine.queue.abandon();
                self.engine.journal().map_or(Ok(()), |journal| journal.abandon())
            }
        }
    }

    /// The server will never take this batch: it is set aside for a person to look at.
    fn give_up(
        &mut self,
        batch: &Batch,
        adopted: Option<usize>,
        reason: &str,
    ) -> Result<(), JournalError> {
        self.engine.counters.failed(FailureKind::MalformedResponse, false);
        let budget = JournalOptions::default().budget_bytes;
        let kept =
            self.engine.journal().map(|journal| set_aside(journal.dir(), batch, reason, budget));
        let place = match kept {
            Some(Ok(path)) => format!("set aside in {}", path.display()),
            _ => "lost".to_owned(),
        };
        let count = batch.records.len();
        let message = format!("the server refused {count} records ({reason}); they are {place}");
        self.engine.said.warn("refused", &message);
        self.settle(batch, adopted, false)
    }

    /// Tells the server, every 15 s while spans are open, that this process lives.
    fn say_alive(&mut self) {
        let is_due = self.heartbeat_at.is_none_or(|at| at.elapsed() >= HEARTBEAT_EVERY);
        if is_due && self.engine.open.count() > 0 {
            self.heartbeat_at = Some(Instant::now());
            self.say(ProcessSign::Alive(clock::wall_ns()));
        }
    }

    /// Tells the server that this process ends on purpose, if it has ever heard of it.
    fn say_goodbye(&mut self) {
        if crate::engine::load(&self.engine.counters.delivered) > 0 || self.heartbeat_at.is_some() {
            self.say(ProcessSign::Goodbye);
        }
    }

    fn say(&mut self, sign: ProcessSign) {
        let Some(transport) = self.transport.as_mut() else { return };
        if transport.form() == Ok(WireForm::Values) {
            let body = process_body(self.engine.process_id, sign);
            if transport.send("/v1/traces/ingest", &body, WireForm::Values) == Outcome::Delivered {
                self.engine.counters.heartbeats.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn say_failure(&self, kind: FailureKind) {
        if self.engine.config.is_local() && kind == FailureKind::NetworkUnavailable {
            return;
        }
        let advice = match kind {
            FailureKind::InvalidKey | FailureKind::Forbidden => {
                "; check STASO_API_KEY and the workspace. It is tried again every 5 minutes"
            }
            FailureKind::PlanExpired => "; it is tried again every 5 minutes",
            _ => "; it is tried again",
        };
        let kept = if self.engine.journal().is_some() { "the journal" } else { "memory" };
        let trouble = self.transport.as_ref().and_then(Transport::trouble);
        let word = trouble.map_or(kind.as_str(), Trouble::word);
        let why = trouble.map(|trouble| format!(": {}", trouble.message())).unwrap_or_default();
        let kind = kind.as_str();
        let message =
            format!("spans were not delivered ({kind}){why}; they are kept in {kept}{advice}");
        self.engine.said.warn(word, &message);
    }
}

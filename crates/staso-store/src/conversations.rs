//! Conversations: traces of one `session_id`, put together in one place for every engine.
//!
//! A conversation's turns are the traces whose row names it. What its row says is of those turns that
//! match the query; it says what is stored, so that nothing is weighed.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use staso_model::{SpanStatus, TraceId};

use crate::error::StoreError;
use crate::matching::{MAX_LIMIT, bad_query};
use crate::query::{CursorError, Filter, RunState};
use crate::row::TraceRow;

/// Which conversations, from where: the one with the latest turn first, ties by id, greatest first.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationsQuery {
    /// The one workspace asked about.
    pub workspace: String,
    /// Only turns of this environment.
    pub environment: Option<String>,
    /// Only turns with `from_ns <= start`.
    pub from_ns: Option<i64>,
    /// Only turns with `start < to_ns`.
    pub to_ns: Option<i64>,
    /// Only turns that match this.
    pub filter: Filter,
    /// Continue after this position.
    pub after: Option<ConversationCursor>,
    /// At most this many, 1..=1000.
    pub limit: usize,
    /// The time to judge run states by, Unix nanoseconds.
    pub now_ns: i64,
}

/// A position in the list of conversations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationCursor {
    /// The start of the latest turn.
    pub latest_start_ns: i64,
    /// The conversation.
    pub session_id: String,
}

/// One page of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationPage {
    /// The rows.
    pub rows: Vec<Conversation>,
    /// Where to continue; `None` when there is nothing after the last row.
    pub next: Option<ConversationCursor>,
}

/// One conversation, as far as its turns match.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// Its id, letter for letter.
    pub session_id: String,
    /// How many turns match.
    pub turns: u64,
    /// How many of them are in error.
    pub error_turns: u64,
    /// How many of them still have open spans.
    pub open_turns: u64,
    /// The start of the first turn.
    pub first_start_ns: i64,
    /// The start of the latest turn.
    pub latest_start_ns: i64,
    /// The latest end of a turn that has ended.
    pub end_ns: Option<i64>,
    /// How the latest turn ended, or fares.
    pub status: SpanStatus,
    /// The run state of the latest turn.
    pub state: RunState,
    /// The user of the latest turn that names one.
    pub user_id: Option<String>,
    /// The environment of the latest turn that names one.
    pub environment: Option<String>,
    /// Every agent, sorted.
    pub agents: Vec<String>,
    /// Every model, sorted.
    pub models: Vec<String>,
    /// Tokens of the turns that know them; `None` when none does.
    pub total_tokens: Option<i64>,
    /// nano-USD likewise.
    pub cost_nano_usd: Option<i64>,
    /// Whether a turn's cost is a lower bound.
    pub cost_incomplete: bool,
    /// The start of what went into the first turn.
    pub input_preview: Option<String>,
    /// The start of what came out of the latest turn.
    pub output_preview: Option<String>,
}

/// One conversation's turns, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnsQuery {
    /// The one workspace asked about.
    pub workspace: String,
    /// The conversation, letter for letter.
    pub session_id: String,
    /// Continue after this turn: its start, and its trace for turns of one start.
    pub after: Option<(i64, TraceId)>,
    /// At most this many turns, 1..=1000.
    pub limit: usize,
    /// The time to judge run states by, Unix nanoseconds.
    pub now_ns: i64,
}

/// One page of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Turns {
    /// The whole conversation, whatever the page.
    pub conversation: Conversation,
    /// The turns, by start, then by trace id.
    pub rows: Vec<TraceRow>,
    /// Where to continue; `None` when there is nothing after the last turn.
    pub next: Option<(i64, TraceId)>,
}

/// Checks what every engine must refuse.
///
/// # Errors
/// [`StoreError::BadQuery`] for a limit out of range.
pub fn check_limit(limit: usize) -> Result<(), StoreError> {
    if limit == 0 || limit > MAX_LIMIT {
        return Err(bad_query("the limit is out of range", format!("use 1 to {MAX_LIMIT}")));
    }
    Ok(())
}

/// A place in the order of turns.
type Place = (i64, TraceId);

/// A conversation that is being put together. Turns may come in any order, each once.
#[derive(Debug, Clone)]
struct Growing {
    row: Conversation,
    first: Place,
    latest: Place,
    user: Option<Place>,
    environment: Option<Place>,
    agents: BTreeSet<String>,
    models: BTreeSet<String>,
    tokens: Option<i128>,
    cost: Option<i128>,
}

/// Conversations under way.
#[derive(Debug, Default)]
pub struct Conversations(HashMap<String, Growing>);

impl Conversations {
    /// Adds a trace that matches; one that names no conversation is passed over.
    pub fn add(&mut self, row: &TraceRow) {
        let Some(session_id) = &row.session_id else { return };
        match self.0.get_mut(session_id) {
            Some(growing) => growing.add(row),
            None => drop(self.0.insert(session_id.clone(), Growing::of(session_id, row))),
        }
    }

    /// The one conversation of an id.
    #[must_use]
    pub fn one(mut self, session_id: &str) -> Option<Conversation> {
        self.0.remove(session_id).map(Growing::done)
    }

    /// One page.
    #[must_use]
    pub fn page(self, after: Option<&ConversationCursor>, limit: usize) -> ConversationPage {
        let mut found: Vec<(ConversationCursor, Growing)> = self
            .0
            .into_iter()
            .map(|(session_id, growing)| {
                (ConversationCursor { latest_start_ns: growing.latest.0, session_id }, growing)
            })
            .filter(|(place, _)| after.is_none_or(|after| place < after))
            .collect();
        found.sort_unstable_by(|(a, _), (b, _)| b.cmp(a));
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|(place, _)| place.clone());
        ConversationPage { rows: found.into_iter().map(|(_, row)| row.done()).collect(), next }
    }
}

/// One page of turns from all of them, in any order; `None` of none.
#[must_use]
pub fn turns(query: &TurnsQuery, mut rows: Vec<TraceRow>) -> Option<Turns> {
    let mut all = Conversations::default();
    rows.iter().for_each(|row| all.add(row));
    let conversation = all.one(&query.session_id)?;
    rows.sort_by_key(place);
    rows.retain(|row| query.after.is_none_or(|after| place(row) > after));
    let has_more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next = rows.last().filter(|_| has_more).map(place);
    Some(Turns { conversation, rows, next })
}

fn place(row: &TraceRow) -> Place {
    (row.start_ns, row.trace_id)
}

impl Growing {
    fn of(session_id: &str, row: &TraceRow) -> Self {
        let place = place(row);
        let mut growing = Self {
            row: Conversation {
                session_id: session_id.to_owned(),
                turns: 0,
                error_turns: 0,
                open_turns: 0,
                first_start_ns: row.start_ns,
                latest_start_ns: row.start_ns,
                end_ns: None,
                status: row.status,
                state: row.state,
                user_id: None,
                environment: None,
                agents: Vec::new(),
                models: Vec::new(),
                total_tokens: None,
                cost_nano_usd: None,
                cost_incomplete: false,
                input_preview: row.input_preview.clone(),
                output_preview: row.output_preview.clone(),
            },
            first: place,
            latest: place,
            user: None,
            environment: None,
            agents: BTreeSet::new(),
            models: BTreeSet::new(),
            tokens: None,
            cost: None,
        };
        growing.add(row);
        growing
    }

    fn add(&mut self, turn: &TraceRow) {
        let place = place(turn);
        let row = &mut self.row;
        row.turns += 1;
        row.error_turns += u64::from(turn.status.is_error());
        row.open_turns += u64::from(turn.open_count > 0);
        row.end_ns = row.end_ns.max(turn.end_ns);
        row.cost_incomplete |= turn.cost_incomplete;
        if place < self.first {
            self.first = place;
            row.first_start_ns = turn.start_ns;
            row.input_preview.clone_from(&turn.input_preview);
        }
        if place > self.latest {
            self.latest = place;
            row.latest_start_ns = turn.start_ns;
            row.status = turn.status;
            row.state = turn.state;
            row.output_preview.clone_from(&turn.output_preview);
        }
        take_later(&mut self.user, place, &mut row.user_id, &turn.user_id);
        take_later(&mut self.environment, place, &mut row.environment, &turn.environment);
        insert_new(&mut self.agents, &turn.agents);
        insert_new(&mut self.models, &turn.models);
        add(&mut self.tokens, turn.total_tokens);
        add(&mut self.cost, turn.cost_nano_usd);
    }

    fn done(self) -> Conversation {
        let clamp =
            |sum: i128| i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX });
        Conversation {
            agents: self.agents.into_iter().collect(),
            models: self.models.into_iter().collect(),
            total_tokens: self.tokens.map(clamp),
            cost_nano_usd: self.cost.map(clamp),
            ..self.row
        }
    }
}

fn take_later(
    held: &mut Option<Place>,
    place: Place,
    slot: &mut Option<String>,
    value: &Option<String>,
) {
    if value.is_some() && held.is_none_or(|held| place > held) {
        *held = Some(place);
        slot.clone_from(value);
    }
}

fn insert_new(set: &mut BTreeSet<String>, values: &[String]) {
    for value in values {
        if !set.contains(value) {
            set.insert(value.clone());
        }
    }
}

fn add(sum: &mut Option<i128>, value: Option<i64>) {
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or_default().saturating_add(i128::from(value)));
    }
}

impl fmt::Display for ConversationCursor {
    /// `v<16 hex digits of the start><hex digits of the id>`: any id passes through an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{:016x}", self.latest_start_ns.cast_unsigned())?;
        self.session_id.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ConversationCursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let digits = text.strip_prefix('v').ok_or(CursorError)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) || !digits.len().is_multiple_of(2) {
            return Err(CursorError);
        }
        let (start, id) = digits.split_at_checked(16).ok_or(CursorError)?;
        let start = u64::from_str_radix(start, 16).map_err(|_| CursorError)?;
        let bytes = id.as_bytes().chunks(2).map(|pair| {
            let pair = std::str::from_utf8(pair).map_err(|_| CursorError)?;
            u8::from_str_radix(pair, 16).map_err(|_| CursorError)
        });
        let bytes: Vec<u8> = bytes.collect::<Result<_, _>>()?;
        let session_id = String::from_utf8(bytes).map_err(|_| CursorError)?;
        Ok(Self { latest_start_ns: start.cast_signed(), session_id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_whatever_the_id() {
        for session_id in ["", "c-1", "日本 & ?", "a\0b"] {
            for latest_start_ns in [0, -1, i64::MAX, i64::MIN] {
                let cursor = ConversationCursor { latest_start_ns, session_id: session_id.into() };
                assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
        for wrong in
            ["", "v", "v12", "s00000000000000000", "v0000000000000000zz", "v00000000000000000"]
        {
            assert_eq!(wrong.parse::<ConversationCursor>(), Err(CursorError), "{wrong}");
        }
    }
}

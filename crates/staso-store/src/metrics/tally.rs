//! The sums of one group in one bucket.

use std::collections::HashSet;

use super::distribution::Distribution;
use super::facts::SpanFacts;
use super::measure::Measure;
use super::series::Amount;
use super::weight::{Weight, as_count, rounded};
use staso_model::SpanKind;

use crate::matching::duration_ns;
use crate::row::TraceRow;

/// What was counted. All sums are exact, so that the order of adding does not show.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    runs: i128,
    run_errors: i128,
    run_durations: Distribution,
    spans: i128,
    errors: i128,
    durations: Distribution,
    tokens: [Option<i128>; 3],
    cost_nano_usd: Option<i128>,
    cost_incomplete: bool,
    users: HashSet<u32>,
    conversations: HashSet<u32>,
}

/// Which of the dearer sums are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wants {
    pub(super) run_durations: bool,
    pub(super) durations: bool,
    pub(super) users: bool,
    pub(super) conversations: bool,
}

impl Wants {
    pub(super) fn of(measures: &[Measure]) -> Self {
        let any = |test: fn(&Measure) -> bool| measures.iter().any(test);
        Self {
            run_durations: any(|m| matches!(m, Measure::RunDuration(_))),
            durations: any(|m| matches!(m, Measure::Duration(_))),
            users: any(|m| *m == Measure::Users),
            conversations: any(|m| *m == Measure::Conversations),
        }
    }
}

impl Tally {
    pub(super) fn add_run(&mut self, row: &TraceRow, wants: Wants) {
        let weight = Weight::of_rate(row.sample_rate);
        self.runs = self.runs.saturating_add(weight.times(1));
        if row.status.is_error() {
            self.run_errors = self.run_errors.saturating_add(weight.times(1));
        }
        if wants.run_durations
            && let Some(duration_ns) = duration_ns(row)
        {
            self.run_durations.add(duration_ns, weight);
        }
    }

    /// Adds a span, of whose tokens `tokens` count.
    pub(super) fn add_span(
        &mut self,
        span: &SpanFacts<'_>,
        tokens: [Option<i64>; 3],
        wants: Wants,
    ) {
        self.spans = self.spans.saturating_add(span.weight.times(1));
        if span.status.is_error() {
            self.errors = self.errors.saturating_add(span.weight.times(1));
        }
        if wants.durations
            && let Some(duration_ns) = span.duration_ns
        {
            self.durations.add(duration_ns, span.weight);
        }
        for (sum, count) in self.tokens.iter_mut().zip(tokens) {
            add(sum, count, span.weight);
        }
        add(&mut self.cost_nano_usd, span.cost_nano_usd, span.weight);
        self.cost_incomplete |= span.kind == SpanKind::Llm && span.cost_nano_usd.is_none();
    }

    /// Adds what another has, of other traces or spans; `word` says what number its users and
    /// conversations have here. Answers how many of those were not yet here.
    pub(super) fn merge(&mut self, other: &Self, mut word: impl FnMut(u32) -> u32) -> usize {
        for (sum, more) in [
            (&mut self.runs, other.runs),
            (&mut self.run_errors, other.run_errors),
            (&mut self.spans, other.spans),
            (&mut self.errors, other.errors),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.run_durations.merge(&other.run_durations);
        self.durations.merge(&other.durations);
        for (sum, more) in self.tokens.iter_mut().zip(other.tokens) {
            add_sum(sum, more);
        }
        add_sum(&mut self.cost_nano_usd, other.cost_nano_usd);
        self.cost_incomplete |= other.cost_incomplete;
        let before = self.users.len() + self.conversations.len();
        self.users.extend(other.users.iter().map(|user| word(*user)));
        self.conversations.extend(other.conversations.iter().map(|id| word(*id)));
        self.users.len() + self.conversations.len() - before
    }

    /// Takes as little room as it can: it is to be kept.
    pub(super) fn shrink(&mut self) {
        self.run_durations.shrink();
        self.durations.shrink();
    }

    /// About how many bytes it holds.
    pub(super) fn memory_bytes(&self) -> usize {
        let sets = self.users.capacity() + self.conversations.capacity();
        size_of::<Self>()
            + self.run_durations.memory_bytes()
            + self.durations.memory_bytes()
            + sets * (size_of::<u32>() + 1)
    }

    /// The users and conversations, by their numbers.
    pub(super) fn words(&self) -> impl Iterator<Item = u32> {
        self.users.iter().chain(&self.conversations).copied()
    }

    /// Answers whether this user was not yet here.
    pub(super) fn add_user(&mut self, user: u32) -> bool {
        self.users.insert(user)
    }

    /// Likewise.
    pub(super) fn add_conversation(&mut self, conversation: u32) -> bool {
        self.conversations.insert(conversation)
    }

    pub(super) fn is_cost_incomplete(&self) -> bool {
        self.cost_incomplete
    }

    /// What a measure comes to; `None` where nothing has the value.
    pub(super) fn amount(&mut self, measure: Measure) -> Option<Amount> {
        let whole = |sum: Option<i128>| sum.map(|sum| Amount::Whole(rounded(sum)));
        let [input, output, all] = self.tokens;
        match measure {
            Measure::Runs => Some(Amount::Count(as_count(self.runs))),
            Measure::RunErrors => Some(Amount::Count(as_count(self.run_errors))),
            Measure::Spans => Some(Amount::Count(as_count(self.spans))),
            Measure::Errors => Some(Amount::Count(as_count(self.errors))),
            Measure::RunDuration(p) => self.run_durations.percentile(p).map(Amount::Whole),
            Measure::Duration(p) => self.durations.percentile(p).map(Amount::Whole),
            Measure::InputTokens => whole(input),
            Measure::OutputTokens => whole(output),
            Measure::Tokens => whole(all),
            Measure::Cost => whole(self.cost_nano_usd),
            Measure::Users => Some(Amount::Count(self.users.len() as f64)),
            Measure::Conversations => Some(Amount::Count(self.conversations.len() as f64)),
        }
    }
}

fn add(sum: &mut Option<i128>, value: Option<i64>, weight: Weight) {
    add_sum(sum, value.map(|value| weight.times(value)));
}

fn add_sum(sum: &mut Option<i128>, more: Option<i128>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or_default().saturating_add(more));
    }
}

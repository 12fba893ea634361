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
    if let Some(value) = value {
        *sum = Some(sum.unwrap_or_default().saturating_add(weight.times(value)));
    }
}

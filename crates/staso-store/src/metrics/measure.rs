//! What can be measured, and by what it can be grouped: the words, and what each is of.

use crate::query::TextField;

/// What is measured of the traces or spans of one group and bucket. See the module's opening for
/// what counts where and how it is weighed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Traces, weighed.
    Runs,
    /// Traces in error, weighed: those whose row has an error or timeout as its status.
    RunErrors,
    /// The duration of traces that have ended, nanoseconds, weighed.
    RunDuration(Percentile),
    /// Spans, weighed.
    Spans,
    /// Spans in error or timeout, weighed.
    Errors,
    /// The duration of spans that have ended, nanoseconds, weighed.
    Duration(Percentile),
    /// Input tokens of the spans that know them, weighed; none where no span knows.
    InputTokens,
    /// Output tokens likewise.
    OutputTokens,
    /// All tokens likewise.
    Tokens,
    /// nano-USD of the spans with a known cost, weighed; none where no span knows. A point says when
    /// the cost of some model call is unknown, so that this is a lower bound.
    Cost,
    /// Distinct users of spans, unweighed.
    Users,
    /// Distinct conversations of spans, unweighed.
    Conversations,
}

/// A share of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Percentile {
    /// Half of them.
    P50,
    /// Nine of ten.
    P90,
    /// Nineteen of twenty.
    P95,
    /// Ninety-nine of a hundred.
    P99,
}

impl Percentile {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::P50, Self::P90, Self::P95, Self::P99];

    /// In percent.
    #[must_use]
    pub fn percent(self) -> u8 {
        match self {
            Self::P50 => 50,
            Self::P90 => 90,
            Self::P95 => 95,
            Self::P99 => 99,
        }
    }
}

/// Every measure with its word on the wire.
const MEASURES: [(&str, Measure); 18] = [
    ("runs", Measure::Runs),
    ("run_errors", Measure::RunErrors),
    ("run_duration_p50", Measure::RunDuration(Percentile::P50)),
    ("run_duration_p90", Measure::RunDuration(Percentile::P90)),
    ("run_duration_p95", Measure::RunDuration(Percentile::P95)),
    ("run_duration_p99", Measure::RunDuration(Percentile::P99)),
    ("spans", Measure::Spans),
    ("errors", Measure::Errors),
    ("duration_p50", Measure::Duration(Percentile::P50)),
    ("duration_p90", Measure::Duration(Percentile::P90)),
    ("duration_p95", Measure::Duration(Percentile::P95)),
    ("duration_p99", Measure::Duration(Percentile::P99)),
    ("input_tokens", Measure::InputTokens),
    ("output_tokens", Measure::OutputTokens),
    ("tokens", Measure::Tokens),
    ("cost", Measure::Cost),
    ("users", Measure::Users),
    ("conversations", Measure::Conversations),
];

impl Measure {
    /// Every measure, in the order in which messages list them.
    pub fn all() -> impl Iterator<Item = Self> {
        MEASURES.into_iter().map(|(_, measure)| measure)
    }

    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        MEASURES.iter().find(|(_, measure)| *measure == self).map_or("", |(word, _)| word)
    }

    /// The measure of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        MEASURES.iter().find(|(known, _)| *known == word).map(|(_, measure)| *measure)
    }

    /// Whether it is of traces; else it is of spans.
    #[must_use]
    pub fn is_of_runs(self) -> bool {
        matches!(self, Self::Runs | Self::RunErrors | Self::RunDuration(_))
    }
}

/// By what measures are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// The agent.
    Agent,
    /// The agent's version.
    AgentVersion,
    /// The model that answered.
    Model,
    /// Who served the model. Only spans have it.
    Provider,
    /// What sort of work; a run counts under each kind that its spans have.
    Kind,
    /// `ok` (unset too), `error` or `timeout`.
    Status,
    /// The span's name; the root's for runs.
    Name,
    /// The environment.
    Environment,
    /// The service.
    Service,
    /// The user.
    User,
    /// The conversation.
    Session,
}

const GROUPS: [(&str, GroupBy); 11] = [
    ("agent", GroupBy::Agent),
    ("version", GroupBy::AgentVersion),
    ("model", GroupBy::Model),
    ("provider", GroupBy::Provider),
    ("kind", GroupBy::Kind),
    ("status", GroupBy::Status),
    ("name", GroupBy::Name),
    ("environment", GroupBy::Environment),
    ("service", GroupBy::Service),
    ("user", GroupBy::User),
    ("session", GroupBy::Session),
];

impl GroupBy {
    /// Everything to group by.
    pub fn all() -> impl Iterator<Item = Self> {
        GROUPS.into_iter().map(|(_, by)| by)
    }

    /// The word on the wire: that of the filter's field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        GROUPS.iter().find(|(_, by)| *by == self).map_or("", |(word, _)| word)
    }

    /// What a word says.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        GROUPS.iter().find(|(known, _)| *known == word).map(|(_, by)| *by)
    }

    /// Whether traces have it too.
    #[must_use]
    pub fn is_of_runs(self) -> bool {
        self != Self::Provider
    }

    /// The field of a trace's row that holds it, where that is text.
    pub(super) fn field(self) -> Option<TextField> {
        Some(match self {
            Self::Agent => TextField::Agent,
            Self::AgentVersion => TextField::AgentVersion,
            Self::Model => TextField::Model,
            Self::Name => TextField::Name,
            Self::Environment => TextField::Environment,
            Self::Service => TextField::Service,
            Self::User => TextField::User,
            Self::Session => TextField::Session,
            Self::Provider | Self::Kind | Self::Status => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        assert!(Measure::all().all(|measure| Measure::parse(measure.as_str()) == Some(measure)));
        assert!(GroupBy::all().all(|by| GroupBy::parse(by.as_str()) == Some(by)));
        assert_eq!((Measure::parse("colour"), GroupBy::parse("")), (None, None));
    }
}

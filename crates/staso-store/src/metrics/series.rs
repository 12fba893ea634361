//! Adding up a [`MetricsQuery`], and its answer.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::facts::{SpanFacts, TracesOf};
use super::measure::{GroupBy, Measure};
use super::tally::{Tally, Wants};
use super::{MAX_CELLS, MAX_DISTINCT, MetricsQuery};
use crate::error::StoreError;
use crate::matching::{bad_query, facet_values};
use crate::query::FacetField;
use crate::row::TraceRow;

/// The answer: groups, the greatest first, each with a point per bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The starts of the buckets, Unix nanoseconds.
    pub starts_ns: Vec<i64>,
    /// At most as many as the query's limit, by the first measure over the whole time, then by value;
    /// the group without a value comes last among equals. Without `group_by` there is exactly one,
    /// even of nothing.
    pub groups: Vec<Group>,
    /// How many groups were left out.
    pub omitted: u64,
}

/// One group.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What its members have in common; `None`: they have no value, or the query does not group.
    pub value: Option<String>,
    /// The same measures over the whole time at once: a percentile of everything is no mean of
    /// percentiles, and a user of two days is one user.
    pub whole: Point,
    /// One per bucket, empty buckets included.
    pub points: Vec<Point>,
}

/// The measures in one bucket, in the query's order. Counts are 0 where nothing is; sums and
/// percentiles are `None` where nothing has the value, because unknown is not zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The amounts.
    pub amounts: Vec<Option<Amount>>,
    /// Whether the cost of some span of kind `Llm` in it is unknown, so that a cost is a lower bound.
    pub cost_incomplete: bool,
}

/// What a measure came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// A count. Weighed counts are estimates and need not be whole.
    Count(f64),
    /// Tokens, nano-USD or nanoseconds, rounded.
    Whole(i64),
}

impl Amount {
    fn order(self, other: Self) -> Ordering {
        let number = |amount| match amount {
            Self::Count(count) => count,
            Self::Whole(whole) => whole as f64,
        };
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => a.cmp(&b),
            (a, b) => number(a).total_cmp(&number(b)),
        }
    }
}

/// The sums of one bucket, apart from the query that asked for them.
#[derive(Debug, Clone, Default)]
pub struct BucketSums {
    groups: Vec<(Option<String>, Tally)>,
    /// Users and conversations: what the numbers in tallies stand for.
    words: Vec<String>,
}

impl BucketSums {
    /// About how many bytes they hold.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let text = |text: &String| size_of::<String>() + text.len();
        let groups = self.groups.iter();
        let groups =
            groups.map(|(value, tally)| value.as_ref().map_or(0, text) + tally.memory_bytes());
        groups.sum::<usize>() + self.words.iter().map(text).sum::<usize>()
    }
}

/// Texts, each with a number.
#[derive(Default)]
struct Words {
    numbers: HashMap<String, u32>,
    texts: Vec<String>,
}

impl Words {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(known) = self.numbers.get(text) {
            return *known;
        }
        self.texts.push(text.to_owned());
        let number = last_number(&self.texts);
        self.numbers.insert(text.to_owned(), number);
        number
    }

    fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", String::as_str)
    }
}

/// Bounded by the number of distinct values that a query may tell apart.
fn last_number(texts: &[String]) -> u32 {
    u32::try_from(texts.len().saturating_sub(1)).unwrap_or(u32::MAX)
}

/// The sums of a query under way.
pub struct Tallies<'q> {
    query: &'q MetricsQuery,
    wants: Wants,
    groups: HashMap<String, usize>,
    without_value: Option<usize>,
    /// By group: the sums of the buckets that have any.
    tallies: Vec<Vec<Option<Box<Tally>>>>,
    words: Words,
    distinct: usize,
    /// Where the last start belonged: spans come mostly in order.
    last_bucket: usize,
}

impl<'q> Tallies<'q> {
    /// Nothing yet. The query has passed [`check_metrics`](super::check_metrics).
    ///
    /// # Errors
    /// None that such a query can have.
    pub fn new(query: &'q MetricsQuery) -> Result<Self, StoreError> {
        let mut tallies = Self {
            query,
            wants: Wants::of(&query.measures),
            groups: HashMap::new(),
            without_value: None,
            tallies: Vec::new(),
            words: Words::default(),
            distinct: 0,
            last_bucket: 0,
        };
        if query.group_by.is_none() {
            tallies.group(None)?;
        }
        Ok(tallies)
    }

    /// Adds a trace that the query's filter and environment admit, whenever it began.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] when there are too many groups.
    pub fn add_run(&mut self, row: &TraceRow) -> Result<(), StoreError> {
        let Some(bucket) = self.bucket(row.start_ns) else { return Ok(()) };
        for value in run_values(row, self.query.group_by) {
            let group = self.group(value.as_deref())?;
            let wants = self.wants;
            self.tally(group, bucket).add_run(row, wants);
        }
        Ok(())
    }

    /// Adds the newest version of a span that was not dropped, whenever it began.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] when there are too many groups or distinct values; those of `traces`.
    pub fn add_span(
        &mut self,
        span: &SpanFacts<'_>,
        traces: &mut TracesOf<'_>,
    ) -> Result<(), StoreError> {
        let Some(bucket) = self.bucket(span.start_ns) else { return Ok(()) };
        if !traces.admits(&span.trace_id)? {
            return Ok(());
        }
        let tokens = traces.tokens(span)?;
        let group = match self.query.group_by {
            None => self.group(None)?,
            Some(by) if span.is_silent(by) => {
                let fields = traces.fields(&span.trace_id)?;
                self.group(fields.as_deref().and_then(|fields| fields.get(by)))?
            }
            Some(by) => self.group(span.own(by))?,
        };
        let wants = self.wants;
        self.tally(group, bucket).add_span(span, tokens, wants);
        if wants.users {
            self.add_distinct(group, bucket, GroupBy::User, span, traces)?;
        }
        if wants.conversations {
            self.add_distinct(group, bucket, GroupBy::Session, span, traces)?;
        }
        Ok(())
    }

    fn add_distinct(
        &mut self,
        group: usize,
        bucket: usize,
        of: GroupBy,
        span: &SpanFacts<'_>,
        traces: &mut TracesOf<'_>,
    ) -> Result<(), StoreError> {
        let fields;
        let word = if span.is_silent(of) {
            fields = traces.fields(&span.trace_id)?;
            fields.as_deref().and_then(|fields| fields.get(of))
        } else {
            span.own(of)
        };
        let Some(word) = word else { return Ok(()) };
        let word = self.number(word)?;
        let add = if of == GroupBy::User { Tally::add_user } else { Tally::add_conversation };
        let is_fresh = add(self.tally(group, bucket), word);
        self.count_distinct(usize::from(is_fresh))
    }

    /// The number of a text. A new one takes its own room.
    fn number(&mut self, text: &str) -> Result<u32, StoreError> {
        let known = self.words.texts.len();
        let number = self.words.number(text);
        self.count_distinct(self.words.texts.len() - known)?;
        Ok(number)
    }

    fn count_distinct(&mut self, fresh: usize) -> Result<(), StoreError> {
        self.distinct += fresh;
        if self.distinct > MAX_DISTINCT {
            let hint = "ask for a shorter time, longer intervals, fewer groups or a filter";
            return Err(bad_query("there are too many users or conversations to tell apart", hint));
        }
        Ok(())
    }

    fn bucket(&mut self, start_ns: i64) -> Option<usize> {
        let edges = &self.query.edges;
        let holds = |i: usize| edges[i] <= start_ns && start_ns < edges[i + 1];
        if !holds(self.last_bucket) {
            let after = edges.partition_point(|edge| *edge <= start_ns);
            if after == 0 || after == edges.len() {
                return None;
            }
            self.last_bucket = after - 1;
        }
        Some(self.last_bucket)
    }

    fn group(&mut self, value: Option<&str>) -> Result<usize, StoreError> {
        let known = match value {
            Some(value) => self.groups.get(value).copied(),
            None => self.without_value,
        };
        if let Some(group) = known {
            return Ok(group);
        }
        let (group, buckets) = (self.tallies.len(), self.query.edges.len() - 1);
        if (group + 1) * buckets > MAX_CELLS {
            let hint = "ask for fewer intervals, or narrow the filter";
            return Err(bad_query("there are too many groups to add up", hint));
        }
        self.tallies.push(vec![None; buckets]);
        match value {
            Some(value) => drop(self.groups.insert(value.to_owned(), group)),
            None => self.without_value = Some(group),
        }
        Ok(group)
    }

    fn tally(&mut self, group: usize, bucket: usize) -> &mut Tally {
        self.tallies[group][bucket].get_or_insert_default()
    }

    /// What was added to a bucket so far, to be kept for a query that differs from this one in its edges,
    /// limit or time only.
    #[must_use]
    pub fn bucket_sums(&self, bucket: usize) -> BucketSums {
        let values = self.groups.iter().map(|(value, group)| (Some(value), *group));
        let values = values.chain(self.without_value.map(|group| (None, group)));
        let mut sums = BucketSums::default();
        let mut words = HashMap::<u32, u32>::new();
        for (value, group) in values {
            let Some(tally) = &self.tallies[group][bucket] else { continue };
            for word in tally.words() {
                words.entry(word).or_insert_with(|| {
                    sums.words.push(self.words.text(word).to_owned());
                    last_number(&sums.words)
                });
            }
            let mut kept = Tally::default();
            kept.merge(tally, |word| words.get(&word).copied().unwrap_or_default());
            kept.shrink();
            sums.groups.push((value.cloned(), kept));
        }
        sums
    }

    /// Adds what was kept of a bucket, as if its runs and spans came one by one.
    ///
    /// # Errors
    /// [`StoreError::BadQuery`] when there are too many groups or distinct values.
    pub fn add_bucket(&mut self, bucket: usize, sums: &BucketSums) -> Result<(), StoreError> {
        let words = sums.words.iter().map(|word| self.number(word));
        let words: Vec<u32> = words.collect::<Result<_, _>>()?;
        let word = |number: u32| words.get(number as usize).copied().unwrap_or_default();
        for (value, tally) in &sums.groups {
            let group = self.group(value.as_deref())?;
            let fresh = self.tally(group, bucket).merge(tally, word);
            self.count_distinct(fresh)?;
        }
        Ok(())
    }

    /// The answer.
    #[must_use]
    pub fn finish(self) -> Series {
        let query = self.query;
        let mut values: Vec<(Option<String>, usize)> =
            self.groups.into_iter().map(|(value, group)| (Some(value), group)).collect();
        values.extend(self.without_value.map(|group| (None, group)));
        let mut tallies = self.tallies;
        let mut ranked: Vec<_> = values
            .into_iter()
            .map(|(value, group)| {
                let buckets = std::mem::take(&mut tallies[group]);
                let mut whole = Tally::default();
                for tally in buckets.iter().flatten() {
                    whole.merge(tally, |word| word);
                }
                (value, point(&mut whole, &query.measures), buckets)
            })
            .collect();
        ranked.sort_by(|(a, a_whole, _), (b, b_whole, _)| {
            greatest_first(a_whole.amounts[0], b_whole.amounts[0])
                .then_with(|| a.is_none().cmp(&b.is_none()))
                .then_with(|| a.cmp(b))
        });
        let omitted = ranked.len().saturating_sub(query.limit) as u64;
        ranked.truncate(query.limit);
        let groups = ranked.into_iter().map(|(value, whole, buckets)| {
            let tallies = buckets.into_iter().map(Option::unwrap_or_default);
            let points = tallies.map(|mut tally| point(&mut tally, &query.measures)).collect();
            Group { value, whole, points }
        });
        let starts_ns = query.edges[..query.edges.len() - 1].to_vec();
        Series { starts_ns, groups: groups.collect(), omitted }
    }
}

fn point(tally: &mut Tally, measures: &[Measure]) -> Point {
    let amounts = measures.iter().map(|measure| tally.amount(*measure)).collect();
    Point { amounts, cost_incomplete: tally.is_cost_incomplete() }
}

/// What has no value comes last.
fn greatest_first(a: Option<Amount>, b: Option<Amount>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.order(a),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

/// The groups a trace counts in, each once.
fn run_values(row: &TraceRow, group_by: Option<GroupBy>) -> Vec<Option<String>> {
    let Some(by) = group_by else { return vec![None] };
    let field = match by {
        GroupBy::Kind => FacetField::Kind,
        GroupBy::Status => FacetField::Status,
        _ => match by.field() {
            Some(field) => FacetField::Text(field),
            None => return Vec::new(),
        },
    };
    let values = facet_values(row, field);
    if values.is_empty() { vec![None] } else { values.into_iter().map(Some).collect() }
}

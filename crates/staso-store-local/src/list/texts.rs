//! Candidates of which a text has a part or a pattern: the texts of rows are walked day by day, from the newest.

use std::cmp::Reverse;

use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::query::{Filter, TextField, TextMatch, TraceQuery};

use super::walk::bounds;
use crate::numbers::Stop;
use crate::read::Reader;
use crate::terms::{self, Days, FEW};

/// The candidates of one question.
pub(super) struct Texts<'a> {
    reader: &'a Reader<'a>,
    field: TextField,
    text: &'a TextMatch,
    days: Days,
}

impl<'a> Texts<'a> {
    /// The first text that every match of a filter, which is folded, has a part of; `None` too where its field has many
    /// values.
    pub(super) fn of(
        reader: &'a Reader<'a>,
        query: &TraceQuery,
        filter: &'a Filter,
    ) -> Result<Option<Self>, StoreError> {
        let Some((field, text)) = required(filter) else { return Ok(None) };
        let days = terms::days(reader, bounds(query))?;
        // Of a field with another value in each trace, such as a user, few rows are read sooner than all values.
        let has_many = match days.first() {
            Some(day) => terms::has_many_values(reader, field, *day)?,
            None => false,
        };
        Ok((!has_many).then_some(Self { reader, field, text, days }))
    }

    /// Whether so few traces have it that they may be looked up and sorted.
    pub(super) fn are_few(&self, stop: &Stop) -> Result<bool, StoreError> {
        let mut count = 0;
        self.each(stop, &mut |_, _| {
            count += 1;
            Ok(count < FEW)
        })?;
        Ok(count < FEW)
    }

    /// Calls `found` with each candidate and when it began, the latest first, until it answers `false`.
    pub(super) fn each(
        &self,
        stop: &Stop,
        found: &mut dyn FnMut(i64, TraceId) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        for day in &self.days {
            let admits = &mut |value: &str| stop.check().map(|()| self.text.agrees(value));
            let mut traces = Vec::new();
            for value in terms::values(self.reader, self.field, *day, admits)? {
                traces.extend(terms::having(self.reader, self.field, *day, &value)?);
            }
            traces.sort_unstable_by_key(|trace| Reverse(*trace));
            traces.dedup();
            for (start_ns, trace_id) in traces {
                if !found(start_ns, trace_id)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

fn required(filter: &Filter) -> Option<(TextField, &TextMatch)> {
    match filter {
        Filter::All(inner) => inner.iter().find_map(required),
        Filter::Text(_, TextMatch::Equals(_)) => None,
        Filter::Text(field, text) => Some((*field, text)),
        _ => None,
    }
}

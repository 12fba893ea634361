//! Search of the memory store: every span is looked at, newest first.

use staso_model::Span;

use super::State;
use crate::error::StoreError;
use crate::matching::{self, Matcher};
use crate::query::{Sort, TraceQuery};
use crate::search::{Phrase, SearchCursor, SearchEnd, SearchHit, SearchQuery};

impl State {
    /// The hits that a query asks for, and where to go on.
    pub(super) fn search(
        &self,
        query: &SearchQuery,
    ) -> Result<(Vec<SearchHit>, SearchEnd), StoreError> {
        let phrase = Phrase::new(&query.text);
        let mut hits = Vec::new();
        for span in self.newest_first(query) {
            if !self.admits(query, span)? {
                continue;
            }
            let Some(hit) = phrase.hit(span) else { continue };
            hits.push(hit);
            if hits.len() == query.limit {
                return Ok((hits, SearchEnd { next: Some(SearchCursor::of(span)) }));
            }
        }
        Ok((hits, SearchEnd { next: None }))
    }

    fn newest_first(&self, query: &SearchQuery) -> Vec<&Span> {
        let traces = self.spans.iter().filter(|((workspace, _), _)| *workspace == query.workspace);
        let spans = traces.flat_map(|(_, spans)| spans.values()).filter(|span| !span.dropped);
        let mut spans: Vec<_> =
            spans.filter(|span| query.reaches(&SearchCursor::of(span))).collect();
        spans.sort_by_key(|span| std::cmp::Reverse(SearchCursor::of(span)));
        spans
    }

    fn admits(&self, query: &SearchQuery, span: &Span) -> Result<bool, StoreError> {
        if query.admits_all() {
            return Ok(true);
        }
        let list = TraceQuery {
            workspace: query.workspace.clone(),
            environment: query.environment.clone(),
            from_ns: None,
            to_ns: None,
            filter: query.filter.clone(),
            sort: Sort::Start,
            after: None,
            limit: 1,
            now_ns: query.now_ns,
        };
        let row = self.row(&query.workspace, &span.trace_id, query.now_ns);
        let spans = self.spans.get(&(query.workspace.clone(), span.trace_id));
        let (Some(row), Some(spans)) = (row, spans) else { return Ok(false) };
        let matcher = Matcher::new(&query.filter)?;
        Ok(matching::in_scope(&row, &list) && matcher.matches(&row, &mut spans.values())?)
    }
}

//! What the indexes of segments say of a trace, so that its spans need not be read.
//!
//! An index says of rows as they were written. Where one of a trace's rows was replaced since, or something of it
//! is not in the index, the spans have the last word.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::matching::SpanTest;
use staso_store::query::TextMatch;

use crate::decode::report;
use crate::read::Reader;
use crate::segment::Index;
use crate::spans::Part;

/// The first rows of traces of one segment, in ascending order.
struct Rows {
    index: Arc<Index>,
    passing: Vec<u64>,
    untold: Vec<u64>,
}

impl Rows {
    /// Whether the index speaks of the trace whose rows begin here: where the catalog was made anew from damaged rows,
    /// a trace may begin elsewhere than the index says.
    fn know(&self, row: u64) -> bool {
        self.index.begins_at(row) && self.untold.binary_search(&row).is_err()
    }
}

/// A test that was asked, and what each segment said; `None`: it has no index.
struct Asked {
    test: Owned,
    segments: HashMap<i64, Option<Rc<Rows>>>,
}

/// A [`SpanTest`] that is kept.
enum Owned {
    Name(String),
    Metadata(String, TextMatch),
}

impl Owned {
    fn of(test: &SpanTest<'_>) -> Self {
        match *test {
            SpanTest::Name(part) => Self::Name(part.to_owned()),
            SpanTest::Metadata(path, text) => Self::Metadata(path.to_owned(), text.clone()),
        }
    }

    fn is(&self, test: &SpanTest<'_>) -> bool {
        match (self, test) {
            (Self::Name(name), SpanTest::Name(part)) => name == part,
            (Self::Metadata(known, text), SpanTest::Metadata(path, other)) => {
                known == path && text == *other
            }
            _ => false,
        }
    }
}

/// Of so many tests it is kept what the indexes say; for further ones spans are read.
const MAX_TESTS: usize = 64;

/// Everything that was asked of one snapshot.
#[derive(Default)]
pub(crate) struct Told(RefCell<Vec<Asked>>);

impl Reader<'_> {
    /// Whether some span of a trace passes, where that can be said without reading its flushed spans.
    pub(crate) fn passes(
        &self,
        trace_id: TraceId,
        test: &SpanTest<'_>,
    ) -> Result<Option<bool>, StoreError> {
        if self.hot_spans(trace_id).any(|span| !span.dropped && test.holds(span)) {
            return Ok(Some(true));
        }
        let mut is_sure = true;
        for part in self.parts(trace_id)? {
            let Some(rows) = self.rows(&part, test)? else {
                is_sure = false;
                continue;
            };
            if rows.passing.binary_search(&part.first_row).is_ok() {
                if self.deleted(&part)?.is_empty() {
                    return Ok(Some(true));
                }
                is_sure = false;
            }
            is_sure &= rows.know(part.first_row);
        }
        Ok(is_sure.then_some(false))
    }

    fn rows(&self, part: &Part, test: &SpanTest<'_>) -> Result<Option<Rc<Rows>>, StoreError> {
        let mut all = self.told.0.borrow_mut();
        if all.len() >= MAX_TESTS && !all.iter().any(|asked| asked.test.is(test)) {
            return Ok(None);
        }
        let at = all.iter().position(|asked| asked.test.is(test)).unwrap_or_else(|| {
            all.push(Asked { test: Owned::of(test), segments: HashMap::new() });
            all.len() - 1
        });
        let segments = &mut all[at].segments;
        if let Some(rows) = segments.get(&part.segment) {
            return Ok(rows.clone());
        }
        let index = match self.segments.index(self.conn, part.segment, &part.path) {
            Ok(index) => index,
            Err(error @ StoreError::Damaged { .. }) => {
                report(&error);
                None
            }
            Err(error) => return Err(error),
        };
        let rows = index.map(|index| Rc::new(first_rows(index, test)));
        segments.insert(part.segment, rows.clone());
        Ok(rows)
    }
}

fn first_rows(index: Arc<Index>, test: &SpanTest<'_>) -> Rows {
    let found = index.find(test);
    let rows = |numbers: &[u32]| {
        let traces = numbers.iter().filter_map(|number| index.trace(*number));
        let mut rows: Vec<u64> = traces.map(|trace| trace.first_row).collect();
        rows.sort_unstable();
        rows
    };
    let (passing, untold) = (rows(&found.passing), rows(&found.untold));
    Rows { index, passing, untold }
}

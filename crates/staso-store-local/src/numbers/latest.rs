//! The latest conversations of everything, without a look at the others.
//!
//! The terms say of each conversation when its turns began: that is what the list is ordered by. Only the
//! turns of the conversations of the page are read.

use std::collections::HashMap;

use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::conversations::{
    ConversationCursor, ConversationPage, Conversations, ConversationsQuery,
};
use staso_store::metrics::Traces;
use staso_store::query::TextField;

use super::{Scope, Stop};
use crate::terms;

/// A turn's start and trace.
type Turn = (i64, TraceId);

/// One page; `None` where a conversation's id is too long for the terms.
pub(super) fn page(
    scope: &Scope<'_>,
    query: &ConversationsQuery,
    stop: &Stop,
) -> Result<Option<ConversationPage>, StoreError> {
    let bounds = (query.from_ns, query.to_ns);
    let mut latest = HashMap::<String, i64>::new();
    let is_told = terms::each(scope.reader, TextField::Session, None, bounds, &mut |found| {
        stop.check()?;
        match latest.get_mut(found.value) {
            Some(latest) => *latest = found.start_ns.max(*latest),
            None => drop(latest.insert(found.value.to_owned(), found.start_ns)),
        }
        Ok(())
    })?;
    if !is_told {
        return Ok(None);
    }
    let mut conversations = Conversations::default();
    for ConversationCursor { session_id, .. } in first(latest, query) {
        for (_, trace_id) in turns(scope, query, &session_id)? {
            stop.check()?;
            if let Some(row) = scope.row(&trace_id)? {
                conversations.add(&row);
            }
        }
    }
    Ok(Some(conversations.page(query.after.as_ref(), query.limit)))
}

/// The conversations of the page and the one behind it, which says that there are more.
fn first(latest: HashMap<String, i64>, query: &ConversationsQuery) -> Vec<ConversationCursor> {
    let mut places: Vec<_> = latest
        .into_iter()
        .map(|(session_id, latest_start_ns)| ConversationCursor { latest_start_ns, session_id })
        .filter(|place| query.after.as_ref().is_none_or(|after| place < after))
        .collect();
    let wanted = query.limit + 1;
    if places.len() > wanted {
        places.select_nth_unstable_by(wanted, |a, b| b.cmp(a));
        places.truncate(wanted);
    }
    places
}

fn turns(
    scope: &Scope<'_>,
    query: &ConversationsQuery,
    session_id: &str,
) -> Result<Vec<Turn>, StoreError> {
    let mut turns = Vec::new();
    let bounds = (query.from_ns, query.to_ns);
    terms::each(scope.reader, TextField::Session, Some(session_id), bounds, &mut |found| {
        if found.value == session_id {
            turns.push((found.start_ns, found.trace_id));
        }
        Ok(())
    })?;
    Ok(turns)
}

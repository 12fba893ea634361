//! The latest conversations of everything, without a look at the others.
//!
//! The terms say of each conversation when its turns began: that is what the list is ordered by. Only as many days
//! are walked as fill the page, and only the turns of its conversations are read.

use std::collections::{HashMap, HashSet};

use staso_model::TraceId;
use staso_store::StoreError;
use staso_store::conversations::{
    ConversationCursor, ConversationPage, Conversations, ConversationsQuery,
};
use staso_store::metrics::Traces;
use staso_store::query::TextField;

use super::{Scope, Stop};
use crate::terms::{self, Found};

/// A turn's start and trace.
type Turn = (i64, TraceId);

/// One page; `None` where the id of a conversation as late as it is too long for the terms.
pub(super) fn page(
    scope: &Scope<'_>,
    query: &ConversationsQuery,
    stop: &Stop,
) -> Result<Option<ConversationPage>, StoreError> {
    let days = terms::days(scope.reader, (query.from_ns, query.to_ns))?;
    let Some(places) = latest(scope, query, &days, stop)? else { return Ok(None) };
    let mut conversations = Conversations::default();
    for ConversationCursor { session_id, .. } in places {
        for (_, trace_id) in turns(scope, query, &days, &session_id)? {
            stop.check()?;
            if let Some(row) = scope.row(&trace_id)? {
                conversations.add(&row);
            }
        }
    }
    Ok(Some(conversations.page(query.after.as_ref(), query.limit)))
}

/// The conversations of the page and the one behind it, which says that there are more. Days are walked from the
/// newest: where a conversation is met first stands its latest turn, so that no older day changes a page that is full.
fn latest(
    scope: &Scope<'_>,
    query: &ConversationsQuery,
    days: &[i64],
    stop: &Stop,
) -> Result<Option<Vec<ConversationCursor>>, StoreError> {
    let bounds = (query.from_ns, query.to_ns);
    let is_behind =
        |place: &ConversationCursor| query.after.as_ref().is_none_or(|after| place < after);
    let wanted = query.limit + 1;
    let (mut seen, mut places) = (HashSet::<String>::new(), Vec::new());
    for day in days {
        let mut latest = HashMap::<String, i64>::new();
        let mut note = |found: &Found<'_>| {
            stop.check()?;
            match latest.get_mut(found.value) {
                Some(latest) => *latest = found.start_ns.max(*latest),
                None => drop(latest.insert(found.value.to_owned(), found.start_ns)),
            }
            Ok(())
        };
        let field = TextField::Session;
        if !terms::each(scope.reader, field, None, bounds, &[*day], &mut note)? {
            return Ok(None);
        }
        for (session_id, latest_start_ns) in latest {
            if seen.insert(session_id.clone()) {
                let place = ConversationCursor { latest_start_ns, session_id };
                places.extend(Some(place).filter(is_behind));
            }
        }
        if places.len() >= wanted {
            break;
        }
    }
    if places.len() > wanted {
        places.select_nth_unstable_by(wanted, |a, b| b.cmp(a));
        places.truncate(wanted);
    }
    Ok(Some(places))
}

fn turns(
    scope: &Scope<'_>,
    query: &ConversationsQuery,
    days: &[i64],
    session_id: &str,
) -> Result<Vec<Turn>, StoreError> {
    let mut turns = Vec::new();
    let (field, only) = (TextField::Session, Some(session_id));
    let bounds = (query.from_ns, query.to_ns);
    terms::each(scope.reader, field, only, bounds, days, &mut |found| {
        if found.value == session_id {
            turns.push((found.start_ns, found.trace_id));
        }
        Ok(())
    })?;
    Ok(turns)
}

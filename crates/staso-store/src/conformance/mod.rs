//! What every engine must pass: each promise of [`Store`](crate::Store) as a function over any
//! engine, and one macro line that makes a test of each.
//!
//! ```ignore
//! staso_store::conformance_suite!(MyFactory::new());
//! ```
//! The expression is evaluated once per test, and must give a factory of a fresh, empty store.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a panic is how a test fails")]

mod annotations;
mod build;
mod deaths;
mod deletions;
mod fixtures;
mod groups;
mod hostile;
mod lists;
mod numbers;
mod property;
mod property_kept;
mod property_search;
mod property_sums;
mod retentions;
mod search;
mod states;
mod tenancy;
mod trees;
mod writes;

use async_trait::async_trait;

pub use annotations::*;
pub use deaths::*;
pub use deletions::*;
pub use fixtures::*;
pub use groups::*;
pub use hostile::*;
pub use lists::*;
pub use numbers::*;
pub use property::engine_equals_memory;
pub use property_kept::kept_sums_follow_changes;
pub use property_search::search_equals_memory;
pub use retentions::*;
pub use search::*;
pub use states::*;
pub use tenancy::*;
pub use trees::*;
pub use writes::*;

use crate::memory::MemoryStore;
use crate::traits::Store;

/// Makes stores over one place.
#[async_trait]
pub trait StoreFactory: Send + Sync + 'static {
    /// The engine.
    type Store: Store;

    /// Opens the place: empty at first, later with whatever the store before it left there.
    async fn open(&self) -> Self::Store;
}

/// Closes a store and opens its place again.
pub async fn reopen<F: StoreFactory>(factory: &F, store: F::Store) -> F::Store {
    store.close().await.expect("a store closes");
    drop(store);
    factory.open().await
}

/// The memory store's own factory: its places live as long as the factory does.
#[derive(Debug, Default)]
pub struct MemoryFactory(MemoryStore);

#[async_trait]
impl StoreFactory for MemoryFactory {
    type Store = MemoryStore;

    async fn open(&self) -> MemoryStore {
        self.0.reopened()
    }
}

/// One test per promise, for the engine whose factory the expression makes.
#[macro_export]
macro_rules! conformance_suite {
    ($factory:expr) => {
        $crate::conformance_suite! { $factory =>
            append_is_visible_and_survives_reopening
            a_closed_store_says_so
            an_empty_store_answers_emptily
            the_same_batch_is_applied_once
            a_key_with_another_body_is_a_new_batch
            receipts_belong_to_a_workspace
            receipts_survive_a_day_and_reopening
            concurrent_repeats_are_applied_once
            concurrent_appends_are_all_kept
            the_greatest_version_wins_in_every_order
            the_same_span_twice_in_a_batch_is_one
            touched_names_what_changed
            the_last_sequence_survives_reopening
            rollups_do_not_depend_on_order
            rows_follow_their_spans
            totals_of_the_trace_are_never_added_to_its_spans
            a_root_that_comes_late_names_the_trace
            every_field_of_a_span_comes_back
            payloads_can_be_left_out
            fixtures_answer_as_expected
            every_filter_counts_the_same_in_a_facet
            pages_neither_skip_nor_double
            cursors_stay_valid_while_data_arrives
            rows_without_the_value_come_last
            impossible_queries_are_refused
            time_bounds_are_half_open
            run_states_follow_the_signs_of_life
            a_goodbye_closes_what_its_process_holds_open_and_nothing_else
            a_goodbye_is_final_and_remembered
            its_own_word_beats_its_closing_in_every_order
            a_lost_process_may_come_back
            lives_are_told_of_those_who_are_known
            annotations_may_come_before_their_trace
            an_annotation_id_is_applied_once
            rows_show_the_latest_annotation
            annotations_can_be_deleted
            a_deleted_trace_is_gone_from_every_answer
            a_deleted_trace_does_not_come_back
            a_deleted_conversation_takes_its_traces
            a_deleted_user_takes_the_traces_of_that_user_alone
            a_deleted_users_spans_elsewhere_lose_their_content
            what_a_deleted_user_did_before_does_not_come_back
            deletion_stays_in_its_workspace
            deleting_what_is_not_there_does_nothing
            old_traces_go_and_others_stay
            a_trace_goes_as_a_whole_or_not_at_all
            what_comes_late_of_a_trace_that_went_is_kept
            retention_stays_in_its_workspace
            above_its_size_a_workspace_loses_what_is_oldest
            trees_are_in_reading_order
            dropped_spans_count_nowhere
            cycles_and_missing_parents_stand_as_roots
            a_deep_chain_is_answered
            a_large_trace_arrives_in_many_batches
            no_workspace_sees_another
            one_batch_may_fill_several_workspaces
            hostile_texts_come_back_unchanged
            hostile_numbers_come_back_unchanged
            deeply_nested_values_come_back
            very_long_texts_come_back
            empty_ids_are_ids_too
            measures_are_of_what_is_stored
            buckets_are_half_open_and_empty_ones_answer
            what_was_sampled_is_weighed
            sums_follow_versions_in_every_order
            running_spans_count_without_a_duration
            silent_spans_count_to_their_trace
            runs_count_under_every_value_of_theirs
            totals_of_the_trace_count_once_in_sums
            the_greatest_groups_come_first
            a_filter_chooses_traces_not_spans
            impossible_sums_are_refused
            agents_are_told_apart_by_version
            conversations_are_their_turns
            conversations_are_paged_by_their_latest_turn
            conversations_are_paged_over_days
            turns_are_read_in_order
            phrases_are_found_as_they_read
            hits_come_newest_first
            replaced_text_is_not_found
            searches_can_be_narrowed
            a_search_that_gives_up_goes_on
            a_search_ends_when_nobody_listens
            impossible_searches_are_refused
        }
        #[test]
        fn engine_equals_memory() {
            $crate::conformance::engine_equals_memory(|| $factory);
        }
        #[test]
        fn kept_sums_follow_changes() {
            $crate::conformance::kept_sums_follow_changes(|| $factory);
        }
        #[test]
        fn search_equals_memory() {
            $crate::conformance::search_equals_memory(|| $factory);
        }
    };
    ($factory:expr => $($test:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                $crate::conformance::$test($factory).await;
            }
        )*
    };
}

//! The contract of [`TraceStore`] as tests, for every store.
//!
//! A store's own tests name a [`Fixture`] that opens one, and [`contract!`] creates a test from
//! each function of this crate:
//!
//! ```ignore
//! spanscope_store_tests::contract!(crate::fixture::Mine);
//! ```
//!
//! Tests write through [`TraceStore::store`] and read through the other methods; tests of a file,
//! SQL, or anything else that only one kind of store has belong to that store. The fixture of a
//! store that only reads [writes](Fixture::put) what the tests of reading pass to `store`, as
//! another program would. A test of something that a store does not support, by its
//! [`Capabilities`], is skipped and reports that.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(missing_docs, reason = "the name of a test is its claim")]

pub mod around;
pub mod conditions;
pub mod events;
pub mod filters;
pub mod followed;
pub mod hooked;
pub mod limits;
pub mod lists;
pub mod made;
pub mod metrics;
pub mod pages;
pub mod rows;
pub mod runs;
pub mod statistics;
pub mod stored;
pub mod tenants;
pub mod trees;

use std::sync::Arc;

use spanscope_model::{Capabilities, NewRecords, Tenant, TraceStore, block_on};

use crate::hooked::Hooked;

/// Writes records of a tenant, or of none, to where a store reads them.
pub type Put = Arc<dyn Fn(Option<&Tenant>, &NewRecords) + Send + Sync>;

/// Opens stores of one kind. Each test has a fixture, which lives as long as the test.
pub trait Fixture {
    fn new() -> Self;

    /// Returns whether a store can be opened here. By default it can.
    fn is_available() -> bool {
        true
    }

    /// Opens an empty store, which keeps records of any age, and returns its capabilities.
    fn open(&self) -> (Arc<dyn TraceStore>, Capabilities);

    /// Returns how records get into the opened store, if not by its own `store`.
    fn put(&self) -> Option<Put> {
        None
    }

    /// The number of random filters that a test compares.
    fn filters() -> usize {
        1500
    }

    /// Waits until the store shows everything that it has accepted. By default it does not wait.
    fn settle(_store: &dyn TraceStore) {}
}

/// A store that a test has opened, with its fixture.
pub struct Open<F> {
    store: Arc<dyn TraceStore>,
    _fixture: F,
}

impl<F: Fixture> Open<F> {
    /// Opens a store; returns `None`, with a line on stderr, if it does not support the test's
    /// subject.
    #[must_use]
    pub fn that(can: impl FnOnce(&Capabilities) -> bool) -> Option<Self> {
        if !F::is_available() {
            eprintln!("skipped: no such store can be opened here");
            return None;
        }
        let fixture = F::new();
        let (store, capabilities) = fixture.open();
        let put = fixture.put();
        if !((capabilities.writes || put.is_some()) && can(&capabilities)) {
            eprintln!("skipped: the store can't do this: {capabilities:?}");
            return None;
        }
        let store = match put {
            Some(put) => Arc::new(Hooked::filled(store, put)),
            None => store,
        };
        Some(Self {
            store,
            _fixture: fixture,
        })
    }

    #[must_use]
    pub fn store(&self) -> &dyn TraceStore {
        &*self.store
    }

    /// Checks the numbers of offered and stored records, if the store has an account.
    pub fn check_account(&self, expected: (u64, u64)) {
        let account = block_on(self.store.statistics()).unwrap().account;
        if let Some(account) = account {
            assert_eq!((account.offered, account.stored), expected);
        }
    }
}

/// Passes the names of all tests, by module, to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! each_test {
    ([$($with:tt)+] $fixture:ty) => {
        $($with)+! { $fixture;
            stored {
                what_is_stored_is_what_was_given,
                a_span_is_stored_once_however_often_it_comes,
                log_events_outside_the_spans_don_t_make_a_trace_longer,
                a_batch_is_known_by_its_name_for_each_tenant,
                a_span_that_failed_while_it_ran_counts_as_its_end_says,
            }
            events {
                events_of_the_telemetry_api_become_spans_whichever_comes_first,
                a_span_that_was_begun_runs_until_its_end_comes,
                a_traceparent_continues_that_trace_for_all_that_follows,
                a_malformed_traceparent_continues_nothing_and_is_not_stored,
                events_that_make_no_sense_are_refused,
            }
            conditions {
                values_compare_by_their_json_type,
                integers_beyond_the_signed_range_keep_their_last_digit,
                keys_are_literal_whatever_is_in_them,
                values_are_literal_whatever_is_in_them,
                a_nested_object_is_not_reached_by_dots,
                own_fields_are_asked_for_by_name,
                all_conditions_must_hold_on_one_same_span,
                conditions_that_make_no_sense_are_refused_with_the_fix,
            }
            filters {
                a_filter_finds_what_the_model_says_whatever_is_stored,
                counts_that_are_texts_match_numbers_under_the_names_of_counts,
                values_without_quotes_match_the_text_that_is_written_so,
                attributes_of_the_resource_are_found_where_the_record_has_none,
                logs_are_found_by_what_is_shown_of_them,
            }
            lists {
                pages_neither_overlap_nor_skip_in_any_order,
                wrong_orders_limits_and_offsets_are_refused,
                traces_are_summed_up_and_filtered,
                a_trace_continued_from_elsewhere_has_its_first_span_as_root,
                spans_come_newest_stored_first_or_in_the_order_asked_for,
                ids_are_found_by_an_unambiguous_beginning,
                logs_are_the_newest_in_the_order_of_their_times,
                conditions_and_pages_go_together,
            }
            trees {
                a_tree_has_the_descendants_down_to_its_depth,
                cycles_and_orphans_do_no_harm,
                attributes_are_cut_to_the_ones_asked_for,
                of_a_span_id_in_two_traces_the_newest_counts,
                a_deep_chain_is_no_problem,
                query_spans_returns_spans_that_have_all_attributes,
            }
            metrics {
                steps_begin_with_the_clock_and_the_end_is_not_part_of_the_range,
                results_match_the_measurements_for_every_range_and_step,
                matchers_choose_series_and_regular_expressions_match_the_whole_value,
                metrics_are_listed_with_their_metadata,
                questions_that_make_no_sense_are_refused_and_unknown_metrics_are_empty,
                observations_of_a_histogram_come_to_a_count_a_mean_and_percentiles,
            }
            statistics {
                what_is_stored_is_counted_by_kind_and_by_service,
                percentiles_are_within_one_percent_of_the_true_ones,
                running_and_older_spans_do_not_count,
            }
            limits {
                what_a_store_can_not_do_fails_as_unsupported,
            }
            pages {
                pages_of_traces_by_cursor_are_the_list,
                running_traces_are_listed_by_themselves,
                a_histogram_counts_each_trace_once_in_its_time,
                a_histogram_of_logs_counts_what_is_listed,
                the_oldest_logs_can_be_chosen_in_place_of_the_newest,
                a_shape_has_the_spans_of_the_trace,
                a_shape_says_what_each_span_does_and_the_tokens_it_used,
                an_overview_names_the_first_error_and_the_run,
                a_search_in_a_trace_finds_what_the_list_finds,
                completions_are_texts_that_are_stored,
                a_duration_is_compared_with_those_of_its_name,
                pages_show_a_tenant_nothing_of_another_one,
            }
            around {
                pages_of_spans_by_cursor_are_the_list,
                the_errors_and_calls_next_to_a_span_are_found,
                spans_that_link_to_a_span_are_found,
                an_id_that_is_not_stored_has_those_that_begin_like_it,
                the_oldest_record_is_known,
                neighbours_are_those_of_one_tenant,
            }
            tenants {
                a_tenant_sees_nothing_of_another_ones,
                a_tenant_can_not_change_what_is_another_ones,
            }
            runs {
                a_trace_is_a_run_if_an_agent_a_model_a_search_or_a_tool_is_in_it,
                every_filter_has_true_totals_and_pages_that_meet,
                a_run_changes_from_running_to_its_end_in_every_order_of_spans,
                runs_of_one_trace_are_distinguished_by_their_task_ids,
                a_task_that_continues_in_another_trace_is_one_run,
                no_tenant_sees_or_deletes_the_runs_of_another,
                a_cleanup_takes_runs_that_ended_before_and_leaves_other_traces,
                new_records_are_read_once_and_a_range_is_always_the_same,
                a_run_that_holds_other_runs_is_deleted_with_them_and_its_numbers_are_not_given_again,
                the_last_attempt_tells_how_a_task_went_out_in_lists_too,
                filters_find_a_task_of_several_traces_by_what_is_shown_of_it,
                a_cleanup_keeps_running_runs_and_counts_tasks,
                a_run_is_the_same_in_every_order_of_its_spans,
            }
            followed {
                a_follower_sees_each_record_once_and_the_end_of_a_span_when_it_is_stored,
                in_pages_of_any_size_a_follower_reads_the_same,
                a_page_shows_a_span_as_it_was_known_where_the_page_ends,
                a_follower_may_ask_for_one_trace_and_for_serious_events,
                a_tenant_follows_its_own_records_only,
                a_follower_misses_nothing_that_is_stored_after_a_deletion,
                a_wait_for_a_change_ends_though_nothing_is_stored,
                a_follower_that_knows_what_it_had_misses_nothing_that_comes_late,
            }
        }
    };
}

/// Creates a `#[test]` from each function of this crate, for the stores that the fixture opens. The
/// fixture is named by its path from the root of the crate.
#[macro_export]
macro_rules! contract {
    ($fixture:ty) => {
        $crate::each_test!([$crate::tests_of] $fixture);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! tests_of {
    ($fixture:ty; $($module:ident { $($name:ident,)* })*) => {
        $(mod $module {
            $(#[test]
            fn $name() {
                $crate::$module::$name::<$fixture>();
            })*
        })*
    };
}

#[cfg(test)]
mod tests {
    /// The source of each module, and this file's list of its tests.
    macro_rules! sources {
        ($fixture:ty; $($module:ident { $($name:ident,)* })*) => {
            [$((
                stringify!($module),
                include_str!(concat!(stringify!($module), ".rs")),
                vec![$(stringify!($name)),*],
            )),*]
        };
    }

    #[test]
    fn every_test_is_in_the_list() {
        for (module, source, listed) in each_test!([sources]()) {
            let tests = source.lines().filter_map(|line| {
                let name = line.strip_prefix("pub fn ")?;
                name.strip_suffix("<F: Fixture>() {")
            });
            assert_eq!(tests.collect::<Vec<_>>(), listed, "{module}");
        }
    }
}

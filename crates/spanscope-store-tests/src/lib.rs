//! The contract of [`TraceStore`] as tests, for every store.
//!
//! A store's own tests name a [`Fixture`] that opens one, and [`contract!`] makes a test out of each
//! function of this crate:
//!
//! ```ignore
//! spanscope_store_tests::contract!(crate::fixture::Mine);
//! ```
//!
//! Tests write through [`TraceStore::store`] and read through the other methods; never here: a file,
//! SQL, or anything else that only one kind of store has. A test of something that a store can't do,
//! by its [`Capabilities`], is skipped and says so.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(missing_docs, reason = "the name of a test is its claim")]

pub mod events;
pub mod followed;
pub mod made;
pub mod runs;
pub mod stored;
pub mod tenants;

use std::sync::Arc;

use spanscope_model::{Capabilities, TraceStore, block_on};

/// Opens stores of one kind. Each test has a fixture, which lives as long as the test.
pub trait Fixture {
    fn new() -> Self;

    /// Opens a store in which nothing is stored, and says what it can do.
    fn open(&self) -> (Arc<dyn TraceStore>, Capabilities);

    /// Returns when the store shows everything that it has taken in. By default at once.
    fn settle(_store: &dyn TraceStore) {}
}

/// A store that a test has opened, with what keeps it alive.
pub struct Open<F> {
    store: Arc<dyn TraceStore>,
    _fixture: F,
}

impl<F: Fixture> Open<F> {
    /// Opens a store; none, and a line on stderr, if it can't do what the test is about.
    #[must_use]
    pub fn that(can: impl FnOnce(&Capabilities) -> bool) -> Option<Self> {
        let fixture = F::new();
        let (store, capabilities) = fixture.open();
        if !(capabilities.writes && can(&capabilities)) {
            eprintln!("skipped: the store can't do this: {capabilities:?}");
            return None;
        }
        Some(Self {
            store,
            _fixture: fixture,
        })
    }

    #[must_use]
    pub fn store(&self) -> &dyn TraceStore {
        &*self.store
    }

    /// Checks the numbers of offered and stored records, where the store has an account.
    pub fn check_account(&self, expected: (u64, u64)) {
        let account = block_on(self.store.statistics()).unwrap().account;
        if let Some(account) = account {
            assert_eq!((account.offered, account.stored), expected);
        }
    }
}

/// Hands the names of all tests, by module, to a macro.
#[doc(hidden)]
#[macro_export]
macro_rules! each_test {
    ([$($with:tt)+] $fixture:ty) => {
        $($with)+! { $fixture;
            stored {
                what_is_stored_is_what_was_given,
                a_span_is_stored_once_however_often_it_comes,
                log_events_beside_the_spans_don_t_make_a_trace_longer,
                a_batch_is_known_by_its_name_for_each_tenant,
            }
            events {
                events_of_the_telemetry_api_become_spans_whichever_comes_first,
                a_span_that_was_begun_runs_until_its_end_comes,
                a_traceparent_continues_that_trace_for_all_that_follows,
                a_malformed_traceparent_continues_nothing_and_is_not_stored,
                events_that_make_no_sense_are_refused,
            }
            tenants {
                a_tenant_sees_nothing_of_another_ones,
                a_tenant_can_not_change_what_is_another_ones,
            }
            runs {
                a_trace_is_a_run_if_an_agent_a_model_a_search_or_a_tool_is_in_it,
                every_filter_has_true_totals_and_pages_that_meet,
                a_run_goes_from_running_to_its_end_whichever_of_its_spans_comes_first,
                runs_of_one_trace_are_told_apart_by_their_task_ids,
                a_task_that_goes_on_in_another_trace_is_one_run,
                nobody_sees_or_deletes_the_runs_of_another_tenant,
                a_cleanup_takes_runs_that_ended_before_and_leaves_other_traces,
                what_came_since_is_read_once_and_a_range_is_always_the_same,
                a_run_that_holds_other_runs_is_deleted_with_them_and_its_numbers_are_not_given_again,
                the_last_attempt_tells_how_a_task_went_out_in_lists_too,
                filters_find_a_task_of_several_traces_by_what_is_shown_of_it,
                a_cleanup_leaves_what_goes_on_and_counts_tasks,
            }
            followed {
                a_follower_sees_each_record_once_and_the_end_of_a_span_when_it_is_stored,
                in_pages_of_any_size_a_follower_reads_the_same,
                a_page_shows_a_span_as_it_was_known_where_the_page_ends,
                a_follower_may_ask_for_one_trace_and_for_serious_events,
                a_tenant_follows_its_own_records_only,
                a_follower_misses_nothing_that_is_stored_after_a_deletion,
                a_wait_for_a_change_ends_though_nothing_is_stored,
            }
        }
    };
}

/// Makes a `#[test]` out of each function of this crate, for the stores that the fixture opens. The
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

//! The values of the label `api`, and how many requests of each are running.
//!
//! Paths come from the network, so a scanner could create a new label value with every request. The
//! table holds a bounded number of them; later ones count as [`OTHER`], which shows that there were
//! more. With a list of known APIs none are added.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use spanscope_core::sync::{read, write};

use crate::level::InFlightGauge;

/// The `api` of a request without one: the root, and, if routes are known
/// ([`route_of`](crate::RequestMetricsLayerBuilder::route_of)), a request that matches none.
pub const UNKNOWN: &str = "unknown";

/// The `api` of requests beyond the limit, or outside the known ones.
pub const OTHER: &str = "other";

/// Default maximum number of distinct APIs, see
/// [`max_apis`](crate::RequestMetricsLayerBuilder::max_apis); later ones count as [`OTHER`].
pub const DEFAULT_MAX_APIS: usize = 200;

/// A longer name counts as [`OTHER`].
const MAX_NAME_LEN: usize = 64;

/// One API.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) name: Box<str>,
    pub(crate) running: InFlightGauge,
}

impl Api {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            running: InFlightGauge::default(),
        })
    }

    /// Returns whether its name is an actual API.
    pub(crate) fn is_real(&self) -> bool {
        !matches!(&*self.name, UNKNOWN | OTHER)
    }
}

/// All APIs seen so far.
#[derive(Debug)]
pub(crate) struct Apis {
    seen: RwLock<HashMap<Box<str>, Arc<Api>>>,
    max: usize,
    unknown: Arc<Api>,
    other: Arc<Api>,
}

impl Apis {
    /// Creates a table that learns up to `max` names.
    pub(crate) fn learning(max: usize) -> Self {
        Self {
            seen: RwLock::default(),
            max,
            unknown: Api::new(UNKNOWN),
            other: Api::new(OTHER),
        }
    }

    /// Creates a fixed list of APIs.
    pub(crate) fn known(names: &[String]) -> Self {
        let seen = names.iter().map(|name| (name.as_str().into(), Api::new(name)));
        Self {
            seen: RwLock::new(seen.collect()),
            ..Self::learning(0)
        }
    }

    pub(crate) fn find(&self, name: Option<&str>) -> Arc<Api> {
        let name = match name {
            // Segments that are called like these share their gauge, or two gauges would have one
            // name.
            None | Some("" | UNKNOWN) => return Arc::clone(&self.unknown),
            Some(OTHER) => return Arc::clone(&self.other),
            Some(name) => name,
        };
        {
            let seen = read(&self.seen);
            if let Some(api) = seen.get(name) {
                return Arc::clone(api);
            }
            if seen.len() >= self.max || name.len() > MAX_NAME_LEN {
                return Arc::clone(&self.other);
            }
        }
        let mut seen = write(&self.seen);
        if seen.len() >= self.max && !seen.contains_key(name) {
            return Arc::clone(&self.other);
        }
        let api = seen.entry(name.into()).or_insert_with(|| Api::new(name));
        Arc::clone(api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinguished_up_to_the_limit() {
        let apis = Apis::learning(3);
        let names: Vec<_> = (0..100_000)
            .map(|n| apis.find(Some(&format!("bot{n}"))).name.clone())
            .collect();
        assert_eq!(names[..3], ["bot0".into(), "bot1".into(), "bot2".into()]);
        assert!(names[3..].iter().all(|name| &**name == OTHER));
        assert_eq!(&*apis.find(Some("bot1")).name, "bot1");
        assert_eq!(&*apis.find(None).name, UNKNOWN);
    }

    #[test]
    fn long_names_and_unlisted_names_count_as_other() {
        assert_eq!(
            &*Apis::learning(10).find(Some(&"a".repeat(MAX_NAME_LEN + 1))).name,
            OTHER
        );
        let apis = Apis::known(&["inference".to_owned()]);
        assert_eq!(&*apis.find(Some("inference")).name, "inference");
        assert_eq!(&*apis.find(Some("wp-admin")).name, OTHER);
    }

    #[test]
    fn a_segment_that_is_called_unknown_or_other_shares_that_gauge() {
        let apis = Apis::learning(10);
        assert!(Arc::ptr_eq(&apis.find(Some(UNKNOWN)), &apis.find(None)));
        assert!(Arc::ptr_eq(&apis.find(Some(OTHER)), &apis.other));
        assert!(!apis.find(Some(OTHER)).is_real());
    }
}

//! [`Places`]: how many streams are open, of all and of each tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use spanscope_core::sync::lock;
use spanscope_model::Tenant;

use super::RunSettings;

/// The streams that are open.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_tenants: HashMap<Tenant, usize>,
}

/// A place for one stream; given back when it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    places: Arc<Places>,
    tenant: Option<Tenant>,
}

impl Places {
    /// Takes a place; none where there is none left, or where the tenant has its share of them.
    pub(super) fn take(
        self: &Arc<Self>,
        tenant: Option<Tenant>,
        settings: &RunSettings,
    ) -> Option<StreamPlace> {
        let mut taken = self.lock();
        if taken.all >= settings.streams {
            return None;
        }
        if let Some(tenant) = &tenant {
            let of_tenant = taken.of_tenants.entry(tenant.clone()).or_default();
            if *of_tenant >= settings.tenant_streams {
                return None;
            }
            *of_tenant += 1;
        }
        taken.all += 1;
        drop(taken);
        Some(StreamPlace {
            places: Arc::clone(self),
            tenant,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        lock(&self.0)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all -= 1;
        if let Some(tenant) = &self.tenant
            && let Some(of_tenant) = taken.of_tenants.get_mut(tenant)
        {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                taken.of_tenants.remove(tenant);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_its_share_and_what_is_given_back_is_there_again() {
        let settings = RunSettings {
            streams: 3,
            tenant_streams: 2,
            ..RunSettings::default()
        };
        let places = Arc::new(Places::default());
        let take = |tenant: &str| places.take(Some(tenant.parse().unwrap()), &settings);
        let (first, _second) = (take("acme").unwrap(), take("acme").unwrap());
        assert!(take("acme").is_none());
        let other = take("other").unwrap();
        assert!(take("other").is_none() && places.take(None, &settings).is_none());
        drop((first, other));
        let _third = take("acme").unwrap();
        assert!(take("acme").is_none());
        assert!(places.take(None, &settings).is_some());
        assert_eq!(places.lock().of_tenants.len(), 1);
    }
}

//! [`Permits`]: the requests of one kind in flight, in total and per tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use spanscope_core::sync::lock;
use spanscope_model::Tenant;

/// The permits of one kind of request.
#[derive(Debug)]
pub(crate) struct Permits {
    all: usize,
    of_tenant: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    of_tenants: HashMap<Tenant, usize>,
}

/// Permission for one request, which is released when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    tenant: Option<Tenant>,
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPermit {
    /// All are in use.
    All,
    /// The tenant has its share of them.
    Share,
}

impl Permits {
    /// Permits for this many requests, of which one tenant gets `of_tenant`.
    pub(crate) fn new(all: usize, of_tenant: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            of_tenant,
            taken: Mutex::default(),
        })
    }

    /// Takes a permit for a tenant, or for a caller that sees everything.
    pub(crate) fn take(self: &Arc<Self>, tenant: Option<Tenant>) -> Result<Permit, NoPermit> {
        let mut taken = self.lock();
        if taken.all >= self.all {
            return Err(NoPermit::All);
        }
        if let Some(tenant) = &tenant {
            let of_tenant = taken.of_tenants.get(tenant).copied().unwrap_or(0);
            if of_tenant >= self.of_tenant {
                return Err(NoPermit::Share);
            }
            taken.of_tenants.insert(tenant.clone(), of_tenant + 1);
        }
        taken.all += 1;
        drop(taken);
        Ok(Permit {
            permits: Arc::clone(self),
            tenant,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        lock(&self.taken)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.permits.lock();
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
    fn a_tenant_gets_its_share_and_released_permits_can_be_taken_again() {
        let permits = Permits::new(3, 2);
        let take = |tenant: &str| permits.take(Some(tenant.parse().unwrap()));
        let (first, _second) = (take("acme").unwrap(), take("acme").unwrap());
        assert_eq!(take("acme").unwrap_err(), NoPermit::Share);
        let other = take("other").unwrap();
        assert_eq!(take("other").unwrap_err(), NoPermit::All);
        assert_eq!(permits.take(None).unwrap_err(), NoPermit::All);
        drop((first, other));
        let _third = take("acme").unwrap();
        assert_eq!(take("acme").unwrap_err(), NoPermit::Share);
        assert!(permits.take(None).is_ok());
        assert_eq!(permits.lock().of_tenants.len(), 1);
    }
}

//! The servers that a client calls: a bounded table of them, for the labels of metrics, and the
//! list of those that may receive the trace.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use spanscope_core::sync::{read, write};

use crate::apis::OTHER;
use crate::level::InFlightGauge;
use crate::request::{METHODS, RequestLabels, SCHEMES};

/// The default number of servers that metrics distinguish, see
/// [`max_hosts`](crate::ClientLayerBuilder::max_hosts). Later ones count as
/// [`OTHER`]: a crawler must not create a series for each site.
pub const DEFAULT_MAX_HOSTS: usize = 200;

/// A longer name counts as [`OTHER`].
const MAX_HOST_LEN: usize = 253;

/// A server, as metrics name it.
#[derive(Debug)]
pub(crate) struct Host {
    /// `server.address`; `None` if the request names no host.
    pub(crate) address: Option<Box<str>>,
    /// `server.port`.
    pub(crate) port: Option<u16>,
    /// The numbers of running requests, by [`RequestLabels::index`].
    running: [InFlightGauge; METHODS.len() * SCHEMES.len()],
}

impl Host {
    fn new(address: Option<&str>, port: Option<u16>) -> Arc<Self> {
        Arc::new(Self {
            address: address.map(Into::into),
            port,
            running: Default::default(),
        })
    }

    /// Returns the number of running requests with this method and scheme.
    pub(crate) fn running(&self, labels: RequestLabels) -> &InFlightGauge {
        &self.running[labels.index()]
    }
}

/// All servers seen so far.
#[derive(Debug)]
pub(crate) struct Hosts {
    seen: RwLock<SeenHosts>,
    max: usize,
    unknown: Arc<Host>,
    other: Arc<Host>,
}

#[derive(Debug, Default)]
struct SeenHosts {
    /// By address; few have more than one port.
    by_address: HashMap<Box<str>, Vec<Arc<Host>>>,
    count: usize,
}

impl SeenHosts {
    fn find(&self, address: &str, port: u16) -> Option<Arc<Host>> {
        let ports = self.by_address.get(address)?;
        ports.iter().find(|host| host.port == Some(port)).cloned()
    }
}

impl Hosts {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            seen: RwLock::default(),
            max,
            unknown: Host::new(None, None),
            other: Host::new(Some(OTHER), None),
        }
    }

    pub(crate) fn find(&self, address: Option<&str>, port: u16) -> Arc<Host> {
        let Some(address) = address else {
            return Arc::clone(&self.unknown);
        };
        // Names of hosts are case-insensitive, so one in capitals must not create a second series.
        if address.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.find_lower(&address.to_ascii_lowercase(), port);
        }
        self.find_lower(address, port)
    }

    fn find_lower(&self, address: &str, port: u16) -> Arc<Host> {
        let is_full = |seen: &SeenHosts| seen.count >= self.max || address.len() > MAX_HOST_LEN;
        {
            let seen = read(&self.seen);
            if let Some(host) = seen.find(address, port) {
                return host;
            }
            if is_full(&seen) {
                return Arc::clone(&self.other);
            }
        }
        let mut seen = write(&self.seen);
        if let Some(host) = seen.find(address, port) {
            return host;
        }
        if is_full(&seen) {
            return Arc::clone(&self.other);
        }
        let host = Host::new(Some(address), Some(port));
        let ports = seen.by_address.entry(address.into()).or_default();
        ports.push(Arc::clone(&host));
        seen.count += 1;
        host
    }
}

/// The servers that receive the trace of a request.
#[derive(Debug)]
pub(crate) enum Propagation {
    All,
    Only(Vec<HostPattern>),
}

impl Propagation {
    /// Returns whether a host receives it. If only some do, an unknown host does not.
    pub(crate) fn covers(&self, host: Option<&str>) -> bool {
        match self {
            Self::All => true,
            Self::Only(patterns) => host.is_some_and(|host| patterns.iter().any(|one| one.covers(host))),
        }
    }
}

/// `api.example.com`, or `*.example.com` for all hosts below a domain.
#[derive(Debug, Clone)]
pub(crate) struct HostPattern {
    name: Box<str>,
    is_below: bool,
}

impl HostPattern {
    /// Creates a pattern. Scheme, credentials, port and path next to the host are ignored.
    pub(crate) fn new(text: &str) -> Self {
        let text = text.trim();
        let text = text.split_once("://").map_or(text, |(_, rest)| rest);
        let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        let host = match host.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => match host.split_once(':') {
                // An IPv6 address without brackets has more than one colon.
                Some((name, rest)) if !rest.contains(':') => name,
                _ => host,
            },
        };
        let (name, is_below) = match host.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (host, false),
        };
        Self {
            name: name.into(),
            is_below,
        }
    }

    pub(super) fn covers(&self, host: &str) -> bool {
        if !self.is_below {
            return !self.name.is_empty() && host.eq_ignore_ascii_case(&self.name);
        }
        let Some(start) = host.len().checked_sub(self.name.len()) else {
            return false;
        };
        let is_end = host
            .get(start..)
            .is_some_and(|end| end.eq_ignore_ascii_case(&self.name));
        is_end && !self.name.is_empty() && host.get(..start).is_some_and(|below| below.ends_with('.'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_distinguished_by_name_and_port_up_to_the_limit() {
        let hosts = Hosts::new(3);
        let a = hosts.find(Some("a"), 80);
        assert!(Arc::ptr_eq(&a, &hosts.find(Some("A"), 80)));
        assert!(!Arc::ptr_eq(&a, &hosts.find(Some("a"), 81)));
        hosts.find(Some("b"), 80);
        for n in 0..1000 {
            let host = hosts.find(Some(&format!("site{n}")), 80);
            assert_eq!((host.address.as_deref(), host.port), (Some(OTHER), None));
        }
        assert_eq!(hosts.find(Some("b"), 80).address.as_deref(), Some("b"));
        let long = "a".repeat(MAX_HOST_LEN + 1);
        assert_eq!(
            Hosts::new(3).find(Some(&long), 80).address.as_deref(),
            Some(OTHER)
        );
        assert_eq!(hosts.find(None, 80).address, None);
    }

    #[test]
    fn a_host_is_covered_by_its_name_or_by_the_domain_above_it() {
        for (pattern, host, is_covered) in [
            ("api.example.com", "api.example.com", true),
            ("API.example.com", "api.EXAMPLE.com", true),
            ("api.example.com", "example.com", false),
            ("api.example.com", "x.api.example.com", false),
            ("https://api.example.com:8443/v1", "api.example.com", true),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
            ("[::1]:80", "::1", true),
            ("::1", "::1", true),
            ("", "", false),
            ("*.", "a.", false),
        ] {
            assert_eq!(
                HostPattern::new(pattern).covers(host),
                is_covered,
                "{pattern} {host}"
            );
        }
        let only = Propagation::Only(vec![HostPattern::new("a")]);
        assert!(only.covers(Some("a")) && !only.covers(Some("b")) && !only.covers(None));
        assert!(Propagation::All.covers(None));
        assert!(!Propagation::Only(Vec::new()).covers(Some("a")));
    }
}

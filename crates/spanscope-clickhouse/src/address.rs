//! [`StoreAddress`]: where a store in ClickHouse is, read from a URL.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use spanscope_model::StoreError;

/// The port of ClickHouse's HTTP interface, and that of its HTTPS interface.
const HTTP_PORT: u16 = 8123;
const HTTPS_PORT: u16 = 8443;
/// How old the end of a span has to be before followers read it. A collector holds spans back for
/// some seconds.
const DEFAULT_LAG: Duration = Duration::from_secs(10);
const MAX_LAG: Duration = Duration::from_secs(3600);

/// The environment variable with the password.
pub const PASSWORD_VARIABLE: &str = "SPANSCOPE_STORE_PASSWORD";

/// Where a store is: `clickhouse://user@host:8123/database`, or `clickhouses://` for TLS.
///
/// Several hosts are separated by commas; the next one is asked when one can't be reached. The
/// query may have `tenant_attribute` (the resource attribute that names the tenant of a record) and
/// `lag` (how long records may take to arrive; `10s` by default).
///
/// A password is not part of it, because command lines and logs show URLs; see
/// [`password`](Self::password).
///
/// ```
/// use spanscope_clickhouse::StoreAddress;
///
/// let address: StoreAddress = "clickhouse://otel@a,b:9123/otel?tenant_attribute=team".parse()?;
/// assert_eq!(address.to_string(), "clickhouse://otel@a:8123,b:9123/otel?tenant_attribute=team");
/// assert!("clickhouse://otel:secret@a/otel".parse::<StoreAddress>().is_err());
/// # Ok::<(), spanscope_model::StoreError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StoreAddress {
    pub(crate) hosts: Vec<Host>,
    pub(crate) is_tls: bool,
    pub(crate) user: String,
    pub(crate) password: Option<String>,
    pub(crate) database: String,
    pub(crate) tenant_attribute: Option<String>,
    pub(crate) lag: Duration,
}

/// A server and its port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// As in a URL: an IPv6 address is in brackets.
    name: String,
    port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl StoreAddress {
    /// Returns whether a text is the URL of a store in ClickHouse.
    #[must_use]
    pub fn is_address(text: &str) -> bool {
        scheme_of(text).is_some()
    }

    /// Sets the password.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets the password from the first line of a file.
    ///
    /// # Errors
    /// Unusable if the file can't be read.
    pub fn password_file(self, path: &Path) -> Result<Self, StoreError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            unusable(format!(
                "the file with the password, {}, can't be read: {error}",
                path.display()
            ))
        })?;
        let line = text.lines().next().unwrap_or_default().to_owned();
        Ok(self.password(line))
    }

    /// Sets the password from [`PASSWORD_VARIABLE`], if the environment has it.
    #[must_use]
    pub fn password_from_env(self) -> Self {
        match std::env::var(PASSWORD_VARIABLE) {
            Ok(password) => self.password(password),
            Err(_) => self,
        }
    }

    /// Returns the URL of the HTTP interface at one of the hosts.
    pub(crate) fn url_of(&self, host: &Host) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{host}/")
    }
}

pub(crate) fn unusable(message: String) -> StoreError {
    StoreError::new(spanscope_model::StoreErrorKind::Unusable, message)
}

/// Returns whether the scheme is that of TLS, and the rest of the URL.
fn scheme_of(text: &str) -> Option<(bool, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    match scheme {
        "clickhouse" => Some((false, rest)),
        "clickhouses" => Some((true, rest)),
        _ => None,
    }
}

impl FromStr for StoreAddress {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        // The text is not repeated: it may contain a password.
        let wrong = |what: &str| {
            StoreError::invalid(format!(
                "the store's URL {what}: write it as clickhouse://user@host:8123/database"
            ))
        };
        let (is_tls, rest) = scheme_of(text).ok_or_else(|| wrong("has another scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (user, hosts),
            None => ("", authority),
        };
        if user.contains(':') {
            return Err(StoreError::invalid(format!(
                "the store's URL has a password, which command lines and logs would show: leave it out, and set \
                 {PASSWORD_VARIABLE}"
            )));
        }
        let decoded = |part: &str, what: &str| match percent_decode_str(part).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err(wrong(what)),
        };
        let default_port = if is_tls { HTTPS_PORT } else { HTTP_PORT };
        let hosts: Option<Vec<Host>> = hosts.split(',').map(|host| host_of(host, default_port)).collect();
        let database = decoded(path.trim_end_matches('/'), "has a database that is not UTF-8")?;
        let user = decoded(user, "has a user that is not UTF-8")?;
        let mut address = Self {
            hosts: hosts.ok_or_else(|| wrong("has a host or a port that can't be"))?,
            is_tls,
            user: if user.is_empty() {
                "default".to_owned()
            } else {
                user
            },
            password: None,
            database: if database.is_empty() {
                "default".to_owned()
            } else {
                database
            },
            tenant_attribute: None,
            lag: DEFAULT_LAG,
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value, "has a value that is not UTF-8")?;
            match key {
                "tenant_attribute" if !value.is_empty() => address.tenant_attribute = Some(value),
                "lag" => {
                    address.lag = lag_of(&value)
                        .ok_or_else(|| wrong("has a lag that can't be (0s to 3600s, as lag=10s)"))?;
                }
                "password" => {
                    return Err(StoreError::invalid(format!(
                        "the store's URL has a password, which command lines and logs would show: leave it out, \
                         and set {PASSWORD_VARIABLE}"
                    )));
                }
                _ => return Err(wrong("has an option other than tenant_attribute=KEY and lag=10s")),
            }
        }
        Ok(address)
    }
}

fn host_of(text: &str, default_port: u16) -> Option<Host> {
    let (name, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address are inside of its brackets.
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok().filter(|port| *port > 0)?),
        _ => (text, default_port),
    };
    let is_bracketed = name.starts_with('[') && name.ends_with(']');
    let is_name = !name.is_empty()
        && name.chars().all(|c| match c {
            '[' | ']' | ':' => is_bracketed,
            c => c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'),
        });
    is_name.then(|| Host {
        name: name.to_owned(),
        port,
    })
}

fn lag_of(text: &str) -> Option<Duration> {
    let seconds: u64 = text.strip_suffix('s').unwrap_or(text).parse().ok()?;
    Some(Duration::from_secs(seconds)).filter(|lag| *lag <= MAX_LAG)
}

/// The URL, without the password.
impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "clickhouses" } else { "clickhouse" };
        let hosts: Vec<String> = self.hosts.iter().map(Host::to_string).collect();
        write!(
            f,
            "{scheme}://{}@{}/{}",
            self.user,
            hosts.join(","),
            self.database
        )?;
        let mut separator = '?';
        if let Some(key) = &self.tenant_attribute {
            write!(f, "{separator}tenant_attribute={key}")?;
            separator = '&';
        }
        if self.lag != DEFAULT_LAG {
            write!(f, "{separator}lag={}s", self.lag.as_secs())?;
        }
        Ok(())
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreAddress({self})")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_a_url_leaves_out_has_a_default() {
        let address: StoreAddress = "clickhouse://box".parse().unwrap();
        assert_eq!(address.to_string(), "clickhouse://default@box:8123/default");
        assert_eq!((address.tenant_attribute, address.lag), (None, DEFAULT_LAG));
        let address: StoreAddress =
            "clickhouses://an%40na@[::1],b.example:9/o%2Ft?lag=2s&tenant_attribute=a.b"
                .parse()
                .unwrap();
        assert_eq!(
            (address.user.as_str(), address.database.as_str()),
            ("an@na", "o/t")
        );
        assert_eq!(address.url_of(&address.hosts[0]), "https://[::1]:8443/");
        assert_eq!(address.url_of(&address.hosts[1]), "https://b.example:9/");
        assert_eq!(address.lag, Duration::from_secs(2));
    }

    #[test]
    fn a_password_is_refused_in_a_url_and_never_shown() {
        for url in [
            "clickhouse://otel:hunter2@box/otel",
            "clickhouse://box/otel?password=hunter2",
        ] {
            let error = url.parse::<StoreAddress>().unwrap_err().to_string();
            assert!(
                error.contains(PASSWORD_VARIABLE) && !error.contains("hunter2"),
                "{error}"
            );
        }
        let address: StoreAddress = "clickhouse://box".parse().unwrap();
        let address = address.password("hunter2");
        assert!(!format!("{address} {address:?}").contains("hunter2"));
    }

    #[test]
    fn a_password_is_the_first_line_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hunter2\n").unwrap();
        let address: StoreAddress = "clickhouse://box".parse().unwrap();
        let with = address.clone().password_file(&file).unwrap();
        assert_eq!(with.password.as_deref(), Some("hunter2"));
        let missing = address.password_file(&folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
    }

    #[test]
    fn urls_that_make_no_sense_are_refused_with_the_form() {
        for url in [
            "http://box",
            "clickhouse:box",
            "clickhouse://",
            "clickhouse://box:0/otel",
            "clickhouse://box:http/otel",
            "clickhouse://a,,b/otel",
            "clickhouse://a b/otel",
            "clickhouse://box/otel?lag=soon",
            "clickhouse://box/otel?lag=4000s",
            "clickhouse://box/otel?colour=red",
            "clickhouse://box/%ff",
        ] {
            let error = url.parse::<StoreAddress>().unwrap_err();
            assert!(error.is_invalid_input(), "{url}");
            assert!(
                error.to_string().contains("clickhouse://user@host:8123/database"),
                "{url}: {error}"
            );
        }
    }
}
